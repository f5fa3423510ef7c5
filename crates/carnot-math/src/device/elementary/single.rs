//! Single-precision functions and slopes by polynomials and quotients.
//!
//! exp, sine, cosine and arctangent follow Moshier's Cephes; tanh is the (13, 6) quotient used by Eigen; erf near 0 follows
//! N. Juffa; the scaled complementary error function was fitted here in 40-digit arithmetic (relative error 4e-9).

// Coefficients stand with the digits of their sources.
#![allow(clippy::excessive_precision)]

use super::Unary;

/// a·b + c, fused where the processor does that in one instruction.
#[inline(always)]
fn mad<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// c_0 x^n + … + c_n.
#[inline(always)]
fn polynomial<const FMA: bool, const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut sum = c[0];
    for k in 1..N {
        sum = mad::<FMA>(sum, x, c[k]);
    }
    sum
}

/// Limits that let NaN through.
#[inline(always)]
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// 1.5·2^23: adding it rounds to the nearest integer, which then stands in the low bits.
const ROUND: f32 = 12_582_912.0;

/// x = n ln 2 + r with |r| ≤ ln(2)/2: returns n and r.
#[inline(always)]
fn split<const FMA: bool>(x: f32) -> (i32, f32) {
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = mad::<FMA>(n, -0.693_359_4, x);
    let r = mad::<FMA>(n, 2.121_944_4e-4, r);
    ((shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32), r)
}

/// e^r − 1 for |r| ≤ ln(2)/2.
#[inline(always)]
fn expm1_near_zero<const FMA: bool>(r: f32) -> f32 {
    let p = polynomial::<FMA, 6>(
        r,
        [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.000_000_1e-1],
    );
    mad::<FMA>(p * r, r, r)
}

/// 2^n for −126 ≤ n ≤ 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23) as u32)
}

