//! What can be wrong with a network description, with the numbers and the place.

use crate::shape::Shape;
use std::ops::Range;

/// Why a network description was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NetworkError {
    /// The shorthand could not be read.
    #[error("cannot read \"{text}\" as a network: {why}")]
    Shorthand {
        /// The whole shorthand.
        text: String,
        /// Bytes of the part that failed.
        at: Range<usize>,
        /// What was expected there.
        why: ShorthandFault,
    },
    /// TOML syntax, or a value of the wrong type.
    #[error("{message}")]
    Toml {
        /// What the TOML reader said.
        message: String,
        /// Bytes in the text, where known.
        at: Range<usize>,
    },
    /// A key nobody knows.
    #[error("no key \"{key}\" in {table}")]
    UnknownKey {
        /// The key as written.
        key: String,
        /// The table it stands in.
        table: String,
        /// The nearest known key.
        nearest: Option<String>,
        /// Bytes of the key.
        at: Range<usize>,
    },
    /// A key that must be there is not.
    #[error("{table} needs the key \"{key}\"")]
    MissingKey {
        /// The missing key.
        key: &'static str,
        /// The table that lacks it.
        table: String,
        /// Bytes of the table.
        at: Range<usize>,
    },
    /// A layer table names no layer kind, or two.
    #[error("a layer needs exactly one of the keys {known}; this one has {found}")]
    LayerKind {
        /// All layer kinds.
        known: String,
        /// Those found.
        found: String,
        /// Bytes of the layer's table.
        at: Range<usize>,
    },
    /// An activation that is neither a name nor a formula.
    #[error("activation \"{spec}\": {why}")]
    Activation {
        /// As written.
        spec: String,
        /// The activation's own error.
        why: crate::activation::ActivationError,
        /// Bytes in the file, or empty.
        at: Range<usize>,
    },
    /// A layer cannot take what comes in.
    #[error("{layer} cannot take {input}: {why}")]
    Shape {
        /// Name of the layer.
        layer: String,
        /// What comes in.
        input: Shape,
        /// The rule that is broken.
        why: ShapeFault,
    },
    /// A number out of its range.
    #[error("{layer}: {key} = {value} is outside {range}")]
    Range {
        /// Name of the layer.
        layer: String,
        /// The key.
        key: &'static str,
        /// The value given.
        value: f64,
        /// The range allowed.
        range: &'static str,
    },
    /// No layers at all.
    #[error("the network has no layers")]
    Empty,
    /// More parameters or layers than any machine holds.
    #[error("the network has {count:.1e} {what}, more than the {limit:.0e} that can be handled")]
    TooLarge {
        /// How many.
        count: f64,
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: f64,
    },
    /// The file could not be read.
    #[error("cannot read {path}: {why}")]
    File {
        /// The path.
        path: String,
        /// What the system said.
        why: String,
    },
}

/// What a part of a shorthand lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShorthandFault {
    /// Fewer than two widths.
    #[error("it needs at least an input and an output width, as in 784-10")]
    TooFewParts,
    /// A part is not `width` or `widthxcount`.
    #[error("\"{0}\" is not a width such as 128, nor a repeated width such as 128x50")]
    NotAWidth(String),
    /// A width or count of zero.
    #[error("a width or a count of zero")]
    Zero,
    /// The number does not fit.
    #[error("{0} is too large; widths go to {max}, counts to 100000", max = LARGEST_WIDTH)]
    TooLarge(String),
    /// A word that is no setting of a transformer.
    #[error("\"{key}\" is no setting of a transformer{}", nearest.as_ref().map_or(String::new(), |near| format!("; {near}= is meant, perhaps")))]
    UnknownKey {
        /// The word.
        key: String,
        /// The setting that is most like it.
        nearest: Option<String>,
    },
    /// A setting that is 0 or 1.
    #[error("{0} is 0 or 1")]
    NotASwitch(String),
    /// Heads that do not share the width evenly.
    #[error("{heads} heads cannot share a width of {width}")]
    Heads {
        /// Width of the stream.
        width: usize,
        /// Heads.
        heads: usize,
    },
    /// Repeating the first or last width.
    #[error("the input and the output width cannot be repeated")]
    RepeatedEnd,
}

