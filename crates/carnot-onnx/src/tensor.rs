//! Constants of a model: shape, type, and numbers that are looked at where they lie.

use std::path::{Component, Path, PathBuf};

use crate::error::OnnxError;
use crate::wire::{Field, Fields};

/// Axes of a tensor at most.
const AXES: usize = 32;

/// A constant.
#[derive(Clone, Debug, Default)]
pub struct Tensor<'a> {
    /// Its name.
    pub name: String,
    /// Sizes of its axes; none is negative.
    pub shape: Vec<u64>,
    /// Type of its numbers, as ONNX counts them.
    pub element: i64,
    raw: &'a [u8],
    singles: Vec<f32>,
    /// Packed numbers of other types: their bytes, not unpacked.
    packed: usize,
    doubles: &'a [u8],
    wholes: Vec<i64>,
    texts: usize,
    external: Option<External>,
}

/// Where the numbers of a tensor lie, when not in the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct External {
    /// As the model names it.
    pub location: String,
    /// First byte.
    pub offset: u64,
    /// Bytes; `None` for all that follow.
    pub length: Option<u64>,
}

/// Most whole numbers that are unpacked: shapes and axes, not weights.
const WHOLES: usize = 1 << 16;

impl<'a> Tensor<'a> {
    /// Reads the message; its numbers stay where they are.
    ///
    /// # Errors
    /// [`OnnxError::Tensor`] when shape and numbers do not fit together; [`OnnxError::Truncated`].
    pub fn read(bytes: &'a [u8]) -> Result<Tensor<'a>, OnnxError> {
        let (mut tensor, mut shape, mut is_external) = (Tensor::default(), Vec::new(), false);
        let mut external = External::default();
        for field in Fields::of(bytes, "a tensor") {
            match field? {
                (1, field) => field.push_signed(&mut shape)?,
                (2, field) => tensor.element = field.signed(),
                (4, field) => field.push_single(&mut tensor.singles),
                (5 | 7 | 11, field) => {
                    tensor.packed += field.bytes().len().max(1);
                    if field.bytes().len() <= WHOLES {
                        field.push_signed(&mut tensor.wholes)?;
                    }
                }
                (6, _) => tensor.texts += 1,
                (8, field) => tensor.name = field.text(),
                (9, field) => tensor.raw = field.bytes(),
                (10, Field::Bytes(bytes)) => tensor.doubles = bytes,
                (13, field) => entry(field.bytes(), &mut external)?,
                (14, field) => is_external = field.signed() == 1,
                _ => {}
            }
        }
        tensor.external = is_external.then_some(external);
        tensor.take_shape(&shape)?;
        Ok(tensor)
    }

    fn wrong(&self, why: String) -> OnnxError {
        OnnxError::Tensor { tensor: self.name.clone(), why }
    }

    fn take_shape(&mut self, shape: &[i64]) -> Result<(), OnnxError> {
        if shape.len() > AXES {
            return Err(self.wrong(format!("has {} axes, at most {AXES} are read", shape.len())));
        }
        let sizes: Option<Vec<u64>> = shape.iter().map(|&size| u64::try_from(size).ok()).collect();
        let sizes = sizes.ok_or_else(|| self.wrong(format!("has the shape {shape:?}")))?;
        let count = sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
        let bytes = count.and_then(|count| count.checked_mul(self.size().unwrap_or(1)));
        let Some((count, bytes)) = count.zip(bytes).filter(|(_, bytes)| *bytes <= i64::MAX as u64) else {
            return Err(self.wrong(format!("has the shape {shape:?}: more numbers than can be counted")));
        };
        self.shape = sizes;
        let held = self.held();
        let fits = match (&self.external, self.raw.is_empty()) {
            (Some(_), true) => self.size().is_some(),
            (_, false) => self.size().is_none() || self.raw.len() as u64 == bytes,
            (None, true) => held.contains(count),
        };
        if !fits {
            let found = if self.raw.is_empty() { held.words() } else { format!("{} bytes", self.raw.len()) };
            return Err(self.wrong(format!("has the shape {shape:?}, and the file holds {found} of it")));
        }
        Ok(())
    }

    /// How many numbers are held in typed fields.
    fn held(&self) -> Held {
        let whole = self.singles.len() + self.texts + self.doubles.len() / 8;
        if self.packed > 0 { Held::Packed(self.packed as u64) } else { Held::Exactly(whole as u64) }
    }

    /// Bytes of one number; `None` for text and types that are packed closer.
    fn size(&self) -> Option<u64> {
        Some(match self.element {
            2 | 3 | 9 => 1,
            4 | 5 | 10 | 16 => 2,
            1 | 6 | 12 => 4,
            7 | 11 | 13 | 14 => 8,
            15 => 16,
            _ => return None,
        })
    }

    /// Numbers in it.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Bytes of all of them; `None` for text and types that are packed closer.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        Some(self.count() * self.size()?)
    }

