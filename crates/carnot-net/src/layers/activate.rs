//! Activation: $x_i = \sigma(z_i)$, any formula.

use super::LayerRule;
use crate::activation::Activation;
use crate::batch::Batch;
use crate::dual::Dual;
use crate::error::{NetworkError, Unknown};
use crate::kernel::Kernel;
use crate::plan::{Site, Theory, Weights};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::device;
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// Elementwise activation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activate {
    /// A name of the activation table or a formula in z.
    #[serde(rename = "act")]
    pub activation: Activation,
}

impl LayerRule for Activate {
    fn shape(&self, _: &str, input: &Shape) -> Result<Shape, NetworkError> {
        Ok(input.clone())
    }

    /// $v' = \langle\sigma^2\rangle$, $d'_{ab} = \langle(\sigma_a - \sigma_b)^2\rangle$,
    /// $\Theta' = \langle\sigma'_a\sigma'_b\rangle\Theta$; see [`Dual`].
    fn propagate(
        &self,
        site: &Site,
        kernel: Kernel,
        _: &Theory,
        _: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        if !kernel.gaussian {
            return Err(Unknown::NotGaussian(site.name.clone()));
        }
        Dual::of(&self.activation).propagate(&kernel)
    }

    /// $\langle\sigma'^2\rangle$, averaged over sites.
    fn backward_gain(
        &self,
        site: &Site,
        kernel: &Kernel,
        _: &[Result<Kernel, Unknown>],
        _: &Theory,
    ) -> Result<f64, Unknown> {
        if !kernel.gaussian {
            return Err(Unknown::NotGaussian(site.name.clone()));
        }
        Dual::of(&self.activation).mean_squared_slope(&kernel.forward.variance)
    }

    fn forward<S: Scalar>(
        &self,
        _: &Site,
        _: Weights<S>,
        input: Batch<S>,
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
    ) -> Batch<S> {
        let mut output = tape.take(input.members, input.samples, &input.shape);
        if tape.record {
            let mut slope = tape.take(input.members, input.samples, &input.shape);
            self.activation.formula.values_and_slopes(&input.data, &mut output.data, &mut slope.data);
            tape.save(slope);
        } else {
            self.activation.formula.values(&input.data, &mut output.data);
        }
        tape.give(input);
        output
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
        let slope = tape.recall();
        device::cpu::multiply_assign(&mut gradient.data, &slope.data);
        tape.give(slope);
        gradient
    }
}
