//! The ridge chosen by the data: evidence and leave-one-out over a whole grid from one eigendecomposition.

use std::f64::consts::PI;

use carnot_math::device::View;
use carnot_math::linalg::large;

use super::fault::KernelFault;
use super::leave_one_out::LeaveOneOut;
use super::modes::Modes;
use super::problem::Targets;
use crate::error::{TheoryError, check};

/// How good a ridge is, by every measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Noise variance in the unit of the kernel.
    pub ridge: f64,
    /// ln p(targets) with the kernel as it is.
    pub log_evidence: f64,
    /// Factor on kernel and ridge that maximises the evidence, y M⁻¹ y / (N n_L).
    pub amplitude: f64,
    /// ln p(targets) with kernel and ridge multiplied by `amplitude`.
    pub log_evidence_at_amplitude: f64,
    /// Leave-one-out predictions, errors and densities.
    pub leave_one_out: LeaveOneOut,
}

/// What the best ridge is best at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Criterion {
    /// Largest ln p(targets).
    Evidence,
    /// Largest ln p(targets) when the scale of kernel and ridge is free: for kernels known up to a factor.
    EvidenceAtAmplitude,
    /// Largest mean of ln p(y_i | all others).
    LeaveOneOutDensity,
    /// Smallest leave-one-out mean squared error.
    LeaveOneOutError,
}

impl Criterion {
    /// Larger is better.
    pub fn of(self, score: &Score) -> f64 {
        match self {
            Self::Evidence => score.log_evidence,
            Self::EvidenceAtAmplitude => score.log_evidence_at_amplitude,
            Self::LeaveOneOutDensity => score.leave_one_out.log_density().value,
            Self::LeaveOneOutError => -score.leave_one_out.squared_error().value,
        }
    }
}

/// Scores of several ridges; the cost is two matrix products for all of them together.
///
/// $$ M^{-1} = \sum_k \frac{u_k u_k^T}{\lambda_k + r},\qquad
///    \ln p(y) = -\tfrac12 \sum_k \frac{|u_k\cdot y|^2}{\lambda_k + r} - \tfrac{n_L}{2} \sum_k \ln 2\pi(\lambda_k + r) $$
///
/// * `ridges`: absolute, ≥ 0; a ridge that leaves the kernel singular is refused
///
/// # Errors
/// [`KernelFault::Singular`], [`KernelFault::Indefinite`], [`KernelFault::TooFew`]; [`TheoryError::Length`],
/// [`TheoryError::OutOfRange`].
///
/// Source: Rasmussen, Williams 2006, ch. 5.4. Checked by `tests/regression/leave_one_out.rs`.
pub fn scores(modes: &Modes, targets: Targets, ridges: &[f64]) -> Result<Vec<Score>, TheoryError> {
    let squares: Vec<f64> = modes.vectors().iter().map(|u| u * u).collect();
    Scorer::new(modes, targets, &squares)?.all(ridges)
}

/// The best ridge between the smallest that rounding allows and a hundred times the mean diagonal.
///
/// A grid of four ridges a decade, then twenty golden sections around its best point: relative precision 1e-4 of the ridge.
///
/// * returns: the scores of the grid, and the best score
///
/// # Errors
/// As [`scores`].
pub fn best(
    modes: &Modes,
    targets: Targets,
    criterion: Criterion,
) -> Result<(Vec<Score>, Score), TheoryError> {
    let squares: Vec<f64> = modes.vectors().iter().map(|u| u * u).collect();
    let scorer = Scorer::new(modes, targets, &squares)?;
    let mean = modes.mean_diagonal();
    let lowest = (16.0 * modes.rounding() - modes.smallest()).max(1e-10 * mean);
    let (low, high) = (lowest.ln(), (100.0 * mean).max(100.0 * lowest).ln());
    let points = ((high - low) / 10f64.ln() * 4.0).ceil() as usize;
    let step = (high - low) / points as f64;
    let grid: Vec<f64> = (0..=points).map(|i| (low + i as f64 * step).exp()).collect();
    let scored = scorer.all(&grid)?;
    let value = |at: usize| criterion.of(&scored[at]);
    let top = (0..scored.len()).fold(0, |top, at| if value(at) > value(top) { at } else { top });
    let mut best = scored[top].clone();
    if top > 0 && top < points {
        let refined =
            scorer.golden(criterion, low + (top - 1) as f64 * step, low + (top + 1) as f64 * step)?;
        if criterion.of(&refined) > criterion.of(&best) {
            best = refined;
        }
    }
    Ok((scored, best))
}

