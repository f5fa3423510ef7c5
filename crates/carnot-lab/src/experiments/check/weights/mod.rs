//! `carnot check MODEL`: what the weights of a trained model show by themselves, matrix by matrix.

mod write;

use std::path::{Path, PathBuf};

use carnot_models::checkpoint::Checkpoint;
use carnot_models::huggingface::architecture::Architecture;
use carnot_models::huggingface::config::{self, Config};
use carnot_models::huggingface::metadata;
use carnot_models::huggingface::roles::{Reading, Role, Weight, weights};
use carnot_models::spectrum::entries::not_finite;
use carnot_models::spectrum::matrix::{Analysis, Shape, analyse};
use carnot_report::report::Report;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::CheckSpec;
use crate::checks::weights::{BadVector, Matrix};
use crate::error::LabError;
use crate::experiments::{Job, Point, Tools};
use crate::spec::network::{ModelChoice, NetworkChoice, NetworkSettings};

/// A model with its headers read.
pub struct Model {
    checkpoint: Checkpoint,
    weights: Vec<Weight>,
    /// What it is, or why that is not known.
    architecture: Result<Architecture, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Task {
    /// One matrix, by its number in the checkpoint.
    Matrix { tensor: usize },
    /// All vectors: is everything finite?
    Vectors,
}

impl Model {
    fn open(choice: &ModelChoice) -> Result<Model, LabError> {
        let path = Path::new(&choice.model);
        let checkpoint = Checkpoint::open(path)?;
        let architecture = architecture(path, &checkpoint)?;
        let is_transposed = architecture.as_ref().is_ok_and(|found| found.is_transposed);
        let weights = weights(&checkpoint.tensors, is_transposed);
        Ok(Model { checkpoint, weights, architecture })
    }

    fn values(&self, weight: &Weight) -> Result<Vec<f32>, LabError> {
        let values = self.checkpoint.values(&self.checkpoint.tensors[weight.tensor])?;
        let Reading::Matrix { rows, columns, is_transposed: true, .. } = weight.reading else {
            return Ok(values);
        };
        let mut turned = Vec::with_capacity(values.len());
        for row in 0..rows {
            turned.extend((0..columns).map(|column| values[column * rows + row]));
        }
        Ok(turned)
    }
}

/// From `config.json` beside the weights, or the metadata of a GGUF file.
pub(in crate::experiments) fn architecture(
    path: &Path,
    checkpoint: &Checkpoint,
) -> Result<Result<Architecture, String>, LabError> {
    if !checkpoint.metadata.is_empty() {
        let rows = checkpoint.find("token_embd.weight").and_then(|tensor| tensor.shape.first().copied());
        let is_tied = checkpoint.find("output.weight").is_none();
        return Ok(metadata::architecture(&checkpoint.metadata, rows, is_tied));
    }
    let folder: PathBuf = if path.is_dir() {
        path.into()
    } else {
        match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
            _ => PathBuf::from("."),
        }
    };
    Ok(match config::read(&folder)? {
        Some(Config::Known(found)) => Ok(*found),
        Some(Config::UnknownFamily(name)) => {
            Err(format!("the family {name} is not known, only {}", config::families().join(", ")))
        }
        None => Err("no config.json lies beside the weights".into()),
    })
}

/// Pins the model by the checksum of its files.
pub(super) fn resolve(spec: CheckSpec) -> Result<CheckSpec, LabError> {
    if spec.steps > 0 {
        let range = "0 for a model that is read from its weights alone".into();
        return Err(LabError::OutOfRange { key: "try", value: spec.steps.to_string(), range });
    }
    if let Some(data) = &spec.data.data {
        let range = "left out for a model that is read from its weights alone".into();
        return Err(LabError::OutOfRange { key: "data", value: data.to_string(), range });
    }
    let Some(choice) = spec.network.model() else { return Ok(spec) };
    let model = Model::open(choice)?;
    let checksum = Some(model.checkpoint.fingerprint()?);
    let choice = ModelChoice { model: choice.model.clone(), checksum };
    let network = NetworkSettings { network: NetworkChoice::Model(choice), ..NetworkSettings::default() };
    Ok(CheckSpec { network, seed: spec.seed, ..CheckSpec::default() })
}

