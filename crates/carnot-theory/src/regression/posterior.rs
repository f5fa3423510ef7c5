//! Exact Bayesian inference at infinite width, from one factorisation of the training kernel.

use std::f64::consts::PI;

use carnot_math::device::View;
use carnot_math::linalg::large::{self, Cholesky};

use super::fault::KernelFault;
use super::leave_one_out::LeaveOneOut;
use super::modes::{Modes, safe_ridge};
use super::problem::{Predicted, Prior, Ridge, Targets, examine, rows_of};
use crate::error::{Known, TheoryError, Unknown};

/// The posterior of an infinitely wide network after seeing the training samples.
///
/// With M = K_AA + ridge:
///
/// $$ \bar z_B = K_{BA} M^{-1} y,\qquad \mathrm{Cov}_{BB'} = K_{BB'} - K_{BA} M^{-1} K_{AB'},\qquad
///    \ln p(y) = -\tfrac12 \sum_i y_i M^{-1} y_i - \tfrac{n_L}{2}\ln\det 2\pi M $$
///
/// A singular M is answered with its pseudo-inverse when the targets allow it: [`Posterior::rank`] is then below the number of
/// samples, and the evidence is not known.
///
/// Source: PDLT ch. 6.3; Rasmussen, Williams 2006, *Gaussian Processes for Machine Learning*, ch. 2. Checked by
/// `tests/regression/peers.rs`, `tests/regression/posterior.rs`.
#[derive(Clone, Debug)]
pub struct Posterior {
    samples: usize,
    outputs: usize,
    ridge: f64,
    targets: Vec<f64>,
    /// M⁻¹ y, `[samples, outputs]`.
    weights: Vec<f64>,
    root: Root,
}

/// M⁻¹ = R Rᵀ in one of two forms.
#[derive(Clone, Debug)]
enum Root {
    Triangle(Cholesky),
    /// Rows u_k / √λ_k of the eigenvectors above rounding, `[rank, samples]`.
    Modes(Vec<f64>),
}

impl Posterior {
    /// Learns the training samples.
    ///
    /// * `kernel`: K_AA, `[samples, samples]`, row-major; its memory is used for the factorisation
    /// * `ridge`: variance of the noise of the targets
    ///
    /// # Errors
    /// [`KernelFault`] with what to do next; [`TheoryError::Length`]; [`TheoryError::OutOfRange`].
    pub fn fit(
        mut kernel: Vec<f64>,
        samples: usize,
        targets: Targets,
        ridge: Ridge,
    ) -> Result<Self, TheoryError> {
        let mean_diagonal = examine(&kernel, samples)?;
        targets.check(samples)?;
        let ridge = ridge.absolute(mean_diagonal)?;
        (0..samples).for_each(|i| kernel[i * (samples + 1)] += ridge);
        let diagonal: Vec<f64> = (0..samples).map(|i| kernel[i * (samples + 1)]).collect();
        let (root, weights) = match Cholesky::of(kernel, samples) {
            Ok(cholesky) if is_regular(&cholesky, &diagonal) => {
                let mut weights = targets.values.to_vec();
                cholesky.solve(&mut weights);
                (Root::Triangle(cholesky), weights)
            }
            Ok(cholesky) => by_modes(&cholesky.undo(&diagonal), samples, targets)?,
            Err(refused) => by_modes(&refused.matrix, samples, targets)?,
        };
        let (targets, outputs) = (targets.values.to_vec(), targets.outputs);
        Ok(Self { samples, outputs, ridge, targets, weights, root })
    }

    /// Noise variance in the unit of the kernel.
    pub fn ridge(&self) -> f64 {
        self.ridge
    }

    /// M⁻¹ y, `[samples, outputs]`, row-major: the mean anywhere is the kernel row times these.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Directions that the pseudo-inverse keeps; all of them for a regular kernel.
    pub fn rank(&self) -> usize {
        match &self.root {
            Root::Triangle(_) => self.samples,
            Root::Modes(rows) => rows.len() / self.samples,
        }
    }

