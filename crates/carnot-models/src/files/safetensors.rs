//! safetensors: a length (u64), a JSON header with type, shape and place of each tensor, the numbers.
//!
//! Source: the format of the `safetensors` crate, which validates the header here: places follow each other without gap or overlap, and
//! fit the shapes.

use safetensors::tensor::{Dtype, Metadata};

use super::source::Source;
use crate::checkpoint::{Place, Tensor};
use crate::element::Element;
use crate::error::ModelError;

/// Longest header read, the format's own limit.
const LONGEST_HEADER: u64 = 100_000_000;

/// The tensors of one file, which is number `file` of its checkpoint.
///
/// # Errors
/// [`ModelError::Truncated`], [`ModelError::TooMuch`], [`ModelError::Damaged`]; [`ModelError::ElementType`] is left to the one who asks for
/// the numbers.
pub fn tensors(source: &Source, file: usize) -> Result<Vec<Tensor>, ModelError> {
    source.within("the length of the header", 0, 8)?;
    let mut size = [0; 8];
    source.fill(0, &mut size)?;
    let size = u64::from_le_bytes(size);
    if size > LONGEST_HEADER {
        return Err(source.too_much("the length of the header", size, LONGEST_HEADER));
    }
    source.within("the header", 8, size)?;
    let text = source.bytes(8, size)?;
    let metadata: Metadata = serde_json::from_slice(&text)
        .map_err(|error| source.damaged(format!("the header is not that of safetensors: {error}")))?;
    let (needed, present) = (metadata.data_len() as u64, source.length - 8 - size);
    if needed > present {
        return Err(ModelError::Truncated {
            path: source.path.clone(),
            what: "the tensors".into(),
            needed,
            present,
        });
    }
    if needed < present {
        return Err(source.damaged(format!("{} bytes follow the last tensor", present - needed)));
    }
    let mut tensors: Vec<Tensor> = Vec::new();
    for name in metadata.offset_keys() {
        let info = metadata.info(&name).expect("the name comes from this header");
        let (first, last) = info.data_offsets;
        let element = element(info.dtype).ok_or_else(|| info.dtype.to_string());
        let place = Place::plain(file, 8 + size + first as u64, (last - first) as u64);
        tensors.push(Tensor { name, shape: info.shape.clone(), element, place, strides: None });
    }
    Ok(tensors)
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::BOOL => Element::Bool,
        Dtype::U8 => Element::Unsigned(1),
        Dtype::I8 => Element::Signed(1),
        Dtype::U16 => Element::Unsigned(2),
        Dtype::I16 => Element::Signed(2),
        Dtype::U32 => Element::Unsigned(4),
        Dtype::I32 => Element::Signed(4),
        Dtype::U64 => Element::Unsigned(8),
        Dtype::I64 => Element::Signed(8),
        Dtype::F8_E4M3 => Element::F8E4M3,
        Dtype::F8_E5M2 => Element::F8E5M2,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        _ => return None,
    })
}
