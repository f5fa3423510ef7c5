//! A hidden layer's columns, from a linear map to the next: normalised, bent at zero, some dropped; and back.
//!
//! Each function goes over its rows once, with the numbers of 16 columns in registers, and is meant for as many rows as stay in the
//! cache. What was dropped is −0 and nothing else is, so that the way back needs no mask.

use super::{multiversion, over_columns};
use crate::scalar::Scalar;

/// A function that is straight on both sides of zero, then dropped with some probability; everything already divided by the
/// probability of keeping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bend<S> {
    /// Slope above zero, > 0.
    pub right: S,
    /// Slope below zero, ≥ 0.
    pub left: S,
    /// Slope taken at zero.
    pub at_zero: S,
    /// Of 65536 draws, how many drop the value.
    pub dropped: u32,
}

/// Rows that are gone over together: three matrices of 100 columns then share a first-level cache.
const ROWS: usize = 16;

multiversion! {
    /// Columns normalised, bent and dropped: `h = bend((z − mean) · factor + shift)`, and −0 where a draw is below [`Bend::dropped`].
    ///
    /// * `h`, `z`: `[rows, n]`; `h` is overwritten
    /// * `draws`: `[rows, n]`, uniform; empty where nothing is dropped
    /// * `by`: mean, factor and shift, `[n]` each
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn bend_columns<S: Scalar>(h: &mut [S], z: &[S], draws: &[u16], by: [&[S]; 3], bend: Bend<S>) {
        let n = by[0].len();
        assert!(n > 0 && h.len() == z.len() && z.len().is_multiple_of(n), "{} and {} numbers in {n} columns", h.len(), z.len());
        assert!(by.iter().all(|row| row.len() == n), "numbers for {n} columns");
        assert!(draws.is_empty() || draws.len() == z.len(), "{} draws for {} numbers", draws.len(), z.len());
        for (block, (h, z)) in h.chunks_mut(ROWS * n).zip(z.chunks(ROWS * n)).enumerate() {
            over_columns!(n, at, LANES, bend_lanes::<S, LANES>(h, z, by, bend, at));
            if draws.is_empty() {
                continue;
            }
            let start = block * ROWS * n;
            for (h, draw) in h.iter_mut().zip(&draws[start..start + z.len()]) {
                *h = if u32::from(*draw) < bend.dropped { -S::default() } else { *h };
            }
        }
    }

    /// The gradient behind [`bend_columns`], in place, and its sums for a normalisation.
    ///
    /// * `dy`: `[rows, n]`, of h; becomes that of what was bent
    /// * `h`, `z`: `[rows, n]`, as they were; `mean`: `[n]`
    /// * `sums`: `[2 n]`: sums over rows of `dy`, then of `dy (z − mean)`, are added
    /// * `work`: `[2 n]`, overwritten
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn bend_columns_back<S: Scalar>(
        dy: &mut [S],
        h: &[S],
        z: &[S],
        mean: &[S],
        bend: Bend<S>,
        sums: &mut [f64],
        work: &mut [S],
    ) {
        let n = mean.len();
        assert!(n > 0 && dy.len() == z.len() && dy.len() == h.len() && z.len().is_multiple_of(n),
            "{}, {} and {} numbers in {n} columns", dy.len(), h.len(), z.len());
        assert!(sums.len() == 2 * n && work.len() == 2 * n, "room for {n} columns");
        work.fill(S::default());
        let blocks = dy.chunks_mut(ROWS * n).zip(h.chunks(ROWS * n)).zip(z.chunks(ROWS * n));
        for ((dy, h), z) in blocks {
            over_columns!(n, at, LANES, back_lanes::<S, LANES>(dy, h, z, mean, bend, work, at));
        }
        for (sum, part) in sums.iter_mut().zip(work.iter()) {
            *sum += part.to_f64();
        }
    }

    /// The gradient behind a normalisation of columns, from numbers before it: `dz = factor (dy − shift) − (z − mean) along`.
    ///
    /// * `dz`: `[rows, n]`, the gradient of what was normalised, updated; `z`: `[rows, n]`, before
    /// * `by`: mean, factor, shift and along, `[n]` each
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn centre_columns_back<S: Scalar>(dz: &mut [S], z: &[S], by: [&[S]; 4]) {
        let n = by[0].len();
        assert!(n > 0 && dz.len() == z.len() && z.len().is_multiple_of(n), "{} and {} numbers in {n} columns", dz.len(), z.len());
        assert!(by.iter().all(|row| row.len() == n), "numbers for {n} columns");
        for (dz, z) in dz.chunks_mut(ROWS * n).zip(z.chunks(ROWS * n)) {
            fetch_behind(dz);
            fetch_behind(z);
            over_columns!(n, at, LANES, centre_lanes::<S, LANES>(dz, z, by, at));
        }
    }
}

/// Lets what lies behind a block, as far as the block is long, come into the cache: columns are gone over in steps too large for the
/// processor to guess.
#[inline(always)]
pub(super) fn fetch_behind<S>(block: &[S]) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..size_of_val(block)).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let place = block.as_ptr_range().end.cast::<i8>().wrapping_add(at);
        // SAFETY: nothing is read, and any address may be asked for.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = block;
}

/// L numbers of a row.
#[inline(always)]
fn lanes<S: Scalar, const L: usize>(row: &[S], at: usize) -> [S; L] {
    row[at..at + L].try_into().expect("a slice of that length")
}

