//! Gradient descent with a frozen tangent kernel, at any time, with a pull to the start.

use carnot_math::device::View;
use carnot_math::linalg::large;

use super::fault::KernelFault;
use super::modes::Modes;
use super::problem::{Predicted, Prior, Ridge, Targets, rows_of};
use crate::error::{TheoryError, check, check_length};
use crate::inference::Duration;

/// What is minimised: it sets the unit of rates and times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// ½ Σ (z − y)² over samples and outputs.
    Sum,
    /// ½ mean of (z − y)² over samples and outputs.
    Mean,
}

impl Loss {
    /// What a rate or a time is multiplied by: 1 or 1 / (samples · outputs).
    pub fn unit(self, samples: usize, outputs: usize) -> f64 {
        match self {
            Self::Sum => 1.0,
            Self::Mean => 1.0 / (samples * outputs) as f64,
        }
    }

    /// Largest rate at which no mode grows: 2 / λ_max, in the unit of this loss.
    ///
    /// * `largest`: largest eigenvalue of the tangent kernel, the ridge included, > 0
    ///
    /// Source: PDLT ch. 10.1. Checked by `tests/regression/peers.rs`.
    pub fn largest_rate(self, largest: f64, samples: usize, outputs: usize) -> f64 {
        2.0 / largest / self.unit(samples, outputs)
    }
}

/// The distribution of outputs before training: zero mean and this kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start<'a> {
    /// Every network starts at zero output (or its initial output is subtracted).
    Zero,
    /// Outputs of random networks.
    Ensemble {
        /// K_AA, `[samples, samples]`, row-major.
        train: &'a [f64],
        /// K_BA, `[tests, samples]`, row-major.
        cross: &'a [f64],
        /// K_BB.
        prior: Prior<'a>,
        /// Variance of independent noise on the training outputs, ≥ 0. With Θ = K and this noise equal to the ridge, training to
        /// convergence draws from the Bayesian posterior.
        noise: f64,
    },
}

/// An ensemble of infinitely wide networks trained by gradient descent on the squared error.
///
/// With M = Θ_AA + ridge:
///
/// $$ P(t) = \Theta_{BA} M^{-1} [1 - (1-\eta M)^t],\qquad \bar z_B = P y,\qquad
///    \mathrm{Cov} = K_{BB'} - P K_{AB'} - K_{BA}P'^T + P K_{AA} P'^T $$
///
/// The ridge is weight decay towards the start: ½ ridge |θ − θ(0)|² beside the summed loss, in the metric of the learning rates.
/// Null directions of M are never learned; nothing diverges there.
///
/// Source: PDLT ch. 10.1–10.2; Lee et al. 2019, arXiv:1902.06720, eq. 14–16. Checked by `tests/regression/peers.rs`.
#[derive(Clone, Debug)]
pub struct Descent<'a> {
    modes: &'a Modes,
    outputs: usize,
    /// u_k·y, `[samples, outputs]`.
    along: Vec<f64>,
    /// Θ_k + ridge, `[samples]`.
    strengths: Vec<f64>,
    unit: f64,
    loss: Loss,
}

impl<'a> Descent<'a> {
    /// Prepares training on these targets.
    ///
    /// * `tangent`: modes of Θ_AA
    ///
    /// # Errors
    /// [`KernelFault::Indefinite`]; [`TheoryError::Length`]; [`TheoryError::OutOfRange`].
    pub fn new(tangent: &'a Modes, targets: Targets, ridge: Ridge, loss: Loss) -> Result<Self, TheoryError> {
        let samples = tangent.samples();
        targets.check(samples)?;
        let strengths = tangent.with_ridge(ridge.absolute(tangent.mean_diagonal())?)?;
        let unit = loss.unit(samples, targets.outputs);
        let along = tangent.project(&targets);
        Ok(Self { modes: tangent, outputs: targets.outputs, along, strengths, unit, loss })
    }

    /// Largest stable rate in the unit of the loss.
    pub fn largest_rate(&self) -> f64 {
        let largest = self.strengths[self.strengths.len() - 1];
        self.loss.largest_rate(largest, self.modes.samples(), self.outputs)
    }

