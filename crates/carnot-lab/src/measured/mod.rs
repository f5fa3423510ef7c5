//! A recording of a real model → report: which layer is the problem?
//!
//! | module | one job |
//! |---|---|
//! | [`evidence`] | the calls of a recording as stages, with what several checks ask for |
//! | [`checks`] | the table of checks on measured models: one file and one row each |
//! | [`onnx`] | an ONNX model in the place of a recording |
//! | [`columns`] | readings → columns of the report, each with its healthy range |
//! | [`write`] | everything → report |
//!
//! Nothing here predicts: a check compares a layer with its neighbours, with the first recorded step where that is the untrained
//! network, with shuffled labels, or with the recording of a healthy run. Where these do not decide, it says so.

pub mod checks;
pub mod columns;
pub mod evidence;
pub mod onnx;
pub mod write;

use std::path::Path;

use carnot_probe::recording;
use carnot_report::report::Report;

use crate::error::LabError;

/// Is this file a recording? False for what cannot be read.
#[must_use]
pub fn is_recording(path: &Path) -> bool {
    recording::is_recording(path)
}

/// The report on a recording, held against that of a healthy run where there is one.
///
/// * `command`: as typed, for the report's provenance
///
/// # Errors
/// [`LabError::Recording`] for a file that is no recording, or a damaged one.
pub fn check(path: &Path, reference: Option<&Path>, command: &str) -> Result<Report, LabError> {
    let run = recording::read(path)?;
    let reference = reference.map(recording::read).transpose()?;
    Ok(write::report(&run, reference.as_ref(), command))
}