#[inline(always)]
fn exp<const FMA: bool>(x: f32) -> f32 {
    let (n, r) = split::<FMA>(clamp(x, -105.0, 89.0));
    let half = n >> 1;
    // Two factors, so that results below the normal range and overflow come out right.
    (1.0 + expm1_near_zero::<FMA>(r)) * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// e^(−scale x²) for a power of two and, with FMA, without the rounding error of the square.
#[inline(always)]
fn gauss<const FMA: bool>(x: f32, scale: f32) -> f32 {
    let x = clamp(x, -15.0, 15.0);
    let square = scale * x * x;
    let e = exp::<FMA>(-square);
    if FMA { e - e * (scale * x).mul_add(x, -square) } else { e }
}

/// e^(t²) erfc(t) for 0 ≤ t ≤ 10.6.
#[inline(always)]
fn scaled_erfc<const FMA: bool>(t: f32) -> f32 {
    let t = clamp(t, 0.0, 10.6);
    polynomial::<FMA, 11>((t - 3.0) / (t + 3.0), SCALED_ERFC)
}

#[rustfmt::skip]
const SCALED_ERFC: [f32; 11] = [5.43862880e-05, 2.60915276e-05, -5.94495970e-04, 7.17991672e-04, 4.26935544e-03, -2.43948828e-02, 7.16657266e-02, -1.50115699e-01, 2.45603815e-01, -3.26233566e-01, 1.79001153e-01];

/// erf(x) for |x| < 1.
#[inline(always)]
fn erf_near_zero<const FMA: bool>(x: f32) -> f32 {
    let p = polynomial::<FMA, 6>(
        x * x,
        [-5.967_617e-4, 4.991_194_2e-3, -2.676_813_5e-2, 1.128_199_2e-1, -3.761_253_4e-1, 1.283_791_7e-1],
    );
    mad::<FMA>(p, x, x)
}

/// 2 artanh(s) for |s| ≤ 1/3.
#[inline(always)]
fn twice_artanh<const FMA: bool>(s: f32) -> f32 {
    let q = s * s;
    let p =
        polynomial::<FMA, 7>(q, [1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 0.2, 1.0 / 3.0]);
    2.0 * mad::<FMA>(p * q, s, s)
}

#[inline(always)]
fn ln<const FMA: bool>(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    let i = (scaled.to_bits() as i32).wrapping_sub(0x3f35_04f3);
    let exponent = (i >> 23) as f32 - if tiny { 23.0 } else { 0.0 };
    let m = f32::from_bits(((i & 0x007f_ffff) + 0x3f35_04f3) as u32) - 1.0;
    let y = twice_artanh::<FMA>(m / (m + 2.0));
    let y = mad::<FMA>(exponent, -2.121_944_4e-4, y);
    let y = mad::<FMA>(exponent, 0.693_359_4, y);
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x == f32::INFINITY { x } else { y };
    if x < 0.0 || x.is_nan() { f32::NAN } else { y }
}

macro_rules! unary {
    ($(#[$doc:meta])* $name:ident |$x:ident, $fma:ident| $body:block) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name;

        impl Unary<f32> for $name {
            #[inline(always)]
            fn at<const $fma: bool>(self, $x: f32) -> (f32, f32) $body
        }
    };
}

unary! {
    /// e^x
    Exp |x, FMA| {
        let e = exp::<FMA>(x);
        (e, e)
    }
}

unary! {
    /// e^x − 1
    Expm1 |x, FMA| {
        let (n, r) = split::<FMA>(clamp(x, -87.0, 89.0));
        let scale = power_of_two(n.wrapping_sub(1));
        let p = expm1_near_zero::<FMA>(r);
        (2.0 * (p * scale + (scale - 0.5)), 2.0 * ((1.0 + p) * scale))
    }
}

unary! {
    /// Natural logarithm
    Ln |x, FMA| {
        (ln::<FMA>(x), 1.0 / x)
    }
}

unary! {
    /// ln(1 + x)
    Log1p |x, FMA| {
        let u = 1.0 + x;
        let y = ln::<FMA>(u);
        let lost = (x - (u - 1.0)) / u;
        (if u == 0.0 || u == f32::INFINITY { y } else { y + lost }, 1.0 / u)
    }
}

unary! {
    /// Hyperbolic tangent
    Tanh |x, FMA| {
        let u = clamp(x, -7.905_311, 7.905_311);
        let s = u * u;
        let p = polynomial::<FMA, 7>(s, [
            -2.760_768_5e-16, 2.000_187_9e-13, -8.604_672e-11, 5.122_297_1e-8, 1.485_722_4e-5, 6.372_619_3e-4, 4.893_524_6e-3,
        ]);
        let q = polynomial::<FMA, 4>(s, [1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525_2e-3]);
        let t = clamp(u * p / q, -1.0, 1.0);
        // From 9.02 on, tanh is 1 in single precision; the slope left by rounding would be multiplied by z in mish.
        let far = x.abs() > 9.02;
        (if far { 1f32.copysign(x) } else { t }, if far { 0.0 } else { 1.0 - t * t })
    }
}

/// (1/(1+e^−x), its slope, e^−|x|).
#[inline(always)]
fn logistic<const FMA: bool>(x: f32) -> (f32, f32, f32) {
    let e = exp::<FMA>(-x.abs());
    let d = 1.0 / (1.0 + e);
    let small = e * d;
    (if x >= 0.0 { d } else { small }, small * d, e)
}

unary! {
    /// Logistic function
    Sigmoid |x, FMA| {
        let (p, slope, _) = logistic::<FMA>(x);
        (p, slope)
    }
}

unary! {
    /// ln(1 + e^x)
    Softplus |x, FMA| {
        let (p, _, e) = logistic::<FMA>(x);
        let above = if x < 0.0 { 0.0 } else { x };
        (above + twice_artanh::<FMA>(e / (2.0 + e)), p)
    }
}

unary! {
    /// x / (1 + e^−x)
    Silu |x, FMA| {
        let (p, slope, _) = logistic::<FMA>(x);
        // Below −105 the logistic function is 0, and −∞ · 0 must be 0.
        let x = if x < -110.0 { -110.0 } else { x };
        (x * p, mad::<FMA>(if x > 110.0 { 0.0 } else { x }, slope, p))
    }
}

/// (Φ(x), density).
#[inline(always)]
fn normal<const FMA: bool>(x: f32) -> (f32, f32) {
    let e = gauss::<FMA>(x, 0.5);
    let tail = 0.5 * e * scaled_erfc::<FMA>(x.abs() * std::f32::consts::FRAC_1_SQRT_2);
    (if x < 0.0 { tail } else { 1.0 - tail }, e * 0.398_942_3)
}

unary! {
    /// Normal distribution function
    NormalCdf |x, FMA| {
        normal::<FMA>(x)
    }
}

unary! {
    /// Normal density
    NormalPdf |x, FMA| {
        let density = gauss::<FMA>(x, 0.5) * 0.398_942_3;
        (density, -clamp(x, -15.0, 15.0) * density)
    }
}

unary! {
    /// x Φ(x)
    Gelu |x, FMA| {
        let (share, density) = normal::<FMA>(x);
        let near = clamp(x, -15.0, 15.0);
        (if x < -15.0 { 0.0 } else { x } * share, mad::<FMA>(near, density, share))
    }
}

unary! {
    /// Error function
    Erf |x, FMA| {
        let e = gauss::<FMA>(x, 1.0);
        let far = 1.0 - e * scaled_erfc::<FMA>(x.abs());
        let near = erf_near_zero::<FMA>(clamp(x, -1.0, 1.0));
        (if x.abs() < 0.93 { near } else { far.copysign(x) }, e * std::f32::consts::FRAC_2_SQRT_PI)
    }
}

unary! {
    /// Complementary error function
    Erfc |x, FMA| {
        let e = gauss::<FMA>(x, 1.0);
        let tail = e * scaled_erfc::<FMA>(x.abs());
        let near = 1.0 - erf_near_zero::<FMA>(clamp(x, -1.0, 1.0));
        let far = if x < 0.0 { 2.0 - tail } else { tail };
        (if x.abs() < 0.5 { near } else { far }, -e * std::f32::consts::FRAC_2_SQRT_PI)
    }
}

unary! {
    /// Inverse tangent
    Arctangent |x, FMA| {
        let t = x.abs();
        let (far, middle) = (t > 2.414_213_6, t > 0.414_213_57);
        let numerator = if far { -1.0 } else if middle { t - 1.0 } else { t };
        let denominator = if far { t } else if middle { t + 1.0 } else { 1.0 };
        let offset = if far { std::f32::consts::FRAC_PI_2 } else if middle { std::f32::consts::FRAC_PI_4 } else { 0.0 };
        let u = numerator / denominator;
        let s = u * u;
        let p = polynomial::<FMA, 4>(s, [8.053_744_5e-2, -1.387_768_6e-1, 1.997_771_1e-1, -3.333_295e-1]);
        ((offset + mad::<FMA>(p * s, u, u)).copysign(x), 1.0 / (1.0 + x * x))
    }
}

/// Largest argument whose reduction modulo π/2 below is exact enough.
const FARTHEST_ANGLE: f32 = 1e6;

/// (sin x, cos x) for |x| ≤ 10^6; reduced in double precision.
#[inline(always)]
fn sine_cosine<const FMA: bool>(x: f32) -> (f32, f32) {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let shifted = f64::from(x) * std::f64::consts::FRAC_2_PI + ROUND;
    let n = shifted - ROUND;
    // π/2 in a part of 33 bits, so that n times it is exact, and the rest.
    let r = ((f64::from(x) - n * 1.570_796_326_734_125_6) - n * 6.077_100_506_506_192e-11) as f32;
    let quadrant = shifted.to_bits() as u32;
    let q = r * r;
    let s = polynomial::<FMA, 3>(q, [-1.951_529_6e-4, 8.332_161e-3, -1.666_665_5e-1]);
    let s = mad::<FMA>(s * q, r, r);
    let c = polynomial::<FMA, 3>(q, [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2]);
    let c = mad::<FMA>(c * q, q, 1.0 - 0.5 * q);
    let swap = quadrant & 1 != 0;
    let (sine, cosine) = if swap { (c, s) } else { (s, c) };
    let sign_of_sine = (quadrant & 2) << 30;
    let sign_of_cosine = (quadrant.wrapping_add(1) & 2) << 30;
    (f32::from_bits(sine.to_bits() ^ sign_of_sine), f32::from_bits(cosine.to_bits() ^ sign_of_cosine))
}

/// sin x
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sine;

/// cos x
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cosine;

impl Unary<f32> for Sine {
    const PARTIAL: bool = true;
    #[inline(always)]
    fn at<const FMA: bool>(self, x: f32) -> (f32, f32) {
        sine_cosine::<FMA>(x)
    }
    #[inline(always)]
    fn covers(self, x: f32) -> bool {
        x.abs() <= FARTHEST_ANGLE
    }
    fn beyond(self, x: f32) -> (f32, f32) {
        (f64::from(x).sin() as f32, f64::from(x).cos() as f32)
    }
}

impl Unary<f32> for Cosine {
    const PARTIAL: bool = true;
    #[inline(always)]
    fn at<const FMA: bool>(self, x: f32) -> (f32, f32) {
        let (sine, cosine) = sine_cosine::<FMA>(x);
        (cosine, -sine)
    }
    #[inline(always)]
    fn covers(self, x: f32) -> bool {
        x.abs() <= FARTHEST_ANGLE
    }
    fn beyond(self, x: f32) -> (f32, f32) {
        (f64::from(x).cos() as f32, -(f64::from(x).sin() as f32))
    }
}
