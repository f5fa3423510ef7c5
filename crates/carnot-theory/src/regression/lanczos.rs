//! Eigenvalues and functions of a kernel from products with vectors only.

use carnot_math::linalg;
use carnot_math::stats::{Estimate, Moments};

use super::operator::{KernelOperator, Ridged, dot};
use super::precondition::Preconditioner;
use crate::error::{TheoryError, check, check_length};

/// An eigenvalue and how far from it the nearest true one can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounded {
    /// Best value.
    pub value: f64,
    /// An eigenvalue lies within this distance.
    pub bound: f64,
}

/// Largest and smallest eigenvalue of kernel plus ridge.
///
/// $$ |\theta - \lambda| \le |\beta_k\, s_k| $$
///
/// The largest converges in tens of steps; the smallest, in a crowd near zero, is an upper bound that comes down slowly.
///
/// * `ridge`: absolute, ≥ 0
/// * `start`: any vector that is not orthogonal to the eigenvectors, such as normal numbers, `[samples]`
/// * `steps`: passes over the kernel, ≥ 1
/// * returns: `[smallest, largest]`
///
/// # Errors
/// [`TheoryError::Length`], [`TheoryError::OutOfRange`]; errors of the kernel's store.
///
/// Source: Parlett 1998, *The Symmetric Eigenvalue Problem*, ch. 13.2. Checked by `tests/regression/iterative.rs`.
pub fn extremes(
    kernel: &dyn KernelOperator,
    ridge: f64,
    start: &[f64],
    steps: usize,
) -> Result<[Bounded; 2], TheoryError> {
    let system = Ridged { kernel, ridge };
    let mut runs = run(kernel.samples(), start, steps, &mut |rows| system.times_rows(rows))?;
    let run = runs.remove(0);
    let ritz = run.ritz()?;
    let bounded = |at: usize| Bounded { value: ritz.values[at], bound: run.last * ritz.last[at].abs() };
    Ok([bounded(0), bounded(ritz.values.len() - 1)])
}

/// ln det (K + ridge) by stochastic quadrature; the standard error is between probes.
///
/// $$ \ln\det M = \ln\det P + \mathrm{E}_z\, z^T \ln(P^{-1/2} M P^{-1/2})\, z $$
///
/// * `probes`: independent vectors with mean 0 and covariance 1 (signs are best), `[probes, samples]`, two or more
/// * `steps`: passes over the kernel; 30 to 100 for a good preconditioner
///
/// # Errors
/// [`TheoryError::Length`], [`TheoryError::OutOfRange`] (fewer than two probes, or an eigenvalue below zero); errors of the kernel's store.
///
/// Source: Ubaru, Chen, Saad 2017, *Fast estimation of tr(f(A)) via stochastic Lanczos quadrature*; Gardner et al. 2018,
/// arXiv:1809.11165 (preconditioned). Checked by `tests/regression/iterative.rs`.
pub fn ln_det(
    kernel: &dyn KernelOperator,
    ridge: f64,
    preconditioner: &Preconditioner,
    probes: &[f64],
    steps: usize,
) -> Result<Estimate, TheoryError> {
    let n = kernel.samples();
    let system = Ridged { kernel, ridge };
    let runs = run(n, probes, steps, &mut |rows| {
        let inner = system.times_rows(&preconditioner.inverse_root_times(rows))?;
        Ok(preconditioner.inverse_root_times(&inner))
    })?;
    check("probes", runs.len() as f64, runs.len() >= 2, "at least 2")?;
    let mut moments = Moments::default();
    for run in &runs {
        let ritz = run.ritz()?;
        check("smallest eigenvalue", ritz.values[0], ritz.values[0] > 0.0, "above zero")?;
        let sum: f64 = ritz.values.iter().zip(&ritz.first).map(|(value, s)| s * s * value.ln()).sum();
        moments.push(run.size * run.size * sum);
    }
    let mut estimate = moments.estimate();
    estimate.value += preconditioner.ln_det();
    Ok(estimate)
}

/// f(K + ridge) b for each row b, and how far off it may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// `[vectors, samples]`, row-major.
    pub rows: Vec<f64>,
    /// Largest change, relative to the result, that the last fifth of the steps made.
    pub change: f64,
}

/// A function of the kernel applied to vectors: predictions at any training time without a decomposition.
///
/// $$ f(M) b \approx |b|\, V f(T) e_1 $$
///
/// * `rows`: b, `[vectors, samples]`, row-major
/// * `steps`: passes over the kernel, ≥ 1; memory for `vectors · steps · samples` numbers
///
/// # Errors
/// [`TheoryError::Length`], [`TheoryError::OutOfRange`]; errors of the kernel's store.
///
/// Source: Golub, Meurant 2010, *Matrices, Moments and Quadrature*. Checked by `tests/regression/iterative.rs`.
pub fn function_times(
    kernel: &dyn KernelOperator,
    ridge: f64,
    rows: &[f64],
    steps: usize,
    f: &dyn Fn(f64) -> f64,
) -> Result<Applied, TheoryError> {
    let n = kernel.samples();
    let system = Ridged { kernel, ridge };
    let runs = run(n, rows, steps, &mut |rows| system.times_rows(rows))?;
    let mut applied = Applied { rows: Vec::with_capacity(rows.len()), change: 0.0 };
    for run in &runs {
        let whole = run.function(f, run.diagonal.len())?;
        let early = run.function(f, (run.diagonal.len() * 4).div_ceil(5))?;
        let size = dot(&whole, &whole).sqrt();
        let off = (0..whole.len()).map(|k| whole[k] - early.get(k).unwrap_or(&0.0));
        let off = off.map(|x| x * x).sum::<f64>().sqrt();
        applied.change = applied.change.max(if size > 0.0 { off / size } else { 0.0 });
        let mut row = vec![0.0; n];
        for (weight, vector) in whole.iter().zip(run.basis.chunks(n)) {
            row.iter_mut().zip(vector).for_each(|(x, v)| *x += weight * v);
        }
        applied.rows.extend(row);
    }
    Ok(applied)
}

