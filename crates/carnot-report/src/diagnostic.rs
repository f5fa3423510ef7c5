//! What was asked could not be done: problem, cause, remedy.

use serde::{Deserialize, Serialize};

/// One error in the shape of a finding. Each of the three texts is one sentence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Family and name: `config/unknown-key`.
    pub code: String,
    /// What is wrong, with the numbers.
    pub problem: String,
    /// Why, or a guess at it.
    pub cause: String,
    /// What to do, if possible a command to paste.
    pub remedy: String,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Place {
    /// A span of one line of a file.
    File {
        /// Its path as the user gave it.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1, in characters.
        column: usize,
        /// The text of that line, without its end.
        source: String,
        /// Length of the span, in characters; 0 points between two.
        length: usize,
    },
    /// A flag of the command line, with its dashes.
    Flag {
        /// `--activation`.
        flag: String,
    },
    /// A layer of the user's model, by the user's name.
    Layer {
        /// `blocks.3.mlp.fc1`.
        layer: String,
    },
    /// A span of a formula.
    Formula {
        /// The formula as it was typed.
        text: String,
        /// Start of the span, in bytes.
        start: usize,
        /// Length of the span, in bytes; 0 points between two.
        length: usize,
    },
}

impl Place {
    /// In a few words: `net.toml:12:3`, `--activation`, `blocks.3.mlp.fc1`, `formula, column 7`.
    pub fn words(&self) -> String {
        match self {
            Place::File { file, line, column, .. } => format!("{file}:{line}:{column}"),
            Place::Flag { flag } => flag.clone(),
            Place::Layer { layer } => layer.clone(),
            Place::Formula { text, start, .. } => {
                let before = text.char_indices().take_while(|(at, _)| at < start).count();
                format!("formula, column {}", before + 1)
            }
        }
    }
}
