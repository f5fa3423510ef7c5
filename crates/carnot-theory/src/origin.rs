//! The activation near zero, seen from both sides: what decides whether K* = 0 is a usable critical point.

use crate::criticality::{Class, NotAtZero, Slopes};
use crate::error::TheoryError;
use crate::moments::moments;
use carnot_math::formula::Formula;
use std::f64::consts::PI;

/// Expansion of the kernel map around K = 0 at C_b = 0, C_W = 1/A₂.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Origin {
    pub class: Class,
    pub slopes: Slopes,
    /// K' = K + a₁K² + a₂K³; a₂ only where σ is smooth at zero.
    pub a_1: f64,
    pub a_2: Option<f64>,
    /// χ⊥ = 1 + b₁K
    pub b_1: f64,
    /// K' = K − κK^{3/2}
    pub kappa: f64,
}

/// Coefficients smaller than this (relative to the slopes) count as zero: rounding of the derivatives is 1e-15.
const ZERO: f64 = 1e-11;

/// The expansion if K* = 0 is critical and attracts, else why not.
pub(crate) fn origin(activation: &Formula) -> Result<Result<Origin, NotAtZero>, TheoryError> {
    let [left, right] = [activation.one_sided(0.0, -1), activation.one_sided(0.0, 1)];
    let slopes = Slopes { plus: right[1], minus: left[1] };
    let value = right[0];
    if !value.is_finite() || value.abs() > ZERO {
        return Ok(Err(NotAtZero::ValueAtZero { value }));
    }
    let scale = slopes.a_2();
    if !scale.is_finite() || scale < ZERO * ZERO {
        return Ok(Err(NotAtZero::NoSlopeAtZero));
    }
    let mut origin = expand(activation, slopes, left, right);
    let size = scale.sqrt();
    let next = if origin.kappa.abs() > ZERO * size {
        origin.class = Class::KernelZeroKinked;
        -origin.kappa
    } else if origin.a_1.abs() > ZERO * size {
        origin.class = Class::KernelZero;
        origin.a_1
    } else if is_scale_invariant(activation, slopes) {
        origin.class = Class::ScaleInvariant;
        -1.0
    } else {
        origin.class = Class::KernelZeroFlat;
        flow(activation, scale)?
    };
    Ok(if next < 0.0 { Ok(origin) } else { Err(NotAtZero::Grows { coefficient: next }) })
}

fn expand(activation: &Formula, slopes: Slopes, left: [f64; 5], right: [f64; 5]) -> Origin {
    let a_2 = slopes.a_2();
    let both = |f: fn(&[f64; 5]) -> f64| (f(&left) + f(&right)) / 2.0 / a_2;
    let smooth = !activation.kinks().iter().any(|kink| kink.at == 0.0);
    let cubic = smooth.then(|| {
        let fifth = fifth_derivative(activation);
        let s = right;
        (s[1] * fifth / 4.0 + 5.0 * s[2] * s[4] / 8.0 + 5.0 * s[3] * s[3] / 12.0) / (s[1] * s[1])
    });
    Origin {
        class: Class::KernelZero,
        slopes,
        a_1: both(|s| s[1] * s[3] + 0.75 * s[2] * s[2]),
        a_2: cubic,
        b_1: both(|s| s[1] * s[3] + s[2] * s[2]),
        kappa: -(2.0 / PI).sqrt() * (right[1] * right[2] - left[1] * left[2]) / a_2,
    }
}

/// Slopes of an activation that is a straight line on each side of zero; none for any other.
pub(crate) fn straight_slopes(activation: &Formula) -> Option<Slopes> {
    let slopes = Slopes { plus: activation.value(1.0), minus: -activation.value(-1.0) };
    is_scale_invariant(activation, slopes).then_some(slopes)
}

/// Whether σ is a straight line on each side of zero, over the range of any sensible preactivation.
fn is_scale_invariant(activation: &Formula, slopes: Slopes) -> bool {
    let straight = |z: f64| {
        let line = z * if z > 0.0 { slopes.plus } else { slopes.minus };
        (activation.value(z) - line).abs() <= 1e-12 * (line.abs() + z.abs() * slopes.a_2().sqrt())
    };
    activation.kinks().iter().all(|kink| kink.at == 0.0)
        && (-8..=8).map(|k| 2.0f64.powi(k)).all(|z| straight(z) && straight(-z))
}

/// Relative change of the kernel in one layer at small K, for activations that are straight near zero.
fn flow(activation: &Formula, a_2: f64) -> Result<f64, TheoryError> {
    for kernel in [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0] {
        let change = moments(activation, kernel)?.square / (a_2 * kernel) - 1.0;
        if change.abs() > 1e-12 {
            return Ok(change);
        }
    }
    Ok(0.0)
}

/// σ⁗' at zero from fourth derivatives around it, extrapolated to zero step (Neville): jets end at the fourth.
fn fifth_derivative(activation: &Formula) -> f64 {
    let steps: [f64; 9] = std::array::from_fn(|k| 0.02 * (k + 1) as f64);
    let mut table = steps.map(|h| (activation.jet(h)[4] - activation.jet(-h)[4]) / (2.0 * h));
    for level in 1..steps.len() {
        for k in 0..steps.len() - level {
            let (near, far) = (steps[k].powi(2), steps[k + level].powi(2));
            table[k] = (far * table[k] - near * table[k + 1]) / (far - near);
        }
    }
    table[0]
}
