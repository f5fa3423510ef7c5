//! Decompositions of large symmetric matrices on every core, with the same bits whatever the number of threads.
//!
//! The work is cut into parts whose number depends on nothing but the shape, and the threads of the calling rayon pool take them as they
//! come. Symmetric matrices are row-major and complete; each function says which triangle it reads.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{LltError, cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::prelude::default;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::{Eigen, LinalgError};
use crate::device::{View, product};

/// Parts that the eigenvalue routine is cut into. Its parts wait for each other: more would help machines of more cores and cost
/// small ones. At n = 2000 on two cores, 4 parts take 0.77 s, 2 take 0.75 s, one 1.3 s.
const PARTS: usize = 4;

/// Rows or columns that one thread computes at a time.
const ROWS: usize = 64;

fn parts() -> Par {
    Par::rayon(PARTS)
}

/// Row-major product `dst = a b` with a `[m, k]`, b `[k, n]`, shared out by rows of `a`.
///
/// Many columns run at the speed of a matrix product, few at the speed of reading `a` once.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn multiply(dst: &mut [f64], a: &[f64], b: View<f64>) {
    let [inner, columns] = b.shape();
    if dst.is_empty() {
        return;
    }
    assert!(columns > 0 && dst.len().is_multiple_of(columns), "{} numbers in rows of {columns}", dst.len());
    let rows = dst.len() / columns;
    assert_eq!(a.len(), rows * inner, "a factor of shape [{rows}, {inner}] in {} numbers", a.len());
    if inner == 0 {
        return dst.fill(0.0);
    }
    dst.par_chunks_mut(ROWS * columns).zip(a.par_chunks(ROWS * inner)).for_each(|(dst, a)| {
        product(dst, View::new(a, dst.len() / columns, inner), b, false);
    });
}

/// Eigenvalues (ascending) and eigenvectors of a symmetric matrix; the upper triangle of the row-major matrix is read.
///
/// * `matrix`: `[n, n]`, row-major
///
/// # Errors
/// As [`symmetric_eigen`](super::symmetric_eigen).
pub fn eigen(matrix: &[f64], n: usize) -> Result<Eigen, LinalgError> {
    check(matrix, n)?;
    let (mut values, mut vectors) = (vec![0.0; n], vec![0.0; n * n]);
    if n == 0 {
        return Ok(Eigen { values, vectors });
    }
    let mut diagonal = Diag::zeros(n);
    let need = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, parts(), default());
    self_adjoint_evd(
        MatRef::from_column_major_slice(matrix, n, n),
        diagonal.as_mut(),
        Some(MatMut::from_column_major_slice_mut(&mut vectors, n, n)),
        parts(),
        MemStack::new(&mut MemBuffer::new(need)),
        default(),
    )
    .map_err(|_| LinalgError::NotConverged { n })?;
    (0..n).for_each(|i| values[i] = diagonal[i]);
    Ok(Eigen { values, vectors })
}

/// A matrix without a Cholesky factor, as it was given, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The reason.
    pub why: LinalgError,
    /// `[n, n]`, row-major; its upper triangle has been made equal to the lower one.
    pub matrix: Vec<f64>,
}

/// Rebuilds a symmetric matrix from its diagonal and its lower triangle (row-major).
fn restore(matrix: &mut [f64], diagonal: &[f64]) {
    let n = diagonal.len();
    for i in 0..n {
        matrix[i * (n + 1)] = diagonal[i];
        (0..i).for_each(|j| matrix[j * n + i] = matrix[i * n + j]);
    }
}

/// Cholesky factorisation, matrix = L Lᵀ, kept in the memory of the matrix.
#[derive(Clone, Debug)]
pub struct Cholesky {
    n: usize,
    /// L, column-major; what stands above its diagonal is left over from the matrix.
    factor: Vec<f64>,
}

impl Cholesky {
    /// Factorises a symmetric positive definite matrix in place; the upper triangle of the row-major matrix is read.
    ///
    /// # Errors
    /// [`Refused`], with the matrix as it was: [`LinalgError::NotPositiveDefinite`], [`LinalgError::NotFinite`] or
    /// [`LinalgError::WrongLength`].
    pub fn of(mut matrix: Vec<f64>, n: usize) -> Result<Self, Refused> {
        if let Err(why) = check(&matrix, n) {
            return Err(Refused { why, matrix });
        }
        if n == 0 {
            return Ok(Self { n, factor: matrix });
        }
        let diagonal: Vec<f64> = (0..n).map(|i| matrix[i * (n + 1)]).collect();
        match factorise(MatMut::from_column_major_slice_mut(&mut matrix, n, n)) {
            Ok(()) => Ok(Self { n, factor: matrix }),
            Err(index) => {
                restore(&mut matrix, &diagonal);
                Err(Refused { why: LinalgError::NotPositiveDefinite { index }, matrix })
            }
        }
    }

