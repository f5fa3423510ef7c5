//! What a fit says: friction and noise with intervals, or that the chain does not describe the curve, and where not.

use carnot_math::solve::root;
use carnot_math::stats::chi_squared_tail;
use serde::Serialize;

use super::super::chain::check;
use super::atlas::{Atlas, Distance, Place};
use super::measured::{FitError, Measured, dot, extend, remove};
use super::profile::range;
use super::search::{Point, curve_slope, lowest};

/// How sure to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// Confidence of the intervals, in (0, 1). Default 0.95.
    pub confidence: f64,
    /// A fit with a smaller p-value is refused, in (0, 1). Default 0.001.
    pub smallest_p: f64,
}

impl Default for Demand {
    fn default() -> Self {
        Self { confidence: 0.95, smallest_p: 1e-3 }
    }
}

/// The answer of a fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Answer {
    /// The chain describes the curve within its errors.
    Fits(Box<Fit>),
    /// It does not, anywhere on the map.
    DoesNotFit(Box<Misfit>),
}

/// Friction and noise of a curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fit {
    /// The best curve.
    pub best: Best,
    /// Which frictions μ_→ are possible.
    pub friction: Interval,
    /// Which noises s are possible.
    pub noise: Interval,
    /// What is known when not both are.
    pub combination: Combination,
}

/// The nearest curve of the chain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Best {
    /// Friction μ_→ (force).
    pub friction: f64,
    /// Noise s of one step (force).
    pub noise: f64,
    /// A > 0 of D_l = B + A (y − x_l) (unit of D per length).
    pub scale: f64,
    /// B (unit of D).
    pub offset: f64,
    /// The curve itself, `[M+1]` (unit of D).
    pub curve: Vec<f64>,
    /// Squared distance in units of the errors.
    pub chi2: f64,
    /// Points less the numbers that they determine: scale, offset, and one or two of friction and noise.
    pub freedom: usize,
    /// Probability of a larger χ² if the chain is right.
    pub p: f64,
}

/// Possible values of one parameter, from the profile of the likelihood.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Smallest, ≥ 0 (force).
    pub low: f64,
    /// Largest, at most ky (force).
    pub high: f64,
    /// Whether 0 is possible: no lower bound.
    pub is_open_below: bool,
    /// Whether ky, the end of the map, is possible: no upper bound.
    pub is_open_above: bool,
}

impl Interval {
    /// Whether it has two ends.
    pub fn is_closed(&self) -> bool {
        !self.is_open_below && !self.is_open_above
    }
}

/// μ^a s^b, the one product of powers that the curve determines best around the best fit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Combination {
    /// a; the larger of the two powers in size is 1.
    pub friction_power: f64,
    /// b.
    pub noise_power: f64,
    /// Value of the product.
    pub value: f64,
    /// Its standard error over its value.
    pub relative_error: f64,
}

/// What one curve tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Known {
    /// Friction and noise, each with two ends.
    Both,
    /// Friction; of the noise a bound, because the chain is frozen (open below) or relaxed (open above).
    Friction,
    /// Noise; of the friction a bound.
    Noise,
    /// Only the combination: neither has two ends, or one may be anything, and the other has ends only because the chain is
    /// either frozen or relaxed.
    Combination,
}

impl Fit {
    /// Which of the two the curve tells.
    pub fn known(&self) -> Known {
        let is_anything = |interval: &Interval| interval.is_open_below && interval.is_open_above;
        match (self.friction.is_closed(), self.noise.is_closed()) {
            (true, true) => Known::Both,
            (true, false) if !is_anything(&self.noise) => Known::Friction,
            (false, true) if !is_anything(&self.friction) => Known::Noise,
            _ => Known::Combination,
        }
    }
}

/// A curve that no chain has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Misfit {
    /// The nearest curve nevertheless.
    pub best: Best,
    /// Where the curve departs most; `None` when several layers do so equally, or none by more than two standard errors.
    pub worst: Option<Worst>,
}

/// The layer that departs most from the chain.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Worst {
    /// Layer, from 1; 0 is the input.
    pub layer: usize,
    /// How it departs.
    pub departure: Departure,
    /// By how much its load is larger than the chain's, with its standard error (unit of D).
    pub excess: f64,
    /// Standard error of the excess.
    pub error: f64,
    /// How much nearer the curve would be without it, in χ².
    pub gain: f64,
}

