//! Claims of the docstrings on simulated chains, and what must never change.

use carnot_math::curve::{NoShape, shape};
use carnot_math::stats::Moments;
use carnot_theory::spring_block::chain::{ChainError, Friction, Parameters, load_curve, loads};
use carnot_theory::spring_block::inertial::inertial;
use carnot_theory::spring_block::noise::{Noise, Strength};
use carnot_theory::spring_block::overdamped::{Course, Member, overdamped};
use carnot_theory::spring_block::response::{boundary_noise, relaxation_time, relaxed_loads};
use carnot_theory::spring_block::rest::rest;
use proptest::prelude::*;

use super::{Chain, chain, chain_of, copies, largest_gap, simulate, still};

#[test]
fn a_rough_block_underloads_the_spring_before_it_and_overloads_the_one_behind() {
    let mut right = [0.01; 7];
    right[3] = 0.08;
    let chain = chain_of(1.0, &right, &[0.05; 7]);
    let closed = rest(&chain).loads;
    assert!(largest_gap(&closed, &loads(1.0, &still(&chain, 0.2, 40_000))) < 1e-9, "{closed:?}");
    assert!((closed[4] - closed[3] - 0.08).abs() < 1e-12);
}

#[test]
fn shaken_chains_relax_to_steps_of_half_the_difference_of_frictions_with_inertia_too() {
    let right = [0.02, 0.05, 0.05, 0.02, 0.08, 0.02, 0.02];
    let chain = chain_of(1.0, &right, &[0.05; 7]);
    let (relaxed, n) = (relaxed_loads(&chain), 64);
    let time = 12.0 * relaxation_time(&chain, 0.1).unwrap();
    let simulated = simulate(&chain, Noise::per_step(0.1), n, 0.02, (time / 0.02) as usize, 12);
    let course = Course { step: 0.1, steps: 20_000, snapshots: &[] };
    let noise = Noise { strength: Strength::PerStep(0.6), is_shared: false, decay: 0.0 };
    let heavy = inertial(&copies(&chain, noise, n), 1.0, &course, 13).unwrap();
    let means = [
        ("overdamped", simulated.iter().map(|track| loads(1.0, &track.mean)).collect::<Vec<_>>()),
        ("with inertia", heavy.iter().map(|kept| loads(1.0, &kept.track.mean)).collect()),
    ];
    for (what, each) in means {
        for spring in 0..8 {
            let moments = Moments::of(&each.iter().map(|loads| loads[spring]).collect::<Vec<f64>>());
            let off = moments.mean() - relaxed[spring];
            let z = off / moments.error();
            assert!(z.abs() < 4.0, "{what}, spring {spring}: off by {off:.1e}, z = {z} (seeds 12, 13)");
        }
    }
}

#[test]
fn relaxation_takes_the_time_of_the_slowest_mode() {
    for (right, left, s) in [(0.1, 0.1, 0.1), (0.1, 0.1, 0.05), (0.02, 0.05, 0.1)] {
        let chain = chain(right, left);
        let tau = relaxation_time(&chain, s).unwrap();
        // From the relaxed state, pushed along the slowest mode by little, so that the linear law holds.
        let mut position = 0.0;
        let relaxed = relaxed_loads(&chain);
        let mode = |block: usize| (std::f64::consts::PI * (block + 1) as f64 / 8.0).sin();
        let start: Vec<f64> = (0..7)
            .map(|block| {
                position += relaxed[block];
                position + 0.02 * mode(block)
            })
            .collect();
        let members: Vec<Member> = (0..512)
            .map(|copy| Member {
                chain: &chain,
                noise: Noise::per_step(s),
                start: Some(&start),
                key: [1, copy],
            })
            .collect();
        let steps = (tau / 0.01).round() as usize;
        let course = Course { step: 0.01, steps, snapshots: &[] };
        let tracks = overdamped(&members, &course, 21).unwrap();
        let rest: Vec<f64> = relaxed
            .iter()
            .scan(0.0, |x, load| {
                *x += load;
                Some(*x)
            })
            .take(7)
            .collect();
        let amplitude =
            |x: &[f64]| (0..7).map(|block| mode(block) * (x[block] - rest[block])).sum::<f64>() / 4.0;
        let left_over =
            Moments::of(&tracks.iter().map(|track| amplitude(&track.positions) / 0.02).collect::<Vec<_>>());
        let (off, error) = (left_over.mean() - (-1f64).exp(), left_over.error());
        // The mean response bends a little over the push, and the scatter of neighbours adds to the noise.
        assert!(off.abs() < 4.0 * error + 0.02, "e-fold at s = {s}: off by {off:.3} ± {error:.3} (seed 21)");
    }
}

