//! Logs of trainings, whoever wrote them: what stands in them, and what happened in their curves.
//!
//! | module | one job |
//! |---|---|
//! | [`log`] | a log as plain data: series of numbers over steps, and remarks on how they were read |
//! | [`read`] | files → log: TensorBoard events, CSV, JSON lines, `trainer_state.json` |
//! | [`names`] | which series is the loss, the rate, the norm of the gradient |
//! | [`reference`] | losses that need no network: uniform answers, frequencies, pairs; from text or labels |
//! | [`curve`] | a loss curve → its level, plateaus, divergence, spikes, oscillation, overfitting |
//! | [`noise_scale`] | gradient norms at two batch sizes → the batch above which noise no longer matters |
//! | [`error`] | everything that can go wrong here |
//!
//! Nothing here judges: what is good or bad about a curve is said by the checks of `carnot-lab`. Only [`read`] and
//! [`reference`] open files, and believe no length that stands in them.

pub mod curve;
pub mod error;
pub mod log;
pub mod names;
pub mod noise_scale;
pub mod read;
pub mod reference;