/// One Lanczos run: T = Vᵀ M V.
struct Run {
    /// Length of the starting vector.
    size: f64,
    diagonal: Vec<f64>,
    /// Beside the diagonal, one shorter.
    beside: Vec<f64>,
    /// The next one: residual of the whole.
    last: f64,
    /// V as rows, `[steps, samples]`.
    basis: Vec<f64>,
}

struct Ritz {
    values: Vec<f64>,
    /// First components of the eigenvectors of T.
    first: Vec<f64>,
    /// Last components.
    last: Vec<f64>,
}

impl Run {
    fn eigen(&self, k: usize) -> Result<linalg::Eigen, TheoryError> {
        let mut matrix = vec![0.0; k * k];
        for i in 0..k {
            matrix[i * (k + 1)] = self.diagonal[i];
            if i + 1 < k {
                matrix[i * k + i + 1] = self.beside[i];
                matrix[(i + 1) * k + i] = self.beside[i];
            }
        }
        linalg::symmetric_eigen(&matrix, k).map_err(|_| TheoryError::Singular { what: "tridiagonal" })
    }

    fn ritz(&self) -> Result<Ritz, TheoryError> {
        let k = self.diagonal.len();
        if k == 0 {
            return Err(TheoryError::OutOfRange {
                what: "length of the start",
                value: 0.0,
                range: "above zero",
            });
        }
        let eigen = self.eigen(k)?;
        let component = |at: usize| eigen.vectors.chunks(k).map(|v| v[at]).collect();
        Ok(Ritz { first: component(0), last: component(k - 1), values: eigen.values })
    }

    /// |b| f(T) e₁ with the first k steps.
    fn function(&self, f: &dyn Fn(f64) -> f64, k: usize) -> Result<Vec<f64>, TheoryError> {
        if k == 0 {
            return Ok(vec![]);
        }
        let eigen = self.eigen(k)?;
        let mut out = vec![0.0; k];
        for (value, vector) in eigen.values.iter().zip(eigen.vectors.chunks(k)) {
            let weight = self.size * f(*value) * vector[0];
            out.iter_mut().zip(vector).for_each(|(x, v)| *x += weight * v);
        }
        Ok(out)
    }
}

type Product<'a> = dyn FnMut(&[f64]) -> Result<Vec<f64>, TheoryError> + 'a;

/// Lanczos from several starts at once, reorthogonalised twice against every earlier vector.
fn run(n: usize, starts: &[f64], steps: usize, times: &mut Product) -> Result<Vec<Run>, TheoryError> {
    check("steps", steps as f64, steps >= 1, "at least 1")?;
    check_length("starts", starts.len().checked_div(n).unwrap_or(0) * n, starts.len())?;
    let mut next = starts.to_vec();
    let fresh = |row: &[f64]| {
        let size = dot(row, row).sqrt();
        Run { size, diagonal: vec![], beside: vec![], last: size, basis: vec![] }
    };
    let mut runs: Vec<Run> = starts.chunks(n).map(fresh).collect();
    for step in 0..steps.min(n) {
        // A start whose space is exhausted is complete: its residual is rounding.
        let open: Vec<usize> = (0..runs.len())
            .filter(|&r| {
                let scale = runs[r].diagonal.iter().fold(0.0f64, |top, d| top.max(d.abs()));
                runs[r].diagonal.len() == step && runs[r].last > 1e-13 * scale
            })
            .collect();
        if open.is_empty() {
            break;
        }
        let mut block = Vec::with_capacity(open.len() * n);
        for &r in &open {
            let last = runs[r].last;
            let vector = next[r * n..(r + 1) * n].iter().map(|x| x / last);
            runs[r].basis.extend(vector);
            if step > 0 {
                runs[r].beside.push(last);
            }
            block.extend_from_slice(&runs[r].basis[step * n..]);
        }
        let images = times(&block)?;
        for (&r, image) in open.iter().zip(images.chunks(n)) {
            let run = &mut runs[r];
            let next = &mut next[r * n..(r + 1) * n];
            next.copy_from_slice(image);
            run.diagonal.push(dot(&run.basis[step * n..], image));
            for _ in 0..2 {
                for earlier in run.basis.chunks(n) {
                    let overlap = dot(earlier, next);
                    next.iter_mut().zip(earlier).for_each(|(x, v)| *x -= overlap * v);
                }
            }
            run.last = dot(next, next).sqrt();
        }
    }
    Ok(runs)
}