    /// The matrix back, in its own memory, from the triangle that the factorisation does not touch.
    ///
    /// * `diagonal`: of the matrix, `[n]`
    ///
    /// # Panics
    /// When the length of the diagonal is not n.
    pub fn undo(self, diagonal: &[f64]) -> Vec<f64> {
        assert_eq!(diagonal.len(), self.n, "a diagonal of {} rows", self.n);
        let mut matrix = self.factor;
        restore(&mut matrix, diagonal);
        matrix
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.n
    }

    fn lower(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.factor, self.n, self.n)
    }

    /// Diagonal of L, `[n]`.
    pub fn pivots(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.n).map(|i| self.factor[i * (self.n + 1)])
    }

    /// Logarithm of the determinant of the matrix.
    pub fn ln_det(&self) -> f64 {
        2.0 * self.pivots().map(f64::ln).sum::<f64>()
    }

    /// Replaces every row b of `[m, n]` by L⁻¹ b.
    ///
    /// # Panics
    /// When the length is no multiple of n.
    pub fn half_solve_rows(&self, rows: &mut [f64]) {
        self.each_group(rows, |group| solve_lower_triangular_in_place(self.lower(), group, Par::Seq));
    }

    /// Replaces every row b of `[m, n]` by matrix⁻¹ b.
    ///
    /// # Panics
    /// When the length is no multiple of n.
    pub fn solve_rows(&self, rows: &mut [f64]) {
        self.each_group(rows, |mut group| {
            solve_lower_triangular_in_place(self.lower(), group.as_mut(), Par::Seq);
            solve_upper_triangular_in_place(self.lower().transpose(), group, Par::Seq);
        });
    }

    /// Right-hand sides in groups of [`ROWS`], shared out.
    fn each_group(&self, rows: &mut [f64], work: impl Fn(MatMut<'_, f64>) + Sync) {
        let n = self.n;
        self.count(rows.len());
        if n > 0 {
            rows.par_chunks_mut(ROWS * n).for_each(|group| {
                let count = group.len() / n;
                work(MatMut::from_column_major_slice_mut(group, n, count));
            });
        }
    }

    /// Solves matrix x = rhs for `rhs` `[n, m]`, row-major, in place.
    ///
    /// # Panics
    /// When the length is no multiple of n.
    pub fn solve(&self, rhs: &mut [f64]) {
        let m = self.count(rhs.len());
        let mut rows = transpose(rhs, self.n, m);
        self.solve_rows(&mut rows);
        rhs.copy_from_slice(&transpose(&rows, m, self.n));
    }

    /// Diagonal of the inverse, `[n]`: sums of squares over the columns of L⁻¹, which are made in groups and not kept.
    pub fn inverse_diagonal(&self) -> Vec<f64> {
        let n = self.n;
        let mut diagonal = vec![0.0; n];
        diagonal.par_chunks_mut(ROWS).enumerate().for_each(|(at, out)| {
            // Column i of L⁻¹ is zero above row i: the group needs only what is below its first row.
            let (first, height) = (at * ROWS, n - at * ROWS);
            let mut columns = vec![0.0; height * out.len()];
            (0..out.len()).for_each(|i| columns[i * (height + 1)] = 1.0);
            let lower = self.lower().submatrix(first, first, height, height);
            let rhs = MatMut::from_column_major_slice_mut(&mut columns, height, out.len());
            solve_lower_triangular_in_place(lower, rhs, Par::Seq);
            out.iter_mut().zip(columns.chunks(height)).for_each(|(d, column)| {
                *d = column.iter().map(|x| x * x).sum();
            });
        });
        diagonal
    }

    fn count(&self, length: usize) -> usize {
        if self.n == 0 {
            return 0;
        }
        assert_eq!(length % self.n, 0, "{length} numbers in rows of {}", self.n);
        length / self.n
    }
}

/// Columns of L that are computed together: wide enough for products to dominate, small enough for one core.
const PANEL: usize = 192;

