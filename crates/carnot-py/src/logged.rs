//! What happened to a training: the log of one, with keywords instead of flags.

use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;

use carnot_lab::logged::asked::{Asked, Given, Symbol};
use carnot_lab::logged::{self};
use pyo3::prelude::*;

use crate::failure::raised;
use crate::report::Report;

/// The report on a log, a recording or a run.
///
/// * `runs`: folder where runs are looked for
/// * `shown`: the log as the user knows it, for the report
/// * `words`, `numbers`: what is said beside the log, by the names of the flags of `carnot diagnose`
#[pyfunction]
pub fn diagnose(
    py: Python<'_>,
    path: PathBuf,
    runs: PathBuf,
    shown: &str,
    mut words: HashMap<String, String>,
    mut numbers: HashMap<String, f64>,
) -> PyResult<Report> {
    let mut word = |name: &str| words.remove(name);
    let names = Given {
        loss: word("loss"),
        validation: word("val_loss"),
        rate: word("rate"),
        gradient: word("grad_norm"),
        update: word("update_norm"),
        accuracy: word("accuracy"),
        sharpness: word("sharpness"),
    };
    let mut number = |name: &str| numbers.remove(name);
    let symbols = match word("symbols") {
        Some(said) => Symbol::from_str(&said).map_err(|_| {
            pyo3::exceptions::PyValueError::new_err(format!("symbols are characters or bytes, not {said}"))
        })?,
        None => Symbol::default(),
    };
    let asked = Asked {
        names,
        step: word("step"),
        classes: number("classes").map(|count| count as u64),
        vocabulary: number("vocabulary").map(|count| count as u64),
        labels: word("labels").map(PathBuf::from),
        data: word("data").map(PathBuf::from),
        symbols,
        unigram: number("unigram"),
        bigram: number("bigram"),
        clip: number("clip"),
        batch: number("batch"),
        steps: number("steps"),
        optimizer: word("optimizer"),
        momentum: number("momentum"),
    };
    if let Some(name) = words.keys().chain(numbers.keys()).next() {
        return Err(pyo3::exceptions::PyTypeError::new_err(format!("diagnose takes no {name}")));
    }
    let command = format!("carnot diagnose {shown}");
    let report = py.detach(|| logged::diagnose(&path, &runs, &asked, &command));
    report.map(Report::new).map_err(|error| raised(py, &error))
}
