//! Loops over the numbers of a call, one pass each, compiled for the instructions at hand.
//!
//! Numbers are single, sums double precision; every sum has lanes in a fixed order, so that it does not depend on how a probe is cut.

use carnot_math::device::wide::{Loop, Real, widest};

/// Units that are worked on at a time.
const UNITS: usize = 16;
/// Vectors that are worked on at a time: the sums of a unit stay in registers for so many.
const VECTORS: usize = 8;

/// The vectors of one sample, `[positions, width]`: the smallest and largest output of each unit, and its sum.
///
/// * `low`, `high`, `sums`: `[width]`, taken further
/// * returns: sum of squares; not finite where a number is not
pub fn survey(vectors: &[f32], low: &mut [f32], high: &mut [f32], sums: &mut [f64]) -> f64 {
    let (mut squares, width) = ([0.0; UNITS], sums.len());
    widest(Survey { vectors, width, low, high }, sums, &mut squares, &mut []);
    total(&squares)
}

struct Survey<'a> {
    vectors: &'a [f32],
    width: usize,
    low: &'a mut [f32],
    high: &'a mut [f32],
}

impl Loop<f64> for Survey<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, sums: &mut [f64], squares: &mut [f64], _: &mut [f64]) {
        let mut q = [0.0; UNITS];
        let rest = self.width % UNITS;
        for group in self.vectors.chunks(VECTORS * self.width) {
            let units = sums.chunks_exact_mut(UNITS);
            let ranges = self.low.chunks_exact_mut(UNITS).zip(self.high.chunks_exact_mut(UNITS));
            for (block, (sums, (low, high))) in units.zip(ranges).enumerate() {
                let (mut s, mut l, mut h) = ([0.0f64; UNITS], [0.0f32; UNITS], [0.0f32; UNITS]);
                s.copy_from_slice(sums);
                l.copy_from_slice(low);
                h.copy_from_slice(high);
                for vector in group.chunks_exact(self.width) {
                    let x = &vector[block * UNITS..][..UNITS];
                    for i in 0..UNITS {
                        l[i] = l[i].least(x[i]);
                        h[i] = h[i].greatest(x[i]);
                        let x = f64::from(x[i]);
                        s[i] += x;
                        q[i] = f64::mad::<FMA>(x, x, q[i]);
                    }
                }
                sums.copy_from_slice(&s);
                low.copy_from_slice(&l);
                high.copy_from_slice(&h);
            }
            for vector in group.chunks_exact(self.width) {
                for at in self.width - rest..self.width {
                    let x = vector[at];
                    self.low[at] = self.low[at].least(x);
                    self.high[at] = self.high[at].greatest(x);
                    let x = f64::from(x);
                    sums[at] += x;
                    q[0] = f64::mad::<FMA>(x, x, q[0]);
                }
            }
        }
        squares.copy_from_slice(&q);
    }
}

/// `sums += row − centre`, `[width]` each.
///
/// * returns: |row − centre|²
pub fn about(row: &[f32], centre: &[f32], sums: &mut [f64]) -> f64 {
    let mut squares = [0.0; UNITS];
    widest(About { row, centre }, sums, &mut squares, &mut []);
    total(&squares)
}

struct About<'a> {
    row: &'a [f32],
    centre: &'a [f32],
}

impl Loop<f64> for About<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, sums: &mut [f64], squares: &mut [f64], _: &mut [f64]) {
        let mut q = [0.0; UNITS];
        let (whole, rest) = sums.as_chunks_mut::<UNITS>();
        let (rows, row_rest) = self.row.as_chunks::<UNITS>();
        let (centres, centre_rest) = self.centre.as_chunks::<UNITS>();
        for ((s, x), c) in whole.iter_mut().zip(rows).zip(centres) {
            for i in 0..UNITS {
                let difference = f64::from(x[i]) - f64::from(c[i]);
                s[i] += difference;
                q[i] = f64::mad::<FMA>(difference, difference, q[i]);
            }
        }
        for ((s, &x), &c) in rest.iter_mut().zip(row_rest).zip(centre_rest) {
            let difference = f64::from(x) - f64::from(c);
            *s += difference;
            q[0] = f64::mad::<FMA>(difference, difference, q[0]);
        }
        squares.copy_from_slice(&q);
    }
}

/// |a|², |b|² and |b − a|².
pub fn apart(a: &[f32], b: &[f32]) -> [f64; 3] {
    let (mut aa, mut bb, mut dd) = ([0.0; UNITS], [0.0; UNITS], [0.0; UNITS]);
    widest(Apart { a, b }, &mut aa, &mut bb, &mut dd);
    [total(&aa), total(&bb), total(&dd)]
}