/// Right-looking Cholesky by panels. faer's own uses the other triangle as scratch; here it stays, so that the matrix can be restored.
///
/// On failure: the first row whose pivot is not positive.
fn factorise(mut rest: MatMut<'_, f64>) -> Result<(), usize> {
    let mut scratch = MemBuffer::new(cholesky_in_place_scratch::<f64>(PANEL, Par::Seq, default()));
    let mut done = 0;
    while rest.nrows() > 0 {
        let width = PANEL.min(rest.nrows());
        let (mut corner, _, below, mut next) = rest.split_at_mut(width, width);
        let mut block = Mat::from_fn(width, width, |i, j| if i >= j { corner[(i, j)] } else { 0.0 });
        let stack = MemStack::new(&mut scratch);
        cholesky_in_place(block.as_mut(), default(), Par::Seq, stack, default())
            .map_err(|LltError::NonPositivePivot { index }| done + index)?;
        (0..width).for_each(|j| (j..width).for_each(|i| corner[(i, j)] = block[(i, j)]));
        // Solved in a copy whose rows lie together: threads take rows, and the update reads it many times.
        let mut panel = vec![0.0; below.nrows() * width];
        let mut below = below;
        panel.par_chunks_mut(ROWS * width).enumerate().for_each(|(at, rows)| {
            let height = rows.len() / width;
            let mut rows = MatMut::from_column_major_slice_mut(rows, width, height);
            rows.copy_from(below.as_ref().subrows(at * ROWS, height).transpose());
            solve_lower_triangular_in_place(block.as_ref(), rows, Par::Seq);
        });
        let panel = MatRef::from_column_major_slice(&panel, width, below.nrows());
        below.copy_from(panel.transpose());
        columns_of(next.as_mut()).into_par_iter().enumerate().for_each(|(at, columns)| {
            subtract_outer(columns, panel, at * ROWS);
        });
        (rest, done) = (next, done + width);
    }
    Ok(())
}

