//! Many numbers in, few out, in an order that never changes.

use super::{multiversion, over_columns};
use crate::scalar::Scalar;

/// Independent partial sums: enough for two AVX-512 registers of doubles.
const LANES: usize = 16;

multiversion! {
    /// Sum of the squares, in double precision.
    pub fn sum_of_squares<S: Scalar>(src: &[S]) -> f64 {
        let mut lanes = [0f64; LANES];
        let chunks = src.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for i in 0..LANES {
                let x = chunk[i].to_f64();
                lanes[i] += x * x;
            }
        }
        for (lane, x) in lanes.iter_mut().zip(rest) {
            *lane += x.to_f64() * x.to_f64();
        }
        total(lanes)
    }

    /// Inner product, in double precision.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn dot<S: Scalar>(a: &[S], b: &[S]) -> f64 {
        assert_eq!(a.len(), b.len(), "an inner product of {} numbers with {}", a.len(), b.len());
        let mut lanes = [0f64; LANES];
        let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
        for (a, b) in a_chunks.zip(b_chunks) {
            for i in 0..LANES {
                lanes[i] += a[i].to_f64() * b[i].to_f64();
            }
        }
        for (lane, (a, b)) in lanes.iter_mut().zip(rest) {
            *lane += a.to_f64() * b.to_f64();
        }
        total(lanes)
    }

    /// Sums over rows: the gradient of a bias.
    ///
    /// * `dst`: `[n]`, overwritten unless `accumulate`
    /// * `src`: `[rows, n]`, row-major; rows are added in order
    ///
    /// # Panics
    /// When the length of `src` is not a multiple of that of `dst`.
    pub fn column_sums<S: Scalar>(dst: &mut [S], src: &[S], accumulate: bool) {
        assert!(src.is_empty() || (!dst.is_empty() && src.len().is_multiple_of(dst.len())),
            "sums of {} columns over {} numbers", dst.len(), src.len());
        if !accumulate {
            dst.fill(S::default());
        }
        for block in src.chunks(64 * dst.len().max(1)) {
            over_columns!(dst.len(), at, WIDTH, sum_lanes::<S, WIDTH>(dst, block, at));
        }
    }
}

/// Some columns, with their sums in registers.
#[inline(always)]
fn sum_lanes<S: Scalar, const L: usize>(dst: &mut [S], block: &[S], at: usize) {
    let n = dst.len();
    let mut sum: [S; L] = dst[at..at + L].try_into().expect("a slice of that length");
    for row in block.chunks_exact(n) {
        let row = &row[at..at + L];
        for l in 0..L {
            sum[l] += row[l];
        }
    }
    dst[at..at + L].copy_from_slice(&sum);
}

/// Adds the lanes pairwise, always in the same order.
#[inline(always)]
fn total(mut lanes: [f64; LANES]) -> f64 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn random(n: usize, at: u64) -> Vec<f32> {
        let mut out = vec![0f32; n];
        Stream::new(4, "reduction test", &[at]).fill_normal(&mut out, 1.0);
        out
    }

    #[test]
    fn sums_agree_with_plain_loops() {
        for n in [0, 1, 15, 16, 17, 1000, 1003] {
            let (a, b) = (random(n, 0), random(n, 1));
            let squares: f64 = a.iter().map(|&x| f64::from(x).powi(2)).sum();
            let inner: f64 = a.iter().zip(&b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
            assert!((sum_of_squares(&a) - squares).abs() <= 1e-14 * squares, "{n}");
            assert!((dot(&a, &b) - inner).abs() <= 1e-14 * squares, "{n}");
        }
    }

    #[test]
    fn the_place_in_memory_does_not_change_a_bit() {
        let a = random(1000, 0);
        let expect = sum_of_squares(&a[..900]);
        for offset in 0..20 {
            let mut moved = vec![0f32; offset];
            moved.extend(&a[..900]);
            assert_eq!(sum_of_squares(&moved[offset..]).to_bits(), expect.to_bits());
        }
    }

    #[test]
    fn columns_are_summed_in_row_order() {
        let (rows, n) = (13, 37);
        let src = random(rows * n, 0);
        let mut sums = vec![1f32; n];
        column_sums(&mut sums, &src, true);
        for j in 0..n {
            let expect = (0..rows).fold(1f32, |sum, i| sum + src[i * n + j]);
            assert_eq!(sums[j], expect, "column {j}");
        }
        column_sums(&mut sums, &src[..n], false);
        assert_eq!(sums, src[..n]);
    }
}
