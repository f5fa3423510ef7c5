//! Products of row-major matrices on one thread. Parallelism belongs to the caller, who has many members to share out.

use std::any::TypeId;

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, MatMut, MatRef, Par};

use super::narrow;
use crate::scalar::Scalar;

/// A matrix lent to a product: a row-major slice, read as stored or transposed.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, S> {
    data: &'a [S],
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl<'a, S> View<'a, S> {
    /// Reads `data` as `[rows, columns]`, row by row.
    ///
    /// # Panics
    /// When the length is not `rows * columns`.
    pub fn new(data: &'a [S], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "a [{rows}, {columns}] view of {} numbers", data.len());
        Self { data, rows, columns, transposed: false }
    }

    /// The same numbers with rows and columns exchanged; nothing moves.
    pub fn transposed(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    /// The numbers as stored.
    pub(super) fn data(&self) -> &'a [S] {
        self.data
    }

    /// Whether rows and columns are exchanged.
    pub(super) fn is_transposed(&self) -> bool {
        self.transposed
    }

    /// `[rows, columns]` as seen by the product.
    pub fn shape(&self) -> [usize; 2] {
        if self.transposed { [self.columns, self.rows] } else { [self.rows, self.columns] }
    }
}

/// Matrix product: `dst = a b`, or `dst += a b` when `accumulate`.
///
/// * `dst`: `[m, n]`, row-major, overwritten (never read) unless `accumulate`
/// * `a`: `[m, k]`, `b`: `[k, n]`, each optionally [transposed](View::transposed)
///
/// Runs on the calling thread. The same shapes and numbers give the same bits on one machine; another instruction set may
/// round differently.
///
/// ```
/// use carnot_math::device::{View, product};
/// let (weights, input) = ([1.0, 2.0, 3.0, 4.0], [1.0, 10.0]);
/// let mut output = [0.0; 2];
/// product(&mut output, View::new(&input, 1, 2), View::new(&weights, 2, 2).transposed(), false);
/// assert_eq!(output, [21.0, 43.0]);
/// ```
///
/// # Panics
/// When the shapes do not fit each other.
pub fn product<S: Scalar>(dst: &mut [S], a: View<S>, b: View<S>, accumulate: bool) {
    product_into(dst, a, b, S::from_f64(1.0), accumulate);
}

/// Scaled matrix product: `dst = alpha a b`, or `dst += alpha a b` when `accumulate`. Shapes as in [`product`].
///
/// # Panics
/// When the shapes do not fit each other.
pub fn product_into<S: Scalar>(dst: &mut [S], a: View<S>, b: View<S>, alpha: S, accumulate: bool) {
    let ([m, k], [inner, n]) = (a.shape(), b.shape());
    assert_eq!(k, inner, "a product of [{m}, {k}] with [{inner}, {n}]");
    assert_eq!(dst.len(), m * n, "a product of shape [{m}, {n}] written to {} numbers", dst.len());
    if TypeId::of::<S>() == TypeId::of::<f32>() {
        // SAFETY: S is f32.
        let (dst, a, b) = unsafe { (cast_mut(dst), cast(a), cast(b)) };
        let start = if accumulate { Start::Itself } else { Start::Nothing };
        if alpha != S::from_f64(1.0) || !narrow::multiply(dst, a, b, start, &[]) {
            multiply::<f32>(dst, a, b, alpha.to_f64() as f32, accumulate);
        }
    } else {
        assert_eq!(TypeId::of::<S>(), TypeId::of::<f64>(), "Scalar is sealed: f32 or f64");
        // SAFETY: S is f64.
        unsafe { multiply::<f64>(cast_mut(dst), cast(a), cast(b), alpha.to_f64(), accumulate) }
    }
}

/// What a product is added to.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a, S> {
    /// Zero: what was there is overwritten.
    Nothing,
    /// What is there.
    Itself,
    /// A row `[n]`, the same for all rows: a bias.
    Row(&'a [S]),
}

