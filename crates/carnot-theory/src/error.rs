//! What theory answers when it has no number: out of range, not resolved, or not known and why.

use crate::regression::fault::KernelFault;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a quantity has no value; the sentence completes "not known, because …".
#[derive(Clone, Debug, PartialEq, Error, Serialize, Deserialize)]
pub enum Unknown {
    /// The activation itself jumps, so its slope contains a delta function.
    #[error("the activation jumps at z = {at}, so the average of its squared slope is infinite there")]
    ValueJumps {
        /// Place of the jump.
        at: f64,
    },
    /// The slope jumps, so the square of the curvature is infinite.
    #[error(
        "the slope of the activation jumps at z = {at}, so averages of its squared curvature are infinite"
    )]
    SlopeJumps {
        /// Place of the jump.
        at: f64,
    },
    /// Several inputs at once, with a kink: only pairs of inputs are integrated with the kink on a panel edge.
    #[error(
        "the activation has a kink at z = {at} and {samples} different inputs meet in one average (at most 2 are possible then)"
    )]
    KinkWithManyInputs {
        /// Place of the kink.
        at: f64,
        /// Number of different inputs.
        samples: usize,
    },
    /// The kernel has no fixed point above the starting value.
    #[error("the kernel grows without limit from layer to layer")]
    KernelGrows,
    /// The kernel falls to zero and takes every scale with it.
    #[error("the kernel falls to zero from layer to layer")]
    KernelVanishes,
    /// The fixed point oscillates or is unstable.
    #[error("the kernel has no stable fixed point (the map between layers has slope {slope})")]
    NoStableFixedPoint {
        /// Slope of the kernel map.
        slope: f64,
    },
    /// A length such as a correlation depth is infinite.
    #[error("the length is infinite at a critical point")]
    InfiniteLength,
    /// No critical point of this activation exists.
    #[error("the activation has no critical point")]
    NoCriticalPoint,
    /// More tokens than the deterministic integration over logits can carry.
    #[error("{tokens} tokens need an integral in {dimensions} dimensions (at most 4 are done)")]
    TooManyTokens {
        /// Number of tokens.
        tokens: usize,
        /// Dimension of the integral.
        dimensions: usize,
    },
    /// Targets under a singular kernel.
    #[error("a kernel of rank {rank} for {samples} samples gives targets no density (take a ridge above 0)")]
    NoDensity {
        /// Rank of the kernel.
        rank: usize,
        /// Number of samples.
        samples: usize,
    },
    /// A quantity that the sources leave open for this architecture.
    #[error("{what} has not been derived for this architecture")]
    NotDerived {
        /// The quantity.
        what: Quantity,
    },
}

/// Quantities that are still open in the theory for some architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum Quantity {
    /// Fluctuation of the tangent kernel.
    #[error("the fluctuation of the tangent kernel")]
    TangentFluctuation,
    /// Growth of the vertex with depth.
    #[error("the growth rate of the vertex with depth")]
    VertexGrowth,
    /// Shift of the mean kernel at order 1/n.
    #[error("the 1/n shift of the mean kernel")]
    KernelShift,
    /// Gradient descent whose steps are not small.
    #[error("the 1/n part of gradient descent with finite steps")]
    FiniteSteps,
}

/// A number, or the reason why there is none.
pub type Known = Result<f64, Unknown>;

/// Why a theory function gives no answer at all.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TheoryError {
    /// An argument outside of the range in which the formula means something.
    #[error("{what} = {value} is out of range: it must be {range}")]
    OutOfRange {
        /// The argument.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The allowed range in words.
        range: &'static str,
    },
    /// Two arguments whose lengths do not fit.
    #[error("{what} has length {found}, but {expected} is needed")]
    Length {
        /// The argument.
        what: &'static str,
        /// Length needed.
        expected: usize,
        /// Length found.
        found: usize,
    },
    /// The activation grows too fast for a Gaussian average at this variance, or overflows.
    #[error(
        "a Gaussian average of the activation at variance {kernel} is not finite or not resolved: it grows too fast"
    )]
    NotFinite {
        /// Variance K of the preactivation.
        kernel: f64,
    },
    /// A multi-dimensional average that the grid does not resolve.
    #[error("averages over {samples} inputs at variance {kernel} are resolved only to {error:.1e} relative")]
    NotResolved {
        /// Number of different inputs.
        samples: usize,
        /// Largest variance.
        kernel: f64,
        /// Relative error seen on an average that is known.
        error: f64,
    },
    /// A matrix that has to be inverted is not positive definite.
    #[error(
        "the {what} matrix is not positive definite: two inputs coincide, or one follows from the others"
    )]
    Singular {
        /// Which matrix.
        what: &'static str,
    },
    /// A kernel over data, or targets on it, that give no prediction.
    #[error(transparent)]
    Kernel(#[from] KernelFault),
    /// The quantity is not known, for a reason.
    #[error("not known, because {0}")]
    Unknown(#[from] Unknown),
}

pub(crate) fn check(
    what: &'static str,
    value: f64,
    good: bool,
    range: &'static str,
) -> Result<(), TheoryError> {
    if good && value.is_finite() { Ok(()) } else { Err(TheoryError::OutOfRange { what, value, range }) }
}

pub(crate) fn check_length(what: &'static str, expected: usize, found: usize) -> Result<(), TheoryError> {
    if expected == found { Ok(()) } else { Err(TheoryError::Length { what, expected, found }) }
}
