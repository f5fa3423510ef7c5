//! Gradient descent: $w \leftarrow w - \eta g$.

use super::{Rule, Step};
use crate::error::SimError;
use carnot_math::device::cpu;
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// Plain (stochastic) gradient descent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sgd {}

impl Rule for Sgd {
    fn memories(&self) -> usize {
        0
    }

    fn check(&self) -> Result<(), SimError> {
        Ok(())
    }

    fn step<S: Scalar>(&self, step: Step<S>) {
        cpu::axpy(step.weights, S::from_f64(-step.rate), step.gradient);
    }
}