/// Matrix product `dst = start + a b`, while what is needed next is fetched from afar. Shapes as in [`product`].
///
/// * `ahead`: any numbers; narrow products of single precision let them come nearer while they compute
///
/// # Panics
/// When the shapes do not fit each other.
pub fn product_from<S: Scalar>(dst: &mut [S], a: View<S>, b: View<S>, start: Start<S>, ahead: &[&[S]]) {
    let ([m, k], [inner, n]) = (a.shape(), b.shape());
    assert_eq!(k, inner, "a product of [{m}, {k}] with [{inner}, {n}]");
    assert_eq!(dst.len(), m * n, "a product of shape [{m}, {n}] written to {} numbers", dst.len());
    if let Start::Row(row) = start {
        assert_eq!(row.len(), n, "a product of shape [{m}, {n}] on top of a row of {} numbers", row.len());
    }
    if TypeId::of::<S>() == TypeId::of::<f32>() {
        // SAFETY: S is f32, in the numbers, in the start and in the slices of slices.
        let done = unsafe {
            let start = match start {
                Start::Nothing => Start::Nothing,
                Start::Itself => Start::Itself,
                Start::Row(row) => Start::Row(cast_slice(row)),
            };
            narrow::multiply(cast_mut(dst), cast(a), cast(b), start, cast_slice::<&[S], &[f32]>(ahead))
        };
        if done {
            return;
        }
    }
    if let Start::Row(row) = start {
        dst.chunks_exact_mut(n.max(1)).for_each(|to| to.copy_from_slice(row));
    }
    product(dst, a, b, !matches!(start, Start::Nothing));
}

/// Products of all rows with each other, added: `dst += a aᵀ`, with half the work of [`product_into`].
///
/// * `dst`: `[m, m]`, symmetric; `a`: `[m, k]`, optionally [transposed](View::transposed)
///
/// # Panics
/// When the shapes do not fit each other.
pub fn gram_into(dst: &mut [f64], a: View<f64>) {
    let [m, _] = a.shape();
    gram(dst, a, true);
    mirror(dst, m);
}

/// Lower triangle of the Gram matrix: `dst = a aᵀ`, or `dst += a aᵀ` when `accumulate`, on and below the diagonal; half the work of
/// [`product`]. What stands above the diagonal stays.
///
/// * `dst`: `[m, m]`, row-major; `a`: `[m, k]`, optionally [transposed](View::transposed)
///
/// # Panics
/// When the shapes do not fit each other.
pub fn gram<S: Scalar>(dst: &mut [S], a: View<S>, accumulate: bool) {
    let [m, _] = a.shape();
    assert_eq!(dst.len(), m * m, "a Gram matrix of {m} rows written to {} numbers", dst.len());
    if TypeId::of::<S>() == TypeId::of::<f32>() {
        // SAFETY: S is f32.
        unsafe { multiply_self::<f32>(cast_mut(dst), cast(a), 1.0, accumulate) }
    } else {
        assert_eq!(TypeId::of::<S>(), TypeId::of::<f64>(), "Scalar is sealed: f32 or f64");
        // SAFETY: S is f64.
        unsafe { multiply_self::<f64>(cast_mut(dst), cast(a), 1.0, accumulate) }
    }
}

/// faer's matrix is the transpose: its upper triangle is our lower one.
#[inline(always)]
fn multiply_self<T: faer::traits::ComplexField>(dst: &mut [T], a: View<T>, one: T, accumulate: bool) {
    let [m, _] = a.shape();
    let beta = if accumulate { Accum::Add } else { Accum::Replace };
    let columns = as_columns(a);
    triangular::matmul(
        MatMut::from_column_major_slice_mut(dst, m, m),
        BlockStructure::TriangularUpper,
        beta,
        columns.transpose(),
        BlockStructure::Rectangular,
        columns,
        BlockStructure::Rectangular,
        one,
        Par::Seq,
    );
}

