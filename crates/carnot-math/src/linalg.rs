//! Dense linear algebra in double precision on row-major slices: a thin layer over faer, on one thread.
//!
//! [`large`] holds the decompositions that use every core.

pub mod large;
mod reduction;
mod tridiagonal;

use std::sync::Once;

use faer::linalg::solvers::Solve;
use faer::{Mat, MatRef, Par, Side};

use crate::device::wide::{Loop, Real, widest};
use crate::random::Stream;
use reduction::three_diagonals;
use tridiagonal::Tridiagonal;

/// Why a decomposition does not exist.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LinalgError {
    /// The slice does not hold a matrix of the stated shape.
    #[error("{found} numbers given, {expected} expected")]
    WrongLength {
        /// Numbers the shape needs.
        expected: usize,
        /// Numbers given.
        found: usize,
    },
    /// An entry is NaN or infinite.
    #[error("the entry at row {row}, column {column} is {value}")]
    NotFinite {
        /// Row.
        row: usize,
        /// Column.
        column: usize,
        /// NaN or an infinity.
        value: f64,
    },
    /// A pivot of the Cholesky factorisation is not positive.
    #[error("not positive definite: the leading {index} rows are, the next is not")]
    NotPositiveDefinite {
        /// First row at which the pivot is not positive.
        index: usize,
    },
    /// The iteration inside an eigenvalue or singular value routine did not settle.
    #[error("the iteration for a matrix of {n} rows did not converge")]
    NotConverged {
        /// Rows of the matrix.
        n: usize,
    },
}

/// Eigenvalues and eigenvectors of a symmetric matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Eigen {
    /// Ascending, `[n]`.
    pub values: Vec<f64>,
    /// `[n, n]`, row-major: row i is the unit eigenvector of value i.
    pub vectors: Vec<f64>,
}

/// Lower Cholesky factor L of a symmetric positive definite matrix, L Lᵀ = matrix.
///
/// * `matrix`: `[n, n]`, row-major; the lower triangle is read
/// * returns: `[n, n]`, row-major, zeros above the diagonal
///
/// # Errors
/// [`LinalgError::NotPositiveDefinite`], [`LinalgError::NotFinite`], [`LinalgError::WrongLength`].
pub fn cholesky(matrix: &[f64], n: usize) -> Result<Vec<f64>, LinalgError> {
    let factor = factor(matrix, n)?;
    let lower = factor.L();
    Ok((0..n * n).map(|at| if at % n <= at / n { lower[(at / n, at % n)] } else { 0.0 }).collect())
}

/// Solves matrix x = rhs for a symmetric positive definite matrix.
///
/// * `matrix`: `[n, n]`, row-major; the lower triangle is read
/// * `rhs`: `[n, m]`, row-major
/// * returns: x, `[n, m]`, row-major
///
/// # Errors
/// As [`cholesky`].
pub fn solve_spd(matrix: &[f64], n: usize, rhs: &[f64]) -> Result<Vec<f64>, LinalgError> {
    let columns = rhs.len().checked_div(n).unwrap_or(0);
    let rhs = view(rhs, n, columns)?;
    let solution = factor(matrix, n)?.solve(rhs);
    Ok(row_major(solution.as_ref()))
}

/// Logarithm of the determinant of a symmetric positive definite matrix, without ever forming the determinant.
///
/// # Errors
/// As [`cholesky`].
pub fn ln_det(matrix: &[f64], n: usize) -> Result<f64, LinalgError> {
    let factor = factor(matrix, n)?;
    Ok(2.0 * (0..n).map(|i| factor.L()[(i, i)].ln()).sum::<f64>())
}

/// Eigenvalues (ascending) and eigenvectors of a symmetric matrix.
///
/// * `matrix`: `[n, n]`, row-major; the lower triangle is read
///
/// # Errors
/// [`LinalgError::NotFinite`], [`LinalgError::WrongLength`], [`LinalgError::NotConverged`].
pub fn symmetric_eigen(matrix: &[f64], n: usize) -> Result<Eigen, LinalgError> {
    let matrix = view(matrix, n, n)?;
    if n == 0 {
        return Ok(Eigen { values: vec![], vectors: vec![] });
    }
    let eigen = matrix.self_adjoint_eigen(Side::Lower).map_err(|_| LinalgError::NotConverged { n })?;
    let values = (0..n).map(|i| eigen.S()[i]).collect();
    Ok(Eigen { values, vectors: row_major(eigen.U().transpose()) })
}

