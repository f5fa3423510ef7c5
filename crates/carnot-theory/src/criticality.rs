//! Criticality: for any activation the initialisation at which signals neither die nor explode, or why none exists.
//!
//! Both susceptibilities equal one at a fixed point K*. Either K* = 0 (the activation is expanded on both sides of
//! zero), or K* > 0 is a root of ⟨σσ''⟩ = 0, or neither exists.

use crate::error::TheoryError;
use crate::moments::{self, Moments, bends, moments, scan};
use crate::origin::{Origin, origin};
use carnot_math::formula::Formula;
use carnot_math::solve::root;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::fmt;

/// How the kernel behaves with depth at the critical point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// σ(z) = a₊z, a₋z: every kernel is a fixed point.
    ScaleInvariant,
    /// K* = 0, smooth on each side with no quadratic jump: K falls like 1/depth.
    KernelZero,
    /// K* = 0, with a jump of σσ'' at zero: K falls like 1/depth².
    KernelZeroKinked,
    /// K* = 0, straight near zero and bent elsewhere: K falls logarithmically.
    KernelZeroFlat,
    /// K* > 0, approached from one side only.
    HalfStable,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::ScaleInvariant => "scale-invariant",
            Class::KernelZero => "K* = 0",
            Class::KernelZeroKinked => "K* = 0, kinked",
            Class::KernelZeroFlat => "K* = 0, flat",
            Class::HalfStable => "half-stable",
        })
    }
}

/// A critical initialisation and what happens near it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CriticalPoint {
    /// Universality class.
    pub class: Class,
    /// Weight variance times fan-in, C_W.
    pub c_w: f64,
    /// Bias variance, C_b.
    pub c_b: f64,
    /// Fixed point K*; `None` where every kernel is one (scale-invariant).
    pub kernel: Option<f64>,
    /// Growth of the vertex: V/K² → ν × depth (half-stable: the source of one layer at K*).
    pub nu: f64,
    /// Quadratic coefficient: K' = K + a₁ ΔK² + …
    pub a_1: Option<f64>,
    /// Cubic coefficient of the kernel map.
    pub a_2: Option<f64>,
    /// χ⊥ = 1 + b₁ ΔK + …
    pub b_1: Option<f64>,
    /// K' = K − κ K^{3/2} (kinked class).
    pub kappa: Option<f64>,
    /// χ∥ → 1 − p∥/depth.
    pub p_parallel: Option<f64>,
    /// χ⊥ → 1 − p⊥/depth.
    pub p_perpendicular: Option<f64>,
    /// Limit of K × depth^power, with the power (1 or 2).
    pub decay: Option<(f64, u8)>,
    /// (a₊² + a₋²)/2 and (a₊⁴ + a₋⁴)/2 of the slopes on both sides of zero, for K* = 0 and scale-invariant classes.
    pub slopes: Option<Slopes>,
}

/// Even powers of the one-sided slopes at zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slopes {
    /// Slope for z > 0.
    pub plus: f64,
    /// Slope for z < 0.
    pub minus: f64,
}

impl Slopes {
    /// A₂ = (a₊² + a₋²)/2
    pub fn a_2(&self) -> f64 {
        (self.plus.powi(2) + self.minus.powi(2)) / 2.0
    }

    /// A₄ = (a₊⁴ + a₋⁴)/2
    pub fn a_4(&self) -> f64 {
        (self.plus.powi(4) + self.minus.powi(4)) / 2.0
    }

    /// ν = 3A₄/A₂² − 1, the relative variance that one layer adds (times 1/n).
    pub fn nu(&self) -> f64 {
        3.0 * self.a_4() / self.a_2().powi(2) - 1.0
    }

    /// ρ = (a₊ − a₋)²/(π (a₊² + a₋²)): how fast angles close.
    pub fn angle_rate(&self) -> f64 {
        (self.plus - self.minus).powi(2) / (PI * 2.0 * self.a_2())
    }
}

/// Why K* = 0 is no critical point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum NotAtZero {
    /// σ jumps somewhere, its slope is zero or infinite.
    Jumps {
        /// Place of the jump.
        at: f64,
    },
    /// σ(0) ≠ 0.
    ValueAtZero {
        /// σ(0)
        value: f64,
    },
    /// Both slopes at zero vanish.
    NoSlopeAtZero,
    /// The next term makes the kernel grow.
    Grows {
        /// Coefficient of the next term (a₁, or −κ).
        coefficient: f64,
    },
}

