//! The language of Carnot: a network as data, its layers, the kernel they pass on, readings, observables,
//! profiles and data sets.
//!
//! A [`network::Network`] is plain data. [`plan::Plan`] resolves it (shapes, names, where each parameter lives).
//! From a plan, theory asks every layer rule how it changes the [`kernel::Kernel`]; simulation asks the same
//! rule to carry real numbers forward and gradients back. Both speak of the result as a
//! [`reading::Reading`], on which every [`observables`] row is one function.
//!
//! This crate must never know terminals or training, and touches files only in [`dataset`].

pub mod activation;
pub mod batch;
pub mod dataset;
pub mod dual;
pub mod error;
pub mod fused;
pub mod hyper;
pub mod kernel;
pub mod layers;
pub mod network;
pub mod observables;
pub mod parametrization;
pub mod plan;
pub mod profile;
pub mod reading;
pub mod shape;
pub mod shorthand;
pub mod tape;
pub mod transformer;
