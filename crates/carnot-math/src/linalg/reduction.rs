//! A symmetric matrix to one with three diagonals and the same eigenvalues, by Householder reflections.
//!
//! The matrix is gone over once for each reflection: the same pass applies the one before and multiplies by the next. That takes 4/3 n³
//! operations, all of them multiply-and-add on whole vectors: at n = 384 in 1.4 times the time of a product of as many.
//!
//! Source: Golub and Van Loan, *Matrix Computations*, algorithm 8.3.1; from the last row up, so that what is left starts at the first column.

use crate::device::symmetric::{Vectors, WIDTH, place, update_and_multiply};
use crate::device::wide::{Loop, widest};

/// A tail of a row below this, squared, is taken for zero: the largest entry is 1 or 2, and the square root is lost in its rounding a hundred
/// times over.
const NOTHING: f64 = 1e-280;

/// Diagonal and what stands beside it, `[n]` each; the last of the second is zero.
///
/// * `matrix`: `[n, n]`, row-major; the lower triangle is read
/// * `scale`: a power of two by which it is divided; no entry is twice as large
pub(super) fn three_diagonals(matrix: &[f64], n: usize, scale: f64) -> (Vec<f64>, Vec<f64>) {
    let side = n.next_multiple_of(WIDTH);
    let mut tiles = in_tiles(matrix, n, scale);
    let (mut diagonal, mut beside) = (vec![0.0; n], vec![0.0; n]);
    let (mut u, mut v) = (vec![0.0; side], vec![0.0; side]);
    let (mut x, mut y) = (vec![0.0; side], vec![0.0; side]);
    for m in (1..n).rev() {
        // The row comes with what stands on the diagonal, which is no part of x.
        for first in (0..=m).step_by(WIDTH) {
            x[first..first + WIDTH].copy_from_slice(&tiles[place(side, m, first)..][..WIDTH]);
        }
        diagonal[m] = x[m];
        x[m..].fill(0.0);
        let (head, tail) = (x[m - 1], dot(&x[..m - 1], &x[..m - 1]));
        let is_done = tail < NOTHING;
        let norm = if is_done { head } else { (head * head + tail).sqrt().copysign(-head) };
        beside[m - 1] = norm;
        x[m - 1] = head - norm;
        if is_done {
            // Nothing to reflect, but the reflection before this one has still to be applied.
            x.fill(0.0);
        }
        update_and_multiply(&mut tiles, m, Vectors { u: &u, v: &v, x: &x }, &mut y);
        // With h half the square of x: A ← A − x vᵀ − v xᵀ, v = y/h − (xᵀy/2h²) x.
        let inverse = if is_done { 0.0 } else { 1.0 / (norm * (norm - head)) };
        let share = 0.5 * inverse * inverse * dot(&x[..m], &y[..m]);
        for ((v, y), x) in v[..m].iter_mut().zip(&y).zip(&x) {
            *v = inverse * y - share * x;
        }
        v[m..].fill(0.0);
        u.copy_from_slice(&x);
        // The next row is needed before the next pass, which leaves it alone.
        let (of_u, of_v) = (u[m - 1], v[m - 1]);
        for first in (0..m).step_by(WIDTH) {
            let entries = &mut tiles[place(side, m - 1, first)..][..WIDTH];
            for ((entry, u), v) in entries.iter_mut().zip(&u[first..]).zip(&v[first..]) {
                *entry -= of_v * u + of_u * v;
            }
        }
        (u[m - 1], v[m - 1]) = (0.0, 0.0);
    }
    diagonal[0] = tiles[0] - 2.0 * u[0] * v[0];
    (diagonal, beside)
}

fn in_tiles(matrix: &[f64], n: usize, scale: f64) -> Vec<f64> {
    let side = n.next_multiple_of(WIDTH);
    let mut tiles = vec![0.0; side * side];
    widest(Tiled { matrix, n, inverse: 1.0 / scale }, &mut tiles, &mut [], &mut []);
    tiles
}

/// Lower triangle of a row-major matrix to tiles.
struct Tiled<'a> {
    matrix: &'a [f64],
    n: usize,
    inverse: f64,
}

impl Loop<f64> for Tiled<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, tiles: &mut [f64], _: &mut [f64], _: &mut [f64]) {
        let side = self.n.next_multiple_of(WIDTH);
        for row in 0..self.n {
            let entries = &self.matrix[row * self.n..][..=row];
            let whole = entries.chunks_exact(WIDTH);
            let (left, last) = (whole.remainder(), row / WIDTH * WIDTH);
            for (at, chunk) in whole.enumerate() {
                let to = &mut tiles[place(side, row, WIDTH * at)..][..WIDTH];
                (0..WIDTH).for_each(|lane| to[lane] = chunk[lane] * self.inverse);
            }
            // Tiles on the diagonal have both halves.
            for (at, entry) in left.iter().enumerate() {
                tiles[place(side, row, last + at)] = entry * self.inverse;
                tiles[place(side, last + at, row)] = entry * self.inverse;
            }
            if left.is_empty() {
                for column in last..row {
                    tiles[place(side, column, row)] = tiles[place(side, row, column)];
                }
            }
        }
    }
}

/// Inner product, by lanes.
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0; WIDTH];
    for (x, y) in x.chunks(WIDTH).zip(y.chunks(WIDTH)) {
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += x * y;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn trace_and_square_stay_whatever_the_size() {
        for n in [1, 2, 3, 7, 8, 9, 16, 17, 40] {
            let mut matrix = vec![0.0; n * n];
            Stream::new(1, "reduction", &[n as u64]).fill_uniform(&mut matrix, -1.0, 1.0);
            let (diagonal, beside) = three_diagonals(&matrix, n, 1.0);
            let entry = |at: usize| matrix[(at / n).max(at % n) * n + (at / n).min(at % n)];
            let trace: f64 = (0..n).map(|i| entry(i * (n + 1))).sum();
            let total: f64 = (0..n * n).map(|at| entry(at).powi(2)).sum();
            assert!((diagonal.iter().sum::<f64>() - trace).abs() < 1e-13 * n as f64, "{n} rows");
            assert!(
                (dot(&diagonal, &diagonal) + 2.0 * dot(&beside, &beside) - total).abs() < 1e-12 * n as f64,
                "{n} rows"
            );
            assert_eq!(beside[n - 1], 0.0);
        }
    }

    #[test]
    fn what_has_three_diagonals_already_stays() {
        let n = 11;
        let entry = |at: usize| match (at / n).abs_diff(at % n) {
            0 => 1.0 / (at % n + 1) as f64,
            1 => 0.25,
            _ => 0.0,
        };
        let matrix: Vec<f64> = (0..n * n).map(entry).collect();
        let (diagonal, beside) = three_diagonals(&matrix, n, 1.0);
        assert_eq!(diagonal, (0..n).map(|i| 1.0 / (i + 1) as f64).collect::<Vec<_>>());
        assert_eq!(beside, (0..n).map(|i| if i + 1 < n { 0.25 } else { 0.0 }).collect::<Vec<_>>());
    }
}
