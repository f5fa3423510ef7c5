//! Numbers without networks: formulas, Gaussian averages, random streams, statistics, shapes of curves, root finding,
//! borders of unknown functions, linear algebra and the one device on which everything runs.
//!
//! This crate must never know what a network is. Only [`device`] may contain `unsafe`.

pub mod curve;
pub mod device;
pub mod formula;
pub mod gauss;
pub mod jackknife;
pub mod levelset;
pub mod linalg;
pub mod random;
pub mod scalar;
pub mod solve;
pub mod stats;
