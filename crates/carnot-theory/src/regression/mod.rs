//! Prediction on data from kernel matrices: what infinitely wide networks answer after inference or training.
//!
//! Matrices are row-major `f64`; where they come from does not matter here. Everything runs on the threads of the calling rayon pool
//! and gives the same bits on any number of them.
//!
//! | question | module |
//! |---|---|
//! | training kernel, targets, ridge, test kernels | [`problem`] |
//! | Bayesian posterior and evidence | [`posterior`] |
//! | gradient descent at any time | [`descent`] |
//! | eigenvectors of a kernel, for every ridge and time at once | [`modes`] |
//! | leave-one-out | [`leave_one_out`] |
//! | the ridge chosen by evidence or leave-one-out | [`choose`] |
//! | classes as targets | [`labels`] |
//! | class probabilities from Gaussian outputs | [`probability`] |
//! | accuracy, calibration, coverage | [`calibration`] |
//! | condition, rates, alignment, times to learn | [`spectrum`] |
//! | kernels that are not in memory | [`operator`] |
//! | the posterior and gradient flow without a factorisation | [`iterative`] |
//! | its solver and its preconditioners | [`conjugate`], [`precondition`] |
//! | extreme eigenvalues, determinants and functions of large kernels | [`lanczos`] |
//! | why a kernel gives no answer, and what to do | [`fault`] |

pub mod calibration;
pub mod choose;
pub mod conjugate;
pub mod descent;
pub mod fault;
pub mod iterative;
pub mod labels;
pub mod lanczos;
pub mod leave_one_out;
pub mod modes;
pub mod operator;
pub mod posterior;
pub mod precondition;
pub mod probability;
pub mod problem;
pub mod spectrum;
