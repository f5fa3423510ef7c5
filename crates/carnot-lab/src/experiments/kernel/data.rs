//! Which samples are trained on and which are kept aside.

use carnot_net::dataset::{Dataset, Exact, Scaling, Targets};
use carnot_net::plan::Plan;
use carnot_theory::regression::labels::centred_one_hot;

use super::KernelSpec;
use crate::error::LabError;
use crate::settings::DataSettings;

/// Training and test samples.
pub struct Split {
    /// Samples that are learned.
    pub train: Dataset,
    /// Samples kept aside; `None` when there are none.
    pub test: Option<Dataset>,
}

/// Samples under the seed that a specification names.
///
/// # Errors
/// Whatever is wrong with the data.
pub fn split(spec: &KernelSpec, plan: &Plan) -> Result<Split, LabError> {
    let Some(first) = opened(&spec.data, spec.test_data.is_some(), plan, spec.seed)? else {
        return Err(LabError::MissingKey { key: "data", verb: "kernel" });
    };
    let Some(name) = &spec.test_data else { return Ok(cut(spec, &first)) };
    let settings = DataSettings { data: Some(name.clone()), data_checksum: None, ..spec.data.clone() };
    let second = opened(&settings, true, plan, spec.seed)?.expect("a name was given");
    if first.targets.outputs() != second.targets.outputs() && !matches!(second.targets, Targets::None) {
        let value = format!("{name}, {} outputs", second.targets.outputs());
        let range = format!("of the {} outputs of the first", first.targets.outputs());
        return Err(LabError::OutOfRange { key: "test_data", value, range });
    }
    // Both sets on one scale, or they would not be comparable.
    let (count, train) = (first.len(), most(spec.train, first.len()));
    let has_targets = !matches!(second.targets, Targets::None);
    let mut both = joined(first, second);
    both.standardize(spec.data.scaling.unwrap_or(Scaling::Standard))?;
    let (front, back) = ((0..count).collect::<Vec<_>>(), (count..both.len()).collect::<Vec<_>>());
    let front = both.subset(&front)?;
    let mut test = both.subset(&back)?;
    if !has_targets {
        test.targets = Targets::None;
    }
    let train = if train == count { front } else { front.probe(train, spec.seed) };
    Ok(Split { train, test: Some(test) })
}

fn opened(
    settings: &DataSettings,
    is_raw: bool,
    plan: &Plan,
    seed: u64,
) -> Result<Option<Dataset>, LabError> {
    if !is_raw {
        return settings.open(plan, seed);
    }
    // A checksum belongs to scaled data; raw ones are checked by what they are compared with.
    let raw = DataSettings { scaling: Some(Scaling::None), data_checksum: None, ..settings.clone() };
    raw.open(plan, seed)
}

/// All samples in their order when no more are there than wanted; otherwise a class-balanced random part.
fn cut(spec: &KernelSpec, data: &Dataset) -> Split {
    let has_targets = !matches!(data.targets, Targets::None);
    let wanted = if has_targets { spec.test } else { 0 };
    let train = match spec.train {
        0 => data.len().saturating_sub(wanted).max(1),
        train => train.min(data.len()),
    };
    let test = wanted.min(data.len() - train);
    if test == 0 && train == data.len() {
        return Split { train: data.clone(), test: None };
    }
    let chosen = data.probe(train + test, spec.seed);
    let part = |from: usize, to: usize| {
        chosen.subset(&(from..to).collect::<Vec<_>>()).expect("within the chosen samples")
    };
    Split { train: part(0, train), test: (test > 0).then(|| part(train, train + test)) }
}

fn most(wanted: usize, there: usize) -> usize {
    if wanted == 0 { there } else { wanted.min(there) }
}

/// One set after the other.
fn joined(first: Dataset, second: Dataset) -> Dataset {
    let needs_exact = first.exact.inputs.is_some() || second.exact.inputs.is_some();
    let inputs = needs_exact.then(|| [first.exact_inputs(), second.exact_inputs()].concat());
    let values = match (first.exact_values(), second.exact_values()) {
        (Some(a), Some(b)) => Some([a, b].concat()),
        _ => None,
    };
    let targets = match (first.targets, second.targets) {
        (Targets::Classes { labels: a, classes: n }, Targets::Classes { labels: b, classes: m }) => {
            Targets::Classes { labels: [a, b].concat(), classes: n.max(m) }
        }
        (Targets::Values { values: a, width }, Targets::Values { values: b, .. }) => {
            Targets::Values { values: [a, b].concat(), width }
        }
        (Targets::Classes { mut labels, classes }, _) => {
            labels.resize(
                labels.len() + second.inputs.len() / second.shape.iter().product::<usize>().max(1),
                0,
            );
            Targets::Classes { labels, classes }
        }
        (Targets::Values { values: mut all, width }, _) => {
            let more = second.inputs.len() / second.shape.iter().product::<usize>().max(1);
            all.resize(all.len() + more * width, 0.0);
            Targets::Values { values: all, width }
        }
        (Targets::None | Targets::Positions { .. }, _) => Targets::None,
    };
    let values = if matches!(targets, Targets::Values { .. }) { values } else { None };
    Dataset {
        name: first.name,
        shape: first.shape,
        inputs: [first.inputs, second.inputs].concat(),
        targets,
        exact: Exact { inputs, values },
        source: format!("{}; {}", first.source, second.source),
    }
}

/// Targets of a kernel regression, `[samples, outputs]`; none for a single class, in which there is nothing to tell.
///
/// Classes become one-hot vectors minus their mean over classes: 1 − 1/C for the class and −1/C for the others.
pub fn targets(data: &Dataset) -> Option<(Vec<f64>, usize)> {
    match &data.targets {
        Targets::None | Targets::Positions { .. } => None,
        Targets::Values { width, .. } => Some((data.exact_values()?, *width)),
        Targets::Classes { labels, classes } => Some((centred_one_hot(labels, *classes).ok()?, *classes)),
    }
}
