//! A hidden layer's columns, from a linear map to the next: normalised, bent at zero, some dropped; and back.
//!
//! Each function goes over its rows once, with the numbers of 16 columns in registers, and is meant for as many rows as stay in the
//! cache. What is bent is not kept for the way back: making it again costs less than bringing it from far away.

use super::{multiversion, over_columns};
use crate::scalar::Scalar;

/// A function that is straight on both sides of zero, everything already divided by the probability of being kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bend<S> {
    /// Slope above zero.
    pub right: S,
    /// Slope below zero.
    pub left: S,
    /// Slope taken at zero.
    pub at_zero: S,
}

/// Rows that are gone over together: three matrices of 100 columns then share a first-level cache.
const ROWS: usize = 16;

multiversion! {
    /// Columns normalised, bent and dropped: `h = bend((z − mean) · factor + shift)`, and 0 where dropped.
    ///
    /// * `h`, `z`: `[rows, n]`; `h` is overwritten
    /// * `dropped`: `[rows, n]`, 0 where kept; empty where all are
    /// * `by`: mean, factor and shift, `[n]` each
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn bend_columns<S: Scalar>(h: &mut [S], z: &[S], dropped: &[u8], by: [&[S]; 3], bend: Bend<S>) {
        let n = check(h, z, dropped, by);
        for (h, z, dropped) in blocks(h, z, dropped, n) {
            match dropped.is_empty() {
                true => over_columns!(n, at, LANES, bend_lanes::<S, LANES, false>(h, z, dropped, by, bend, at)),
                false => over_columns!(n, at, LANES, bend_lanes::<S, LANES, true>(h, z, dropped, by, bend, at)),
            }
        }
    }

    /// [`bend_columns`] again, and the gradient behind it, in place, with its sums for a normalisation.
    ///
    /// * `dy`: `[rows, n]`, of h; becomes that of what was bent
    /// * `room`: `[2 n]`, where sums over rows of `dy`, then of `dy (z − mean)`, are added; `[2 n]`, overwritten
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn bend_columns_back<S: Scalar>(
        dy: &mut [S],
        h: &mut [S],
        z: &[S],
        dropped: &[u8],
        by: [&[S]; 3],
        bend: Bend<S>,
        room: (&mut [f64], &mut [S]),
    ) {
        let (sums, work) = room;
        let n = check(h, z, dropped, by);
        assert!(dy.len() == z.len(), "gradients of {} numbers for {}", dy.len(), z.len());
        assert!(sums.len() == 2 * n && work.len() == 2 * n, "room for {n} columns");
        work.fill(S::default());
        for ((h, z, dropped), dy) in blocks(h, z, dropped, n).zip(dy.chunks_mut(ROWS * n)) {
            match dropped.is_empty() {
                true => over_columns!(n, at, LANES, back_lanes::<S, LANES, false>([dy, h], z, dropped, by, bend, work, at)),
                false => over_columns!(n, at, LANES, back_lanes::<S, LANES, true>([dy, h], z, dropped, by, bend, work, at)),
            }
        }
        for (sum, part) in sums.iter_mut().zip(work.iter()) {
            *sum += part.to_f64();
        }
    }

    /// The gradient behind a normalisation of columns, from numbers before it: `dz = factor (dy − shift) − (z − mean) along`.
    ///
    /// * `dz`: `[rows, n]`, overwritten; `dy`: `[rows, n]`, the gradient of what was normalised; `z`: `[rows, n]`, before
    /// * `by`: mean, factor, shift and along, `[n]` each
    /// * `sums`: `[n]`: sums over rows of `dz` are added
    ///
    /// # Panics
    /// When the lengths do not fit.
    pub fn centre_columns_back<S: Scalar>(dz: &mut [S], dy: &[S], z: &[S], by: [&[S]; 4], sums: &mut [S]) {
        let n = by[0].len();
        assert!(n > 0 && dz.len() == z.len() && dy.len() == z.len() && z.len().is_multiple_of(n),
            "{}, {} and {} numbers in {n} columns", dz.len(), dy.len(), z.len());
        assert!(by.iter().all(|row| row.len() == n) && sums.len() == n, "numbers for {n} columns");
        for ((dz, dy), z) in dz.chunks_mut(ROWS * n).zip(dy.chunks(ROWS * n)).zip(z.chunks(ROWS * n)) {
            over_columns!(n, at, LANES, centre_lanes::<S, LANES>(dz, dy, z, by, sums, at));
        }
    }
}

