//! `carnot load`: which layers carry the load, on the evidence of a recording.
//!
//! | module | one job |
//! |---|---|
//! | [`curve`] | the load curve of one step, with the covariance of its points |
//! | [`shape`] | its shape numbers with intervals |
//! | [`verdict`] | who carries the load, in words, or why that cannot be told |
//! | [`twin`] | the chain of blocks that has this curve, or that none has |
//! | [`history`] | the curve over the recorded steps |
//! | [`tables`] | curve, shape and steps as rows |
//! | [`pictures`] | the same as charts |
//! | [`mod@write`] | everything → report |
//!
//! Separation is that of [`crate::measured`]'s readings, stages are those of its checks, and findings are its checks of loads:
//! nothing is found twice. Source: Shi, Pan, Dokmanić, arXiv:2407.19353; He, Su, arXiv:2210.17020 and 2408.13442.

pub mod curve;
pub mod history;
pub mod pictures;
pub mod shape;
pub mod tables;
pub mod twin;
pub mod verdict;
pub mod write;
