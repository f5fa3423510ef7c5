//! Eigenvalues alone, without the vectors: Householder's reduction to three diagonals, then iterations without a square root.
//!
//! Source: Parlett, *The Symmetric Eigenvalue Problem*, chapter 8 (QL with shifts; Pal, Walker and Kahan's form, which keeps the squares of
//! the side diagonal and needs no rotation).

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::tridiag::{tridiag_in_place, tridiag_in_place_scratch};
use faer::prelude::default;
use faer::{Mat, MatMut, Par};

use super::LinalgError;

/// Iterations an eigenvalue may take on average; two are usual.
const ITERATIONS: usize = 30;

/// A symmetric matrix with three diagonals.
pub(super) struct Tridiagonal {
    /// `[n]`.
    diagonal: Vec<f64>,
    /// Squares of what stands beside the diagonal, `[n]`; the last is zero.
    squares: Vec<f64>,
}

impl Tridiagonal {
    /// Reduces a symmetric matrix, n > 0; its eigenvalues stay.
    ///
    /// * `matrix`: `[n, n]`, row-major, finite; column-major, finite; the lower triangle is read
    pub(super) fn of(mut matrix: Vec<f64>, n: usize) -> Tridiagonal {
        let mut reduced = MatMut::from_column_major_slice_mut(&mut matrix, n, n);
        let mut reflections = Mat::zeros(1, n - 1);
        let need = tridiag_in_place_scratch::<f64>(n, Par::Seq, default());
        tridiag_in_place(
            reduced.as_mut(),
            reflections.as_mut(),
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(need)),
            default(),
        );
        let diagonal = (0..n).map(|i| reduced[(i, i)]).collect();
        let beside = |i: usize| if i + 1 < n { reduced[(i + 1, i)].powi(2) } else { 0.0 };
        Tridiagonal { diagonal, squares: (0..n).map(beside).collect() }
    }

    /// Eigenvalues, ascending, each to a few roundings of the largest.
    ///
    /// # Errors
    /// [`LinalgError::NotConverged`].
    pub(super) fn eigenvalues(mut self) -> Result<Vec<f64>, LinalgError> {
        let n = self.diagonal.len();
        let (mut first, mut left) = (0, ITERATIONS * n);
        while first < n {
            let last = self.block(first);
            if last == first {
                first += 1;
                continue;
            }
            left = left.checked_sub(1).ok_or(LinalgError::NotConverged { n })?;
            if last == first + 1 {
                self.pair(first);
                first += 2;
            } else {
                self.step(first, last);
            }
        }
        self.diagonal.sort_unstable_by(f64::total_cmp);
        Ok(self.diagonal)
    }

    /// The last row that the row `first` is joined to. What joins two rows is dropped where it is lost in their rounding.
    fn block(&mut self, first: usize) -> usize {
        let small = f64::EPSILON.powi(2) / 4.0;
        for row in first..self.diagonal.len() {
            let Some(next) = self.diagonal.get(row + 1) else { return row };
            if self.squares[row] <= small * (self.diagonal[row] * next).abs() + f64::MIN_POSITIVE {
                self.squares[row] = 0.0;
                return row;
            }
        }
        self.diagonal.len() - 1
    }

    /// The eigenvalues of two rows.
    fn pair(&mut self, at: usize) {
        let (a, b, square) = (self.diagonal[at], self.diagonal[at + 1], self.squares[at]);
        let (middle, half) = (f64::midpoint(a, b), 0.5 * (a - b));
        let far = middle + half.hypot(square.sqrt()).copysign(middle);
        // The product of both is the determinant: the small one does not lose its digits.
        let near = if far == 0.0 { 0.0 } else { (a / far) * b - square / far };
        (self.diagonal[at], self.diagonal[at + 1], self.squares[at]) = (far, near, 0.0);
    }

    /// One QL step with Wilkinson's shift on the rows from `first` to `last`.
    fn step(&mut self, first: usize, last: usize) {
        let (diagonal, squares) = (&mut self.diagonal[first..=last], &mut self.squares[first..=last]);
        let m = last - first;
        let beside = squares[0].sqrt();
        let ratio = 0.5 * (diagonal[1] - diagonal[0]) / beside;
        let shift = diagonal[0] - beside / (ratio + ratio.hypot(1.0).copysign(ratio));
        let (mut cosine, mut sine) = (1.0, 0.0);
        let mut gamma = diagonal[m] - shift;
        let mut p = gamma * gamma;
        for i in (0..m).rev() {
            let square = squares[i];
            let length = p + square;
            if i + 1 < m {
                squares[i + 1] = sine * length;
            }
            let (before, above) = (cosine, gamma);
            let inverse = 1.0 / length;
            (cosine, sine) = (p * inverse, square * inverse);
            gamma = cosine * (diagonal[i] - shift) - sine * above;
            diagonal[i + 1] = above + (diagonal[i] - gamma);
            p = if cosine == 0.0 { before * square } else { gamma * gamma / cosine };
        }
        squares[0] = sine * p;
        diagonal[0] = shift + gamma;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_have_their_known_eigenvalues() {
        // 2 on the diagonal, 1 beside: 2 − 2 cos(kπ/(n + 1)), down to 5e-6 of the largest.
        for n in [1usize, 2, 3, 10, 1000] {
            let chain = Tridiagonal {
                diagonal: vec![2.0; n],
                squares: (1..=n).map(|i| f64::from(u8::from(i < n))).collect(),
            };
            let got = chain.eigenvalues().unwrap();
            for (k, value) in got.iter().enumerate() {
                let expect = 2.0 - 2.0 * ((k + 1) as f64 * std::f64::consts::PI / (n + 1) as f64).cos();
                assert!((value - expect).abs() < 4e-15 * n as f64, "{k} of {n}: {value}, expected {expect}");
            }
        }
    }

    #[test]
    fn graded_and_split_matrices_keep_their_small_eigenvalues() {
        let split = Tridiagonal { diagonal: vec![1e12, 3.0, 0.0, 1e-9], squares: vec![0.0, 4.0, 0.0, 0.0] };
        let got = split.eigenvalues().unwrap();
        for (value, expect) in got.iter().zip([-1.0, 1e-9, 4.0, 1e12]) {
            assert!((value / expect - 1.0).abs() < 1e-14, "{value}, expected {expect}");
        }
        let zero = Tridiagonal { diagonal: vec![0.0; 5], squares: vec![0.0; 5] };
        assert_eq!(zero.eigenvalues().unwrap(), [0.0; 5]);
        let flip = Tridiagonal { diagonal: vec![0.0; 2], squares: vec![1.0, 0.0] };
        assert_eq!(flip.eigenvalues().unwrap(), [-1.0, 1.0]);
    }
}
