//! What the targets share: small limits, and what every accepted data set promises.

use std::path::Path;

use carnot_models::checkpoint::Checkpoint;
use carnot_models::huggingface::roles::weights;
use carnot_net::dataset::{DataError, Dataset, Options, Scaling, Source, Targets};

/// Bytes that a data set may take here, so that a fuzzer finds what escapes it.
pub const LIMIT: u64 = 1 << 24;

/// Options with that limit.
pub fn options() -> Options {
    Options { limit_bytes: LIMIT, ..Options::default() }
}

/// Inputs, and labels unless the first byte is zero: it says at which share of the rest they start.
pub fn sources(bytes: &[u8]) -> Option<(Source<'_>, Option<Source<'_>>)> {
    let (&share, rest) = bytes.split_first()?;
    if share == 0 {
        return Some((Source::bytes(rest, "inputs", LIMIT).ok()?, None));
    }
    let (inputs, labels) = rest.split_at(rest.len() * usize::from(share) / 256);
    Some((Source::bytes(inputs, "inputs", LIMIT).ok()?, Some(Source::bytes(labels, "labels", LIMIT).ok()?)))
}

/// Checks the promises of an accepted data set, and that an error can be printed.
pub fn accepted(result: Result<Dataset, DataError>) {
    let data = match result {
        Ok(data) => data,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert!(!data.is_empty() && data.width() > 0);
    assert_eq!(data.inputs.len(), data.len() * data.width());
    assert!(data.inputs.len() as u64 * 4 <= LIMIT);
    assert!(data.inputs.iter().all(|x| x.is_finite()));
    match &data.targets {
        Targets::None => {}
        Targets::Classes { labels, classes } => {
            assert_eq!(labels.len(), data.len());
            assert!(labels.iter().all(|&label| (label as usize) < *classes));
        }
        Targets::Values { values, width } => {
            assert_eq!(values.len(), data.len() * width);
            assert!(values.iter().all(|value| value.is_finite()));
        }
    }
    let (train, test) = data.split(0.8, 1).expect("a fraction in range");
    assert_eq!(train.len() + test.len(), data.len());
    assert_eq!(data.probe(7, 1).len(), data.len().min(7));
    for scaling in [Scaling::Unit, Scaling::Standard, Scaling::Columns, Scaling::Sphere] {
        let mut scaled = data.clone();
        if scaled.standardize(scaling).is_ok() {
            assert!(scaled.inputs.iter().all(|x| x.is_finite()), "{scaling:?}");
        }
    }
}

/// Checks the promises of an accepted checkpoint: as many numbers as the shape says, and no more memory than the file accounts for.
pub fn model(bytes: Vec<u8>, name: &str) {
    let length = bytes.len();
    let checkpoint = match Checkpoint::of_bytes(bytes, Path::new(name)) {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert_eq!(weights(&checkpoint.tensors, false).len(), checkpoint.tensors.len());
    for tensor in checkpoint.tensors.iter().take(64) {
        if let Ok(values) = checkpoint.values(tensor) {
            assert_eq!(values.len(), tensor.count());
            // Deflate shrinks at most 1032 times, a bit makes at most one number of four bytes.
            assert!(values.len() <= length * 8 * 1032);
        }
    }
}
