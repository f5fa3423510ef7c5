//! TensorBoard event files: scalars of every tag, old (`simple_value`) and new (a tensor with one number).
//!
//! Source: TensorFlow, `tensorflow/core/util/event.proto`, `framework/summary.proto`, `framework/tensor.proto`.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::failed;
use super::record::Records;
use super::wire::{Value, fields};
use crate::error::LogError;
use crate::log::{Gather, Log};

/// All scalars of some files, which follow each other; the name of the folder of each stands before its tags.
///
/// # Errors
/// [`LogError`] for a file that cannot be read, is damaged before its end, or holds no scalar.
pub fn read(path: &Path, files: &[(String, PathBuf)]) -> Result<Log, LogError> {
    let (mut gather, mut row, mut remarks) = (Gather::default(), 0, Vec::new());
    for (folder, file) in files {
        let source = BufReader::new(File::open(file).map_err(|error| failed(file, error))?);
        let mut records = Records::new(source, file);
        while let Some(record) = records.next_record()? {
            row += 1;
            event(&record, |step, tag, value| gather.push(&format!("{folder}{tag}"), row, step, value));
        }
        if records.is_torn {
            remarks.push(format!("the last record of {} has no end: it is left out", file.display()));
        }
    }
    if gather.is_empty() {
        let why = format!("its {row} events hold no scalar");
        return Err(LogError::NotALog { path: path.into(), why });
    }
    let mut log = gather.log(&path.display().to_string(), "TensorBoard events", "step");
    log.remarks.extend(remarks);
    Ok(log)
}

/// The scalars of one event: step, tag, value.
fn event(bytes: &[u8], mut take: impl FnMut(f64, &str, f64)) {
    let mut step = 0.0;
    let mut summaries = Vec::new();
    for (field, value) in fields(bytes).flatten() {
        match (field, value) {
            (2, Value::Varint(number)) => step = number as i64 as f64,
            (5, Value::Bytes(summary)) => summaries.push(summary),
            _ => {}
        }
    }
    for summary in summaries {
        for (field, value) in fields(summary).flatten() {
            if let (1, Value::Bytes(value)) = (field, value)
                && let Some((tag, number)) = scalar(value)
            {
                take(step, tag, number);
            }
        }
    }
}

/// Tag and number of one value of a summary; `None` for pictures, histograms and texts.
fn scalar(bytes: &[u8]) -> Option<(&str, f64)> {
    let (mut tag, mut number) = (None, None);
    for (field, value) in fields(bytes).flatten() {
        match (field, value) {
            (1, Value::Bytes(text)) => tag = std::str::from_utf8(text).ok(),
            (2, Value::Fixed32(value)) => number = Some(f64::from(f32::from_le_bytes(value))),
            (8, Value::Bytes(value)) => number = number.or_else(|| tensor(value)),
            _ => {}
        }
    }
    tag.zip(number)
}

/// The only number of a tensor.
fn tensor(bytes: &[u8]) -> Option<f64> {
    let (mut kind, mut raw, mut listed) = (0, None, None);
    for (field, value) in fields(bytes).flatten() {
        match (field, value) {
            (1, Value::Varint(number)) => kind = number,
            (4, Value::Bytes(bytes)) => raw = Some(bytes),
            (5 | 6, Value::Bytes(bytes)) => listed = Some(bytes),
            (5, Value::Fixed32(value)) => return Some(f64::from(f32::from_le_bytes(value))),
            (6, Value::Fixed64(value)) => return Some(f64::from_le_bytes(value)),
            _ => {}
        }
    }
    let bytes = raw.filter(|bytes| !bytes.is_empty()).or(listed)?;
    // DataType of tensor.proto.
    match kind {
        1 => Some(f64::from(f32::from_le_bytes(bytes.try_into().ok()?))),
        2 => Some(f64::from_le_bytes(bytes.try_into().ok()?)),
        3 => Some(f64::from(i32::from_le_bytes(bytes.try_into().ok()?))),
        9 => Some(i64::from_le_bytes(bytes.try_into().ok()?) as f64),
        14 => {
            let half = u16::from_le_bytes(bytes.try_into().ok()?);
            Some(f64::from(f32::from_bits(u32::from(half) << 16)))
        }
        19 => Some(half(u16::from_le_bytes(bytes.try_into().ok()?))),
        _ => None,
    }
}

/// IEEE half precision.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_that_of_the_standard() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2f64.powi(-24)),
            (0x7c00, f64::INFINITY),
        ] {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x7e00).is_nan());
    }
}
