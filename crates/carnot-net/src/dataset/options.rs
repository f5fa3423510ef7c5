//! What a caller may choose about a data set. Every field has a default; one that a data set has no use for is ignored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::DataError;
use super::scaling::Scaling;
use super::text::Tokens;

/// Choices for [`super::open`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Seed of the generators, and of the choice of samples where a file holds more than wanted.
    pub seed: u64,
    /// Samples wanted, ≥ 1. Generators make this many (default 5,000); of a file with more, a class-balanced random
    /// part is kept; a file with fewer is used whole.
    pub samples: Option<usize>,
    /// Scale of the inputs. Default: what the table says for a name, `standard` for a file.
    pub scaling: Option<Scaling>,
    /// Where the targets are: a CSV column by name or number (from 1), an array of an NPZ or safetensors file by name,
    /// or the file beside an IDX or NPY file. Default: found by the usual names.
    pub label: Option<String>,
    /// What the targets are.
    pub task: Task,
    /// Which half of a pair of IDX files in a directory.
    pub part: Part,
    /// Generators: numbers a sample, n₀ ≥ 1.
    pub dimension: Option<usize>,
    /// Generators: number of classes, ≥ 2.
    pub classes: Option<usize>,
    /// `mixture`: root mean square distance between two class centres, in standard deviations of the noise, ≥ 0.
    pub separation: Option<f64>,
    /// `parity`: how many of the inputs count, from 1 to the dimension.
    pub sparsity: Option<usize>,
    /// `teacher`: what its hidden units compute.
    pub teacher: Teacher,
    /// Texts: what they are cut into.
    pub tokens: Tokens,
    /// Texts: tokens of a window, 1 to 65536. Default: 24.
    pub context: Option<usize>,
    /// Texts of characters: kinds of tokens, the last of which is every rarer character; 2 to 65536. Default: 64.
    pub vocabulary: Option<usize>,
    /// Texts: share of the tokens that is hidden and to be told; 0 asks for the next token instead.
    pub masked: f64,
    /// Bytes of memory that the inputs may take, and bytes that a compressed file may unpack to.
    pub limit_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 0,
            samples: None,
            scaling: None,
            label: None,
            task: Task::Auto,
            part: Part::All,
            dimension: None,
            classes: None,
            separation: None,
            sparsity: None,
            teacher: Teacher::Tanh,
            tokens: Tokens::Characters,
            context: None,
            vocabulary: None,
            masked: 0.0,
            // Chosen: twenty times Fashion-MNIST. Doubling it only delays the refusal of a file that will not fit.
            limit_bytes: 4 << 30,
        }
    }
}

/// What targets are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Classes if they are stored as whole numbers or are called labels, values otherwise.
    #[default]
    Auto,
    /// Classes; anything else than a whole number from 0 is an error.
    Classes,
    /// Real numbers, even if they are whole.
    Values,
}

/// Part of a data set that comes in two pairs of files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Both, the training samples first.
    #[default]
    All,
    /// `train-…`
    Train,
    /// `t10k-…`
    Test,
}

/// Hidden units of the `teacher` generator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Teacher {
    /// tanh(z)
    #[default]
    Tanh,
    /// max(z, 0)
    Relu,
}

impl Options {
    /// Samples that a generator makes: at least one, and `[samples, width]` within the memory limit.
    pub(super) fn samples_of(&self, name: &'static str, width: usize) -> Result<usize, DataError> {
        let samples = self.at_least("samples", self.samples, 5000, 1)?;
        let needed = (samples as u64).checked_mul(width as u64).and_then(|count| count.checked_mul(4));
        let needed = needed.unwrap_or(u64::MAX);
        if needed > self.limit_bytes {
            let at = super::error::At::Whole;
            return Err(DataError::TooLarge { path: name.into(), at, needed, limit: self.limit_bytes });
        }
        Ok(samples)
    }

    /// Numbers a sample.
    pub(super) fn dimension_or(&self, default: usize) -> Result<usize, DataError> {
        self.at_least("dimension", self.dimension, default, 1)
    }

    /// Number of classes, from 2 to what labels can count.
    pub(super) fn classes_or(&self, default: usize) -> Result<usize, DataError> {
        let classes = self.at_least("classes", self.classes, default, 2)?;
        if classes > super::assemble::LABEL_LIMIT as usize {
            let range = "from 2 to 65536";
            return Err(DataError::Parameter { name: "classes", value: classes as f64, range });
        }
        Ok(classes)
    }

    fn at_least(
        &self,
        name: &'static str,
        chosen: Option<usize>,
        default: usize,
        least: usize,
    ) -> Result<usize, DataError> {
        let value = chosen.unwrap_or(default);
        let range = if least == 1 { "at least 1" } else { "at least 2" };
        if value < least { Err(DataError::Parameter { name, value: value as f64, range }) } else { Ok(value) }
    }
}
