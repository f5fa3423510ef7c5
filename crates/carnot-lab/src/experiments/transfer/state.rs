//! What is known after some points: the best rate of every size, how it drifts, what is still to be trained.

use std::cmp::Ordering;

use carnot_math::levelset::border::slope;
use carnot_math::stats::Moments;
use carnot_theory::transfer::{Place, Rule};
use serde::{Deserialize, Serialize};

use super::TransferSpec;
use super::run::{Moved, Trained};
use super::size::{Size, base, sized, target};
use crate::error::LabError;
use crate::experiments::Point;

/// Decades between neighbouring rates.
pub const STEP: f64 = 0.2;
/// How many of them lie between the first rates.
const COARSE: i32 = 3;
/// How far to both sides of the best one rates are tried.
const AROUND: i32 = 3;
/// Decades below which the best rate of a curve has no meaning: a quarter of a step.
const FLOOR: f64 = 0.05;
/// Widths of a coordinate check at most.
const WIDTHS: usize = 5;
/// Slope below which a change does not depend on the width. Source: the practice of coordinate checks (arXiv:2203.03466).
const FLAT: f64 = 0.05;

/// How far a rule's exponent may be off, one standard deviation: widths from 128 to 2048 of published sweeps, and our own, drift by less.
const TRUSTED: f64 = 0.15;

/// A job.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum At {
    /// Trains at a rate, by its place on the lattice of rates.
    Train {
        /// Which network.
        size: Size,
        /// By which rule.
        rule: Rule,
        /// The rate is $10^{0.2k}$.
        k: i32,
    },
    /// Looks at the first steps.
    Move {
        /// Which network.
        size: Size,
        /// By which rule.
        rule: Rule,
        /// As above.
        k: i32,
    },
}

/// The rate at a place of the lattice.
#[must_use]
pub fn rate(k: i32) -> f64 {
    10f64.powf(STEP * f64::from(k))
}

/// The place of the lattice nearest to a rate.
#[must_use]
pub fn place(rate: f64) -> i32 {
    (rate.log10() / STEP).round() as i32
}

/// Best rate of a size: decades, and standard error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Best {
    /// log₁₀ of the rate.
    pub at: f64,
    /// Its standard error.
    pub error: f64,
    /// Whether rates to both sides were tried and are worse.
    pub is_inside: bool,
}

/// How a layer's change depends on the width.
#[derive(Clone, Debug, Serialize)]
pub struct Slope {
    /// The layer or block.
    pub layer: String,
    /// Exponent and standard error; `None` where a change is no number.
    pub found: Option<(f64, f64)>,
}

impl Slope {
    /// Whether it grows or falls by more than its error and what a check lets pass; `Equal` when it is flat.
    pub fn trend(&self) -> Option<Ordering> {
        let (slope, error) = self.found?;
        let is_flat = slope.abs() - 2.0 * error <= FLAT;
        Some(if is_flat { Ordering::Equal } else { slope.total_cmp(&0.0) })
    }
}

/// Place of the least value of the parabola through points, by least squares; 0 where they do not bend upwards or are too few.
fn vertex(points: &[(f64, f64)]) -> f64 {
    if points.len() < 3 {
        return 0.0;
    }
    let n = points.len() as f64;
    let mean = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|(x, y)| of(*x, *y)).sum::<f64>() / n;
    let (x, y) = (mean(&|x, _| x), mean(&|_, y| y));
    // Of u = x less its mean, and u² less what a line in u says of it.
    let square = mean(&|a, _| (a - x).powi(2));
    let (cube, slope) = (mean(&|a, _| (a - x).powi(3)), mean(&|a, b| (a - x) * (b - y)));
    let rest = |a: f64| (a - x).powi(2) - square - cube / square * (a - x);
    let bend = mean(&|a, b| rest(a) * (b - y)) / mean(&|a, _| rest(a).powi(2));
    let line = slope / square - bend * cube / square;
    if bend > 0.0 { x - line / (2.0 * bend) } else { 0.0 }
}

/// The points, sorted.
pub struct State<'a> {
    spec: &'a TransferSpec,
    /// Trainings.
    pub trained: Vec<Trained>,
    /// First steps.
    pub moved: Vec<Moved>,
}

