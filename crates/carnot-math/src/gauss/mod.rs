//! Averages over Gaussian numbers: the one integral on which the theory of wide networks rests.
//!
//! $$ \langle f(z) \rangle_K = \int \frac{e^{-z^2/2K}}{\sqrt{2\pi K}} f(z)\, dz $$
//!
//! | for | use | accuracy |
//! |---|---|---|
//! | one variable, any function, kinks known | [`average()`], [`rule`] | 10⁻¹⁰ checked, mostly 10⁻¹⁴ |
//! | one variable, smooth function, small variance | [`smooth_rule`] | converges with the order |
//! | two variables, kinks known | [`pair_average`], [`pair_rule_from_distance`] | 10⁻¹³ |
//! | two variables, smooth function, small variance | [`smooth_pair_average`] | converges with the order |
//! | up to four variables, smooth function, small variance | [`grid()`] | converges with the order |
//! | expansion in Hermite polynomials | [`hermite`] | 10⁻¹³ |

mod average;
mod grid;
pub mod hermite;
mod legendre;
mod pair;
mod panels;
pub mod pieces;
mod smooth;

pub use average::{Average, Rule, average, rule};
pub use grid::{Grid, MAX_DIMENSION, grid};
pub use pair::{
    PairRule, pair_average, pair_average_split, pair_rule, pair_rule_from_distance, smooth_pair_average,
};
pub use smooth::{MAX_ORDER, smooth_rule};

/// Nodes and weights of Gauss–Legendre on [−1, 1], ascending, for plain integrals over a panel.
///
/// # Panics
/// Unless `points` is 12, 16, 20, 24, 30, 32, 40, 48, 64 or 80.
pub fn legendre(points: usize) -> &'static [(f64, f64)] {
    legendre::table(points)
}

/// Why a Gaussian average has no trustworthy value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GaussError {
    /// The function is NaN or infinite at a node.
    #[error("the function is not finite at z = {z} (variance {variance})")]
    NotFinite {
        /// Where.
        z: f64,
        /// Variance of z.
        variance: f64,
    },
    /// Refining the rule still changes the value.
    #[error("the average {value} (variance {variance}) is only known to {error}")]
    NotConverged {
        /// Best value.
        value: f64,
        /// Change at the last refinement, or the mass at the edge of the integration range.
        error: f64,
        /// Variance of z.
        variance: f64,
    },
    /// The variance is negative, NaN or infinite.
    #[error("a variance must be finite and at least 0, not {variance}")]
    BadVariance {
        /// What was given.
        variance: f64,
    },
    /// The covariance matrix has a negative eigenvalue or numbers that are not finite.
    #[error("not a covariance matrix: remaining variance {pivot} at index {index}")]
    BadCovariance {
        /// Row at which factoring failed.
        index: usize,
        /// Variance left over there (negative or NaN).
        pivot: f64,
    },
}
