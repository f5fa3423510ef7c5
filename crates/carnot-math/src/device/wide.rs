//! Loops of other crates, compiled for several instruction sets, and the numbers such loops compute with.
//!
//! A loop over slices without branches implements [`Loop`]; [`widest`] runs it with the best instructions of the processor.

// Coefficients stand with the digits of their source.
#![allow(clippy::excessive_precision)]

use crate::scalar::Scalar;

/// A loop to be compiled for AVX-512, AVX2 with FMA, and what every processor has.
pub trait Loop<S> {
    /// The loop, which writes to up to three slices. Mark it and everything it calls `#[inline(always)]`; with `FMA` the
    /// processor multiplies and adds in one instruction, to be had from [`Real::mad`].
    fn run<const FMA: bool>(self, first: &mut [S], second: &mut [S], third: &mut [S]);
}

/// Runs a loop with the widest instructions at hand.
///
/// The slices are arguments, not fields of the loop, because only then does the compiler know that they do not overlap
/// anything else, without which it writes no vector instructions.
pub fn widest<S, L: Loop<S>>(body: L, first: &mut [S], second: &mut [S], third: &mut [S]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
        fn wide<S, L: Loop<S>>(body: L, first: &mut [S], second: &mut [S], third: &mut [S]) {
            body.run::<true>(first, second, third);
        }
        #[target_feature(enable = "avx2,fma")]
        fn middle<S, L: Loop<S>>(body: L, first: &mut [S], second: &mut [S], third: &mut [S]) {
            body.run::<true>(first, second, third);
        }
        match super::elementary::level() {
            // SAFETY: the features were detected on this processor.
            2 => return unsafe { wide(body, first, second, third) },
            // SAFETY: the features were detected on this processor.
            1 => return unsafe { middle(body, first, second, third) },
            _ => {}
        }
    }
    body.run::<false>(first, second, third);
}

/// A number inside a [`Loop`]: everything here becomes vector instructions.
pub trait Real: Scalar {
    /// 0.
    const ZERO: Self;
    /// 1/2.
    const HALF: Self;
    /// 1.
    const ONE: Self;
    /// 2.
    const TWO: Self;
    /// π/2.
    const QUARTER_TURN: Self;
    /// π.
    const HALF_TURN: Self;
    /// 2/π.
    const TWO_OVER_PI: Self;

    /// a·b + c, rounded once where `FMA`.
    fn mad<const FMA: bool>(a: Self, b: Self, c: Self) -> Self;
    /// The smaller; the second when one is NaN.
    fn least(self, other: Self) -> Self;
    /// The larger; the second when one is NaN.
    fn greatest(self, other: Self) -> Self;
    /// arcsin(√z)/√z for 0 ≤ z ≤ 1/4, to 2e-17 (`f64`) or 5e-9 (`f32`) and rounding.
    fn arc<const FMA: bool>(z: Self) -> Self;

    /// The angle θ in [0, π/2] with 1 − cos θ = `gap` and cos θ = `cosine`, both ≥ 0 and each to its own relative accuracy:
    /// neither small angles nor those near π/2 lose digits.
    #[inline(always)]
    fn angle<const FMA: bool>(gap: Self, cosine: Self) -> Self {
        // Below π/3 by the sine of half the angle, above by the cosine: one square root, one polynomial.
        let is_small = gap <= Self::HALF;
        let half = Self::HALF * gap;
        let root = half.root();
        let (z, s) = if is_small { (half, root) } else { (cosine * cosine, cosine) };
        let arc = s * Self::arc::<FMA>(z);
        if is_small { arc + arc } else { Self::QUARTER_TURN - arc }
    }

    /// arcsin x for |x| ≤ 1.
    #[inline(always)]
    fn arcsine<const FMA: bool>(x: Self) -> Self {
        let size = if x < Self::ZERO { -x } else { x };
        let is_small = size <= Self::HALF;
        let half = (Self::HALF * (Self::ONE - size)).greatest(Self::ZERO);
        let root = half.root();
        let (z, s) = if is_small { (size * size, size) } else { (half, root) };
        let arc = s * Self::arc::<FMA>(z);
        let angle = if is_small { arc } else { Self::QUARTER_TURN - (arc + arc) };
        if x < Self::ZERO { -angle } else { angle }
    }
}

/// $e^x$ for x ≤ 0 to two units in the last place, and 0 below −708.
///
/// Source: $x = k \ln 2 + r$ with |r| ≤ ln 2/2, Taylor's series of $e^r$ to the twelfth power (the next term is below 2e-16).
#[inline(always)]
pub fn decay<const FMA: bool>(x: f64) -> f64 {
    // Adding 1.5 · 2⁵² rounds to a whole number, which then stands in the low bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let within = if x > -708.0 { x } else { -708.0 };
    let shifted = f64::mad::<FMA>(within, std::f64::consts::LOG2_E, ROUND);
    let k = shifted - ROUND;
    let r = f64::mad::<FMA>(k, -6.931_471_803_691_238e-1, within);
    let r = f64::mad::<FMA>(k, -1.908_214_929_270_587_7e-10, r);
    let square = r * r;
    // Even and odd powers side by side, so that the chain of multiplications is half as long.
    let even = [1.0 / 479_001_600.0, 1.0 / 3_628_800.0, 1.0 / 40_320.0, 1.0 / 720.0, 1.0 / 24.0, 0.5];
    let odd = [1.0 / 39_916_800.0, 1.0 / 362_880.0, 1.0 / 5_040.0, 1.0 / 120.0, 1.0 / 6.0];
    let (mut p, mut q) = (even[0], odd[0]);
    for at in 1..6 {
        p = f64::mad::<FMA>(p, square, even[at]);
    }
    for at in 1..5 {
        q = f64::mad::<FMA>(q, square, odd[at]);
    }
    let curved = square * f64::mad::<FMA>(q, r, p);
    let scale = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    let value = f64::mad::<FMA>(scale, r + curved, scale);
    if x > -708.0 { value } else { 0.0 }
}