impl<'a> State<'a> {
    /// Reads the points.
    ///
    /// # Errors
    /// When a stored point cannot be read.
    pub fn of(spec: &'a TransferSpec, points: &[Point]) -> Result<State<'a>, LabError> {
        let (mut trained, mut moved) = (Vec::new(), Vec::new());
        for point in points {
            match point.job.starts_with("layers") {
                true => moved.push(point.read()?),
                false => trained.push(point.read()?),
            }
        }
        Ok(State { spec, trained, moved })
    }

    /// Its settings.
    pub fn spec(&self) -> &TransferSpec {
        self.spec
    }

    /// The curve of a size: places on the lattice and what came of them, by rate.
    pub fn curve(&self, size: Size, rule: Rule) -> Vec<(i32, &Trained)> {
        let own = |t: &&Trained| t.size == size && (t.rule == rule || size == base(self.spec));
        let mut all: Vec<(i32, &Trained)> =
            self.trained.iter().filter(own).map(|t| (place(t.rate), t)).collect();
        all.sort_by_key(|(k, _)| *k);
        all
    }

    /// The place of the least mean loss.
    pub fn least(&self, size: Size, rule: Rule) -> Option<i32> {
        let curve = self.curve(size, rule);
        let losses = curve.iter().filter_map(|(k, trained)| Some((*k, trained.loss()?.0)));
        losses.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(k, _)| k)
    }

    /// The best rate of a size: of each seed the vertex of the parabola through ln loss at the least mean loss and two rates to either side,
    /// averaged over the seeds.
    pub fn best(&self, size: Size, rule: Rule) -> Option<Best> {
        let curve = self.curve(size, rule);
        let least = self.least(size, rule)?;
        let mut all = Moments::default();
        for seed in 0..self.spec.seeds as usize {
            let near = curve.iter().filter(|(k, _)| (k - least).abs() <= 2);
            let points: Vec<(f64, f64)> = near
                .filter_map(|(k, trained)| Some((f64::from(k - least), trained.losses[seed]?.ln())))
                .collect();
            all.push(STEP * (f64::from(least) + vertex(&points).clamp(-1.5, 1.5)));
        }
        let is_tried = |k: i32| curve.iter().any(|(other, _)| *other == k);
        let own = if all.count() > 1 { all.error() } else { 0.0 };
        let is_inside = is_tried(least - 1) && is_tried(least + 1);
        Some(Best { at: all.mean(), error: own.hypot(FLOOR), is_inside })
    }

    /// The place of the lattice nearest to the tuned rate.
    pub fn tuned(&self) -> Option<i32> {
        self.best(base(self.spec), Rule::MaximalUpdate).map(|best| place(10f64.powf(best.at)))
    }

    /// Sizes half and twice as large in one direction.
    fn rungs(&self) -> Vec<Size> {
        let (base, target) = (base(self.spec), target(self.spec));
        let mut all = Vec::new();
        let beside = |n: usize, least: usize| [n / 2, 2 * n].into_iter().filter(move |m| *m >= least);
        if let (Some(n), true) = (base.width, base.width != target.width) {
            all.extend(beside(n, 4).map(|width| Size { width: Some(width), ..base }));
        }
        if let (Some(n), true) = (base.depth, base.depth != target.depth) {
            all.extend(beside(n, 2).map(|depth| Size { depth: Some(depth), ..base }));
        }
        all
    }

    /// Widths of the coordinate check.
    fn widths(&self) -> Vec<Size> {
        let base = base(self.spec);
        let Some(n) = base.width else { return Vec::new() };
        let end = target(self.spec).width.unwrap_or(n).max(4 * n);
        let all = (0..WIDTHS).map(|i| n << i).take_while(|width| *width <= end);
        all.map(|width| Size { width: Some(width), ..base }).collect()
    }

    /// Jobs to do next; none when all is done.
    ///
    /// # Errors
    /// When the network cannot have that shape.
    pub fn next(&self) -> Result<Vec<At>, LabError> {
        let spec = self.spec;
        let (low, high) = (place(spec.rate_from), place(spec.rate_to));
        let (base, target) = (base(spec), target(spec));
        let rule = Rule::MaximalUpdate;
        let of = |size, rule, places: Vec<i32>| -> Vec<At> {
            let done: Vec<i32> = self.curve(size, rule).iter().map(|(k, _)| *k).collect();
            let mut open: Vec<i32> = places.into_iter().filter(|k| !done.contains(k)).collect();
            open.sort_unstable();
            open.dedup();
            open.into_iter().map(|k| At::Train { size, rule, k }).collect()
        };
        let coarse = of(base, rule, (0..).map(|i| low + COARSE * i).take_while(|k| *k <= high).collect());
        if !coarse.is_empty() {
            return Ok(coarse);
        }
        let Some(first) = self.least(base, rule) else { return Ok(Vec::new()) };
        let near = |k: i32| ((k - AROUND).max(low)..=(k + AROUND).min(high)).collect::<Vec<i32>>();
        // The least of all may change as places are filled in: until both neighbours are there.
        let fine = of(base, rule, near(first));
        if !fine.is_empty() {
            return Ok(fine);
        }
        let Some(tuned) = self.tuned() else { return Ok(Vec::new()) };
        let mut all: Vec<At> =
            self.rungs().into_iter().flat_map(|size| of(size, rule, near(first))).collect();
        if self.moved.is_empty() {
            let rules = [Rule::MaximalUpdate, Rule::Standard];
            let job = |(rule, size)| At::Move { size, rule, k: tuned };
            all.extend(
                rules.iter().flat_map(|rule| self.widths().into_iter().map(|size| (*rule, size))).map(job),
            );
        }
        if spec.verify && target != base {
            all.extend(of(target, rule, near(tuned)));
            let one = tuned + place(self.one_rate()?);
            all.extend(of(target, Rule::Standard, (one - AROUND..=one + AROUND).chain([tuned]).collect()));
        }
        // A target half or twice as large is a neighbour too.
        let mut once: Vec<At> = Vec::new();
        for at in all {
            if !once.contains(&at) {
                once.push(at);
            }
        }
        Ok(once)
    }