struct Apart<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl Loop<f64> for Apart<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, aa: &mut [f64], bb: &mut [f64], dd: &mut [f64]) {
        let (mut p, mut q, mut r) = ([0.0; UNITS], [0.0; UNITS], [0.0; UNITS]);
        let ((wa, ra), (wb, rb)) = (self.a.as_chunks::<UNITS>(), self.b.as_chunks::<UNITS>());
        for (a, b) in wa.iter().zip(wb) {
            for i in 0..UNITS {
                let (a, b) = (f64::from(a[i]), f64::from(b[i]));
                p[i] = f64::mad::<FMA>(a, a, p[i]);
                q[i] = f64::mad::<FMA>(b, b, q[i]);
                r[i] = f64::mad::<FMA>(b - a, b - a, r[i]);
            }
        }
        for (&a, &b) in ra.iter().zip(rb) {
            let (a, b) = (f64::from(a), f64::from(b));
            p[0] = f64::mad::<FMA>(a, a, p[0]);
            q[0] = f64::mad::<FMA>(b, b, q[0]);
            r[0] = f64::mad::<FMA>(b - a, b - a, r[0]);
        }
        aa.copy_from_slice(&p);
        bb.copy_from_slice(&q);
        dd.copy_from_slice(&r);
    }
}

/// `sums += scale (vector − mean)` with the mean and the scale that give the vector mean 0 and variance 1; a constant vector adds
/// nothing.
pub fn add_normalised(vector: &[f32], sums: &mut [f64]) {
    let [sum, ..] = moments(vector, 0.0);
    let mean = sum / vector.len() as f64;
    let [_, squares] = moments(vector, mean);
    let variance = squares / vector.len() as f64;
    if variance > 0.0 {
        widest(Shifted { vector, mean, scale: 1.0 / variance.sqrt() }, sums, &mut [], &mut []);
    }
}

struct Shifted<'a> {
    vector: &'a [f32],
    mean: f64,
    scale: f64,
}

impl Loop<f64> for Shifted<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, sums: &mut [f64], _: &mut [f64], _: &mut [f64]) {
        for (sum, &x) in sums.iter_mut().zip(self.vector) {
            *sum = f64::mad::<FMA>(f64::from(x) - self.mean, self.scale, *sum);
        }
    }
}

/// Sum and sum of squares of x − centre.
fn moments(vector: &[f32], centre: f64) -> [f64; 2] {
    let (mut sum, mut squares) = ([0.0; UNITS], [0.0; UNITS]);
    widest(Powers { vector, centre }, &mut sum, &mut squares, &mut []);
    [total(&sum), total(&squares)]
}

struct Powers<'a> {
    vector: &'a [f32],
    centre: f64,
}

impl Loop<f64> for Powers<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, sum: &mut [f64], squares: &mut [f64], _: &mut [f64]) {
        let (mut s, mut q) = ([0.0; UNITS], [0.0; UNITS]);
        let (whole, rest) = self.vector.as_chunks::<UNITS>();
        for x in whole {
            for i in 0..UNITS {
                let x = f64::from(x[i]) - self.centre;
                s[i] += x;
                q[i] = f64::mad::<FMA>(x, x, q[i]);
            }
        }
        for &x in rest {
            let x = f64::from(x) - self.centre;
            s[0] += x;
            q[0] = f64::mad::<FMA>(x, x, q[0]);
        }
        sum.copy_from_slice(&s);
        squares.copy_from_slice(&q);
    }
}

/// `out = x − mean` over a part of a row, with |out|² and out·arm.
///
/// * `arm`: what the difference is multiplied with, `[part]` as the others
pub fn centred(x: &[f32], mean: &[f64], arm: &[f64], out: &mut [f64]) -> [f64; 2] {
    let (mut squares, mut products) = ([0.0; UNITS], [0.0; UNITS]);
    widest(Centred { x, mean, arm }, out, &mut squares, &mut products);
    [total(&squares), total(&products)]
}

struct Centred<'a> {
    x: &'a [f32],
    mean: &'a [f64],
    arm: &'a [f64],
}

impl Loop<f64> for Centred<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, out: &mut [f64], squares: &mut [f64], products: &mut [f64]) {
        let (mut q, mut p) = ([0.0; UNITS], [0.0; UNITS]);
        let (whole, rest) = out.as_chunks_mut::<UNITS>();
        let ((xs, x_rest), (ms, m_rest)) = (self.x.as_chunks::<UNITS>(), self.mean.as_chunks::<UNITS>());
        let (arms, arm_rest) = self.arm.as_chunks::<UNITS>();
        for (((out, x), m), arm) in whole.iter_mut().zip(xs).zip(ms).zip(arms) {
            for i in 0..UNITS {
                let e = f64::from(x[i]) - m[i];
                out[i] = e;
                q[i] = f64::mad::<FMA>(e, e, q[i]);
                p[i] = f64::mad::<FMA>(e, arm[i], p[i]);
            }
        }
        for (((out, &x), m), arm) in rest.iter_mut().zip(x_rest).zip(m_rest).zip(arm_rest) {
            let e = f64::from(x) - m;
            *out = e;
            q[0] = f64::mad::<FMA>(e, e, q[0]);
            p[0] = f64::mad::<FMA>(e, *arm, p[0]);
        }
        squares.copy_from_slice(&q);
        products.copy_from_slice(&p);
    }
}