/// Largest width of one layer that is accepted.
pub const LARGEST_WIDTH: usize = 1 << 24;

/// Which rule about shapes a layer breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeFault {
    /// Conv2d wants height × width × channels, conv1d length × channels.
    #[error("it needs {wanted} position axes (positions × features), got {got}")]
    Axes {
        /// Number of axes needed.
        wanted: usize,
        /// Number of axes found.
        got: usize,
    },
    /// The kernel does not fit the positions.
    #[error("a window of {window} does not fit into {size} positions")]
    Window {
        /// The window.
        window: usize,
        /// Positions along the axis.
        size: usize,
    },
    /// A residual block changes the shape.
    #[error("the block turns {from} into {to}; input and output of a skip must be alike")]
    Skip {
        /// Shape before the block.
        from: Shape,
        /// Shape after it.
        to: Shape,
    },
    /// Branches that cannot be joined.
    #[error("its branches end in {first} and {other}, which cannot be joined")]
    Branches {
        /// Shape after the first branch.
        first: Shape,
        /// A shape that does not fit it.
        other: Shape,
    },
    /// An embedding wants one number at each position.
    #[error("an embedding reads one token at each position, not {0} features")]
    Tokens(
        /// Features that come in.
        usize,
    ),
    /// An embedding stands behind something that changes tokens.
    #[error("tokens must come straight from the data; no layer may stand before an embedding")]
    TokensFirst,
    /// An unembedding without an embedding.
    #[error(
        "its weights are those of an embedding before it, and there is none that no other unembedding uses"
    )]
    NoTable,
    /// An unembedding of another size than its embedding.
    #[error(
        "its embedding has {kinds} vectors of {width} features; it wants {wanted}, of as many as come in"
    )]
    Table {
        /// Tokens of the embedding.
        kinds: usize,
        /// Features of the embedding.
        width: usize,
        /// Tokens of the unembedding.
        wanted: usize,
    },
    /// The layer would have an absurd size.
    #[error("it would hold {0:.1e} values")]
    TooLarge(
        /// How many, rounded.
        ordered::Count,
    ),
}

/// A count that can be compared and printed.
pub mod ordered {
    /// Number of values, as a float because it may exceed 2^64.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Count(pub f64);
    impl Eq for Count {}
    impl std::fmt::LowerExp for Count {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            std::fmt::LowerExp::fmt(&self.0, f)
        }
    }
}

/// Why theory has no answer here. It becomes an empty cell with this sentence, never a NaN and never a guess.
#[derive(Clone, Debug, PartialEq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum Unknown {
    /// The Gaussian average of the activation does not converge.
    #[error("the Gaussian average of {activation} at K = {variance:.3e} does not converge")]
    Average {
        /// The activation.
        activation: String,
        /// Variance of the preactivation.
        variance: f64,
    },
    /// The signal left the range of floating-point numbers.
    #[error("the signal grows past {0:.0e}: chaotic phase, no finite kernel")]
    Overflow(
        /// The last variance.
        f64,
    ),
    /// Theory needs Gaussian vectors here.
    #[error("{0} does not receive Gaussian preactivations (it must follow a layer with weights)")]
    NotGaussian(
        /// The layer.
        String,
    ),
    /// Branch and skip are correlated.
    #[error("{0}: the block must hold a layer with weights, or branch and skip are correlated")]
    CorrelatedSkip(
        /// The layer.
        String,
    ),
    /// Two branches pass on the same features.
    #[error("{0}: all branches but one must hold a layer with weights, or they are correlated")]
    CorrelatedBranches(
        /// The layer.
        String,
    ),
    /// The kernel was asked for fewer position pairs than needed.
    #[error("{0} needs pairs of positions that were not kept")]
    Positions(
        /// The layer.
        String,
    ),
    /// A layer for which no formula of this kind is known.
    #[error("no {what} is known for {layer}")]
    NoFormula {
        /// Which quantity.
        what: String,
        /// The layer.
        layer: String,
    },
    /// A layer above had no answer.
    #[error("unknown from {0} on")]
    Upstream(
        /// The first layer without an answer.
        String,
    ),
}
