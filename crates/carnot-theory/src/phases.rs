//! Phases of any activation: fixed points of the kernel, order and chaos, and how deep a signal reaches.

use crate::criticality::{chi_parallel, chi_perpendicular};
use crate::error::{Known, TheoryError, Unknown, check};
use crate::moments::{moments, scan};
use crate::pair::{Pair, pair_moments};
use carnot_math::formula::Formula;
use carnot_math::solve::root;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What happens to two nearby inputs with depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// χ⊥ < 1: inputs merge, gradients vanish.
    Ordered,
    /// χ⊥ = 1.
    Critical,
    /// χ⊥ > 1: inputs separate, gradients explode.
    Chaotic,
}

impl Phase {
    /// Phase of a perpendicular susceptibility; equal to one within 10⁻⁹ is critical.
    pub fn of(chi_perpendicular: f64) -> Self {
        if (chi_perpendicular - 1.0).abs() <= 1e-9 {
            Phase::Critical
        } else if chi_perpendicular < 1.0 {
            Phase::Ordered
        } else {
            Phase::Chaotic
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Ordered => "ordered",
            Phase::Critical => "critical",
            Phase::Chaotic => "chaotic",
        })
    }
}

/// The initialisation on the edge of chaos (χ⊥ = 1) whose fixed point is a given kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Boundary {
    /// C_W = 1/⟨σ'²⟩
    pub c_w: f64,
    /// C_b = K − C_W⟨σ²⟩; may be negative, then the point cannot be had.
    pub c_b: f64,
    /// χ∥ there.
    pub chi_parallel: f64,
}

impl Boundary {
    /// Whether the point exists (C_b ≥ 0) and attracts (|χ∥| < 1).
    pub fn is_usable(&self) -> bool {
        self.c_b >= 0.0 && self.chi_parallel.abs() < 1.0
    }
}

/// The edge of chaos through the fixed point `kernel`.
///
/// $$ C_W = 1/\langle\sigma'^2\rangle_K,\qquad C_b = K - C_W\langle\sigma^2\rangle_K $$
///
/// # Errors
/// As [`moments`]; not known where the activation jumps.
///
/// Source: Poole et al. arXiv:1606.05340; Schoenholz et al. arXiv:1611.01232.
pub fn boundary(activation: &Formula, kernel: f64) -> Result<Boundary, TheoryError> {
    let all = moments(activation, kernel)?;
    let c_w = 1.0 / all.slope.clone()?.square;
    Ok(Boundary { c_w, c_b: kernel - c_w * all.square, chi_parallel: chi_parallel(&all, c_w) })
}

/// A fixed point K* of the kernel map and the susceptibilities there.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedPoint {
    /// K*
    pub kernel: f64,
    /// ⟨σ⟩ at K*
    pub mean: f64,
    /// χ∥(K*)
    pub chi_parallel: f64,
    /// χ⊥(K*)
    pub chi_perpendicular: Known,
}

impl FixedPoint {
    fn at(activation: &Formula, c_w: f64, kernel: f64) -> Result<Self, TheoryError> {
        let all = moments(activation, kernel)?;
        Ok(Self {
            kernel,
            mean: all.mean,
            chi_parallel: chi_parallel(&all, c_w),
            chi_perpendicular: chi_perpendicular(&all, c_w),
        })
    }

    /// Whether kernels near it come closer with depth.
    pub fn is_stable(&self) -> bool {
        self.chi_parallel.abs() < 1.0
    }

    /// Depth over which the kernel forgets its start, ξ_q = −1/ln|χ∥|.
    ///
    /// # Errors
    /// Infinite at a critical point.
    pub fn kernel_depth(&self) -> Known {
        length(self.chi_parallel)
    }
}

fn length(factor: f64) -> Known {
    let log = factor.abs().ln();
    if log < -1e-12 { Ok(-1.0 / log) } else { Err(Unknown::InfiniteLength) }
}

/// Kernels between which fixed points are looked for, and how many panels on a logarithmic scale.
const SCAN: (f64, f64, usize) = (1e-8, 1e6, 224);

/// All fixed points K* > 0 of K ↦ C_b + C_W⟨σ²⟩_K between 10⁻⁸ and 10⁶, ascending.
///
/// # Errors
/// As [`moments`].
pub fn fixed_points(activation: &Formula, c_w: f64, c_b: f64) -> Result<Vec<FixedPoint>, TheoryError> {
    check("C_W", c_w, c_w >= 0.0, "≥ 0")?;
    check("C_b", c_b, c_b >= 0.0, "≥ 0")?;
    let change = |kernel: f64| excess(activation, c_w, c_b, kernel);
    let at = |i: usize| SCAN.0 * (SCAN.1 / SCAN.0).powf(i as f64 / SCAN.2 as f64);
    let mut result = Vec::new();
    let (mut below, mut there) = (at(0), change(at(0)));
    for kernel in (1..=SCAN.2).map(at) {
        let here = change(kernel);
        if here.is_nan() {
            break;
        }
        if there * here < 0.0 {
            let found = root(change, below, kernel, 0.0).map_err(|_| TheoryError::NotFinite { kernel })?;
            result.push(FixedPoint::at(activation, c_w, found)?);
        }
        (below, there) = (kernel, here);
    }
    Ok(result)
}

