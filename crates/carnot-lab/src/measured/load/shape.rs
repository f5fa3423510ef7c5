//! Shape numbers of a measured curve with intervals that come from the errors of its points.
//!
//! Errors of D_l are Gaussian with the curve's covariance; `DRAWS` draws with a fixed seed stand for them, so that the same
//! recording gives the same bits. Numbers that may be too high or too low (κ, convexity, centre, curvature) take the range of
//! the draws around the curve. Those that noise can only raise (r, v, v/|d̄|: a straight curve measured with errors is bent)
//! would be biased by that: their interval is found backwards, as all bends of the curve for which the measured value is not
//! unusual.

use carnot_math::curve::{self, NoShape, Shape};
use serde::Serialize;

use super::curve::LoadCurve;

/// Draws of the errors: ends of an interval move by about a thirtieth of its width with another seed.
const DRAWS: usize = 2000;
/// Draws at each bend that is tried, of which there are some thirty: ends move by about a fifteenth.
const DRAWS_AT_A_BEND: usize = 500;
/// Draws for a standard error alone, good to a twentieth.
const DRAWS_FOR_ERRORS: usize = 200;
/// Seed of the draws.
pub const SEED: u64 = 7;
/// Share left out at each end: intervals are of 95 %.
const TAIL: f64 = 0.025;
/// A bend that is searched for is at most so many times the measured one.
const MOST_BENT: f64 = 64.0;

/// A shape number with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Known {
    /// Of the curve as measured.
    pub value: f64,
    /// Standard error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
    /// Lower end at 95 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

/// All shape numbers of a curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shaped {
    /// D_0 − D_M (exact: a linear function of the points).
    pub total: Known,
    /// r of D_l with l: −1 is straight.
    pub straightness: Option<Known>,
    /// v: standard deviation of the loads.
    pub load_spread: Known,
    /// v/|d̄|.
    pub relative_spread: Option<Known>,
    /// κ.
    pub friction_index: Option<Known>,
    /// −κ(M−1)/12, comparable between depths.
    pub convexity: Option<Known>,
    /// d_1 − d_M.
    pub curvature: Known,
    /// Centre of load, 1 … M.
    pub centre: Option<Known>,
    /// Share of the total, `[M]`.
    pub share: Option<Vec<f64>>,
    /// d_l/d̄ − 1, `[M]`.
    pub stress: Option<Vec<f64>>,
}

/// Measures the shape of a curve of at least two loads, with intervals.
///
/// # Errors
/// [`NoShape`].
pub fn measure(curve: &LoadCurve) -> Result<Shaped, NoShape> {
    measured(curve, DRAWS, true)
}

/// The same with standard errors alone, ten times faster: for curves over the steps of a recording.
///
/// # Errors
/// [`NoShape`].
pub fn with_errors(curve: &LoadCurve) -> Result<Shaped, NoShape> {
    measured(curve, DRAWS_FOR_ERRORS, false)
}

fn measured(curve: &LoadCurve, draws: usize, has_intervals: bool) -> Result<Shaped, NoShape> {
    let values = curve.values();
    let own = curve::shape(&values)?;
    let noise = curve.draw(draws, SEED);
    let around: Option<Vec<Shape>> = noise
        .as_ref()
        .map(|noise| noise.iter().filter_map(|e| curve::shape(&added(&values, e)).ok()).collect());
    let ranged = |value: f64, of: &dyn Fn(&Shape) -> Option<f64>| {
        let drawn = around.as_ref().map(|around| sorted(around.iter().filter_map(of).collect()));
        let known = range(value, drawn.filter(|drawn| drawn.len() > draws / 2));
        if has_intervals { known } else { Known { low: None, high: None, ..known } }
    };
    let bent = |value: f64, of: &dyn Fn(&Shape) -> Option<f64>, sign: f64| match &noise {
        Some(noise) if has_intervals => backwards(&values, &noise[..DRAWS_AT_A_BEND], value, of, sign),
        _ => ranged(value, of),
    };
    let relative = own.relative.as_ref().ok();
    let total = curve.total();
    let error = total.error.filter(|error| *error > 0.0);
    Ok(Shaped {
        total: Known {
            value: total.value,
            error,
            low: error.map(|error| total.value - 1.96 * error),
            high: error.map(|error| total.value + 1.96 * error),
        },
        straightness: own.correlation.ok().map(|r| bent(r, &|shape| shape.correlation.ok(), -r.signum())),
        load_spread: bent(own.load_spread, &|shape| Some(shape.load_spread), 1.0),
        relative_spread: relative.map(|r| bent(r.spread, &|s| Some(s.relative.as_ref().ok()?.spread), 1.0)),
        friction_index: relative
            .map(|r| ranged(r.friction_index, &|s| Some(s.relative.as_ref().ok()?.friction_index))),
        convexity: relative.map(|r| ranged(r.convexity, &|s| Some(s.relative.as_ref().ok()?.convexity))),
        curvature: ranged(own.curvature, &|shape| Some(shape.curvature)),
        centre: own.centre.ok().map(|centre| ranged(centre, &|shape| shape.centre.ok())),
        share: relative.map(|r| r.share.clone()),
        stress: relative.map(|r| r.stress.clone()),
    })
}

