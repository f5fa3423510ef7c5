//! The table of layers. Each is one file with three faces: what it is (shape, parameters), what theory says of
//! it (kernel, gradient gain), and what it does to numbers (forward, backward).

pub mod activate;
pub mod attention;
pub mod batch_norm;
pub mod branches;
pub mod conv;
pub mod conv_local;
pub mod dense;
pub mod dropout;
pub mod embedding;
pub mod exp_normalized;
pub mod flatten;
pub mod norm;
pub mod pool;
pub mod positional;
pub mod repeat;
pub mod residual;
pub mod unembedding;
pub mod window;

use crate::batch::Batch;
use crate::error::{NetworkError, Unknown};
use crate::kernel::{Kernel, Positions};
use crate::network::Named;
use crate::plan::{Site, Theory, Weights};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::scalar::Scalar;

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A weight matrix `[fan-out, fan-in]`: variance C_W / fan-in.
    Weight,
    /// A bias: variance C_b.
    Bias,
    /// A gain that starts at one.
    Gain,
    /// A shift that starts at zero.
    Shift,
    /// A running mean, which starts at zero. It has no gradient: in its place is what is to be subtracted after a step.
    RunningMean,
    /// A running variance, which starts at one; as [`Role::RunningMean`].
    RunningVariance,
}

/// One array of parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// `weight` or `bias`, as PyTorch names it.
    pub name: &'static str,
    /// Shape, row-major; weights are `[fan-out, fan-in]`.
    pub shape: Vec<usize>,
    /// Number of inputs that one output adds up.
    pub fan_in: usize,
    /// How it starts and which rate applies.
    pub role: Role,
}

impl Role {
    /// Does it follow what passes, instead of a gradient?
    #[must_use]
    pub fn follows(self) -> bool {
        matches!(self, Role::RunningMean | Role::RunningVariance)
    }
}

impl Parameter {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Never true.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Variances that the description of a layer fixes, whatever the initialisation scheme says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Chosen {
    /// C_W.
    pub c_w: Option<f64>,
    /// C_b.
    pub c_b: Option<f64>,
}

impl Chosen {
    /// Refuses variances that are negative or absurd.
    ///
    /// # Errors
    /// [`NetworkError::Range`].
    pub fn check(self, layer: &str) -> Result<(), NetworkError> {
        for (key, value) in [("c_w", self.c_w), ("c_b", self.c_b)] {
            if let Some(value) = value.filter(|value| !(0.0..=1e6).contains(value)) {
                return Err(NetworkError::Range {
                    layer: layer.to_string(),
                    key,
                    value,
                    range: "0 … 1000000",
                });
            }
        }
        Ok(())
    }
}

/// Consecutive layers inside a layer, and the shape that enters them.
#[derive(Clone, Debug)]
pub struct Arm {
    /// The layers.
    pub layers: Vec<Named>,
    /// What enters the first of them.
    pub input: Shape,
}

/// Everything Carnot knows about a kind of layer.
pub trait LayerRule {
    /// Shape that leaves when `input` enters; `name` is for the error.
    ///
    /// # Errors
    /// [`NetworkError::Shape`] or [`NetworkError::Range`].
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError>;

    /// Parameter arrays, in the order in which they lie in memory.
    fn parameters(&self, _input: &Shape) -> Vec<Parameter> {
        Vec::new()
    }

    /// True when the layer has weights that an initialisation scheme sets.
    fn has_weights(&self) -> bool {
        false
    }

    /// True when what leaves is, given its kernel, independent of what entered: fresh weights lie in between.
    fn renews(&self, _site: &Site) -> bool {
        self.has_weights()
    }

    /// True when the layer's output at top level is a row of every report.
    fn is_read(&self) -> bool {
        self.has_weights()
    }

    /// Variances that the description fixes.
    fn chosen(&self) -> Chosen {
        Chosen::default()
    }

