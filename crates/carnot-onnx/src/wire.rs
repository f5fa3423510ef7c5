//! Protocol buffers as they lie in the file: fields, one at a time, nothing copied.

use crate::error::OnnxError;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field<'a> {
    /// A number of variable length.
    Number(u64),
    /// Eight bytes.
    Eight([u8; 8]),
    /// Four bytes.
    Four([u8; 4]),
    /// Text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
}

/// The fields of one message.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    /// * `what`: the message, for errors: `a node`
    #[must_use]
    pub fn of(bytes: &'a [u8], what: &'static str) -> Fields<'a> {
        Fields { rest: bytes, what }
    }

    fn number(&mut self) -> Result<u64, OnnxError> {
        let mut value = 0u64;
        for at in 0..10 {
            let Some((&byte, rest)) = self.rest.split_first() else { return Err(self.cut()) };
            self.rest = rest;
            value |= u64::from(byte & 127) << (7 * at);
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(OnnxError::Damaged { what: format!("a number in {} has no end", self.what) })
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], OnnxError> {
        let found = self.rest.len() as u64;
        if length > found {
            return Err(OnnxError::Truncated { what: self.what, needed: length, found });
        }
        let (taken, rest) = self.rest.split_at(length as usize);
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], OnnxError> {
        Ok(self.take(N as u64)?.try_into().expect("so many were taken"))
    }

    fn cut(&self) -> OnnxError {
        OnnxError::Truncated { what: self.what, needed: 1, found: 0 }
    }

    fn field(&mut self) -> Result<(u32, Field<'a>), OnnxError> {
        let tag = self.number()?;
        let field = match tag & 7 {
            0 => Field::Number(self.number()?),
            1 => Field::Eight(self.array()?),
            2 => {
                let length = self.number()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Four(self.array()?),
            other => {
                let what = format!("{} has a field of kind {other}, which ONNX does not use", self.what);
                return Err(OnnxError::Damaged { what });
            }
        };
        u32::try_from(tag >> 3)
            .ok()
            .filter(|&id| id > 0)
            .map(|id| (id, field))
            .ok_or_else(|| OnnxError::Damaged { what: format!("{} has a field without a number", self.what) })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Field<'a>), OnnxError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Field<'a> {
    /// Bytes; none of another kind.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Field::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    /// Text; characters that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// A signed number; 0 of another kind.
    #[must_use]
    pub fn signed(self) -> i64 {
        match self {
            Field::Number(value) => value as i64,
            _ => 0,
        }
    }

    /// Appends a number, or packed ones.
    ///
    /// # Errors
    /// [`OnnxError::Truncated`] in the middle of a number.
    pub fn push_signed(self, to: &mut Vec<i64>) -> Result<(), OnnxError> {
        match self {
            Field::Bytes(bytes) => {
                let mut packed = Fields::of(bytes, "a list of numbers");
                while !packed.rest.is_empty() {
                    to.push(packed.number()? as i64);
                }
            }
            other => to.push(other.signed()),
        }
        Ok(())
    }

    /// Appends a single precision number, or packed ones.
    pub fn push_single(self, to: &mut Vec<f32>) {
        match self {
            Field::Four(bytes) => to.push(f32::from_le_bytes(bytes)),
            Field::Bytes(bytes) => to.extend(
                bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four bytes"))),
            ),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(u32, Field<'_>)>, OnnxError> {
        Fields::of(bytes, "a test").collect()
    }

    #[test]
    fn fields_are_read_as_they_were_written() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 0x02, b'o', b'k', 0x1d, 0, 0, 0x80, 0x3f];
        let expect =
            [(1, Field::Number(150)), (2, Field::Bytes(b"ok")), (3, Field::Four(1.0f32.to_le_bytes()))];
        assert_eq!(read(&bytes).unwrap(), expect);
        let mut numbers = Vec::new();
        Field::Bytes(&[1, 0x96, 1]).push_signed(&mut numbers).unwrap();
        assert_eq!(numbers, [1, 150]);
    }

    #[test]
    fn what_is_cut_or_impossible_is_refused() {
        for bytes in
            [&[0x08][..], &[0x12, 5, 1], &[0x08, 0xff], &[0x0b], &[0x1d, 0, 0], &[0x00, 1], &[0xff; 12]]
        {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }
}