/// How a layer departs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Departure {
    /// Its load alone is off: the curve behind it is shifted.
    Load,
    /// Its point alone is off: what its load gains the next one loses, the picture of a bottleneck.
    Point,
}

impl Atlas {
    /// Fits a measured curve.
    ///
    /// $$ \chi^2(\mu_\to, s) = \min_{A \ge 0, B} \big(D - B - A(y - x)\big)^T C^{-1} \big(D - B - A(y - x)\big) $$
    ///
    /// with x the mean-field positions of [`super::super::mean_field::mean_field`] and C the covariance of the curve. Intervals
    /// are where the profile of χ² is within the quantile of χ²₁ of its minimum, over the whole map 0 ≤ μ_→, s ≤ ky. At 95 %
    /// they held the truth in 190 to 200 of 200 fits at each of eight places (errors 0.2 % of A y): 95 % where a parameter
    /// is well bound, more where it hardly is. `tests/spring_block/fit.rs` bounds the shares of shorter runs.
    ///
    /// * `measured`: curve and errors (unit of D); with errors below a thousandth of its fall, the bias of the mean field
    ///   against chains of finite step counts too
    ///
    /// # Errors
    /// [`FitError`]: a curve of another length, without errors, or that does not fall.
    ///
    /// Source: Carnot's sheet on the chain, section 10; profile likelihood: Wilks 1938.
    pub fn fit(&self, measured: &Measured, demand: &Demand) -> Result<Answer, FitError> {
        let in_range = |x: f64| x > 0.0 && x < 1.0;
        check("the confidence", demand.confidence, in_range(demand.confidence), "between 0 and 1")?;
        check("the smallest p", demand.smallest_p, in_range(demand.smallest_p), "between 0 and 1")?;
        let distance = Distance::new(self, measured)?;
        let mut point = lowest(&distance);
        let mut best = best(&distance, point, measured)?;
        if best.p < demand.smallest_p {
            let worst = worst(&distance, point.place, &best);
            return Ok(Answer::DoesNotFit(Box::new(Misfit { best, worst })));
        }
        let width = quantile(demand.confidence);
        let ranges = |point: Point| [0, 1].map(|axis| range(&distance, point, axis, point.chi2 + width));
        let mut found = ranges(point);
        let lower = if found[0].1.chi2 < found[1].1.chi2 { found[0].1 } else { found[1].1 };
        // The profile visits more places than the first search, and may have met a lower one.
        if lower.chi2 < point.chi2 - 1e-3 {
            point = super::search::descend(&distance, lower.place, [true; 2], 0.0);
            best = self::best(&distance, point, measured)?;
            found = ranges(point);
        }
        let [friction, noise] = found.map(|(range, _)| Interval {
            low: self.force(range.low),
            high: self.force(range.high),
            is_open_below: range.is_open_below,
            is_open_above: range.is_open_above,
        });
        let combination = combination(&distance, point.place, &best);
        Ok(Answer::Fits(Box::new(Fit { best, friction, noise, combination })))
    }
}

/// The χ²₁ that is exceeded with probability 1 − confidence.
fn quantile(confidence: f64) -> f64 {
    let above = |x: f64| chi_squared_tail(x, 1.0) - (1.0 - confidence);
    // The tail falls from 1 at 0 to less than any confidence leaves at 1 400.
    root(above, 0.0, 1400.0, 1e-10).expect("the tail of χ² crosses every level")
}

fn best(distance: &Distance, point: Point, measured: &Measured) -> Result<Best, FitError> {
    let shape = distance.atlas.curve(point.place);
    let laid = distance.lay(&shape);
    // A curve that falls, yet along no chain's: the nearest one is level.
    if laid.scale == 0.0 {
        return Err(FitError::DoesNotFall { total: 0.0 });
    }
    // The offset is what the level's direction has left.
    let scaled: Vec<f64> = measured.curve.iter().zip(&shape).map(|(d, x)| d - laid.scale * x).collect();
    let level = &distance.white.level;
    let offset = dot(&distance.white.of(&scaled), level) / dot(level, level);
    let freedom = shape.len() - 2 - rank(distance, point.place, laid.scale);
    let [friction, noise] = point.place.map(|place| distance.atlas.force(place));
    Ok(Best {
        friction,
        noise,
        scale: laid.scale,
        offset,
        curve: shape.iter().map(|x| offset + laid.scale * x).collect(),
        chi2: point.chi2,
        freedom,
        p: chi_squared_tail(point.chi2, freedom as f64),
    })
}

