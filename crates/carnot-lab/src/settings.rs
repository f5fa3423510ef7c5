//! Settings that several experiments share: how a network starts, and the data it sees.

use carnot_net::dataset::{self, Dataset, Options, Scaling, Targets, Tokens};
use carnot_net::hyper::{LayerInit, Scheme};
use carnot_net::layers::Layer;
use carnot_net::plan::Plan;
use carnot_sim::error::SimError;
use carnot_sim::loss::Loss;
use carnot_theory::initial::{Initial, initial};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::LabError;

/// A setting that must lie in a range.
///
/// # Errors
/// [`LabError::OutOfRange`] when it does not.
pub fn within(key: &'static str, value: impl ToString, is_good: bool, range: &str) -> Result<(), LabError> {
    if is_good {
        return Ok(());
    }
    Err(LabError::OutOfRange { key, value: value.to_string(), range: range.into() })
}

/// The name of an optimizer.
///
/// # Errors
/// [`LabError::OutOfRange`] with the known ones.
pub fn known_optimizer(name: &str) -> Result<(), LabError> {
    let known = carnot_sim::optimizer::NAMES;
    within("optimizer", name, known.contains(&name), &format!("one of {}", known.join(", ")))
}

/// The loss that fits the targets.
pub fn loss_of(data: &Dataset) -> Loss {
    match data.targets {
        Targets::Values { .. } => Loss::Squared,
        _ => Loss::CrossEntropy,
    }
}

/// How the weights of a network start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InitSettings {
    /// How weights and biases start.
    pub init: Scheme,
    /// Weight variance times fan-in of every layer, instead of the rule's. Default: by the rule.
    pub c_w: Option<f64>,
    /// Bias variance of every layer, instead of the rule's. Default: by the rule.
    pub c_b: Option<f64>,
}

impl InitSettings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`LabError::OutOfRange`].
    pub fn check(&self) -> Result<(), LabError> {
        for (key, value) in [("c_w", self.c_w), ("c_b", self.c_b)] {
            let Some(value) = value else { continue };
            within(key, value, (0.0..=1e6).contains(&value), "between 0 and 1000000")?;
        }
        Ok(())
    }

    /// The variances of every layer with weights.
    ///
    /// # Errors
    /// When an activation cannot be averaged.
    pub fn initial(&self, plan: &Plan) -> Result<Initial, LabError> {
        Ok(initial(plan, self.init, self.c_w, self.c_b)?)
    }

    /// In a sentence: `critical init`, or `C_W = 1.5, C_b = 0`.
    pub fn words(&self) -> String {
        match (self.c_w, self.c_b) {
            (None, None) => self.init.words().to_string(),
            (Some(c_w), Some(c_b)) => format!("C_W = {c_w}, C_b = {c_b}"),
            (Some(c_w), None) => format!("{} with C_W = {c_w}", self.init.words()),
            (None, Some(c_b)) => format!("{} with C_b = {c_b}", self.init.words()),
        }
    }
}

/// The data a network is judged on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DataSettings {
    /// Data: digits (embedded), fashion, mnist, mixture, parity, teacher, mnist1d, brown, macedonian, or a file (IDX, NPY, NPZ, CSV, safetensors, text).
    pub data: Option<String>,
    /// How inputs are scaled. Default: the data set's own choice.
    pub scaling: Option<Scaling>,
    /// Column or array that holds the labels, where it cannot be guessed.
    pub label: Option<String>,
    /// What a text is cut into; window and vocabulary are those of the network.
    pub text_tokens: Tokens,
    /// Share of a text's tokens that is hidden and to be told; 0 asks for the next token.
    pub masked: f64,
    /// Number of samples of a generated data set. Default: 5000.
    pub samples: Option<usize>,
    /// Checksum of the data, by which a result belongs to their content and not to a file name. Default: filled in.
    pub data_checksum: Option<String>,
}

