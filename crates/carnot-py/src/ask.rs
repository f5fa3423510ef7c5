//! The experiments of the lab: keywords instead of flags, everything else as on the command line.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use carnot_lab::drive::{Manner, all_threads, drive};
use carnot_lab::error::LabError;
use carnot_lab::experiments::verb;
use carnot_lab::spec::{self, Given};
use carnot_lab::store::Store;
use pyo3::prelude::*;

use crate::failure::raised;
use crate::report::Report;

/// How often a running question looks whether the user has pressed Ctrl-C.
const LOOK: Duration = Duration::from_millis(50);

/// Answers an experiment: plan → what is missing → report.
///
/// * `word`: predict, check, kernel, ensemble
/// * `network`: shorthand or file
/// * `settings`: keys and their texts, as after flags
/// * `runs`: folder where it is kept and resumed from; `None` keeps nothing
#[pyfunction]
#[pyo3(signature = (word, network, settings, runs=None, threads=None, fresh=false))]
pub fn ask(
    py: Python<'_>,
    word: &str,
    network: Option<String>,
    settings: Vec<(String, String)>,
    runs: Option<PathBuf>,
    threads: Option<usize>,
    fresh: bool,
) -> PyResult<Report> {
    let given = Given { network, flags: settings };
    let asked = Asked { word, given, runs, threads: threads.unwrap_or_else(all_threads).max(1), fresh };
    let cancel = AtomicBool::new(false);
    let answer = py.detach(|| {
        std::thread::scope(|scope| {
            let work = scope.spawn(|| asked.answer(&cancel));
            while !work.is_finished() {
                // The thread that Python delivers signals to is this one; the work is elsewhere.
                if let Err(signal) = Python::attach(|py| py.check_signals()) {
                    cancel.store(true, Ordering::SeqCst);
                    let _ = work.join();
                    return Err(Stopped::Signal(signal));
                }
                std::thread::park_timeout(if work.is_finished() { Duration::ZERO } else { LOOK });
            }
            work.join().map_err(|_| Stopped::Defect)?.map_err(|error| Stopped::Refused(Box::new(error)))
        })
    });
    match answer {
        Ok(report) => Ok(Report::new(report)),
        Err(Stopped::Signal(signal)) => Err(signal),
        Err(Stopped::Refused(error)) => Err(raised(py, &*error)),
        Err(Stopped::Defect) => {
            Err(pyo3::exceptions::PyRuntimeError::new_err("a defect of Carnot; its message stands above"))
        }
    }
}

enum Stopped {
    Signal(PyErr),
    Refused(Box<LabError>),
    Defect,
}

struct Asked<'a> {
    word: &'a str,
    given: Given,
    runs: Option<PathBuf>,
    threads: usize,
    fresh: bool,
}

impl Asked<'_> {
    fn answer(&self, cancel: &AtomicBool) -> Result<carnot_report::report::Report, LabError> {
        let verb = verb(self.word)?;
        let question = spec::ask(verb, &self.given)?;
        question.plan()?;
        // Held until the report is made: the folder goes when this does.
        let passing = match &self.runs {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(|error| LabError::Store {
                action: "create",
                path: std::env::temp_dir(),
                error,
            })?),
        };
        let folder = self.runs.clone().or_else(|| passing.as_ref().map(|folder| folder.path().into()));
        let root = folder.expect("one of the two is there");
        let run = Store::new(root).open(&*question, &spec::command_line(verb.verb(), &self.given))?;
        let page = |report: &carnot_report::report::Report| carnot_report::html::render(report);
        let manner = Manner {
            threads: self.threads,
            is_fresh: self.fresh,
            cancel,
            watch: &|_| {},
            page: if self.runs.is_some() { Some(&page) } else { None },
        };
        let answer = drive(&*question, &run, &manner);
        if answer.is_err() {
            run.abandon();
        }
        let mut report = answer?.report;
        if self.runs.is_some() && run.page().exists() {
            report.saved = Some(run.page().display().to_string());
        }
        Ok(report)
    }
}

/// Keys of an experiment with what each means: the keywords of its function.
#[pyfunction]
pub fn keys(py: Python<'_>, word: &str) -> PyResult<Vec<(String, String, String)>> {
    let verb = verb(word).map_err(|error| raised(py, &error))?;
    let keys = spec::keys::keys(verb).into_iter();
    let told = |key: spec::keys::Key| {
        let accepts = key.accepts();
        (key.name, spec::keys::first_paragraph(&key.doc), accepts)
    };
    Ok(keys.map(told).collect())
}
