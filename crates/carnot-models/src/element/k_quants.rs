//! Super-blocks of 256 numbers: sixteen or eight small blocks whose scales are quantised themselves.
//!
//! $x = d\,s\,q - d_{min}\,m$ with q of 2 to 6 bits, s and m a scale and a minimum of 4 or 6 bits for each small block, d and $d_{min}$ in half
//! precision; Q3_K and Q6_K have no minimum and a signed q. Facts of the layout: the description of the formats in ggml.

use super::half;

/// Scale and minimum of the eight small blocks of Q4_K and Q5_K, six bits each in twelve bytes.
fn scales_and_minima(packed: &[u8]) -> [(f32, f32); 8] {
    std::array::from_fn(|j| {
        let (scale, minimum) = if j < 4 {
            (packed[j] & 63, packed[j + 4] & 63)
        } else {
            let (low, high) = (packed[j + 4], (packed[j - 4] >> 6, packed[j] >> 6));
            (low & 15 | high.0 << 4, low >> 4 | high.1 << 4)
        };
        (f32::from(scale), f32::from(minimum))
    })
}

/// Two bits, with a scale and a minimum of four bits for each 16 numbers; 84 bytes.
pub(super) fn q2_k(block: &[u8], out: &mut Vec<f32>) {
    let (scales, numbers) = (&block[..16], &block[16..80]);
    let (d, least) = (half(&block[80..]), half(&block[82..]));
    for at in 0..16 {
        let (scale, minimum) = (d * f32::from(scales[at] & 15), least * f32::from(scales[at] >> 4));
        let bytes = &numbers[at / 8 * 32 + at % 2 * 16..][..16];
        out.extend(bytes.iter().map(|byte| scale * f32::from(byte >> (at / 2 % 4 * 2) & 3) - minimum));
    }
}

/// Three bits, signed, with a signed scale of six bits for each 16 numbers; 110 bytes.
pub(super) fn q3_k(block: &[u8], out: &mut Vec<f32>) {
    let (thirds, numbers, packed) = (&block[..32], &block[32..96], &block[96..108]);
    let d = half(&block[108..]);
    for at in 0..16 {
        let low = packed[at % 8] >> (at / 8 * 4) & 15;
        let high = packed[8 + at % 4] >> (at / 4 * 2) & 3;
        let scale = d * (f32::from(low | high << 4) - 32.0);
        let bytes = &numbers[at / 8 * 32 + at % 2 * 16..][..16];
        let thirds = &thirds[at % 2 * 16..][..16];
        out.extend(bytes.iter().zip(thirds).map(|(byte, third)| {
            let low = f32::from(byte >> (at / 2 % 4 * 2) & 3);
            scale * (low + 4.0 * f32::from(third >> (at / 2) & 1) - 4.0)
        }));
    }
}

/// Four bits; 144 bytes.
pub(super) fn q4_k(block: &[u8], out: &mut Vec<f32>) {
    nibbles(block, &block[16..], None, out);
}

/// Five bits, the fifth apart; 176 bytes.
pub(super) fn q5_k(block: &[u8], out: &mut Vec<f32>) {
    nibbles(block, &block[48..], Some(&block[16..48]), out);
}

fn nibbles(block: &[u8], numbers: &[u8], fifths: Option<&[u8]>, out: &mut Vec<f32>) {
    let (d, least) = (half(block), half(&block[2..]));
    for (at, (scale, minimum)) in scales_and_minima(&block[4..16]).into_iter().enumerate() {
        let (scale, minimum) = (d * scale, least * minimum);
        let bytes = &numbers[at / 2 * 32..][..32];
        out.extend(bytes.iter().enumerate().map(|(i, byte)| {
            let fifth = fifths.map_or(0, |fifths| fifths[i] >> at & 1);
            scale * f32::from(byte >> (at % 2 * 4) & 15 | fifth << 4) - minimum
        }));
    }
}