#[test]
fn the_boundary_is_where_relaxation_takes_the_time_given() {
    let chain = chain(0.06, 0.05);
    let s = boundary_noise(&chain, 120.0).unwrap();
    assert!((relaxation_time(&chain, s).unwrap() / 120.0 - 1.0).abs() < 1e-9);
    assert!(boundary_noise(&chain, 240.0).unwrap() < s);
    assert!(matches!(boundary_noise(&chain, 5.0), Err(ChainError::TooShort { .. })));
    let smooth = Chain::with_friction(0.0, 0.0).unwrap();
    assert_eq!(boundary_noise(&smooth, 120.0), Err(ChainError::NoFriction));
    assert_eq!(relaxation_time(&chain, 0.0), Err(ChainError::Frozen { noise: 0.0 }));
    assert_eq!(relaxation_time(&chain, 1e-3), Err(ChainError::Frozen { noise: 1e-3 }));
    assert_eq!(relaxation_time(&smooth, 0.0), Ok(smooth.frictionless_time()));
}

#[test]
fn frictions_per_block_that_are_equal_relax_as_one_friction_for_all() {
    let (one, nearly) =
        (chain(0.1, 0.1), chain_of(1.0, &[0.1, 0.1, 0.1, 0.1 + 1e-9, 0.1, 0.1, 0.1], &[0.1; 7]));
    let ratio = relaxation_time(&nearly, 0.05).unwrap() / relaxation_time(&one, 0.05).unwrap();
    assert!((ratio - 1.0).abs() < 1e-6 && ratio != 1.0, "{ratio}");
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads_in_any_company() {
    let rough = chain(0.02, 0.05);
    let members = copies(&rough, Noise::per_step(0.1), 41);
    let course = Course { step: 0.01, steps: 333, snapshots: &[7, 166, 167, 333] };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            (overdamped(&members, &course, 8).unwrap(), inertial(&members, 2.0, &course, 8).unwrap())
        })
    };
    let (one, three) = (on(1), on(3));
    assert_eq!(one, three);
    let other = chain(0.3, 0.0);
    let alone = [Member { chain: &other, ..members[0] }, members[29]];
    assert_eq!(overdamped(&alone, &course, 8).unwrap()[1], one.0[29]);
    assert_ne!(one.0[0], one.0[1]);
    assert_ne!(one.0, overdamped(&members, &course, 9).unwrap());
}

#[test]
fn averages_and_snapshots_are_those_of_the_positions() {
    let rough = chain(0.02, 0.05);
    let all: Vec<usize> = (1..=37).collect();
    let course = Course { step: 0.01, steps: 37, snapshots: &all };
    let track = overdamped(&copies(&rough, Noise::per_step(0.3), 1), &course, 2).unwrap().remove(0);
    assert_eq!(track.snapshots[36], track.positions);
    for block in 0..7 {
        let mean = track.snapshots[18..].iter().map(|x| x[block]).sum::<f64>() / 19.0;
        assert!((mean - track.mean[block]).abs() < 1e-14);
    }
}

