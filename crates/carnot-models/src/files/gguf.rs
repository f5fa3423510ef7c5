//! GGUF, versions 2 and 3: metadata as typed key-value pairs, a list of tensors, then aligned numbers, often in quantised blocks.
//!
//! Source: the format's description in the ggml repository, `docs/gguf.md`.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};

use super::source::{Source, Stream};
use crate::checkpoint::{Place, Tensor};
use crate::element::Element;
use crate::error::ModelError;

/// Longest text kept; merges, vocabularies and chat templates are longer and are not asked for.
const LONGEST_TEXT: u64 = 256;

/// Most sides of a tensor, as in ggml.
const MOST_SIDES: u32 = 4;

/// Deepest nesting of arrays.
const DEEPEST: usize = 4;

/// The tensors of a file, and the short ones of its metadata.
///
/// # Errors
/// [`ModelError::Truncated`], [`ModelError::TooMuch`], [`ModelError::Damaged`].
pub fn tensors(source: &Source) -> Result<(Vec<Tensor>, BTreeMap<String, String>), ModelError> {
    let mut reader = Reader { source, stream: BufReader::new(source.stream(0, source.length)), at: 0 };
    reader.skip(4, "the magic")?;
    let version = reader.u32()?;
    if !(2..=3).contains(&version) {
        // A big-endian file has its version at the other end.
        return Err(source.damaged(format!("version {version} of GGUF is not known, only 2 and 3")));
    }
    let (count, pairs) = (reader.u64()?, reader.u64()?);
    // The shortest pair has a key of no letters and one byte; the shortest tensor a name of none and no sides.
    reader.fits("the number of pairs of metadata", pairs, 13)?;
    reader.fits("the number of tensors", count, 24)?;
    let mut metadata = BTreeMap::new();
    for _ in 0..pairs {
        let key = reader.text("a key")?.unwrap_or_default();
        let kind = reader.u32()?;
        if let Some(value) = reader.value(kind, 0)? {
            metadata.insert(key, value);
        }
    }
    let alignment = alignment(source, &metadata)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        headers.push(reader.header()?);
    }
    let start = reader.at.div_ceil(alignment) * alignment;
    let mut placed = Vec::with_capacity(headers.len());
    for header in headers {
        placed.push(header.placed(source, start, alignment)?);
    }
    refuse_overlaps(source, &placed)?;
    Ok((placed.into_iter().map(|(tensor, _, _)| tensor).collect(), metadata))
}

fn alignment(source: &Source, metadata: &BTreeMap<String, String>) -> Result<u64, ModelError> {
    let Some(text) = metadata.get("general.alignment") else { return Ok(32) };
    let alignment = text.parse::<u64>().ok().filter(|a| a.is_power_of_two() && *a <= 1 << 20);
    alignment
        .ok_or_else(|| source.damaged(format!("general.alignment is {text}, not a power of two up to 2^20")))
}

struct Header {
    name: String,
    /// Fastest first, as stored.
    sides: Vec<u64>,
    kind: u32,
    offset: u64,
}

impl Header {
    /// The tensor with where it begins and ends.
    fn placed(self, source: &Source, start: u64, alignment: u64) -> Result<(Tensor, u64, u64), ModelError> {
        let Header { name, sides, kind, offset } = self;
        let count = sides.iter().try_fold(1u64, |count, side| count.checked_mul(*side));
        let count =
            count.ok_or_else(|| source.damaged(format!("`{name}` has more numbers than can be counted")))?;
        let Some(block) = block(kind) else {
            return Err(source.damaged(format!("`{name}` is of the type {kind}, which GGUF does not have")));
        };
        let (numbers, bytes) = (block.1, block.2);
        let row = sides.first().copied().unwrap_or(1);
        if !row.is_multiple_of(numbers) {
            return Err(
                source.damaged(format!("a row of `{name}` has {row} numbers, no multiple of {numbers}"))
            );
        }
        let length = (count / numbers).checked_mul(bytes);
        let length =
            length.ok_or_else(|| source.damaged(format!("`{name}` has more bytes than can be counted")))?;
        if !offset.is_multiple_of(alignment) {
            return Err(source.damaged(format!("`{name}` begins at {offset}, no multiple of {alignment}")));
        }
        let at = start.saturating_add(offset);
        source.within(&format!("`{name}`"), at, length)?;
        let shape = sides.iter().rev().map(|&side| side as usize).collect();
        let element = element(kind).ok_or_else(|| block.0.to_string());
        let tensor = Tensor { name, shape, element, place: Place::plain(0, at, length), strides: None };
        Ok((tensor, at, at + length))
    }
}