/// Eigenvalues of a symmetric matrix, ascending, without the vectors: about a quarter of the work of [`symmetric_eigen`].
///
/// * `matrix`: `[n, n]`, row-major; the lower triangle is read
///
/// # Errors
/// As [`symmetric_eigen`].
pub fn symmetric_eigenvalues(matrix: &[f64], n: usize) -> Result<Vec<f64>, LinalgError> {
    if matrix.len() != n * n {
        return Err(LinalgError::WrongLength { expected: n * n, found: matrix.len() });
    }
    if n == 0 {
        return Ok(vec![]);
    }
    let largest = largest(matrix);
    if largest.is_nan() {
        view(matrix, n, n)?;
    }
    if largest == 0.0 {
        return Ok(vec![0.0; n]);
    }
    // Divided by the power of two below the largest, which rounds nothing, so that no square leaves the range.
    let scale = f64::from_bits(largest.to_bits() & f64::INFINITY.to_bits()).max(f64::MIN_POSITIVE);
    let (diagonal, beside) = three_diagonals(matrix, n, scale);
    let values = Tridiagonal::new(diagonal, &beside).eigenvalues()?;
    Ok(values.into_iter().map(|value| value * scale).collect())
}

/// The largest size of an entry; NaN when one is NaN or infinite.
fn largest(entries: &[f64]) -> f64 {
    const LANES: usize = 16;
    struct Sizes<'a>(&'a [f64]);
    impl Loop<f64> for Sizes<'_> {
        #[inline(always)]
        fn run<const FMA: bool>(self, most: &mut [f64], bad: &mut [f64], _: &mut [f64]) {
            let (most, bad) = (&mut most[..LANES], &mut bad[..LANES]);
            // Zero times what is not finite is NaN, which stays in a sum.
            let whole = self.0.chunks_exact(4 * LANES);
            for (x, lane) in whole.remainder().iter().zip((0..LANES).cycle()) {
                most[lane] = x.abs().greatest(most[lane]);
                bad[lane] += 0.0 * x;
            }
            for chunk in whole {
                let (a, b) = chunk.split_at(2 * LANES);
                for lane in 0..LANES {
                    let (a, b, c, d) = (a[lane], a[lane + LANES], b[lane], b[lane + LANES]);
                    let two = a.abs().greatest(b.abs());
                    most[lane] = c.abs().greatest(d.abs()).greatest(two).greatest(most[lane]);
                    bad[lane] += 0.0 * a + 0.0 * b + (0.0 * c + 0.0 * d);
                }
            }
        }
    }
    let (mut most, mut bad) = ([0.0; LANES], [0.0; LANES]);
    widest(Sizes(entries), &mut most, &mut bad, &mut []);
    most.iter().fold(0.0f64, |most, x| most.max(*x)) + bad.iter().sum::<f64>()
}

/// Singular values of a matrix, descending.
///
/// * `matrix`: `[rows, columns]`, row-major
/// * returns: min(rows, columns) numbers ≥ 0
///
/// # Errors
/// As [`symmetric_eigen`].
pub fn singular_values(matrix: &[f64], rows: usize, columns: usize) -> Result<Vec<f64>, LinalgError> {
    let matrix = view(matrix, rows, columns)?;
    if matrix.nrows() * matrix.ncols() == 0 {
        return Ok(vec![]);
    }
    matrix.singular_values().map_err(|_| LinalgError::NotConverged { n: rows })
}

/// A thin singular value decomposition, A = U Σ Vᵀ, with min(rows, columns) terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Svd {
    /// Singular values, descending.
    pub sigma: Vec<f64>,
    /// Right singular vectors, one a row: `[terms, columns]`.
    pub right: Vec<f64>,
}

/// Singular values and right singular vectors of a matrix of any shape, row-major `[rows, columns]`.
///
/// # Errors
/// [`LinalgError::WrongLength`], [`LinalgError::NotFinite`], [`LinalgError::NotConverged`].
pub fn thin_svd(matrix: &[f64], rows: usize, columns: usize) -> Result<Svd, LinalgError> {
    let matrix = view(matrix, rows, columns)?;
    if rows * columns == 0 {
        return Ok(Svd { sigma: vec![], right: vec![] });
    }
    let svd = matrix.thin_svd().map_err(|_| LinalgError::NotConverged { n: rows })?;
    let sigma = (0..rows.min(columns)).map(|i| svd.S()[i]).collect();
    Ok(Svd { sigma, right: row_major(svd.V().transpose()) })
}

