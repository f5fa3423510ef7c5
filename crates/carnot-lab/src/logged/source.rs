//! A log, a recording or a run → series of numbers.

use std::path::Path;

use carnot_log::log::{Gather, Log};
use carnot_log::read;
use carnot_log::reference::Reference;
use carnot_probe::recording::{self, Recording};
use serde_json::Value;

use super::asked::Asked;
use crate::error::LabError;
use crate::experiments::Point;
use crate::store::Store;
use crate::store::run::Run;

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its series.
    pub log: Log,
    /// What it says itself about losses to compare with: classes of a recording's probe.
    pub references: Vec<Reference>,
    /// Names of its curves, when they are several trainings.
    pub curves: Vec<String>,
}

/// The log at a path; the run of that name, where there is no such file.
///
/// # Errors
/// [`LabError::Log`], [`LabError::Recording`], [`LabError::NoCurve`] for a run that keeps no loss curve.
pub fn find(path: &Path, runs: &Path, asked: &Asked) -> Result<Found, LabError> {
    if recording::is_recording(path) {
        return recorded(path, &recording::read(path)?);
    }
    if let (Some(parent), Some(name), true) = (path.parent(), path.file_name(), is_run(path)) {
        let name = name.to_string_lossy();
        // Folders are called by the identity, then the question: runs are found by the first.
        let identity = name.split('-').next().unwrap_or(&name);
        return of_run(&Store::new(parent).find(identity)?);
    }
    let text = path.display().to_string();
    let may_be_a_run =
        !path.exists() && text.len() >= 3 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if may_be_a_run && let Ok(run) = Store::new(runs).find(&text) {
        return of_run(&run);
    }
    let log = read::read(path, asked.step.as_deref())?;
    Ok(Found { log, references: Vec::new(), curves: Vec::new() })
}

fn is_run(path: &Path) -> bool {
    path.join("points.jsonl").is_file() && path.join("spec.json").is_file()
}

fn recorded(path: &Path, run: &Recording) -> Result<Found, LabError> {
    let mut gather = Gather::default();
    let mut has_loss = false;
    for (row, step) in run.steps.iter().enumerate() {
        has_loss |= step.loss.is_some();
        // A recording writes finite losses only: none after the first is one that was not finite.
        if has_loss {
            gather.push("loss", row as u64, step.step as f64, step.loss.unwrap_or(f64::NAN));
        }
    }
    if !has_loss {
        return Err(LabError::NoCurve {
            what: path.display().to_string(),
            why: "no step of this recording has a loss".into(),
        });
    }
    let mut log = gather.log(&path.display().to_string(), "recording", "step");
    if run.is_torn {
        log.remarks.push("the last line has no end: it is left out".into());
    }
    let probe = &run.header.probe;
    let references =
        (probe.has_labels && probe.classes > 1).then(|| Reference::uniform(probe.classes as u64));
    Ok(Found { log, references: references.into_iter().collect(), curves: Vec::new() })
}

fn of_run(run: &Run) -> Result<Found, LabError> {
    let mut gather = Gather::default();
    let mut row = 0;
    for Point { job, value } in run.points()? {
        curves(&job, &value, &mut |name, step, loss| {
            row += 1;
            gather.push(name, row, step, loss);
        });
    }
    let what = run.folder().display().to_string();
    if gather.is_empty() {
        let why = "its answers hold no losses over steps; carnot check … --try STEPS keeps them".into();
        return Err(LabError::NoCurve { what, why });
    }
    let log = gather.log(&what, "run", "step");
    let curves = log.names();
    Ok(Found { log, references: Vec::new(), curves })
}

/// Losses over steps anywhere in an answer: lists called `points` of `[step, loss]` or `{step, loss}`.
fn curves(name: &str, value: &Value, take: &mut dyn FnMut(&str, f64, f64)) {
    match value {
        Value::Object(object) => {
            if let Some(list) = object.get("points").and_then(Value::as_array) {
                list.iter().filter_map(pair).for_each(|(step, loss)| take(name, step, loss));
                let broke = object.get("diverged").and_then(Value::as_f64);
                broke.into_iter().for_each(|step| take(name, step, f64::NAN));
            }
            for (key, inner) in object.iter().filter(|(key, _)| *key != "points") {
                curves(&format!("{name} {key}"), inner, take);
            }
        }
        Value::Array(list) => {
            for (at, inner) in list.iter().enumerate().filter(|(_, inner)| inner.is_object()) {
                curves(&format!("{name} {}", at + 1), inner, take);
            }
        }
        _ => {}
    }
}

fn pair(value: &Value) -> Option<(f64, f64)> {
    let of = |step: &Value, loss: &Value| Some((step.as_f64()?, loss.as_f64().unwrap_or(f64::NAN)));
    match value {
        Value::Array(both) if both.len() == 2 => of(&both[0], &both[1]),
        Value::Object(object) => of(object.get("step")?, object.get("loss")?),
        _ => None,
    }
}
