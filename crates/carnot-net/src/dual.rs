//! The dual of an activation: what it does to a Gaussian kernel.
//!
//! $$ v'_a = \langle\sigma_a^2\rangle, \quad d'_{ab} = \langle(\sigma_a - \sigma_b)^2\rangle, \quad
//!    m'_a = \langle\sigma_a\rangle, \quad \Theta'_{ab} = \langle\sigma'_a\sigma'_b\rangle\,\Theta_{ab} $$
//!
//! Three ways to the pair averages, tried in this order: a closed form where the activation has one; the
//! expansion in Hermite polynomials (a whole batch costs one expansion per variance), where the expansion
//! converges, after a kink at zero has been taken out as h|z|, whose averages are closed; two-dimensional
//! quadrature split at the kinks. All three take the squared distance d and never subtract nearly equal numbers,
//! so merged inputs keep their relative accuracy: 1e-12 and better, 1e-6 for an expansion across a kink, and
//! 1e-3 in batches of functions with several kinks. Functions made of lines, parabolas and exponentials between
//! kinks have exact averages, [`carnot_math::gauss::pieces`], and keep 1e-12.

use crate::activation::Activation;
use crate::activation::closed::ClosedForm;
use crate::activation::piecewise;
use crate::error::Unknown;
use crate::kernel::{Gram, Kernel};
use carnot_math::gauss;
use carnot_math::gauss::hermite::Hermite;
use carnot_math::gauss::pieces::Pieces;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Orders of the Hermite expansion, tried in turn: 64 serves tanh at K = 1 to 1e-15, 500 a sigmoid at K = 60.
const ORDERS: [usize; 3] = [64, 160, 500];
/// Mass of the expansion beyond its order, relative to ⟨σ²⟩, below which no higher order is tried.
const FINE: f64 = 1e-13;
/// The same mass up to which the expansion is preferred to quadrature.
const TAIL: f64 = 1e-7;
/// The same for a batch of more than [`BATCH`] pairs, for which quadrature would take minutes.
const BATCH_TAIL: f64 = 1e-3;
/// Variance from which on only the highest order is worth trying.
const FAR: f64 = 20.0;
/// Pairs from which on a batch is a batch.
const BATCH: usize = 100;
/// Part of an activation that is taken out before expanding: h |z|.
const ABSOLUTE: ClosedForm = ClosedForm::ScaleInvariant { a_plus: 1.0, a_minus: -1.0 };

/// An activation, ready to average.
pub struct Dual<'a> {
    activation: &'a Activation,
    kinks: Vec<f64>,
    /// h: half the jump of the slope at zero.
    bend: f64,
    /// The activation by pieces, where it is made of such.
    pieces: Option<Pieces>,
}

/// Averages over one Gaussian of variance K.
#[derive(Clone, Debug)]
struct Single {
    mean: f64,
    mean_slope: f64,
    square: f64,
    slope_square: f64,
    /// Coefficients of σ and σ′; empty when not wanted.
    value: Vec<f64>,
    slope: Vec<f64>,
    /// What the expansions leave out, relative to their squares; infinite when there is none.
    tail: f64,
    slope_tail: f64,
}

impl Single {
    /// Barycentric interpolation at Chebyshev nodes of the first kind.
    fn interpolate(nodes: &[f64], known: &[Single], x: f64) -> Single {
        let n = nodes.len() as f64;
        let weight = |i: usize| {
            let sign = if i.is_multiple_of(2) { 1.0 } else { -1.0 };
            sign * (std::f64::consts::PI * (i as f64 + 0.5) / n).sin() / (x - nodes[i])
        };
        if let Some(i) = nodes.iter().position(|&node| node == x) {
            return known[i].clone();
        }
        let weights: Vec<f64> = (0..nodes.len()).map(weight).collect();
        let total: f64 = weights.iter().sum();
        let mix = |of: &dyn Fn(&Single) -> f64| {
            weights.iter().zip(known).map(|(w, single)| w * of(single)).sum::<f64>() / total
        };
        let mixed = |of: &dyn Fn(&Single) -> &[f64]| {
            let mut out = vec![0.0; of(&known[0]).len()];
            for (w, single) in weights.iter().zip(known) {
                out.iter_mut().zip(of(single)).for_each(|(o, a)| *o += w / total * a);
            }
            out
        };
        Single {
            mean: mix(&|s| s.mean),
            mean_slope: mix(&|s| s.mean_slope),
            square: mix(&|s| s.square),
            slope_square: mix(&|s| s.slope_square),
            value: mixed(&|s| &s.value),
            slope: mixed(&|s| &s.slope),
            tail: known.iter().map(|s| s.tail).fold(0.0, f64::max),
            slope_tail: known.iter().map(|s| s.slope_tail).fold(0.0, f64::max),
        }
    }
}