/// A uniformly (Haar) random matrix with orthonormal rows or columns, whichever are fewer.
///
/// QR of a Gaussian matrix; the signs of R's diagonal are moved into Q, without which the law would not be uniform.
///
/// * returns: `[rows, columns]`, row-major
///
/// Source: Mezzadri 2007, *How to generate random matrices from the classical compact groups*.
pub fn orthogonal(rows: usize, columns: usize, stream: &mut Stream) -> Vec<f64> {
    sequential();
    let (long, short) = (rows.max(columns), rows.min(columns));
    if short == 0 {
        return vec![];
    }
    let mut draws = vec![0.0; long * short];
    stream.fill_normal(&mut draws, 1.0);
    let qr = MatRef::from_row_major_slice(&draws, long, short).qr();
    let mut q: Mat<f64> = qr.compute_thin_Q();
    let r = qr.thin_R();
    for j in 0..short {
        if r[(j, j)] < 0.0 {
            (0..long).for_each(|i| q[(i, j)] = -q[(i, j)]);
        }
    }
    if rows >= columns { row_major(q.as_ref()) } else { row_major(q.transpose()) }
}

fn factor(matrix: &[f64], n: usize) -> Result<faer::linalg::solvers::Llt<f64>, LinalgError> {
    view(matrix, n, n)?.llt(Side::Lower).map_err(|error| match error {
        faer::linalg::cholesky::llt::factor::LltError::NonPositivePivot { index } => {
            LinalgError::NotPositiveDefinite { index }
        }
    })
}

/// Checks length and finiteness, so that faer never meets a NaN.
fn view(data: &[f64], rows: usize, columns: usize) -> Result<MatRef<'_, f64>, LinalgError> {
    sequential();
    if data.len() != rows * columns {
        return Err(LinalgError::WrongLength { expected: rows * columns, found: data.len() });
    }
    match data.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(LinalgError::NotFinite { row: at / columns, column: at % columns, value: data[at] }),
        None => Ok(MatRef::from_row_major_slice(data, rows, columns)),
    }
}

/// faer's solvers read a global setting. One thread: members are shared out above, and the bits must not depend on the machine's
/// load. Nothing else in Carnot uses faer, so the setting is ours.
fn sequential() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| faer::set_global_parallelism(Par::Seq));
}

