//! Batches as NumPy writes them: NPZ by the names of inputs, or one NPY. Arrays that are stored as they are stay in the file
//! and are read a chunk at a time, so that memory does not grow with the number of inputs.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::batch::{Array, Batch, Numbers};
use crate::error::OnnxError;

/// Longest header of an array.
const HEADER: usize = 1 << 16;
/// Arrays of a batch at most.
const ARRAYS: usize = 1000;
/// Names of the array that holds labels.
const LABELS: &[&str] = &["labels", "label", "y", "targets"];

/// Numbers as they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Float(u8),
    Signed(u8),
    Unsigned(u8),
    Truth,
}

impl Element {
    fn of(descr: &str) -> Option<Element> {
        let (order, kind) = descr.split_at_checked(1)?;
        let size = kind.get(1..)?.parse().ok()?;
        let is_little = matches!(order, "<" | "|" | "=");
        match (kind.as_bytes().first()?, size) {
            (b'f', 2 | 4 | 8) if is_little => Some(Element::Float(size)),
            (b'i', 1 | 2 | 4 | 8) if is_little => Some(Element::Signed(size)),
            (b'u', 1 | 2 | 4 | 8) if is_little => Some(Element::Unsigned(size)),
            (b'b', 1) => Some(Element::Truth),
            _ => None,
        }
    }

    fn size(self) -> usize {
        match self {
            Element::Float(size) | Element::Signed(size) | Element::Unsigned(size) => usize::from(size),
            Element::Truth => 1,
        }
    }

    fn numbers(self, bytes: &[u8]) -> Numbers {
        let wide = |chunk: &[u8]| {
            let mut wide = [0u8; 8];
            wide[..chunk.len()].copy_from_slice(chunk);
            wide
        };
        let each = bytes.chunks_exact(self.size());
        match self {
            Element::Float(4) => Numbers::Real(
                each.map(|four| f32::from_le_bytes(four.try_into().expect("four bytes"))).collect(),
            ),
            Element::Float(8) => {
                Numbers::Real(each.map(|eight| f64::from_le_bytes(wide(eight)) as f32).collect())
            }
            Element::Float(_) => {
                let values = crate::tensor::reals(10, bytes).into_iter().flatten();
                Numbers::Real(values.map(|x| x as f32).collect())
            }
            Element::Signed(size) => {
                let shift = 64 - 8 * u32::from(size);
                Numbers::Whole(each.map(|chunk| i64::from_le_bytes(wide(chunk)) << shift >> shift).collect())
            }
            Element::Unsigned(_) | Element::Truth => {
                Numbers::Whole(each.map(|chunk| i64::from_le_bytes(wide(chunk))).collect())
            }
        }
    }
}

/// Where numbers lie: in a file, or unpacked in memory.
trait Place: Read + Seek + Send {}
impl<T: Read + Seek + Send> Place for T {}

/// An array that is read where it lies.
#[derive(Clone)]
pub struct Stored {
    place: Arc<Mutex<Box<dyn Place>>>,
    offset: u64,
    element: Element,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?} from byte {} on", self.element, self.offset)
    }
}

impl PartialEq for Stored {
    fn eq(&self, other: &Stored) -> bool {
        Arc::ptr_eq(&self.place, &other.place) && self.offset == other.offset
    }
}

impl Stored {
    /// Are they real numbers?
    #[must_use]
    pub fn is_real(&self) -> bool {
        matches!(self.element, Element::Float(_))
    }

    /// So many numbers from `first` on.
    ///
    /// # Errors
    /// [`OnnxError::Batch`] when the file has changed since it was opened.
    pub fn numbers(&self, first: usize, count: usize) -> Result<Numbers, OnnxError> {
        let size = self.element.size();
        let mut bytes = vec![0; count * size];
        let mut place = self.place.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let start = SeekFrom::Start(self.offset + (first * size) as u64);
        let read = place.seek(start).and_then(|_| place.read_exact(&mut bytes));
        read.map_err(|error| OnnxError::Batch { why: format!("the batch cannot be read: {error}") })?;
        Ok(self.element.numbers(&bytes))
    }
}

/// Opens a batch. `memory` bounds what a packed array may unpack to.
///
/// # Errors
/// [`OnnxError::File`], [`OnnxError::Batch`].
pub fn open(path: &Path, memory: u64) -> Result<Batch, OnnxError> {
    let failed = |source| OnnxError::File { path: path.into(), source };
    let about = std::fs::metadata(path).map_err(failed)?;
    if !about.is_file() {
        return Err(OnnxError::Batch { why: format!("{} is no regular file", path.display()) });
    }
    let mut file = File::open(path).map_err(failed)?;
    let mut start = [0u8; 4];
    let found = file.read(&mut start).map_err(failed)?;
    match &start[..found] {
        b"PK\x03\x04" => archive(path, memory),
        b"\x93NUM" => {
            let (stored, shape) = array(Box::new(file), 0, about.len(), "the array")?;
            Ok(Batch { arrays: vec![Array::stored("array", shape, stored)], labels: None })
        }
        _ => Err(OnnxError::Batch { why: format!("{} is neither NPZ nor NPY", path.display()) }),
    }
}