/// Six bits, signed, with a signed byte of scale for each 16 numbers; 210 bytes.
pub(super) fn q6_k(block: &[u8], out: &mut Vec<f32>) {
    let (lows, highs, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let d = half(&block[208..]);
    for at in 0..16 {
        // Eight small blocks share 64 bytes of low and 32 bytes of high bits.
        let (part, quarter, column) = (at / 8, at % 8 / 2, at % 2 * 16);
        let lows = &lows[part * 64 + quarter % 2 * 32 + column..][..16];
        let highs = &highs[part * 32 + column..][..16];
        let scale = d * f32::from(scales[at].cast_signed());
        out.extend(lows.iter().zip(highs).map(|(low, high)| {
            let number = low >> (quarter / 2 * 4) & 15 | (high >> (quarter * 2) & 3) << 4;
            scale * (f32::from(number) - 32.0)
        }));
    }
}

#[cfg(test)]
mod tests {
    use crate::element::Element;

    /// Two super-blocks of the bytes of a congruential generator, with scales of 0.01 and 0.02 (twice that in the second).
    fn blocks(size: usize, scales: &[(usize, u16)]) -> Vec<u8> {
        let mut x = 7u32;
        let byte = |_| {
            x = x.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
            (x >> 16 & 255) as u8
        };
        let mut bytes: Vec<u8> = (0..2 * size).map(byte).collect();
        for (at, bits) in scales {
            // One more in the exponent doubles it.
            bytes[*at..at + 2].copy_from_slice(&bits.to_le_bytes());
            bytes[size + at..size + at + 2].copy_from_slice(&(bits + 0x400).to_le_bytes());
        }
        bytes
    }

    #[test]
    fn super_blocks_are_decoded_as_by_the_reference() {
        // Numbers 0, 17, 45, 130, 255, 300, 511 and a weighted sum, by `gguf.quants.dequantize` of the Python package gguf.
        const D: u16 = 0x211f; // 0.01
        const MIN: u16 = 0x251f; // 0.02
        type Row<'a> = (Element, &'a [(usize, u16)], [f32; 7], f64);
        let rows: [Row; 5] = [
            (
                Element::Q2K,
                &[(80, D), (82, MIN)],
                [
                    0.0,
                    0.200_042_72,
                    -0.100_021_36,
                    -0.050_010_68,
                    -0.040_008_545,
                    -0.320_068_36,
                    -0.120_025_635,
                ],
                -136.699_195_861_816_4,
            ),
            (
                Element::Q3K,
                &[(108, D)],
                [-0.180_038_45, 0.210_044_86, -0.060_012_817, -0.0, 0.240_051_27, -0.720_153_8, 0.240_051_27],
                288.301_574_707_031_25,
            ),
            (
                Element::Q4K,
                &[(0, D), (2, MIN)],
                [
                    0.730_155_94,
                    0.920_196_53,
                    -0.660_141,
                    1.320_282,
                    -0.040_008_545,
                    3.220_687_9,
                    -1.440_307_6,
                ],
                9_254.296_508_789_062,
            ),
            (
                Element::Q5K,
                &[(0, D), (2, MIN)],
                [3.960_846, -0.790_168_76, 7.481_598, 0.340_072_63, 0.500_106_8, 12.542_679, -0.440_094],
                20_255.816_184_997_56,
            ),
            (
                Element::Q6K,
                &[(208, D)],
                [-31.366_7, -28.606_11, -11.622_482, 7.201_538, 2.520_538_3, 6.381_363, -21.424_576],
                -248.793_136_596_679_7,
            ),
        ];
        for (element, scales, expect, sum) in rows {
            let mut out = Vec::new();
            element.decode(&blocks(element.block().1, scales), &mut out);
            assert_eq!(out.len(), 512, "{element:?}");
            for (at, expect) in [0, 17, 45, 130, 255, 300, 511].into_iter().zip(expect) {
                assert!(
                    (out[at] - expect).abs() <= 2e-6 * expect.abs(),
                    "{element:?} {at}: {} {expect}",
                    out[at]
                );
            }
            let got: f64 = out.iter().enumerate().map(|(i, x)| f64::from(*x) * (i % 17 + 1) as f64).sum();
            assert!((got - sum).abs() < 1e-2, "{element:?}: {got}, expected {sum}");
        }
    }
}
