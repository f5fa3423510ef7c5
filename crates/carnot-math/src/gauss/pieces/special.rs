//! Elementary functions without branches, so that loops over pairs become vector instructions.

// Coefficients stand with the digits they were computed to.
#![allow(clippy::excessive_precision)]

/// a·b + c, rounded once where `FMA`.
#[inline(always)]
pub(super) fn mad<const FMA: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// e^x to 3e-16; below −708 it stays at the smallest normal number.
#[inline(always)]
pub(super) fn exp<const FMA: bool>(x: f64) -> f64 {
    // 1.5 · 2^52: adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let x = if x > -708.0 { x } else { -708.0 };
    let x = if x < 709.0 { x } else { 709.0 };
    let shifted = mad::<FMA>(x, std::f64::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = mad::<FMA>(n, -6.931_471_803_691_238_2e-1, x);
    let r = mad::<FMA>(n, -1.908_214_929_270_587_7e-10, r);
    let mut sum = FACTORIAL[13];
    let mut k = 13;
    while k > 0 {
        k -= 1;
        sum = mad::<FMA>(sum, r, FACTORIAL[k]);
    }
    sum * f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52))
}

/// 1/k!
const FACTORIAL: [f64; 19] = {
    let mut all = [1.0; 19];
    let mut k = 1;
    while k < 19 {
        all[k] = all[k - 1] / k as f64;
        k += 1;
    }
    all
};

/// (e^y − 1 − y)/y², which is ½ at 0.
#[inline(always)]
pub(super) fn second_remainder<const FMA: bool>(y: f64) -> f64 {
    let near = if y.abs() < 1.0 { y } else { 1.0 };
    let mut sum = FACTORIAL[18];
    let mut k = 18;
    while k > 2 {
        k -= 1;
        sum = mad::<FMA>(sum, near, FACTORIAL[k]);
    }
    let far = if y.abs() < 1.0 { 1.0 } else { y };
    let other = (exp::<FMA>(far) - 1.0 - far) / (far * far);
    if y.abs() < 1.0 { sum } else { other }
}

/// e^{x²/2} Φ(−x) for x ≥ 0, relative error 8e-16.
///
/// (1 + √(2π) x) times it is smooth in (x − 4)/(x + 4) on [−1, 1]; Chebyshev interpolation of order 24 in 60-digit arithmetic.
/// Source of the substitution: Shepherd & Laframboise, Math. Comp. 36 (1981).
#[inline(always)]
pub(super) fn mills<const FMA: bool>(x: f64) -> f64 {
    let t = (x - 4.0) / (x + 4.0);
    let mut sum = MILLS[0];
    let mut k = 1;
    while k < MILLS.len() {
        sum = mad::<FMA>(sum, t, MILLS[k]);
        k += 1;
    }
    sum / mad::<FMA>(x, 2.506_628_274_631_000_2, 1.0)
}

#[rustfmt::skip]
const MILLS: [f64; 25] = [3.520849976625826e-10, -1.9679740361265928e-09, -5.914253150457976e-09, 1.6728749884017784e-08, 4.995405638278585e-08, -6.281976380051552e-08, -3.00431371304864e-07, 7.637921635859149e-08, 1.5322235400532982e-06, 7.092136179691286e-07, -7.549803135786234e-06, -7.35664334590343e-06, 4.064261276904717e-05, 4.628896695526332e-05, -0.00026337796686506227, -0.00016806747635773054, 0.0020238658839466673, -0.0016784059150116261, -0.013303810993450155, 0.05775356024115937, -0.12720979623659864, 0.17972688859695934, -0.15230142263693466, 0.014326354695794878, 1.0410201729562116];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_and_tails_are_those_of_the_library() {
        for i in -7000..7000 {
            let x = f64::from(i) / 10.0 + 0.0123;
            assert!((exp::<true>(x) / x.exp() - 1.0).abs() < 4e-16, "{x}");
            assert!((exp::<false>(x) / x.exp() - 1.0).abs() < 4e-16, "{x}");
        }
        for i in 0..3500 {
            let x = f64::from(i) / 100.0;
            let tail = 0.5 * libm::erfc(x / 2f64.sqrt());
            let got = mills::<false>(x) * (-0.5 * x * x).exp();
            // The library's argument is rounded, which x² magnifies.
            assert!((got / tail - 1.0).abs() < 1e-15 * (1.0 + x * x), "{x}: {got} and {tail}");
        }
        // Far out: 1/(x √(2π)) (1 − 1/x² + 3/x⁴).
        let x = 1e3f64;
        let far = (1.0 - 1.0 / (x * x) + 3.0 / x.powi(4)) / (x * (2.0 * std::f64::consts::PI).sqrt());
        assert!((mills::<true>(x) / far - 1.0).abs() < 1e-15);
    }

    #[test]
    fn the_remainder_of_the_exponential_does_not_cancel() {
        for y in [-2.0, -1.0, -0.99, -1e-9, 0.0, 1e-5, 0.3, 0.999, 1.0, 5.0, 12.0f64] {
            let mut term = 0.5;
            let mut sum = 0.0;
            for k in 3..400 {
                sum += term;
                term *= y / f64::from(k);
            }
            let got = second_remainder::<true>(y);
            assert!((got / sum - 1.0).abs() < 3e-15, "{y}: {got} and {sum}");
        }
    }
}