/// Why no K* > 0 is critical.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum NotAbove {
    /// Nothing to look for: σ jumps, so the distance between inputs has no linear growth rate.
    Jumps,
    /// ⟨σσ''⟩ > 0 at every K: the norm always grows faster than distances.
    NormAlwaysFaster {
        /// χ∥/χ⊥ at K = 1.
        ratio: f64,
    },
    /// ⟨σσ''⟩ < 0 at every K: the norm always grows slower than distances.
    NormAlwaysSlower {
        /// χ∥/χ⊥ at K = 1.
        ratio: f64,
    },
    /// A formal solution exists, but its bias variance is negative.
    NegativeBias {
        /// K of the formal solution.
        kernel: f64,
        /// Its C_b < 0.
        c_b: f64,
    },
}

/// No critical initialisation exists, and why.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoCriticality {
    /// What excludes K* = 0.
    pub at_zero: NotAtZero,
    /// What excludes K* > 0.
    pub above: NotAbove,
}

impl fmt::Display for NoCriticality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at_zero {
            NotAtZero::Jumps { at } => {
                return write!(
                    f,
                    "the activation jumps at z = {at}, so its slope is zero or infinite everywhere"
                );
            }
            NotAtZero::ValueAtZero { value } => {
                write!(f, "the activation is {value:.4} at zero, so K = 0 is no fixed point")?
            }
            NotAtZero::NoSlopeAtZero => write!(f, "the activation is flat at zero, so small signals die")?,
            NotAtZero::Grows { coefficient } => {
                write!(f, "near K = 0 the kernel grows (next coefficient {coefficient:+.4})")?;
            }
        }
        match self.above {
            NotAbove::Jumps => Ok(()),
            NotAbove::NormAlwaysFaster { ratio } => {
                write!(f, "; at every K > 0 norms grow faster than distances (ratio {ratio:.4} at K = 1)")
            }
            NotAbove::NormAlwaysSlower { ratio } => {
                write!(f, "; at every K > 0 norms grow slower than distances (ratio {ratio:.4} at K = 1)")
            }
            NotAbove::NegativeBias { kernel, c_b } => {
                write!(f, "; at K = {kernel:.4} it would need a negative bias variance ({c_b:.4})")
            }
        }
    }
}

/// The answer for one activation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Criticality {
    /// There is a critical initialisation.
    Point(CriticalPoint),
    /// There is none.
    None(NoCriticality),
}

impl Criticality {
    /// The critical point, if there is one.
    pub fn point(&self) -> Option<&CriticalPoint> {
        match self {
            Criticality::Point(point) => Some(point),
            Criticality::None(_) => None,
        }
    }
}

/// Parallel susceptibility: how a small change of the kernel grows through one layer.
///
/// $$ \chi_\parallel(K) = C_W \langle z\sigma\sigma' \rangle_K / K $$
///
/// * returns: ratio of changes after/before; 1 is critical
///
/// Source: PDLT ch. 5.1.
pub fn chi_parallel(moments: &Moments, c_w: f64) -> f64 {
    c_w * moments.radial
}

/// Perpendicular susceptibility: how the squared distance between two nearby inputs grows through one layer.
///
/// $$ \chi_\perp(K) = C_W \langle \sigma'^2 \rangle_K $$
///
/// * returns: ratio of distances after/before; < 1 ordered, 1 critical, > 1 chaotic
///
/// # Errors
/// Not known where the activation jumps.
///
/// Source: PDLT ch. 5.1.
pub fn chi_perpendicular(moments: &Moments, c_w: f64) -> crate::error::Known {
    Ok(c_w * moments.slope.clone()?.square)
}

/// The critical initialisation of any activation, or why there is none.
///
/// First K* = 0 (expansion on both sides of zero), then the roots K > 0 of ⟨zσσ'⟩/K = ⟨σ'²⟩ with C_b ≥ 0.
///
/// # Errors
/// [`TheoryError::NotFinite`] when the activation grows too fast even for K = 1/1000.
///
/// Source: PDLT ch. 5.1–5.3; the kinked and flat classes are our own derivation. Checked by `tests/golden.rs`.
pub fn criticality(activation: &Formula) -> Result<Criticality, TheoryError> {
    if let Some((0, at)) = moments::roughest_kink(activation) {
        let why = NoCriticality { at_zero: NotAtZero::Jumps { at }, above: NotAbove::Jumps };
        return Ok(Criticality::None(why));
    }
    let at_zero = match origin(activation)? {
        Ok(origin) => return Ok(Criticality::Point(at_zero(&origin))),
        Err(why) => why,
    };
    match above(activation)? {
        Ok(point) => Ok(Criticality::Point(point)),
        Err(above) => Ok(Criticality::None(NoCriticality { at_zero, above })),
    }
}

