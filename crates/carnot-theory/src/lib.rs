//! From a network to predictions: same input, same bits.
//!
//! The source of most of it is Roberts, Yaida, Hanin, *The Principles of Deep Learning Theory* (PDLT, arXiv:2106.10165).
//! Everything is f64. What theory cannot know is [`error::Unknown`], with the reason, never NaN.
//!
//! | question | module |
//! |---|---|
//! | Gaussian averages of an activation, one input | [`moments`] |
//! | two inputs, kernels and tangent kernels of many | [`pair`] |
//! | which initialisation is critical, or why none | [`criticality`] |
//! | order and chaos, depth scales, edge of chaos | [`phases`], [`angle`] |
//! | fluctuations over seeds at order 1/n, one input | [`finite_width`], [`deep_linear`] |
//! | the same for several inputs, every tensor | [`tensors`] |
//! | learning rates per layer, largest stable rate | [`tangent`] |
//! | predictions after Bayesian inference or kernel descent | [`inference`] |
//! | predictions on data sets, from kernel matrices of any size | [`regression`] |
//! | mean prediction of trained networks at order 1/n | [`training`] |
//! | all of that for one width on one small data set, and whether to trust it | [`at_width`] |
//! | entropy, mutual information, best aspect ratio | [`information`] |
//! | skip paths | [`residual`] |
//! | transformers, convolutions, normalisation | [`transformer`], [`convolution`], [`normalization`] |
//! | how alike the tokens of a transformer become with depth | [`tokens`] |
//! | scaling with width and depth, and what it makes of a given network | [`parametrization`], [`transfer`] |
//! | singular values of the Jacobian | [`isometry`] |
//! | the mechanical twin of feature learning: a chain of blocks and springs | [`spring_block`] |
//! | advice for a plan | [`recommend`] |
//!
//! This crate must never know clocks or files, and random numbers in one place only: the noise that shakes the chain of
//! blocks, drawn from a seed which the caller gives.

pub mod angle;
pub mod at_width;
mod averages;
pub mod convolution;
pub mod criticality;
pub mod deep_linear;
pub mod error;
pub mod finite_width;
pub mod forecast;
pub mod inference;
pub mod information;
pub mod initial;
pub mod isometry;
pub mod layer;
mod matrix;
pub mod moments;
pub mod normalization;
mod origin;
pub mod pair;
pub mod parametrization;
pub mod phases;
pub mod recommend;
pub mod regression;
pub mod residual;
pub mod shape_of;
pub mod shaping;
pub mod spring_block;
pub mod tangent;
mod tensor_step;
pub mod tensors;
pub mod tokens;
pub mod training;
pub mod transfer;
pub mod transformer;
