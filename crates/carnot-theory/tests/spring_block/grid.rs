//! The phase diagram of the chain: the sheet's corners, and what a cell says of its errors.

use carnot_math::curve::NoShape;
use carnot_theory::spring_block::chain::{Chain, ChainError, Friction, Parameters, load_curve};
use carnot_theory::spring_block::grid::{Cell, GridPlan, grid};
use carnot_theory::spring_block::mean_field::mean_field;

fn plan<'a>(frictions: &'a [f64], noises: &'a [f64], chains: usize, seed: u64) -> GridPlan<'a> {
    let parameters = Parameters { friction_left: Friction::Same(0.05), ..Parameters::default() };
    GridPlan { parameters, frictions, noises, step: 0.01, steps: 12_000, chains, seed }
}

/// D_0 … D_7 and the convexity over all springs, to the digits printed in section 3.6 of the sheet. The number of chains is
/// not given there: at worst one.
const CORNERS: [(f64, f64, [f64; 8], f64); 4] = [
    (0.005, 0.002, [1.0, 0.884, 0.766, 0.645, 0.521, 0.395, 0.266, 0.134], -0.01),
    (0.005, 0.15, [1.0, 0.797, 0.617, 0.459, 0.322, 0.209, 0.117, 0.047], 0.10),
    (0.06, 0.002, [1.0, 1.0, 1.0, 0.975, 0.894, 0.756, 0.561, 0.309], -0.22),
    (0.06, 0.15, [1.0, 0.894, 0.783, 0.666, 0.543, 0.415, 0.282, 0.144], -0.03),
];

#[test]
fn the_four_corners_are_those_of_the_sheet() {
    let cells = grid(&plan(&[0.005, 0.06], &[0.002, 0.15], 64, 36)).unwrap();
    assert_eq!(cells.len(), CORNERS.len());
    for (cell, (friction, noise, curve, convexity)) in cells.iter().zip(CORNERS) {
        assert_eq!((cell.friction, cell.noise), (friction, noise));
        for (layer, (ours, theirs)) in cell.curve.iter().zip(curve).enumerate() {
            let allowed = 5e-4 + 4.0 * ours.error.hypot(ours.spread);
            let off = ours.value - theirs;
            assert!(
                off.abs() <= allowed,
                "({friction}, {noise}) D_{layer}: {ours:?}, sheet {theirs} (seed 36)"
            );
        }
        let ours = cell.convexity_with_end.unwrap();
        let allowed = 5e-3 + 4.0 * ours.error.hypot(ours.spread);
        assert!((ours.value - convexity).abs() <= allowed, "({friction}, {noise}): {ours:?} (seed 36)");
    }
}

#[test]
fn cells_agree_with_the_mean_field_within_their_errors_and_its_bias() {
    for cell in grid(&plan(&[0.0, 0.03], &[0.0, 0.02, 0.1], 64, 37)).unwrap() {
        let chain = Chain::with_friction(cell.friction, 0.05).unwrap();
        let expected = load_curve(1.0, &mean_field(&chain, None, cell.noise, 120.0).unwrap().mean);
        for (ours, expected) in cell.curve.iter().zip(expected) {
            let off = ours.value - expected;
            assert!(
                off.abs() < 1e-3 + 4.0 * ours.error,
                "{} {}: {ours:?} {expected}",
                cell.friction,
                cell.noise
            );
        }
    }
}

#[test]
fn errors_shrink_with_the_number_of_chains_and_are_right() {
    // Twenty grids of eight chains scatter as each says that it does.
    let of = |seed: u64, chains: usize| {
        let plan = GridPlan { steps: 2000, ..plan(&[0.03], &[0.1], chains, seed) };
        grid(&plan).unwrap().remove(0)
    };
    let many: Vec<Cell> = (0..40).map(|seed| of(seed, 8)).collect();
    let reference = of(1000, 2048);
    let z2 = |pick: &dyn Fn(&Cell) -> carnot_math::stats::Estimate| {
        let z2 = many.iter().map(|cell| {
            let (one, all) = (pick(cell), pick(&reference));
            ((one.value - all.value) / one.error.hypot(all.error)).powi(2)
        });
        z2.sum::<f64>() / many.len() as f64
    };
    // Student's t with 7 degrees of freedom has variance 7/5 and kurtosis 5: the mean of 40 squares is 1.4 ± 0.44.
    for (what, z2) in [
        ("D_4", z2(&|cell| cell.curve[4])),
        ("load 3", z2(&|cell| cell.loads[2])),
        ("convexity", z2(&|cell| cell.convexity.unwrap())),
    ] {
        assert!((z2 - 1.4).abs() < 4.0 * 0.44, "{what}: mean z² = {z2} (seeds 0 to 39)");
    }
    assert!(many[0].curve[4].error > 5.0 * reference.curve[4].error);
}

#[test]
fn a_cell_without_noise_is_certain_and_one_without_motion_has_no_shape() {
    let cells = grid(&GridPlan { steps: 500, ..plan(&[0.02, 1.5], &[0.0], 4, 1) }).unwrap();
    assert!(cells.iter().all(|cell| cell.curve.iter().all(|d| d.error == 0.0 && d.n == 1)));
    assert!(cells[0].convexity.unwrap().error == 0.0);
    assert_eq!(cells[1].convexity, Err(NoShape::NoTotal { total: 0.0 }));
    // The held end still lies below: one spring carries it all.
    assert!(cells[1].convexity_with_end.unwrap().value < -0.3);
}

#[test]
fn fewer_than_two_chains_are_refused() {
    let refused = grid(&plan(&[0.02], &[0.1], 1, 0));
    assert!(matches!(refused, Err(ChainError::OutOfRange { value: 1.0, .. })), "{refused:?}");
}
