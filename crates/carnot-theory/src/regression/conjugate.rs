//! Preconditioned conjugate gradients for many right-hand sides that share every pass over the kernel.

use super::fault::KernelFault;
use super::operator::{KernelOperator, Ridged, dot};
use super::precondition::Preconditioner;
use crate::error::{TheoryError, check};

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stop {
    /// Largest |M x − b| / |b| that is good enough, > 0.
    pub tolerance: f64,
    /// Passes over the kernel after which to give up, ≥ 1.
    pub iterations: usize,
}

impl Default for Stop {
    /// Eight digits, a thousand passes.
    fn default() -> Self {
        Self { tolerance: 1e-8, iterations: 1000 }
    }
}

/// Solutions and how good they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Solutions {
    /// `[vectors, samples]`, row-major.
    pub rows: Vec<f64>,
    /// Passes over the kernel.
    pub iterations: usize,
    /// |M x − b| / |b| of each vector, computed afresh at the end; 0 for b = 0.
    pub residuals: Vec<f64>,
}

/// Solves (K + ridge) x = b for each row b.
///
/// Each right-hand side has its own search direction and leaves when it is done; the kernel is read once an iteration for all that are
/// left. At the end residuals are computed afresh; when they have drifted above the tolerance, the iteration starts again from there.
///
/// * `ridge`: absolute, ≥ 0
/// * `rows`: b, `[vectors, samples]`, row-major
///
/// # Errors
/// [`KernelFault::Stalled`] with the residual reached; [`KernelFault::Indefinite`] when a direction of negative curvature is met; errors
/// of the kernel's store.
///
/// Source: Hestenes, Stiefel 1952; Golub, Van Loan 2013, *Matrix Computations*, algorithm 11.5.1. Checked by
/// `tests/regression/iterative.rs`.
pub fn solve(
    kernel: &dyn KernelOperator,
    ridge: f64,
    rows: &[f64],
    preconditioner: &Preconditioner,
    stop: Stop,
) -> Result<Solutions, TheoryError> {
    check("ridge", ridge, ridge >= 0.0, "zero or more")?;
    check("tolerance", stop.tolerance, stop.tolerance > 0.0, "above zero")?;
    let n = kernel.samples();
    super::problem::rows_of(rows, n)?;
    let system = Ridged { kernel, ridge };
    let sizes: Vec<f64> = rows.chunks(n).map(|row| dot(row, row).sqrt()).collect();
    let mut state = State { x: vec![0.0; rows.len()], residual: rows.to_vec(), iterations: 0 };
    // Drift is rounding; two fresh starts remove it or nothing will.
    for _ in 0..3 {
        state.run(&system, preconditioner, &sizes, stop)?;
        let image = system.times_rows(&state.x)?;
        state.residual = rows.iter().zip(&image).map(|(b, y)| b - y).collect();
        let worst = state.relative(&sizes).into_iter().fold(0.0, f64::max);
        if worst <= stop.tolerance {
            let residuals = state.relative(&sizes);
            return Ok(Solutions { rows: state.x, iterations: state.iterations, residuals });
        }
        if state.iterations >= stop.iterations {
            break;
        }
    }
    let residual = state.relative(&sizes).into_iter().fold(0.0, f64::max);
    Err(KernelFault::Stalled { iterations: state.iterations, residual, tolerance: stop.tolerance }.into())
}

struct State {
    x: Vec<f64>,
    residual: Vec<f64>,
    iterations: usize,
}

impl State {
    fn relative(&self, sizes: &[f64]) -> Vec<f64> {
        let n = self.x.len() / sizes.len().max(1);
        let size = |(r, &b): (&[f64], &f64)| if b > 0.0 { dot(r, r).sqrt() / b } else { 0.0 };
        self.residual.chunks(n.max(1)).zip(sizes).map(size).collect()
    }

    /// Iterates until the running residuals of all vectors are small or the passes are used up.
    fn run(
        &mut self,
        system: &Ridged,
        preconditioner: &Preconditioner,
        sizes: &[f64],
        stop: Stop,
    ) -> Result<(), TheoryError> {
        let n = system.kernel.samples();
        // Half of the tolerance leaves room for the drift between running and true residuals.
        let goal = 0.5 * stop.tolerance;
        let open = |relative: &[f64], active: &mut Vec<usize>| active.retain(|&v| relative[v] > goal);
        let mut active: Vec<usize> = (0..sizes.len()).collect();
        open(&self.relative(sizes), &mut active);
        let mut direction = vec![0.0; self.x.len()];
        let mut strength = vec![0.0; sizes.len()];
        while !active.is_empty() && self.iterations < stop.iterations {
            let residuals = gather(&self.residual, &active, n);
            let conditioned = preconditioner.inverse_times(&residuals);
            for (at, &v) in active.iter().enumerate() {
                let z = &conditioned[at * n..(at + 1) * n];
                let new = dot(&residuals[at * n..(at + 1) * n], z);
                let keep = if strength[v] > 0.0 { new / strength[v] } else { 0.0 };
                strength[v] = new;
                direction[v * n..(v + 1) * n].iter_mut().zip(z).for_each(|(p, z)| *p = z + keep * *p);
            }
            let images = system.times_rows(&gather(&direction, &active, n))?;
            for (at, &v) in active.iter().enumerate() {
                let (p, image) = (&direction[v * n..(v + 1) * n], &images[at * n..(at + 1) * n]);
                let curvature = dot(p, image);
                if curvature <= 0.0 {
                    return Err(negative(system, curvature / dot(p, p))?.into());
                }
                let step = strength[v] / curvature;
                self.x[v * n..(v + 1) * n].iter_mut().zip(p).for_each(|(x, p)| *x += step * p);
                self.residual[v * n..(v + 1) * n].iter_mut().zip(image).for_each(|(r, y)| *r -= step * y);
            }
            self.iterations += 1;
            open(&self.relative(sizes), &mut active);
        }
        Ok(())
    }
}

fn gather(rows: &[f64], which: &[usize], n: usize) -> Vec<f64> {
    which.iter().flat_map(|&v| rows[v * n..(v + 1) * n].iter().copied()).collect()
}

/// A direction along which the kernel is not positive: its curvature bounds the smallest eigenvalue from above.
fn negative(system: &Ridged, smallest: f64) -> Result<KernelFault, TheoryError> {
    let n = system.kernel.samples();
    let trace: f64 = system.kernel.diagonal()?.iter().sum();
    let largest = trace + n as f64 * system.ridge;
    Ok(KernelFault::Indefinite { smallest, largest, rounding: super::modes::rounding(n, largest) })
}
