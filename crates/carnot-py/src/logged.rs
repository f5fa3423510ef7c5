//! What happened to a training: the log of one, with keywords instead of flags, and one look at its loss.

use std::path::PathBuf;

use carnot_lab::logged;
use carnot_lab::logged::asked::Asked;
use carnot_lab::logged::look::{self, Look};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::failure::raised;
use crate::report::Report;

/// The report on a log, a recording or a run.
///
/// * `runs`: folder where runs are looked for
/// * `shown`: the log as the user knows it, for the report
/// * `settings`: what is said beside the log, by the names of the flags of `carnot diagnose`
#[pyfunction]
pub fn diagnose(
    py: Python<'_>,
    path: PathBuf,
    runs: PathBuf,
    shown: &str,
    settings: Vec<(String, String)>,
) -> PyResult<Report> {
    let command = format!("carnot diagnose {shown}");
    let answer = || logged::diagnose(&path, &runs, &Asked::of(&settings)?, &command);
    py.detach(answer).map(Report::new).map_err(|error| raised(py, &error))
}

/// The report on one look at the loss of a model.
///
/// * `look`: what was seen, as JSON
#[pyfunction]
pub fn curvature(look: &str) -> PyResult<Report> {
    let look: Look = serde_json::from_str(look).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(Report::new(look::report(&look)))
}