/// c_0 x^n + … + c_n.
macro_rules! horner {
    ($fma:ident, $x:expr, $first:expr $(, $c:expr)*) => {{
        let x = $x;
        let sum = $first;
        $(let sum = Self::mad::<$fma>(sum, x, $c);)*
        sum
    }};
}

macro_rules! real {
    ($t:ty, $pi:expr, [$($c:expr),*]) => {
        impl Real for $t {
            const ZERO: $t = 0.0;
            const HALF: $t = 0.5;
            const ONE: $t = 1.0;
            const TWO: $t = 2.0;
            const QUARTER_TURN: $t = $pi / 2.0;
            const HALF_TURN: $t = $pi;
            const TWO_OVER_PI: $t = 2.0 / $pi;

            #[inline(always)]
            fn mad<const FMA: bool>(a: $t, b: $t, c: $t) -> $t {
                if FMA { a.mul_add(b, c) } else { a * b + c }
            }
            #[inline(always)]
            fn least(self, other: $t) -> $t {
                if self < other { self } else { other }
            }
            #[inline(always)]
            fn greatest(self, other: $t) -> $t {
                if self > other { self } else { other }
            }
            #[inline(always)]
            fn arc<const FMA: bool>(z: $t) -> $t {
                horner!(FMA, z, $($c),*)
            }
        }
    };
}

// Chebyshev interpolation on [0, 1/4] in 40-digit arithmetic.
real!(
    f64,
    std::f64::consts::PI,
    [
        3.187_962_140_081_284e-2,
        -1.618_739_227_159_913_3e-2,
        1.951_346_825_125_216_8e-2,
        6.529_302_004_736_569e-3,
        1.217_013_859_239_172_6e-2,
        1.388_484_282_640_208e-2,
        1.735_977_964_134_998e-2,
        2.237_174_973_316_405_4e-2,
        3.038_195_969_768_513_8e-2,
        4.464_285_680_599_894e-2,
        7.500_000_000_385_202e-2,
        1.666_666_666_666_494e-1,
        1.0
    ]
);
real!(
    f32,
    std::f32::consts::PI,
    [4.241_737_4e-2, 2.399_4e-2, 4.552_063_6e-2, 7.494_697e-2, 1.666_678_2e-1, 1.0]
);

#[cfg(test)]
mod tests {
    use super::*;

    struct Decays<'a>(&'a [f64]);

    impl Loop<f64> for Decays<'_> {
        #[inline(always)]
        fn run<const FMA: bool>(self, out: &mut [f64], _: &mut [f64], _: &mut [f64]) {
            for (out, x) in out.iter_mut().zip(self.0) {
                *out = decay::<FMA>(*x);
            }
        }
    }

    #[test]
    fn decays_are_as_good_as_the_library() {
        let x: Vec<f64> = (0..100_000).map(|i| -707.0 * (f64::from(i) / 99_999.0).powi(6)).collect();
        let mut out = vec![0.0; x.len()];
        widest(Decays(&x), &mut out, &mut [], &mut []);
        for (out, x) in out.iter().zip(&x) {
            assert!((out / x.exp() - 1.0).abs() <= 4.5e-16, "e^{x}: {out}");
            assert!((decay::<false>(*x) / x.exp() - 1.0).abs() <= 4.5e-16, "e^{x}");
        }
        assert_eq!(
            (decay::<true>(0.0), decay::<true>(-1e9), decay::<true>(f64::NEG_INFINITY)),
            (1.0, 0.0, 0.0)
        );
    }

    struct Angles<'a> {
        gap: &'a [f64],
    }

    impl Loop<f64> for Angles<'_> {
        #[inline(always)]
        fn run<const FMA: bool>(self, out: &mut [f64], _: &mut [f64], _: &mut [f64]) {
            for (out, gap) in out.iter_mut().zip(self.gap) {
                *out = f64::angle::<FMA>(*gap, 1.0 - *gap);
            }
        }
    }

    #[test]
    fn angles_of_all_sizes_are_as_good_as_the_library() {
        let angles: Vec<f64> = (0..1000).map(|i| 1.57 * (f64::from(i) / 999.0).powi(8)).collect();
        let gap: Vec<f64> = angles.iter().map(|x| 2.0 * (x / 2.0).sin().powi(2)).collect();
        let mut out = vec![0.0; gap.len()];
        widest(Angles { gap: &gap }, &mut out, &mut [], &mut []);
        for (out, angle) in out.iter().zip(&angles) {
            assert!((out - angle).abs() <= 4e-16 * angle.max(out.abs()), "{out} for {angle}");
        }
    }

    #[test]
    fn arcsines_are_as_good_as_the_library() {
        for i in -1000..=1000 {
            let x = f64::from(i) / 1000.0;
            let (double, single) = (f64::arcsine::<true>(x), f32::arcsine::<true>(x as f32));
            assert!((double - x.asin()).abs() <= 7e-16 * x.asin().abs().max(1e-300), "{x}: {double}");
            assert!((f64::from(single) - f64::from(x as f32).asin()).abs() <= 2e-7, "{x}: {single}");
        }
    }
}