fn row_major(matrix: MatRef<'_, f64>) -> Vec<f64> {
    let (rows, columns) = (matrix.nrows(), matrix.ncols());
    let mut out = Vec::with_capacity(rows * columns);
    for i in 0..rows {
        out.extend((0..columns).map(|j| matrix[(i, j)]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{View, product};

    fn random(n: usize, seed: u64) -> Vec<f64> {
        let mut out = vec![0.0; n];
        Stream::new(seed, "linalg test", &[]).fill_normal(&mut out, 1.0);
        out
    }

    /// A Aᵀ + 1.
    fn positive(n: usize) -> Vec<f64> {
        let a = random(n * n, 1);
        let mut out: Vec<f64> = (0..n * n).map(|at| f64::from(at / n == at % n)).collect();
        product(&mut out, View::new(&a, n, n), View::new(&a, n, n).transposed(), true);
        out
    }

    fn assert_close(got: &[f64], expect: &[f64], tolerance: f64) {
        assert_eq!(got.len(), expect.len());
        for (i, (g, e)) in got.iter().zip(expect).enumerate() {
            assert!((g - e).abs() <= tolerance, "entry {i}: {g}, expected {e}");
        }
    }

    #[test]
    fn cholesky_factors_multiply_back() {
        let n = 37;
        let matrix = positive(n);
        let lower = cholesky(&matrix, n).unwrap();
        let mut back = vec![0.0; n * n];
        product(&mut back, View::new(&lower, n, n), View::new(&lower, n, n).transposed(), false);
        assert_close(&back, &matrix, 1e-11);
        let expect = 2.0 * (0..n).map(|i| lower[i * n + i].ln()).sum::<f64>();
        assert!((ln_det(&matrix, n).unwrap() - expect).abs() < 1e-12);
    }

    #[test]
    fn solutions_solve() {
        let (n, m) = (23, 4);
        let (matrix, x) = (positive(n), random(n * m, 5));
        let mut rhs = vec![0.0; n * m];
        product(&mut rhs, View::new(&matrix, n, n), View::new(&x, n, m), false);
        assert_close(&solve_spd(&matrix, n, &rhs).unwrap(), &x, 1e-10);
    }

    #[test]
    fn eigenvectors_diagonalise() {
        let n = 20;
        let matrix = positive(n);
        let Eigen { values, vectors } = symmetric_eigen(&matrix, n).unwrap();
        assert_close(&symmetric_eigenvalues(&matrix, n).unwrap(), &values, 1e-11);
        assert!(values.windows(2).all(|pair| pair[0] <= pair[1]));
        for (value, vector) in values.iter().zip(vectors.chunks(n)) {
            let mut image = vec![0.0; n];
            product(&mut image, View::new(&matrix, n, n), View::new(vector, n, 1), false);
            let expect: Vec<f64> = vector.iter().map(|v| value * v).collect();
            assert_close(&image, &expect, 1e-11);
        }
    }

    #[test]
    fn singular_values_are_roots_of_eigenvalues() {
        let (rows, columns) = (9, 5);
        let a = random(rows * columns, 3);
        let mut square = vec![0.0; columns * columns];
        product(&mut square, View::new(&a, rows, columns).transposed(), View::new(&a, rows, columns), false);
        let eigen = symmetric_eigen(&square, columns).unwrap().values;
        let expect: Vec<f64> = eigen.iter().rev().map(|x| x.sqrt()).collect();
        assert_close(&singular_values(&a, rows, columns).unwrap(), &expect, 1e-12);
        assert!(singular_values(&[], 0, 5).unwrap().is_empty());
    }

    #[test]
    fn right_singular_vectors_diagonalise() {
        for (rows, columns) in [(4, 9), (9, 4)] {
            let a = random(rows * columns, 6);
            let svd = thin_svd(&a, rows, columns).unwrap();
            assert_close(&svd.sigma, &singular_values(&a, rows, columns).unwrap(), 1e-12);
            for (sigma, vector) in svd.sigma.iter().zip(svd.right.chunks(columns)) {
                let mut image = vec![0.0; rows];
                product(&mut image, View::new(&a, rows, columns), View::new(vector, columns, 1), false);
                let length = image.iter().map(|x| x * x).sum::<f64>().sqrt();
                assert!((length - sigma).abs() < 1e-12, "{length}, expected {sigma}");
            }
        }
    }

    #[test]
    fn orthogonal_matrices_are_orthogonal_and_uniform() {
        for (rows, columns) in [(6, 6), (8, 3), (3, 8), (1, 5)] {
            let q = orthogonal(rows, columns, &mut Stream::new(1, "q", &[]));
            let view = View::new(&q, rows, columns);
            let short = rows.min(columns);
            let mut gram = vec![0.0; short * short];
            if rows >= columns {
                product(&mut gram, view.transposed(), view, false);
            } else {
                product(&mut gram, view, view.transposed(), false);
            }
            let identity: Vec<f64> =
                (0..short * short).map(|at| f64::from(at / short == at % short)).collect();
            assert_close(&gram, &identity, 1e-13);
        }
        // Every entry of a uniform 3 x 3 matrix has mean 0 and variance 1/3; without the sign fix the diagonal has not.
        let mut moments = crate::stats::Moments::default();
        for at in 0..2000 {
            moments.push(orthogonal(3, 3, &mut Stream::new(2, "haar", &[at]))[0]);
        }
        let (z_mean, z_variance) =
            (moments.mean() / moments.error(), (moments.variance() - 1.0 / 3.0) / moments.variance_error());
        assert!(z_mean.abs() < 4.0 && z_variance.abs() < 4.0, "z = {z_mean}, {z_variance} (seed 2)");
    }

    #[test]
    fn what_cannot_be_decomposed_is_refused_with_its_place() {
        let refused = cholesky(&[1.0, 2.0, 2.0, 1.0], 2).unwrap_err();
        assert!(matches!(refused, LinalgError::NotPositiveDefinite { index: 1 }), "{refused:?}");
        assert!(matches!(
            symmetric_eigen(&[1.0, f64::NAN, 0.0, 1.0], 2),
            Err(LinalgError::NotFinite { row: 0, column: 1, .. })
        ));
        assert_eq!(ln_det(&[1.0; 3], 2), Err(LinalgError::WrongLength { expected: 4, found: 3 }));
        assert_eq!(
            solve_spd(&[1.0], 1, &[f64::INFINITY]).unwrap_err(),
            LinalgError::NotFinite { row: 0, column: 0, value: f64::INFINITY }
        );
    }
}