/// Chebyshev nodes in ln K.
const NODES: usize = 16;

/// The expansion of that order with a break at zero, where most kinks are; made once.
fn hermite(order: usize) -> &'static Hermite {
    static ALL: [OnceLock<Hermite>; ORDERS.len()] = [const { OnceLock::new() }; ORDERS.len()];
    ALL[order].get_or_init(|| Hermite::new(ORDERS[order], &[0.0]))
}

/// What is asked of a pair.
#[derive(Clone, Copy)]
struct Wish {
    slope: bool,
    is_batch: bool,
}

/// Averages over two Gaussians.
#[derive(Clone, Copy, Debug)]
struct Pair {
    /// ⟨(σ_a − σ_b)²⟩
    distance: f64,
    /// ⟨(σ′_a − σ′_b)²⟩
    slope_distance: f64,
}

impl<'a> Dual<'a> {
    /// Prepares an activation.
    #[must_use]
    pub fn of(activation: &'a Activation) -> Dual<'a> {
        let formula = &activation.formula;
        let bends = formula.kinks().iter().any(|kink| kink.at == 0.0 && kink.order == 1);
        let bend =
            if bends { (formula.one_sided(0.0, 1)[1] - formula.one_sided(0.0, -1)[1]) / 2.0 } else { 0.0 };
        let pieces = if activation.closed.is_some() { None } else { piecewise::pieces(formula) };
        Dual { activation, kinks: formula.kinks().iter().map(|kink| kink.at).collect(), bend, pieces }
    }

    /// ⟨σ′²⟩ averaged over sites of the given variances.
    ///
    /// # Errors
    /// [`Unknown::Average`] when the average does not converge.
    pub fn mean_squared_slope(&self, variances: &[f64]) -> Result<f64, Unknown> {
        let known = self.singles(variances, false, false)?;
        let slopes = variances.iter().map(|variance| known[&variance.to_bits()].slope_square);
        Ok(slopes.sum::<f64>() / variances.len() as f64)
    }

    /// ⟨σ⟩, ⟨σ²⟩ and ⟨σ′²⟩ at each of the given variances, in their order.
    ///
    /// # Errors
    /// [`Unknown::Average`] when an average does not converge.
    pub fn single_averages(&self, variances: &[f64]) -> Result<Vec<[f64; 3]>, Unknown> {
        let known = self.singles(variances, false, false)?;
        let of = |variance: &f64| {
            let single = &known[&variance.to_bits()];
            [single.mean, single.square, single.slope_square]
        };
        Ok(variances.iter().map(of).collect())
    }

    /// The kernel after the activation; the one that enters must be Gaussian.
    ///
    /// # Errors
    /// [`Unknown::Average`] when an average does not converge.
    pub fn propagate(&self, kernel: &Kernel) -> Result<Kernel, Unknown> {
        let gram = &kernel.forward;
        let closed = self.activation.closed.is_some();
        let several = gram.pairs().next().is_some();
        let is_batch = gram.pairs().nth(BATCH).is_some();
        let by_pieces =
            self.pieces.as_ref().is_some_and(|pieces| gram.variance.iter().all(|k| pieces.holds_at(*k)));
        let expand = !closed && !by_pieces && several && (is_batch || self.kinks.iter().all(|&k| k == 0.0));
        let want_slope = kernel.tangent.is_some();
        let known = self.singles(&gram.variance, expand, want_slope)?;
        let single = |site: usize| &known[&gram.variance[site].to_bits()];
        let mut forward = Gram::zeros(gram.samples, gram.positions, gram.keep);
        let mut slope_distance = forward.clone();
        for site in 0..gram.sites() {
            forward.variance[site] = single(site).square;
        }
        let mut lost = None;
        let mut seen: BTreeMap<[u64; 3], Pair> = BTreeMap::new();
        let wish = Wish { slope: want_slope, is_batch };
        forward.fill_pairs(|a, b| {
            let d = gram.distance_of(a, b).expect("same pairs");
            let (va, vb) = (gram.variance[a], gram.variance[b]);
            let pair = *seen
                .entry([va.to_bits(), vb.to_bits(), d.to_bits()])
                .or_insert_with(|| self.pair(va, vb, d, single(a), single(b), wish));
            if !pair.distance.is_finite() {
                lost = Some(va.max(vb));
            }
            for at in [slope_distance.index(a, b), slope_distance.index(b, a)] {
                slope_distance.distance[at.expect("same pairs")] = pair.slope_distance;
            }
            pair.distance
        });
        if let Some(variance) = lost {
            return Err(self.unknown(variance));
        }
        let tangent = kernel.tangent.as_ref().map(|tangent| {
            let p = |a: usize| single(a).slope_square;
            let t = |a: usize| tangent.variance[a];
            tangent.map(
                |a, value| p(a) * value,
                |a, b, d| {
                    // ⟨σ'aσ'b⟩ d + ½ ⟨(σ'a−σ'b)²⟩ (Θa+Θb) + ½ (pa−pb)(Θa−Θb): exact, and every term small when a, b merge.
                    let apart = slope_distance.distance_of(a, b).expect("same pairs");
                    let together = (p(a) + p(b) - apart) / 2.0;
                    together * d + (apart * (t(a) + t(b)) + (p(a) - p(b)) * (t(a) - t(b))) / 2.0
                },
            )
        });
        let mean = (0..gram.sites()).map(|site| single(site).mean).collect();
        Ok(Kernel { forward, mean, gaussian: false, tangent })
    }

    /// The averages at every variance that occurs.
    fn singles(
        &self,
        variances: &[f64],
        expand: bool,
        slopes: bool,
    ) -> Result<BTreeMap<u64, Single>, Unknown> {
        let mut distinct: Vec<f64> = variances.to_vec();
        distinct.sort_unstable_by(f64::total_cmp);
        distinct.dedup();
        let tag = |all: Vec<Single>| distinct.iter().map(|variance| variance.to_bits()).zip(all).collect();
        if !expand {
            return Ok(tag(self.singles_with(&distinct, None)?));
        }
        // With a kink the mass beyond any order falls as a power: lower orders would be tried in vain.
        // And far from the origin a bounded function looks like a step, which no low order holds.
        let is_far = distinct.last().is_some_and(|&variance| variance > FAR);
        let first = if is_far { ORDERS.len() - 1 } else { usize::from(!self.kinks.is_empty()) };
        let mut all = Vec::new();
        for order in first..ORDERS.len() {
            all = self.singles_with(&distinct, Some((hermite(order), slopes)))?;
            let worst = all.iter().map(|single| single.tail).fold(0.0, f64::max);
            // The highest order costs as much as a pair by quadrature; it pays where the others are useless.
            if worst < FINE || (order > 0 && worst < TAIL) {
                break;
            }
        }
        Ok(tag(all))
    }

    fn singles_with(
        &self,
        distinct: &[f64],
        hermite: Option<(&Hermite, bool)>,
    ) -> Result<Vec<Single>, Unknown> {
        if let Some(all) = self.interpolated(distinct, hermite) {
            return Ok(all);
        }
        distinct.iter().map(|&variance| self.average(variance, hermite)).collect()
    }

    /// Many variances close together: averages are smooth in ln K, so Chebyshev nodes and interpolation give them
    /// all. `None` when that does not pay, or does not reach 1e-11 at a point kept aside.
    fn interpolated(&self, distinct: &[f64], hermite: Option<(&Hermite, bool)>) -> Option<Vec<Single>> {
        let (&low, &high) = (distinct.first()?, distinct.last()?);
        if distinct.len() <= NODES + 8 || low <= 0.0 || high / low > 30.0 {
            return None;
        }
        let (low, high) = (low.ln(), high.ln());
        let angle = |i: usize| (std::f64::consts::PI * (i as f64 + 0.5) / NODES as f64).cos();
        let nodes: Vec<f64> = (0..NODES).map(|i| (low + high + (high - low) * angle(i)) / 2.0).collect();
        let known: Vec<Single> =
            nodes.iter().map(|x| self.average(x.exp(), hermite)).collect::<Result<_, _>>().ok()?;
        let at = |variance: f64| Single::interpolate(&nodes, &known, variance.ln());
        let aside = distinct[distinct.len() / 2];
        let (exact, guess) = (self.average(aside, hermite).ok()?, at(aside));
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-11 * a.abs().max(b.abs());
        let good = close(exact.square, guess.square) && close(exact.slope_square, guess.slope_square);
        good.then(|| distinct.iter().map(|&variance| at(variance)).collect())
    }

    fn average(&self, variance: f64, hermite: Option<(&Hermite, bool)>) -> Result<Single, Unknown> {
        if !(variance.is_finite() && variance >= 0.0) {
            return Err(self.unknown(variance));
        }
        let rule = gauss::rule(variance, &self.kinks);
        let (value, slope) = self.at(&rule.z);
        let sum = |f: &dyn Fn(usize) -> f64| (0..rule.w.len()).map(|i| rule.w[i] * f(i)).sum::<f64>();
        let mut single = Single {
            mean: sum(&|i| value[i]),
            mean_slope: sum(&|i| slope[i]),
            square: sum(&|i| value[i] * value[i]),
            slope_square: sum(&|i| slope[i] * slope[i]),
            value: Vec::new(),
            slope: Vec::new(),
            tail: f64::INFINITY,
            slope_tail: f64::INFINITY,
        };
        // The integrand must have died out at the ends of the range, or the average does not exist.
        let edge = rule.w.last().zip(value.last()).map_or(0.0, |(w, s)| w * s * s);
        if !(single.square.is_finite() && single.slope_square.is_finite()) || edge > 1e-10 * single.square {
            return Err(self.unknown(variance));
        }
        if let Some((hermite, slopes)) = hermite {
            let z: Vec<f64> = hermite.nodes().iter().map(|u| variance.sqrt() * u).collect();
            let (mut value, mut slope) = self.at(&z);
            for (at, z) in z.iter().enumerate() {
                value[at] -= self.bend * z.abs();
                slope[at] -= self.bend * z.signum();
            }
            let value = hermite.expand(&value);
            single.tail = value.tail / single.square;
            single.value = value.coefficients;
            if slopes {
                let slope = hermite.expand(&slope);
                single.slope_tail = slope.tail / single.slope_square;
                single.slope = slope.coefficients;
            }
        }
        Ok(single)
    }

    /// Values and slopes at points.
    fn at(&self, z: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (mut value, mut slope) = (vec![0.0; z.len()], vec![0.0; z.len()]);
        self.activation.formula.values_and_slopes(z, &mut value, &mut slope);
        (value, slope)
    }

    fn pair(&self, va: f64, vb: f64, d: f64, a: &Single, b: &Single, wish: Wish) -> Pair {
        let want_slope = wish.slope;
        if d == 0.0 && va == vb {
            return Pair { distance: 0.0, slope_distance: 0.0 };
        }
        if va == 0.0 || vb == 0.0 {
            // A number without variance is the constant 0, whose slope is σ′(0) itself, also at a kink.
            return Pair {
                distance: (a.square + b.square - 2.0 * a.mean * b.mean).max(0.0),
                slope_distance: a.slope_square + b.slope_square - 2.0 * a.mean_slope * b.mean_slope,
            };
        }
        let closed = self.activation.closed.as_ref();
        if let Some(distance) = closed.and_then(|closed| closed.distance(va, vb, d)) {
            let together =
                if want_slope { closed.and_then(|closed| closed.pair_at_distance(va, vb, d)) } else { None };
            match together {
                // Slopes of merging inputs differ only near kinks; their distance may round to zero, the kernel's not.
                Some(pair) => {
                    let slope_distance = (a.slope_square + b.slope_square - 2.0 * pair.pp).max(0.0);
                    return Pair { distance, slope_distance };
                }
                None if !want_slope => return Pair { distance, slope_distance: 0.0 },
                None => {}
            }
        }
        if let Some(pieces) = self.pieces.as_ref().filter(|p| p.holds_at(va) && p.holds_at(vb)) {
            return by_pieces(pieces, [va, vb], d);
        }
        let bound = if wish.is_batch { BATCH_TAIL } else { TAIL };
        let slopes_fit = !want_slope || a.slope_tail.max(b.slope_tail) < bound;
        let tail = a.tail.max(b.tail);
        if tail < bound && slopes_fit && va > 0.0 && vb > 0.0 {
            let root = (va * vb).sqrt();
            let apart = ((d - (va.sqrt() - vb.sqrt()).powi(2)).max(0.0) / (2.0 * root)).min(2.0);
            if tail > TAIL && apart < 1e-5 && !want_slope {
                // Orders beyond the last would matter here; the slope says it to a share √apart.
                let slope_square = (a.slope_square + b.slope_square) / 2.0;
                return Pair { distance: slope_square * d, slope_distance: 0.0 };
            }
            let mut pair = Pair { distance: expanded(&a.value, &b.value, apart), slope_distance: 0.0 };
            if want_slope {
                pair.slope_distance = expanded(&a.slope, &b.slope, apart);
            }
            if self.bend != 0.0 {
                self.put_back(&mut pair, (va, vb, d), (a, b), apart, want_slope);
            }
            return pair;
        }
        if !want_slope {
            let [distance] =
                gauss::pair_average(va, vb, d, &self.kinks, |z1, z2| [self.value_difference(z1, z2).powi(2)]);
            return Pair { distance, slope_distance: 0.0 };
        }
        let [distance, slope_distance] = gauss::pair_average(va, vb, d, &self.kinks, |z1, z2| {
            let (value, slope) = self.difference(z1, z2);
            [value * value, slope * slope]
        });
        Pair { distance, slope_distance }
    }

    /// Adds what h|z| contributes: its own averages, closed, and the cross terms, expanded.
    fn put_back(
        &self,
        pair: &mut Pair,
        at: (f64, f64, f64),
        of: (&Single, &Single),
        apart: f64,
        want_slope: bool,
    ) {
        let (va, vb, d) = at;
        let (h, size) = (self.bend, |v: f64| v.sqrt());
        let unit = absolute();
        let (ra, rb) = (scaled(&unit.0, size(va)), scaled(&unit.0, size(vb)));
        let own = ABSOLUTE.distance(va, vb, d).unwrap_or(f64::NAN);
        pair.distance += 2.0 * h * crossed((&of.0.value, &of.1.value), (&ra, &rb), apart) + h * h * own;
        if want_slope {
            let own = ClosedForm::Sign.distance(va, vb, d).unwrap_or(f64::NAN);
            let cross = crossed((&of.0.slope, &of.1.slope), (&unit.1, &unit.1), apart);
            pair.slope_distance += 2.0 * h * cross + h * h * own;
        }
    }

    /// σ(z₁) − σ(z₂), from the derivatives half-way when the points are close.
    fn value_difference(&self, z1: f64, z2: f64) -> f64 {
        if (z1 - z2).abs() < 1e-3 {
            return self.difference(z1, z2).0;
        }
        self.activation.formula.value(z1) - self.activation.formula.value(z2)
    }

    /// σ(z₁) − σ(z₂) and σ′(z₁) − σ′(z₂), from the derivatives half-way when the points are close.
    fn difference(&self, z1: f64, z2: f64) -> (f64, f64) {
        let (step, middle) = (z1 - z2, (z1 + z2) / 2.0);
        let clear = self.kinks.iter().all(|kink| (z1 - kink) * (z2 - kink) > 0.0);
        if step.abs() < 1e-3 && clear {
            let jet = self.activation.formula.jet(middle);
            return (
                jet[1] * step + jet[3] * step.powi(3) / 24.0,
                jet[2] * step + jet[4] * step.powi(3) / 24.0,
            );
        }
        let (a, b) = (self.activation.formula.jet(z1), self.activation.formula.jet(z2));
        (a[0] - b[0], a[1] - b[1])
    }

    fn unknown(&self, variance: f64) -> Unknown {
        Unknown::Average { activation: self.activation.name.clone(), variance }
    }
}

/// Both distances of one pair, from its end of the integral over the angle: small distances keep their digits.
fn by_pieces(pieces: &Pieces, [va, vb]: [f64; 2], d: f64) -> Pair {
    let gap = |a: f64, b: f64| if a == b { 0.0 } else { ((a - b) / (a.sqrt() + b.sqrt())).powi(2) };
    let [a, b] = [va, vb].map(|variance| pieces.single(variance, 0.0));
    let root = (va * vb).sqrt();
    let lost = ((d - gap(va, vb)).max(0.0) / (2.0 * root)).min(2.0);
    let constants = [pieces.constants(va, &a), pieces.constants(vb, &b)];
    let (after, _, together) = pieces.pair([&constants[0], &constants[1]], lost, 2.0 - lost);
    let distance = gap(a.square, b.square) + 2.0 * (a.square * b.square).sqrt() * after;
    let slope_distance = (a.slope_square + b.slope_square - 2.0 * together).max(0.0);
    Pair { distance, slope_distance }
}

/// Coefficients of |u| and sign(u), to the highest order.
fn absolute() -> &'static (Vec<f64>, Vec<f64>) {
    static UNIT: OnceLock<(Vec<f64>, Vec<f64>)> = OnceLock::new();
    UNIT.get_or_init(|| {
        let hermite = hermite(ORDERS.len() - 1);
        let of = |f: fn(f64) -> f64| {
            hermite.coefficients(&hermite.nodes().iter().map(|u| f(*u)).collect::<Vec<_>>())
        };
        (of(f64::abs), of(f64::signum))
    })
}

