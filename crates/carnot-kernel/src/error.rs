//! Why a kernel could not be computed.

use carnot_net::error::Unknown;

/// Why a kernel could not be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum KernelError {
    /// A layer has no formula here.
    #[error("the kernel is not known at {layer}: {why}")]
    NotKnown {
        /// Name of the first layer without an answer.
        layer: String,
        /// The reason.
        why: Unknown,
    },
    /// The number of values does not fit the network's input.
    #[error("{values} values are not whole samples of {width} numbers")]
    Inputs {
        /// Values given.
        values: usize,
        /// Values of one sample.
        width: usize,
    },
    /// An input is NaN or infinite.
    #[error("sample {sample} holds {value} at place {place}")]
    NotFinite {
        /// Sample, from 0.
        sample: usize,
        /// Place in the sample, from 0.
        place: usize,
        /// The value.
        value: f64,
    },
    /// The kernel left the range of numbers.
    #[error(
        "the kernel is beyond the range of numbers after {layer}: it grows from layer to layer (chaotic phase or variance too large)"
    )]
    Overflow {
        /// Name of the layer after which it is no longer finite.
        layer: String,
    },
}
