//! The Bayesian posterior of random networks of finite width: each weighed by how well it explains the targets.
//!
//! Given everything before the last layer, outputs are Gaussian with the kernel $\hat G = C_b + C_W\, \phi\cdot\phi/n$ of the
//! features φ. So nothing of the last layer is sampled: a member's weight is its evidence, and its prediction a regression.

use super::Task;
use crate::empirical::Network;
use crate::empirical::feature::features;
use crate::error::SimError;
use crate::initialise::initialise;
use carnot_math::linalg;
use carnot_math::stats::Estimate;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::ops::Range;

/// Members of a batch.
const BATCH: u64 = 500;

/// Sums over one batch of members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Number of members.
    pub members: u64,
    /// Σ w, in units of e^`offset`.
    pub weight: f64,
    /// Σ w · mean of z_{i;b}, `[tests, outputs]`.
    pub mean: Vec<f64>,
    /// Σ w · mean of z_{i;b} z_{j;b}, `[tests, outputs, outputs]`.
    pub square: Vec<f64>,
}

/// What jobs leave behind: sums over batches, in the order of members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PosteriorPart {
    /// Logarithm taken off every weight.
    pub offset: f64,
    /// The batches.
    pub batches: Vec<Batch>,
}

/// Weighs the members of one job.
///
/// * `task`: its targets are taken as exact; rates do not matter. The last layer must be the only one with outputs' weights.
/// * `offset`: near the logarithm of the evidence, so that weights stay in range
///
/// # Errors
/// [`SimError`] when sizes do not fit, or a member's kernel is singular on the training samples.
pub fn weigh_job(task: &Task, offset: f64, members: Range<u64>) -> Result<PosteriorPart, SimError> {
    task.check()?;
    let starts: Vec<u64> = members.clone().step_by(BATCH as usize).collect();
    let batch = |&start: &u64| of_batch(task, offset, start..(start + BATCH).min(members.end));
    let batches: Result<Vec<Batch>, SimError> = starts.par_iter().map(batch).collect();
    Ok(PosteriorPart { offset, batches: batches? })
}

fn of_batch(task: &Task, offset: f64, members: Range<u64>) -> Result<Batch, SimError> {
    let (m, o) = (task.asked(), task.outputs());
    let mut sum = Batch { members: 0, weight: 0.0, mean: vec![0.0; m * o], square: vec![0.0; m * o * o] };
    let mut parameters = vec![0.0; task.plan.parameters];
    for member in members {
        initialise(task.plan, task.init, task.seed, member, &mut parameters);
        let (log_weight, mean, variance) = regression(task, &parameters, member)?;
        let weight = (log_weight - offset).exp();
        sum.members += 1;
        sum.weight += weight;
        sum.mean.iter_mut().zip(&mean).for_each(|(s, x)| *s += weight * x);
        for (k, square) in sum.square.iter_mut().enumerate() {
            let (b, i, j) = (k / (o * o), k / o % o, k % o);
            let own = if i == j { variance[b] } else { 0.0 };
            *square += weight * (mean[b * o + i] * mean[b * o + j] + own);
        }
    }
    Ok(sum)
}

