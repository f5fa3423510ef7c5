//! What a caller hands over: one output of one module on the probe, and what it knows of the module's weights.

use serde::{Deserialize, Serialize};

/// Where a call stands in the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// One after the other: its input is the output of the call before.
    #[default]
    Chain,
    /// The stream of a residual network behind a block's addition. Its vectors are normalised (mean 0, variance 1, without
    /// parameters) before classes are compared, since a growing stream would drown them otherwise.
    Block,
    /// Inside a branch: it is read, but no load is laid on it, since the call before is not its input.
    Inside,
    /// The same for every sample: a table of positions, looked up by the shape of the input. Its size and its weights are read;
    /// whatever compares samples has nothing to compare.
    Table,
}

impl Role {
    /// Does everything on the way to the output pass it?
    #[must_use]
    pub fn is_on_line(self) -> bool {
        matches!(self, Role::Chain | Role::Block)
    }
}

/// Numbers about the parameters of a module; never the parameters themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WeightStats {
    /// Number of entries of the weight, > 0.
    pub parameters: u64,
    /// Inputs of one unit; variance × fan-in is the C_W of the weight.
    pub fan_in: Option<u64>,
    /// Euclidean norm of the weight, ≥ 0.
    pub norm: f64,
    /// Norm of the gradient of the loss with respect to it.
    pub gradient: Option<f64>,
    /// Norm of its last change, per step of training.
    pub update: Option<f64>,
    /// Entries that are NaN or infinite.
    pub non_finite: u64,
    /// Any hash of the bits of the weight: equal weights, equal digests.
    pub digest: Option<u64>,
}

/// A number that only the caller can know: what the head says of a stream, what attention looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told<'a> {
    /// Name of its observable.
    pub name: &'a str,
    /// The value; one that is not finite counts as missing.
    pub value: f64,
    /// Standard error over samples, where known.
    pub error: Option<f64>,
}

/// One output of one module on the probe. A module that is called twice is two calls.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Its path in the model: `encoder.layer.3.output.dense`.
    pub name: &'a str,
    /// Class of the module in lower case: `linear`, `conv2d`, `layernorm`, `relu`, `attention`, … The first call may be
    /// `input`: what the trainable stack sees.
    pub kind: &'a str,
    /// Which call of this module in the step, from 0.
    pub index: u32,
    /// Where it stands.
    pub role: Role,
    /// Positions of a sample: tokens or pixels; 1 for plain vectors.
    pub positions: usize,
    /// Units: the last axis (channels of a convolution).
    pub width: usize,
    /// `[samples, positions, width]`.
    pub features: &'a [f32],
    /// Input of a block, of the same shape: what its skip carries.
    pub input: Option<&'a [f32]>,
    /// Gradient of the loss with respect to the features, of the same shape.
    pub gradient: Option<&'a [f32]>,
    /// Numbers about its weights.
    pub weights: Option<WeightStats>,
    /// Weight of the head, `[classes, width of the call before]`, where this is the head.
    pub classifier: Option<&'a [f32]>,
    /// Numbers that only the caller can know.
    pub told: &'a [Told<'a>],
}

impl<'a> Call<'a> {
    /// A call with one vector a sample and nothing else known.
    #[must_use]
    pub fn vectors(name: &'a str, kind: &'a str, features: &'a [f32], width: usize) -> Call<'a> {
        Call {
            name,
            kind,
            index: 0,
            role: Role::Chain,
            positions: 1,
            width,
            features,
            input: None,
            gradient: None,
            weights: None,
            classifier: None,
            told: &[],
        }
    }
}
