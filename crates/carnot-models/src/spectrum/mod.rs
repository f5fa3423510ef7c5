//! One weight matrix by itself: scale, spectrum, power law with its goodness of fit, random-matrix null, units.
//!
//! | module | one job |
//! |---|---|
//! | [`matrix`] | everything below of one matrix |
//! | [`entries`] | mean, variance, kurtosis, the largest, what is not finite; the law of the initialisation |
//! | [`eigenvalues`] | eigenvalues of the Gram matrix; stable rank, effective rank, participation ratio |
//! | [`power_law`] | exponent by maximum likelihood, its error, and whether a power law fits at all |
//! | [`alternatives`] | exponential and lognormal tails against it |
//! | [`marchenko_pastur`] | what a random matrix of the same bulk would show |
//! | [`units`] | dead and duplicated units |

pub mod alternatives;
pub mod eigenvalues;
pub mod entries;
pub mod marchenko_pastur;
pub mod matrix;
pub mod power_law;
pub mod units;

use serde::{Deserialize, Serialize};

/// Why a number does not exist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// Entries that are no numbers.
    #[error("{nan} entries are NaN and {infinite} infinite")]
    NotFinite {
        /// NaN.
        nan: u64,
        /// Infinite.
        infinite: u64,
    },
    /// Every entry is the same.
    #[error("all entries are {value}")]
    Constant {
        /// The entry.
        value: f64,
    },
    /// Too few eigenvalues to say anything.
    #[error("{found} eigenvalues are too few, {needed} are needed")]
    TooFew {
        /// That there are.
        found: usize,
        /// That it takes.
        needed: usize,
    },
    /// The eigenvalue routine would take too much.
    #[error("a Gram matrix of {side} × {side} takes {gib:.0} GiB")]
    TooLarge {
        /// Rows of the Gram matrix.
        side: usize,
        /// Memory in GiB.
        gib: f64,
    },
    /// Comparing all pairs of units would take too long.
    #[error("{units} units make too many pairs to compare")]
    TooManyPairs {
        /// Units.
        units: usize,
    },
    /// The eigenvalue routine failed.
    #[error("the eigenvalue iteration did not converge")]
    NotConverged,
    /// The median of the bulk is zero: half of the directions are not used at all.
    #[error("more than half of the eigenvalues are zero, so that no bulk remains")]
    NoBulk,
}

/// A number, or why there is none.
pub type Answer<T> = Result<T, Unknown>;
