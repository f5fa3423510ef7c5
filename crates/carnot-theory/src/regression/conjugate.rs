//! Block conjugate gradients: many right-hand sides share every pass over the kernel and what it teaches.

use carnot_math::device::View;
use carnot_math::linalg::{self, large};

use super::fault::KernelFault;
use super::operator::{KernelOperator, Ridged, dot, not_finite};
use super::precondition::Preconditioner;
use crate::error::{TheoryError, check};

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stop {
    /// Largest |M x − b| / |b| that is good enough, > 0.
    pub tolerance: f64,
    /// Passes over the kernel, for each group of 32 right-hand sides, after which to give up, ≥ 1.
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
    /// Passes over the kernel, of all groups of right-hand sides together.
    pub iterations: usize,
    /// |M x − b| / |b| of each vector, computed afresh at the end; 0 for b = 0.
    pub residuals: Vec<f64>,
}

/// Right-hand sides that search together. More share more, and cost more to keep orthogonal.
const TOGETHER: usize = 32;

/// Solves (K + ridge) x = b for each row b.
///
/// Up to 32 right-hand sides search in one common space, kept orthonormal, that grows by all of them with every pass over the kernel: with
/// M = K + ridge, preconditioned from both sides to A = P^{-1/2} M P^{-1/2}, and the residuals held as R = Q S,
///
/// $$ \xi = (D^T A D)^{-1},\quad X \mathrel{+}= D \xi S,\quad Q' \zeta = Q - A D \xi,\quad S' = \zeta S,\quad D' = Q' + D \zeta^T $$
///
/// Directions that depend on others are dropped. Residuals are computed afresh at the end; while they are above the tolerance and still
/// fall, the search starts again from there.
///
/// * `ridge`: absolute, ≥ 0
/// * `rows`: b, `[vectors, samples]`, row-major
///
/// # Errors
/// [`KernelFault::Stalled`] with the residual reached; [`KernelFault::Indefinite`] when a direction of negative curvature is met;
/// [`KernelFault::NotFinite`]; errors of the kernel's store.
///
/// Source: O'Leary 1980, *The block conjugate gradient algorithm and related methods*; Dubrulle 2001, *Retooling the method of block
/// conjugate gradients*, algorithm BCGrQ. Checked by `tests/regression/iterative.rs`.
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
    let system = System { inner: Ridged { kernel, ridge }, preconditioner };
    let mut all = Solutions { rows: Vec::with_capacity(rows.len()), iterations: 0, residuals: vec![] };
    for group in rows.chunks(TOGETHER * n.max(1)) {
        let solved = system.solve(group, stop)?;
        all.rows.extend(solved.rows);
        all.residuals.extend(solved.residuals);
        all.iterations += solved.iterations;
    }
    Ok(all)
}

struct System<'a> {
    inner: Ridged<'a>,
    preconditioner: &'a Preconditioner,
}

