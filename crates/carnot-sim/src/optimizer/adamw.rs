//! AdamW: Adam with decoupled weight decay.

use super::adam::Adam;
use super::{Rule, Step, check_positive};
use crate::error::SimError;
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// AdamW, as PyTorch's `AdamW`: every parameter shrinks by $1 - \eta\lambda$ before the step of [`Adam`].
///
/// Source: Loshchilov, Hutter, arXiv:1711.05101, algorithm 2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdamW {
    /// Decay β₁ of the running mean, 0 ≤ β₁ < 1.
    pub beta1: f64,
    /// Decay β₂ of the running square, 0 ≤ β₂ < 1.
    pub beta2: f64,
    /// ε, added to the root, > 0.
    pub epsilon: f64,
    /// Weight decay λ ≥ 0.
    pub decay: f64,
}

impl Default for AdamW {
    fn default() -> AdamW {
        let Adam { beta1, beta2, epsilon } = Adam::default();
        AdamW { beta1, beta2, epsilon, decay: 0.01 }
    }
}

impl AdamW {
    fn adam(&self) -> Adam {
        Adam { beta1: self.beta1, beta2: self.beta2, epsilon: self.epsilon }
    }
}

impl Rule for AdamW {
    fn memories(&self) -> usize {
        2
    }

    fn check(&self) -> Result<(), SimError> {
        self.adam().check()?;
        check_positive("decay", self.decay)
    }

    fn step<S: Scalar>(&self, step: Step<S>) {
        self.adam().step_with_decay(step, self.decay);
    }
}