/// Columns, where all lengths fit.
#[inline(always)]
fn check<S>(h: &[S], z: &[S], dropped: &[u8], by: [&[S]; 3]) -> usize {
    let n = by[0].len();
    assert!(
        n > 0 && h.len() == z.len() && z.len().is_multiple_of(n),
        "{} and {} numbers in {n} columns",
        h.len(),
        z.len()
    );
    assert!(by.iter().all(|row| row.len() == n), "numbers for {n} columns");
    assert!(
        dropped.is_empty() || dropped.len() == z.len(),
        "{} marks for {} numbers",
        dropped.len(),
        z.len()
    );
    n
}

/// A few rows of each.
#[inline(always)]
fn blocks<'a, S>(
    h: &'a mut [S],
    z: &'a [S],
    dropped: &'a [u8],
    n: usize,
) -> impl Iterator<Item = (&'a mut [S], &'a [S], &'a [u8])> {
    let marks = dropped.chunks(ROWS * n).chain(std::iter::repeat(&[][..]));
    h.chunks_mut(ROWS * n).zip(z.chunks(ROWS * n)).zip(marks).map(|((h, z), dropped)| (h, z, dropped))
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

/// Which of L numbers are dropped.
#[inline(always)]
fn marks<const L: usize, const DROPS: bool>(dropped: &[u8], at: usize) -> [u8; L] {
    if DROPS { dropped[at..at + L].try_into().expect("a slice of that length") } else { [0; L] }
}

/// What is bent is y; one of both halves is zero, NaN stays NaN, and a sum of zeros of either sign is +0.
#[inline(always)]
fn bent<S: Scalar>(y: S, dropped: u8, bend: Bend<S>) -> S {
    let zero = S::default();
    let (above, below) = if y > zero { (y, zero) } else { (zero, y) };
    let value = bend.right * above + bend.left * below;
    if dropped != 0 { zero } else { value }
}

#[inline(always)]
fn bend_lanes<S: Scalar, const L: usize, const DROPS: bool>(
    h: &mut [S],
    z: &[S],
    dropped: &[u8],
    by: [&[S]; 3],
    bend: Bend<S>,
    at: usize,
) {
    let n = by[0].len();
    let [mean, factor, shift]: [[S; L]; 3] = by.map(|row| lanes(row, at));
    for (row, (h, z)) in h.chunks_exact_mut(n).zip(z.chunks_exact(n)).enumerate() {
        let (h, z) = (&mut h[at..at + L], &z[at..at + L]);
        let dropped = marks::<L, DROPS>(dropped, row * n + at);
        for l in 0..L {
            h[l] = bent((z[l] - mean[l]) * factor[l] + shift[l], dropped[l], bend);
        }
    }
}

#[inline(always)]
fn back_lanes<S: Scalar, const L: usize, const DROPS: bool>(
    [dy, h]: [&mut [S]; 2],
    z: &[S],
    dropped: &[u8],
    by: [&[S]; 3],
    bend: Bend<S>,
    work: &mut [S],
    at: usize,
) {
    let n = by[0].len();
    let (plain, both) = work.split_at_mut(n);
    let (plain, both) = (&mut plain[at..at + L], &mut both[at..at + L]);
    let [mean, factor, shift]: [[S; L]; 3] = by.map(|row| lanes(row, at));
    let (mut sum, mut along): ([S; L], [S; L]) = (lanes(plain, 0), lanes(both, 0));
    let zero = S::default();
    let rows = dy.chunks_exact_mut(n).zip(h.chunks_exact_mut(n)).zip(z.chunks_exact(n));
    for (row, ((dy, h), z)) in rows.enumerate() {
        let (dy, h, z) = (&mut dy[at..at + L], &mut h[at..at + L], &z[at..at + L]);
        let dropped = marks::<L, DROPS>(dropped, row * n + at);
        for l in 0..L {
            let centred = z[l] - mean[l];
            let y = centred * factor[l] + shift[l];
            h[l] = bent(y, dropped[l], bend);
            let below = if y < zero { bend.left } else { bend.at_zero };
            let slope = if y > zero { bend.right } else { below };
            let d = (dy[l] * if dropped[l] != 0 { zero } else { slope }).flushed();
            dy[l] = d;
            sum[l] += d;
            along[l] += d * centred;
        }
    }
    plain.copy_from_slice(&sum);
    both.copy_from_slice(&along);
}

#[inline(always)]
fn centre_lanes<S: Scalar, const L: usize>(
    dz: &mut [S],
    dy: &[S],
    z: &[S],
    by: [&[S]; 4],
    sums: &mut [S],
    at: usize,
) {
    let n = by[0].len();
    let [mean, factor, shift, along]: [[S; L]; 4] = by.map(|row| lanes(row, at));
    let mut sum: [S; L] = lanes(sums, at);
    for ((dz, dy), z) in dz.chunks_exact_mut(n).zip(dy.chunks_exact(n)).zip(z.chunks_exact(n)) {
        let (dz, dy, z) = (&mut dz[at..at + L], &dy[at..at + L], &z[at..at + L]);
        for l in 0..L {
            dz[l] = factor[l] * (dy[l] - shift[l]) - (z[l] - mean[l]) * along[l];
            sum[l] += dz[l];
        }
    }
    sums[at..at + L].copy_from_slice(&sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// 37 rows of n columns, and which of them are dropped: one in five.
    fn matrix(n: usize, at: u64) -> (Vec<f32>, Vec<u8>) {
        let (mut out, mut dropped) = (vec![0f32; 37 * n], vec![0u8; 37 * n]);
        let mut stream = Stream::new(5, "bend test", &[at]);
        stream.fill_normal(&mut out, 1.0);
        stream.fill_dropped(&mut dropped, 13107);
        (out, dropped)
    }

    #[test]
    fn columns_are_bent_and_dropped_as_one_by_one_and_back() {
        let bend = Bend { right: 1.25f32, left: 0.25, at_zero: 0.5 };
        for (n, drops) in [(1, true), (7, false), (16, true), (23, true), (100, false), (100, true)] {
            let ((z, dropped), (dy, _)) = (matrix(n, 0), matrix(n, 1));
            let dropped = if drops { &dropped[..] } else { &[] };
            let rows: Vec<Vec<f32>> = (2..5).map(|at| matrix(n, at).0[..n].to_vec()).collect();
            let by = [&rows[0][..], &rows[1], &rows[2]];
            let (mut h, mut again, mut back) = (vec![0f32; z.len()], vec![9f32; z.len()], dy.clone());
            bend_columns(&mut h, &z, dropped, by, bend);
            let (mut sums, mut work) = (vec![0.0; 2 * n], vec![0f32; 2 * n]);
            bend_columns_back(&mut back, &mut again, &z, dropped, by, bend, (&mut sums, &mut work));
            let mut expect = vec![0.0; 2 * n];
            for at in 0..z.len() {
                let i = at % n;
                let y = (z[at] - rows[0][i]) * rows[1][i] + rows[2][i];
                let slope = if y > 0.0 { 1.25 } else { 0.25 };
                let is_dropped = dropped.get(at).is_some_and(|mark| *mark != 0);
                let (value, slope) = if is_dropped { (0.0, 0.0) } else { (slope * y, slope) };
                assert_eq!(h[at].to_bits(), f32::to_bits(value), "{n}: {at}");
                assert_eq!(again[at].to_bits(), h[at].to_bits(), "{n}: {at}, on the way back");
                assert_eq!(back[at], dy[at] * slope);
                expect[i] += f64::from(back[at]);
                expect[n + i] += f64::from(back[at]) * f64::from(z[at] - rows[0][i]);
            }
            assert!(
                sums.iter().zip(&expect).all(|(a, b)| (a - b).abs() < 1e-4),
                "{sums:?}, expected {expect:?}"
            );
            let (mut dz, mut over) = (vec![0f32; z.len()], vec![1f32; n]);
            centre_columns_back(&mut dz, &back, &z, [by[0], by[1], by[2], by[2]], &mut over);
            for i in 0..n {
                let column = (i..z.len()).step_by(n);
                let one = |at: usize| by[1][i] * (back[at] - by[2][i]) - (z[at] - by[0][i]) * by[2][i];
                assert!(column.clone().all(|at| dz[at] == one(at)));
                let sum: f64 = column.map(|at| f64::from(dz[at])).sum();
                assert!((f64::from(over[i]) - 1.0 - sum).abs() < 1e-4, "{} and 1 + {sum}", over[i]);
            }
        }
    }

    #[test]
    fn nan_stays_and_zero_is_not_taken_for_dropped() {
        let bend = Bend { right: 1f32, left: 0.0, at_zero: 0.5 };
        let (z, one, zero) = ([f32::NAN, 0.0, -0.0, -3.0], [1f32; 4], [0f32; 4]);
        let (mut h, mut dy, by) = ([9f32; 4], [1f32; 4], [&zero[..], &one, &zero]);
        bend_columns(&mut h, &z, &[], by, bend);
        assert!(h[0].is_nan() && h[1..].iter().all(|x| x.to_bits() == 0), "{h:?}");
        bend_columns_back(&mut dy, &mut h, &z, &[], by, bend, (&mut [0.0; 8], &mut [0.0; 8]));
        assert_eq!(dy[1..], [0.5, 0.5, 0.0]);
    }
}
