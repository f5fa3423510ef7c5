//! Averages over Gaussian pairs, many at a time.
//!
//! [`PairDual`] is an activation ready for pairs; [`Points`] holds what can be known of one number of a pair before
//! its partner is known. A block of covariances is then overwritten by ⟨σσ⟩, and Θ by ⟨σ′σ′⟩Θ.

pub mod pairs;

pub use pairs::{Lane, PairDual, Points};
