//! Everything that can go wrong with an ONNX model.

use std::path::PathBuf;

use carnot_probe::error::ProbeError;

/// Why a model cannot be read or run.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The system refuses.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something else than a model.
    #[error("{} is no ONNX model: {why}", path.display())]
    NotAModel {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// Less is there than the file says.
    #[error("{what} takes {needed} bytes, and {found} are left")]
    Truncated {
        /// What does not fit.
        what: &'static str,
        /// Bytes it takes.
        needed: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// The file contradicts its own format.
    #[error("{what}")]
    Damaged {
        /// What is wrong, as a sentence without a full stop.
        what: String,
    },
    /// More of something than a model has.
    #[error("{what}: {found}, at most {most}")]
    TooMuch {
        /// What is too much.
        what: String,
        /// As the file says.
        found: u64,
        /// The limit.
        most: u64,
    },
    /// A tensor whose shape and numbers do not fit together.
    #[error("the tensor `{tensor}` {why}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// What does not fit.
        why: String,
    },
    /// Numbers of a tensor that lie in another file, and cannot be had.
    #[error("the numbers of `{tensor}` lie in `{location}`, {why}")]
    External {
        /// The tensor.
        tensor: String,
        /// The file as the model names it.
        location: String,
        /// What is wrong with it.
        why: String,
    },
    /// A node that needs, through others, its own output.
    #[error("the graph has a cycle through `{node}`")]
    Cycle {
        /// One of its nodes.
        node: String,
    },
    /// A value that nothing makes.
    #[error("`{node}` needs `{value}`, which nothing makes")]
    Unknown {
        /// The node.
        node: String,
        /// The value.
        value: String,
    },
    /// A graph without a layer that has weights.
    #[error("no layer with weights: {why}")]
    NoLayers {
        /// What was found.
        why: String,
    },
    /// Operations that the runtime does not have.
    #[error("the runtime does not know {}", operations.join(", "))]
    Operations {
        /// Their names.
        operations: Vec<String>,
    },
    /// The runtime refuses the graph.
    #[error("the runtime refuses {}{message}", at.as_ref().map_or(String::new(), |at| format!("at `{at}`: ")))]
    Refused {
        /// The node it speaks of, where it says.
        at: Option<String>,
        /// In its words, the innermost cause.
        message: String,
    },
    /// More memory than may be used.
    #[error("{what} takes {needed} bytes, and {available} may be used")]
    TooLarge {
        /// What does not fit.
        what: String,
        /// Bytes it takes.
        needed: u64,
        /// Bytes that may be used.
        available: u64,
    },
    /// An input of the model that the batch does not hold.
    #[error("the batch has no array `{input}`{}", held(found))]
    MissingInput {
        /// The input.
        input: String,
        /// What the batch holds.
        found: Vec<String>,
    },
    /// An array that does not fit its input.
    #[error("`{input}` takes {wanted}, and the batch holds {found}")]
    InputShape {
        /// The input.
        input: String,
        /// Type and shape that it takes.
        wanted: String,
        /// Type and shape of the array.
        found: String,
    },
    /// A batch that cannot be used.
    #[error("{why}")]
    Batch {
        /// What is wrong with it.
        why: String,
    },
    /// The readings.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

fn held(found: &[String]) -> String {
    match found {
        [] => String::new(),
        found => format!(": it holds {}", found.join(", ")),
    }
}