/// Writes the lower triangle of `[m, m]`, row-major, above the diagonal too.
pub fn mirror(matrix: &mut [f64], m: usize) {
    for i in 1..m {
        (0..i).for_each(|j| matrix[j * m + i] = matrix[i * m + j]);
    }
}

/// SAFETY: `S` and `T` must be the same type.
unsafe fn cast<'a, S, T>(view: View<'a, S>) -> View<'a, T> {
    let data = unsafe { cast_slice(view.data) };
    View { data, rows: view.rows, columns: view.columns, transposed: view.transposed }
}

/// SAFETY: `S` and `T` must be the same type.
unsafe fn cast_slice<S, T>(data: &[S]) -> &[T] {
    unsafe { std::slice::from_raw_parts(data.as_ptr().cast(), data.len()) }
}

/// SAFETY: `S` and `T` must be the same type.
unsafe fn cast_mut<S, T>(data: &mut [S]) -> &mut [T] {
    unsafe { std::slice::from_raw_parts_mut(data.as_mut_ptr().cast(), data.len()) }
}

/// Written as the transpose, all column-major, which is faer's own layout; asking for row-major directly is as fast (measured at
/// the shapes of `benches/product.rs`).
#[inline(always)]
fn multiply<T: faer::traits::ComplexField>(
    dst: &mut [T],
    a: View<T>,
    b: View<T>,
    alpha: T,
    accumulate: bool,
) {
    let ([m, _], [_, n]) = (a.shape(), b.shape());
    let beta = if accumulate { Accum::Add } else { Accum::Replace };
    matmul(
        MatMut::from_column_major_slice_mut(dst, n, m),
        beta,
        as_columns(b),
        as_columns(a),
        alpha,
        Par::Seq,
    );
}

