//! Truncated Taylor arithmetic: a number together with its first four derivatives along z.
//!
//! A [`Jet`] holds Taylor coefficients c_k = f^(k)/k!, so a product is a plain convolution; every primitive brings
//! its own coefficients in a form that does not cancel, and the chain rule (Faà di Bruno to fourth order) is written once.

use super::expression::Function;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Taylor coefficients c_0 … c_4 around one point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Jet(pub(super) [f64; 5]);

/// Product in which an exact zero wins over an overflow: the true limit for every bounded activation at large |z|.
pub(super) fn times(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { a * b }
}

impl Jet {
    pub(super) const ZERO: Jet = Jet([0.0; 5]);

    pub(super) fn constant(value: f64) -> Jet {
        Jet([value, 0.0, 0.0, 0.0, 0.0])
    }

    pub(super) fn variable(z: f64) -> Jet {
        Jet([z, 1.0, 0.0, 0.0, 0.0])
    }

    /// f, f', f'', f''', f''''.
    pub(super) fn derivatives(self) -> [f64; 5] {
        let c = self.0;
        [c[0], c[1], 2.0 * c[2], 6.0 * c[3], 24.0 * c[4]]
    }

    fn map(self, f: impl Fn(f64) -> f64) -> Jet {
        Jet(self.0.map(f))
    }

    pub(super) fn add(self, other: Jet) -> Jet {
        Jet(std::array::from_fn(|k| self.0[k] + other.0[k]))
    }

    pub(super) fn subtract(self, other: Jet) -> Jet {
        Jet(std::array::from_fn(|k| self.0[k] - other.0[k]))
    }

    pub(super) fn negate(self) -> Jet {
        self.map(|c| -c)
    }

    pub(super) fn multiply(self, other: Jet) -> Jet {
        let (a, b) = (self.0, other.0);
        let mut c: [f64; 5] = std::array::from_fn(|k| (0..=k).map(|j| times(a[j], b[k - j])).sum());
        // Values follow plain arithmetic, so that value() and jet() agree, infinities included.
        c[0] = a[0] * b[0];
        Jet(c)
    }

    pub(super) fn divide(self, other: Jet) -> Jet {
        let (a, b) = (self.0, other.0);
        if b[0].is_infinite() && a[0].is_finite() {
            return Jet::constant(a[0] / b[0]);
        }
        let mut c = [0.0; 5];
        for k in 0..5 {
            let known: f64 = (1..=k).map(|j| times(b[j] / b[0], c[k - j])).sum();
            c[k] = a[k] / b[0] - known;
        }
        c[0] = a[0] / b[0];
        Jet(c)
    }

    /// The outer function's Taylor coefficients g at this jet's value, composed with this jet.
    pub(super) fn chain(self, g: [f64; 5]) -> Jet {
        let [_, u1, u2, u3, u4] = self.0;
        Jet([
            g[0],
            times(g[1], u1),
            times(g[1], u2) + times(g[2], u1 * u1),
            times(g[1], u3) + times(g[2], 2.0 * u1 * u2) + times(g[3], u1 * u1 * u1),
            times(g[1], u4)
                + times(g[2], 2.0 * u1 * u3 + u2 * u2)
                + times(g[3], 3.0 * u1 * u1 * u2)
                + times(g[4], (u1 * u1) * (u1 * u1)),
        ])
    }

    /// u^p for a constant exponent.
    pub(super) fn power(self, p: f64) -> Jet {
        let u = self.0[0];
        let mut binomial = 1.0;
        let g = std::array::from_fn(|k| {
            let term = if binomial == 0.0 { 0.0 } else { binomial * power(u, p - k as f64) };
            binomial *= (p - k as f64) / (k as f64 + 1.0);
            term
        });
        self.chain(g)
    }

    /// A smooth function of one argument; the switching ones (abs, sign, step) are the tape's business.
    pub(super) fn call(self, function: Function) -> Jet {
        self.chain(taylor(function, self.0[0]))
    }
}

/// u^p, by multiplication where p is a small integer.
pub(super) fn power(u: f64, p: f64) -> f64 {
    if p.fract() == 0.0 && p.abs() <= 64.0 { u.powi(p as i32) } else { u.powf(p) }
}

