//! Kernels and targets that give no answer, each with its name and a way out that works.

use carnot_theory::error::{TheoryError, Unknown};
use carnot_theory::inference::Duration;
use carnot_theory::regression::descent::{Descent, Loss, Start};
use carnot_theory::regression::fault::KernelFault;
use carnot_theory::regression::modes::Modes;
use carnot_theory::regression::posterior::Posterior;
use carnot_theory::regression::problem::{Prior, Ridge, Targets};

use crate::support::{assert_close, normals, toy};

const NONE: Ridge = Ridge::Absolute(0.0);

fn fault(kernel: &[f64], values: &[f64], ridge: Ridge) -> KernelFault {
    let targets = Targets { values, outputs: 1 };
    match Posterior::fit(kernel.to_vec(), values.len(), targets, ridge) {
        Err(TheoryError::Kernel(fault)) => fault,
        Err(other) => panic!("{other}"),
        Ok(fit) => panic!("an answer of rank {}", fit.rank()),
    }
}

#[test]
fn entries_that_no_kernel_has_are_named_with_their_place() {
    let y = [1.0, 2.0];
    let found = fault(&[1.0, f64::NAN, 0.0, 1.0], &y, NONE);
    assert!(matches!(found, KernelFault::NotFinite { row: 0, column: 1, .. }));
    assert!(matches!(
        fault(&[1.0, 0.2, 0.3, 1.0], &y, NONE),
        KernelFault::NotSymmetric { row: 1, column: 0, .. }
    ));
    assert!(matches!(fault(&[1.0, 0.0, 0.0, -1.0], &y, NONE), KernelFault::NegativeVariance { row: 1, .. }));
    assert_eq!(fault(&[0.0; 4], &y, Ridge::Relative(1e-3)), KernelFault::Zero { samples: 2 });
    let targets = Targets { values: &y, outputs: 1 };
    for bad in [Ridge::Absolute(-1.0), Ridge::Relative(f64::NAN)] {
        assert!(matches!(
            Posterior::fit(vec![1.0, 0.0, 0.0, 1.0], 2, targets, bad),
            Err(TheoryError::OutOfRange { what: "ridge", .. })
        ));
    }
}

#[test]
fn a_matrix_with_negative_eigenvalues_is_refused_with_the_ridge_that_helps() {
    let kernel = [1.0, 0.9, 0.1, 0.9, 1.0, 0.9, 0.1, 0.9, 1.0];
    let values = [1.0, -1.0, 0.5];
    let found = fault(&kernel, &values, NONE);
    let KernelFault::Indefinite { smallest, rounding, .. } = found else { panic!("{found}") };
    assert!(smallest < -0.1 && rounding < 1e-13, "{found}");
    let ridge = Ridge::Absolute(found.ridge().unwrap());
    assert!(Posterior::fit(kernel.to_vec(), 3, Targets { values: &values, outputs: 1 }, ridge).is_ok());
    let modes = Modes::of(&kernel, 3).unwrap();
    let targets = Targets { values: &values, outputs: 1 };
    assert!(Descent::new(&modes, targets, NONE, Loss::Sum).is_err());
    assert!(Descent::new(&modes, targets, ridge, Loss::Sum).is_ok());
}

#[test]
fn single_precision_is_told_from_rounding() {
    // A smooth kernel has eigenvalues far below 1e-7; rounded to f32 they go negative.
    let toy = toy(200, 1, 5.0, 1);
    let rough: Vec<f64> = toy.inner.iter().map(|&k| f64::from(k as f32)).collect();
    let values = normals(200, 2);
    let found = fault(&rough, &values, NONE);
    let KernelFault::Indefinite { smallest, largest, rounding } = found else { panic!("{found}") };
    assert!(smallest < -10.0 * rounding && smallest > -1e-4 * largest, "{found}");
    // In double precision the same kernel is singular, and says so.
    let found = fault(&toy.inner, &values, NONE);
    assert!(matches!(found, KernelFault::OutOfReach { rank, .. } if rank < 200), "{found}");
    let ridge = Ridge::Absolute(found.ridge().unwrap());
    assert!(Posterior::fit(toy.inner, 200, Targets { values: &values, outputs: 1 }, ridge).is_ok());
}

