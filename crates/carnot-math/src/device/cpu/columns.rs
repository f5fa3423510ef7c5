//! Columns of a matrix, normalised over its rows: what batch normalisation does.
//!
//! Sums run over blocks of rows in the number type and over the blocks in double precision, always in the same order.

use super::{multiversion, over_columns};
use crate::scalar::Scalar;

/// Rows of a block: few enough that the sum of a block keeps the digits of single precision.
const BLOCK: usize = 64;

multiversion! {
    /// The transpose: `dst[j, i] = src[i, j]`.
    ///
    /// * `dst`: `[columns, rows]`, `src`: `[rows, columns]`
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn transpose<S: Scalar>(dst: &mut [S], src: &[S], columns: usize) {
        assert!(dst.len() == src.len() && columns > 0 && src.len().is_multiple_of(columns),
            "the transpose of {} numbers in {columns} columns, written to {}", src.len(), dst.len());
        let rows = src.len() / columns;
        // Squares of a cache line, so that every line is fetched once.
        for top in (0..rows).step_by(16) {
            let bottom = (top + 16).min(rows);
            for (column, to) in dst.chunks_exact_mut(rows).enumerate() {
                for (row, to) in (top..bottom).zip(&mut to[top..bottom]) {
                    *to = src[row * columns + column];
                }
            }
        }
    }

    /// Mean and variance (over n, not n − 1) of each column.
    ///
    /// * `mean`, `variance`: `[n]`, overwritten
    /// * `src`: `[rows, n]`, rows > 0
    /// * `work`: `[3 n]`, overwritten
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn column_moments<S: Scalar>(mean: &mut [f64], variance: &mut [f64], src: &[S], work: &mut [S]) {
        let n = mean.len();
        assert!(n > 0 && src.len() >= n && src.len().is_multiple_of(n), "moments of {} numbers in {n} columns", src.len());
        assert!(variance.len() == n && work.len() == 3 * n, "room for {n} columns");
        // Differences from the first row: a column far from zero keeps its digits, and a constant one has variance zero.
        let (origin, work) = work.split_at_mut(n);
        origin.copy_from_slice(&src[..n]);
        mean.fill(0.0);
        variance.fill(0.0);
        add_moments(mean, variance, src, origin, work);
        moments_of_sums(mean, variance, origin, src.len() / n);
    }

    /// Adds the sums over rows of what columns differ from `origin`, and of its square.
    ///
    /// * `sum`, `square`: `[n]`; `src`: `[rows, n]`; `origin`: `[n]`; `work`: `[2 n]`, overwritten
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn add_moments<S: Scalar>(sum: &mut [f64], square: &mut [f64], src: &[S], origin: &[S], work: &mut [S]) {
        let n = origin.len();
        assert!(sum.len() == n && square.len() == n && work.len() == 2 * n, "room for {n} columns");
        let (part, part_square) = work.split_at_mut(n);
        for block in src.chunks(BLOCK * n) {
            part.fill(S::default());
            part_square.fill(S::default());
            for rows in block.chunks(16 * n) {
                super::bend::fetch_behind(rows);
                over_columns!(n, at, LANES, moment_lanes::<S, LANES>(part, part_square, rows, origin, at));
            }
            for i in 0..n {
                sum[i] += part[i].to_f64();
                square[i] += part_square[i].to_f64();
            }
        }
    }

    /// Columns shifted and scaled, twice: `x ← (x − mean) scale`, `y = gain x + shift`.
    ///
    /// * `x`, `y`: `[rows, n]`; `y` is overwritten
    /// * `by`: mean, scale, gain and shift, `[n]` each
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn normalise_columns<S: Scalar>(x: &mut [S], y: &mut [S], by: [&[S]; 4]) {
        let [mean, scale, gain, shift] = by;
        let n = mean.len();
        assert!(x.len() == y.len() && x.len().is_multiple_of(n), "{} and {} numbers in {n} columns", x.len(), y.len());
        assert!(scale.len() == n && gain.len() == n && shift.len() == n, "numbers for {n} columns");
        for (x, y) in x.chunks_exact_mut(n).zip(y.chunks_exact_mut(n)) {
            for i in 0..n {
                let normal = (x[i] - mean[i]) * scale[i];
                x[i] = normal;
                y[i] = gain[i] * normal + shift[i];
            }
        }
    }

    /// Sums over rows of `a`, and of `a b`.
    ///
    /// * `sum`, `product`: `[n]`, overwritten
    /// * `a`, `b`: `[rows, n]`
    /// * `work`: `[2 n]`, overwritten
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn column_products<S: Scalar>(sum: &mut [f64], product: &mut [f64], a: &[S], b: &[S], work: &mut [S]) {
        let n = sum.len();
        assert!(a.len() == b.len() && a.len().is_multiple_of(n), "{} and {} numbers in {n} columns", a.len(), b.len());
        assert!(product.len() == n && work.len() == 2 * n, "room for {n} columns");
        let (plain, both) = work.split_at_mut(n);
        sum.fill(0.0);
        product.fill(0.0);
        for (a, b) in a.chunks(BLOCK * n).zip(b.chunks(BLOCK * n)) {
            plain.fill(S::default());
            both.fill(S::default());
            for (a, b) in a.chunks_exact(n).zip(b.chunks_exact(n)) {
                for i in 0..n {
                    plain[i] += a[i];
                    both[i] += a[i] * b[i];
                }
            }
            for i in 0..n {
                sum[i] += plain[i].to_f64();
                product[i] += both[i].to_f64();
            }
        }
    }

    /// The gradient behind a normalisation of columns: `dy ← scale (dy − mean − x along)`.
    ///
    /// * `dy`: `[rows, n]`, the gradient of `y`
    /// * `x`: `[rows, n]`, normalised
    /// * `by`: scale, mean of `dy`, mean of `dy x`, `[n]` each
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn normalise_columns_back<S: Scalar>(dy: &mut [S], x: &[S], by: [&[S]; 3]) {
        let [scale, mean, along] = by;
        let n = scale.len();
        assert!(x.len() == dy.len() && x.len().is_multiple_of(n), "{} and {} numbers in {n} columns", x.len(), dy.len());
        assert!(mean.len() == n && along.len() == n, "numbers for {n} columns");
        for (dy, x) in dy.chunks_exact_mut(n).zip(x.chunks_exact(n)) {
            for i in 0..n {
                dy[i] = scale[i] * (dy[i] - mean[i] - x[i] * along[i]);
            }
        }
    }
}