/// Logistic function without overflow.
pub(super) fn sigmoid(u: f64) -> f64 {
    let small = (-u.abs()).exp();
    (if u >= 0.0 { 1.0 } else { small }) / (1.0 + small)
}

/// ln(1 + e^u) without overflow.
pub(super) fn softplus(u: f64) -> f64 {
    if u.is_nan() { u } else { u.max(0.0) + (-u.abs()).exp().ln_1p() }
}

/// The value of a function of one argument.
pub(super) fn value(function: Function, u: f64) -> f64 {
    match function {
        Function::Exp => u.exp(),
        Function::Expm1 => u.exp_m1(),
        Function::Ln => u.ln(),
        Function::Log1p => u.ln_1p(),
        Function::Sqrt => u.sqrt(),
        Function::Sin => u.sin(),
        Function::Cos => u.cos(),
        Function::Tan => u.tan(),
        Function::Asin => u.asin(),
        Function::Acos => u.acos(),
        Function::Atan => u.atan(),
        Function::Sinh => u.sinh(),
        Function::Cosh => u.cosh(),
        Function::Tanh => u.tanh(),
        Function::Asinh => u.asinh(),
        Function::Erf => libm::erf(u),
        Function::Erfc => libm::erfc(u),
        Function::NormalCdf => 0.5 * libm::erfc(-u * FRAC_1_SQRT_2),
        Function::NormalPdf => (-0.5 * u * u).exp() / (2.0 * PI).sqrt(),
        Function::Sigmoid => sigmoid(u),
        Function::Softplus => softplus(u),
        Function::Abs => u.abs(),
        Function::Sign => sign(u),
        Function::Step => step(u),
    }
}

/// The slope of a function of one argument.
pub(super) fn slope(function: Function, u: f64) -> f64 {
    match function {
        Function::Exp | Function::Expm1 => u.exp(),
        Function::Ln => 1.0 / u,
        Function::Log1p => 1.0 / (1.0 + u),
        Function::Sin => u.cos(),
        Function::Cos => -u.sin(),
        Function::Tanh => {
            let c = u.cosh();
            (1.0 / c) * (1.0 / c)
        }
        Function::Erf => std::f64::consts::FRAC_2_SQRT_PI * (-u * u).exp(),
        Function::Erfc => -std::f64::consts::FRAC_2_SQRT_PI * (-u * u).exp(),
        Function::NormalCdf => value(Function::NormalPdf, u),
        Function::Sigmoid => sigmoid(u) * sigmoid(-u),
        Function::Softplus => sigmoid(u),
        Function::Atan => 1.0 / (1.0 + u * u),
        _ => taylor(function, u)[1],
    }
}

/// −1, 0 or 1; NaN stays NaN.
pub(super) fn sign(u: f64) -> f64 {
    if u > 0.0 {
        1.0
    } else if u < 0.0 {
        -1.0
    } else {
        u * 0.0
    }
}

/// 0 up to and including 0, then 1, like the slope that PyTorch gives to relu; NaN stays NaN.
pub(super) fn step(u: f64) -> f64 {
    if u.is_nan() { u } else { f64::from(u > 0.0) }
}

/// Value and derivatives to Taylor coefficients.
fn scaled(value: f64, d1: f64, d2: f64, d3: f64, d4: f64) -> [f64; 5] {
    [value, d1, d2 / 2.0, d3 / 6.0, d4 / 24.0]
}

