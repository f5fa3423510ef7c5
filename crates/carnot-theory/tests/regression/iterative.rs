//! The iterative solver against the dense one.

use std::ops::Range;

use carnot_math::linalg;
use carnot_math::random::Stream;
use carnot_theory::error::TheoryError;
use carnot_theory::inference::Duration;
use carnot_theory::regression::conjugate::{Stop, solve};
use carnot_theory::regression::descent::{Descent, Loss, Start};
use carnot_theory::regression::fault::KernelFault;
use carnot_theory::regression::iterative::{IterativePosterior, flow};
use carnot_theory::regression::lanczos::{extremes, ln_det};
use carnot_theory::regression::modes::Modes;
use carnot_theory::regression::operator::{InMemory, KernelOperator};
use carnot_theory::regression::posterior::Posterior;
use carnot_theory::regression::precondition::Preconditioner;
use carnot_theory::regression::problem::{Prior, Ridge, Targets};

use crate::support::{Toy, assert_close, normals, toy};

const N: usize = 400;

fn problem() -> (Toy, Vec<f64>) {
    (toy(N, 9, 0.8, 1), normals(N * 3, 2))
}

fn signs(count: usize, seed: u64) -> Vec<f64> {
    let mut stream = Stream::new(seed, "signs", &[]);
    (0..count).map(|_| if stream.uniform() < 0.5 { -1.0 } else { 1.0 }).collect()
}

/// A kernel that is read in slices of 37 rows and has no other way to be used.
struct Slices<'a>(&'a [f64], usize);

impl KernelOperator for Slices<'_> {
    fn samples(&self) -> usize {
        self.1
    }

    fn read_rows(&self, rows: Range<usize>, out: &mut [f64]) -> Result<(), TheoryError> {
        out.copy_from_slice(&self.0[rows.start * self.1..rows.end * self.1]);
        Ok(())
    }

    fn rows_at_once(&self) -> usize {
        37
    }
}

#[test]
fn it_agrees_with_the_factorisation_with_every_preconditioner_and_store() {
    let (toy, values) = problem();
    let targets = Targets { values: &values, outputs: 3 };
    let ridge = Ridge::Absolute(1e-2);
    let dense = Posterior::fit(toy.inner.clone(), N, targets, ridge).unwrap();
    let expect = dense.predict(&toy.cross, Prior::Full(&toy.outer)).unwrap();
    let memory = InMemory::new(&toy.inner, N).unwrap();
    let slices = Slices(&toy.inner, N);
    let landmarks: Vec<usize> = (0..N).step_by(4).collect();
    let stop = Stop { tolerance: 1e-10, iterations: 2000 };
    let mut passes = vec![];
    for kernel in [&memory as &dyn KernelOperator, &slices] {
        let preconditioners = [
            Preconditioner::identity(N),
            Preconditioner::partial_cholesky(kernel, 1e-2, 100).unwrap(),
            Preconditioner::nystrom(kernel, 1e-2, &landmarks).unwrap(),
        ];
        for preconditioner in &preconditioners {
            let fit = IterativePosterior::fit(kernel, targets, ridge, preconditioner, stop).unwrap();
            let got = fit.predict(&toy.cross, Prior::Full(&toy.outer)).unwrap();
            assert_close("mean", &got.mean, &expect.mean, 1e-8);
            let covariance = got.covariance.unwrap();
            assert_close("covariance", &covariance, expect.covariance.as_ref().unwrap(), 1e-8);
            assert!(fit.solutions().residuals.iter().all(|&r| r <= 1e-10));
            passes.push(fit.solutions().iterations);
            let exact = dense.log_evidence().unwrap();
            let estimate = fit.log_evidence(&signs(N * 12, 5), 60).unwrap();
            let z = (estimate.value - exact) / estimate.error;
            assert!(z.abs() < 4.0, "ln p {} ± {} against {exact}, z = {z}", estimate.value, estimate.error);
        }
    }
    assert!(passes[1] * 2 < passes[0] && passes[2] * 2 < passes[0], "{passes:?}");
    assert_eq!(passes[..3], passes[3..]);
}

#[test]
fn preconditioning_narrows_the_error_of_the_determinant() {
    let (toy, _) = problem();
    let kernel = InMemory::new(&toy.inner, N).unwrap();
    let mut noisy = toy.inner.clone();
    (0..N).for_each(|i| noisy[i * (N + 1)] += 0.1);
    let exact = linalg::ln_det(&noisy, N).unwrap();
    let probes = signs(N * 16, 6);
    let mut errors = vec![];
    let good = Preconditioner::partial_cholesky(&kernel, 0.1, 120).unwrap();
    for preconditioner in [&Preconditioner::identity(N), &good] {
        let got = ln_det(&kernel, 0.1, preconditioner, &probes, 80).unwrap();
        let z = (got.value - exact) / got.error;
        assert!(z.abs() < 4.0, "{} ± {} against {exact}, z = {z}", got.value, got.error);
        errors.push(got.error);
    }
    assert!(errors[1] < 0.5 * errors[0], "{errors:?}");
}