/// What all ridges share.
struct Scorer<'a> {
    modes: &'a Modes,
    targets: Targets<'a>,
    /// u_k·y, `[samples, outputs]`.
    along: Vec<f64>,
    /// Squares of the eigenvectors, `[samples, samples]`.
    squares: &'a [f64],
}

impl<'a> Scorer<'a> {
    fn new(modes: &'a Modes, targets: Targets<'a>, squares: &'a [f64]) -> Result<Self, TheoryError> {
        targets.check(modes.samples())?;
        Ok(Self { modes, targets, along: modes.project(&targets), squares })
    }

    fn all(&self, ridges: &[f64]) -> Result<Vec<Score>, TheoryError> {
        let (n, outputs) = (self.modes.samples(), self.targets.outputs);
        let mut inverses = Vec::with_capacity(ridges.len() * n);
        for &ridge in ridges {
            check("ridge", ridge, ridge >= 0.0, "zero or more")?;
            let shifted = self.modes.with_ridge(ridge)?;
            if shifted[0] <= self.modes.rounding() {
                let (samples, rank, ridge) = (n, self.modes.rank(), self.modes.safe_ridge());
                let what = "leave-one-out";
                return Err(KernelFault::Singular { what, samples, rank, ridge }.into());
            }
            inverses.extend(shifted.iter().map(|m| 1.0 / m));
        }
        let mut diagonals = vec![0.0; ridges.len() * n];
        large::multiply(&mut diagonals, &inverses, View::new(self.squares, n, n));
        let weighted: Vec<f64> = inverses.chunks(n).flat_map(|inverse| self.weighted(inverse)).collect();
        let rows = self.modes.unproject_rows(&weighted);
        let score = |(at, &ridge): (usize, &f64)| {
            let weights = large::transpose(&rows[at * outputs * n..(at + 1) * outputs * n], outputs, n);
            let diagonal = &diagonals[at * n..(at + 1) * n];
            self.score(ridge, &inverses[at * n..(at + 1) * n], &weights, diagonal)
        };
        ridges.iter().enumerate().map(score).collect()
    }

    /// u_k·y / (λ_k + r), transposed: `[outputs, samples]`.
    fn weighted(&self, inverse: &[f64]) -> Vec<f64> {
        let (n, outputs) = (inverse.len(), self.targets.outputs);
        (0..outputs * n).map(|at| self.along[at % n * outputs + at / n] * inverse[at % n]).collect()
    }

    fn score(
        &self,
        ridge: f64,
        inverse: &[f64],
        weights: &[f64],
        diagonal: &[f64],
    ) -> Result<Score, TheoryError> {
        let outputs = self.targets.outputs;
        let count = self.targets.values.len() as f64;
        let fit: f64 = self.along.iter().enumerate().map(|(at, c)| c * c * inverse[at / outputs]).sum();
        let volume = -(outputs as f64) * inverse.iter().map(|m| m.ln()).sum::<f64>();
        let amplitude = fit / count;
        let density = |fit: f64, scale: f64| -0.5 * (fit / scale + volume + count * (2.0 * PI * scale).ln());
        Ok(Score {
            ridge,
            log_evidence: density(fit, 1.0),
            amplitude,
            log_evidence_at_amplitude: density(fit, amplitude),
            leave_one_out: LeaveOneOut::new(self.targets.values, outputs, weights, diagonal)?,
        })
    }

    /// Golden-section search for the largest value between two logarithms of the ridge.
    fn golden(&self, criterion: Criterion, low: f64, high: f64) -> Result<Score, TheoryError> {
        let ratio = (5f64.sqrt() - 1.0) / 2.0;
        let at = |x: f64| Ok::<_, TheoryError>(self.all(&[x.exp()])?.remove(0));
        let (mut low, mut high) = (low, high);
        let (mut left, mut right) = (high - ratio * (high - low), low + ratio * (high - low));
        let (mut at_left, mut at_right) = (at(left)?, at(right)?);
        for _ in 0..20 {
            if criterion.of(&at_left) > criterion.of(&at_right) {
                (high, right, at_right) = (right, left, at_left);
                left = high - ratio * (high - low);
                at_left = at(left)?;
            } else {
                (low, left, at_left) = (left, right, at_right);
                right = low + ratio * (high - low);
                at_right = at(right)?;
            }
        }
        Ok(if criterion.of(&at_left) > criterion.of(&at_right) { at_left } else { at_right })
    }
}