/// Mean and variance, in place of the sums of [`add_moments`] over so many rows.
pub fn moments_of_sums<S: Scalar>(sum: &mut [f64], square: &mut [f64], origin: &[S], rows: usize) {
    for ((sum, square), origin) in sum.iter_mut().zip(square).zip(origin) {
        let d = *sum / rows as f64;
        *square = (*square / rows as f64 - d * d).max(0.0);
        *sum = origin.to_f64() + d;
    }
}

/// Sums and sums of squares of some columns, with the sums in registers.
#[inline(always)]
fn moment_lanes<S: Scalar, const L: usize>(
    sum: &mut [S],
    square: &mut [S],
    block: &[S],
    origin: &[S],
    at: usize,
) {
    let n = origin.len();
    let (sum, square) = (&mut sum[at..at + L], &mut square[at..at + L]);
    let (mut a, mut b) = ([S::default(); L], [S::default(); L]);
    a.copy_from_slice(sum);
    b.copy_from_slice(square);
    let origin = &origin[at..at + L];
    for row in block.chunks_exact(n) {
        let row = &row[at..at + L];
        for l in 0..L {
            let d = row[l] - origin[l];
            a[l] += d;
            b[l] += d * d;
        }
    }
    sum.copy_from_slice(&a);
    square.copy_from_slice(&b);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// 200 rows of 5 columns: far from zero, wide, narrow, constant, plain.
    fn matrix() -> Vec<f32> {
        let mut stream = Stream::new(3, "columns", &[]);
        let row = |_| {
            let z: [f32; 4] = std::array::from_fn(|_| stream.normal());
            [1000.0 + z[0], 1e4 * z[1], 1e-3 * z[2], 7.25, z[3]]
        };
        (0..200).flat_map(row).collect()
    }

    #[test]
    fn moments_are_those_of_plain_sums_in_double_precision() {
        let src = matrix();
        let (mut mean, mut variance, mut work) = ([0.0; 5], [0.0; 5], [0f32; 15]);
        column_moments(&mut mean, &mut variance, &src, &mut work);
        for i in 0..5 {
            let column: Vec<f64> = src.iter().skip(i).step_by(5).map(|&x| f64::from(x)).collect();
            let m = column.iter().sum::<f64>() / 200.0;
            let v = column.iter().map(|x| (x - m).powi(2)).sum::<f64>() / 200.0;
            assert!((mean[i] - m).abs() <= 2e-6 * v.sqrt() + 1e-12 * m.abs(), "{i}: {} {m}", mean[i]);
            assert!((variance[i] - v).abs() <= 2e-6 * v, "{i}: {} {v}", variance[i]);
        }
        assert_eq!(variance[3], 0.0);
    }

    #[test]
    fn products_and_normal_columns_are_the_plain_ones() {
        let (mut x, dy) = (matrix(), matrix().iter().rev().copied().collect::<Vec<_>>());
        let (mut sum, mut product, mut work) = ([0.0; 5], [0.0; 5], [0f32; 10]);
        column_products(&mut sum, &mut product, &x, &dy, &mut work);
        for i in 0..5 {
            let both = || x.iter().zip(&dy).skip(i).step_by(5).map(|(a, b)| (f64::from(*a), f64::from(*b)));
            let size: f64 = both().map(|(a, b)| (a * b).abs()).sum();
            assert!((product[i] - both().map(|(a, b)| a * b).sum::<f64>()).abs() < 1e-6 * size);
            let size: f64 = both().map(|(a, _)| a.abs()).sum();
            assert!((sum[i] - both().map(|(a, _)| a).sum::<f64>()).abs() < 1e-6 * size);
        }
        let (before, mut y) = (x.clone(), vec![0f32; x.len()]);
        let by: [Vec<f32>; 4] = [vec![1.0; 5], vec![2.0; 5], vec![3.0; 5], vec![4.0; 5]];
        normalise_columns(&mut x, &mut y, [&by[0], &by[1], &by[2], &by[3]]);
        assert!(
            before.iter().zip(&x).zip(&y).all(|((b, x), y)| *x == (b - 1.0) * 2.0 && *y == 3.0 * x + 4.0)
        );
        let mut back = dy.clone();
        normalise_columns_back(&mut back, &x, [&by[1], &by[0], &by[2]]);
        assert!(back.iter().zip(&dy).zip(&x).all(|((b, dy), x)| *b == 2.0 * (dy - 1.0 - x * 3.0)));
    }
}
