//! Approximations of a kernel that are cheap to invert: identity, partial Cholesky, Nyström.

use carnot_math::device::View;
use carnot_math::linalg::large::{self, Cholesky};

use super::operator::{KernelOperator, dot};
use crate::error::{TheoryError, check};

/// P = U diag(v) Uᵀ + floor, with orthonormal U.
#[derive(Clone, Debug, PartialEq)]
pub struct Preconditioner {
    samples: usize,
    /// Rows are the columns of U, `[rank, samples]`.
    basis: Vec<f64>,
    /// v ≥ 0, `[rank]`.
    values: Vec<f64>,
    floor: f64,
}

impl Preconditioner {
    /// No preconditioning: the identity.
    pub fn identity(samples: usize) -> Self {
        Self { samples, basis: vec![], values: vec![], floor: 1.0 }
    }

    /// Pivoted Cholesky of the kernel, stopped after `rank` columns: P = F Fᵀ + ridge + mean of the diagonal that is left.
    ///
    /// Reads `rank` rows of the kernel. The pivot is the sample least explained so far, so that repeated inputs cost nothing.
    ///
    /// * `ridge`: absolute, ≥ 0
    ///
    /// # Errors
    /// Of the kernel's store; [`TheoryError::OutOfRange`].
    ///
    /// Source: Harbrecht, Peters, Schneider 2012, *On the low-rank approximation by the pivoted Cholesky decomposition*; Gardner et al.
    /// 2018, arXiv:1809.11165. Checked by `tests/regression/iterative.rs`.
    pub fn partial_cholesky(
        kernel: &dyn KernelOperator,
        ridge: f64,
        rank: usize,
    ) -> Result<Self, TheoryError> {
        check("ridge", ridge, ridge >= 0.0, "zero or more")?;
        let n = kernel.samples();
        let mut left = kernel.diagonal()?;
        let whole: f64 = left.iter().sum();
        let mut factor: Vec<f64> = Vec::with_capacity(rank.min(n) * n);
        for _ in 0..rank.min(n) {
            let pivot = (0..n).fold(0, |top, i| if left[i] > left[top] { i } else { top });
            if left[pivot] <= 1e-14 * whole / n as f64 {
                break;
            }
            let mut row = kernel.some_rows(&[pivot])?;
            for known in factor.chunks(n) {
                let weight = known[pivot];
                row.iter_mut().zip(known).for_each(|(x, k)| *x -= weight * k);
            }
            let root = left[pivot].sqrt();
            row.iter_mut().for_each(|x| *x /= root);
            left.iter_mut().zip(&row).for_each(|(d, x)| *d = (*d - x * x).max(0.0));
            left[pivot] = 0.0;
            factor.extend(row);
        }
        Self::of_factor(&factor, n, ridge + left.iter().sum::<f64>() / n as f64, whole)
    }

    /// Nyström approximation from landmark samples: P = K_{·L} K_LL⁻¹ K_{L·} + ridge + mean of the diagonal that is left.
    ///
    /// * `ridge`: absolute, ≥ 0
    /// * `landmarks`: different samples
    ///
    /// # Errors
    /// Of the kernel's store; [`TheoryError::OutOfRange`]; [`TheoryError::Singular`] when the landmarks' own kernel has no factor.
    ///
    /// Source: Williams, Seeger 2001, *Using the Nyström method to speed up kernel machines*; Frangella, Tropp, Udell 2023,
    /// arXiv:2110.02820 (as a preconditioner). Checked by `tests/regression/iterative.rs`.
    pub fn nystrom(
        kernel: &dyn KernelOperator,
        ridge: f64,
        landmarks: &[usize],
    ) -> Result<Self, TheoryError> {
        check("ridge", ridge, ridge >= 0.0, "zero or more")?;
        let (n, rank) = (kernel.samples(), landmarks.len());
        landmarks
            .iter()
            .try_for_each(|&l| check("landmark", l as f64, l < n, "below the number of samples"))?;
        let rows = kernel.some_rows(landmarks)?;
        let mut own: Vec<f64> =
            rows.chunks(n).flat_map(|row| landmarks.iter().map(move |&l| row[l])).collect();
        let trace: f64 = (0..rank).map(|i| own[i * (rank + 1)]).sum();
        // Enough for the factor to exist, too little to matter in an approximation.
        let jitter = rank as f64 * 1e-15 * trace;
        (0..rank).for_each(|i| own[i * (rank + 1)] += jitter);
        let cholesky = Cholesky::of(own, rank).map_err(|_| TheoryError::Singular { what: "landmark" })?;
        let mut columns = large::transpose(&rows, rank, n);
        cholesky.half_solve_rows(&mut columns);
        let factor = large::transpose(&columns, n, rank);
        let diagonal = kernel.diagonal()?;
        let whole: f64 = diagonal.iter().sum();
        let left = (whole - factor.iter().map(|x| x * x).sum::<f64>()).max(0.0);
        Self::of_factor(&factor, n, ridge + left / n as f64, whole)
    }