impl System<'_> {
    fn samples(&self) -> usize {
        self.inner.kernel.samples()
    }

    /// P^{-1/2} M P^{-1/2} for each row.
    fn times(&self, rows: &[f64]) -> Result<Vec<f64>, TheoryError> {
        let image = self.inner.times_rows(&self.preconditioner.inverse_root_times(rows))?;
        Ok(self.preconditioner.inverse_root_times(&image))
    }

    fn solve(&self, rows: &[f64], stop: Stop) -> Result<Solutions, TheoryError> {
        let n = self.samples();
        let sizes = sizes(rows, n);
        let mut x = vec![0.0; rows.len()];
        let mut residual = rows.to_vec();
        let (mut passes, mut worst, mut relative) = (0, f64::INFINITY, vec![0.0; sizes.len()]);
        loop {
            // Half of what is asked for, because the search measures residuals in the norm of the preconditioner.
            let goal = 0.5 * stop.tolerance / if worst.is_finite() { worst } else { 1.0 };
            let (step, used) = self.search(&residual, goal, stop.iterations - passes)?;
            x.iter_mut().zip(&step).for_each(|(x, d)| *x += d);
            let image = self.inner.times_rows(&x)?;
            residual = rows.iter().zip(&image).map(|(b, y)| b - y).collect();
            passes += used;
            let left = self::sizes(&residual, n);
            relative.iter_mut().zip(left.iter().zip(&sizes)).for_each(|(relative, (r, b))| {
                *relative = if *b > 0.0 { r / b } else { 0.0 };
            });
            let before = std::mem::replace(&mut worst, relative.iter().copied().fold(0.0, f64::max));
            if worst <= stop.tolerance {
                return Ok(Solutions { rows: x, iterations: passes, residuals: relative });
            }
            if passes >= stop.iterations || worst > 0.5 * before {
                let (iterations, residual, tolerance) = (passes, worst, stop.tolerance);
                return Err(KernelFault::Stalled { iterations, residual, tolerance }.into());
            }
        }
    }

    /// One search from zero: the solution and the passes over the kernel it took.
    ///
    /// * `goal`: residual over right-hand side, in the norm of the preconditioner
    fn search(&self, rows: &[f64], goal: f64, limit: usize) -> Result<(Vec<f64>, usize), TheoryError> {
        let n = self.samples();
        let vectors = rows.len() / n;
        let targets = self.preconditioner.inverse_root_times(rows);
        let goals: Vec<f64> = sizes(&targets, n).iter().map(|size| goal * size).collect();
        let mut x = vec![0.0; rows.len()];
        let (mut q, mut s) = orthonormal(&targets, n);
        let mut directions = q.clone();
        let mut passes = 0;
        let is_open = |s: &[f64]| {
            let left = |v: usize| s.chunks(vectors).map(|row| row[v] * row[v]).sum::<f64>().sqrt();
            (0..vectors).any(|v| left(v) > goals[v])
        };
        while is_open(&s) && passes < limit {
            let count = directions.len() / n;
            let images = self.times(&directions)?;
            let curvature = times(&directions, &large::transpose(&images, count, n), n);
            let identity: Vec<f64> = (0..count * count).map(|at| f64::from(at % (count + 1) == 0)).collect();
            let Ok(inverse) = linalg::solve_spd(&curvature, count, &identity) else {
                return Err(self.negative(&directions, &curvature)?);
            };
            let weights = times(&inverse, &s, count);
            add(&mut x, &large::transpose(&weights, count, vectors), &directions, 1.0, count);
            add(&mut q, &inverse, &images, -1.0, count);
            let (next, mix) = orthonormal(&q, n);
            s = times(&mix, &s, count);
            let mut turned = next.clone();
            add(&mut turned, &mix, &directions, 1.0, count);
            (q, directions) = (next, turned);
            passes += 1;
        }
        Ok((self.preconditioner.inverse_root_times(&x), passes))
    }

    /// The fault for a curvature that is not positive; its smallest value, in the kernel's own metric, bounds an eigenvalue from above.
    fn negative(&self, directions: &[f64], curvature: &[f64]) -> Result<TheoryError, TheoryError> {
        let n = self.samples();
        let count = directions.len() / n;
        if let (true, Some(fault)) =
            (curvature.iter().any(|c| !c.is_finite()), not_finite(self.inner.kernel)?)
        {
            return Ok(fault.into());
        }
        let eigen = linalg::symmetric_eigen(curvature, count)
            .map_err(|_| TheoryError::Singular { what: "search" })?;
        let worst = times(&eigen.vectors[..count], directions, count);
        let vector = self.preconditioner.inverse_root_times(&worst);
        let smallest = eigen.values[0] / dot(&vector, &vector);
        let trace: f64 = self.inner.kernel.diagonal()?.iter().sum();
        let largest = trace + n as f64 * self.inner.ridge;
        Ok(KernelFault::Indefinite { smallest, largest, rounding: super::modes::rounding(n, largest) }.into())
    }
}

/// Length of each row.
fn sizes(rows: &[f64], n: usize) -> Vec<f64> {
    rows.chunks(n.max(1)).map(|row| dot(row, row).sqrt()).collect()
}

/// Row-major product of `[?, inner]` and `[inner, ?]`.
fn times(a: &[f64], b: &[f64], inner: usize) -> Vec<f64> {
    let (rows, columns) = (a.len() / inner.max(1), b.len() / inner.max(1));
    let mut out = vec![0.0; rows * columns];
    if !out.is_empty() {
        large::multiply(&mut out, a, View::new(b, inner, columns));
    }
    out
}

/// to += sign · weights rows, for weights `[?, count]` and rows `[count, samples]`.
fn add(to: &mut [f64], weights: &[f64], rows: &[f64], sign: f64, count: usize) {
    let change = times(weights, rows, count);
    to.iter_mut().zip(&change).for_each(|(x, y)| *x += sign * y);
}

/// Orthonormal rows Q `[rank, samples]` and S `[rank, rows]` with rows = Sᵀ Q; rows that depend on earlier ones add nothing to Q.
fn orthonormal(rows: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let count = rows.len() / n;
    let (mut q, mut s): (Vec<f64>, Vec<f64>) = (Vec::with_capacity(rows.len()), vec![]);
    for (at, row) in rows.chunks(n).enumerate() {
        let mut rest = row.to_vec();
        // Twice is enough.
        for _ in 0..2 {
            for (known, weights) in q.chunks(n).zip(s.chunks_mut(count)) {
                let overlap = dot(known, &rest);
                weights[at] += overlap;
                rest.iter_mut().zip(known).for_each(|(x, k)| *x -= overlap * k);
            }
        }
        let (left, whole) = (dot(&rest, &rest).sqrt(), dot(row, row).sqrt());
        if left > 1e-12 * whole {
            q.extend(rest.iter().map(|x| x / left));
            s.extend(vec![0.0; count]);
            let last = s.len() - count + at;
            s[last] = left;
        }
    }
    (q, s)
}
