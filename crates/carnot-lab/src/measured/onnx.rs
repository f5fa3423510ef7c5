//! `carnot check MODEL.onnx`, `carnot load MODEL.onnx`: a model of any framework, run on a batch and read layer by layer.

use std::path::{Path, PathBuf};

use carnot_report::report::Report;

use super::Question;
use crate::error::LabError;

/// A model, and what it is run on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// The model.
    pub path: PathBuf,
    /// A file of inputs, or the name of a data set.
    pub batch: Option<String>,
    /// Inputs that are read at most. Default: all of a batch, 200 of a probe that is made.
    pub samples: Option<usize>,
    /// The recording of a healthy run.
    pub reference: Option<PathBuf>,
    /// Seed of a probe that is made, and of the readings.
    pub seed: u64,
    /// As typed.
    pub command: String,
}

/// Does this name an ONNX model?
#[must_use]
pub fn is_one(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("onnx"))
}

/// Without the runtime: how to get it.
///
/// # Errors
/// [`LabError::NoRuntime`], always.
#[cfg(not(feature = "onnx"))]
pub fn ask(_question: Question, source: &Source) -> Result<Report, LabError> {
    Err(LabError::NoRuntime { path: source.path.clone() })
}

/// The report on a model.
///
/// # Errors
/// [`LabError::Onnx`], and whatever is wrong with the batch.
#[cfg(feature = "onnx")]
pub fn ask(question: Question, source: &Source) -> Result<Report, LabError> {
    let reference = match source.reference.as_deref() {
        Some(path) if is_one(path) => Some(read(path, source)?.recording),
        Some(path) => Some(carnot_probe::recording::read(path)?),
        None => None,
    };
    let read = read(&source.path, source)?;
    let mut report = question.report(&read.recording, reference.as_ref(), &source.command);
    about(&mut report, &read, source);
    Ok(report)
}

#[cfg(feature = "onnx")]
fn read(path: &Path, source: &Source) -> Result<carnot_onnx::reading::Read, LabError> {
    let memory = crate::memory::budget(None) as u64;
    let asked = carnot_onnx::reading::Question {
        batch: source.batch.as_deref().map(|batch| open(batch, memory)).transpose()?,
        samples: source.samples,
        seed: source.seed,
        memory,
    };
    Ok(carnot_onnx::reading::read(path, asked)?)
}

/// A file of inputs, or a data set that has a name. Images come as they are, unscaled: the model knows its own scale.
#[cfg(feature = "onnx")]
fn open(batch: &str, memory: u64) -> Result<carnot_onnx::batch::Batch, LabError> {
    use carnot_net::dataset::{self, Options, Scaling, TABLE, Targets};
    use carnot_onnx::arrays;
    use carnot_onnx::batch::{Array, Batch, Numbers};

    let path = Path::new(batch);
    let is_numpy = path.extension().is_some_and(|end| end == "npz" || end == "npy");
    if is_numpy && !TABLE.iter().any(|row| row.name == batch) {
        return Ok(arrays::open(path, memory)?);
    }
    let data = dataset::open(batch, &Options { scaling: Some(Scaling::None), ..Options::default() })?;
    let labels = match data.targets {
        Targets::Classes { ref labels, .. } => Some(labels.clone()),
        _ => None,
    };
    let shape = std::iter::once(data.len()).chain(data.shape.iter().copied()).collect();
    Ok(Batch { arrays: vec![Array::new(&data.name, shape, Numbers::Real(data.inputs))], labels })
}

/// What is particular to a model that was run here.
#[cfg(feature = "onnx")]
fn about(report: &mut Report, read: &carnot_onnx::reading::Read, source: &Source) {
    use carnot_report::report::Line;

    report.provenance.device = "tract".into();
    if !read.made.is_empty() {
        let made = read.made.join("; ");
        let words = match read.recording.header.probe.has_labels || source.batch.is_some() {
            true => format!("not in the batch, so made up: {made}"),
            false => format!("made up, since there is no --batch: {made}"),
        };
        report.summary.push(Line::new("probe", words));
    }
}