fn scaled(values: &[f64], factor: f64) -> Vec<f64> {
    values.iter().map(|x| x * factor).collect()
}

/// $\langle(g_a - g_b)(r_a - r_b)\rangle = \sum_k (g_{ak} - g_{bk})(r_{ak} - r_{bk}) + (g_{ak} r_{bk} + g_{bk} r_{ak})(1 - \rho^k)$.
fn crossed(g: (&[f64], &[f64]), r: (&[f64], &[f64]), apart: f64) -> f64 {
    let mut sum = 0.0;
    for (k, lost) in losses(apart).take(g.0.len().min(r.0.len())).enumerate() {
        sum += (g.0[k] - g.1[k]) * (r.0[k] - r.1[k]) + (g.0[k] * r.1[k] + g.1[k] * r.0[k]) * lost;
    }
    sum
}

/// 1 − ρ^k for k = 0, 1, 2, …, from 1 − ρ: nearly one is never subtracted from one.
fn losses(apart: f64) -> impl Iterator<Item = f64> {
    let mut lost = 0.0;
    (0..).map(move |_| {
        let now = lost;
        // 1 − ρ^{k+1} = (1 − ρ^k) + ρ^k (1 − ρ): positive terms only while ρ > 0.
        lost += (1.0 - lost) * apart;
        now
    })
}

/// $\sum_k (a_k - b_k)^2 + 2 a_k b_k (1 - \rho^k)$, with $1 - \rho^k$ from $1 - \rho$ = `apart`.
fn expanded(a: &[f64], b: &[f64], apart: f64) -> f64 {
    let mut sum = 0.0;
    for ((x, y), lost) in a.iter().zip(b).zip(losses(apart)) {
        sum += (x - y).powi(2) + 2.0 * x * y * lost;
    }
    sum
}