fn refuse_overlaps(source: &Source, placed: &[(Tensor, u64, u64)]) -> Result<(), ModelError> {
    let mut order: Vec<&(Tensor, u64, u64)> = placed.iter().filter(|(_, from, to)| from < to).collect();
    order.sort_by_key(|(_, from, _)| *from);
    match order.windows(2).find(|pair| pair[0].2 > pair[1].1) {
        Some(pair) => Err(source.damaged(format!("`{}` and `{}` overlap", pair[0].0.name, pair[1].0.name))),
        None => Ok(()),
    }
}

/// Name, numbers and bytes of a block of each type that exists.
fn block(kind: u32) -> Option<(&'static str, u64, u64)> {
    Some(match kind {
        0 => ("F32", 1, 4),
        1 => ("F16", 1, 2),
        2 => ("Q4_0", 32, 18),
        3 => ("Q4_1", 32, 20),
        6 => ("Q5_0", 32, 22),
        7 => ("Q5_1", 32, 24),
        8 => ("Q8_0", 32, 34),
        9 => ("Q8_1", 32, 36),
        10 => ("Q2_K", 256, 84),
        11 => ("Q3_K", 256, 110),
        12 => ("Q4_K", 256, 144),
        13 => ("Q5_K", 256, 176),
        14 => ("Q6_K", 256, 210),
        15 => ("Q8_K", 256, 292),
        16 => ("IQ2_XXS", 256, 66),
        17 => ("IQ2_XS", 256, 74),
        18 => ("IQ3_XXS", 256, 98),
        19 => ("IQ1_S", 256, 50),
        20 => ("IQ4_NL", 32, 18),
        21 => ("IQ3_S", 256, 110),
        22 => ("IQ2_S", 256, 82),
        23 => ("IQ4_XS", 256, 136),
        24 => ("I8", 1, 1),
        25 => ("I16", 1, 2),
        26 => ("I32", 1, 4),
        27 => ("I64", 1, 8),
        28 => ("F64", 1, 8),
        29 => ("IQ1_M", 256, 56),
        30 => ("BF16", 1, 2),
        _ => return None,
    })
}

fn element(kind: u32) -> Option<Element> {
    Some(match kind {
        0 => Element::F32,
        1 => Element::F16,
        2 => Element::Q4_0,
        3 => Element::Q4_1,
        6 => Element::Q5_0,
        7 => Element::Q5_1,
        8 => Element::Q8_0,
        10 => Element::Q2K,
        11 => Element::Q3K,
        12 => Element::Q4K,
        13 => Element::Q5K,
        14 => Element::Q6K,
        24 => Element::Signed(1),
        25 => Element::Signed(2),
        26 => Element::Signed(4),
        27 => Element::Signed(8),
        28 => Element::F64,
        30 => Element::Bf16,
        _ => return None,
    })
}

struct Reader<'a> {
    source: &'a Source,
    stream: BufReader<Stream<'a>>,
    at: u64,
}