    /// Mean and covariance for test samples, of the function without noise.
    ///
    /// * `cross`: K_BA, `[tests, samples]`, row-major
    ///
    /// # Errors
    /// [`TheoryError::Length`]; [`KernelFault::NotFinite`].
    pub fn predict(&self, cross: &[f64], prior: Prior) -> Result<Predicted, TheoryError> {
        let tests = rows_of(cross, self.samples)?;
        prior.check(tests)?;
        let mut mean = vec![0.0; tests * self.outputs];
        large::multiply(&mut mean, cross, View::new(&self.weights, self.samples, self.outputs));
        match prior {
            Prior::Unknown => Ok(Predicted { mean, variance: vec![], covariance: None }),
            Prior::Variances(variances) => {
                let half = self.half(cross, tests);
                let variance = reduced(variances, &half);
                Ok(Predicted { mean, variance, covariance: None })
            }
            Prior::Full(kernel) => {
                let half = self.half(cross, tests);
                let mut covariance = vec![0.0; tests * tests];
                let width = half.len().checked_div(tests).unwrap_or(0);
                large::multiply(&mut covariance, &half, View::new(&half, tests, width).transposed());
                covariance
                    .iter_mut()
                    .zip(kernel)
                    .for_each(|(explained, prior)| *explained = prior - *explained);
                let variances: Vec<f64> = (0..tests).map(|i| kernel[i * (tests + 1)]).collect();
                let variance = reduced(&variances, &half);
                (0..tests).for_each(|i| covariance[i * (tests + 1)] = variance[i]);
                Ok(Predicted { mean, variance, covariance: Some(covariance) })
            }
        }
    }

    /// Rows h_b with K_BA M⁻¹ K_AB = h hᵀ.
    fn half(&self, cross: &[f64], tests: usize) -> Vec<f64> {
        match &self.root {
            Root::Triangle(cholesky) => {
                let mut rows = cross.to_vec();
                cholesky.half_solve_rows(&mut rows);
                rows
            }
            Root::Modes(scaled) => {
                let rank = self.rank();
                let mut rows = vec![0.0; tests * rank];
                large::multiply(&mut rows, cross, View::new(scaled, rank, self.samples).transposed());
                rows
            }
        }
    }

    /// ln p(targets); not known for a singular kernel, on which targets have no density.
    pub fn log_evidence(&self) -> Known {
        let Root::Triangle(cholesky) = &self.root else {
            return Err(Unknown::NoDensity { rank: self.rank(), samples: self.samples });
        };
        let (n, outputs) = (self.samples as f64, self.outputs as f64);
        let fit: f64 = self.targets.iter().zip(&self.weights).map(|(y, a)| y * a).sum();
        Ok(-0.5 * fit - 0.5 * outputs * (cholesky.ln_det() + n * (2.0 * PI).ln()))
    }

    /// What would be predicted for each training sample from all the others.
    ///
    /// # Errors
    /// [`KernelFault::TooFew`] for one sample; [`KernelFault::Singular`] when M is.
    pub fn leave_one_out(&self) -> Result<LeaveOneOut, TheoryError> {
        let Root::Triangle(cholesky) = &self.root else {
            let (samples, rank, ridge) = (self.samples, self.rank(), self.repair());
            return Err(KernelFault::Singular { what: "leave-one-out", samples, rank, ridge }.into());
        };
        LeaveOneOut::new(&self.targets, self.outputs, &self.weights, &cholesky.inverse_diagonal())
    }

    /// A ridge for a kernel known only by its scaled modes: 1 / |row|² is an eigenvalue.
    fn repair(&self) -> f64 {
        let Root::Modes(rows) = &self.root else { return self.ridge };
        let value = |row: &[f64]| 1.0 / row.iter().map(|x| x * x).sum::<f64>();
        let largest = rows.chunks(self.samples).map(value).fold(0.0, f64::max);
        safe_ridge(self.samples, largest, largest / self.samples as f64)
    }
}

