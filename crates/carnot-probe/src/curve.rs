//! The numbers of a whole load curve: shares, stress, shape.
//!
//! Source: Shi, Pan, Dokmanić, arXiv:2407.19353 and their code (total, variance, curvature); He, Su, arXiv:2210.17020 (r).

use carnot_math::stats::{Estimate, Moments};

use crate::observables::Missing;
use crate::reading::Number;

/// Shape of a curve D_0 … D_M, M ≥ 2 loads. What has no value (a flat curve has no shares) is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// d_l = D_{l−1} − D_l, `[M]`.
    pub loads: Vec<f64>,
    /// D_0 − D_M.
    pub total: f64,
    /// Pearson correlation of D_l with l; near −1 when straight.
    pub straightness: Option<f64>,
    /// Population standard deviation of the loads; 0 when straight.
    pub load_spread: f64,
    /// The same over |mean load|.
    pub relative_spread: Option<f64>,
    /// d_1 − d_M: > 0 convex, < 0 concave.
    pub curvature: f64,
    /// ((D_0 + D_M)/2 − mean D)/(D_0 − D_M): > 0 convex (shallow layers carry more).
    pub convexity: Option<f64>,
    /// Slope of d_l against l over the mean load: > 0 concave (deep layers carry more).
    pub friction: Option<f64>,
    /// Σ l max(d_l, 0)/Σ max(d_l, 0), l from 1.
    pub centre: Option<f64>,
    /// d_l/Σd, `[M]`.
    pub share: Option<Vec<f64>>,
    /// d_l/d̄ − 1, `[M]`: 0 is a fair share.
    pub stress: Option<Vec<f64>>,
}

/// The curve through D_0 … D_M; `None` for fewer than three points or any that is not finite.
#[must_use]
pub fn curve(separation: &[f64]) -> Option<Curve> {
    if separation.len() < 3 || separation.iter().any(|d| !d.is_finite()) {
        return None;
    }
    let loads: Vec<f64> = separation.windows(2).map(|pair| pair[0] - pair[1]).collect();
    let (m, total) = (loads.len() as f64, separation[0] - separation[separation.len() - 1]);
    let mean = total / m;
    let spread = (loads.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / m).sqrt();
    let is_flat = total.abs() <= 1e-12 * separation.iter().fold(1.0, |a: f64, d| a.max(d.abs()));
    let over = |x: f64| (!is_flat).then(|| x / mean);
    let positive: f64 = loads.iter().map(|d| d.max(0.0)).sum();
    let moment: f64 = loads.iter().enumerate().map(|(at, d)| (at + 1) as f64 * d.max(0.0)).sum();
    let ends = (separation[0] + separation[separation.len() - 1]) / 2.0;
    let average = separation.iter().sum::<f64>() / separation.len() as f64;
    Some(Curve {
        total,
        straightness: correlation(separation),
        load_spread: spread,
        relative_spread: over(spread).map(f64::abs),
        curvature: loads[0] - loads[loads.len() - 1],
        convexity: (!is_flat).then(|| (ends - average) / total),
        friction: over(slope(&loads)),
        centre: (positive > 0.0).then(|| moment / positive),
        share: (!is_flat).then(|| loads.iter().map(|d| d / total).collect()),
        stress: (!is_flat).then(|| loads.iter().map(|d| d / mean - 1.0).collect()),
        loads,
    })
}

/// d_l/d̄ − 1 for each call of a chain; the mean is over the calls that have a load.
#[must_use]
pub fn stress(loads: &[Option<Number>]) -> Vec<Result<Estimate, Missing>> {
    let known: Vec<f64> = loads.iter().flatten().map(|load| load.value).collect();
    let mean = Moments::of(&known).mean();
    // Loads that cancel leave no fair share to compare with.
    let has_share = known.len() > 1 && mean > 1e-3 * known.iter().fold(0.0, |a: f64, d| a.max(d.abs()));
    let of = |load: &Option<Number>| match load {
        None => Err(Missing::NotGiven("a load")),
        Some(_) if !has_share => Err(Missing::NotGiven("a positive total load")),
        Some(load) => {
            let error = load.error.map_or(f64::NAN, |error| error / mean);
            Ok(Estimate { value: load.value / mean - 1.0, error, spread: 0.0, n: known.len() as u64 })
        }
    };
    loads.iter().map(of).collect()
}

/// Pearson correlation with the index.
fn correlation(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let (middle, mean) = ((n - 1.0) / 2.0, values.iter().sum::<f64>() / n);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (at, value) in values.iter().enumerate() {
        let (x, y) = (at as f64 - middle, value - mean);
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    (yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

/// Least-squares slope against the index.
fn slope(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let (middle, mean) = ((n - 1.0) / 2.0, values.iter().sum::<f64>() / n);
    let (mut xy, mut xx) = (0.0, 0.0);
    for (at, value) in values.iter().enumerate() {
        xy += (at as f64 - middle) * (value - mean);
        xx += (at as f64 - middle).powi(2);
    }
    if xx > 0.0 { xy / xx } else { 0.0 }
}
