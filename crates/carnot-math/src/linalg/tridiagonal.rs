//! Eigenvalues of a symmetric matrix with three diagonals, by iterations without a square root.
//!
//! Each sweep is a chain of divisions, in which a processor mostly waits. Two things shorten the wait: the pivot is carried on by
//! one division, and [`TOGETHER`] sweeps run one behind another, each two rows further up than the next.
//!
//! Source: Parlett, *The Symmetric Eigenvalue Problem*, chapter 8 (QL with shifts; Pal, Walker and Kahan's form, which keeps the squares of
//! the side diagonal and needs no rotation); Watkins 1996, *The transmission of shifts and shift blurring in the QR algorithm* (several
//! shifts, one behind another).

use std::cmp::Ordering;

use super::LinalgError;

/// Iterations an eigenvalue may take on average; two are usual.
const ITERATIONS: usize = 30;

/// Sweeps that run one behind another. At 384 rows one takes 0.98 ms, two together 0.82, four 0.53, six 0.7.
const TOGETHER: usize = 4;

/// Blocks of fewer rows take one sweep at a time.
const SHORT: usize = 4 * TOGETHER;

/// Sweeps together without an eigenvalue, after which Wilkinson's shift, which always leads to one, takes its turn.
const PATIENCE: usize = 6;

/// A symmetric matrix with three diagonals.
pub(super) struct Tridiagonal {
    /// `[n]`.
    diagonal: Vec<f64>,
    /// Squares of what stands beside the diagonal, `[n]`; the last is zero.
    squares: Vec<f64>,
}

impl Tridiagonal {
    /// The matrix with this diagonal and this beside it, `[n]` each; the last of the second is zero.
    pub(super) fn new(diagonal: Vec<f64>, beside: &[f64]) -> Tridiagonal {
        Tridiagonal { diagonal, squares: beside.iter().map(|x| x * x).collect() }
    }

