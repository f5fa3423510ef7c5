//! safetensors: a length (u64), a JSON header with type, shape and place of each tensor, the numbers. Inputs and targets
//! are found by name.
//!
//! Source: the format of the `safetensors` crate, which validates the header here.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::array::{Array, Element, Layout, Source};
use super::assemble::{assemble, choose};
use super::error::{At, DataError};
use super::options::Options;
use super::set::Dataset;

/// Longest header read, the format's own limit.
const LONGEST_HEADER: u64 = 100_000_000;

/// Reads inputs and, if there are any, targets; `options.label` names the tensor with the targets.
pub fn read(mut file: impl Read + Seek, path: &Path, options: &Options) -> Result<Dataset, DataError> {
    let failed = |source| DataError::Io { path: path.into(), source };
    let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let (metadata, start) = header(&mut file, length, path)?;
    let names = metadata.offset_keys();
    let (inputs, targets) = choose(path, &names, options.label.as_deref())?;
    let source = match targets {
        Some(targets) => format!("{}, tensors `{}` and `{}`", path.display(), names[inputs], names[targets]),
        None => format!("{}, tensor `{}`, no targets", path.display(), names[inputs]),
    };
    let mut tensor = |chosen: usize| {
        let name = &names[chosen];
        let info = metadata.info(name).expect("the name comes from this header");
        array(&mut file, start, name, info, path, options)
    };
    let inputs = tensor(inputs)?;
    let targets = targets.map(tensor).transpose()?;
    assemble(path, inputs, targets, options, source)
}

/// Opens a file.
pub(super) fn open(path: &Path, options: &Options) -> Result<Dataset, DataError> {
    let file = File::open(path).map_err(|source| DataError::Io { path: path.into(), source })?;
    read(std::io::BufReader::new(file), path, options)
}

/// The header, and the byte at which the numbers start.
fn header(file: &mut (impl Read + Seek), length: u64, path: &Path) -> Result<(Metadata, u64), DataError> {
    if length == 0 {
        return Err(DataError::Empty { path: path.into() });
    }
    let truncated =
        |needed, present| DataError::Truncated { path: path.into(), at: At::Whole, needed, present };
    let failed = |source| DataError::Io { path: path.into(), source };
    if length < 8 {
        return Err(truncated(8, length));
    }
    let mut size = [0; 8];
    file.read_exact(&mut size).map_err(failed)?;
    let found = size.to_vec();
    let size = u64::from_le_bytes(size);
    if size > LONGEST_HEADER {
        return Err(DataError::Magic { path: path.into(), at: At::Whole, format: "safetensors file", found });
    }
    if size > length - 8 {
        return Err(truncated(size, length - 8));
    }
    let mut text = vec![0; size as usize];
    file.read_exact(&mut text).map_err(failed)?;
    let metadata: Metadata = serde_json::from_slice(&text)
        .map_err(|source| DataError::TensorHeader { path: path.into(), source })?;
    let (needed, present) = (metadata.data_len() as u64, length - 8 - size);
    match needed.cmp(&present) {
        std::cmp::Ordering::Greater => Err(truncated(needed, present)),
        std::cmp::Ordering::Less => Err(DataError::Excess { path: path.into(), at: At::Whole, needed }),
        std::cmp::Ordering::Equal => Ok((metadata, 8 + size)),
    }
}

fn array(
    file: &mut (impl Read + Seek),
    start: u64,
    name: &str,
    info: &TensorInfo,
    path: &Path,
    options: &Options,
) -> Result<Array, DataError> {
    let element = element(info.dtype).ok_or_else(|| DataError::ElementType {
        path: path.into(),
        at: At::Array(name.to_string()),
        found: info.dtype.to_string(),
    })?;
    let (first, last) = info.data_offsets;
    file.seek(SeekFrom::Start(start + first as u64))
        .map_err(|source| DataError::Io { path: path.into(), source })?;
    let bound = (last - first) as u64;
    let reader = Box::new(file.take(bound));
    let mut source = Source { reader, path: path.into(), bound, limit: options.limit_bytes };
    let dimensions = info.shape.iter().map(|&side| side as u64).collect();
    let layout = Layout { name: name.to_string(), element, is_big_endian: false, dimensions, fortran: false };
    let array = source.array(&layout)?;
    source.finish(&layout)?;
    Ok(array)
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::BOOL => Element::Bool,
        Dtype::U8 => Element::U8,
        Dtype::I8 => Element::I8,
        Dtype::U16 => Element::U16,
        Dtype::I16 => Element::I16,
        Dtype::U32 => Element::U32,
        Dtype::I32 => Element::I32,
        Dtype::U64 => Element::U64,
        Dtype::I64 => Element::I64,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        _ => return None,
    })
}