/// Taylor coefficients of a function of one argument.
fn taylor(function: Function, u: f64) -> [f64; 5] {
    let value = value(function, u);
    match function {
        Function::Exp => scaled(value, value, value, value, value),
        Function::Expm1 => {
            let e = u.exp();
            scaled(value, e, e, e, e)
        }
        Function::Ln => logarithm(value, u),
        Function::Log1p => logarithm(value, 1.0 + u),
        Function::Sqrt => {
            let r = value / u;
            scaled(value, r / 2.0, -r / (4.0 * u), 3.0 * r / (8.0 * u * u), -15.0 * r / (16.0 * u * u * u))
        }
        Function::Sin => {
            let c = u.cos();
            scaled(value, c, -value, -c, value)
        }
        Function::Cos => {
            let s = u.sin();
            scaled(value, -s, -value, s, value)
        }
        Function::Tan => {
            let (t, q) = (value, 1.0 + value * value);
            scaled(t, q, 2.0 * t * q, q * (2.0 + 6.0 * t * t), q * t * (16.0 + 24.0 * t * t))
        }
        Function::Asin => arcsine(value, u, 1.0),
        Function::Acos => arcsine(value, u, -1.0),
        Function::Atan => {
            let w = 1.0 / u.hypot(1.0);
            // t = u w is bounded, so that nothing overflows.
            let (t, w2, w3) = (u * w, w * w, w * w * w);
            scaled(
                value,
                w2,
                -2.0 * t * w3,
                (6.0 * t * t - 2.0 * w2) * w2 * w2,
                24.0 * t * (w2 - t * t) * w2 * w3,
            )
        }
        Function::Sinh => {
            let c = u.cosh();
            scaled(value, c, value, c, value)
        }
        Function::Cosh => {
            let s = u.sinh();
            scaled(value, s, value, s, value)
        }
        Function::Tanh => {
            let c = u.cosh();
            let (t, s) = (value, (1.0 / c) * (1.0 / c));
            scaled(t, s, -2.0 * t * s, s * (6.0 * t * t - 2.0), s * t * (16.0 - 24.0 * t * t))
        }
        Function::Asinh => {
            let w = 1.0 / u.hypot(1.0);
            let (t, w2) = (u * w, w * w);
            scaled(value, w, -t * w2, (2.0 * t * t - w2) * w2 * w, (9.0 * w2 - 6.0 * t * t) * t * w2 * w2)
        }
        Function::Erf => error_function(value, u, 1.0),
        Function::Erfc => error_function(value, u, -1.0),
        Function::NormalCdf => {
            let g = density(u);
            scaled(value, g[0], g[1], g[2], g[3])
        }
        Function::NormalPdf => {
            let g = density(u);
            scaled(g[0], g[1], g[2], g[3], g[4])
        }
        Function::Sigmoid => {
            let g = logistic(u);
            scaled(g[0], g[1], g[2], g[3], g[4])
        }
        Function::Softplus => {
            let g = logistic(u);
            scaled(value, g[0], g[1], g[2], g[3])
        }
        Function::Abs | Function::Sign | Function::Step => scaled(value, 0.0, 0.0, 0.0, 0.0),
    }
}

fn logarithm(value: f64, u: f64) -> [f64; 5] {
    let r = 1.0 / u;
    [value, r, -r * r / 2.0, r * r * r / 3.0, -(r * r) * (r * r) / 4.0]
}

fn arcsine(value: f64, u: f64, sign: f64) -> [f64; 5] {
    let w = 1.0 / ((1.0 - u) * (1.0 + u)).sqrt();
    let w3 = w * w * w;
    let d4 = (9.0 * u + 6.0 * u * u * u) * w3 * w3 * w;
    scaled(value, sign * w, sign * u * w3, sign * (1.0 + 2.0 * u * u) * w3 * w * w, sign * d4)
}

/// erf (sign 1) and erfc (sign −1).
fn error_function(value: f64, u: f64, sign: f64) -> [f64; 5] {
    let e = sign * 2.0 / PI.sqrt() * (-u * u).exp();
    if e == 0.0 {
        return scaled(value, e, 0.0, 0.0, 0.0);
    }
    scaled(value, e, -2.0 * u * e, (4.0 * u * u - 2.0) * e, (12.0 - 8.0 * u * u) * u * e)
}

/// Normal density and its first four derivatives.
fn density(u: f64) -> [f64; 5] {
    let g = value(Function::NormalPdf, u);
    if g == 0.0 {
        return [0.0; 5];
    }
    let q = u * u;
    [g, -u * g, (q - 1.0) * g, (3.0 - q) * u * g, ((q - 6.0) * q + 3.0) * g]
}

/// Logistic function and its first four derivatives.
fn logistic(u: f64) -> [f64; 5] {
    let (p, q) = (sigmoid(u), sigmoid(-u));
    let d = p * q;
    [p, d, d * (q - p), d * (1.0 - 6.0 * d), d * (q - p) * (1.0 - 12.0 * d)]
}
