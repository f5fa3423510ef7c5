//! The mean-field flow against simulated chains: how far off it is, and how that falls with the step.

use carnot_math::stats::Moments;
use carnot_theory::spring_block::mean_field::mean_field;
use carnot_theory::spring_block::noise::Noise;
use carnot_theory::spring_block::response::{relaxation_time, relaxed_loads};
use carnot_theory::spring_block::rest::rest;

use super::{chain, largest_gap, simulate};

/// Simulated mean minus mean field for every block, with its standard error.
fn bias(right: f64, s: f64, step: f64, time: f64, chains: usize, seed: u64) -> Vec<(f64, f64)> {
    let chain = chain(right, 0.05);
    let steps = (time / step).round() as usize;
    let expected = mean_field(&chain, None, s, time).unwrap();
    let tracks = simulate(&chain, Noise::per_step(s), chains, step, steps, seed);
    let each = (0..7).map(|block| {
        let all: Vec<f64> = tracks.iter().map(|track| track.mean[block]).collect();
        let moments = Moments::of(&all);
        (moments.mean() - expected.mean[block], moments.error())
    });
    each.collect()
}

#[test]
fn the_mean_field_is_right_to_a_thousandth_at_the_authors_step() {
    for (right, s) in [(0.005, 0.002), (0.06, 0.002), (0.06, 0.03), (0.06, 0.05), (0.005, 0.15), (0.06, 0.15)]
    {
        for (block, (off, error)) in bias(right, s, 0.01, 120.0, 128, 9).into_iter().enumerate() {
            let allowed = 1e-3 + 4.0 * error;
            let label = format!("friction {right}, noise {s}, block {block}: {off:.1e} ± {error:.1e}");
            assert!(off.abs() < allowed, "{label} (seed 9)");
        }
    }
}

#[test]
fn after_a_long_time_the_mean_field_is_relaxed() {
    let chain = chain(0.02, 0.05);
    let time = 20.0 * relaxation_time(&chain, 0.1).unwrap();
    let positions = mean_field(&chain, None, 0.1, time).unwrap().positions;
    let loads = carnot_theory::spring_block::chain::loads(1.0, &positions);
    assert!(largest_gap(&loads, &relaxed_loads(&chain)) < 1e-6, "{loads:?}");
}

#[test]
fn without_noise_the_mean_field_rests_where_the_chain_does() {
    for right in [0.0, 0.01, 0.03, 0.05, 0.1] {
        let chain = chain(right, 0.05);
        let positions = mean_field(&chain, None, 0.0, 400.0).unwrap().positions;
        let loads = carnot_theory::spring_block::chain::loads(1.0, &positions);
        assert!(largest_gap(&loads, &rest(&chain).loads) < 1e-9, "friction {right}: {loads:?}");
    }
}

#[test]
fn refused_by_name() {
    let chain = chain(0.02, 0.05);
    for (noise, time) in [(-1.0, 1.0), (f64::NAN, 1.0), (0.1, f64::INFINITY), (0.1, -1.0)] {
        assert!(mean_field(&chain, None, noise, time).is_err(), "{noise} {time}");
    }
    assert!(mean_field(&chain, Some(&[0.0; 3]), 0.1, 1.0).is_err());
    assert!(mean_field(&chain, None, f64::INFINITY, 1.0).is_ok());
}
