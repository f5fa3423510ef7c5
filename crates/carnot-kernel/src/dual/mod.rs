//! Averages over Gaussian pairs, many at a time.
//!
//! [`PairDual`] is an activation ready for pairs; [`Points`] holds what can be known of one number of a pair before
//! its partner is known. A block of covariances is then overwritten by ⟨σσ⟩, and Θ by ⟨σ′σ′⟩Θ.

#[allow(dead_code)]
pub(crate) mod closed;
pub mod pairs;
// Its lines with weights belong to the route entry by entry.
#[allow(dead_code)]
pub(crate) mod rule;

pub use pairs::{Lane, PairDual, Points};
