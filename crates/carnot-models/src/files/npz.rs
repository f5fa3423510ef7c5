//! NPZ: NumPy arrays in a zip archive, stored or deflated. An array's shape and type are read from its own header.

use std::io::{BufReader, Read};

use flate2::read::DeflateDecoder;
use zip::CompressionMethod;

use super::source::Source;
use super::torch::zip::{Member, members};
use crate::checkpoint::{Place, Tensor};
use crate::element::Element;
use crate::error::ModelError;

/// Longest header of an array. NumPy pads to 64 bytes and warns above 10,000.
const LONGEST_HEADER: usize = 1 << 16;

/// Does the archive hold arrays rather than a pickle? Both begin alike.
///
/// # Errors
/// [`ModelError::Damaged`] for what is no archive.
pub fn is_one(source: &Source) -> Result<bool, ModelError> {
    let members = members(source)?;
    Ok(!members.iter().any(|member| member.name.ends_with(".pkl"))
        && members.iter().any(|member| member.name.ends_with(".npy")))
}

/// Every array of the archive.
///
/// # Errors
/// [`ModelError::Bomb`], [`ModelError::Damaged`], [`ModelError::Truncated`].
pub fn tensors(source: &Source) -> Result<Vec<Tensor>, ModelError> {
    let arrays = members(source)?.into_iter().filter(|member| member.name.ends_with(".npy"));
    arrays.map(|member| array(source, &member)).collect()
}

fn array(source: &Source, member: &Member) -> Result<Tensor, ModelError> {
    let name = member.name.trim_end_matches(".npy").to_string();
    let stream = source.stream(member.offset, member.stored);
    let (text, start) = match member.method {
        CompressionMethod::Stored => header(source, &name, &mut BufReader::new(stream))?,
        CompressionMethod::Deflated => {
            header(source, &name, &mut DeflateDecoder::new(BufReader::new(stream)))?
        }
        other => {
            return Err(source.damaged(format!("`{name}` is compressed by {other}, only deflate is read")));
        }
    };
    let wrong = |what: &str| source.damaged(format!("the header of `{name}` has no {what}"));
    let descr = quoted(&text, "descr").ok_or_else(|| wrong("descr"))?;
    let shape = sides(&text).ok_or_else(|| wrong("shape"))?;
    let is_fortran = field(&text, "fortran_order").is_some_and(|value| value.starts_with("True"));
    if descr.contains('O') {
        return Err(ModelError::Code {
            path: source.path.clone(),
            name: format!("the pickle inside `{name}`"),
        });
    }
    let count = shape.iter().try_fold(1u64, |count, &side| count.checked_mul(side as u64));
    let take = member.inflated.saturating_sub(start);
    let element = element(&descr).ok_or_else(|| descr.clone());
    if let Ok(element) = &element {
        let needed = count.and_then(|count| element.bytes(count)).unwrap_or(u64::MAX);
        if needed != take {
            let what = format!("`{name}`");
            return Err(ModelError::Truncated { path: source.path.clone(), what, needed, present: take });
        }
    }
    let place = match member.method {
        CompressionMethod::Stored => Place::plain(0, member.offset + start, take),
        _ => Place::deflated(0, member.offset, member.stored, start, take),
    };
    let strides = is_fortran.then(|| {
        let steps = shape.iter().scan(1, |step, side| Some(std::mem::replace(step, *step * side)));
        steps.collect()
    });
    Ok(Tensor { name, shape, element, place, strides })
}

/// The dictionary of an array's header, and the byte at which its numbers start.
fn header(source: &Source, name: &str, reader: &mut dyn Read) -> Result<(String, u64), ModelError> {
    let damaged = || source.damaged(format!("`{name}` is no NumPy array"));
    let mut take = |length: usize| -> Result<Vec<u8>, ModelError> {
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes).map_err(|_| damaged())?;
        Ok(bytes)
    };
    let start = take(8)?;
    if &start[..6] != b"\x93NUMPY" || !(1..=3).contains(&start[6]) {
        return Err(damaged());
    }
    let digits = if start[6] == 1 { 2 } else { 4 };
    let length = take(digits)?.iter().rev().fold(0usize, |sum, &byte| sum << 8 | usize::from(byte));
    if length > LONGEST_HEADER {
        return Err(source.too_much(format!("the header of `{name}`"), length as u64, LONGEST_HEADER as u64));
    }
    let text = String::from_utf8(take(length)?).map_err(|_| damaged())?;
    Ok((text, (8 + digits + length) as u64))
}

/// What follows `'key':` in the dictionary.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let after = text.split_once(&format!("'{key}'")).or_else(|| text.split_once(&format!("\"{key}\"")))?.1;
    Some(after.trim_start().strip_prefix(':')?.trim_start())
}

fn quoted(text: &str, key: &str) -> Option<String> {
    let value = field(text, key)?;
    let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    Some(value[1..].split_once(quote)?.0.to_string())
}

fn sides(text: &str) -> Option<Vec<usize>> {
    let inside = field(text, "shape")?.strip_prefix('(')?.split_once(')')?.0;
    let sides = inside.split(',').map(str::trim).filter(|side| !side.is_empty());
    sides.map(|side| side.trim_end_matches('L').parse().ok()).collect()
}

fn element(descr: &str) -> Option<Element> {
    if descr.starts_with('>') {
        return None;
    }
    Some(match descr.trim_start_matches(['<', '|', '=']) {
        "b1" | "?" => Element::Bool,
        "u1" => Element::Unsigned(1),
        "i1" => Element::Signed(1),
        "u2" => Element::Unsigned(2),
        "i2" => Element::Signed(2),
        "u4" => Element::Unsigned(4),
        "i4" => Element::Signed(4),
        "u8" => Element::Unsigned(8),
        "i8" => Element::Signed(8),
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        _ => return None,
    })
}
