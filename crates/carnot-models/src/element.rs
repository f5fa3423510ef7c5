//! Number types of checkpoints, quantised blocks too, to single precision.

mod k_quants;

/// How numbers are stored, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// One byte, zero or not.
    Bool,
    /// Unsigned integer of that many bytes: 1, 2, 4 or 8.
    Unsigned(usize),
    /// Signed integer of that many bytes.
    Signed(usize),
    /// Eight bits, four of exponent and three of fraction; no infinities.
    F8E4M3,
    /// Eight bits, five of exponent and two of fraction.
    F8E5M2,
    /// Half precision.
    F16,
    /// The upper half of single precision.
    Bf16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// Blocks of 32: a scale d and 32 numbers q of four bits, $x = d (q - 8)$.
    Q4_0,
    /// Blocks of 32: d, a minimum m and 32 numbers of four bits, $x = d q + m$.
    Q4_1,
    /// As [`Element::Q4_0`] with a fifth bit, $x = d (q - 16)$.
    Q5_0,
    /// As [`Element::Q4_1`] with a fifth bit.
    Q5_1,
    /// Blocks of 32: d and 32 signed bytes, $x = d q$.
    Q8_0,
    /// Super-blocks of 256 numbers of two bits.
    Q2K,
    /// Super-blocks of 256 numbers of three bits.
    Q3K,
    /// Super-blocks of 256 numbers of four bits.
    Q4K,
    /// Super-blocks of 256 numbers of five bits.
    Q5K,
    /// Super-blocks of 256 numbers of six bits.
    Q6K,
}

impl Element {
    /// Numbers in a block, and its bytes.
    #[must_use]
    pub fn block(self) -> (usize, usize) {
        match self {
            Element::Bool | Element::F8E4M3 | Element::F8E5M2 => (1, 1),
            Element::Unsigned(bytes) | Element::Signed(bytes) => (1, bytes),
            Element::F16 | Element::Bf16 => (1, 2),
            Element::F32 => (1, 4),
            Element::F64 => (1, 8),
            Element::Q4_0 => (32, 18),
            Element::Q4_1 => (32, 20),
            Element::Q5_0 => (32, 22),
            Element::Q5_1 => (32, 24),
            Element::Q8_0 => (32, 34),
            Element::Q2K => (256, 84),
            Element::Q3K => (256, 110),
            Element::Q4K => (256, 144),
            Element::Q5K => (256, 176),
            Element::Q6K => (256, 210),
        }
    }

    /// Bytes of so many numbers; `None` where they do not fill whole blocks or no machine counts them.
    #[must_use]
    pub fn bytes(self, count: u64) -> Option<u64> {
        let (numbers, bytes) = self.block();
        let blocks = count / numbers as u64;
        if count.is_multiple_of(numbers as u64) { blocks.checked_mul(bytes as u64) } else { None }
    }

    /// True for types that hold weights; whole numbers count something.
    #[must_use]
    pub fn is_real(self) -> bool {
        !matches!(self, Element::Bool | Element::Unsigned(_) | Element::Signed(_))
    }

    /// Short name, as in safetensors and GGUF.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Element::Bool => "BOOL",
            Element::Unsigned(1) => "U8",
            Element::Unsigned(2) => "U16",
            Element::Unsigned(4) => "U32",
            Element::Unsigned(_) => "U64",
            Element::Signed(1) => "I8",
            Element::Signed(2) => "I16",
            Element::Signed(4) => "I32",
            Element::Signed(_) => "I64",
            Element::F8E4M3 => "F8_E4M3",
            Element::F8E5M2 => "F8_E5M2",
            Element::F16 => "F16",
            Element::Bf16 => "BF16",
            Element::F32 => "F32",
            Element::F64 => "F64",
            Element::Q4_0 => "Q4_0",
            Element::Q4_1 => "Q4_1",
            Element::Q5_0 => "Q5_0",
            Element::Q5_1 => "Q5_1",
            Element::Q8_0 => "Q8_0",
            Element::Q2K => "Q2_K",
            Element::Q3K => "Q3_K",
            Element::Q4K => "Q4_K",
            Element::Q5K => "Q5_K",
            Element::Q6K => "Q6_K",
        }
    }

    /// Appends the numbers of whole blocks; what is left over at the end of `bytes` is not read.
    pub fn decode(self, bytes: &[u8], out: &mut Vec<f32>) {
        let blocks = bytes.chunks_exact(self.block().1);
        match self {
            Element::Bool => out.extend(blocks.map(|b| f32::from(b[0] != 0))),
            Element::Unsigned(_) => out.extend(blocks.map(|b| whole(b) as f32)),
            Element::Signed(width) => {
                let spare = 64 - 8 * width as u32;
                out.extend(blocks.map(|b| ((whole(b) << spare) as i64 >> spare) as f32));
            }
            Element::F8E4M3 => out.extend(blocks.map(|b| from_e4m3(b[0]))),
            Element::F8E5M2 => out.extend(blocks.map(|b| from_half(u16::from(b[0]) << 8))),
            Element::F16 => out.extend(blocks.map(half)),
            Element::Bf16 => out.extend(blocks.map(|b| f32::from_bits(u32::from(u16_of(b)) << 16))),
            // Most weights are these: blocks of a length that the compiler knows.
            Element::F32 => out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
            Element::F64 => out.extend(blocks.map(|b| f64::from_bits(whole(b)) as f32)),
            Element::Q4_0 => blocks.for_each(|b| nibbles(&b[2..], None, half(b), -8.0 * half(b), out)),
            Element::Q4_1 => blocks.for_each(|b| nibbles(&b[4..], None, half(b), half(&b[2..]), out)),
            Element::Q5_0 => {
                blocks.for_each(|b| nibbles(&b[6..], Some(&b[2..6]), half(b), -16.0 * half(b), out));
            }
            Element::Q5_1 => {
                blocks.for_each(|b| nibbles(&b[8..], Some(&b[4..8]), half(b), half(&b[2..]), out));
            }
            Element::Q8_0 => {
                blocks.for_each(|b| out.extend(b[2..].iter().map(|&q| half(b) * f32::from(q.cast_signed()))));
            }
            Element::Q2K => blocks.for_each(|b| k_quants::q2_k(b, out)),
            Element::Q3K => blocks.for_each(|b| k_quants::q3_k(b, out)),
            Element::Q4K => blocks.for_each(|b| k_quants::q4_k(b, out)),
            Element::Q5K => blocks.for_each(|b| k_quants::q5_k(b, out)),
            Element::Q6K => blocks.for_each(|b| k_quants::q6_k(b, out)),
        }
    }
}