impl Reader<'_> {
    fn left(&self) -> u64 {
        self.source.length - self.at
    }

    /// Refuses a count of things of at least `least` bytes that the rest of the file cannot hold.
    fn fits(&self, what: &str, count: u64, least: u64) -> Result<(), ModelError> {
        let most = self.left() / least;
        if count <= most { Ok(()) } else { Err(self.source.too_much(what, count, most)) }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        self.source.within("the header", self.at, N as u64)?;
        let mut bytes = [0; N];
        let read = self.stream.read_exact(&mut bytes);
        read.map_err(|source| ModelError::Io { path: self.source.path.clone(), source })?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn skip(&mut self, length: u64, what: &str) -> Result<(), ModelError> {
        self.source.within(what, self.at, length)?;
        let copied = std::io::copy(&mut (&mut self.stream).take(length), &mut std::io::sink());
        copied.map_err(|source| ModelError::Io { path: self.source.path.clone(), source })?;
        self.at += length;
        Ok(())
    }

    fn u32(&mut self) -> Result<u32, ModelError> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, ModelError> {
        self.take().map(u64::from_le_bytes)
    }

    /// A text; `None` for one that is too long to be kept.
    fn text(&mut self, what: &str) -> Result<Option<String>, ModelError> {
        let length = self.u64()?;
        self.source.within(what, self.at, length)?;
        if length > LONGEST_TEXT {
            self.skip(length, what)?;
            return Ok(None);
        }
        let mut bytes = vec![0; length as usize];
        let read = self.stream.read_exact(&mut bytes);
        read.map_err(|source| ModelError::Io { path: self.source.path.clone(), source })?;
        self.at += length;
        let text = String::from_utf8(bytes);
        text.map(Some).map_err(|_| self.source.damaged(format!("{what} is not UTF-8")))
    }

    /// A value of the metadata in words; `None` for what is too long to be kept.
    fn value(&mut self, kind: u32, depth: usize) -> Result<Option<String>, ModelError> {
        Ok(match kind {
            0 => Some(self.take::<1>()?[0].to_string()),
            1 => Some(i8::from_le_bytes(self.take()?).to_string()),
            2 => Some(u16::from_le_bytes(self.take()?).to_string()),
            3 => Some(i16::from_le_bytes(self.take()?).to_string()),
            4 => Some(self.u32()?.to_string()),
            5 => Some(i32::from_le_bytes(self.take()?).to_string()),
            6 => Some(f32::from_le_bytes(self.take()?).to_string()),
            7 => Some((self.take::<1>()?[0] != 0).to_string()),
            8 => self.text("a text of the metadata")?,
            9 => {
                self.skip_array(depth)?;
                None
            }
            10 => Some(self.u64()?.to_string()),
            11 => Some(i64::from_le_bytes(self.take()?).to_string()),
            12 => Some(f64::from_le_bytes(self.take()?).to_string()),
            _ => {
                return Err(self.source.damaged(format!(
                    "a value of the metadata is of the type {kind}, which GGUF does not have"
                )));
            }
        })
    }

    fn skip_array(&mut self, depth: usize) -> Result<(), ModelError> {
        if depth >= DEEPEST {
            return Err(self
                .source
                .damaged(format!("arrays of the metadata are nested more than {DEEPEST} deep")));
        }
        let (kind, count) = (self.u32()?, self.u64()?);
        let size = match kind {
            0 | 1 | 7 => Some(1),
            2 | 3 => Some(2),
            4..=6 => Some(4),
            10..=12 => Some(8),
            _ => None,
        };
        self.fits("the length of an array of the metadata", count, size.unwrap_or(8))?;
        match size {
            Some(size) => self.skip(count * size, "an array of the metadata"),
            None => {
                for _ in 0..count {
                    match kind {
                        8 => {
                            let length = self.u64()?;
                            self.skip(length, "a text of the metadata")?;
                        }
                        _ => drop(self.value(kind, depth + 1)?),
                    }
                }
                Ok(())
            }
        }
    }

    fn header(&mut self) -> Result<Header, ModelError> {
        let name = self.text("the name of a tensor")?;
        let name =
            name.ok_or_else(|| self.source.damaged("the name of a tensor is longer than 256 bytes"))?;
        let n_sides = self.u32()?;
        if n_sides > MOST_SIDES {
            return Err(self.source.too_much(
                format!("the number of sides of `{name}`"),
                n_sides.into(),
                MOST_SIDES.into(),
            ));
        }
        let sides = (0..n_sides).map(|_| self.u64()).collect::<Result<_, _>>()?;
        Ok(Header { name, sides, kind: self.u32()?, offset: self.u64()? })
    }
}
