//! A log of a training → report: what happened to it, and what it is stuck at.
//!
//! | module | one job |
//! |---|---|
//! | [`source`] | a log, a recording or a run → series of numbers |
//! | [`asked`] | what the user says beside the log: names, reference losses, optimizer |
//! | [`fate`] | the outcome: learns, stuck, diverges, dead, or cannot be told |
//! | [`evidence`] | everything that several checks ask for |
//! | [`checks`] | the table of checks on logs: one file and one row each |
//! | [`look`] | one look at a loss: its curvature and the noise of its gradient → report |
//! | [`happened`] | what happened when, as a table |
//! | [`pictures`] | the curve with the losses it is held against, and marks |
//! | [`mod@write`] | everything → report |

pub mod asked;
pub mod checks;
pub mod evidence;
pub mod fate;
pub mod happened;
pub mod look;
pub mod pictures;
pub mod source;
pub mod write;

use std::path::Path;

use carnot_report::report::Report;

use crate::error::LabError;
use asked::Asked;

/// The report on what lies at a path, or on the run of that name.
///
/// * `runs`: where runs are looked for, when there is no such file
/// * `command`: as typed, for the report's provenance
///
/// # Errors
/// [`LabError::Log`] and its like, for what cannot be read or holds no loss.
pub fn diagnose(path: &Path, runs: &Path, asked: &Asked, command: &str) -> Result<Report, LabError> {
    let found = source::find(path, runs, asked)?;
    write::report(&found, asked, command)
}
