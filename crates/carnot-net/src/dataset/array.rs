//! Numbers of any stored type, decoded as they stream in, with nothing allocated before the header's claims
//! have been held against the bytes that are there.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::error::{At, DataError};
use super::order::Order;

/// The most that deflate can expand: 258 bytes from two bits (RFC 1951).
pub(super) const DEFLATE_RATIO: u64 = 1032;

/// Bytes to read from, with a bound on how many there can be. Gzip is recognised by its first bytes and undone.
pub struct Source<'a> {
    pub(super) reader: Box<dyn Read + 'a>,
    pub(super) path: PathBuf,
    /// The most bytes that can still come.
    pub(super) bound: u64,
    pub(super) limit: u64,
}

impl<'a> Source<'a> {
    /// Bytes in memory; `name` stands for the path in errors, `limit` bounds what gzip may unpack to.
    pub fn bytes(bytes: &'a [u8], name: &str, limit: u64) -> Result<Source<'a>, DataError> {
        Source::detect(bytes, bytes.len() as u64, Path::new(name), limit)
    }

    /// A regular file.
    pub fn open(path: &Path, limit: u64) -> Result<Source<'static>, DataError> {
        let failed = |source| DataError::Io { path: path.to_path_buf(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(DataError::NotAFile { path: path.to_path_buf() });
        }
        Source::detect(file, metadata.len(), path, limit)
    }

    fn detect<'b>(
        mut raw: impl Read + 'b,
        length: u64,
        path: &Path,
        limit: u64,
    ) -> Result<Source<'b>, DataError> {
        let path = path.to_path_buf();
        let mut start = [0; 2];
        let found =
            fill(&mut raw, &mut start).map_err(|source| DataError::Io { path: path.clone(), source })?;
        if found == 0 {
            return Err(DataError::Empty { path });
        }
        let whole = std::io::Cursor::new(start).take(found as u64).chain(raw);
        if start == [0x1f, 0x8b] {
            let unpacked = MultiGzDecoder::new(std::io::BufReader::with_capacity(1 << 16, whole));
            let bound = length.saturating_mul(DEFLATE_RATIO).min(limit);
            return Ok(Source {
                reader: Box::new(Capped { inner: unpacked, left: limit }),
                path,
                bound,
                limit,
            });
        }
        Ok(Source { reader: Box::new(whole), path, bound: length, limit })
    }

    /// Reads exactly `buffer`, of which a failure says that `needed` bytes were announced.
    pub(super) fn header(
        &mut self,
        buffer: &mut [u8],
        format: &'static str,
        at: &At,
    ) -> Result<(), DataError> {
        let got = fill(&mut self.reader, buffer).map_err(|source| self.failed(source))?;
        self.bound = self.bound.saturating_sub(got as u64);
        if got < buffer.len() {
            let found = buffer[..got.min(8)].to_vec();
            return Err(DataError::Magic { path: self.path.clone(), at: at.clone(), format, found });
        }
        Ok(())
    }

    /// Decodes one array.
    ///
    /// # Errors
    /// [`DataError::Overflow`], [`DataError::Truncated`] and [`DataError::TooLarge`] before anything is allocated;
    /// [`DataError::NotFinite`] with row and column.
    pub(super) fn array(&mut self, layout: &Layout) -> Result<Array, DataError> {
        let (count, bytes) = self.afford(layout)?;
        let mut values = Vec::new();
        if values.try_reserve_exact(count).is_err() {
            return Err(self.too_large(layout, count as u64 * 4));
        }
        let keeps = layout.element == Element::F64;
        let (mut exact, mut loses) = (Vec::new(), false);
        if exact.try_reserve_exact(if keeps { count } else { 0 }).is_err() {
            return Err(self.too_large(layout, count as u64 * 12));
        }
        let shape: Vec<usize> = layout.dimensions.iter().map(|&side| side as usize).collect();
        let width = shape.iter().skip(1).product::<usize>().max(1);
        let path = self.path.clone();
        let not_finite = |position: usize, value: f64| {
            let (row, column) = ((position / width) as u64 + 1, (position % width) as u64 + 1);
            let at = At::Element { array: layout.name.clone(), row, column };
            DataError::NotFinite { path: path.clone(), at, value }
        };
        if layout.fortran && shape.len() > 1 {
            values.resize(count, 0.0);
            exact.resize(if keeps { count } else { 0 }, 0.0);
            let mut order = Order::column_major(&shape);
            self.decode(layout, bytes, |value| {
                let position = order.advance();
                let x = value as f32;
                values[position] = x;
                if keeps {
                    exact[position] = value;
                    loses |= f64::from(x) != value;
                }
                if x.is_finite() { Ok(()) } else { Err(not_finite(position, value)) }
            })?;
        } else {
            self.decode(layout, bytes, |value| {
                let x = value as f32;
                values.push(x);
                if keeps {
                    exact.push(value);
                    loses |= f64::from(x) != value;
                }
                if x.is_finite() { Ok(()) } else { Err(not_finite(values.len() - 1, value)) }
            })?;
        }
        let exact = loses.then_some(exact);
        Ok(Array { name: layout.name.clone(), shape, values, exact, is_whole: layout.element.is_whole() })
    }

    /// That nothing follows the array; for gzip this also checks the sum at its end.
    pub(super) fn finish(&mut self, layout: &Layout) -> Result<(), DataError> {
        let extra = fill(&mut self.reader, &mut [0]).map_err(|source| self.failed(source))?;
        if extra == 0 {
            return Ok(());
        }
        let needed = layout.bytes().unwrap_or(u64::MAX);
        Err(DataError::Excess { path: self.path.clone(), at: layout.at(), needed })
    }

    /// Numbers and bytes of the array, if the file can hold them and memory may.
    fn afford(&self, layout: &Layout) -> Result<(usize, u64), DataError> {
        let path = self.path.clone();
        let Some(bytes) = layout.bytes() else {
            return Err(DataError::Overflow { path, at: layout.at(), dimensions: layout.dimensions.clone() });
        };
        if bytes > self.bound && self.bound < self.limit {
            return Err(DataError::Truncated { path, at: layout.at(), needed: bytes, present: self.bound });
        }
        let count = bytes / layout.element.size();
        let each = if layout.element == Element::F64 { 12 } else { 4 };
        let needed = count.saturating_mul(each).max(bytes);
        if needed > self.limit || usize::try_from(needed).is_err() {
            return Err(self.too_large(layout, needed));
        }
        Ok((count as usize, bytes))
    }

    fn decode(
        &mut self,
        layout: &Layout,
        bytes: u64,
        mut put: impl FnMut(f64) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let mut buffer = [0; 1 << 14];
        let mut done = 0;
        while done < bytes {
            let wanted = (bytes - done).min(buffer.len() as u64) as usize;
            let got = fill(&mut self.reader, &mut buffer[..wanted]).map_err(|source| self.failed(source))?;
            done += got as u64;
            if got < wanted {
                let (path, at) = (self.path.clone(), layout.at());
                return Err(DataError::Truncated { path, at, needed: bytes, present: done });
            }
            layout.element.decode(layout.is_big_endian, &buffer[..got], &mut put)?;
        }
        self.bound = self.bound.saturating_sub(bytes);
        Ok(())
    }

    pub(super) fn failed(&self, source: std::io::Error) -> DataError {
        let path = self.path.clone();
        match source.kind() {
            ErrorKind::FileTooLarge => {
                let needed = self.limit.saturating_add(1);
                DataError::TooLarge { path, at: At::Whole, needed, limit: self.limit }
            }
            ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof => {
                DataError::Compression { path, source }
            }
            _ => DataError::Io { path, source },
        }
    }

    fn too_large(&self, layout: &Layout, needed: u64) -> DataError {
        DataError::TooLarge { path: self.path.clone(), at: layout.at(), needed, limit: self.limit }
    }
}