/// Products of the model's slopes, offset and scale taken out: the information on the two places.
fn information(distance: &Distance, place: Place, scale: f64) -> [f64; 3] {
    let directions = distance.at(place).directions;
    let [a, b] = [0, 1].map(|axis| {
        let mut slope = curve_slope(distance, place, axis, scale);
        remove(&mut slope, &directions);
        slope
    });
    [dot(&a, &a), dot(&a, &b), dot(&b, &b)]
}

/// Larger and smaller eigenvalue of a symmetric matrix [[a, b], [b, c]], and the direction of the larger.
fn principal([a, b, c]: [f64; 3]) -> ([f64; 2], [f64; 2]) {
    let (middle, half) = (0.5 * (a + c), (0.5 * (a - c)).hypot(b));
    let angle = 0.5 * (2.0 * b).atan2(a - c);
    ([middle + half, (middle - half).max(0.0)], [angle.cos(), angle.sin()])
}

/// How many of friction and noise the curve determines: directions bound by its errors within the map.
fn rank(distance: &Distance, place: Place, scale: f64) -> usize {
    let ([_, smaller], _) = principal(information(distance, place, scale));
    // A standard error of half the map or more is no bound.
    if smaller > 4.0 { 2 } else { 1 }
}

fn combination(distance: &Distance, place: Place, best: &Best) -> Combination {
    let [a, b, c] = information(distance, place, best.scale);
    // Information on logarithms; a parameter at 0 has none, and does not enter.
    let per_log = place.map(|place| if place > 0.0 { 1.0 / distance.atlas.log_slope(place) } else { 0.0 });
    let logs = [a * per_log[0] * per_log[0], b * per_log[0] * per_log[1], c * per_log[1] * per_log[1]];
    let ([larger, _], direction) = principal(logs);
    let size = if direction[0].abs() >= direction[1].abs() { direction[0] } else { direction[1] };
    let powers = direction.map(|power| power / size);
    let power = |value: f64, power: f64| if power == 0.0 { 1.0 } else { value.powf(power) };
    Combination {
        friction_power: powers[0],
        noise_power: powers[1],
        value: power(best.friction, powers[0]) * power(best.noise, powers[1]),
        relative_error: 1.0 / (larger.sqrt() * size.abs()),
    }
}

/// The load or point whose release brings the curve nearest, all else free.
fn worst(distance: &Distance, place: Place, best: &Best) -> Option<Worst> {
    let n = best.curve.len();
    let laid = distance.at(place);
    let mut directions = laid.directions;
    for axis in [0, 1] {
        extend(&mut directions, curve_slope(distance, place, axis, best.scale));
    }
    let mut residual = laid.residual;
    remove(&mut residual, &directions);
    let release = |layer: usize, departure: Departure| {
        let is_lowered = |at: usize| if departure == Departure::Load { at >= layer } else { at == layer };
        let column: Vec<f64> = (0..n).map(|at| if is_lowered(at) { -1.0 } else { 0.0 }).collect();
        let mut column = distance.white.of(&column);
        let before = dot(&column, &column);
        remove(&mut column, &directions);
        let square = dot(&column, &column);
        // A load that friction, noise, scale and offset imitate cannot stand out.
        (square > 1e-9 * before).then(|| {
            let excess = dot(&column, &residual) / square;
            Worst { layer, departure, excess, error: 1.0 / square.sqrt(), gain: excess * excess * square }
        })
    };
    // The first and the last point alone are the loads beside them.
    let loads = (1..n).filter_map(|layer| release(layer, Departure::Load));
    let points = (1..n - 1).filter_map(|layer| release(layer, Departure::Point));
    let mut all: Vec<Worst> = loads.chain(points).collect();
    all.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    let (first, second) = (all.first()?, all.get(1));
    let is_tie = second.is_some_and(|second| first.gain - second.gain <= 1e-6 * first.gain);
    // Within two standard errors no layer stands out.
    if is_tie || first.gain < 4.0 { None } else { Some(*first) }
}