/// Whether every pivot stands above what rounding leaves of zero.
fn is_regular(cholesky: &Cholesky, diagonal: &[f64]) -> bool {
    let noise = 16.0 * (diagonal.len() as f64).sqrt() * f64::EPSILON;
    cholesky.pivots().zip(diagonal).all(|(pivot, entry)| pivot * pivot > noise * entry)
}

/// variance − |h_b|², not below zero.
fn reduced(variances: &[f64], half: &[f64]) -> Vec<f64> {
    let width = half.len().checked_div(variances.len()).unwrap_or(0);
    let length = |b: usize| half[b * width..(b + 1) * width].iter().map(|x| x * x).sum::<f64>();
    variances.iter().enumerate().map(|(b, variance)| (variance - length(b)).max(0.0)).collect()
}

/// Part of Σ y² along null directions that is still taken for rounding.
const REACHED: f64 = 1e-10;

/// Pseudo-inverse of a matrix that has no good Cholesky factor, if the targets can do with it.
fn by_modes(matrix: &[f64], samples: usize, targets: Targets) -> Result<(Root, Vec<f64>), TheoryError> {
    let modes = Modes::of(matrix, samples)?;
    modes.with_ridge(0.0)?;
    let rank = modes.rank();
    let null = samples - rank;
    let outputs = targets.outputs;
    let along = modes.project(&targets);
    let power = |values: &[f64]| values.iter().map(|y| y * y).sum::<f64>();
    let missed = power(&along[..null * outputs]) / targets.power().max(f64::MIN_POSITIVE);
    if missed > REACHED {
        return Err(out_of_reach(matrix, &modes, targets, missed).into());
    }
    let mut scaled = modes.vectors()[null * samples..].to_vec();
    let kept = &modes.values()[null..];
    for (row, value) in scaled.chunks_mut(samples).zip(kept) {
        row.iter_mut().for_each(|x| *x /= value.sqrt());
    }
    let mut half: Vec<f64> = along[null * outputs..].to_vec();
    half.chunks_mut(outputs)
        .zip(kept)
        .for_each(|(row, value)| row.iter_mut().for_each(|x| *x /= value.sqrt()));
    let mut rows = vec![0.0; outputs * samples];
    let flipped = large::transpose(&half, rank, outputs);
    large::multiply(&mut rows, &flipped, View::new(&scaled, rank, samples));
    Ok((Root::Modes(scaled), large::transpose(&rows, outputs, samples)))
}

/// Names the pair of samples that contradict each other, if there is one.
fn out_of_reach(matrix: &[f64], modes: &Modes, targets: Targets, missed: f64) -> KernelFault {
    let (samples, outputs) = (modes.samples(), targets.outputs);
    let at = |i: usize, j: usize| matrix[i * samples + j];
    let size = (targets.power() / targets.values.len() as f64).sqrt();
    for second in 1..samples {
        for first in 0..second {
            let (a, b, c) = (at(first, first), at(second, second), at(second, first));
            if a == 0.0 || c * c < (1.0 - 1e-12) * a * b {
                continue;
            }
            let factor = if (c / a - 1.0).abs() < 1e-9 { 1.0 } else { c / a };
            let off = |o: usize| {
                targets.values[second * outputs + o] - factor * targets.values[first * outputs + o]
            };
            let difference = (0..outputs).map(|o| off(o).abs()).fold(0.0, f64::max);
            if difference > 1e-6 * size {
                let ridge = 1e-3 * modes.mean_diagonal();
                return KernelFault::Contradiction { first, second, factor, difference, ridge };
            }
        }
    }
    KernelFault::OutOfReach { samples, rank: modes.rank(), missed, ridge: modes.safe_ridge() }
}
