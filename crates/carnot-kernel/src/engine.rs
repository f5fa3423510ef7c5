//! A network compiled for kernels on data.

use crate::entrywise::matrices::Ready;
use crate::entrywise::program::Program;
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

/// How accurate tabulated averages are.
#[derive(Clone, Debug, PartialEq)]
pub struct Tabulated {
    /// Largest error of ⟨σσ⟩ and ⟨σ′σ′⟩ relative to ⟨σ²⟩ and ⟨σ′²⟩, measured at variances kept aside.
    pub error: f64,
    /// The layer it is of.
    pub layer: String,
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
    pub(crate) plan: Plan,
    init: Vec<LayerInit>,
    rate: Vec<LayerRate>,
    pub(crate) options: Options,
    pub(crate) program: Option<Program>,
    pub(crate) spatial: Option<Spatial>,
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
        let program = Program::compile(plan, (init, rate), &options);
        let has_positions = program.is_none() && plan.input.positions() > 1;
        let spatial = if has_positions { Spatial::compile(plan, init, rate, options) } else { None };
        let (init, rate) = (init.to_vec(), rate.to_vec());
        Ok(Engine { plan: plan.clone(), init, rate, options, program, spatial })
    }

    /// The same engine by the rules of the layers, whatever faster route there is: the reference for the others.
    #[must_use]
    pub fn general(self) -> Engine {
        Engine { program: None, spatial: None, ..self }
    }

    /// How the kernel is computed.
    #[must_use]
    pub fn route(&self) -> Route {
        match (&self.program, &self.spatial) {
            (Some(_), _) => Route::Entrywise,
            (None, Some(_)) => Route::Spatial,
            (None, None) => Route::General,
        }
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

    /// What tabulating activations without closed form costs in accuracy on these samples; `None` when nothing is tabulated.
    ///
    /// # Errors
    /// [`KernelError`] with the reason.
    pub fn tabulated(&self, inputs: Inputs) -> Result<Option<Tabulated>, KernelError> {
        self.check(inputs)?;
        let Some(program) = &self.program else { return Ok(None) };
        let (width, tolerance) = (self.plan.input.len(), self.options.tolerance);
        let ready = Ready::<f64>::new(program, inputs, None, width, tolerance)?;
        let found = ready.tabulated().map(|(error, layer)| Tabulated { error: *error, layer: layer.clone() });
        Ok(found)
    }

    fn matrices(&self, first: Inputs, second: Option<Inputs>) -> Result<Matrices, KernelError> {
        let Some(program) = &self.program else {
            return match &self.spatial {
                Some(spatial) => spatial.matrices(self.options.precision, first, second),
                None => general::matrices(&self.plan, &self.init, &self.rate, self.options, first, second),
            };
        };
        let (width, tolerance) = (self.plan.input.len(), self.options.tolerance);
        match self.options.precision {
            Precision::F64 => Ready::<f64>::new(program, first, second, width, tolerance)?.whole(),
            Precision::F32 => Ready::<f32>::new(program, first, second, width, tolerance)?.whole(),
        }
    }

    pub(crate) fn check(&self, inputs: Inputs) -> Result<(), KernelError> {
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