/// Two inputs and a copy of the first, then a point in between.
const REPEATED: [f64; 9] = [2.0, 0.5, 2.0, 0.5, 1.0, 0.5, 2.0, 0.5, 2.0];

#[test]
fn repeated_inputs_with_equal_targets_are_answered_by_the_pseudo_inverse() {
    let targets = Targets { values: &[1.0, -1.0, 1.0], outputs: 1 };
    let twice = Posterior::fit(REPEATED.to_vec(), 3, targets, NONE).unwrap();
    assert_eq!(twice.rank(), 2);
    assert_eq!(twice.log_evidence(), Err(Unknown::NoDensity { rank: 2, samples: 3 }));
    let singular = twice.leave_one_out().unwrap_err();
    let TheoryError::Kernel(found) = singular else { panic!("{singular}") };
    assert!(found.ridge().is_some_and(|ridge| ridge > 0.0 && ridge < 0.01), "{found:?}");
    let once_targets = Targets { values: &[1.0, -1.0], outputs: 1 };
    let once = Posterior::fit(vec![2.0, 0.5, 0.5, 1.0], 2, once_targets, NONE).unwrap();
    let got = twice.predict(&[0.7, 0.3, 0.7], Prior::Full(&[1.0])).unwrap();
    let expect = once.predict(&[0.7, 0.3], Prior::Full(&[1.0])).unwrap();
    assert_close("mean", &got.mean, &expect.mean, 1e-13);
    assert_close("variance", &got.variance, &expect.variance, 1e-13);
}

#[test]
fn contradicting_targets_are_named_by_their_samples() {
    let found = fault(&REPEATED, &[1.0, -1.0, 1.5], NONE);
    assert!(
        matches!(found, KernelFault::Contradiction { first: 0, second: 2, factor: 1.0, difference, .. } if (difference - 0.5).abs() < 1e-12),
        "{found}"
    );
    // A parallel input: every function allowed is three times as large there.
    let parallel = [1.0, 0.2, 3.0, 0.2, 1.0, 0.6, 3.0, 0.6, 9.0];
    let found = fault(&parallel, &[1.0, -1.0, 1.0], NONE);
    assert!(
        matches!(found, KernelFault::Contradiction { first: 0, second: 2, factor, .. } if (factor - 3.0).abs() < 1e-12),
        "{found}"
    );
    assert!(fault(&REPEATED, &[1.0, -1.0, 1.5], NONE).ridge().is_some());
    let fits = Targets { values: &[1.0, -1.0, 3.0], outputs: 1 };
    assert_eq!(Posterior::fit(parallel.to_vec(), 3, fits, NONE).unwrap().rank(), 2);
}

#[test]
fn one_sample_predicts_but_cannot_be_left_out() {
    let targets = Targets { values: &[3.0], outputs: 1 };
    let one = Posterior::fit(vec![2.0], 1, targets, NONE).unwrap();
    let got = one.predict(&[1.0], Prior::Variances(&[1.0])).unwrap();
    assert_close("mean", &got.mean, &[1.5], 1e-15);
    assert_close("variance", &got.variance, &[0.5], 1e-15);
    let expect = -0.5 * (4.5 + (2.0 * std::f64::consts::TAU).ln());
    assert_close("evidence", &[one.log_evidence().unwrap()], &[expect], 1e-14);
    assert_eq!(one.leave_one_out(), Err(KernelFault::TooFew { samples: 1 }.into()));
}

#[test]
fn too_large_a_rate_is_refused_once_it_leaves_the_numbers() {
    let modes = Modes::of(&[2.0, 0.0, 0.0, 1.0], 2).unwrap();
    let targets = Targets { values: &[1.0, 1.0], outputs: 1 };
    let descent = Descent::new(&modes, targets, NONE, Loss::Sum).unwrap();
    assert_close("rate", &[descent.largest_rate()], &[1.0], 1e-14);
    let unstable = |steps| descent.predict(&[1.0, 0.0], Start::Zero, Duration::Steps { rate: 1.5, steps });
    // Three steps at 1.5: 1 − (1 − 3)³ = 9, times ½ for the response.
    assert_close("unstable", &unstable(3).unwrap().mean, &[4.5], 1e-12);
    assert!(matches!(unstable(100_000), Err(TheoryError::Kernel(KernelFault::Diverges { .. }))));
}