/// Reads until the buffer is full or the end comes; returns how many bytes came.
pub(super) fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match reader.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

/// A reader that refuses to give more than a number of bytes: a small file must not unpack without end.
pub(super) struct Capped<R> {
    pub(super) inner: R,
    pub(super) left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.inner.read(buffer)?;
        match self.left.checked_sub(got as u64) {
            Some(left) => self.left = left,
            None => return Err(ErrorKind::FileTooLarge.into()),
        }
        Ok(got)
    }
}

/// How an array is stored.
pub(super) struct Layout {
    /// Name of the array, for errors.
    pub name: String,
    /// Type of its numbers.
    pub element: Element,
    /// Most significant byte first.
    pub is_big_endian: bool,
    /// Sides as the header claims them.
    pub dimensions: Vec<u64>,
    /// First index fastest.
    pub fortran: bool,
}

impl Layout {
    pub(super) fn bytes(&self) -> Option<u64> {
        // A zero side does not excuse an overflow in the others: the claim is absurd either way.
        let mut sides = self.dimensions.iter().map(|&side| side.max(1));
        let full = sides.try_fold(self.element.size(), |bytes, side| bytes.checked_mul(side))?;
        Some(if self.dimensions.contains(&0) { 0 } else { full })
    }

    pub(super) fn at(&self) -> At {
        if self.name.is_empty() { At::Whole } else { At::Array(self.name.clone()) }
    }
}

