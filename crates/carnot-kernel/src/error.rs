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
    /// K or Θ left the range of numbers, where it is known which and how fast it grew.
    #[error(
        "{what} is beyond the range of numbers after {layer}: it stood at {before:.1e} before, and grows by {growth:.3} a layer \
         (chaotic phase or variance too large)"
    )]
    Grows {
        /// Which of the two.
        what: Beyond,
        /// Name of the layer after which it is no longer finite.
        layer: String,
        /// Its largest value before that layer.
        before: f64,
        /// Factor by which the largest value grew per layer with weights, on average since the input.
        growth: f64,
    },
    /// The kernel does not fit into memory.
    #[error(
        "the kernel needs {:.1} GB of memory and {:.1} GB are there: {samples} samples would fit, single precision or K alone \
         needs half, and in tiles to disk it takes {:.1} GB",
        needed / 1e9, available / 1e9, tiled / 1e9
    )]
    TooLarge {
        /// Bytes needed.
        needed: f64,
        /// Bytes there.
        available: f64,
        /// Samples whose kernel would fit.
        samples: usize,
        /// Bytes needed when tiles go to disk.
        tiled: f64,
    },
    /// A file could not be written or read.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        why: String,
    },
}

/// What can leave the range of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// K.
    Kernel,
    /// Θ.
    Tangent,
}

impl std::fmt::Display for Beyond {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Beyond::Kernel => "the kernel K",
            Beyond::Tangent => "the tangent kernel Θ",
        })
    }
}
