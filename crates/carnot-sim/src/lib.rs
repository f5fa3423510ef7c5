//! From a network to samples: initialise, measure, train, and do so for a thousand members at once.
//!
//! | module | question |
//! |---|---|
//! | [`initialise`] | which parameters does member m of seed s start with? |
//! | [`measure`] | what passes through the layers of one network? |
//! | [`empirical`] | which kernels does a real network have, and how do they move while it learns? |
//! | [`ensemble`] | what does that look like over many networks? |
//! | [`curvature`] | how sharply is the loss bent where it ended? |
//! | [`edge`] | how sharply may it be bent before an optimizer's steps blow up? |
//! | [`trained`] | what do many small networks predict when they have learned everything, to 1/n and beyond? |
//! | [`loss`], [`optimizer`], [`train`] | what happens when it learns? |
//! | [`prune`] | what can a network do without? |
//!
//! Every random number comes from a stream addressed by (seed, purpose, member, …), members never exchange
//! numbers, and sums over members are taken in order: results have the same bits for any number of threads.
//!
//! This crate must never know what theory predicts, nor how results are shown.

pub mod critical;
pub mod curvature;
pub mod edge;
pub mod empirical;
pub mod ensemble;
pub mod error;
pub mod initialise;
pub mod loss;
pub mod measure;
pub mod optimizer;
pub mod prune;
pub mod rate;
pub mod train;
pub mod trained;
