//! From the values of a pickle to tensors with names and places.

use std::collections::HashMap;

use super::pickle::{Id, Value, Walked};
use crate::checkpoint::{Place, Tensor};
use crate::element::Element;
use crate::error::ModelError;
use crate::files::source::Source;

/// Where the bytes of a storage lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub offset: u64,
    pub bytes: u64,
}

/// Deepest nesting of dictionaries that is followed.
const DEEPEST: usize = 16;

/// Most values that are looked at: dictionaries may hold each other, and a few of them can unfold to more than any model has.
const MOST: usize = 1 << 20;

/// Every tensor that the pickle's dictionaries and lists hold; keys become a path with points.
pub(super) fn tensors(
    source: &Source,
    walked: &Walked,
    storages: &HashMap<String, Kept>,
) -> Result<Vec<Tensor>, ModelError> {
    let mut state = State { source, walked, storages, found: Vec::new(), seen: 0 };
    state.visit(walked.root, "", 0)?;
    Ok(state.found)
}

struct State<'a> {
    source: &'a Source,
    walked: &'a Walked,
    storages: &'a HashMap<String, Kept>,
    found: Vec<Tensor>,
    seen: usize,
}

impl State<'_> {
    fn visit(&mut self, id: Id, path: &str, depth: usize) -> Result<(), ModelError> {
        self.seen += 1;
        if depth > DEEPEST || self.seen > MOST {
            let what = format!("the pickle unfolds to more than {MOST} values or {DEEPEST} levels");
            return Err(self.source.damaged(what));
        }
        let walked = self.walked;
        match walked.value(id) {
            Value::Dictionary(pairs) => {
                for (key, value) in pairs {
                    let key = match walked.value(*key) {
                        Value::Text(text) if text.len() <= 1000 => text.clone(),
                        Value::Integer(number) => number.to_string(),
                        _ => continue,
                    };
                    self.visit(*value, &join(path, &key), depth + 1)?;
                }
            }
            Value::Sequence(items) => {
                for (at, item) in items.iter().enumerate() {
                    // A list of numbers holds no tensors, and may be long.
                    if matches!(
                        walked.value(*item),
                        Value::Dictionary(_) | Value::Sequence(_) | Value::Tensor { .. }
                    ) {
                        self.visit(*item, &join(path, &at.to_string()), depth + 1)?;
                    }
                }
            }
            Value::Tensor { storage, offset, sides, strides } => {
                let tensor = self.tensor(path, [*storage, *offset, *sides, *strides])?;
                self.found.push(tensor);
            }
            _ => {}
        }
        Ok(())
    }

    fn tensor(&self, name: &str, [storage, offset, sides, strides]: [Id; 4]) -> Result<Tensor, ModelError> {
        let wrong = |what: &str| self.source.damaged(format!("`{name}` {what}"));
        let Value::Storage(kind, key, count) = self.walked.value(storage) else {
            return Err(wrong("is not made from a storage"));
        };
        let kept = self.storages.get(key).ok_or_else(|| wrong("points at a storage that is not there"))?;
        let offset = self.whole(offset).ok_or_else(|| wrong("has no offset"))?;
        let sides = self.wholes(sides).ok_or_else(|| wrong("has no shape"))?;
        let strides = self.wholes(strides).ok_or_else(|| wrong("has no strides"))?;
        let shape: Vec<usize> = sides.iter().map(|&side| side as usize).collect();
        let Some(element) = element(kind) else {
            let place = Place::plain(0, kept.offset, kept.bytes);
            return Ok(Tensor { name: name.into(), shape, element: Err(kind.clone()), place, strides: None });
        };
        let width = element.block().1 as u64;
        let held = kept.bytes / width;
        if *count > held {
            let what = format!("the storage of `{name}`");
            let needed = count.saturating_mul(width);
            return Err(ModelError::Truncated {
                path: self.source.path.clone(),
                what,
                needed,
                present: kept.bytes,
            });
        }
        if strides.len() != sides.len() {
            return Err(wrong("has another number of strides than of sides"));
        }
        let numbers = sides.iter().try_fold(1u64, |numbers, &side| numbers.checked_mul(side));
        let numbers = numbers.filter(|&numbers| numbers <= held);
        let numbers = numbers.ok_or_else(|| {
            wrong(&format!("of shape {sides:?} has more numbers than its storage of {held}"))
        })?;
        let place = |first: u64, length: u64| Place::plain(0, kept.offset + first * width, length * width);
        if numbers == 0 {
            return Ok(Tensor {
                name: name.into(),
                shape,
                element: Ok(element),
                place: place(0, 0),
                strides: None,
            });
        }
        let reach = sides
            .iter()
            .zip(&strides)
            .try_fold(0u64, |reach, (side, stride)| reach.checked_add((side - 1).checked_mul(*stride)?));
        let reach = reach.filter(|reach| offset.checked_add(*reach).is_some_and(|last| last < held));
        let reach = reach.ok_or_else(|| wrong("reaches beyond the end of its storage"))?;
        let in_order = sides.iter().rev().scan(1, |step, side| Some(std::mem::replace(step, *step * side)));
        let mut both = in_order.zip(strides.iter().rev()).zip(sides.iter().rev());
        let is_in_order = both.all(|((step, stride), side)| step == *stride || *side == 1);
        let strides = (!is_in_order).then(|| strides.iter().map(|&stride| stride as usize).collect());
        Ok(Tensor {
            name: name.into(),
            shape,
            element: Ok(element),
            place: place(offset, reach + 1),
            strides,
        })
    }

    fn whole(&self, id: Id) -> Option<u64> {
        match self.walked.value(id) {
            Value::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    fn wholes(&self, id: Id) -> Option<Vec<u64>> {
        match self.walked.value(id) {
            // Chosen: PyTorch allows 64.
            Value::Sequence(items) if items.len() <= 64 => {
                items.iter().map(|&item| self.whole(item)).collect()
            }
            _ => None,
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.into() } else { format!("{path}.{key}") }
}

/// The numbers of a type of storage.
pub(super) fn element(storage: &str) -> Option<Element> {
    Some(match storage {
        "FloatStorage" => Element::F32,
        "DoubleStorage" => Element::F64,
        "HalfStorage" => Element::F16,
        "BFloat16Storage" => Element::Bf16,
        "LongStorage" => Element::Signed(8),
        "IntStorage" => Element::Signed(4),
        "ShortStorage" => Element::Signed(2),
        "CharStorage" => Element::Signed(1),
        "ByteStorage" => Element::Unsigned(1),
        "BoolStorage" => Element::Bool,
        "Float8_e4m3fnStorage" => Element::F8E4M3,
        "Float8_e5m2Storage" => Element::F8E5M2,
        _ => return None,
    })
}