#[inline(always)]
fn bend_lanes<S: Scalar, const L: usize>(h: &mut [S], z: &[S], by: [&[S]; 3], bend: Bend<S>, at: usize) {
    let n = by[0].len();
    let [mean, factor, shift]: [[S; L]; 3] = by.map(|row| lanes(row, at));
    let zero = S::default();
    for (h, z) in h.chunks_exact_mut(n).zip(z.chunks_exact(n)) {
        let (h, z) = (&mut h[at..at + L], &z[at..at + L]);
        for l in 0..L {
            let y = (z[l] - mean[l]) * factor[l] + shift[l];
            // One of both is zero; and NaN stays NaN. A sum of zeros of either sign is +0.
            let (above, below) = if y > zero { (y, zero) } else { (zero, y) };
            h[l] = bend.right * above + bend.left * below;
        }
    }
}

#[inline(always)]
fn back_lanes<S: Scalar, const L: usize>(
    dy: &mut [S],
    h: &[S],
    z: &[S],
    mean: &[S],
    bend: Bend<S>,
    work: &mut [S],
    at: usize,
) {
    let n = mean.len();
    let (plain, both) = work.split_at_mut(n);
    let (plain, both) = (&mut plain[at..at + L], &mut both[at..at + L]);
    let mean: [S; L] = lanes(mean, at);
    let (mut sum, mut along): ([S; L], [S; L]) = (lanes(plain, 0), lanes(both, 0));
    let zero = S::default();
    for ((dy, h), z) in dy.chunks_exact_mut(n).zip(h.chunks_exact(n)).zip(z.chunks_exact(n)) {
        let (dy, h, z) = (&mut dy[at..at + L], &h[at..at + L], &z[at..at + L]);
        for l in 0..L {
            let at_zero = if h[l].is_negative() { zero } else { bend.at_zero };
            let below = if h[l] < zero { bend.left } else { at_zero };
            let slope = if h[l] > zero { bend.right } else { below };
            let d = (dy[l] * slope).flushed();
            dy[l] = d;
            sum[l] += d;
            along[l] += d * (z[l] - mean[l]);
        }
    }
    plain.copy_from_slice(&sum);
    both.copy_from_slice(&along);
}

#[inline(always)]
fn centre_lanes<S: Scalar, const L: usize>(dz: &mut [S], z: &[S], by: [&[S]; 4], at: usize) {
    let n = by[0].len();
    let [mean, factor, shift, along]: [[S; L]; 4] = by.map(|row| lanes(row, at));
    for (dz, z) in dz.chunks_exact_mut(n).zip(z.chunks_exact(n)) {
        let (dz, z) = (&mut dz[at..at + L], &z[at..at + L]);
        for l in 0..L {
            dz[l] = factor[l] * (dz[l] - shift[l]) - (z[l] - mean[l]) * along[l];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// 37 rows of n columns, and their draws.
    fn matrix(n: usize, at: u64) -> (Vec<f32>, Vec<u16>) {
        let (mut out, mut draws) = (vec![0f32; 37 * n], vec![0u16; 37 * n]);
        let mut stream = Stream::new(5, "bend test", &[at]);
        stream.fill_normal(&mut out, 1.0);
        stream.fill_draws(&mut draws);
        (out, draws)
    }

    #[test]
    fn columns_are_bent_and_dropped_as_one_by_one_and_back() {
        let bend = Bend { right: 1.25f32, left: 0.25, at_zero: 0.5, dropped: 13107 };
        for n in [1, 7, 16, 23, 100] {
            let ((z, draws), (dy, _)) = (matrix(n, 0), matrix(n, 1));
            let rows: Vec<Vec<f32>> = (2..5).map(|at| matrix(n, at).0[..n].to_vec()).collect();
            let (mut h, mut back) = (vec![0f32; z.len()], dy.clone());
            bend_columns(&mut h, &z, &draws, [&rows[0], &rows[1], &rows[2]], bend);
            let (mut sums, mut work) = (vec![0.0; 2 * n], vec![0f32; 2 * n]);
            bend_columns_back(&mut back, &h, &z, &rows[0], bend, &mut sums, &mut work);
            let mut expect = vec![0.0; 2 * n];
            for at in 0..z.len() {
                let i = at % n;
                let y = (z[at] - rows[0][i]) * rows[1][i] + rows[2][i];
                let slope = if y > 0.0 { 1.25 } else { 0.25 };
                let (value, slope) = if draws[at] < 13107 { (-0.0, 0.0) } else { (slope * y, slope) };
                assert_eq!(h[at].to_bits(), f32::to_bits(value), "{n}: {at}");
                assert_eq!(back[at], dy[at] * slope);
                expect[i] += f64::from(back[at]);
                expect[n + i] += f64::from(back[at]) * f64::from(z[at] - rows[0][i]);
            }
            assert!(
                sums.iter().zip(&expect).all(|(a, b)| (a - b).abs() < 1e-4),
                "{sums:?}, expected {expect:?}"
            );
            centre_columns_back(&mut back, &z, [&rows[0], &rows[1], &rows[2], &rows[2]]);
            assert!(back.iter().all(|x| x.is_finite()));
        }
    }

    #[test]
    fn nan_stays_and_zero_is_not_taken_for_dropped() {
        let bend = Bend { right: 1f32, left: 0.0, at_zero: 0.5, dropped: 0 };
        let (z, one, zero) = ([f32::NAN, 0.0, -0.0, -3.0], [1f32; 4], [0f32; 4]);
        let (mut h, mut dy) = ([9f32; 4], [1f32; 4]);
        bend_columns(&mut h, &z, &[], [&zero, &one, &zero], bend);
        assert!(h[0].is_nan() && h[1..].iter().all(|x| x.to_bits() == 0), "{h:?}");
        bend_columns_back(&mut dy, &h, &[0.0; 4], &zero, bend, &mut [0.0; 8], &mut [0.0; 8]);
        assert_eq!(dy[1..3], [0.5, 0.5]);
    }
}
