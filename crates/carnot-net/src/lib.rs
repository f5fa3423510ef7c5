//! The language of Carnot: a network as data, its layers, the kernel they pass on, readings, observables,
//! profiles and data sets.
//!
//! This crate must never know terminals or training, and touches files only in [`dataset`].

pub mod activation;
pub mod dataset;
