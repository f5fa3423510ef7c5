//! A network compiled for kernels on data.

use crate::error::KernelError;
use crate::general;
use crate::matrices::Matrices;
use crate::spatial::Spatial;
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::plan::Plan;
use carnot_net::tape::Mode;

/// Precision of the arithmetic and of the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision: half the memory, about twice as fast.
    F32,
    /// Double precision.
    #[default]
    F64,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Precision of entries.
    pub precision: Precision,
    /// Whether Θ is wanted beside K.
    pub tangent: bool,
    /// Largest error of a tabulated average ⟨σσ⟩ relative to √(⟨σ²⟩_a ⟨σ²⟩_b), > 0; closed forms do not use it.
    pub tolerance: f64,
    /// Whether dropout acts: it does in the network as trained, not in the network as used.
    pub mode: Mode,
}

impl Default for Options {
    fn default() -> Options {
        Options { precision: Precision::F64, tangent: true, tolerance: 1e-10, mode: Mode::Evaluate }
    }
}

/// Samples, `[samples, shape]` row-major in the shape of the network's input.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The values.
    pub data: &'a [f64],
    /// Number of samples.
    pub samples: usize,
}

/// How the kernel is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Every entry by itself.
    Entrywise,
    /// Every pair of samples by itself, with its pairs of positions.
    Spatial,
    /// All samples together, by the rules of the layers.
    General,
}

/// A network compiled for kernels on data.
pub struct Engine {
    plan: Plan,
    init: Vec<LayerInit>,
    rate: Vec<LayerRate>,
    options: Options,
    route: Route,
    spatial: Option<Spatial>,
}

impl Engine {
    /// Compiles `plan` with one initialisation and one rate per layer with weights.
    ///
    /// # Errors
    /// [`KernelError::NotKnown`] when a layer has no kernel in the limit of infinite width.
    pub fn compile(
        plan: &Plan,
        init: &[LayerInit],
        rate: &[LayerRate],
        options: Options,
    ) -> Result<Engine, KernelError> {
        let has_positions = plan.input.positions() > 1;
        let spatial = if has_positions { Spatial::compile(plan, init, rate, options) } else { None };
        Ok(Engine {
            plan: plan.clone(),
            init: init.to_vec(),
            rate: rate.to_vec(),
            options,
            route: if spatial.is_some() { Route::Spatial } else { Route::General },
            spatial,
        })
    }

    /// How the kernel is computed.
    #[must_use]
    pub fn route(&self) -> Route {
        self.route
    }

    /// Kernel of a set of samples with itself, `[N, N]`, symmetric to the last bit.
    ///
    /// # Errors
    /// [`KernelError`] with the reason.
    pub fn gram(&self, inputs: Inputs) -> Result<Matrices, KernelError> {
        self.check(inputs)?;
        self.matrices(inputs, None)
    }

    /// Kernel of two sets of samples, `[N₁, N₂]`.
    ///
    /// # Errors
    /// [`KernelError`] with the reason.
    pub fn cross(&self, first: Inputs, second: Inputs) -> Result<Matrices, KernelError> {
        self.check(first)?;
        self.check(second)?;
        self.matrices(first, Some(second))
    }

    fn matrices(&self, first: Inputs, second: Option<Inputs>) -> Result<Matrices, KernelError> {
        match &self.spatial {
            Some(spatial) => spatial.matrices(self.options.precision, first, second),
            None => general::matrices(&self.plan, &self.init, &self.rate, self.options, first, second),
        }
    }

    fn check(&self, inputs: Inputs) -> Result<(), KernelError> {
        let width = self.plan.input.len();
        if inputs.data.len() != inputs.samples * width {
            return Err(KernelError::Inputs { values: inputs.data.len(), width });
        }
        match inputs.data.iter().position(|x| !x.is_finite()) {
            None => Ok(()),
            Some(at) => {
                let value = inputs.data[at];
                Err(KernelError::NotFinite { sample: at / width, place: at % width, value })
            }
        }
    }
}
