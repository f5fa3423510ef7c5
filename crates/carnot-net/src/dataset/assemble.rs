//! From arrays to a data set: do the counts agree, what are the targets, which names do arrays go by.

use std::path::Path;

use super::array::Array;
use super::error::{At, DataError, LabelFault, nearest};
use super::options::{Options, Task};
use super::set::{Dataset, Exact, Targets};

/// Labels must be below this. Chosen: the largest public label sets have 22 thousand classes; a label in the millions is
/// an identifier, and a network with that many outputs would be built from a mistake.
pub(super) const LABEL_LIMIT: u32 = 1 << 16;

/// Whole numbers stored as floating point count as classes up to this many different ones (chosen: more than
/// that is a count or a price).
const FEW: usize = 256;

/// Names under which inputs are looked for, case ignored, in this order.
pub(super) const INPUT_NAMES: &[&str] =
    &["x", "inputs", "input", "data", "images", "features", "x_train", "train_images", "arr_0"];
/// Names under which targets are looked for, case ignored, in this order.
pub(super) const TARGET_NAMES: &[&str] =
    &["y", "labels", "label", "targets", "target", "class", "y_train", "train_labels", "arr_1"];

/// Whether targets of this name can be nothing but classes.
pub(super) fn is_label_name(name: &str) -> bool {
    let name = name.to_lowercase();
    name.contains("label") || name.contains("class")
}

/// Joins inputs and targets.
pub(super) fn assemble(
    path: &Path,
    inputs: Array,
    targets: Option<Array>,
    options: &Options,
    source: String,
) -> Result<Dataset, DataError> {
    let at = || if inputs.name.is_empty() { At::Whole } else { At::Array(inputs.name.clone()) };
    let nothing = |what| DataError::Nothing { path: path.into(), at: at(), what };
    let samples = *inputs.shape.first().ok_or_else(|| nothing("samples"))?;
    if samples == 0 {
        return Err(nothing("samples"));
    }
    if inputs.values.is_empty() {
        return Err(nothing("inputs"));
    }
    let mut shape = inputs.shape[1..].to_vec();
    if shape.is_empty() {
        shape.push(1);
    }
    let mut exact = Exact { inputs: inputs.exact, values: None };
    let targets = match targets {
        None => Targets::None,
        Some(mut targets) => {
            check_count(path, samples, &targets)?;
            exact.values = targets.exact.take();
            to_targets(path, targets, options.task)?
        }
    };
    let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.display().to_string());
    if !matches!(targets, Targets::Values { .. }) {
        exact.values = None;
    }
    Ok(Dataset { name, shape, inputs: inputs.values, targets, exact, source })
}

fn check_count(path: &Path, samples: usize, targets: &Array) -> Result<(), DataError> {
    let found = targets.shape.first().copied().unwrap_or(0);
    if found == samples {
        return Ok(());
    }
    Err(DataError::Count {
        path: path.into(),
        inputs: samples as u64,
        targets: found as u64,
        targets_from: targets.name.clone(),
    })
}

fn to_targets(path: &Path, targets: Array, task: Task) -> Result<Targets, DataError> {
    let width = targets.shape[1..].iter().product::<usize>();
    if width == 0 {
        let at = At::Array(targets.name);
        return Err(DataError::Nothing { path: path.into(), at, what: "targets" });
    }
    let is_column = width == 1;
    let is_classes = match task {
        Task::Values => false,
        Task::Classes if !is_column => {
            return Err(DataError::Shape {
                path: path.into(),
                expected: vec![1],
                found: targets.shape[1..].to_vec(),
            });
        }
        Task::Classes => true,
        Task::Auto => {
            is_column
                && (targets.is_whole || is_label_name(&targets.name) || could_be_labels(&targets.values))
        }
    };
    if !is_classes {
        return Ok(Targets::Values { values: targets.values, width });
    }
    let mut labels = Vec::with_capacity(targets.values.len());
    for (row, &value) in targets.values.iter().enumerate() {
        labels.push(to_label(value).map_err(|fault| DataError::Label {
            path: path.into(),
            at: At::Element { array: targets.name.clone(), row: row as u64 + 1, column: 1 },
            fault,
        })?);
    }
    Ok(classes(labels))
}

/// Labels with the number of classes that the largest implies.
pub(super) fn classes(labels: Vec<u32>) -> Targets {
    let classes = labels.iter().max().map_or(1, |&label| label as usize + 1);
    Targets::Classes { labels, classes }
}

/// The class that a number names.
pub(super) fn to_label(value: f32) -> Result<u32, LabelFault> {
    let label = f64::from(value);
    if label < 0.0 {
        return Err(LabelFault::Negative(label));
    }
    if label.fract() != 0.0 {
        return Err(LabelFault::Fractional(label));
    }
    if label >= f64::from(LABEL_LIMIT) {
        return Err(LabelFault::TooLarge { label, limit: LABEL_LIMIT });
    }
    Ok(label as u32)
}

/// Whether all numbers could be labels, with few different ones and more than one.
pub(super) fn could_be_labels(values: &[f32]) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    let plausible = values.iter().all(|&value| match to_label(value) {
        Ok(label) => {
            seen.insert(label);
            seen.len() <= FEW
        }
        Err(_) => false,
    });
    plausible && seen.len() > 1
}

/// Which of the arrays of a file are inputs and targets.
///
/// A file with a single array holds inputs. Otherwise names decide: `wanted` for the targets if given, the usual ones if
/// not.
pub(super) fn choose(
    path: &Path,
    names: &[String],
    wanted: Option<&str>,
) -> Result<(usize, Option<usize>), DataError> {
    let find = |usual: &[&str], taken: Option<usize>| {
        usual.iter().find_map(|usual| {
            names
                .iter()
                .enumerate()
                .position(|(index, name)| Some(index) != taken && name.eq_ignore_ascii_case(usual))
        })
    };
    let missing = |wanted: &[&str]| DataError::NoArray {
        path: path.into(),
        wanted: wanted.iter().map(|name| name.to_string()).collect(),
        present: names.iter().take(20).cloned().collect(),
        nearest: wanted.iter().find_map(|wanted| nearest(wanted, names.iter().map(String::as_str))),
    };
    let targets = match wanted {
        Some(wanted) => Some(names.iter().position(|name| name == wanted).ok_or_else(|| missing(&[wanted]))?),
        None if names.len() == 1 => return Ok((0, None)),
        None => find(TARGET_NAMES, None),
    };
    let inputs = match find(INPUT_NAMES, targets) {
        Some(inputs) => inputs,
        None if targets.is_some() && names.len() == 2 => 1 - targets.unwrap_or(0),
        None => return Err(missing(INPUT_NAMES)),
    };
    Ok((inputs, targets))
}
