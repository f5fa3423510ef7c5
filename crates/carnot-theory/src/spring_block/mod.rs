//! A chain of blocks on a rough line, joined by springs: the mechanical twin of a deep network that learns features.
//!
//! Block l stands for hidden layer l, its position x_l for the separation gained up to there, the spring in front of it
//! for the layer's load, the pull at the end for the loss. Friction plays the nonlinearity, noise the stochasticity of
//! training. The map between the two is an analogy: nobody has published which friction a given activation has.
//!
//! | question | module |
//! |---|---|
//! | which chain, and which are refused | [`chain`] |
//! | how it is shaken | [`noise`] |
//! | many chains at once, overdamped | [`overdamped`] |
//! | the same with inertia, and blocks that stick | [`inertial`] |
//! | where it stops without noise | [`rest`] |
//! | mean response to noise, where it goes and how fast | [`response`] |
//! | the expected curve of a shaken chain without drawing a number | [`mean_field`] |
//! | the shape of a load curve | [`carnot_math::curve`] |
//! | a phase diagram over friction and noise | [`grid`] |
//! | friction and noise of a measured curve, or why not | [`fit`] |
//!
//! Noise is the one thing in this crate that is drawn. Every draw is keyed by the caller's seed, the chain's own key, the
//! step and the block, so that the functions stay pure: same input, same bits, on any number of threads.
//!
//! Source: Shi, Pan, Dokmanić, arXiv:2407.19353, and their public code (DaDaCheng/DNN_Spring); closed forms under noise and
//! the fit are Carnot's own.

mod batch;
pub mod chain;
pub mod fit;
pub mod grid;
pub mod inertial;
pub mod mean_field;
pub mod noise;
pub mod overdamped;
pub mod response;
pub mod rest;
