//! Gradient descent with momentum: $v \leftarrow \beta v + g$, $w \leftarrow w - \eta v$.

use super::{Rule, Step, check_decay};
use crate::error::SimError;
use carnot_math::device::cpu::{self, MomentumStep};
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// Heavy-ball momentum, as PyTorch's `SGD(momentum=β)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Momentum {
    /// Share β of the velocity that is kept, 0 ≤ β < 1.
    pub beta: f64,
}

impl Default for Momentum {
    fn default() -> Momentum {
        Momentum { beta: 0.9 }
    }
}

impl Rule for Momentum {
    fn memories(&self) -> usize {
        1
    }

    fn check(&self) -> Result<(), SimError> {
        check_decay("beta", self.beta)
    }

    fn step<S: Scalar>(&self, step: Step<S>) {
        let numbers = MomentumStep { rate: step.rate, momentum: self.beta, decay: 0.0, nesterov: false };
        cpu::momentum_step(step.weights, step.first, step.gradient, &numbers);
    }
}