/// Columns in groups of [`ROWS`].
fn columns_of(matrix: MatMut<'_, f64>) -> Vec<MatMut<'_, f64>> {
    let (mut groups, mut rest) = (vec![], matrix);
    while rest.ncols() > ROWS {
        let (group, more) = rest.split_at_col_mut(ROWS);
        groups.push(group);
        rest = more;
    }
    groups.push(rest);
    groups
}

/// Lower triangle of columns `first…` less panelᵀ panel.
fn subtract_outer(columns: MatMut<'_, f64>, panel: MatRef<'_, f64>, first: usize) {
    let width = columns.ncols();
    let (_, lower) = columns.split_at_row_mut(first);
    let (corner, below) = lower.split_at_row_mut(width);
    let own = panel.subcols(first, width);
    triangular::matmul(
        corner,
        BlockStructure::TriangularLower,
        Accum::Add,
        own.transpose(),
        BlockStructure::Rectangular,
        own,
        BlockStructure::Rectangular,
        -1.0,
        Par::Seq,
    );
    let others = panel.subcols(first + width, below.nrows());
    matmul(below, Accum::Add, others.transpose(), own, -1.0, Par::Seq);
}

/// Transpose of a row-major `[rows, columns]` matrix.
///
/// # Panics
/// When the length is not `rows * columns`.
pub fn transpose(matrix: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    assert_eq!(matrix.len(), rows * columns, "a [{rows}, {columns}] matrix in {} numbers", matrix.len());
    let mut out = vec![0.0; rows * columns];
    if out.is_empty() {
        return out;
    }
    // Blocks of both sides stay in the cache; a plain loop misses it on every element of large matrices.
    const BLOCK: usize = 32;
    out.par_chunks_mut(BLOCK * rows).enumerate().for_each(|(block, out)| {
        let first = block * BLOCK;
        for start in (0..rows).step_by(BLOCK) {
            for (j, out) in out.chunks_mut(rows).enumerate() {
                for i in start..(start + BLOCK).min(rows) {
                    out[i] = matrix[i * columns + first + j];
                }
            }
        }
    });
    out
}

/// Checks shape and finiteness, so that faer never meets a NaN.
fn check(matrix: &[f64], n: usize) -> Result<(), LinalgError> {
    if matrix.len() != n * n {
        return Err(LinalgError::WrongLength { expected: n * n, found: matrix.len() });
    }
    match matrix.par_iter().position_first(|x| !x.is_finite()) {
        Some(at) => Err(LinalgError::NotFinite { row: at / n, column: at % n, value: matrix[at] }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg;
    use crate::random::Stream;

    fn normals(count: usize, seed: u64) -> Vec<f64> {
        let mut out = vec![0.0; count];
        Stream::new(seed, "large test", &[]).fill_normal(&mut out, 1.0);
        out
    }

    /// A Aᵀ / n + 1.
    fn positive(n: usize) -> Vec<f64> {
        let a = normals(n * n, 1);
        let mut out = vec![0.0; n * n];
        multiply(&mut out, &a, View::new(&a, n, n).transposed());
        (0..n * n).for_each(|at| out[at] = out[at] / n as f64 + f64::from(at / n == at % n));
        out
    }

    fn furthest(a: &[f64], b: &[f64]) -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn they_agree_with_the_decompositions_on_one_thread() {
        for n in [1, 2, 63, 64, 65, 300, 600] {
            let matrix = positive(n);
            let cholesky = Cholesky::of(matrix.clone(), n).unwrap();
            assert!((cholesky.ln_det() - linalg::ln_det(&matrix, n).unwrap()).abs() < 1e-11);
            let rhs = normals(n * 3, 2);
            let mut solved = rhs.clone();
            cholesky.solve(&mut solved);
            assert!(furthest(&solved, &linalg::solve_spd(&matrix, n, &rhs).unwrap()) < 1e-12);
            let identity: Vec<f64> = (0..n * n).map(|at| f64::from(at / n == at % n)).collect();
            let inverse = linalg::solve_spd(&matrix, n, &identity).unwrap();
            let diagonal: Vec<f64> = (0..n).map(|i| inverse[i * (n + 1)]).collect();
            assert!(furthest(&cholesky.inverse_diagonal(), &diagonal) < 1e-12);
            let Eigen { values, vectors } = eigen(&matrix, n).unwrap();
            assert!(furthest(&values, &linalg::symmetric_eigen(&matrix, n).unwrap().values) < 1e-12);
            let mut images = vec![0.0; n * n];
            multiply(&mut images, &vectors, View::new(&matrix, n, n));
            let expect: Vec<f64> = (0..n * n).map(|at| values[at / n] * vectors[at]).collect();
            assert!(furthest(&images, &expect) < 1e-11);
        }
    }

    #[test]
    fn half_solutions_have_the_length_of_the_inverse() {
        let n = 40;
        let matrix = positive(n);
        let cholesky = Cholesky::of(matrix.clone(), n).unwrap();
        let b = normals(n, 3);
        let (mut half, mut full) = (b.clone(), b.clone());
        cholesky.half_solve_rows(&mut half);
        cholesky.solve_rows(&mut full);
        let length: f64 = half.iter().map(|x| x * x).sum();
        let expect: f64 = b.iter().zip(&full).map(|(x, y)| x * y).sum();
        assert!((length - expect).abs() < 1e-12, "{length} {expect}");
    }

    #[test]
    fn the_bits_do_not_depend_on_the_number_of_threads() {
        // Large enough that every routine goes parallel.
        let n = 700;
        let (matrix, rhs) = (positive(n), normals(n * 20, 4));
        let all = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let cholesky = Cholesky::of(matrix.clone(), n).unwrap();
                let mut solved = rhs.clone();
                cholesky.solve(&mut solved);
                let Eigen { values, vectors } = eigen(&matrix, n).unwrap();
                let mut image = vec![0.0; n * 20];
                multiply(&mut image, &matrix, View::new(&rhs, n, 20));
                let parts = [solved, values, vectors, image, cholesky.inverse_diagonal()];
                parts.concat().into_iter().map(f64::to_bits).collect::<Vec<_>>()
            })
        };
        let one = all(1);
        for threads in [2, 3, 5] {
            assert!(all(threads) == one, "{threads} threads");
        }
    }

    #[test]
    fn what_cannot_be_decomposed_is_refused_with_its_place() {
        let indefinite = vec![4.0, 2.0, 1.0, 2.0, 1.0, 3.0, 1.0, 3.0, 1.0];
        let refused = Cholesky::of(indefinite.clone(), 3).unwrap_err();
        assert_eq!(
            refused,
            Refused { why: LinalgError::NotPositiveDefinite { index: 1 }, matrix: indefinite }
        );
        let refused = eigen(&[1.0, 0.0, f64::NAN, 1.0], 2).unwrap_err();
        assert!(matches!(refused, LinalgError::NotFinite { row: 1, column: 0, .. }), "{refused:?}");
        assert!(matches!(Cholesky::of(vec![1.0; 3], 2).unwrap_err().why, LinalgError::WrongLength { .. }));
    }

    #[test]
    fn a_factorisation_can_be_undone_to_the_bit() {
        let n = 300;
        let mut matrix = positive(n);
        (0..n * n).filter(|at| at / n < at % n).for_each(|at| matrix[at] = matrix[at % n * n + at / n]);
        let diagonal: Vec<f64> = (0..n).map(|i| matrix[i * (n + 1)]).collect();
        assert!(Cholesky::of(matrix.clone(), n).unwrap().undo(&diagonal) == matrix);
    }

    #[test]
    fn transposing_moves_every_entry() {
        let (rows, columns) = (67, 41);
        let matrix = normals(rows * columns, 5);
        let flipped = transpose(&matrix, rows, columns);
        assert!((0..rows * columns).all(|at| flipped[at % columns * rows + at / columns] == matrix[at]));
    }
}
