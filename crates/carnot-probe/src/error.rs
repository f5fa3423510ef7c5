//! Everything that can go wrong here, as data.

use std::path::PathBuf;

/// Why a call could not be read, or a recording not be written or opened.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Labels that do not belong to the probe.
    #[error("{found} labels for {samples} samples: one a sample, or one a position of every sample")]
    Labels {
        /// Samples of the probe.
        samples: usize,
        /// Labels given.
        found: usize,
    },
    /// A probe without samples.
    #[error("the probe has no samples")]
    Empty,
    /// Numbers that do not fill their shape.
    #[error("{call}: {what} holds {found} numbers, {expected} expected")]
    Shape {
        /// Name of the call.
        call: String,
        /// `features`, `input`, `gradient` or `classifier`.
        what: &'static str,
        /// As the shape says.
        expected: usize,
        /// As given.
        found: usize,
    },
    /// A chunk of samples that does not follow what was read.
    #[error(
        "a chunk of {samples} samples from sample {first} on cannot follow the {read} that were read, of {all}"
    )]
    Chunk {
        /// Its first sample.
        first: usize,
        /// Its samples; 0 where the probe ended or had not begun.
        samples: usize,
        /// Samples read before it.
        read: usize,
        /// Samples of the probe.
        all: usize,
    },
    /// A chunk with other calls than the first.
    #[error("{call}: the chunk from sample {first} on does not have the calls of the first chunk")]
    ChunkCalls {
        /// First sample of the chunk.
        first: usize,
        /// The call that is too many, missing, or of another shape.
        call: String,
    },
    /// The file system refused.
    #[error("{} cannot be {what}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// `read`, `written` or `created`.
        what: &'static str,
        /// Why.
        error: std::io::Error,
    },
    /// The file is something else.
    #[error("{} is not a recording: {why}", path.display())]
    NotARecording {
        /// The file.
        path: PathBuf,
        /// What speaks against it.
        why: String,
    },
    /// A recording of another version.
    #[error("{} is written as {found}, this program reads {}", path.display(), crate::recording::SCHEMA)]
    Version {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: String,
    },
    /// A record in the middle is damaged; everything before it is whole.
    #[error("{} is damaged at record {record} (byte {at}): {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which record, from 1.
        record: u64,
        /// Where it begins.
        at: u64,
        /// What is wrong.
        why: String,
    },
    /// A reading that cannot be written in one record.
    #[error("the reading of step {step} takes {bytes} bytes, {} at most", crate::recording::LONGEST)]
    TooLong {
        /// The step.
        step: u64,
        /// Bytes it would take.
        bytes: usize,
    },
}
