//! How long and how fast to train.

use crate::error::SimError;
use serde::{Deserialize, Serialize};

/// The number type a network is trained in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision: what practice uses.
    #[default]
    Float32,
    /// Double precision: where theory is tested.
    Float64,
}

fn is_none(noise: &f64) -> bool {
    *noise == 0.0
}

/// What becomes of the rate after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// It stays.
    #[default]
    Constant,
    /// It falls to nothing in a line.
    Linear,
    /// It falls to nothing as half a cosine: $\frac12(1 + \cos\pi x)$ of it, x being the share of steps since the warm-up.
    Cosine,
}

impl Schedule {
    fn is_constant(&self) -> bool {
        *self == Schedule::Constant
    }
}

/// Settings of a training run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainSpec {
    /// Number of steps, ≥ 0.
    pub steps: u64,
    /// Samples per step, ≥ 1; a set with fewer is used whole at every step.
    pub batch: usize,
    /// Global learning rate η, ≥ 0.
    pub rate: f64,
    /// Seed of initialisation, batches and dropout.
    pub seed: u64,
    /// Number type.
    pub precision: Precision,
    /// Steps over which the rate grows linearly from nothing; 0 for none.
    pub warm_up: u64,
    /// What becomes of the rate afterwards.
    #[serde(skip_serializing_if = "Schedule::is_constant")]
    pub schedule: Schedule,
    /// Largest norm of a member's gradient, > 0; longer ones are shortened to it.
    pub clip: Option<f64>,
    /// Share of the labels of each batch that is redrawn uniformly from all classes, 0 to 1; a redrawn one may be right.
    #[serde(skip_serializing_if = "is_none")]
    pub label_noise: f64,
    /// Normal numbers added to the inputs of each batch: their standard deviation, in units of that of all inputs, ≥ 0.
    #[serde(skip_serializing_if = "is_none")]
    pub input_noise: f64,
    /// Temperature T ≥ 0 of the parameters: after each step every one is pushed by $\sqrt{2\eta T}\,\mathcal N(0, 1)$ (Langevin).
    #[serde(skip_serializing_if = "is_none")]
    pub temperature: f64,
    /// Samples of each set on which loss and accuracy are measured before and after, evenly spread over the set;
    /// 0 for all.
    pub evaluate: usize,
    /// Members that share a task; changes speed, never a result. None chooses by cache size.
    #[serde(skip)]
    pub block: Option<usize>,
}

impl Default for TrainSpec {
    fn default() -> TrainSpec {
        TrainSpec {
            steps: 150,
            batch: 100,
            rate: 1e-3,
            seed: 0,
            precision: Precision::Float32,
            warm_up: 0,
            schedule: Schedule::Constant,
            clip: None,
            label_noise: 0.0,
            input_noise: 0.0,
            temperature: 0.0,
            evaluate: 2000,
            block: None,
        }
    }
}

impl TrainSpec {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`SimError::Range`].
    pub fn check(&self) -> Result<(), SimError> {
        let wrong = |name, value, range| Err(SimError::Range { name, value, range });
        if self.batch == 0 {
            return wrong("batch", 0.0, "a whole number ≥ 1");
        }
        if !(self.rate.is_finite() && self.rate >= 0.0) {
            return wrong("rate", self.rate, "a finite number ≥ 0");
        }
        if !(0.0..=1.0).contains(&self.label_noise) {
            return wrong("label noise", self.label_noise, "0 to 1");
        }
        for (name, value) in [("input noise", self.input_noise), ("temperature", self.temperature)] {
            if !(value.is_finite() && value >= 0.0) {
                return wrong(name, value, "a finite number ≥ 0");
            }
        }
        match self.clip {
            Some(clip) if !(clip.is_finite() && clip > 0.0) => wrong("clip", clip, "a finite number > 0"),
            _ => Ok(()),
        }
    }

    /// Learning rate at a step, counted from 1.
    #[must_use]
    pub fn rate_at(&self, step: u64) -> f64 {
        if step < self.warm_up {
            return self.rate * step as f64 / self.warm_up as f64;
        }
        let first = self.warm_up.max(1);
        // One more than there are, so that the last step still moves.
        let done = (step - first) as f64 / (self.steps.saturating_sub(first) + 1) as f64;
        match self.schedule {
            Schedule::Constant => self.rate,
            Schedule::Linear => self.rate * (1.0 - done).max(0.0),
            Schedule::Cosine => self.rate * 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_rises_over_the_warm_up_and_falls_towards_nothing() {
        let of =
            |schedule| TrainSpec { steps: 110, warm_up: 10, rate: 2.0, schedule, ..TrainSpec::default() };
        for schedule in [Schedule::Constant, Schedule::Linear, Schedule::Cosine] {
            let spec = of(schedule);
            assert_eq!((spec.rate_at(1), spec.rate_at(5), spec.rate_at(10)), (0.2, 1.0, 2.0), "{schedule:?}");
            assert!(spec.rate_at(110) > 0.0, "{schedule:?}");
        }
        assert_eq!(of(Schedule::Constant).rate_at(110), 2.0);
        assert!((of(Schedule::Linear).rate_at(60) - 2.0 * (1.0 - 50.0 / 101.0)).abs() < 1e-12);
        let cosine = 1.0 + (std::f64::consts::PI * 50.0 / 101.0).cos();
        assert!((of(Schedule::Cosine).rate_at(60) - cosine).abs() < 1e-12);
        let none = TrainSpec { warm_up: 0, ..of(Schedule::Cosine) };
        assert_eq!(none.rate_at(1), 2.0);
    }
}
