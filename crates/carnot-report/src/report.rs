//! The whole answer to one command, as plain data.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::finding::Finding;
use crate::profile::Profile;
use crate::section::Section;

/// Everything a command has to say. The terminal text, the HTML file and the JSON are made from this value alone.
///
/// In JSON, optional fields that say nothing are left out, and `extra` is flattened into the top level.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Version of this shape; a reader of another version must refuse.
    pub schema: Schema,
    /// First characters of the run's identity, such as `3f9c2a`.
    pub id: String,
    /// The verb that was asked: `check`, `predict`, `ensemble`, …
    pub command: String,
    /// What was asked about, right-aligned on the first line: `784-128x50-10, tanh, PyTorch default init`.
    #[serde(default)]
    pub subject: String,
    /// Will it learn? `null` when the command does not ask that.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// First line in other words than the verdict's, such as `AGREES WITH THEORY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headline: Option<Headline>,
    /// Lines under the verdict: cause, remedy, tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub summary: Vec<Line>,
    /// What is wrong; any order, shown with what blocks first.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Tables, charts and prose, in reading order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<Section>,
    /// Numbers per layer, by source and step.
    #[serde(default)]
    pub profiles: Vec<Profile>,
    /// The code that applies the recommendation, one snippet per framework.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub code: Vec<Snippet>,
    /// How much of the model could be read.
    #[serde(default)]
    pub coverage: Option<Coverage>,
    /// What to type next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<Line>,
    /// Where the HTML lies, such as `runs/3f9c2a-check-mlp/report.html`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<String>,
    /// How this was measured, enough to repeat it.
    pub provenance: Provenance,
    /// What only one command says, at the top level of the JSON: `criticality` of `predict`, for example.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl Report {
    /// An empty report of `command` about `subject`; every list is empty and is filled by assignment.
    pub fn new(command: &str, subject: &str) -> Report {
        Report { command: command.into(), subject: subject.into(), ..Report::default() }
    }

    /// Findings with what blocks first, otherwise in the order they were given.
    pub fn findings_by_weight(&self) -> Vec<&Finding> {
        let mut sorted: Vec<&Finding> = self.findings.iter().collect();
        sorted.sort_by_key(|finding| finding.level);
        sorted
    }

    /// The words of the first line and how they are meant; `None` when the command only tabulates.
    pub fn first_line(&self) -> Option<(String, Tone)> {
        match (&self.headline, &self.verdict) {
            (Some(headline), _) => Some((headline.text.clone(), headline.tone)),
            (None, Some(verdict)) => Some((verdict.word.words().to_string(), verdict.word.tone())),
            (None, None) => None,
        }
    }
}

/// Version of the JSON shape. A new version is a new variant; additive changes keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Schema {
    /// The first shape.
    #[default]
    #[serde(rename = "carnot.report/1")]
    V1,
}

/// Will it learn, and why we think so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// One of four words.
    pub word: Word,
    /// One or two sentences with the numbers that decide.
    pub why: String,
}

/// The four verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// Nothing stands in the way.
    Learns,
    /// It will learn, slower or less reliably than it could.
    LearnsAtACost,
    /// Something blocks learning.
    WillNotLearn,
    /// The evidence does not decide, and the report says what is missing.
    CannotTell,
}

impl Word {
    /// As printed on the first line.
    pub fn words(self) -> &'static str {
        match self {
            Word::Learns => "LEARNS",
            Word::LearnsAtACost => "LEARNS, AT A COST",
            Word::WillNotLearn => "WILL NOT LEARN",
            Word::CannotTell => "CANNOT TELL",
        }
    }

    /// How it is meant.
    pub fn tone(self) -> Tone {
        match self {
            Word::Learns => Tone::Good,
            Word::LearnsAtACost => Tone::Costs,
            Word::WillNotLearn => Tone::Blocks,
            Word::CannotTell => Tone::Plain,
        }
    }
}

/// First line of a report whose question is not "will it learn".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Headline {
    /// In capitals: `AGREES WITH THEORY`, `LAYERS 7–10 ARE NEARLY IDLE`.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
}

/// What a colour stands for. It never stands alone: a word or a sign is always beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    /// Verified: green.
    Good,
    /// Costs something: yellow.
    Costs,
    /// Blocks learning: red.
    Blocks,
    /// A statement without judgement.
    #[default]
    Plain,
}

/// A label and its text: `remedy   carnot.init_(model), rate 0.01      safe: nothing learned yet`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// One word: cause, remedy, tried, use, try, explain.
    pub label: String,
    /// The line itself.
    pub text: String,
    /// An aside, set at the right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What the copy button of the page copies, when it is less than `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<String>,
}

impl Line {
    /// A line without an aside.
    pub fn new(label: &str, text: impl Into<String>) -> Line {
        Line { label: label.into(), text: text.into(), ..Line::default() }
    }

    /// The same line with an aside at the right.
    pub fn with_note(mut self, note: impl Into<String>) -> Line {
        self.note = Some(note.into());
        self
    }

    /// The same line with what a reader would paste.
    pub fn with_copy(mut self, copy: impl Into<String>) -> Line {
        self.copy = Some(copy.into());
        self
    }
}

/// Code that applies the recommendation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Snippet {
    /// Framework or place: `PyTorch`, `JAX`, `config`.
    pub label: String,
    /// The code, several lines allowed.
    pub text: String,
}

/// How much could be read. Nothing is skipped in silence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// Layers read.
    pub read: usize,
    /// Layers there are.
    pub of: usize,
    /// What is counted: `weight layers, 50 activations`.
    #[serde(default)]
    pub what: String,
    /// What it was read with: `200 inputs, 10 classes, eval mode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// Layers that were not read.
    pub skipped: Vec<Skipped>,
}

/// A layer that was not read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    /// Its path in the model.
    pub layer: String,
    /// Why, in a few words: `no vectors`, `tied to embed`.
    pub because: String,
}

/// How this was measured, enough to repeat it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// Version of Carnot.
    pub version: String,
    /// Seed of every random stream; `null` when nothing was random.
    #[serde(default)]
    pub seed: Option<u64>,
    /// `cpu`, or the name of the accelerator.
    #[serde(default)]
    pub device: String,
    /// The command line that reproduces it.
    pub command: String,
    /// When it was made, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    /// How long it took, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The resolved specification, nothing left implicit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Value>,
    /// Anything else worth keeping: probe batch, library versions, data licence.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub more: BTreeMap<String, String>,
}