    /// From the rows of Fᵀ, `[rank, samples]`.
    fn of_factor(factor: &[f64], samples: usize, floor: f64, whole: f64) -> Result<Self, TheoryError> {
        let singular = |_| TheoryError::Singular { what: "preconditioner" };
        let floor = floor.max(f64::EPSILON * whole);
        let rank = factor.len() / samples;
        if rank == 0 {
            return Ok(Self { floor, ..Self::identity(samples) });
        }
        let first = large::eigen(&gram(factor, factor, samples), rank).map_err(singular)?;
        let cut = 1e-12 * first.values[rank - 1];
        let dropped = first.values.partition_point(|&value| value <= cut);
        let mut vectors = first.vectors[dropped * rank..].to_vec();
        for (row, value) in vectors.chunks_mut(rank).zip(&first.values[dropped..]) {
            row.iter_mut().for_each(|x| *x /= value.sqrt());
        }
        let kept = rank - dropped;
        let mut basis = vec![0.0; kept * samples];
        large::multiply(&mut basis, &vectors, View::new(factor, rank, samples));
        // Small directions have lost digits; a second pass makes the basis orthonormal to the last one.
        let again = Cholesky::of(gram(&basis, &basis, samples), kept)
            .map_err(|_| TheoryError::Singular { what: "preconditioner" })?;
        let mut columns = large::transpose(&basis, kept, samples);
        again.half_solve_rows(&mut columns);
        let basis = large::transpose(&columns, samples, kept);
        let inside = gram(&basis, factor, samples);
        let second = large::eigen(&gram(&inside, &inside, rank), kept).map_err(singular)?;
        let mut rotated = vec![0.0; kept * samples];
        large::multiply(&mut rotated, &second.vectors, View::new(&basis, kept, samples));
        let values = second.values.iter().map(|value| value.max(0.0)).collect();
        Ok(Self { samples, basis: rotated, values, floor })
    }

    /// Directions beside the identity.
    pub fn rank(&self) -> usize {
        self.values.len()
    }

    /// P⁻¹ v for each row v of `[vectors, samples]`.
    pub fn inverse_times(&self, rows: &[f64]) -> Vec<f64> {
        self.map(rows, |value| 1.0 / value)
    }

    /// P^{−1/2} v for each row v of `[vectors, samples]`.
    pub fn inverse_root_times(&self, rows: &[f64]) -> Vec<f64> {
        self.map(rows, |value| 1.0 / value.sqrt())
    }

    /// ln det P
    pub fn ln_det(&self) -> f64 {
        let inside: f64 = self.values.iter().map(|value| (value + self.floor).ln()).sum();
        inside + (self.samples - self.values.len()) as f64 * self.floor.ln()
    }

    /// f(P) v for each row.
    fn map(&self, rows: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
        let outside = f(self.floor);
        let mut out: Vec<f64> = rows.iter().map(|x| outside * x).collect();
        let rank = self.values.len();
        if rank == 0 || rows.is_empty() {
            return out;
        }
        let mut along = gram(rows, &self.basis, self.samples);
        for row in along.chunks_mut(rank) {
            row.iter_mut().zip(&self.values).for_each(|(x, value)| *x *= f(value + self.floor) - outside);
        }
        let mut inside = vec![0.0; rows.len()];
        large::multiply(&mut inside, &along, View::new(&self.basis, rank, self.samples));
        out.iter_mut().zip(&inside).for_each(|(x, y)| *x += y);
        out
    }
}

/// Products of all rows of `a` with all rows of `b`, both of length `width`.
fn gram(a: &[f64], b: &[f64], width: usize) -> Vec<f64> {
    let (rows, columns) = (a.len() / width, b.len() / width);
    if rows == 1 && columns == 1 {
        return vec![dot(a, b)];
    }
    let mut out = vec![0.0; rows * columns];
    large::multiply(&mut out, a, View::new(b, columns, width).transposed());
    out
}