/// Low nibbles are numbers 0 … 15 of the block, high nibbles 16 … 31; `fifth` holds one more bit of each.
fn nibbles(bytes: &[u8], fifth: Option<&[u8]>, scale: f32, shift: f32, out: &mut Vec<f32>) {
    let fifth = fifth.map_or(0, |bits| whole(bits) as u32);
    let number = |q: u8, at: usize| scale * (f32::from(q) + 16.0 * ((fifth >> at & 1) as f32)) + shift;
    out.extend(bytes.iter().enumerate().map(|(at, byte)| number(byte & 15, at)));
    out.extend(bytes.iter().enumerate().map(|(at, byte)| number(byte >> 4, at + 16)));
}

/// Little-endian unsigned, up to eight bytes.
fn whole(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

fn u16_of(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[0], bytes[1]])
}

fn half(bytes: &[u8]) -> f32 {
    from_half(u16_of(bytes))
}

fn from_half(bits: u16) -> f32 {
    let (exponent, fraction) = (bits >> 10 & 31, f32::from(bits & 1023));
    let size = match exponent {
        0 => fraction * (0.5f32).powi(24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

fn from_e4m3(bits: u8) -> f32 {
    let (exponent, fraction) = (bits >> 3 & 15, f32::from(bits & 7));
    let size = match (exponent, bits & 7) {
        (15, 7) => f32::NAN,
        (0, _) => fraction * (0.5f32).powi(9),
        _ => (1.0 + fraction / 8.0) * 2f32.powi(i32::from(exponent) - 7),
    };
    if bits >> 7 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(element: Element, bytes: &[u8]) -> Vec<f32> {
        let mut out = Vec::new();
        element.decode(bytes, &mut out);
        out
    }

    #[test]
    fn numbers_are_those_of_their_formats() {
        // (type, bytes, value): the tables of IEEE 754 and of the OCP 8-bit formats.
        let rows: &[(Element, &[u8], f32)] = &[
            (Element::F16, &[0x00, 0x3c], 1.0),
            (Element::F16, &[0xff, 0x7b], 65504.0),
            (Element::F16, &[0x01, 0x00], 5.960_464_5e-8),
            (Element::F16, &[0x00, 0xfc], f32::NEG_INFINITY),
            (Element::F16, &[0x00, 0xc0], -2.0),
            (Element::Bf16, &[0x80, 0x3f], 1.0),
            (Element::Bf16, &[0x49, 0xc0], -3.140_625),
            (Element::F8E4M3, &[0x7e], 448.0),
            (Element::F8E4M3, &[0x01], 0.001_953_125),
            (Element::F8E4M3, &[0xb8], -1.0),
            (Element::F8E5M2, &[0x7b], 57344.0),
            (Element::F32, &[0, 0, 0x20, 0xc1], -10.0),
            (Element::F64, &[0, 0, 0, 0, 0, 0, 0xf8, 0x3f], 1.5),
            (Element::Signed(1), &[0xff], -1.0),
            (Element::Signed(8), &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], -2.0),
            (Element::Unsigned(2), &[0xff, 0xff], 65535.0),
            (Element::Bool, &[7], 1.0),
        ];
        for (element, bytes, expect) in rows {
            assert_eq!(decoded(*element, bytes), [*expect], "{element:?} {bytes:02x?}");
        }
        assert!(decoded(Element::F8E4M3, &[0x7f])[0].is_nan());
        assert!(decoded(Element::F16, &[0x01, 0x7c])[0].is_nan());
    }

    #[test]
    fn blocks_follow_their_formulas() {
        let mut q4_1 = vec![0x00, 0x38, 0x00, 0xbc]; // d = 0.5, m = -1
        q4_1.extend((0..16).map(|i| i | (15 - i) << 4));
        let got = decoded(Element::Q4_1, &q4_1);
        for i in 0..16 {
            assert_eq!(got[i], 0.5 * i as f32 - 1.0);
            assert_eq!(got[i + 16], 0.5 * (15 - i) as f32 - 1.0);
        }
        let mut q4_0 = vec![0x00, 0x38];
        q4_0.extend([0x80; 16]);
        assert_eq!(decoded(Element::Q4_0, &q4_0)[0], -4.0);
        assert_eq!(decoded(Element::Q4_0, &q4_0)[16], 0.0);
        let mut q5_0 = vec![0x00, 0x3c, 0x01, 0, 0, 0x80];
        q5_0.extend([0; 16]);
        let got = decoded(Element::Q5_0, &q5_0);
        assert_eq!((got[0], got[1], got[31]), (0.0, -16.0, 0.0));
        let mut q8_0 = vec![0x00, 0x34]; // d = 0.25
        q8_0.extend((0..32u8).map(|i| i.wrapping_sub(16)));
        let got = decoded(Element::Q8_0, &q8_0);
        assert_eq!((got[0], got[31]), (-4.0, 3.75));
    }
}
