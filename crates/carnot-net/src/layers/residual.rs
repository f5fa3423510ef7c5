//! Residual block: $z' = \beta f(z) + \gamma z$.

use super::branches::{Term, sum};
use super::{Arm, LayerRule};
use crate::batch::Batch;
use crate::error::{NetworkError, ShapeFault, Unknown};
use crate::kernel::{Kernel, Positions};
use crate::network::Named;
use crate::plan::{Site, Theory, Weights};
use crate::plan::{backward_gains, forward_all, positions_through, propagate_site, renewed};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::device;
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// A block with a skip connection around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    /// γ: factor of the skip path, usually 1.
    #[serde(rename = "residual")]
    pub skip: f64,
    /// β: factor of the block.
    #[serde(default = "unit", skip_serializing_if = "is_unit")]
    pub branch: f64,
    /// The layers of the block.
    pub block: Vec<Named>,
}

fn unit() -> f64 {
    1.0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_unit(value: &f64) -> bool {
    *value == 1.0
}

impl LayerRule for Residual {
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        for (key, value) in [("residual", self.skip), ("branch", self.branch)] {
            if !(value.is_finite() && value.abs() <= 1e3) {
                let layer = name.to_string();
                return Err(NetworkError::Range { layer, key, value, range: "-1000 … 1000" });
            }
        }
        Ok(input.clone())
    }

    fn arms(&self, _: &str, input: &Shape) -> Vec<Arm> {
        vec![Arm { layers: self.block.clone(), input: input.clone() }]
    }

    fn is_read(&self) -> bool {
        true
    }

    fn joined(&self, name: &str, input: &Shape, after: &[Shape]) -> Result<Shape, NetworkError> {
        self.shape(name, input)?;
        if *input == after[0] {
            return Ok(input.clone());
        }
        let why = ShapeFault::Skip { from: input.clone(), to: after[0].clone() };
        Err(NetworkError::Shape { layer: name.to_string(), input: input.clone(), why })
    }

    fn positions(&self, site: &Site, wanted: Positions) -> Positions {
        positions_through(&site.inside, wanted).max(wanted)
    }

    /// $K' = \beta^2 K_f + \gamma^2 K$, and the same for distances and Θ: the block's weights are independent of
    /// everything before them, so that branch and skip share no more than their means (see [`sum`]).
    fn propagate(
        &self,
        site: &Site,
        kernel: Kernel,
        theory: &Theory,
        inside: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        if !renewed(&site.inside) {
            return Err(Unknown::CorrelatedSkip(site.name.clone()));
        }
        let mut branch = kernel.clone();
        for inner in &site.inside {
            branch = propagate_site(inner, branch, theory, inside)?;
        }
        let branch = Term { factor: self.branch, kernel: &branch };
        Ok(sum(&[branch, Term { factor: self.skip, kernel: &kernel }]))
    }

    /// $\gamma^2 + \beta^2 \prod$ of the gains inside.
    fn backward_gain(
        &self,
        site: &Site,
        kernel: &Kernel,
        inside: &[Result<Kernel, Unknown>],
        theory: &Theory,
    ) -> Result<f64, Unknown> {
        let gains = backward_gains(&site.inside, kernel, inside, theory);
        let product = gains.into_iter().try_fold(1.0, |product, gain| Ok(product * gain?))?;
        Ok(self.skip * self.skip + self.branch * self.branch * product)
    }

    fn forward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        input: Batch<S>,
        tape: &mut Tape<S>,
        watch: &mut dyn Watch<S>,
    ) -> Batch<S> {
        let mut skip = tape.take(input.members, input.samples, &input.shape);
        skip.data.copy_from_slice(&input.data);
        let mut output = forward_all(&site.inside, weights, input, tape, watch);
        if self.branch != 1.0 {
            device::cpu::scale(&mut output.data, S::from_f64(self.branch));
        }
        device::cpu::axpy(&mut output.data, S::from_f64(self.skip), &skip.data);
        tape.give(skip);
        output
    }

    fn backward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        gradient: Batch<S>,
        gradients: &mut [S],
        tape: &mut Tape<S>,
        watch: &mut dyn Watch<S>,
        _: bool,
    ) -> Batch<S> {
        let mut branch = tape.take(gradient.members, gradient.samples, &gradient.shape);
        branch.data.copy_from_slice(&gradient.data);
        device::cpu::scale(&mut branch.data, S::from_f64(self.branch));
        for inner in site.inside.iter().rev() {
            watch.backward(inner.index, &branch);
            branch = inner.layer.backward(inner, weights, branch, gradients, tape, watch, true);
        }
        device::cpu::axpy(&mut branch.data, S::from_f64(self.skip), &gradient.data);
        tape.give(gradient);
        branch
    }
}