/// The transpose of a view as faer's matrix.
fn as_columns<'a, T: faer::traits::ComplexField>(view: View<'a, T>) -> MatRef<'a, T> {
    let stored = MatRef::from_column_major_slice(view.data, view.columns, view.rows);
    if view.transposed { stored.transpose() } else { stored }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn random<S: Scalar>(n: usize, at: u64) -> Vec<S> {
        let mut out = vec![S::default(); n];
        Stream::new(1, "product test", &[at]).fill_normal(&mut out, 1.0);
        out
    }

    fn entry<S: Scalar>(view: &View<S>, i: usize, j: usize) -> f64 {
        let (row, column) = if view.transposed { (j, i) } else { (i, j) };
        view.data[row * view.columns + column].to_f64()
    }

    #[test]
    fn products_of_rows_are_those_of_a_full_product() {
        for (m, k) in [(1, 1), (5, 3), (64, 100), (130, 7)] {
            let a = random::<f64>(m * k, 0);
            let (mut full, mut half) = (vec![1.0; m * m], vec![1.0; m * m]);
            let view = View::new(&a, m, k);
            product_into(&mut full, view, view.transposed(), 1.0, true);
            gram_into(&mut half, view);
            let near = |(x, y): (&f64, &f64)| (x - y).abs() < 1e-12 * k as f64;
            assert!(full.iter().zip(&half).all(near), "{m} {k}");
        }
    }

    fn check<S: Scalar>(m: usize, k: usize, n: usize, epsilon: f64) {
        let (a, b, start) = (random::<S>(m * k, 0), random::<S>(k * n, 1), random::<S>(m * n, 2));
        for flags in 0..8 {
            let (flip_a, flip_b, accumulate) = (flags & 1 > 0, flags & 2 > 0, flags & 4 > 0);
            let a = if flip_a { View::new(&a, k, m).transposed() } else { View::new(&a, m, k) };
            let b = if flip_b { View::new(&b, n, k).transposed() } else { View::new(&b, k, n) };
            let mut dst = if accumulate { start.clone() } else { vec![S::from_f64(f64::NAN); m * n] };
            product_into(&mut dst, a, b, S::from_f64(0.5), accumulate);
            for i in 0..m {
                for j in 0..n {
                    let sum: f64 = (0..k).map(|p| entry(&a, i, p) * entry(&b, p, j)).sum();
                    let expect = 0.5 * sum + if accumulate { start[i * n + j].to_f64() } else { 0.0 };
                    let got = dst[i * n + j].to_f64();
                    assert!(
                        (got - expect).abs() <= epsilon * (k as f64 + 1.0),
                        "{} [{m}, {k}, {n}] flags {flags} at ({i}, {j}): {got}, expected {expect}",
                        S::NAME
                    );
                }
            }
        }
    }

    #[test]
    fn products_agree_with_sums_by_definition() {
        for (m, k, n) in
            [(1, 1, 1), (3, 2, 5), (10, 100, 7), (17, 33, 64), (100, 100, 10), (2, 300, 65), (200, 140, 52)]
        {
            check::<f32>(m, k, n, 1e-6);
            check::<f64>(m, k, n, 1e-15);
        }
    }

    #[test]
    fn a_gram_matrix_is_the_lower_half_of_its_product() {
        for (m, k) in [(1, 1), (7, 30), (65, 3), (130, 70)] {
            let (a, start) = (random::<f64>(m * k, 0), random::<f64>(m * m, 2));
            for flags in 0..4 {
                let (flip, accumulate) = (flags & 1 > 0, flags & 2 > 0);
                let a = if flip { View::new(&a, k, m).transposed() } else { View::new(&a, m, k) };
                let (mut dst, mut expect) = (start.clone(), start.clone());
                gram(&mut dst, a, accumulate);
                product(&mut expect, a, a.transposed(), accumulate);
                for at in 0..m * m {
                    let is_below = at % m <= at / m;
                    let expect = if is_below { expect[at] } else { start[at] };
                    let tolerance = if is_below { 1e-14 * (k as f64 + 1.0) } else { 0.0 };
                    assert!((dst[at] - expect).abs() <= tolerance, "[{m}, {k}] flags {flags} at {at}");
                }
            }
        }
    }

    #[test]
    fn a_product_in_blocks_of_rows_has_the_bits_of_the_whole() {
        let (m, k, n) = (700, 150, 100);
        let (a, b, row) = (random::<f32>(m * k, 0), random::<f32>(k * n, 1), random::<f32>(n, 2));
        let whole = |to: &mut [f32], from: &[f32]| {
            let rows = from.len() / k;
            product_from(to, View::new(from, rows, k), View::new(&b, k, n), Start::Row(&row), &[&row, &[]]);
        };
        let (mut expect, mut blocks) = (vec![0f32; m * n], vec![0f32; m * n]);
        whole(&mut expect, &a);
        blocks.chunks_mut(128 * n).zip(a.chunks(128 * k)).for_each(|(to, from)| whole(to, from));
        // Where narrow products are at home; elsewhere blocks round in their own way.
        let near = |(x, y): (&f32, &f32)| (x - y).abs() < 1e-4;
        assert!(expect.iter().zip(&blocks).all(near));
        let mut added = vec![0f32; m * n];
        added.chunks_exact_mut(n).for_each(|to| to.copy_from_slice(&row));
        product(&mut added, View::new(&a, m, k), View::new(&b, k, n), true);
        assert!(expect.iter().zip(&added).all(near));
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            assert_eq!(expect, blocks);
        }
    }

    #[test]
    fn an_empty_sum_clears_or_keeps_the_destination() {
        let mut dst = [1f32, 2.0];
        product(&mut dst, View::new(&[], 2, 0), View::new(&[], 0, 1), true);
        assert_eq!(dst, [1.0, 2.0]);
        product(&mut dst, View::new(&[], 2, 0), View::new(&[], 0, 1), false);
        assert_eq!(dst, [0.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "a product of [2, 3] with [2, 1]")]
    fn shapes_that_do_not_fit_are_named() {
        product(&mut [0f32; 2], View::new(&[0.0; 6], 2, 3), View::new(&[0.0; 2], 2, 1), false);
    }
}