#[test]
fn extreme_eigenvalues_lie_within_their_bounds() {
    let (toy, _) = problem();
    let kernel = InMemory::new(&toy.inner, N).unwrap();
    let values = linalg::symmetric_eigen(&toy.inner, N).unwrap().values;
    for steps in [5, 20, 60] {
        let got = extremes(&kernel, 0.5, &normals(N, 7), steps).unwrap();
        for bounded in got {
            let nearest =
                values.iter().map(|v| (v + 0.5 - bounded.value).abs()).fold(f64::INFINITY, f64::min);
            assert!(nearest <= bounded.bound + 1e-12, "{steps} steps: {bounded:?}, off by {nearest}");
        }
        assert!(got[0].value >= values[0] + 0.5 - 1e-12 && got[1].value <= values[N - 1] + 0.5 + 1e-12);
    }
    let [_, largest] = extremes(&kernel, 0.5, &normals(N, 7), 60).unwrap();
    assert_close("largest", &[largest.value], &[values[N - 1] + 0.5], 1e-11);
}

#[test]
fn gradient_flow_without_a_decomposition_agrees_with_the_modes() {
    let (toy, values) = problem();
    let targets = Targets { values: &values, outputs: 3 };
    let kernel = InMemory::new(&toy.inner, N).unwrap();
    let modes = Modes::of(&toy.inner, N).unwrap();
    for (time, ridge) in [(0.0, 0.0), (0.3, 0.0), (20.0, 0.0), (1e4, 1e-2)] {
        let ridge = Ridge::Absolute(ridge);
        let descent = Descent::new(&modes, targets, ridge, Loss::Sum).unwrap();
        let expect = descent.predict(&toy.cross, Start::Zero, Duration::Flow(time)).unwrap();
        let (mean, change) = flow(&kernel, targets, ridge, &toy.cross, time, 180).unwrap();
        assert!(change < 1e-5, "{change} at {time}");
        assert_close("flow", &mean, &expect.mean, 1e-7);
    }
}

#[test]
fn right_hand_sides_that_search_together_need_fewer_passes_and_may_depend_on_each_other() {
    let (toy, _) = problem();
    let kernel = InMemory::new(&toy.inner, N).unwrap();
    let none = Preconditioner::identity(N);
    let rows = normals(N * 12, 9);
    let one = solve(&kernel, 1e-2, &rows[..N], &none, Stop::default()).unwrap();
    let many = solve(&kernel, 1e-2, &rows, &none, Stop::default()).unwrap();
    assert!(2 * many.iterations < one.iterations, "{} {}", many.iterations, one.iterations);
    assert_close("first", &many.rows[..N], &one.rows, 1e-5);
    // Twice the same, their sum, and nothing at all.
    let mut odd = rows[..2 * N].to_vec();
    odd.extend_from_slice(&rows[..N]);
    odd.extend((0..N).map(|i| rows[i] + rows[N + i]));
    odd.extend(vec![0.0; N]);
    let solved = solve(&kernel, 1e-2, &odd, &none, Stop::default()).unwrap();
    assert_close("copy", &solved.rows[2 * N..3 * N], &solved.rows[..N], 1e-12);
    let sum: Vec<f64> = (0..N).map(|i| solved.rows[i] + solved.rows[N + i]).collect();
    assert_close("sum", &solved.rows[3 * N..4 * N], &sum, 1e-9);
    assert!(solved.rows[4 * N..].iter().all(|&x| x == 0.0) && solved.residuals[4] == 0.0);
}

#[test]
fn what_does_not_converge_or_is_no_kernel_is_said() {
    let (toy, values) = problem();
    let kernel = InMemory::new(&toy.inner, N).unwrap();
    let rows = carnot_math::linalg::large::transpose(&values, N, 3);
    let none = Preconditioner::identity(N);
    let stop = Stop { tolerance: 1e-12, iterations: 5 };
    let stalled = solve(&kernel, 1e-6, &rows, &none, stop).unwrap_err();
    assert!(matches!(stalled, TheoryError::Kernel(KernelFault::Stalled { iterations: 5, .. })), "{stalled}");
    let mut bad = toy.inner.clone();
    (0..N).for_each(|i| bad[i * (N + 1)] -= 0.3);
    let kernel = InMemory::new(&bad, N).unwrap();
    let found = solve(&kernel, 0.0, &rows, &none, Stop::default()).unwrap_err();
    let smallest = linalg::symmetric_eigen(&bad, N).unwrap().values[0];
    // The curvature that was met bounds the smallest eigenvalue from above.
    assert!(
        matches!(found, TheoryError::Kernel(KernelFault::Indefinite { smallest: met, .. }) if met < 0.0 && met >= smallest - 1e-12),
        "{found}"
    );
    bad[5 * N + 7] = f64::NAN;
    assert!(InMemory::new(&bad, N).is_err());
    let found = solve(&Slices(&bad, N), 1.0, &rows, &none, Stop::default()).unwrap_err();
    assert!(
        matches!(found, TheoryError::Kernel(KernelFault::NotFinite { row: 5, column: 7, .. })),
        "{found}"
    );
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let (toy, values) = problem();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let kernel = InMemory::new(&toy.inner, N).unwrap();
            let good = Preconditioner::partial_cholesky(&kernel, 0.1, 50).unwrap();
            let targets = Targets { values: &values, outputs: 3 };
            let fit = IterativePosterior::fit(&kernel, targets, Ridge::Absolute(0.1), &good, Stop::default())
                .unwrap();
            (fit.solutions().clone(), fit.log_evidence(&signs(N * 4, 5), 20).unwrap())
        })
    };
    assert!(run(1) == run(2) && run(1) == run(3));
}