/// Value, standard deviation of the draws, and their range.
fn range(value: f64, drawn: Option<Vec<f64>>) -> Known {
    let Some(drawn) = drawn else { return Known { value, error: None, low: None, high: None } };
    let error = carnot_math::stats::Moments::of(&drawn).variance().sqrt();
    Known { value, error: Some(error), low: Some(at(&drawn, TAIL)), high: Some(at(&drawn, 1.0 - TAIL)) }
}

/// The interval of a number that grows (`sign` 1) or falls (−1) with the bend of the curve, whatever the sign of the bend.
///
/// Along the family of curves whose departure from their chord of equal loads is t times the measured one, t ≥ 0, those are kept
/// for which the measured number is neither among the lowest nor among the highest 2.5 % of what would be measured. A straight
/// curve (t = 0) is among them when the errors alone could have bent it so.
fn backwards(
    values: &[f64],
    noise: &[Vec<f64>],
    value: f64,
    of: &dyn Fn(&Shape) -> Option<f64>,
    sign: f64,
) -> Known {
    let m = (values.len() - 1) as f64;
    let chord = |at: usize| values[0] + (values[values.len() - 1] - values[0]) * at as f64 / m;
    let family = |t: f64| -> Vec<f64> {
        values.iter().enumerate().map(|(at, value)| chord(at) + t * (value - chord(at))).collect()
    };
    let number = |curve: &[f64]| curve::shape(curve).ok().and_then(|shape| of(&shape));
    let drawn = |t: f64| -> Vec<f64> {
        let curve = family(t);
        noise.iter().filter_map(|e| Some(sign * number(&added(&curve, e))?)).collect()
    };
    // Share of measurements below the measured one: falls as the bend grows.
    let below = |t: f64| {
        let drawn = drawn(t);
        drawn.iter().filter(|drawn| **drawn <= sign * value).count() as f64 / drawn.len().max(1) as f64
    };
    let least = if below(0.0) <= 1.0 - TAIL { 0.0 } else { crossing(&below, 1.0 - TAIL, 1.0) };
    let most = if below(0.0) <= TAIL { 0.0 } else { crossing(&below, TAIL, 1.0) };
    let ends = [least, most].map(|t| number(&family(t)));
    let (low, high) = if sign > 0.0 { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
    let error = carnot_math::stats::Moments::of(&drawn(1.0)).variance().sqrt();
    Known { value, error: Some(error).filter(|error| error.is_finite()), low, high }
}

/// Where a falling function crosses a level, above 0: bracketed by doubling, then halved.
fn crossing(of: &dyn Fn(f64) -> f64, level: f64, start: f64) -> f64 {
    let (mut low, mut high) = (0.0, start);
    while of(high) > level && high < MOST_BENT {
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..20 {
        let middle = 0.5 * (low + high);
        if of(middle) > level { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

fn added(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Quantile of sorted values, between neighbours linearly.
fn at(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let next = sorted[(low + 1).min(sorted.len() - 1)];
    sorted[low] + part * (next - sorted[low])
}
