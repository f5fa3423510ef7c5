//! From moments over members to estimates with errors.

use super::part::{LayerPart, Part};
use carnot_math::stats::{Estimate, Moments};
use carnot_net::observables::TABLE;
use carnot_net::profile::{Cell, Column, Profile, Source};

/// Every observable of every layer, averaged over members.
#[must_use]
pub fn profile(part: &Part) -> Profile {
    let column = |(at, row): (usize, &carnot_net::observables::Observable)| Column {
        name: row.name.to_string(),
        symbol: row.symbol.to_string(),
        cells: part.layers.iter().map(|layer| cell(layer, &layer.observables[at], row.name)).collect(),
    };
    Profile {
        source: Source::Ensemble,
        step: 0,
        layers: part.layers.iter().map(|layer| layer.name.clone()).collect(),
        columns: TABLE.iter().enumerate().map(column).collect(),
    }
}

/// Nothing is claimed of an average from which some members had to be left out.
fn cell(layer: &LayerPart, moments: &Moments, name: &str) -> Cell {
    match layer.missing.iter().find(|lack| lack.what == name) {
        Some(lack) if moments.count() == 0 => Cell::Missing(lack.why.clone()),
        Some(lack) => Cell::Missing(format!("{} in {} members", lack.why, lack.count)),
        None if moments.count() < 2 => Cell::Missing("needs at least two members".to_string()),
        None => Cell::Known(moments.estimate()),
    }
}

/// How much the kernel differs between members, in the unit of theory.
///
/// $$ \frac{n\,\mathrm{Var}(K_a)}{E[K_a]^2} $$
///
/// Theory says $2 + 2V/(n_{\ell-1}K^2) + V n_\ell/(n_{\ell-1} K^2)$, hence 2 in the first layer.
///
/// * `width`: n, number of features of the layer
/// * returns: the ratio with its standard error by error propagation from the first four moments (its mean is
///   biased by O(1/members), below the error); `spread` is not defined and zero
#[must_use]
pub fn fluctuation(kernel: &Moments, width: usize) -> Estimate {
    let (count, mean, variance) = (kernel.count() as f64, kernel.mean(), kernel.variance());
    let value = width as f64 * variance / (mean * mean);
    // R = s²/m²: δR/R = δs²/s² - 2 δm/m, with Cov(s², m) = μ₃/N.
    let of_variance = (kernel.variance_error() / variance).powi(2);
    let of_mean = 4.0 * variance / (mean * mean * count);
    let third = kernel.skewness() * variance.powf(1.5);
    let together = 4.0 * third / (count * variance * mean);
    let error = value.abs() * (of_variance + of_mean - together).max(0.0).sqrt();
    Estimate { value, error, spread: 0.0, n: kernel.count() }
}

/// How well the worst observable of the worst layer is known: its standard error over its size, or over its
/// spread between members where that is larger, so that a number near zero does not keep an ensemble running.
///
/// Infinite below two members; 0 when nothing is known and more members would not help.
#[must_use]
pub fn worst_relative_error(part: &Part) -> f64 {
    if part.count() < 2 {
        return f64::INFINITY;
    }
    let all = part.layers.iter().flat_map(|layer| &layer.observables);
    all.filter(|moments| moments.count() >= 2).map(relative_error).fold(0.0, f64::max)
}

fn relative_error(moments: &Moments) -> f64 {
    let Estimate { value, error, spread, .. } = moments.estimate();
    let size = value.abs().max(spread);
    if error == 0.0 { 0.0 } else { error / size }
}