/// Logarithm of the evidence of one member, its mean `[tests, outputs]` and its variance `[tests]`.
fn regression(task: &Task, parameters: &[f64], member: u64) -> Result<(f64, Vec<f64>, Vec<f64>), SimError> {
    let plan = task.plan;
    let (n, m, o) = (task.learned(), task.asked(), task.outputs());
    let last = plan.sites.last().expect("a plan has sites");
    let init = task.init[plan.weighted - 1];
    let network = Network { plan, parameters };
    let wide = n + m;
    let gram = features(network, last.index - 1, &task.samples(), None)?.values;
    let kernel: Vec<f64> = gram.iter().map(|g| init.c_b + init.c_w * g).collect();
    let singular = |_| SimError::Singular { member };
    let inner: Vec<f64> = (0..n * n).map(|k| kernel[k / n * wide + k % n]).collect();
    let cross: Vec<f64> = (0..n * m).map(|k| kernel[k / m * wide + n + k % m]).collect();
    let phi = linalg::solve_spd(&inner, n, task.targets).map_err(singular)?;
    let response = linalg::solve_spd(&inner, n, &cross).map_err(singular)?;
    let fit: f64 = phi.iter().zip(task.targets).map(|(a, b)| a * b).sum();
    let volume = linalg::ln_det(&inner, n).map_err(singular)? + n as f64 * (2.0 * PI).ln();
    let mean = (0..m * o).map(|k| (0..n).map(|a| cross[a * m + k / o] * phi[a * o + k % o]).sum()).collect();
    let explained = |b: usize| (0..n).map(|a| cross[a * m + b] * response[a * m + b]).sum::<f64>();
    let variance = (0..m).map(|b| kernel[(n + b) * (wide + 1)] - explained(b)).collect();
    Ok((-0.5 * fit - 0.5 * o as f64 * volume, mean, variance))
}

impl PosteriorPart {
    /// Adds the batches of another part.
    ///
    /// # Errors
    /// [`SimError::Parts`] when weights have another offset.
    pub fn merge(&mut self, other: &PosteriorPart) -> Result<(), SimError> {
        if self.offset != other.offset {
            return Err(SimError::Parts);
        }
        self.batches.extend_from_slice(&other.batches);
        Ok(())
    }

    /// ln p(targets).
    #[must_use]
    pub fn log_evidence(&self) -> Estimate {
        self.jackknife(|sum| (sum.weight / sum.members as f64).ln() + self.offset)
    }

    /// Posterior mean of output `i` at test sample `b`, of `outputs`.
    #[must_use]
    pub fn mean(&self, b: usize, i: usize, outputs: usize) -> Estimate {
        self.jackknife(|sum| sum.mean[b * outputs + i] / sum.weight)
    }

    /// Posterior covariance of outputs i and j at test sample b.
    #[must_use]
    pub fn covariance(&self, b: usize, [i, j]: [usize; 2], outputs: usize) -> Estimate {
        let o = outputs;
        self.jackknife(|sum| {
            let mean = |i: usize| sum.mean[b * o + i] / sum.weight;
            sum.square[(b * o + i) * o + j] / sum.weight - mean(i) * mean(j)
        })
    }

    /// Number of members that count, (Σw)²/Σw², by batches: far below the number of members the weights have run away.
    #[must_use]
    pub fn effective_batches(&self) -> f64 {
        let weights = self.batches.iter().map(|batch| batch.weight);
        weights.clone().sum::<f64>().powi(2) / weights.map(|w| w * w).sum::<f64>()
    }

    /// A function of the sums, with the error from leaving out one batch at a time.
    fn jackknife(&self, f: impl Fn(&Batch) -> f64) -> Estimate {
        let mut whole = self.batches[0].clone();
        self.batches[1..].iter().for_each(|batch| add(&mut whole, batch, 1.0));
        let value = f(&whole);
        let without = self.batches.iter().map(|batch| {
            let mut rest = whole.clone();
            add(&mut rest, batch, -1.0);
            f(&rest)
        });
        let count = self.batches.len() as f64;
        let squares: f64 = without.map(|other| (other - value).powi(2)).sum();
        let error = ((count - 1.0) / count * squares).sqrt();
        Estimate { value, error, spread: error * (whole.members as f64).sqrt(), n: whole.members }
    }
}

fn add(sum: &mut Batch, other: &Batch, sign: f64) {
    sum.members = if sign > 0.0 { sum.members + other.members } else { sum.members - other.members };
    sum.weight += sign * other.weight;
    sum.mean.iter_mut().zip(&other.mean).for_each(|(a, b)| *a += sign * b);
    sum.square.iter_mut().zip(&other.square).for_each(|(a, b)| *a += sign * b);
}
