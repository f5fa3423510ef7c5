//! A training kernel in its own eigenvectors: made once, it answers for every ridge and every training time.

use carnot_math::device::View;
use carnot_math::linalg::{Eigen, large};

use super::fault::KernelFault;
use super::problem::{Targets, examine};
use crate::error::TheoryError;

/// Eigenvalues and eigenvectors of a training kernel.
///
/// $$ K = \sum_k \lambda_k u_k u_k^T $$
#[derive(Clone, Debug, PartialEq)]
pub struct Modes {
    samples: usize,
    /// Ascending, `[samples]`.
    values: Vec<f64>,
    /// `[samples, samples]`, row-major: row k is u_k.
    vectors: Vec<f64>,
    mean_diagonal: f64,
}

impl Modes {
    /// Decomposes a kernel.
    ///
    /// * `kernel`: `[samples, samples]`, row-major
    ///
    /// # Errors
    /// [`KernelFault`]: not finite, not symmetric or zero. Eigenvalues below zero are refused when they matter, by
    /// [`Modes::with_ridge`].
    pub fn of(kernel: &[f64], samples: usize) -> Result<Self, TheoryError> {
        let mean_diagonal = examine(kernel, samples)?;
        let Eigen { values, vectors } =
            large::eigen(kernel, samples).map_err(|_| KernelFault::NoModes { samples })?;
        Ok(Self { samples, values, vectors, mean_diagonal })
    }

    /// λ_k + ridge, ascending, ≥ 0.
    ///
    /// * `ridge`: absolute, ≥ 0
    ///
    /// # Errors
    /// [`KernelFault::Indefinite`] when one of them is below zero and rounding does not explain it.
    pub fn with_ridge(&self, ridge: f64) -> Result<Vec<f64>, TheoryError> {
        let (smallest, largest) = (self.smallest() + ridge, self.largest() + ridge);
        if smallest < -self.rounding() {
            return Err(KernelFault::Indefinite { smallest, largest, rounding: self.rounding() }.into());
        }
        Ok(self.values.iter().map(|value| (value + ridge).max(0.0)).collect())
    }

    /// Number of training samples.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// λ_k, ascending, `[samples]`, as computed: those of a singular kernel may lie a little below zero.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// u_k as rows, `[samples, samples]`.
    pub fn vectors(&self) -> &[f64] {
        &self.vectors
    }

    /// trace / n of the kernel.
    pub fn mean_diagonal(&self) -> f64 {
        self.mean_diagonal
    }

    /// Largest eigenvalue, > 0.
    pub fn largest(&self) -> f64 {
        self.values[self.samples - 1]
    }

    /// Smallest eigenvalue as computed.
    pub fn smallest(&self) -> f64 {
        self.values[0]
    }

    /// Size below which an eigenvalue cannot be told from zero: n ε λ_max.
    pub fn rounding(&self) -> f64 {
        rounding(self.samples, self.largest().max(-self.smallest()))
    }

    /// Number of eigenvalues above rounding.
    pub fn rank(&self) -> usize {
        let rounding = self.rounding();
        self.samples - self.values.partition_point(|&value| value <= rounding)
    }

    /// A ridge well above what rounding does to the eigenvalues, and far below the kernel.
    pub fn safe_ridge(&self) -> f64 {
        safe_ridge(self.samples, self.largest(), self.mean_diagonal)
    }

    /// Targets along the modes, u_k·y: `[samples, outputs]`, row k for mode k.
    pub fn project(&self, targets: &Targets) -> Vec<f64> {
        let mut out = vec![0.0; self.samples * targets.outputs];
        large::multiply(&mut out, &self.vectors, View::new(targets.values, self.samples, targets.outputs));
        out
    }

    /// Rows of a kernel between test and training samples along the modes: `[tests, samples]`.
    pub(super) fn project_rows(&self, cross: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; cross.len()];
        large::multiply(&mut out, cross, View::new(&self.vectors, self.samples, self.samples).transposed());
        out
    }

    /// Back from modes to samples: `[rows, samples]` times the eigenvectors.
    pub(super) fn unproject_rows(&self, rows: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; rows.len()];
        large::multiply(&mut out, rows, View::new(&self.vectors, self.samples, self.samples));
        out
    }
}

/// A thousand times the rounding, and a millionth of the mean diagonal at least.
pub(super) fn safe_ridge(samples: usize, largest: f64, mean_diagonal: f64) -> f64 {
    (1e3 * rounding(samples, largest)).max(1e-6 * mean_diagonal)
}

/// How far rounding moves the eigenvalues of a matrix of n rows.
pub(super) fn rounding(n: usize, largest: f64) -> f64 {
    n.max(8) as f64 * f64::EPSILON * largest
}