    /// One rate for all, over the tuned one: the factor of the hidden layers, of which there are most weights.
    ///
    /// # Errors
    /// When the network cannot have that shape.
    pub fn one_rate(&self) -> Result<f64, LabError> {
        let scales = sized(self.spec, target(self.spec), Rule::MaximalUpdate)?.scales;
        let hidden = scales.iter().filter(|scale| matches!(scale.place, Place::Hidden | Place::Fixed));
        let least = hidden.map(|scale| scale.weight).fold(f64::INFINITY, f64::min);
        Ok(if least.is_finite() { least } else { 1.0 })
    }

    /// Drift of the best rate with width, and with depth: decades per decade, and standard error.
    pub fn drift(&self, of: fn(Size) -> Option<usize>) -> Option<(f64, f64)> {
        let base = base(self.spec);
        let sizes = self.rungs().into_iter().filter(|size| of(*size) != of(base)).chain([base]);
        let point = |size: Size| {
            let best = self.best(size, Rule::MaximalUpdate)?;
            Some(((of(size)? as f64).log10(), best.at, best.error))
        };
        let points: Vec<_> = sizes.filter_map(point).collect();
        slope(&points).filter(|_| points.len() >= 2).map(|(slope, error, _)| (slope, error))
    }

    /// The rate at the target by the rule: decades, and half the interval of 95 %.
    ///
    /// The tuned rate stays, as the rule wants it. Its error and that of the rule's exponent give the interval: the exponent is taken to be right
    /// to ± 0.15 before anything was seen, and the drift between neighbouring sizes is weighed against that.
    pub fn predicted(&self) -> Option<(f64, f64)> {
        let (base, target) = (base(self.spec), target(self.spec));
        let best = self.best(base, Rule::MaximalUpdate)?;
        let part = |of: fn(Size) -> Option<usize>| {
            let far = match (of(base), of(target)) {
                (Some(a), Some(b)) if a != b => (b as f64 / a as f64).log10().abs(),
                _ => return 0.0,
            };
            let (drift, error) = self.drift(of).unwrap_or((0.0, f64::INFINITY));
            let share = TRUSTED.powi(2) / (TRUSTED.powi(2) + error.powi(2));
            let left = TRUSTED * (1.0 - share).sqrt();
            far * (share * drift).hypot(left)
        };
        let error = best.error.hypot(part(|size| size.width)).hypot(part(|size| size.depth));
        Some((best.at, 1.96 * error))
    }

    /// Exponents of the change of every layer in the width.
    pub fn slopes(&self, rule: Rule) -> Vec<Slope> {
        let own: Vec<&Moved> = self.moved.iter().filter(|moved| moved.rule == rule).collect();
        let Some(first) = own.first() else { return Vec::new() };
        let one = |at: usize| {
            let mut points = Vec::new();
            for moved in &own {
                let mut logs = Moments::default();
                for change in &moved.layers.get(at)?.1 {
                    logs.push((*change)?.log10());
                }
                let error = if logs.count() > 1 { logs.error().max(1e-3) } else { 0.02 };
                points.push(((moved.size.width? as f64).log10(), logs.mean(), error));
            }
            slope(&points).map(|(slope, error, _)| (slope, error))
        };
        let row = |(at, (name, _)): (usize, &(String, Vec<Option<f64>>))| Slope {
            layer: name.clone(),
            found: one(at),
        };
        first.layers.iter().enumerate().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vertex_of_a_parabola_is_found_from_any_points_on_it() {
        for (at, bend) in [(0.3, 1.0), (-0.8, 0.2)] {
            let points =
                |xs: &[f64]| xs.iter().map(|x| (*x, 2.0 + bend * (x - at).powi(2))).collect::<Vec<_>>();
            for xs in [&[-2.0, -1.0, 0.0, 1.0, 2.0][..], &[-1.0, 0.0, 1.0], &[-2.0, -1.0, 0.0, 2.0]] {
                assert!((vertex(&points(xs)) - at).abs() < 1e-12, "{at} {xs:?}");
            }
        }
        assert_eq!(vertex(&[(0.0, 1.0), (1.0, 2.0)]), 0.0);
        assert_eq!(vertex(&[(-1.0, 0.0), (0.0, 1.0), (1.0, 0.0)]), 0.0);
    }
}
