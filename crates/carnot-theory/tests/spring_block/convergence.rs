//! What refining the step does: four different orders, measured.

use carnot_math::stats::Moments;
use carnot_theory::spring_block::mean_field::mean_field;
use carnot_theory::spring_block::noise::Noise;

use super::{chain, largest_gap, simulate, still};

#[test]
fn without_noise_the_order_is_one() {
    let chain = chain(0.02, 0.05);
    let time = 12.8;
    let at = |steps: usize| still(&chain, time / steps as f64, steps);
    let exact = at(128 << 10);
    let errors: Vec<f64> = (0..5).map(|fold| largest_gap(&at(128 << fold), &exact)).collect();
    for pair in errors.windows(2) {
        let order = (pair[0] / pair[1]).log2();
        assert!((order - 1.0).abs() < 0.1, "order {order} from the errors {errors:?}");
    }
}

/// Mean and standard error of block 4 after time 20 at a step, over chains.
fn simulated(noise: Noise, step: f64, chains: usize, seed: u64) -> Moments {
    let tracks = simulate(&chain(0.06, 0.05), noise, chains, step, (20.0 / step).round() as usize, seed);
    Moments::of(&tracks.iter().map(|track| track.positions[4]).collect::<Vec<f64>>())
}

#[test]
fn at_fixed_noise_per_step_the_mean_is_of_order_one_and_the_scatter_of_order_one_half() {
    let flow = mean_field(&chain(0.06, 0.05), None, 0.1, 20.0).unwrap().positions[4];
    let [coarse, fine] = [0.4, 0.1].map(|step| simulated(Noise::per_step(0.1), step, 6000, 3));
    let (bias, rest) = (coarse.mean() - flow, fine.mean() - flow);
    let error = coarse.error().hypot(4.0 * fine.error());
    let z = (bias - 4.0 * rest) / error;
    let seen = format!("bias {bias:.2e} at 0.4, {rest:.2e} ± {:.0e} at 0.1 (seed 3)", fine.error());
    assert!(bias.abs() > 10.0 * coarse.error(), "{seen}: nothing to see");
    // Terms of order two are left in the coarse one: a tenth of it is allowed for them.
    assert!(z.abs() < 4.0 || (bias - 4.0 * rest).abs() < 0.25 * bias.abs(), "{seen}: z = {z}");
    let order = 0.5 * (coarse.variance() / fine.variance()).sqrt().log2();
    let order_error = 0.5 * (1.0 / 6000f64).sqrt() / std::f64::consts::LN_2;
    assert!((order - 0.5).abs() < 4.0 * order_error + 0.05, "scatter falls with order {order} (seed 3)");
}

#[test]
fn at_fixed_white_noise_the_threshold_is_swamped_at_order_one_half() {
    let chain = chain(0.06, 0.05);
    let at = |s: f64| mean_field(&chain, None, s, 20.0).unwrap().positions;
    let smooth = at(f64::INFINITY);
    let (epsilon, steps) = (0.05, [1e-4, 1e-5, 1e-6, 1e-7]);
    let errors = steps.map(|step: f64| largest_gap(&at(epsilon / step.sqrt()), &smooth));
    for pair in errors.windows(2) {
        let order = (pair[0] / pair[1]).log10();
        assert!((order - 0.5).abs() < 0.03, "order {order} from the errors {errors:?}");
    }
}

#[test]
fn at_fixed_white_noise_simulated_chains_forget_their_friction() {
    let chain = chain(0.06, 0.05);
    let rough = mean_field(&chain, None, 0.05 / 0.4f64.sqrt(), 20.0).unwrap().positions[4];
    let smooth = mean_field(&chain, None, f64::INFINITY, 20.0).unwrap().positions[4];
    let mut gap = (rough - smooth).abs();
    for step in [0.1, 0.01, 0.001] {
        let found = simulated(Noise::white(0.05), step, 1024, 4);
        let left = (found.mean() - smooth).abs();
        assert!(left + 3.0 * found.error() < gap, "{left:.1e} of {gap:.1e} left at step {step} (seed 4)");
        gap = left;
    }
}