/// The name of the file or folder.
pub(super) fn subject(choice: &ModelChoice) -> String {
    let path = Path::new(&choice.model);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    format!("{}, weights alone", name.unwrap_or_else(|| choice.model.clone()))
}

/// One job a matrix, and one for all vectors.
pub(super) fn plan(choice: &ModelChoice) -> Result<Vec<Job>, LabError> {
    let model = Model::open(choice)?;
    let is_matrix = |weight: &&Weight| matches!(weight.reading, Reading::Matrix { .. });
    let matrices = model.weights.iter().filter(is_matrix);
    let mut jobs: Vec<Job> = matrices
        .map(|weight| Job::new(weight.name.clone(), Task::Matrix { tensor: weight.tensor }))
        .collect();
    jobs.push(Job::new("vectors", Task::Vectors));
    Ok(jobs)
}

/// Analyses one matrix, or looks through all vectors.
pub(super) fn run(choice: &ModelChoice, seed: u64, job: &Job, tools: &Tools) -> Result<Value, LabError> {
    let model = tools.shared("model", || Model::open(choice))?;
    let value = match job.read::<Task>()? {
        Task::Matrix { tensor } => {
            let weight = model.weights.get(tensor);
            let gone = || LabError::Answer { job: job.id.clone(), message: "the model has changed".into() };
            let weight = weight.ok_or_else(gone)?;
            let Reading::Matrix { rows, columns, fan_in, window, .. } = weight.reading else {
                return Err(gone());
            };
            let shape = Shape { rows, columns, fan_in, window };
            let values = model.values(weight)?;
            serde_json::to_value(analyse(&values, shape, seed, tensor as u64))
        }
        Task::Vectors => {
            let mut bad = Vec::new();
            for weight in model.weights.iter().filter(|weight| weight.reading == Reading::Vector) {
                let (nan, infinite) = not_finite(&model.values(weight)?);
                if nan + infinite > 0 {
                    bad.push(BadVector { name: weight.name.clone(), nan, infinite });
                }
            }
            serde_json::to_value(bad)
        }
    };
    value.map_err(|error| LabError::Answer { job: job.id.clone(), message: error.to_string() })
}

/// The report from what is there.
pub(super) fn report(choice: &ModelChoice, seed: u64, points: &[Point]) -> Result<Report, LabError> {
    let model = Model::open(choice)?;
    let (mut matrices, mut bad_vectors) = (Vec::new(), Vec::new());
    for point in points {
        if point.job == "vectors" {
            bad_vectors.extend(point.read::<Vec<BadVector>>()?);
            continue;
        }
        let analysis: Analysis = point.read()?;
        if let Some(weight) = model.weights.iter().find(|weight| weight.name == point.job) {
            matrices.push(Matrix { weight: weight.clone(), analysis });
        }
    }
    // By layer and role: files are in the order of the alphabet.
    let first_last = |role: Role| match role {
        Role::Embedding => 0,
        Role::Head => 2,
        _ => 1,
    };
    matrices.sort_by(|a, b| {
        let key = |m: &Matrix| {
            (m.weight.layer.is_none().then(|| first_last(m.weight.role)), m.weight.layer, m.weight.role)
        };
        let place = |m: &Matrix| match key(m) {
            (Some(0 | 1), _, role) => (0, 0, role),
            (None, Some(layer), role) => (1, layer, role),
            (_, _, role) => (2, 0, role),
        };
        place(a).cmp(&place(b))
    });
    Ok(write::write(choice, seed, &model, &matrices, &bad_vectors))
}