fn at_zero(origin: &Origin) -> CriticalPoint {
    let slopes = origin.slopes;
    let mut point = CriticalPoint {
        class: origin.class,
        c_w: 1.0 / slopes.a_2(),
        c_b: 0.0,
        kernel: Some(0.0),
        nu: slopes.nu() / 3.0,
        a_1: None,
        a_2: None,
        b_1: None,
        kappa: None,
        p_parallel: None,
        p_perpendicular: None,
        decay: None,
        slopes: Some(slopes),
    };
    match origin.class {
        Class::ScaleInvariant => {
            point.kernel = None;
            point.nu = slopes.nu();
            (point.p_parallel, point.p_perpendicular) = (Some(0.0), Some(0.0));
        }
        Class::KernelZero => {
            (point.a_1, point.a_2, point.b_1) = (Some(origin.a_1), origin.a_2, Some(origin.b_1));
            point.p_parallel = Some(2.0);
            point.p_perpendicular = Some(origin.b_1 / origin.a_1);
            point.decay = Some((-1.0 / origin.a_1, 1));
        }
        Class::KernelZeroKinked => {
            point.kappa = Some(origin.kappa);
            (point.p_parallel, point.p_perpendicular) = (Some(3.0), Some(2.0));
            point.decay = Some((4.0 / origin.kappa.powi(2), 2));
        }
        Class::KernelZeroFlat | Class::HalfStable => {}
    }
    point
}

/// Kernels between which a critical point is looked for, and how many panels on a logarithmic scale.
const SCAN: (f64, f64, usize) = (1e-3, 1e3, 72);

fn above(activation: &Formula) -> Result<Result<CriticalPoint, NotAbove>, TheoryError> {
    let at = |i: usize| SCAN.0 * (SCAN.1 / SCAN.0).powf(i as f64 / SCAN.2 as f64);
    let mut previous: Option<(f64, f64)> = None;
    let mut refused = None;
    for kernel in (0..=SCAN.2).map(at) {
        let Ok(here) = difference(activation, kernel) else { break };
        if let Some((below, there)) = previous
            && there * here < 0.0
        {
            let point = half_stable(activation, below, kernel)?;
            if point.c_b >= 0.0 {
                return Ok(Ok(point));
            }
            refused = refused
                .or(Some(NotAbove::NegativeBias { kernel: point.kernel.unwrap_or(0.0), c_b: point.c_b }));
        }
        if here != 0.0 {
            previous = Some((kernel, here));
        }
    }
    let middle = moments(activation, 1.0).or_else(|_| moments(activation, 1e-3))?;
    let ratio = middle.radial / middle.slope.as_ref().map_or(f64::NAN, |s| s.square);
    let sign = previous.map_or(0.0, |(_, value)| value);
    let always =
        if sign > 0.0 { NotAbove::NormAlwaysFaster { ratio } } else { NotAbove::NormAlwaysSlower { ratio } };
    Ok(Err(refused.unwrap_or(always)))
}

/// ⟨zσσ'⟩/K − ⟨σ'²⟩ over ⟨σ'²⟩; zero when it is rounding.
fn difference(activation: &Formula, kernel: f64) -> Result<f64, TheoryError> {
    let here = scan(activation, kernel)?;
    let relative = here.radial / here.slope_square - 1.0;
    Ok(if relative.abs() < 1e-12 { 0.0 } else { relative })
}

fn half_stable(activation: &Formula, low: f64, high: f64) -> Result<CriticalPoint, TheoryError> {
    let bend = |kernel: f64| {
        moments(activation, kernel).ok().and_then(|m| m.slope.ok()).map_or(f64::NAN, |slope| slope.bend)
    };
    let kernel = root(bend, low, high, 0.0).map_err(|_| TheoryError::NotFinite { kernel: high })?;
    let all = moments(activation, kernel)?;
    let c_w = 1.0 / all.slope.clone()?.square;
    let bends = bends(activation, kernel)?;
    Ok(CriticalPoint {
        class: Class::HalfStable,
        c_w,
        c_b: kernel - c_w * all.square,
        kernel: Some(kernel),
        nu: (all.fourth - all.square.powi(2)) * (c_w / kernel).powi(2),
        a_1: Some(c_w * bends.second),
        a_2: Some(c_w * bends.third),
        b_1: Some(c_w * bends.slope),
        kappa: None,
        p_parallel: None,
        p_perpendicular: None,
        decay: None,
        slopes: None,
    })
}