    /// Is it of real numbers?
    #[must_use]
    pub fn is_real(&self) -> bool {
        matches!(self.element, 1 | 10 | 11 | 16)
    }

    /// Where its numbers lie, when not in the model.
    #[must_use]
    pub fn external(&self) -> Option<&External> {
        self.external.as_ref().filter(|_| self.raw.is_empty())
    }

    /// All real numbers in it, one after the other; `None` where they are not here or are of another type.
    #[must_use]
    pub fn reals(&self) -> Option<Box<dyn Iterator<Item = f64> + '_>> {
        if self.external().is_some() {
            return None;
        }
        reals(self.element, self.raw).or_else(|| match self.element {
            1 if self.raw.is_empty() => Some(Box::new(self.singles.iter().map(|&x| f64::from(x))) as Box<_>),
            11 if self.raw.is_empty() => reals(11, self.doubles),
            _ => None,
        })
    }

    /// Whole numbers, where they are few and here.
    #[must_use]
    pub fn wholes(&self) -> Option<Vec<i64>> {
        if self.external().is_some() || self.raw.len() > WHOLES {
            return None;
        }
        match (self.element, self.raw.is_empty()) {
            (7, false) => Some(
                self.raw.chunks_exact(8).map(|x| i64::from_le_bytes(x.try_into().expect("eight"))).collect(),
            ),
            (6, false) => Some(
                self.raw
                    .chunks_exact(4)
                    .map(|x| i64::from(i32::from_le_bytes(x.try_into().expect("four"))))
                    .collect(),
            ),
            (6 | 7, true) => Some(self.wholes.clone()),
            _ => None,
        }
    }

    /// The bytes of its numbers, where they are here; empty otherwise.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

/// What typed fields hold.
enum Held {
    Exactly(u64),
    /// So many bytes of numbers of variable length: one to ten bytes each.
    Packed(u64),
}

impl Held {
    fn contains(&self, count: u64) -> bool {
        match self {
            Held::Exactly(held) => *held == count,
            Held::Packed(bytes) => (bytes.div_ceil(10)..=*bytes).contains(&count),
        }
    }

    fn words(&self) -> String {
        match self {
            Held::Exactly(0) => "nothing".into(),
            Held::Exactly(count) => format!("{count} numbers"),
            Held::Packed(bytes) => format!("{bytes} bytes"),
        }
    }
}

/// Real numbers of a type in their bytes.
#[must_use]
pub fn reals(element: i64, raw: &[u8]) -> Option<Box<dyn Iterator<Item = f64> + '_>> {
    if raw.is_empty() {
        return None;
    }
    Some(match element {
        1 => {
            Box::new(raw.chunks_exact(4).map(|x| f64::from(f32::from_le_bytes(x.try_into().expect("four")))))
        }
        11 => Box::new(raw.chunks_exact(8).map(|x| f64::from_le_bytes(x.try_into().expect("eight")))),
        10 => Box::new(raw.chunks_exact(2).map(|x| half(u16::from_le_bytes(x.try_into().expect("two"))))),
        16 => Box::new(raw.chunks_exact(2).map(|x| {
            let bits = u32::from(u16::from_le_bytes(x.try_into().expect("two"))) << 16;
            f64::from(f32::from_bits(bits))
        })),
        _ => return None,
    })
}

/// A number of half precision.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

fn entry(bytes: &[u8], external: &mut External) -> Result<(), OnnxError> {
    let (mut key, mut value) = (String::new(), String::new());
    for field in Fields::of(bytes, "an entry of external data") {
        match field? {
            (1, field) => key = field.text(),
            (2, field) => value = field.text(),
            _ => {}
        }
    }
    let number = || {
        let what = format!("the {key} of external data is `{value}`");
        value.parse::<u64>().map_err(|_| OnnxError::Damaged { what })
    };
    match key.as_str() {
        "offset" => external.offset = number()?,
        "length" => external.length = Some(number()?),
        "location" => external.location = value,
        _ => {}
    }
    Ok(())
}

impl External {
    /// The file, which must lie in the folder of the model.
    ///
    /// # Errors
    /// [`OnnxError::External`] for a path that leaves the folder, by name or by a link, and for a file that is not there.
    pub fn path(&self, tensor: &str, folder: &Path) -> Result<PathBuf, OnnxError> {
        let wrong = |why: &str| OnnxError::External {
            tensor: tensor.into(),
            location: self.location.clone(),
            why: why.into(),
        };
        let location = Path::new(&self.location);
        let is_inside = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
        if self.location.is_empty() || !location.components().all(is_inside) {
            return Err(wrong("which is not inside the folder of the model"));
        }
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let home = folder.canonicalize().map_err(|_| wrong("whose folder cannot be read"))?;
        let path = home.join(location).canonicalize().map_err(|_| wrong("which is not there"))?;
        if !path.starts_with(&home) {
            return Err(wrong("a link that leaves the folder of the model"));
        }
        Ok(path)
    }
}
