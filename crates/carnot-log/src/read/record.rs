//! The framing of event files: length, its checksum, bytes, their checksum.
//!
//! Source: TensorFlow, `tensorflow/core/lib/io/record_writer.cc`; the checksum is CRC-32C (Castagnoli), masked.

use std::io::Read;
use std::path::Path;

use super::{LONGEST, failed};
use crate::error::LogError;

/// CRC-32C of these bytes, rotated and shifted as in these files: a checksum of checksums would be weak otherwise.
#[must_use]
pub fn masked(bytes: &[u8]) -> u32 {
    let crc = !bytes.iter().fold(u32::MAX, |crc, &byte| (crc >> 8) ^ TABLE[usize::from((crc as u8) ^ byte)]);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The reversed polynomial 0x1EDC6F41, byte by byte.
const TABLE: [u32; 256] = {
    let mut table = [0u32; 256];
    let mut at = 0;
    while at < 256 {
        let (mut value, mut bit) = (at as u32, 0);
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0x82f6_3b78 } else { value >> 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
};

/// Does a file that starts with these bytes start with a record?
#[must_use]
pub fn begins_a_file(start: &[u8]) -> bool {
    start.len() >= 12 && start[8..12] == masked(&start[..8]).to_le_bytes()
}

/// Records of one file, in order.
#[derive(Debug)]
pub struct Records<'a, R> {
    source: R,
    path: &'a Path,
    at: u64,
    count: u64,
    /// The file ends in the middle of a record, as that of a running or killed writer does.
    pub is_torn: bool,
}

impl<'a, R: Read> Records<'a, R> {
    /// Of a source; `path` is for messages.
    pub fn new(source: R, path: &'a Path) -> Records<'a, R> {
        Records { source, path, at: 0, count: 0, is_torn: false }
    }

    /// The next record; `None` at the end, or where the last record is not whole.
    ///
    /// # Errors
    /// [`LogError::Damaged`] for a checksum that does not fit, [`LogError::TooLong`], [`LogError::File`].
    pub fn next_record(&mut self) -> Result<Option<Vec<u8>>, LogError> {
        let (start, number) = (self.at, self.count + 1);
        let Some(head) = self.bytes(12)? else { return Ok(None) };
        let damaged = |why| LogError::Damaged { path: self.path.into(), record: number, at: start, why };
        if head[8..12] != masked(&head[..8]).to_le_bytes() {
            return Err(damaged("the checksum of its length does not fit"));
        }
        let length = u64::from_le_bytes(head[..8].try_into().expect("eight bytes"));
        if length > LONGEST {
            let place = format!("record {number}");
            return Err(LogError::TooLong { path: self.path.into(), place, most: LONGEST });
        }
        let Some(data) = self.bytes(length)? else { return self.torn() };
        let Some(sum) = self.bytes(4)? else { return self.torn() };
        if sum[..] != masked(&data).to_le_bytes() {
            return Err(LogError::Damaged {
                path: self.path.into(),
                record: number,
                at: start,
                why: "the checksum of its bytes does not fit",
            });
        }
        self.count += 1;
        Ok(Some(data))
    }

    fn torn(&mut self) -> Result<Option<Vec<u8>>, LogError> {
        self.is_torn = true;
        Ok(None)
    }

    /// Exactly so many bytes; memory grows with what is there, not with what is claimed.
    fn bytes(&mut self, count: u64) -> Result<Option<Vec<u8>>, LogError> {
        let mut bytes = Vec::new();
        let source = &mut self.source;
        source.take(count).read_to_end(&mut bytes).map_err(|error| failed(self.path, error))?;
        self.at += bytes.len() as u64;
        self.is_torn |= !bytes.is_empty() && (bytes.len() as u64) < count;
        Ok((bytes.len() as u64 == count).then_some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4, before masking.
    #[test]
    fn checksums_are_those_of_the_standard() {
        let unmasked = |bytes: &[u8]| masked(bytes).wrapping_sub(0xa282_ead8).rotate_left(15);
        assert_eq!(unmasked(&[0; 32]), 0x8a91_36aa);
        assert_eq!(unmasked(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(unmasked(b"123456789"), 0xe306_9283);
    }
}