    /// Eigenvalues, ascending, each to a few roundings of the largest.
    ///
    /// # Errors
    /// [`LinalgError::NotConverged`].
    pub(super) fn eigenvalues(mut self) -> Result<Vec<f64>, LinalgError> {
        let n = self.diagonal.len();
        let (mut first, mut left, mut since) = (0, ITERATIONS * n, 0);
        while first < n {
            let last = self.block(first);
            if last == first {
                (first, since) = (first + 1, 0);
                continue;
            }
            left = left.checked_sub(1).ok_or(LinalgError::NotConverged { n })?;
            since += 1;
            if last == first + 1 {
                self.pair(first);
                (first, since) = (first + 2, 0);
            } else if last - first < SHORT || since > PATIENCE {
                let shift = self.shift(first);
                self.sweeps(first, last, [shift]);
            } else {
                let shifts = self.shifts(first)?;
                self.sweeps(first, last, shifts);
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

    /// Wilkinson's shift: the eigenvalue of the first two rows that is nearer to the first.
    fn shift(&self, first: usize) -> f64 {
        let (a, b, beside) = (self.diagonal[first], self.diagonal[first + 1], self.squares[first].sqrt());
        let ratio = 0.5 * (b - a) / beside;
        a - beside / (ratio + ratio.hypot(1.0).copysign(ratio))
    }

    /// The eigenvalues of the first [`TOGETHER`] rows, the nearest to the first row before the others.
    fn shifts(&self, first: usize) -> Result<[f64; TOGETHER], LinalgError> {
        let rows = first..first + TOGETHER;
        let (diagonal, mut squares) = (self.diagonal[rows.clone()].to_vec(), self.squares[rows].to_vec());
        squares[TOGETHER - 1] = 0.0;
        let mut values = Tridiagonal { diagonal, squares }.eigenvalues()?;
        let place = self.diagonal[first];
        values.sort_by(|a, b| (a - place).abs().total_cmp(&(b - place).abs()));
        Ok(std::array::from_fn(|at| values[at]))
    }

    /// QL sweeps over the rows from `first` to `last`, one a shift, one behind another.
    fn sweeps<const N: usize>(&mut self, first: usize, last: usize, shifts: [f64; N]) {
        let (diagonal, squares) = (&mut self.diagonal[first..=last], &mut self.squares[first..=last]);
        let (m, behind) = (last - first, BEHIND * (N - 1));
        let mut sweeps = shifts.map(|shift| Sweep::start(shift, diagonal[m]));
        // All are on their way from the time on at which the last has started, until the first arrives.
        let all = behind + 1..m;
        (0..all.start).for_each(|time| each(&mut sweeps, diagonal, squares, time));
        for time in all.clone() {
            let row = m - 1 - time;
            let (diagonal, squares) = (&mut diagonal[row..][..behind + 2], &mut squares[row..][..behind + 2]);
            for (number, sweep) in sweeps.iter_mut().enumerate() {
                sweep.row(&mut diagonal[BEHIND * number..], &mut squares[BEHIND * number..]);
            }
        }
        (all.end.max(all.start)..=m + behind).for_each(|time| each(&mut sweeps, diagonal, squares, time));
    }
}

/// Rows between a sweep and the next: it reads two rows, which the one before it has to be done with.
const BEHIND: usize = 2;

/// Every sweep one row up, if there is one for it at this time.
fn each<const N: usize>(sweeps: &mut [Sweep; N], diagonal: &mut [f64], squares: &mut [f64], time: usize) {
    let m = diagonal.len() - 1;
    for (number, sweep) in sweeps.iter_mut().enumerate() {
        let Some(done) = time.checked_sub(BEHIND * number) else { return };
        if done == 0 {
            *sweep = Sweep::start(sweep.shift, diagonal[m]);
        }
        match done.cmp(&m) {
            Ordering::Less => sweep.row(&mut diagonal[m - 1 - done..], &mut squares[m - 1 - done..]),
            Ordering::Equal => (diagonal[0], squares[0]) = sweep.end(),
            Ordering::Greater => {}
        }
    }
}

/// One QL sweep on its way up.
#[derive(Clone, Copy)]
struct Sweep {
    shift: f64,
    /// Squares of cosine and sine of the last rotation.
    cosine: f64,
    sine: f64,
    /// What stands on the diagonal before the next rotation, less the shift.
    gamma: f64,
    /// The square of the pivot, gamma² over the squared cosine.
    pivot: f64,
}

impl Sweep {
    /// * `corner`: what stands on the diagonal in the last row
    fn start(shift: f64, corner: f64) -> Sweep {
        let gamma = corner - shift;
        Sweep { shift, cosine: 1.0, sine: 0.0, gamma, pivot: gamma * gamma }
    }

    /// Rotates the first two rows of what it is given.
    #[inline(always)]
    fn row(&mut self, diagonal: &mut [f64], squares: &mut [f64]) {
        // The smallest number keeps two zeros from meeting, where the sweep before has split the matrix.
        let (entry, square) = (diagonal[0], squares[0] + f64::MIN_POSITIVE);
        let length = self.pivot + square;
        squares[1] = self.sine * length;
        let inverse = 1.0 / length;
        // Length times the next gamma. With it gamma²/cosine takes one division, beside the other and not after it.
        let next = self.pivot * (entry - self.shift) - square * self.gamma;
        let gamma = next * inverse;
        diagonal[1] = self.gamma + (entry - gamma);
        let is_lost = self.pivot < f64::MIN_POSITIVE;
        let pivot = if is_lost { self.cosine * square } else { gamma * (next / self.pivot) };
        (self.cosine, self.sine) = (self.pivot * inverse, square * inverse);
        (self.gamma, self.pivot) = (gamma, pivot);
    }

    /// What stands in the first row at the end, and beside it.
    fn end(&self) -> (f64, f64) {
        (self.shift + self.gamma, self.sine * self.pivot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::{symmetric_eigen, symmetric_eigenvalues};
    use crate::random::Stream;

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
    fn the_eigenvalues_are_those_of_the_routine_with_vectors() {
        // Random ones, and what several shifts at once could stumble over: copies of one block, a zero diagonal, steps of many sizes.
        let n = 200;
        let mut draws = vec![0.0; n * n];
        Stream::new(1, "three diagonals", &[]).fill_normal(&mut draws, 1.0);
        let chain = |diagonal: &dyn Fn(usize) -> f64, beside: &dyn Fn(usize) -> f64| -> Vec<f64> {
            let entry = |i: usize, j: usize| match i.abs_diff(j) {
                0 => diagonal(i),
                1 => beside(i.min(j)),
                _ => 0.0,
            };
            (0..n * n).map(|at| entry(at / n, at % n)).collect()
        };
        let matrices = [
            (0..n * n).map(|at| draws[(at / n).max(at % n) * n + (at / n).min(at % n)]).collect(),
            chain(&|i| draws[i], &|i| draws[n + i]),
            chain(&|i| (i % 5) as f64, &|i| if i % 5 == 4 { 1e-9 } else { 1.0 }),
            chain(&|_| 0.0, &|_| 1.0),
            chain(&|i| 0.5f64.powi(i as i32), &|i| 0.3 * 0.5f64.powi(i as i32)),
            chain(&|i| 0.5f64.powi((n - i) as i32), &|i| 0.3 * 0.5f64.powi((n - i) as i32)),
        ];
        for (number, matrix) in matrices.iter().enumerate() {
            let expect = symmetric_eigen(matrix, n).unwrap().values;
            let got = symmetric_eigenvalues(matrix, n).unwrap();
            let largest = expect.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            for (got, expect) in got.iter().zip(&expect) {
                assert!((got - expect).abs() < 4e-14 * largest, "matrix {number}: {got}, expected {expect}");
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
