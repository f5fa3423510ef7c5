//! Readings ↔ file: `*.carnot`.
//!
//! ```text
//! {"schema":"carnot.recording/1","model":"mlp", …}            the header, one line of JSON
//! 9f86d081884c7d65 {"step":0,"loss":2.31,"layers":[…]}        one line a step: checksum, blank, JSON
//! ```
//!
//! Lines are only ever appended, each with one write, so a killed writer loses at most the line in hand; a torn last line is
//! ignored and cut off when the recording is continued. A damaged line *before* the last is an error: whoever changed the middle
//! of a file may have changed more. There are no weights and no data inside, so a recording may be mailed.

mod read;
mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use read::{Reader, Recording, is_recording, read};
pub use write::Writer;

/// Version of the file.
pub const SCHEMA: &str = "carnot.recording/1";
/// Longest line, in bytes: about 10 000 calls a step.
pub const LONGEST: usize = 16 << 20;
/// Characters of a checksum: 64 bits of BLAKE3.
const CHECKSUM: usize = 16;

/// What the recording is of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: String,
    /// Name of the model, as its owner says it.
    pub model: String,
    /// The module tree in the order of the model, read or not.
    #[serde(default)]
    pub modules: Vec<Module>,
    /// What the model was read with.
    #[serde(default)]
    pub probe: Probe,
    /// Is the first recorded step the untrained network? Then it is the reference of all later ones.
    #[serde(default)]
    pub starts_untrained: bool,
    /// Is it one reading of a model as it is, whose training was not seen?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_snapshot: bool,
    /// Optimizer of the training, where known: `adamw`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimizer: Option<String>,
    /// Versions of what wrote it: `carnot`, `torch`, `python`.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
}

/// One module of the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Module {
    /// Its path: `encoder.layer.3.output.dense`. The path of its parent is what stands before the last point.
    pub name: String,
    /// Its class in lower case.
    pub kind: String,
    /// Parameters of its own.
    #[serde(default)]
    pub parameters: u64,
    /// Share of its inputs that it drops in training, where it is a dropout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<f64>,
    /// Why it was not read; `None` when it was, or when only its children matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// What the model was read with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Samples.
    pub samples: usize,
    /// Classes; 0 without labels.
    #[serde(default)]
    pub classes: usize,
    /// Are there labels?
    #[serde(default)]
    pub has_labels: bool,
}

impl Header {
    /// A header of this version.
    #[must_use]
    pub fn new(model: &str, probe: Probe) -> Header {
        let versions = BTreeMap::from([("carnot".to_string(), env!("CARGO_PKG_VERSION").to_string())]);
        Header { schema: SCHEMA.into(), model: model.into(), probe, versions, ..Header::default() }
    }
}

/// The first 64 bits of the BLAKE3 hash of a line, in hexadecimal.
fn checksum(json: &[u8]) -> String {
    blake3::hash(json).to_hex()[..CHECKSUM].to_string()
}
