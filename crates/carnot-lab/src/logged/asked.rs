//! What the user says beside the log: names of series, losses to compare with, the optimizer.

use std::path::PathBuf;
use std::str::FromStr;

pub use carnot_log::names::Given;
pub use carnot_log::reference::Symbol;
use carnot_log::reference::{Kind, Reference, of_labels, of_text};
use carnot_sim::edge::Descent;

use crate::error::{LabError, Origin};

/// Everything that may be said; nothing need be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// Names of series.
    pub names: Given,
    /// Name of the counter of steps.
    pub step: Option<String>,
    /// Classes of the task.
    pub classes: Option<u64>,
    /// Symbols of the vocabulary.
    pub vocabulary: Option<u64>,
    /// A file with a label a line.
    pub labels: Option<PathBuf>,
    /// The text that is learned.
    pub data: Option<PathBuf>,
    /// What a symbol of it is.
    pub symbols: Symbol,
    /// Entropy of the frequencies, in nats.
    pub unigram: Option<f64>,
    /// Entropy of a symbol given the one before, in nats.
    pub bigram: Option<f64>,
    /// Norm to which gradients are clipped.
    pub clip: Option<f64>,
    /// Samples of a batch.
    pub batch: Option<f64>,
    /// Steps that the training is to have.
    pub steps: Option<f64>,
    /// The optimizer's word: `sgd`, `adam`, …
    pub optimizer: Option<String>,
    /// Its momentum, or β₁.
    pub momentum: Option<f64>,
}

/// Everything that can be said, by the names of the flags.
const KEYS: &[&str] = &[
    "step",
    "loss",
    "val_loss",
    "rate",
    "grad_norm",
    "update_norm",
    "accuracy",
    "sharpness",
    "classes",
    "vocabulary",
    "labels",
    "data",
    "symbols",
    "unigram",
    "bigram",
    "clip",
    "batch",
    "steps",
    "optimizer",
    "momentum",
];

impl Asked {
    /// From keys and their texts, as they stand behind flags.
    ///
    /// # Errors
    /// [`LabError::UnknownKey`], [`LabError::OutOfRange`] for what is no number where one is needed.
    pub fn of(settings: &[(String, String)]) -> Result<Asked, LabError> {
        let mut asked = Asked::default();
        for (key, text) in settings {
            let word = || Some(text.clone());
            let Some(key) = KEYS.iter().find(|known| *known == key).copied() else {
                let nearest = crate::spec::nearest(key, KEYS);
                let origin = Origin::Default;
                return Err(LabError::UnknownKey { key: key.clone(), verb: "diagnose", nearest, origin });
            };
            match key {
                "step" => asked.step = word(),
                "loss" => asked.names.loss = word(),
                "val_loss" => asked.names.validation = word(),
                "rate" => asked.names.rate = word(),
                "grad_norm" => asked.names.gradient = word(),
                "update_norm" => asked.names.update = word(),
                "accuracy" => asked.names.accuracy = word(),
                "sharpness" => asked.names.sharpness = word(),
                "classes" => asked.classes = Some(parsed(key, text, "a whole number")?),
                "vocabulary" => asked.vocabulary = Some(parsed(key, text, "a whole number")?),
                "labels" => asked.labels = Some(text.into()),
                "data" => asked.data = Some(text.into()),
                "symbols" => asked.symbols = parsed(key, text, "characters or bytes")?,
                "unigram" => asked.unigram = Some(parsed(key, text, "a number")?),
                "bigram" => asked.bigram = Some(parsed(key, text, "a number")?),
                "clip" => asked.clip = Some(parsed(key, text, "a number")?),
                "batch" => asked.batch = Some(parsed(key, text, "a number")?),
                "steps" => asked.steps = Some(parsed(key, text, "a number")?),
                "optimizer" => asked.optimizer = word(),
                "momentum" => asked.momentum = Some(parsed(key, text, "a number")?),
                _ => unreachable!("{key} stands in the table"),
            }
        }
        Ok(asked)
    }

    /// Losses to compare with, the highest first; a number that was given wins over one that is counted.
    ///
    /// # Errors
    /// [`LabError::OutOfRange`], or what keeps a file from being read.
    pub fn references(&self) -> Result<Vec<Reference>, LabError> {
        let mut all = Vec::new();
        if let Some(path) = &self.data {
            all.extend(of_text(path, self.symbols)?);
        }
        if let Some(path) = &self.labels {
            all.extend(of_labels(path)?);
        }
        for (key, count) in [("classes", self.classes), ("vocabulary", self.vocabulary)] {
            let Some(count) = count else { continue };
            if count < 2 {
                return Err(out_of_range(key, count as f64, "2 or more"));
            }
            put(&mut all, Reference::uniform(count));
        }
        for (key, kind, value) in
            [("unigram", Kind::Unigram, self.unigram), ("bigram", Kind::Bigram, self.bigram)]
        {
            let Some(value) = value else { continue };
            if !(value.is_finite() && value > 0.0) {
                return Err(out_of_range(key, value, "a finite number of nats above 0"));
            }
            put(&mut all, Reference::given(kind, value));
        }
        all.sort_by(|a, b| b.value.total_cmp(&a.value));
        Ok(all)
    }

    /// The rule whose stability limits the rate, where the optimizer was named.
    ///
    /// # Errors
    /// [`LabError::OutOfRange`] for another word, or a momentum outside 0 to 1.
    pub fn descent(&self) -> Result<Option<Descent>, LabError> {
        let Some(word) = &self.optimizer else { return Ok(None) };
        let momentum = self.momentum.unwrap_or(0.9);
        if !(0.0..1.0).contains(&momentum) {
            return Err(out_of_range("momentum", momentum, "0 or more and below 1"));
        }
        Descent::named(word, momentum).map(Some).ok_or_else(|| LabError::OutOfRange {
            key: "optimizer",
            value: word.clone(),
            range: format!("one of {}", Descent::WORDS.join(", ")),
        })
    }

    /// Are all numbers in their ranges?
    ///
    /// # Errors
    /// [`LabError::OutOfRange`].
    pub fn check(&self) -> Result<(), LabError> {
        for (key, value) in [("clip", self.clip), ("batch", self.batch), ("steps", self.steps)] {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value > 0.0)) {
                return Err(out_of_range(key, value, "a finite number above 0"));
            }
        }
        Ok(())
    }
}

fn parsed<T: FromStr>(key: &'static str, text: &str, range: &str) -> Result<T, LabError> {
    let value = text.chars().take(40).collect();
    text.parse().map_err(|_| LabError::OutOfRange { key, value, range: range.into() })
}

fn put(all: &mut Vec<Reference>, reference: Reference) {
    all.retain(|other| other.kind != reference.kind);
    all.push(reference);
}

fn out_of_range(key: &'static str, value: f64, range: &str) -> LabError {
    LabError::OutOfRange { key, value: format!("{value}"), range: range.into() }
}