#[test]
fn shared_noise_moves_all_blocks_alike_and_dying_noise_lets_them_rest() {
    // Without springs to speak of, friction or end, positions are sums of the noise.
    let free = Parameters {
        end: 0.0,
        stiffness: 1e-12,
        friction_right: Friction::Same(0.0),
        friction_left: Friction::Same(0.0),
        ..Parameters::default()
    };
    let free = Chain::new(&free).unwrap();
    let course = Course { step: 0.01, steps: 1000, snapshots: &[500] };
    let run = |noise: Noise| overdamped(&copies(&free, noise, 256), &course, 31).unwrap();
    let steady = Noise::per_step(1.0);
    for track in run(Noise { is_shared: true, ..steady }).iter().take(20) {
        assert!(track.positions.iter().all(|x| (x - track.positions[0]).abs() < 1e-9));
    }
    let spread = |noise: Noise| {
        Moments::of(&run(noise).iter().flat_map(|track| track.positions.clone()).collect::<Vec<_>>())
    };
    let (decay, expected) = (0.3, |decay: f64| {
        (0..1000).map(|step| 1e-4 * (-2.0 * decay * 0.01 * f64::from(step)).exp()).sum::<f64>()
    });
    for decay in [0.0, decay] {
        let found = spread(Noise { decay, ..steady });
        let z = (found.variance() - expected(decay)) / found.variance_error();
        assert!(z.abs() < 4.0, "variance {} for decay {decay}: z = {z} (seed 31)", found.variance());
    }
    let white = spread(Noise::white(1.0));
    let z = (white.variance() - 10.0 * 0.01 / 0.01) / white.variance_error();
    assert!(z.abs() < 4.0, "white noise of strength 1 spreads by its time: {} (seed 31)", white.variance());
}

#[test]
fn what_cannot_be_simulated_is_refused_with_its_numbers() {
    let rough = chain(0.02, 0.05);
    let run = |step: f64, steps: usize, snapshots: &[usize]| {
        overdamped(&copies(&rough, Noise::NONE, 1), &Course { step, steps, snapshots }, 0)
    };
    assert_eq!(run(0.51, 10, &[]), Err(ChainError::StepTooLong { step: 0.51, longest: 0.5 }));
    assert!(run(0.5, 10, &[]).is_ok());
    for (step, steps, snapshots) in [(0.1, 0, &[][..]), (-0.1, 1, &[]), (0.1, 5, &[6]), (0.1, 5, &[2, 2])] {
        assert!(matches!(run(step, steps, snapshots), Err(ChainError::OutOfRange { .. })), "{step} {steps}");
    }
    let huge = overdamped(
        &copies(&rough, Noise::per_step(f64::MAX), 2),
        &Course { step: 0.5, steps: 50, snapshots: &[] },
        0,
    );
    assert!(matches!(huge, Err(ChainError::NotFinite { steps: 50, .. })), "{huge:?}");
    let noise = Noise::per_step(-0.1);
    let negative = overdamped(&copies(&rough, noise, 1), &Course { step: 0.1, steps: 1, snapshots: &[] }, 0);
    assert!(matches!(negative, Err(ChainError::OutOfRange { value: -0.1, .. })));
    for parameters in [
        Parameters { n_blocks: 0, ..Parameters::default() },
        Parameters { end: f64::NAN, ..Parameters::default() },
        Parameters { stiffness: 0.0, ..Parameters::default() },
        Parameters { damping: -1.0, ..Parameters::default() },
        Parameters { friction_left: Friction::Same(-1.0), ..Parameters::default() },
        Parameters { friction_right: Friction::Each(vec![0.1; 6]), ..Parameters::default() },
    ] {
        assert!(Chain::new(&parameters).is_err(), "{parameters:?}");
    }
    let short = chain_of(1.0, &[0.1; 3], &[0.1; 3]);
    let mixed = [copies(&rough, Noise::NONE, 1), copies(&short, Noise::NONE, 1)].concat();
    let mixed = overdamped(&mixed, &Course { step: 0.1, steps: 1, snapshots: &[] }, 0);
    assert!(matches!(mixed, Err(ChainError::Length { expected: 7, found: 3, .. })));
}

#[test]
fn the_longest_stable_step_with_inertia_is_the_one_named() {
    let smooth = chain(0.0, 0.0);
    let course = |step: f64| Course { step, steps: 4000, snapshots: &[] };
    let run = |step: f64| inertial(&copies(&smooth, Noise::NONE, 1), 1.0, &course(step), 0);
    let Err(ChainError::StepTooLong { longest, .. }) = run(3.0) else { panic!("a step of 3 is refused") };
    let end = run(longest).unwrap().remove(0).track.positions;
    assert!(largest_gap(&end, &[0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875]) < 0.01, "{end:?}");
    assert!(run(longest * 1.0001).is_err());
}

