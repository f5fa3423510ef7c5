//! Averages over Gaussian pairs, many at a time.
//!
//! [`PairDual`] is an activation ready for pairs; [`Points`] holds what can be known of one number of a pair before
//! its partner is known. A block of covariances is then overwritten by ⟨σσ⟩, and Θ by ⟨σ′σ′⟩Θ.
//!
//! * [`pairs`]: the activation and its blocks of covariances
//! * `line`: a line of pairs through one activation, by the way that suits it
//! * `rule`, `closed`: closed forms as functions of the angle
//! * `table`, `series`: everything else, by Hermite coefficients that are tabulated in the variance
//! * [`number`]: the two precisions

pub(crate) mod closed;
pub(crate) mod line;
pub mod number;
pub mod pairs;
pub(crate) mod rule;
pub(crate) mod series;
pub(crate) mod table;

pub use pairs::{Lane, PairDual, Points};