/// Relative change of the kernel in one layer; exactly zero where it is rounding, NaN where it is not known.
fn excess(activation: &Formula, c_w: f64, c_b: f64, kernel: f64) -> f64 {
    let Ok(here) = scan(activation, kernel) else { return f64::NAN };
    let relative = (c_b + c_w * here.square) / kernel - 1.0;
    if relative.abs() < 4.0 * f64::EPSILON { 0.0 } else { relative }
}

/// The fixed point that the kernel reaches from `start`.
///
/// * `start`: kernel K^(1) of the first layer, > 0
///
/// # Errors
/// [`Unknown::KernelGrows`] or [`Unknown::KernelVanishes`] when there is none in that direction,
/// [`Unknown::NoStableFixedPoint`] when the kernel jumps around it.
pub fn settle(activation: &Formula, c_w: f64, c_b: f64, start: f64) -> Result<FixedPoint, TheoryError> {
    check("C_W", c_w, c_w >= 0.0, "≥ 0")?;
    check("C_b", c_b, c_b >= 0.0, "≥ 0")?;
    check("start", start, start > 0.0, "> 0")?;
    let change = |kernel: f64| excess(activation, c_w, c_b, kernel);
    let first = change(start);
    if first == 0.0 {
        return FixedPoint::at(activation, c_w, start);
    }
    let factor: f64 = if first > 0.0 { 1.1 } else { 1.0 / 1.1 };
    let (mut kernel, mut next) = (start, start * factor);
    while (1e-12..1e9).contains(&next) {
        let here = change(next);
        if here.is_nan() {
            break;
        }
        if here == 0.0 || here * first < 0.0 {
            let found = root(change, kernel.min(next), kernel.max(next), 0.0);
            let point =
                FixedPoint::at(activation, c_w, found.map_err(|_| TheoryError::NotFinite { kernel: next })?)?;
            if point.chi_parallel < -1.0 {
                return Err(Unknown::NoStableFixedPoint { slope: point.chi_parallel }.into());
            }
            return Ok(point);
        }
        (kernel, next) = (next, next * factor);
    }
    Err(if first > 0.0 { Unknown::KernelGrows } else { Unknown::KernelVanishes }.into())
}

/// Where two inputs end up relative to each other, at a fixed point of the kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Correlations {
    /// Phase of the fixed point.
    pub phase: Phase,
    /// Stable correlation c*: 1 unless chaotic.
    pub correlation: f64,
    /// Slope χ_c of the correlation map at c*.
    pub chi_correlation: f64,
}

impl Correlations {
    /// Correlation depth ξ_c = −1/ln|χ_c|: over this many layers two inputs forget how far apart they were.
    ///
    /// # Errors
    /// Infinite at a critical point.
    pub fn correlation_depth(&self) -> Known {
        length(self.chi_correlation)
    }
}

/// The stable fixed point of the correlation between two inputs of equal norm.
///
/// $$ c' = [C_b + C_W\langle\sigma_1\sigma_2\rangle_{K^*,c}]/K^*,\qquad
///    \chi_c(c) = C_W\langle\sigma'_1\sigma'_2\rangle_{K^*,c} $$
///
/// # Errors
/// Not known where the activation jumps.
///
/// Source: Schoenholz et al. arXiv:1611.01232.
pub fn correlations(
    activation: &Formula,
    c_w: f64,
    c_b: f64,
    at: &FixedPoint,
) -> Result<Correlations, TheoryError> {
    let chi = at.chi_perpendicular.clone()?;
    let phase = Phase::of(chi);
    if phase != Phase::Chaotic {
        return Ok(Correlations { phase, correlation: 1.0, chi_correlation: chi });
    }
    let kernel = at.kernel;
    let pair = |c: f64| pair_moments(activation, Pair { first: kernel, second: kernel, between: c * kernel });
    let change = |c: f64| pair(c).map_or(f64::NAN, |p| (c_b + c_w * p.value) / kernel - c);
    let nearly_one = 1.0 - 1e-7;
    // An odd activation without bias has c* = 0 exactly: then rounding decides the sign at zero.
    let correlation = if change(0.0) <= 1e-14 {
        0.0
    } else {
        root(change, 0.0, nearly_one, 1e-12).map_err(|_| TheoryError::NotFinite { kernel })?
    };
    let chi_correlation = c_w * pair(correlation)?.slope?;
    Ok(Correlations { phase, correlation, chi_correlation })
}

/// How correlations approach 1 on the edge of chaos, smooth activation: (1 − c) × depth → 2/f₂.
///
/// $$ f_2 = C_W K^* \langle\sigma''^2\rangle_{K^*} $$
///
/// # Errors
/// Not known for a kinked activation, where 1 − c falls like 1/depth² (see [`crate::angle`]).
///
/// Source: Hayou et al. arXiv:1902.06853.
pub fn edge_curvature(activation: &Formula, c_w: f64, kernel: f64) -> Result<f64, TheoryError> {
    Ok(c_w * kernel * moments(activation, kernel)?.curvature?.square)
}
