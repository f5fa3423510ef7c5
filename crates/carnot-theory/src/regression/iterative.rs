//! The posterior and gradient flow on kernels too large to factorise.

use std::f64::consts::TAU;

use carnot_math::device::View;
use carnot_math::linalg::large;
use carnot_math::stats::Estimate;

use super::conjugate::{Solutions, Stop, solve};
use super::lanczos::{self, Applied};
use super::operator::{KernelOperator, dot};
use super::precondition::Preconditioner;
use super::problem::{Predicted, Prior, Ridge, Targets, rows_of};
use crate::error::{TheoryError, check};

/// The posterior of an infinitely wide network by conjugate gradients.
///
/// The same formulas as [`Posterior`](super::posterior::Posterior), to the tolerance asked for.
pub struct IterativePosterior<'a> {
    kernel: &'a dyn KernelOperator,
    ridge: f64,
    preconditioner: &'a Preconditioner,
    stop: Stop,
    targets: Vec<f64>,
    outputs: usize,
    /// M⁻¹ y as rows, `[outputs, samples]`.
    weights: Solutions,
}

impl<'a> IterativePosterior<'a> {
    /// Learns the training samples.
    ///
    /// * `preconditioner`: of the kernel and the same ridge
    ///
    /// # Errors
    /// As [`solve`].
    pub fn fit(
        kernel: &'a dyn KernelOperator,
        targets: Targets,
        ridge: Ridge,
        preconditioner: &'a Preconditioner,
        stop: Stop,
    ) -> Result<Self, TheoryError> {
        let n = kernel.samples();
        targets.check(n)?;
        let ridge = ridge.absolute(kernel.diagonal()?.iter().sum::<f64>() / n as f64)?;
        let rows = large::transpose(targets.values, n, targets.outputs);
        let weights = solve(kernel, ridge, &rows, preconditioner, stop)?;
        Ok(Self { kernel, ridge, preconditioner, stop, targets: rows, outputs: targets.outputs, weights })
    }

    /// Noise variance in the unit of the kernel.
    pub fn ridge(&self) -> f64 {
        self.ridge
    }

    /// Passes and residuals of the solution for the targets.
    pub fn solutions(&self) -> &Solutions {
        &self.weights
    }

    /// Mean, and variance or covariance, for test samples; each test sample with a variance costs one right-hand side.
    ///
    /// * `cross`: K_BA, `[tests, samples]`, row-major
    ///
    /// # Errors
    /// As [`solve`].
    pub fn predict(&self, cross: &[f64], prior: Prior) -> Result<Predicted, TheoryError> {
        let n = self.kernel.samples();
        let tests = rows_of(cross, n)?;
        prior.check(tests)?;
        let mean = times_weights(cross, &self.weights.rows, n, self.outputs);
        if prior == Prior::Unknown {
            return Ok(Predicted { mean, variance: vec![], covariance: None });
        }
        let solved = solve(self.kernel, self.ridge, cross, self.preconditioner, self.stop)?.rows;
        let explained = |b: usize| dot(&cross[b * n..(b + 1) * n], &solved[b * n..(b + 1) * n]);
        match prior {
            Prior::Full(kernel) => {
                let mut covariance = vec![0.0; tests * tests];
                large::multiply(&mut covariance, cross, View::new(&solved, tests, n).transposed());
                covariance.iter_mut().zip(kernel).for_each(|(x, prior)| *x = prior - *x);
                let variance: Vec<f64> = (0..tests).map(|b| covariance[b * (tests + 1)].max(0.0)).collect();
                Ok(Predicted { mean, variance, covariance: Some(covariance) })
            }
            Prior::Variances(variances) => {
                let variance = (0..tests).map(|b| (variances[b] - explained(b)).max(0.0)).collect();
                Ok(Predicted { mean, variance, covariance: None })
            }
            Prior::Unknown => Ok(Predicted { mean, variance: vec![], covariance: None }),
        }
    }

    /// ln p(targets), with the standard error of the determinant.
    ///
    /// * `probes`, `steps`: as in [`lanczos::ln_det`]
    ///
    /// # Errors
    /// As [`lanczos::ln_det`].
    pub fn log_evidence(&self, probes: &[f64], steps: usize) -> Result<Estimate, TheoryError> {
        let (n, outputs) = (self.kernel.samples() as f64, self.outputs as f64);
        let volume = lanczos::ln_det(self.kernel, self.ridge, self.preconditioner, probes, steps)?;
        let fit = dot(&self.targets, &self.weights.rows);
        Ok(Estimate {
            value: -0.5 * fit - 0.5 * outputs * (volume.value + n * TAU.ln()),
            error: 0.5 * outputs * volume.error,
            spread: 0.5 * outputs * volume.spread,
            n: volume.n,
        })
    }
}

/// Mean prediction after gradient flow for a time on the summed loss ½ Σ (z − y)², from zero output.
///
/// $$ \bar z_B(t) = \Theta_{BA} M^{-1} (1 - e^{-M t}) y,\qquad M = \Theta_{AA} + \mathrm{ridge} $$
///
/// * `tangent`: Θ_AA; `cross`: Θ_BA, `[tests, samples]`
/// * `time`: ≥ 0; for the mean loss divide by samples · outputs
/// * `steps`: passes over the kernel, about √(λ_max t) plus a few tens
/// * returns: means `[tests, outputs]`, and the change that the last fifth of the steps made in the weights
///
/// # Errors
/// As [`lanczos::function_times`].
///
/// Source: PDLT ch. 10.1. Checked by `tests/regression/iterative.rs`.
pub fn flow(
    tangent: &dyn KernelOperator,
    targets: Targets,
    ridge: Ridge,
    cross: &[f64],
    time: f64,
    steps: usize,
) -> Result<(Vec<f64>, f64), TheoryError> {
    let n = tangent.samples();
    targets.check(n)?;
    rows_of(cross, n)?;
    check("time", time, time >= 0.0, "zero or more")?;
    let ridge = ridge.absolute(tangent.diagonal()?.iter().sum::<f64>() / n as f64)?;
    let rows = large::transpose(targets.values, n, targets.outputs);
    let learned = |m: f64| if m > 0.0 { -(-m * time).exp_m1() / m } else { time };
    let Applied { rows: weights, change } = lanczos::function_times(tangent, ridge, &rows, steps, &learned)?;
    Ok((times_weights(cross, &weights, n, targets.outputs), change))
}

/// K_BA α for weights kept as rows.
fn times_weights(cross: &[f64], weights: &[f64], n: usize, outputs: usize) -> Vec<f64> {
    let mut mean = vec![0.0; cross.len() / n * outputs];
    large::multiply(&mut mean, cross, View::new(weights, outputs, n).transposed());
    mean
}
