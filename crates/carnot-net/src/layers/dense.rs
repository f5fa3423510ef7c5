//! Dense layer: $z' = b + W x$.

use super::{Chosen, LayerRule, Parameter, Role};
use crate::batch::Batch;
use crate::error::{LARGEST_WIDTH, NetworkError, Unknown};
use crate::kernel::Kernel;
use crate::plan::{Site, Theory, Weights};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::device::{self, View};
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// Dense (fully connected) layer over the features, applied at every position alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    /// Number of outputs n.
    #[serde(rename = "dense")]
    pub width: usize,
    /// Whether a bias is added.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub bias: bool,
    /// C_W of this layer, whatever the initialisation scheme says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_w: Option<f64>,
    /// C_b of this layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_b: Option<f64>,
}

impl Dense {
    /// A layer with a bias, initialised as the scheme says.
    #[must_use]
    pub fn of_width(width: usize) -> Dense {
        Dense { width, bias: true, c_w: None, c_b: None }
    }
}

pub(super) fn yes() -> bool {
    true
}

pub(super) fn is_yes(value: &bool) -> bool {
    *value
}

/// A width between 1 and [`LARGEST_WIDTH`].
pub(super) fn check_width(layer: &str, key: &'static str, width: usize) -> Result<(), NetworkError> {
    if (1..=LARGEST_WIDTH).contains(&width) {
        return Ok(());
    }
    Err(NetworkError::Range { layer: layer.to_string(), key, value: width as f64, range: "1 … 16777216" })
}

/// The parameters of a layer whose outputs add up `fan_in` inputs each.
pub(super) fn weight_and_bias(width: usize, fan_in: usize, bias: bool) -> Vec<Parameter> {
    let weight = Parameter { name: "weight", shape: vec![width, fan_in], fan_in, role: Role::Weight };
    let bias = bias.then(|| Parameter { name: "bias", shape: vec![width], fan_in, role: Role::Bias });
    std::iter::once(weight).chain(bias).collect()
}

/// Every row of `inputs` (fan-in numbers: a sample's features, or a window of positions) times the weights, plus the bias.
pub(super) fn weigh_rows<S: Scalar>(
    site: &Site,
    weights: Weights<S>,
    inputs: &Batch<S>,
    output: &mut Batch<S>,
    bias: bool,
) {
    let (rows, fan_in, width) = (output.rows(), site.fan_in(), site.output.width());
    for member in 0..output.members {
        let weight = weights.of(member, site.offset, width * fan_in);
        let x = &inputs.data[member * rows * fan_in..(member + 1) * rows * fan_in];
        let z = &mut output.data[member * rows * width..(member + 1) * rows * width];
        device::product(z, View::new(x, rows, fan_in), View::new(weight, width, fan_in).transposed(), false);
        if bias {
            device::cpu::bias_rows(z, weights.of(member, site.offset + width * fan_in, width));
        }
    }
}

/// Gradients of the weights and the bias (unless `gradients` is empty); then, where it is needed, the gradient of every
/// row, in place of the row.
pub(super) fn weigh_rows_back<S: Scalar>(
    site: &Site,
    weights: Weights<S>,
    inputs: &mut Batch<S>,
    gradient: &Batch<S>,
    gradients: &mut [S],
    bias: bool,
    need_input: bool,
) {
    let (rows, fan_in, width) = (gradient.rows(), site.fan_in(), site.output.width());
    for member in 0..gradient.members {
        let x = &mut inputs.data[member * rows * fan_in..(member + 1) * rows * fan_in];
        let dz = &gradient.data[member * rows * width..(member + 1) * rows * width];
        if !gradients.is_empty() {
            let start = member * weights.stride + site.offset;
            let (to_weight, rest) = gradients[start..].split_at_mut(width * fan_in);
            device::product(
                to_weight,
                View::new(dz, rows, width).transposed(),
                View::new(x, rows, fan_in),
                false,
            );
            if bias {
                device::cpu::column_sums(&mut rest[..width], dz, false);
            }
        }
        if need_input {
            let weight = weights.of(member, site.offset, width * fan_in);
            device::product(x, View::new(dz, rows, width), View::new(weight, width, fan_in), false);
        }
    }
}

/// What theory does with a sum over fan-in inputs: $K' = C_b + C_W K$, $\Theta' = \lambda_b + \lambda_W K + C_W \Theta$.
///
/// `kernel` holds the (position-averaged, for convolution) moments of the inputs.
pub(super) fn weigh(site: &Site, kernel: Kernel, theory: &Theory, bias: bool) -> Kernel {
    let at = site.weighted.expect("dense and conv layers are weighted");
    let init = theory.init[at];
    let c_b = if bias { init.c_b } else { 0.0 };
    let forward = kernel.forward.map(|_, v| c_b + init.c_w * v, |_, _, d| init.c_w * d);
    let tangent = kernel.tangent.map(|tangent| {
        let rate = theory.rate[at];
        let lambda_b = if bias { rate.lambda_b } else { 0.0 };
        let inputs = &kernel.forward;
        tangent.map(
            |a, t| lambda_b + rate.lambda_w * inputs.variance[a] + init.c_w * t,
            |a, b, t| rate.lambda_w * inputs.distance_of(a, b).expect("same pairs") + init.c_w * t,
        )
    });
    Kernel { mean: vec![0.0; forward.sites()], forward, gaussian: true, tangent }
}

impl LayerRule for Dense {
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        check_width(name, "dense", self.width)?;
        Ok(input.with_width(self.width))
    }

    fn parameters(&self, input: &Shape) -> Vec<Parameter> {
        weight_and_bias(self.width, input.width(), self.bias)
    }

    fn has_weights(&self) -> bool {
        true
    }

    fn chosen(&self) -> Chosen {
        Chosen { c_w: self.c_w, c_b: self.c_b }
    }

    /// $K' = C_b + C_W K$; squared distances lose the bias: $d' = C_W d$.
    fn propagate(
        &self,
        site: &Site,
        kernel: Kernel,
        theory: &Theory,
        _: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        Ok(weigh(site, kernel, theory, self.bias))
    }

    /// $E|W^T\delta|^2 = C_W |\delta|^2$.
    fn backward_gain(
        &self,
        site: &Site,
        _: &Kernel,
        _: &[Result<Kernel, Unknown>],
        theory: &Theory,
    ) -> Result<f64, Unknown> {
        Ok(theory.init[site.weighted.expect("dense layers are weighted")].c_w)
    }

    fn forward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        input: Batch<S>,
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
    ) -> Batch<S> {
        let mut output = tape.take(input.members, input.samples, &site.output);
        weigh_rows(site, weights, &input, &mut output, self.bias);
        tape.save(input);
        output
    }

    fn backward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        gradient: Batch<S>,
        gradients: &mut [S],
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
        need_input: bool,
    ) -> Batch<S> {
        // The saved input has the shape of the gradient that leaves: its memory is used again.
        let mut input = tape.recall();
        weigh_rows_back(site, weights, &mut input, &gradient, gradients, self.bias, need_input);
        tape.give(gradient);
        input
    }
}
