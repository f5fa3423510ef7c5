//! Dynamical isometry: how widely the singular values of the input–output Jacobian spread.

use crate::error::TheoryError;
use crate::moments::moments;
use carnot_math::formula::Formula;

/// The law of the weight matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightLaw {
    /// Independent Gaussian entries.
    Gaussian,
    /// Scaled random orthogonal matrices.
    Orthogonal,
}

/// Mean and variance of the squared singular values of J = Π D W over L layers at a fixed kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SingularValues {
    /// μ₂/μ₁² with μ_k = ⟨σ'^{2k}⟩: 1 only where the slope is constant.
    pub slope_ratio: f64,
    /// (1/n) tr JJᵀ = χ⊥^L
    pub mean: f64,
    /// χ⊥^{2L} L (μ₂/μ₁² − 1 − s₁)
    pub variance: f64,
}

/// First two moments of the squared singular values.
///
/// * `kernel`: fixed point K* > 0; `c_w`: C_W; `depth`: L
///
/// # Errors
/// Not known where the activation jumps.
///
/// Source: Pennington, Schoenholz, Ganguli arXiv:1711.04735; checked by Monte Carlo.
pub fn singular_values(
    activation: &Formula,
    kernel: f64,
    c_w: f64,
    depth: usize,
    law: WeightLaw,
) -> Result<SingularValues, TheoryError> {
    let slope = moments(activation, kernel)?.slope?;
    let chi = c_w * slope.square;
    let slope_ratio = slope.fourth / slope.square.powi(2);
    let from_weights = match law {
        WeightLaw::Gaussian => 1.0,
        WeightLaw::Orthogonal => 0.0,
    };
    let mean = chi.powi(depth as i32);
    let variance = mean * mean * depth as f64 * (slope_ratio - 1.0 + from_weights);
    Ok(SingularValues { slope_ratio, mean, variance })
}
