//! A recording of a real model → report: which layer is the problem?
//!
//! | module | one job |
//! |---|---|
//! | [`evidence`] | the calls of a recording as stages, with what several checks ask for |
//! | [`checks`] | the table of checks on measured models: one file and one row each |
//! | [`load`] | which layers carry the load |
//! | [`onnx`] | an ONNX model in the place of a recording |
//! | [`columns`] | readings → columns of the report, each with its healthy range |
//! | [`mod@write`] | everything → report |
//!
//! Nothing here predicts: a check compares a layer with its neighbours, with the first recorded step where that is the untrained
//! network, with shuffled labels, or with the recording of a healthy run. Where these do not decide, it says so.

pub mod checks;
pub mod columns;
pub mod evidence;
pub mod load;
pub mod onnx;
pub mod write;

use std::path::Path;

use carnot_probe::recording::{self, Recording};
use carnot_report::report::Report;

use crate::error::LabError;

/// Is this file a recording? False for what cannot be read.
#[must_use]
pub fn is_recording(path: &Path) -> bool {
    recording::is_recording(path)
}

/// What is asked of a measured model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Which layer is the problem?
    Check,
    /// Which layers carry the load?
    Load,
}

impl Question {
    /// Its command.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Question::Check => "check",
            Question::Load => "load",
        }
    }

    /// What it says of a recording, held against that of a healthy run where there is one.
    ///
    /// * `command`: as typed, for the report's provenance
    #[must_use]
    pub fn report(self, run: &Recording, reference: Option<&Recording>, command: &str) -> Report {
        match self {
            Question::Check => write::report(run, reference, command),
            Question::Load => load::write::report(run, reference, command),
        }
    }
}

/// The report on the recording in a file; see [`Question::report`].
///
/// # Errors
/// [`LabError::Recording`] for a file that is no recording, or a damaged one.
pub fn ask(
    question: Question,
    path: &Path,
    reference: Option<&Path>,
    command: &str,
) -> Result<Report, LabError> {
    if question == Question::Load {
        runs(path)?;
    }
    let run = recording::read(path)?;
    let reference = reference.map(recording::read).transpose()?;
    Ok(question.report(&run, reference.as_ref(), command))
}

/// Refuses what is known not to run: a network in shorthand, files of weights.
fn runs(path: &Path) -> Result<(), LabError> {
    let given = path.display().to_string();
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let what = match ending.as_str() {
        _ if !path.exists() && carnot_net::shorthand::looks_like(&given) => "a description of a network",
        "toml" => "a description of a network",
        _ if path.is_dir() => "weights alone",
        "safetensors" | "gguf" | "pt" | "pth" | "bin" | "npz" => "weights alone",
        _ => return Ok(()),
    };
    Err(LabError::NothingRuns { given, what })
}
