//! The entrywise route: with one position, every entry of K and Θ goes through the layers by itself.
//!
//! * `program`: the plan as a short list of steps
//! * `trace`: what each step needs to know of single samples, computed once for all of them
//! * `first`: the angles of the inputs, near-parallel ones from the vectors themselves
//! * `lines`: small steps on a line of pairs; activations are in [`crate::dual`]
//! * `block`: a block of entries through all steps while it stays in the cache
//! * `matrices`: whole matrices and tiles from blocks

pub(crate) mod block;
mod first;
mod lines;
pub(crate) mod matrices;
pub(crate) mod program;
pub(crate) mod trace;
