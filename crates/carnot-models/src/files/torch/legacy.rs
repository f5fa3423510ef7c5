//! The format of PyTorch before 1.6: a magic number, a protocol, facts of the system, the object and the list of its storages, each a pickle;
//! then each storage as a count (i64) and its numbers.

use std::collections::HashMap;

use super::pickle::{Value, Walked, walk};
use super::state::{self, Kept, element};
use crate::checkpoint::Tensor;
use crate::error::ModelError;
use crate::files::source::Source;

/// Most bytes of pickles that are read: names and shapes, about 200 bytes a tensor.
const LONGEST: u64 = 1 << 26;

/// The tensors of a file.
///
/// # Errors
/// [`ModelError::Code`] for a pickle that wants something called, [`ModelError::Damaged`], [`ModelError::Truncated`].
pub fn tensors(source: &Source) -> Result<Vec<Tensor>, ModelError> {
    let bytes = source.bytes(0, source.length.min(LONGEST))?;
    let mut at = 0;
    let mut next = || -> Result<Walked, ModelError> {
        let (walked, length) = walk(&bytes[at..]).map_err(|fault| fault.of(source))?;
        at += length;
        Ok(walked)
    };
    // Magic number, protocol and system: walked, since code may stand there too.
    let magic = next()?;
    if !matches!(magic.value(magic.root), Value::Other) {
        return Err(source.damaged("the pickle does not begin with PyTorch's magic number"));
    }
    next()?;
    next()?;
    let object = next()?;
    let keys = next()?;
    let storages = storages(source, &object, &keys, at as u64)?;
    state::tensors(source, &object, &storages)
}

/// Where each storage lies, in the order of the list of keys.
fn storages(
    source: &Source,
    object: &Walked,
    keys: &Walked,
    start: u64,
) -> Result<HashMap<String, Kept>, ModelError> {
    let mut widths: HashMap<&str, u64> = HashMap::new();
    for value in object.values() {
        if let Value::Storage(kind, key, _) = value {
            let width = element(kind).map(|element| element.block().1 as u64);
            let width = width.ok_or_else(|| {
                source.damaged(format!("a storage is of type {kind}, whose size is not known"))
            })?;
            widths.insert(key, width);
        }
    }
    let Value::Sequence(order) = keys.value(keys.root) else {
        return Err(source.damaged("the list of storages is no list"));
    };
    let (mut found, mut at) = (HashMap::new(), start);
    for &key in order {
        let Value::Text(key) = keys.value(key) else {
            return Err(source.damaged("the key of a storage is no text"));
        };
        let mut count = [0; 8];
        source.fill(at, &mut count)?;
        at += 8;
        let Some(width) = widths.get(key.as_str()) else {
            return Err(
                source.damaged(format!("the storage {key} belongs to no tensor, so its length is not known"))
            );
        };
        let bytes = u64::try_from(i64::from_le_bytes(count)).ok().and_then(|count| count.checked_mul(*width));
        let bytes = bytes.ok_or_else(|| {
            source.damaged(format!("the storage {key} has a length that cannot be counted"))
        })?;
        source.within(&format!("the storage {key}"), at, bytes)?;
        found.insert(key.clone(), Kept { offset: at, bytes });
        at += bytes;
    }
    Ok(found)
}