#[test]
fn shapes_that_do_not_exist_say_why() {
    assert_eq!(shape(&[1.0, 0.0]).unwrap_err(), NoShape::TooShort { points: 2 });
    assert_eq!(shape(&[1.0, f64::NAN, 0.0]).unwrap_err(), NoShape::NotFinite { point: 1 });
    let flat = shape(&[0.3; 4]).unwrap();
    assert_eq!(flat.correlation, Err(NoShape::Constant));
    assert_eq!(flat.relative, Err(NoShape::NoTotal { total: 0.0 }));
    assert_eq!(flat.centre, Err(NoShape::NoPositiveLoad));
    assert_eq!((flat.largest_drop, flat.lowest_load), (None, None));
    let tie = shape(&[3.0, 2.0, 1.9, 0.9, 0.8]).unwrap();
    assert_eq!((tie.largest_drop, tie.lowest_load), (None, None));
}

proptest! {
    #[test]
    fn without_noise_blocks_only_move_right_and_keep_their_order(
        right in prop::collection::vec(0.0..0.2f64, 1..12), left in 0.0..0.2f64, step in 0.01..0.5f64,
    ) {
        let chain = chain_of(1.0, &right, &vec![left; right.len()]);
        let course = Course { step, steps: 200, snapshots: &[1, 5, 20, 60, 200] };
        let track = overdamped(&copies(&chain, Noise::NONE, 1), &course, 0).unwrap().remove(0);
        let mut before = vec![0.0; right.len()];
        for positions in &track.snapshots {
            prop_assert!(positions.iter().zip(&before).all(|(now, before)| now >= before));
            prop_assert!(loads(1.0, positions).iter().all(|load| *load >= -1e-15));
            before = positions.clone();
        }
        let closed = rest(&chain);
        prop_assert!((closed.loads.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let settled = still(&chain, 0.5, 20_000);
        prop_assert!(largest_gap(&loads(1.0, &settled), &closed.loads) < 1e-8);
    }

    #[test]
    fn lengths_and_forces_scale_together(factor in 1e-3..1e3f64, s in 0.0..0.3f64, right in 0.0..0.2f64) {
        let course = Course { step: 0.02, steps: 300, snapshots: &[] };
        let of = |factor: f64| {
            let parameters = Parameters {
                end: factor,
                friction_right: Friction::Same(factor * right),
                friction_left: Friction::Same(factor * 0.05),
                ..Parameters::default()
            };
            let chain = Chain::new(&parameters).unwrap();
            let members = copies(&chain, Noise::per_step(factor * s), 1);
            overdamped(&members, &course, 6).unwrap().remove(0).positions
        };
        let (one, scaled) = (of(1.0), of(factor));
        let back: Vec<f64> = scaled.iter().map(|x| x / factor).collect();
        prop_assert!(largest_gap(&one, &back) < 1e-11, "{one:?} {back:?}");
    }

    #[test]
    fn pulled_to_the_left_frictions_change_places(right in 0.0..0.2f64, left in 0.0..0.2f64) {
        let forth = chain_of(1.0, &[right; 5], &[left; 5]);
        let back = chain_of(-1.0, &[left; 5], &[right; 5]);
        let (a, b) = (still(&forth, 0.1, 500), still(&back, 0.1, 500));
        prop_assert!(a.iter().zip(&b).all(|(a, b)| *a == -*b || (*a == 0.0 && *b == 0.0)));
        let (a, b) = (rest(&forth).loads, rest(&back).loads);
        prop_assert!(a.iter().zip(&b).all(|(a, b)| (a + b).abs() < 1e-14));
    }

    #[test]
    fn shape_numbers_obey_their_identity(curve in prop::collection::vec(-5.0..5.0f64, 3..12)) {
        let shape = shape(&curve).unwrap();
        if let Ok(relative) = shape.relative {
            let m = shape.loads.len() as f64;
            let expected = -relative.friction_index * (m - 1.0) / 12.0;
            prop_assert!((relative.convexity - expected).abs() < 1e-9 * (1.0 + expected.abs()));
        }
    }

    #[test]
    fn a_load_curve_and_its_loads_agree(positions in prop::collection::vec(-1.0..1.0f64, 1..9)) {
        let (curve, loads) = (load_curve(1.0, &positions), loads(1.0, &positions));
        prop_assert_eq!(loads.len(), curve.len());
        for (at, pair) in curve.windows(2).enumerate() {
            prop_assert!((pair[0] - pair[1] - loads[at]).abs() < 1e-15 * 4.0);
        }
        prop_assert!((loads.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