impl DataSettings {
    /// Reads the data, in the shape that a network takes.
    ///
    /// # Errors
    /// Whatever is wrong with the data, and [`LabError::DataShape`] when the network cannot take them.
    pub fn open(&self, plan: &Plan, seed: u64) -> Result<Option<Dataset>, LabError> {
        let Some(spec) = &self.data else { return Ok(None) };
        let generated = ["mixture", "parity", "teacher"].contains(&spec.as_str());
        let options = Options {
            seed,
            samples: self.samples,
            scaling: self.scaling,
            label: self.label.clone(),
            dimension: generated.then(|| plan.input.len()),
            classes: (spec == "mixture" || spec == "teacher").then(|| plan.output().len()),
            tokens: self.text_tokens,
            masked: self.masked,
            context: Some(plan.input.positions()),
            vocabulary: self.vocabulary(plan),
            ..Options::default()
        };
        let data = dataset::open(spec, &options)?;
        if data.width() != plan.input.len() {
            return Err(LabError::DataShape {
                data: spec.clone(),
                sample: data.shape.clone(),
                network: plan.input.sizes().to_vec(),
            });
        }
        let data = data.reshaped(plan.input.sizes())?;
        let found = checksum(&data);
        match &self.data_checksum {
            Some(wanted) if *wanted != found => Err(LabError::OutOfRange {
                key: "data_checksum",
                value: wanted.clone(),
                range: format!("{found}, that of {spec} as it is now"),
            }),
            _ => Ok(Some(data)),
        }
    }

    /// Kinds of tokens that the network tells apart, less the mask.
    fn vocabulary(&self, plan: &Plan) -> Option<usize> {
        plan.sites.iter().find_map(|site| match &site.layer {
            Layer::Embedding(embedding) => Some(embedding.vocabulary - usize::from(self.masked > 0.0)),
            _ => None,
        })
    }

    /// Reads the data as they are, of any shape; `digits` where none are named.
    ///
    /// # Errors
    /// Whatever is wrong with the data.
    pub fn whole(&self, seed: u64) -> Result<Dataset, LabError> {
        let (label, scaling) = (self.label.clone(), self.scaling);
        let (tokens, masked) = (self.text_tokens, self.masked);
        let options =
            Options { seed, samples: self.samples, scaling, label, tokens, masked, ..Options::default() };
        Ok(dataset::open(self.data.as_deref().unwrap_or("digits"), &options)?)
    }

    /// Reads images (or rows) as they are, resized to `side` pixels along each side where that is given.
    ///
    /// # Errors
    /// Whatever is wrong with the data, or when they are no images and should be resized.
    pub fn sized(&self, side: Option<usize>, seed: u64) -> Result<Dataset, LabError> {
        let data = self.whole(seed)?;
        Ok(match side {
            Some(side) => data.resized(side)?,
            None => data,
        })
    }

    /// The same settings with name and checksum filled in, of data that must have classes.
    ///
    /// # Errors
    /// When the checksum is of other data, or the targets are no classes.
    pub fn pinned_classes(self, data: &Dataset) -> Result<DataSettings, LabError> {
        let found = checksum(data);
        if let Some(wanted) = self.data_checksum.as_ref().filter(|wanted| **wanted != found) {
            within("data_checksum", wanted, false, &format!("{found}, that of the data as they are now"))?;
        }
        if !matches!(data.targets, Targets::Classes { .. }) {
            return Err(SimError::NoClasses.into());
        }
        let name = self.data.unwrap_or_else(|| "digits".into());
        Ok(DataSettings { data: Some(name), data_checksum: Some(found), ..self })
    }

    /// The same for data that a network must be trained on: named, with targets, as many as the network has outputs.
    ///
    /// # Errors
    /// [`LabError::MissingKey`], and those of [`DataSettings::open`] and of targets that are missing or do not fit.
    pub fn pinned_to_learn(
        self,
        plan: &Plan,
        seed: u64,
        verb: &'static str,
    ) -> Result<DataSettings, LabError> {
        let (pinned, data) = self.pinned(plan, seed)?;
        let data = data.ok_or(LabError::MissingKey { key: "data", verb })?;
        if matches!(data.targets, Targets::None) {
            return Err(SimError::NoTargets.into());
        }
        let (needed, found) = (data.targets.outputs(), plan.output().len());
        if needed != found {
            return Err(SimError::Outputs { needed, found }.into());
        }
        Ok(pinned)
    }

    /// The same settings with the checksum of the data, and the data.
    ///
    /// # Errors
    /// As [`DataSettings::open`].
    pub fn pinned(self, plan: &Plan, seed: u64) -> Result<(DataSettings, Option<Dataset>), LabError> {
        let data = self.open(plan, seed)?;
        let data_checksum = data.as_ref().map(checksum);
        Ok((DataSettings { data_checksum, ..self }, data))
    }
}

fn checksum(data: &Dataset) -> String {
    format!("{:016x}", data.checksum())
}

/// The variances of a network, all alike or not: `C_W = 0.333, C_b = 0.0026`.
pub fn variances(layers: &[LayerInit]) -> (f64, f64) {
    // The typical layer: the one in the middle, past the first and before the head.
    let middle = layers[layers.len() / 2];
    (middle.c_w, middle.c_b)
}