    /// Chains of layers inside, side by side, for a layer called `name`.
    fn arms(&self, _name: &str, _input: &Shape) -> Vec<Arm> {
        Vec::new()
    }

    /// Shape that leaves when `after` leaves the arms inside.
    ///
    /// # Errors
    /// [`NetworkError::Shape`].
    fn joined(&self, name: &str, input: &Shape, _after: &[Shape]) -> Result<Shape, NetworkError> {
        self.shape(name, input)
    }

    /// Which position pairs must enter for `wanted` to leave.
    fn positions(&self, _site: &Site, wanted: Positions) -> Positions {
        wanted
    }

    /// Theory, n → ∞: the kernel that leaves. Composite layers push the kernels of what is inside.
    ///
    /// # Errors
    /// [`Unknown`] with the reason when no formula is known.
    fn propagate(
        &self,
        site: &Site,
        kernel: Kernel,
        theory: &Theory,
        inside: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown>;

    /// Theory, n → ∞: factor by which the expected squared norm of a gradient grows from output to input,
    /// given the kernel that enters the layer (and those inside, in preorder).
    ///
    /// # Errors
    /// [`Unknown`] with the reason.
    fn backward_gain(
        &self,
        site: &Site,
        kernel: &Kernel,
        inside: &[Result<Kernel, Unknown>],
        theory: &Theory,
    ) -> Result<f64, Unknown>;

    /// Values forward. Takes the input's buffer; saves on the tape what `backward` recalls.
    fn forward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        input: Batch<S>,
        tape: &mut Tape<S>,
        watch: &mut dyn Watch<S>,
    ) -> Batch<S>;

    /// Gradients backward: overwrites the layer's part of `gradients` (when that is not empty), returns the gradient of the input
    /// (anything of the right shape when `need_input` is false).
    fn backward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        gradient: Batch<S>,
        gradients: &mut [S],
        tape: &mut Tape<S>,
        watch: &mut dyn Watch<S>,
        need_input: bool,
    ) -> Batch<S>;
}

