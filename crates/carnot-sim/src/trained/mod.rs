//! Ensembles of small networks trained to the end by gradient flow: what theory predicts of trained networks, measured.
//!
//! | module | question |
//! |---|---|
//! | [`flow`] | where does gradient flow take one block of networks? |
//! | [`member`] | what is measured of a member, and what is taken off to see small effects |
//! | [`part`] | statistics of a job, merged in the order of members |
//! | [`posterior`] | the Bayesian posterior of random networks, by weighing them |
//!
//! A prediction of order 1/n hides below fluctuations of order one. Two control variates of known mean zero uncover it:
//! at the start outputs are odd in the last layer, so every member is measured together with its mirror image
//! (last layer times −1), and what an infinitely wide network with the same outputs at the start would predict is taken off.

pub mod flow;
pub mod member;
pub mod part;
pub mod posterior;

use crate::error::SimError;
use crate::initialise;
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::plan::Plan;

/// A learning problem on a few samples, and the networks that learn it.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The network.
    pub plan: &'a Plan,
    /// How members start: one per layer with weights.
    pub init: &'a [LayerInit],
    /// Relative rates: one per layer with weights.
    pub rates: &'a [LayerRate],
    /// Seed of all members.
    pub seed: u64,
    /// `[N, shape]`: what is learned.
    pub train: &'a [f64],
    /// `[N, outputs]`
    pub targets: &'a [f64],
    /// `[M, shape]`: where trained networks are asked.
    pub test: &'a [f64],
}

impl Task<'_> {
    /// Number of outputs.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.plan.output().len()
    }

    /// Number of training samples N.
    #[must_use]
    pub fn learned(&self) -> usize {
        self.train.len() / self.plan.input.len()
    }

    /// Number of test samples M.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.test.len() / self.plan.input.len()
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// [`SimError`] when they do not fit.
    pub fn check(&self) -> Result<(), SimError> {
        initialise::check(self.plan, self.init)?;
        if self.rates.len() != self.plan.weighted {
            return Err(SimError::Rates { expected: self.plan.weighted, found: self.rates.len() });
        }
        let size = self.plan.input.len();
        for samples in [self.train, self.test] {
            if samples.is_empty() {
                return Err(SimError::NoSamples);
            }
            if !samples.len().is_multiple_of(size) {
                return Err(SimError::Input { expected: self.plan.input.clone(), found: samples.len() });
            }
        }
        if self.targets.len() != self.learned() * self.outputs() {
            let needed = self.targets.len() / self.learned();
            return Err(SimError::Outputs { needed, found: self.outputs() });
        }
        Ok(())
    }

    /// Training and test samples one after another, `[N + M, shape]`.
    pub(crate) fn samples(&self) -> Vec<f64> {
        [self.train, self.test].concat()
    }
}
