//! What is wrong with a kernel or with targets on it, with the numbers.

use thiserror::Error;

/// Why a kernel matrix gives no prediction. Causes and remedies belong to whoever talks to the user; the numbers for them are here.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum KernelFault {
    /// An entry is NaN or infinite.
    #[error("the kernel of samples {row} and {column} is {value}")]
    NotFinite {
        /// Row.
        row: usize,
        /// Column.
        column: usize,
        /// NaN or an infinity.
        value: f64,
    },
    /// Two entries that must be equal are not.
    #[error(
        "the kernel is not symmetric: entries ({row}, {column}) and ({column}, {row}) differ by {difference:.2e}"
    )]
    NotSymmetric {
        /// Row.
        row: usize,
        /// Column.
        column: usize,
        /// Difference of the entries.
        difference: f64,
    },
    /// A diagonal entry below zero.
    #[error("the kernel gives sample {row} the variance {value:.3e}, below zero")]
    NegativeVariance {
        /// Row.
        row: usize,
        /// The diagonal entry.
        value: f64,
    },
    /// Every entry is zero.
    #[error("the kernel is zero for every pair of the {samples} samples")]
    Zero {
        /// Number of samples.
        samples: usize,
    },
    /// Eigenvalues below zero.
    #[error(
        "the kernel is not positive semi-definite: its eigenvalues go from {smallest:.3e} to {largest:.3e}, and rounding in \
         double precision explains no more than {rounding:.1e} below zero"
    )]
    Indefinite {
        /// Smallest eigenvalue, with the ridge.
        smallest: f64,
        /// Largest eigenvalue, with the ridge.
        largest: f64,
        /// What rounding alone can do: n ε λ_max.
        rounding: f64,
    },
    /// The eigenvalue routine did not settle.
    #[error("the eigenvalues of the kernel of {samples} samples did not converge")]
    NoModes {
        /// Number of samples.
        samples: usize,
    },
    /// Inputs that the kernel cannot tell apart have different targets.
    #[error(
        "samples {first} and {second} are {} to the kernel but their targets differ by {difference:.3e}: without a ridge no \
         function fits both",
        if *factor == 1.0 { "the same".to_owned() } else { format!("parallel (factor {factor:.4})") }
    )]
    Contradiction {
        /// One of the two samples.
        first: usize,
        /// The other.
        second: usize,
        /// Output of `second` over output of `first` for every function that the kernel allows; 1 for equal inputs.
        factor: f64,
        /// Largest difference between the targets of `second` and `factor` times those of `first`.
        difference: f64,
        /// A ridge that makes an answer possible.
        ridge: f64,
    },
    /// The kernel is singular and the targets need what it lacks.
    #[error(
        "without a ridge the kernel of {samples} samples has rank {rank}, and {:.2} % of the targets (squared) lie along the \
         missing directions: no function fits them",
        100.0 * missed
    )]
    OutOfReach {
        /// Number of samples.
        samples: usize,
        /// Eigenvalues above rounding.
        rank: usize,
        /// Part of Σ y² along the null directions.
        missed: f64,
        /// A ridge that makes an answer possible.
        ridge: f64,
    },
    /// A quantity that needs the inverse of a singular kernel.
    #[error("without a ridge the kernel of {samples} samples has rank {rank}, and {what} needs its inverse")]
    Singular {
        /// The quantity.
        what: &'static str,
        /// Number of samples.
        samples: usize,
        /// Eigenvalues above rounding.
        rank: usize,
        /// A ridge that makes an answer possible.
        ridge: f64,
    },
    /// Nothing is left when one sample is left out.
    #[error("leave-one-out needs two samples, and there is {samples}")]
    TooFew {
        /// Number of samples.
        samples: usize,
    },
    /// Gradient descent with too large a rate has left the range of numbers.
    #[error("gradient descent at rate {rate:.3e} diverges: the largest stable rate is {largest:.3e}")]
    Diverges {
        /// The rate asked for.
        rate: f64,
        /// The largest stable rate.
        largest: f64,
    },
    /// The iterative solver stopped before its tolerance.
    #[error(
        "after {iterations} iterations the residual is {residual:.1e} of the targets, not {tolerance:.1e}"
    )]
    Stalled {
        /// Iterations done.
        iterations: usize,
        /// Largest relative residual.
        residual: f64,
        /// The tolerance asked for.
        tolerance: f64,
    },
    /// A kernel kept elsewhere could not be read.
    #[error("rows {from} to {to} of the kernel cannot be read: {reason}")]
    Unreadable {
        /// First row.
        from: usize,
        /// Row after the last.
        to: usize,
        /// What the store says.
        reason: String,
    },
}

impl KernelFault {
    /// A ridge (absolute) with which the same call would answer, when a ridge is the remedy.
    pub fn ridge(&self) -> Option<f64> {
        match *self {
            Self::Indefinite { smallest, .. } => Some(2.0 * -smallest),
            Self::Contradiction { ridge, .. }
            | Self::OutOfReach { ridge, .. }
            | Self::Singular { ridge, .. } => Some(ridge),
            _ => None,
        }
    }
}