/// Makes the enum of layers, its key table and the dispatch from one list.
macro_rules! layers {
    ($( $variant:ident : $module:ident :: $rule:ident = $key:literal, $kind:literal ; )*) => {
        /// A layer of a network, as data. In TOML it is a table with exactly one of the keys of [`KEYS`].
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        #[serde(untagged)]
        pub enum Layer { $(
            #[doc = concat!("`{ ", $key, " = … }`")]
            $variant($module::$rule),
        )* }

        /// The key that names each kind of layer in TOML and JSON.
        pub const KEYS: &[&str] = &[$($key),*];

        impl Layer {
            /// Short name of the kind, as used in layer names.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self { $( Layer::$variant(_) => $kind, )* }
            }

            /// Reads the layer whose kind has the key `key` from a deserialiser of its table.
            pub(crate) fn read<'de, D: serde::Deserializer<'de>>(key: &str, table: D) -> Result<Layer, D::Error> {
                use serde::Deserialize;
                match key {
                    $( $key => $module::$rule::deserialize(table).map(Layer::$variant), )*
                    _ => unreachable!("the caller looked the key up in KEYS"),
                }
            }
        }

        impl LayerRule for Layer {
            fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
                match self { $( Layer::$variant(rule) => rule.shape(name, input), )* }
            }
            fn parameters(&self, input: &Shape) -> Vec<Parameter> {
                match self { $( Layer::$variant(rule) => rule.parameters(input), )* }
            }
            fn has_weights(&self) -> bool {
                match self { $( Layer::$variant(rule) => rule.has_weights(), )* }
            }
            fn renews(&self, site: &Site) -> bool {
                match self { $( Layer::$variant(rule) => rule.renews(site), )* }
            }
            fn is_read(&self) -> bool {
                match self { $( Layer::$variant(rule) => rule.is_read(), )* }
            }
            fn chosen(&self) -> Chosen {
                match self { $( Layer::$variant(rule) => rule.chosen(), )* }
            }
            fn arms(&self, name: &str, input: &Shape) -> Vec<Arm> {
                match self { $( Layer::$variant(rule) => rule.arms(name, input), )* }
            }
            fn joined(&self, name: &str, input: &Shape, after: &[Shape]) -> Result<Shape, NetworkError> {
                match self { $( Layer::$variant(rule) => rule.joined(name, input, after), )* }
            }
            fn positions(&self, site: &Site, wanted: Positions) -> Positions {
                match self { $( Layer::$variant(rule) => rule.positions(site, wanted), )* }
            }
            fn propagate(
                &self, site: &Site, kernel: Kernel, theory: &Theory, inside: &mut Vec<Result<Kernel, Unknown>>,
            ) -> Result<Kernel, Unknown> {
                match self { $( Layer::$variant(rule) => rule.propagate(site, kernel, theory, inside), )* }
            }
            fn backward_gain(
                &self, site: &Site, kernel: &Kernel, inside: &[Result<Kernel, Unknown>], theory: &Theory,
            ) -> Result<f64, Unknown> {
                match self { $( Layer::$variant(rule) => rule.backward_gain(site, kernel, inside, theory), )* }
            }
            fn forward<S: Scalar>(
                &self, site: &Site, weights: Weights<S>, input: Batch<S>, tape: &mut Tape<S>,
                watch: &mut dyn Watch<S>,
            ) -> Batch<S> {
                match self { $( Layer::$variant(rule) => rule.forward(site, weights, input, tape, watch), )* }
            }
            fn backward<S: Scalar>(
                &self, site: &Site, weights: Weights<S>, gradient: Batch<S>, gradients: &mut [S],
                tape: &mut Tape<S>, watch: &mut dyn Watch<S>, need_input: bool,
            ) -> Batch<S> {
                match self { $( Layer::$variant(rule) => {
                    rule.backward(site, weights, gradient, gradients, tape, watch, need_input)
                } )* }
            }
        }
    };
}

layers! {
    Dense: dense::Dense = "dense", "dense";
    Activate: activate::Activate = "act", "act";
    Norm: norm::Norm = "norm", "norm";
    BatchNorm: batch_norm::BatchNorm = "batch_norm", "batch_norm";
    Dropout: dropout::Dropout = "dropout", "dropout";
    Conv: conv::Conv = "conv", "conv";
    ConvTransposed: conv::ConvTransposed = "conv_transposed", "conv_transposed";
    ConvLocal: conv_local::ConvLocal = "conv_local", "conv_local";
    Pool: pool::Pool = "pool", "pool";
    Flatten: flatten::Flatten = "flatten", "flatten";
    Residual: residual::Residual = "residual", "residual";
    Repeat: repeat::Repeat = "repeat", "repeat";
    Branches: branches::Branches = "branches", "branches";
    Attention: attention::Attention = "attention", "attention";
    Embedding: embedding::Embedding = "embedding", "embedding";
    Positional: positional::Positional = "positional", "positional";
    Unembedding: unembedding::Unembedding = "unembedding", "unembedding";
    ExpNormalized: exp_normalized::ExpNormalized = "exp_normalized", "exp_normalized";
}

impl Layer {
    /// The rows on which shared weights `[width, fan-in]` act, one for each position that leaves; none for a layer whose weights
    /// are used in another way.
    ///
    /// * `values`: `[samples, input.len()]`
    /// * returns: `[samples, positions after, fan-in]`
    #[must_use]
    pub fn rows<S: Scalar>(&self, input: &Shape, values: &[S]) -> Option<Vec<S>> {
        match self {
            Layer::Dense(_) => Some(values.to_vec()),
            Layer::Conv(conv) => Some(conv.form().columns(input, values)),
            Layer::ConvTransposed(conv) => Some(conv.form().columns(input, values)),
            _ => None,
        }
    }
}
