//! Dropout: while training, each value is zero with probability p and divided by 1 − p otherwise.

use super::LayerRule;
use crate::batch::Batch;
use crate::error::{NetworkError, Unknown};
use crate::kernel::{Gram, Kernel};
use crate::plan::{Site, Theory, Weights};
use crate::shape::Shape;
use crate::tape::{Mode, Tape, Watch};
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// Dropout; readings and theory see the network in evaluation mode, where it does nothing, unless they ask for training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// Probability of dropping a value, 0 ≤ p < 1.
    #[serde(rename = "dropout")]
    pub probability: f64,
}

impl LayerRule for Dropout {
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        if (0.0..1.0).contains(&self.probability) {
            return Ok(input.clone());
        }
        let (layer, value) = (name.to_string(), self.probability);
        Err(NetworkError::Range { layer, key: "dropout", value, range: "0 ≤ p < 1" })
    }

    /// The identity in the network as used. In training each value meets its own mask, independent between samples and
    /// positions, so that only the diagonal changes: $v' = v/(1-p)$, $\Theta'_{aa} = \Theta_{aa}/(1-p)$.
    fn propagate(
        &self,
        _: &Site,
        kernel: Kernel,
        theory: &Theory,
        _: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        if theory.mode == Mode::Evaluate || self.probability == 0.0 {
            return Ok(kernel);
        }
        let keep = 1.0 - self.probability;
        let more = 1.0 / keep - 1.0;
        let masked = |gram: &Gram| {
            gram.map(|_, v| v / keep, |a, b, d| d + more * (gram.variance[a] + gram.variance[b]))
        };
        let tangent = kernel.tangent.as_ref().map(masked);
        // A masked Gaussian is a mixture of a Gaussian and zero.
        Ok(Kernel { forward: masked(&kernel.forward), mean: kernel.mean, gaussian: false, tangent })
    }

    fn backward_gain(
        &self,
        _: &Site,
        _: &Kernel,
        _: &[Result<Kernel, Unknown>],
        theory: &Theory,
    ) -> Result<f64, Unknown> {
        Ok(if theory.mode == Mode::Evaluate { 1.0 } else { 1.0 / (1.0 - self.probability) })
    }

    fn forward<S: Scalar>(
        &self,
        _: &Site,
        _: Weights<S>,
        mut input: Batch<S>,
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
    ) -> Batch<S> {
        if tape.mode == Mode::Evaluate || self.probability == 0.0 {
            return input;
        }
        let mut mask = tape.take(input.members, input.samples, &input.shape);
        let size = mask.data.len() / mask.members;
        for (values, stream) in mask.data.chunks_exact_mut(size).zip(&mut tape.noise) {
            stream.fill_kept(values, self.probability, |p| S::from_f64(1.0 / (1.0 - p)));
        }
        carnot_math::device::cpu::multiply_assign(&mut input.data, &mask.data);
        tape.save(mask);
        input
    }

    fn backward<S: Scalar>(
        &self,
        _: &Site,
        _: Weights<S>,
        mut gradient: Batch<S>,
        _: &mut [S],
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
        _: bool,
    ) -> Batch<S> {
        if tape.mode == Mode::Evaluate || self.probability == 0.0 {
            return gradient;
        }
        let mask = tape.recall();
        carnot_math::device::cpu::multiply_assign(&mut gradient.data, &mask.data);
        tape.give(mask);
        gradient
    }
}
