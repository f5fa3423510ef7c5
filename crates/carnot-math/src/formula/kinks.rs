//! Where a formula is not smooth: the roots of its switching expressions at which a low derivative jumps.

use super::expression::Id;
use super::jet::Jet;
use super::tape::{Op, Side, Tape};

/// A point at which some derivative up to the fourth jumps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kink {
    /// Place on the z axis.
    pub at: f64,
    /// Lowest derivative that jumps: 0 the value (sign), 1 the slope (relu), 2 the curvature (elu), up to 4.
    pub order: u8,
}

/// Curved switching expressions are searched on [−60, 60] in steps of 1/20. More than 4 standard deviations at
/// K = 200; farther out a curved switch is rare, and an affine one is found wherever it is.
const REACH: i32 = 1200;
const STEPS_PER_UNIT: f64 = 20.0;
/// A formula with more switching points than this is no activation; the ones nearest to 0 are kept.
const MOST: usize = 256;

/// All kinks, sorted.
pub(super) fn find(tape: &Tape) -> Vec<Kink> {
    let switches = tape.switches();
    let affine = affine_parts(tape);
    let mut roots: Vec<f64> = Vec::new();
    let mut curved = Vec::new();
    for (left, right) in switches {
        let right_part = right.map_or(Some((0.0, 0.0)), |id| affine[id as usize]);
        match (affine[left as usize], right_part) {
            (Some((slope, offset)), Some((s, o))) if slope != s => roots.push(-(offset - o) / (slope - s)),
            (Some(_), Some(_)) => {}
            _ => curved.push((left, right)),
        }
    }
    roots.extend(curved_roots(tape, &curved));
    roots.retain(|z| z.is_finite());
    roots.iter_mut().for_each(|z| *z += 0.0);
    roots.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    roots.dedup_by(|a, b| a == b);
    roots.truncate(MOST);
    let mut kinks: Vec<Kink> =
        roots.into_iter().filter_map(|at| order(tape, at).map(|order| Kink { at, order })).collect();
    kinks.sort_by(|a, b| a.at.total_cmp(&b.at));
    kinks.dedup_by(|b, a| {
        let same = (b.at - a.at).abs() <= 1e-12 * a.at.abs();
        if same {
            a.order = a.order.min(b.order);
        }
        same
    });
    kinks
}

/// (slope, offset) of every instruction that is affine in z by its form.
fn affine_parts(tape: &Tape) -> Vec<Option<(f64, f64)>> {
    let mut parts: Vec<Option<(f64, f64)>> = Vec::with_capacity(tape.ops.len());
    for op in &tape.ops {
        let part = |id: Id| parts[id as usize];
        let affine = match *op {
            Op::Constant(c) => Some((0.0, c)),
            Op::Variable => Some((1.0, 0.0)),
            Op::Negate(a) => part(a).map(|(s, o)| (-s, -o)),
            Op::Add(a, b) => part(a).zip(part(b)).map(|((s, o), (t, p))| (s + t, o + p)),
            Op::Subtract(a, b) => part(a).zip(part(b)).map(|((s, o), (t, p))| (s - t, o - p)),
            Op::Multiply(a, b) => match (part(a), part(b)) {
                (Some((0.0, c)), Some((s, o))) | (Some((s, o)), Some((0.0, c))) => Some((s * c, o * c)),
                _ => None,
            },
            Op::Divide(a, b) => match (part(a), part(b)) {
                (Some((s, o)), Some((0.0, c))) => Some((s / c, o / c)),
                _ => None,
            },
            _ => None,
        };
        parts.push(affine);
    }
    parts
}

/// Roots of the differences of pairs, by one scan of the whole tape and bisection.
fn curved_roots(tape: &Tape, pairs: &[(Id, Option<Id>)]) -> Vec<f64> {
    let mut roots = Vec::new();
    if pairs.is_empty() {
        return roots;
    }
    let mut slots = vec![0.0; tape.ops.len()];
    let mut differences = |z: f64, out: &mut [f64]| {
        tape.values_into(z, &mut slots);
        for (value, (left, right)) in out.iter_mut().zip(pairs) {
            *value = slots[*left as usize] - right.map_or(0.0, |id| slots[id as usize]);
        }
    };
    let mut before = vec![f64::NAN; pairs.len()];
    let mut now = vec![0.0; pairs.len()];
    let mut scratch = vec![0.0; pairs.len()];
    for step in -REACH..=REACH {
        let z = f64::from(step) / STEPS_PER_UNIT;
        differences(z, &mut now);
        for pair in 0..pairs.len() {
            if now[pair] == 0.0 {
                roots.push(z);
            } else if now[pair] * before[pair] < 0.0 && roots.len() < 4 * MOST {
                let low = f64::from(step - 1) / STEPS_PER_UNIT;
                let at = |z: f64| {
                    differences(z, &mut scratch);
                    scratch[pair]
                };
                roots.push(bisect(at, low, z, before[pair]));
            }
        }
        std::mem::swap(&mut before, &mut now);
    }
    roots
}

fn bisect(mut f: impl FnMut(f64) -> f64, mut low: f64, mut high: f64, f_low: f64) -> f64 {
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        let value = f(middle);
        if value == 0.0 {
            return middle;
        }
        if value * f_low > 0.0 { low = middle } else { high = middle }
    }
    high
}

/// The lowest derivative that differs between the two sides, or none.
fn order(tape: &Tape, at: f64) -> Option<u8> {
    let left = tape.jet(at, Side::Left);
    let right = tape.jet(at, Side::Right);
    let scale = largest(left).max(largest(right));
    let jumps = |k: &usize| {
        let (l, r) = (left.0[*k], right.0[*k]);
        if l.is_finite() != r.is_finite() {
            return true;
        }
        if !l.is_finite() {
            return !(l == r || (l.is_nan() && r.is_nan()));
        }
        (l - r).abs() > 1e-9 * l.abs().max(r.abs()) + 1e-12 * scale
    };
    (0..5usize).find(jumps).map(|k| k as u8)
}

fn largest(jet: Jet) -> f64 {
    jet.0.iter().filter(|c| c.is_finite()).fold(0.0, |most, c| most.max(c.abs()))
}
