//! Stress: how far the load of each call lies from a fair share.

use carnot_math::stats::{Estimate, Moments};

use crate::observables::Missing;
use crate::reading::Number;

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