    /// Mean and covariance over networks for test samples.
    ///
    /// * `cross`: Θ_BA, `[tests, samples]`, row-major
    /// * `start`: K, for the covariance
    ///
    /// # Errors
    /// [`TheoryError::Length`]; [`TheoryError::OutOfRange`]; [`KernelFault::Diverges`].
    pub fn predict(&self, cross: &[f64], start: Start, duration: Duration) -> Result<Predicted, TheoryError> {
        let samples = self.modes.samples();
        let tests = rows_of(cross, samples)?;
        let learned = self.learned(duration)?;
        let mut response = self.modes.project_rows(cross);
        response.chunks_mut(samples).for_each(|row| row.iter_mut().zip(&learned).for_each(|(x, f)| *x *= f));
        let mut mean = vec![0.0; tests * self.outputs];
        large::multiply(&mut mean, &response, View::new(&self.along, samples, self.outputs));
        match start {
            Start::Zero => Ok(Predicted { mean, variance: vec![0.0; tests], covariance: None }),
            Start::Ensemble { train, cross, prior, noise } => {
                check("noise of the start", noise, noise >= 0.0, "zero or more")?;
                check_length("starting kernel", samples * samples, train.len())?;
                check_length("starting kernel between test and training", tests * samples, cross.len())?;
                prior.check(tests)?;
                let response = self.modes.unproject_rows(&response);
                let spread = Spread { response, samples, tests, train, cross, noise };
                let (variance, covariance) = spread.of(prior);
                Ok(Predicted { mean, variance, covariance })
            }
        }
    }

    /// [1 − (1 − ηM_k)^t] / M_k for each mode.
    fn learned(&self, duration: Duration) -> Result<Vec<f64>, TheoryError> {
        let (largest, rounding) = (self.largest_rate(), self.modes.rounding());
        let part: Box<dyn Fn(f64) -> f64> = match duration {
            Duration::Converged => Box::new(|m| if m > rounding { 1.0 / m } else { 0.0 }),
            Duration::Flow(time) => {
                check("time", time, time >= 0.0, "zero or more")?;
                let time = time * self.unit;
                Box::new(move |m| if m > 0.0 { -(-m * time).exp_m1() / m } else { time })
            }
            Duration::Steps { rate, steps } => {
                check("rate", rate, rate >= 0.0, "zero or more")?;
                let (rate, steps) = (rate * self.unit, f64::from(steps));
                Box::new(move |m| if m > 0.0 { stepped(rate * m, steps) / m } else { rate * steps })
            }
        };
        let learned: Vec<f64> = self.strengths.iter().map(|&m| part(m)).collect();
        match duration {
            Duration::Steps { rate, .. } if !learned.iter().all(|f| f.is_finite()) => {
                Err(KernelFault::Diverges { rate, largest }.into())
            }
            _ => Ok(learned),
        }
    }
}

/// 1 − (1 − x)^steps, without cancellation for small x.
fn stepped(x: f64, steps: f64) -> f64 {
    if x < 1.0 { -(steps * (-x).ln_1p()).exp_m1() } else { 1.0 - (1.0 - x).powf(steps) }
}

/// What is left of the spread of random starts.
struct Spread<'a> {
    /// P, `[tests, samples]`.
    response: Vec<f64>,
    samples: usize,
    tests: usize,
    train: &'a [f64],
    cross: &'a [f64],
    noise: f64,
}

impl Spread<'_> {
    /// P K_AA + noise P − K_BA: with it, Cov = K_BB − P K_AB + (this) Pᵀ.
    fn overshoot(&self) -> Vec<f64> {
        let mut out = vec![0.0; self.response.len()];
        large::multiply(&mut out, &self.response, View::new(self.train, self.samples, self.samples));
        for ((x, p), k) in out.iter_mut().zip(&self.response).zip(self.cross) {
            *x += self.noise * p - k;
        }
        out
    }

    fn of(&self, prior: Prior) -> (Vec<f64>, Option<Vec<f64>>) {
        let (n, m) = (self.samples, self.tests);
        if prior == Prior::Unknown {
            return (vec![], None);
        }
        let over = self.overshoot();
        let row = |of: &[f64], b: usize| -> Vec<f64> { of[b * n..(b + 1) * n].to_vec() };
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(a, b)| a * b).sum::<f64>();
        let change = |b: usize| {
            let p = row(&self.response, b);
            dot(&p, &row(&over, b)) - dot(&p, &row(self.cross, b))
        };
        let Prior::Full(kernel) = prior else {
            let Prior::Variances(variances) = prior else { return (vec![], None) };
            return ((0..m).map(|b| (variances[b] + change(b)).max(0.0)).collect(), None);
        };
        let (mut back, mut forth) = (vec![0.0; m * m], vec![0.0; m * m]);
        large::multiply(&mut back, &over, View::new(&self.response, m, n).transposed());
        large::multiply(&mut forth, &self.response, View::new(self.cross, m, n).transposed());
        let mut covariance = kernel.to_vec();
        for (at, value) in covariance.iter_mut().enumerate() {
            *value += back[at] - forth[at];
        }
        let variance: Vec<f64> = (0..m).map(|b| covariance[b * (m + 1)].max(0.0)).collect();
        (0..m).for_each(|b| covariance[b * (m + 1)] = variance[b]);
        (variance, Some(covariance))
    }
}
