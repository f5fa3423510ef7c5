//! Something is wrong with the network: what was seen, why, and what to do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chart::Chart;

/// One check that did not pass, in the shape *saw, because, do*.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Family letter and number, such as `S101`; `carnot explain S101` tells more.
    pub code: String,
    /// Its name: `inputs-merge`.
    #[serde(default)]
    pub name: String,
    /// How bad it is.
    pub level: Level,
    /// Path of the layer, or a span of layers: `fc.9`, `50 layers`.
    pub at: String,
    /// Where that is: `layer 10 of 51`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// The measured fact, with its numbers.
    pub saw: String,
    /// The cause, with the theory's numbers.
    pub because: String,
    /// What to do about it.
    pub remedy: Remedy,
    /// When this finding may be ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_when: Option<String>,
    /// One small picture each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Chart>,
}

/// How bad a finding is, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The network will not learn until this is remedied.
    Blocks,
    /// It learns slower, or less reliably.
    Costs,
    /// Worth knowing.
    Note,
}

impl Level {
    /// As printed at the right of a finding.
    pub fn words(self) -> &'static str {
        match self {
            Level::Blocks => "blocks learning",
            Level::Costs => "costs",
            Level::Note => "note",
        }
    }
}

/// What to do: as prose, as data and, if possible, as something to paste.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Remedy {
    /// One sentence: `raise C_W from 0.333 to 1`.
    pub text: String,
    /// The same for a machine: `{"init": {"c_w": 1.0, "c_b": 0.0}}`.
    #[serde(default)]
    pub action: Value,
    /// To paste: `carnot.init_(model)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Does it keep what the network has learned?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety: Option<Safety>,
}

/// Does a remedy keep what the network has learned?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Safety {
    /// Nothing learned is lost.
    Safe,
    /// Something learned is lost.
    Unsafe,
}

impl Safety {
    /// As printed at the right of a remedy.
    pub fn words(self) -> &'static str {
        match self {
            Safety::Safe => "safe",
            Safety::Unsafe => "unsafe",
        }
    }
}
