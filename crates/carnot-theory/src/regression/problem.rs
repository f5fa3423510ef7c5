//! What is given: a kernel over training samples, targets, a ridge, and the kernel between test and training samples.

use carnot_math::stats::{Estimate, Moments};

use super::fault::KernelFault;
use crate::error::{TheoryError, check, check_length};

/// What is added to the diagonal of the training kernel: variance of the noise of the targets, or strength of a pull to the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ridge {
    /// This much, ≥ 0, in the unit of the kernel. 0 for none.
    Absolute(f64),
    /// This many times the mean of the diagonal, ≥ 0.
    Relative(f64),
}

impl Ridge {
    /// In the unit of the kernel.
    ///
    /// * `mean_diagonal`: trace / n of the training kernel
    ///
    /// # Errors
    /// [`TheoryError::OutOfRange`] when it is negative or not finite.
    pub fn absolute(self, mean_diagonal: f64) -> Result<f64, TheoryError> {
        let (value, unit) = match self {
            Self::Absolute(value) => (value, 1.0),
            Self::Relative(value) => (value, mean_diagonal),
        };
        check("ridge", value, value >= 0.0, "zero or more")?;
        Ok(value * unit)
    }
}

/// Targets of the training samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Targets<'a> {
    /// `[samples, outputs]`, row-major.
    pub values: &'a [f64],
    /// Number of outputs, ≥ 1.
    pub outputs: usize,
}

impl Targets<'_> {
    /// Checks shape and finiteness.
    ///
    /// # Errors
    /// [`TheoryError::Length`], [`TheoryError::OutOfRange`].
    pub fn check(&self, samples: usize) -> Result<(), TheoryError> {
        check("outputs", self.outputs as f64, self.outputs > 0, "at least 1")?;
        check_length("targets", samples * self.outputs, self.values.len())?;
        self.values.iter().try_for_each(|&y| check("target", y, true, "finite"))
    }

    /// Σ y²
    pub fn power(&self) -> f64 {
        self.values.iter().map(|y| y * y).sum()
    }
}

/// What is known of the test samples before any data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Prior<'a> {
    /// Nothing: only means are predicted.
    Unknown,
    /// Kernel of each test sample with itself, `[tests]`.
    Variances(&'a [f64]),
    /// Kernel between all test samples, `[tests, tests]`, row-major: covariances are predicted.
    Full(&'a [f64]),
}

impl Prior<'_> {
    pub(super) fn check(&self, tests: usize) -> Result<(), TheoryError> {
        match self {
            Self::Unknown => Ok(()),
            Self::Variances(values) => check_length("test variances", tests, values.len()),
            Self::Full(values) => check_length("test kernel", tests * tests, values.len()),
        }
    }
}

/// Predictions for test samples. Outputs are independent and share one covariance.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicted {
    /// `[tests, outputs]`, row-major.
    pub mean: Vec<f64>,
    /// `[tests]`, ≥ 0, of the function without the noise of targets; empty when the prior is [`Prior::Unknown`].
    pub variance: Vec<f64>,
    /// `[tests, tests]`, row-major, when the prior is [`Prior::Full`].
    pub covariance: Option<Vec<f64>>,
}

impl Predicted {
    /// Squared error that one network (one draw from the prediction) is expected to make: bias² plus variance, mean over outputs.
    ///
    /// $$ \mathrm{E}(z_b - y_b)^2 = (\bar z_b - y_b)^2 + \mathrm{Var}\, z_b $$
    ///
    /// * `targets`: true values of the test samples
    /// * returns: the mean over test samples, with the standard error that their number leaves
    ///
    /// # Errors
    /// [`TheoryError::Length`]: also when no variances were predicted.
    ///
    /// Source: PDLT ch. 10.2. Checked by `tests/regression/classification.rs`.
    pub fn expected_squared_error(&self, targets: Targets) -> Result<Estimate, TheoryError> {
        let tests = self.variance.len();
        targets.check(tests)?;
        check_length("means", targets.values.len(), self.mean.len())?;
        let rows = self.mean.chunks(targets.outputs).zip(targets.values.chunks(targets.outputs));
        let mut moments = Moments::default();
        for ((mean, target), variance) in rows.zip(&self.variance) {
            let bias: f64 = mean.iter().zip(target).map(|(m, y)| (m - y).powi(2)).sum();
            moments.push(bias / targets.outputs as f64 + variance);
        }
        Ok(moments.estimate())
    }
}

/// Number of rows of length `samples`.
pub(super) fn rows_of(cross: &[f64], samples: usize) -> Result<usize, TheoryError> {
    let tests = cross.len().checked_div(samples).unwrap_or(0);
    check_length("kernel between test and training samples", tests * samples, cross.len())?;
    match cross.iter().position(|x| !x.is_finite()) {
        Some(at) => {
            Err(KernelFault::NotFinite { row: at / samples, column: at % samples, value: cross[at] }.into())
        }
        None => Ok(tests),
    }
}

/// Mean of the diagonal of a training kernel that has the shape, the symmetry and the signs of one.
///
/// # Errors
/// [`TheoryError::Length`] and the [`KernelFault`]s that show without a decomposition.
pub fn examine(kernel: &[f64], samples: usize) -> Result<f64, TheoryError> {
    check("samples", samples as f64, samples > 0, "at least 1")?;
    check_length("kernel", samples * samples, kernel.len())?;
    if let Some(at) = kernel.iter().position(|x| !x.is_finite()) {
        let (row, column) = (at / samples, at % samples);
        return Err(KernelFault::NotFinite { row, column, value: kernel[at] }.into());
    }
    let diagonal = |i: usize| kernel[i * (samples + 1)];
    if let Some(row) = (0..samples).find(|&i| diagonal(i) < 0.0) {
        return Err(KernelFault::NegativeVariance { row, value: diagonal(row) }.into());
    }
    let largest = (0..samples).map(diagonal).fold(0.0, f64::max);
    if kernel.iter().all(|&x| x == 0.0) {
        return Err(KernelFault::Zero { samples }.into());
    }
    symmetric(kernel, samples, largest)?;
    Ok((0..samples).map(diagonal).sum::<f64>() / samples as f64)
}

/// Differences above single-precision rounding are refused: below it, one triangle decides.
fn symmetric(kernel: &[f64], samples: usize, largest: f64) -> Result<(), TheoryError> {
    const BLOCK: usize = 64;
    for rows in (0..samples).step_by(BLOCK) {
        for columns in (0..=rows).step_by(BLOCK) {
            for row in rows..(rows + BLOCK).min(samples) {
                for column in columns..(columns + BLOCK).min(row) {
                    let difference = (kernel[row * samples + column] - kernel[column * samples + row]).abs();
                    if difference > 1e-6 * largest {
                        return Err(KernelFault::NotSymmetric { row, column, difference }.into());
                    }
                }
            }
        }
    }
    Ok(())
}