/// An array in memory.
pub(super) struct Array {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
    /// In double precision, where single precision loses digits.
    pub exact: Option<Vec<f64>>,
    /// Stored as integers.
    pub is_whole: bool,
}

/// Stored types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    Bf16,
    F32,
    F64,
}

impl Element {
    pub(super) fn size(self) -> u64 {
        match self {
            Element::Bool | Element::U8 | Element::I8 => 1,
            Element::U16 | Element::I16 | Element::F16 | Element::Bf16 => 2,
            Element::U32 | Element::I32 | Element::F32 => 4,
            Element::U64 | Element::I64 | Element::F64 => 8,
        }
    }

    fn is_whole(self) -> bool {
        !matches!(self, Element::F16 | Element::Bf16 | Element::F32 | Element::F64)
    }

    fn decode(
        self,
        is_big_endian: bool,
        bytes: &[u8],
        put: &mut impl FnMut(f64) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        macro_rules! each {
            ($type:ty, $convert:expr) => {{
                for chunk in bytes.chunks_exact(size_of::<$type>()) {
                    let chunk = chunk.try_into().expect("chunks_exact gives chunks of this size");
                    let value = if is_big_endian {
                        <$type>::from_be_bytes(chunk)
                    } else {
                        <$type>::from_le_bytes(chunk)
                    };
                    let convert: fn($type) -> f64 = $convert;
                    put(convert(value))?;
                }
            }};
        }
        match self {
            Element::Bool => each!(u8, |x| f64::from(x != 0)),
            Element::U8 => each!(u8, f64::from),
            Element::I8 => each!(i8, f64::from),
            Element::U16 => each!(u16, f64::from),
            Element::I16 => each!(i16, f64::from),
            Element::U32 => each!(u32, f64::from),
            Element::I32 => each!(i32, f64::from),
            Element::U64 => each!(u64, |x| x as f64),
            Element::I64 => each!(i64, |x| x as f64),
            Element::F16 => each!(u16, half),
            Element::Bf16 => each!(u16, |x| f64::from(f32::from_bits(u32::from(x) << 16))),
            Element::F32 => each!(f32, f64::from),
            Element::F64 => each!(f64, |x| x),
        }
        Ok(())
    }
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    match (exponent, fraction) {
        (0, _) => sign * fraction * 2_f64.powi(-24),
        (31, 0.0) => sign * f64::INFINITY,
        (31, _) => f64::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_has_its_landmarks() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2_f64.powi(-24)),
            (0x0400, 2_f64.powi(-14)),
            (0x3555, 0.333_251_953_125),
            (0x8000, 0.0),
        ] {
            assert_eq!(half(bits), value, "{bits:04x}");
        }
        assert_eq!(half(0xfc00), f64::NEG_INFINITY);
        assert!(half(0x7e00).is_nan());
    }
}
