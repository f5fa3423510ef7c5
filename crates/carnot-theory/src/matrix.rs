//! Small dense matrices, row-major: the few steps around `carnot_math::linalg` that the formulas need.

use crate::error::TheoryError;
use carnot_math::linalg;

/// Solution X of A X = B for positive definite A `[n, n]`; `what` names A when it is singular.
pub(crate) fn solve(a: &[f64], n: usize, b: &[f64], what: &'static str) -> Result<Vec<f64>, TheoryError> {
    check_rank(a, n, what)?;
    linalg::solve_spd(a, n, b).map_err(|_| TheoryError::Singular { what })
}

/// Inverse of a positive definite matrix.
pub(crate) fn inverse(a: &[f64], n: usize, what: &'static str) -> Result<Vec<f64>, TheoryError> {
    let mut identity = vec![0.0; n * n];
    (0..n).for_each(|i| identity[i * (n + 1)] = 1.0);
    solve(a, n, &identity, what)
}

/// Refuses a matrix whose smallest Cholesky pivot is rounding: an inverse of it would be noise.
fn check_rank(a: &[f64], n: usize, what: &'static str) -> Result<(), TheoryError> {
    let singular = TheoryError::Singular { what };
    let root = linalg::cholesky(a, n).map_err(|_| singular.clone())?;
    let lost = |i: usize| root[i * (n + 1)].powi(2) <= 1e-13 * a[i * (n + 1)];
    if (0..n).any(lost) { Err(singular) } else { Ok(()) }
}

/// a[m, k] · b[k, n]
pub(crate) fn product(a: &[f64], b: &[f64], m: usize, k: usize, n: usize) -> Vec<f64> {
    let entry = |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
    (0..m * n).map(|index| entry(index / n, index % n)).collect()
}

/// Transpose of a `[rows, columns]` matrix.
pub(crate) fn transpose(a: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..columns * rows).map(|k| a[k % rows * columns + k / rows]).collect()
}

/// Rows and columns `rows` × `columns` of a matrix with `width` columns.
pub(crate) fn block(a: &[f64], width: usize, rows: &[usize], columns: &[usize]) -> Vec<f64> {
    rows.iter().flat_map(|&i| columns.iter().map(move |&j| a[i * width + j])).collect()
}
