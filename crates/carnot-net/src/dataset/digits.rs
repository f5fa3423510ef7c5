//! 1,797 handwritten digits of 8×8 grey values, embedded: real data without a download.
//!
//! `digits.bin` is gzip of 1797·64 pixels (0 to 16, one byte each, row by row) followed by 1797 labels. It was made,
//! without change of any value, from the file inside the scikit-learn 1.9.1 wheel:
//!
//! ```python
//! import csv, gzip
//! rows = [[int(float(v)) for v in row]
//!         for row in csv.reader(gzip.open("sklearn/datasets/data/digits.csv.gz", "rt"))]
//! raw = bytes(v for row in rows for v in row[:64]) + bytes(row[64] for row in rows)
//! open("digits.bin", "wb").write(gzip.compress(raw, 9, mtime=0))
//! ```
//!
//! Licences in `digits.LICENSE`: BSD-3-Clause (scikit-learn), CC BY 4.0 (UCI).
//!
//! Source: E. Alpaydin, C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository 1998,
//! doi:10.24432/C50P49 (its test set, 13 writers).

use std::io::Read;

use super::assemble::classes;
use super::error::DataError;
use super::options::Options;
use super::set::{Dataset, Exact};

const SAMPLES: usize = 1797;
const PIXELS: usize = 64;
const PACKED: &[u8] = include_bytes!("digits.bin");

/// Pixels over 16, `[1797, 64]` in [0, 1], and labels 0 to 9. As the table scales them (mean and standard deviation
/// of all pixels), the mean of x² is 1.
pub fn digits(_: &Options) -> Result<Dataset, DataError> {
    let mut raw = Vec::with_capacity(SAMPLES * (PIXELS + 1));
    flate2::read::GzDecoder::new(PACKED).read_to_end(&mut raw).expect("the embedded file is whole");
    let (pixels, labels) = raw.split_at(SAMPLES * PIXELS);
    Ok(Dataset {
        name: "digits".into(),
        shape: vec![PIXELS],
        inputs: pixels.iter().map(|&pixel| f32::from(pixel) / 16.0).collect(),
        targets: classes(labels.iter().map(|&label| u32::from(label)).collect()),
        exact: Exact::default(),
        source: "Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak, UCI 1998, CC BY 4.0), test set, as \
                 distributed with scikit-learn (BSD-3-Clause)"
            .into(),
    })
}
