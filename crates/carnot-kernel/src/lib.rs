//! Kernels on data: the NNGP kernel K and the neural tangent kernel Θ of a network over a data set, n → ∞.
//!
//! A network is compiled once ([`Engine::compile`]) and then asked for matrices. Three routes lead to the same numbers;
//! the fastest that fits the network is taken:
//!
//! * entrywise: one position, and every layer turns (K_aa, K_bb, K_ab, Θ_ab) into the same four numbers of the next layer;
//! * spatial: convolutions, whose layers mix the pairs of positions of one pair of samples;
//! * general: everything else, by the rules of `carnot-net` over all samples together.

pub mod dual;
pub mod engine;
mod entrywise;
pub mod error;
pub mod estimate;
mod general;
pub mod matrices;
mod spatial;
pub mod stream;
pub mod tiles;

pub use engine::{Engine, Inputs, Options, Precision, Route};
pub use error::KernelError;
pub use estimate::Estimate;
pub use matrices::{Matrices, Values};
pub use stream::KernelFile;
pub use tiles::Tile;
