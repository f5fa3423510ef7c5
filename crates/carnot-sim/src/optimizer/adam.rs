//! Adam: gradients over the root of their running square.

use super::{Rule, Step, check_decay, check_positive};
use crate::error::SimError;
use carnot_math::device::cpu::{self, AdamStep};
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// Adam, as PyTorch's `Adam`.
///
/// $$ m \leftarrow \beta_1 m + (1-\beta_1) g, \quad v \leftarrow \beta_2 v + (1-\beta_2) g^2, \quad
///    w \leftarrow w - \eta \frac{m/(1-\beta_1^t)}{\sqrt{v/(1-\beta_2^t)} + \epsilon} $$
///
/// Source: Kingma, Ba, arXiv:1412.6980, algorithm 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Adam {
    /// Decay β₁ of the running mean, 0 ≤ β₁ < 1.
    pub beta1: f64,
    /// Decay β₂ of the running square, 0 ≤ β₂ < 1.
    pub beta2: f64,
    /// ε, added to the root, > 0.
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Adam {
        Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

impl Adam {
    /// The step with decoupled weight decay λ ≥ 0.
    pub(super) fn step_with_decay<S: Scalar>(&self, step: Step<S>, decay: f64) {
        let t = step.step as f64;
        let numbers = AdamStep {
            rate: step.rate,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            decay,
            correction1: 1.0 - self.beta1.powf(t),
            correction2: 1.0 - self.beta2.powf(t),
        };
        cpu::adam_step(step.weights, step.first, step.second, step.gradient, &numbers);
    }
}

impl Rule for Adam {
    fn memories(&self) -> usize {
        2
    }

    fn check(&self) -> Result<(), SimError> {
        check_decay("beta1", self.beta1)?;
        check_decay("beta2", self.beta2)?;
        check_positive("epsilon", self.epsilon)
    }

    fn step<S: Scalar>(&self, step: Step<S>) {
        self.step_with_decay(step, 0.0);
    }
}
