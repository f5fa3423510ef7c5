//! Readings of real models and their recordings.

use carnot_probe::error::ProbeError;
use carnot_report::diagnostic::Diagnostic;

use super::{Explain, told};

impl Explain for ProbeError {
    fn explain(&self) -> Diagnostic {
        let problem = self.to_string();
        match self {
            ProbeError::Labels { samples, .. } => told(
                "probe/labels",
                problem,
                "labels and inputs of the probe are not of the same batch",
                format!(
                    "give {samples} labels, or leave them out: what needs them is then listed as not read"
                ),
            ),
            ProbeError::Empty => told(
                "probe/empty",
                problem,
                "the batch has a first axis of length 0",
                "give a batch of 100 to 1000 samples",
            ),
            ProbeError::Shape { .. } => told(
                "probe/shape",
                problem,
                "a call's numbers are [samples, positions, width], samples being those of the probe",
                "hand the output over with the batch as its first axis, or leave this call out",
            ),
            ProbeError::Chunk { .. } => told(
                "probe/chunk",
                problem,
                "chunks of a probe come in order, without gaps, until all samples are there",
                "begin each chunk at the sample after the last one of the chunk before",
            ),
            ProbeError::ChunkCalls { .. } => told(
                "probe/chunk-calls",
                problem,
                "a call is one stream of samples: every chunk has the calls of the first, in the same order and with the same parts",
                "run the same model on every chunk, or read only calls that are made for every sample",
            ),
            ProbeError::File { what, error, .. } => told(
                "recording/file",
                problem,
                match error.kind() {
                    std::io::ErrorKind::NotFound => "there is no such file".to_string(),
                    std::io::ErrorKind::AlreadyExists => "a recording is never overwritten".to_string(),
                    _ => format!("the system does not let it be {what}"),
                },
                "look at the path, the permissions and the space left",
            ),
            ProbeError::NotARecording { .. } => told(
                "recording/unknown",
                problem,
                "a recording begins with the line {\"schema\":\"carnot.recording/1\", …}",
                "carnot.watch(model, probe=…) in Python writes one; a network is given as 784-128x10-10 or as TOML",
            ),
            ProbeError::Version { .. } => told(
                "recording/version",
                problem,
                "it was written by another version of Carnot",
                "read it with the version that wrote it, or record again",
            ),
            ProbeError::Damaged { record, .. } => told(
                "recording/damaged",
                problem,
                "the file was changed or truncated in the middle; a writer that is killed damages the last record alone",
                format!(
                    "head -n {record} FILE > WHOLE keeps the header and the {} records before it",
                    record - 1
                ),
            ),
            ProbeError::TooLong { .. } => told(
                "recording/too-long",
                problem,
                "one step is one line, and lines are bounded so that reading them is",
                "record fewer calls: leave out those without weights",
            ),
        }
    }
}