fn archive(path: &Path, memory: u64) -> Result<Batch, OnnxError> {
    let failed = |source| OnnxError::File { path: path.into(), source };
    let broken = |error: zip::result::ZipError| OnnxError::Batch {
        why: format!("{} is no whole archive: {error}", path.display()),
    };
    let mut archive = zip::ZipArchive::new(File::open(path).map_err(failed)?).map_err(broken)?;
    if archive.len() > ARRAYS {
        return Err(OnnxError::Batch { why: format!("{} arrays, at most {ARRAYS} are read", archive.len()) });
    }
    let mut batch = Batch::default();
    let mut left = memory;
    for at in 0..archive.len() {
        let member = archive.by_index(at).map_err(broken)?;
        let name = member.name().map_err(broken)?.into_owned();
        let name = name.strip_suffix(".npy").unwrap_or(&name).to_string();
        let length = member.size();
        let (stored, shape) = if member.compression() == zip::CompressionMethod::Stored {
            let offset = member.data_start().ok_or_else(|| OnnxError::Batch {
                why: format!("`{name}` has no place in {}", path.display()),
            })?;
            drop(member);
            array(Box::new(File::open(path).map_err(failed)?), offset, length, &name)?
        } else {
            if length > left {
                let what = format!("`{name}` unpacked");
                return Err(OnnxError::TooLarge { what, needed: length, available: left });
            }
            left -= length;
            let mut bytes = Vec::new();
            member.take(length).read_to_end(&mut bytes).map_err(failed)?;
            let length = bytes.len() as u64;
            array(Box::new(Cursor::new(bytes)), 0, length, &name)?
        };
        if LABELS.contains(&name.as_str()) {
            batch.labels = Some(labels(&stored, &shape, &name)?);
        } else {
            batch.arrays.push(Array::stored(&name, shape, stored));
        }
    }
    if batch.arrays.is_empty() {
        return Err(OnnxError::Batch { why: format!("{} holds no array of inputs", path.display()) });
    }
    Ok(batch)
}

fn labels(stored: &Stored, shape: &[usize], name: &str) -> Result<Vec<u32>, OnnxError> {
    let wrong = |why: &str| OnnxError::Batch { why: format!("`{name}` {why}") };
    let [samples] = shape else { return Err(wrong("is not one number a sample")) };
    let Numbers::Whole(values) = stored.numbers(0, *samples)? else {
        return Err(wrong("is of real numbers, and classes are whole"));
    };
    let classes: Option<Vec<u32>> = values.into_iter().map(|label| u32::try_from(label).ok()).collect();
    classes.ok_or_else(|| wrong("holds numbers that are no classes: classes count from 0"))
}

/// One array from `start` on, within `length` bytes.
fn array(
    mut place: Box<dyn Place>,
    start: u64,
    length: u64,
    name: &str,
) -> Result<(Stored, Vec<usize>), OnnxError> {
    let wrong = |why: &str| OnnxError::Batch { why: format!("`{name}` {why}") };
    let cut = |_| OnnxError::Batch { why: format!("`{name}` is cut") };
    place.seek(SeekFrom::Start(start)).map_err(cut)?;
    let mut head = [0u8; 12];
    place.read_exact(&mut head).map_err(cut)?;
    if &head[..6] != b"\x93NUMPY" {
        return Err(wrong("is no array"));
    }
    let (size, text_at) = match head[6] {
        1 => (usize::from(u16::from_le_bytes([head[8], head[9]])), 10),
        _ => (u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize, 12),
    };
    if size > HEADER {
        return Err(wrong("has a header of no sensible length"));
    }
    let mut text = vec![0; size];
    place.seek(SeekFrom::Start(start + text_at)).map_err(cut)?;
    place.read_exact(&mut text).map_err(cut)?;
    let text = String::from_utf8_lossy(&text);
    let descr = between(&text, "'descr':", ',').map(|word| word.trim().trim_matches('\'').to_string());
    let element = descr.as_deref().and_then(Element::of).ok_or_else(|| {
        wrong(&format!("is of {}, and numbers are needed", descr.unwrap_or_else(|| "no type".into())))
    })?;
    let shape = between(&text, "'shape':", ')').and_then(|sizes| shape(&sizes));
    let shape = shape.ok_or_else(|| wrong("has no shape that can be read"))?;
    let is_turned = text.contains("'fortran_order': True") && shape.len() > 1;
    if is_turned {
        return Err(wrong("is stored by columns: numpy.ascontiguousarray stores it by rows"));
    }
    let count = shape.iter().try_fold(1u64, |product, &side| product.checked_mul(side as u64));
    let needed = count.and_then(|count| count.checked_mul(element.size() as u64));
    let held = length.saturating_sub(text_at + size as u64);
    if needed.is_none_or(|needed| needed > held) {
        return Err(wrong(&format!("has the shape {shape:?}, and {held} bytes are there")));
    }
    let offset = start + text_at + size as u64;
    Ok((Stored { place: Arc::new(Mutex::new(place)), offset, element }, shape))
}

fn between(text: &str, key: &str, end: char) -> Option<String> {
    let start = text.find(key)? + key.len();
    let rest = &text[start..];
    Some(rest[..rest.find(end)?].to_string())
}

fn shape(sizes: &str) -> Option<Vec<usize>> {
    let inner = sizes.trim().strip_prefix('(')?;
    let parts = inner.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().ok()).collect()
}