/// Numbers below `low` or above `high`.
#[must_use]
pub fn outside(features: &[f32], low: f64, high: f64) -> u64 {
    let mut counts = [0.0; UNITS];
    widest(Outside { features, low, high }, &mut counts, &mut [], &mut []);
    total(&counts) as u64
}

struct Outside<'a> {
    features: &'a [f32],
    low: f64,
    high: f64,
}

impl Loop<f64> for Outside<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, counts: &mut [f64], _: &mut [f64], _: &mut [f64]) {
        let is = |x: f32| {
            let x = f64::from(x);
            f64::from(u8::from(x < self.low)) + f64::from(u8::from(x > self.high))
        };
        let (whole, rest) = self.features.as_chunks::<UNITS>();
        for x in whole {
            for i in 0..UNITS {
                counts[i] += is(x[i]);
            }
        }
        rest.iter().for_each(|&x| counts[0] += is(x));
    }
}

/// Place of the largest number, the last one of equals; 0 for none.
#[must_use]
pub fn largest(row: &[f32]) -> usize {
    let mut lanes = [f32::NEG_INFINITY; UNITS];
    let (whole, rest) = row.as_chunks::<UNITS>();
    for x in whole {
        for i in 0..UNITS {
            lanes[i] = lanes[i].greatest(x[i]);
        }
    }
    let top = lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |top, &x| top.greatest(x));
    row.iter().rposition(|&x| x == top).unwrap_or(0)
}

fn total(lanes: &[f64; UNITS]) -> f64 {
    let mut sum = *lanes;
    for half in [8, 4, 2, 1] {
        (0..half).for_each(|i| sum[i] += sum[i + half]);
    }
    sum[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_math::random::Stream;

    fn noise(n: usize, at: u64) -> Vec<f32> {
        let mut out = vec![0f32; n];
        Stream::new(5, "lanes test", &[at]).fill_normal(&mut out, 1.0);
        out
    }

    #[test]
    fn one_pass_is_what_plain_loops_say() {
        for (positions, width) in [(1, 1), (1, 40), (3, 16), (17, 33), (64, 48)] {
            let x = noise(positions * width, width as u64);
            let (mut low, mut high) = (vec![f32::INFINITY; width], vec![f32::NEG_INFINITY; width]);
            let mut sums = vec![0.0; width];
            let squares = survey(&x, &mut low, &mut high, &mut sums);
            let plain: f64 = x.iter().map(|&x| f64::from(x).powi(2)).sum();
            assert!((squares - plain).abs() <= 1e-14 * plain, "{positions} {width}");
            for unit in 0..width {
                let column = || x.iter().skip(unit).step_by(width);
                let sum: f64 = column().map(|&x| f64::from(x)).sum();
                assert!((sums[unit] - sum).abs() < 1e-12, "{positions} {width}");
                assert_eq!(low[unit], column().copied().fold(f32::INFINITY, f32::min));
                assert_eq!(high[unit], column().copied().fold(f32::NEG_INFINITY, f32::max));
            }
        }
    }

    #[test]
    fn differences_and_counts_are_what_plain_loops_say() {
        for width in [1, 15, 16, 37, 512] {
            let (a, b) = (noise(width, 1), noise(width, 2));
            let dot = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
                a.iter().zip(&b).map(|(&a, &b)| f(f64::from(a), f64::from(b))).sum()
            };
            let [aa, bb, dd] = apart(&a, &b);
            let expect = [dot(&|a, _| a * a), dot(&|_, b| b * b), dot(&|a, b| (b - a) * (b - a))];
            for (got, expect) in [aa, bb, dd].iter().zip(expect) {
                assert!((got - expect).abs() <= 1e-13 * expect, "{width}: {got} {expect}");
            }
            let mut sums = vec![1.0; width];
            assert!((about(&a, &b, &mut sums) - dd).abs() <= 1e-13 * dd);
            assert_eq!(sums[0], 1.0 + f64::from(a[0]) - f64::from(b[0]));
            let count = a.iter().filter(|x| !(-0.5..=0.9).contains(*x)).count() as u64;
            assert_eq!(outside(&a, -0.5, 0.9), count);
        }
        assert_eq!(largest(&[1.0, 3.0, 3.0, 2.0]), 2);
    }
}
