//! A job as a file, so that it can be done anywhere: `carnot work job.json >> runs/…/points.jsonl`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::LabError;
use crate::experiments::question::Question;
use crate::experiments::{Job, Point, Tools, verb};
use crate::spec;
use crate::store::{failed, points};

/// Version of the file.
const SCHEMA: &str = "carnot.job/1";

/// What a worker needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JobFile {
    schema: String,
    verb: String,
    spec: Value,
    job: Job,
}

/// Writes one file a job into `folder`, named by number: `0001.json`.
///
/// # Errors
/// What planning says, and [`LabError::Store`].
pub fn write_all(question: &dyn Question, folder: &Path) -> Result<Vec<PathBuf>, LabError> {
    fs::create_dir_all(folder).map_err(|error| failed("create", folder, error))?;
    let write = |(at, job): (usize, Job)| {
        let path = folder.join(format!("{:04}.json", at + 1));
        let file = JobFile {
            schema: SCHEMA.into(),
            verb: question.verb().into(),
            spec: question.spec().clone(),
            job,
        };
        let text = serde_json::to_string(&file).expect("a job is plain data with text keys");
        fs::write(&path, text + "\n").map_err(|error| failed("write", &path, error))?;
        Ok(path)
    };
    question.plan()?.into_iter().enumerate().map(write).collect()
}

/// Does the job of a file and returns its line of `points.jsonl`.
///
/// # Errors
/// [`LabError::JobFile`] when the file is no job, and what the job itself says.
pub fn work(path: &str) -> Result<String, LabError> {
    let text = spec::read_text(path)?;
    let file: JobFile = serde_json::from_str(&text)
        .map_err(|error| LabError::JobFile { path: path.into(), message: error.to_string() })?;
    if file.schema != SCHEMA {
        let message = format!("it is of version {}, this program reads {SCHEMA}", file.schema);
        return Err(LabError::JobFile { path: path.into(), message });
    }
    let question = verb(&file.verb)?.ask(file.spec)?;
    let value = question.run(&file.job, &Tools::silent())?;
    Ok(points::line(&Point { job: file.job.id, value }))
}
