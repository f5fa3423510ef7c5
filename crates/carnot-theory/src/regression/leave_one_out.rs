//! What is predicted for each training sample from all the others, without refitting.

use std::f64::consts::PI;

use carnot_math::stats::{Estimate, Moments};

use super::fault::KernelFault;
use crate::error::TheoryError;

/// Leave-one-out predictions of the targets, noise included.
///
/// With M = K_AA + ridge and α = M⁻¹ y:
///
/// $$ \mu_i = y_i - \frac{\alpha_i}{(M^{-1})_{ii}},\qquad \sigma_i^2 = \frac{1}{(M^{-1})_{ii}} $$
///
/// Source: Rasmussen, Williams 2006, eq. 5.12. Checked by `tests/regression/leave_one_out.rs` against refits.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaveOneOut {
    /// Number of outputs.
    pub outputs: usize,
    /// μ, `[samples, outputs]`, row-major.
    pub mean: Vec<f64>,
    /// σ², `[samples]`, shared by the outputs: of the target, so that the ridge is in it.
    pub variance: Vec<f64>,
    /// y − μ, `[samples, outputs]`, row-major.
    pub residual: Vec<f64>,
}

impl LeaveOneOut {
    /// From the weights α = M⁻¹ y `[samples, outputs]` and the diagonal of M⁻¹ `[samples]`.
    ///
    /// # Errors
    /// [`KernelFault::TooFew`] for one sample.
    pub(super) fn new(
        targets: &[f64],
        outputs: usize,
        weights: &[f64],
        inverse_diagonal: &[f64],
    ) -> Result<Self, TheoryError> {
        let samples = inverse_diagonal.len();
        if samples < 2 {
            return Err(KernelFault::TooFew { samples }.into());
        }
        let residual: Vec<f64> =
            weights.iter().enumerate().map(|(at, alpha)| alpha / inverse_diagonal[at / outputs]).collect();
        let mean = targets.iter().zip(&residual).map(|(y, r)| y - r).collect();
        let variance = inverse_diagonal.iter().map(|d| 1.0 / d).collect();
        Ok(Self { outputs, mean, variance, residual })
    }

    /// Mean squared error of one output of one sample.
    pub fn squared_error(&self) -> Estimate {
        self.over_samples(|residual, _| residual * residual)
    }

    /// Mean of ln p(y_i | all others), for one output of one sample.
    ///
    /// Source: Rasmussen, Williams 2006, eq. 5.10–5.11.
    pub fn log_density(&self) -> Estimate {
        self.over_samples(|residual, variance| {
            -0.5 * ((2.0 * PI * variance).ln() + residual * residual / variance)
        })
    }

    /// Factor by which all variances must be multiplied so that residuals are as large as their bars say.
    ///
    /// $$ s^2 = \frac{1}{N n_L} \sum_{i,o} \frac{(y_{io} - \mu_{io})^2}{\sigma_i^2} $$
    ///
    /// It is the s² that maximises [`LeaveOneOut::log_density`] with σ² → s² σ². 1 for bars that are right.
    pub fn variance_scale(&self) -> Estimate {
        self.over_samples(|residual, variance| residual * residual / variance)
    }

    /// Mean over samples of the mean over outputs: the outputs of one sample are not independent, samples nearly are.
    fn over_samples(&self, of: impl Fn(f64, f64) -> f64) -> Estimate {
        let mut moments = Moments::default();
        for (residual, &variance) in self.residual.chunks(self.outputs).zip(&self.variance) {
            moments.push(residual.iter().map(|&r| of(r, variance)).sum::<f64>() / self.outputs as f64);
        }
        moments.estimate()
    }
}
