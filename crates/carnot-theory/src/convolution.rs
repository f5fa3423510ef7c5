//! Convolutions at infinite width: how the variance spread over a filter damps patterns in space.

use crate::error::{TheoryError, check};
use std::f64::consts::TAU;

/// Size of the factor by which a spatial pattern of frequency k is multiplied, on top of χ, in one convolution.
///
/// $$ \lambda_k = \sum_b v_b e^{ikb} $$
///
/// * `fractions`: variance fractions v_b ≥ 0 of the filter taps, summing to 1 (equal taps: 1/size; one tap: all pass)
/// * `waves`: whole waves over `positions` places on a ring
/// * returns: |λ_k| in [0, 1]
///
/// # Errors
/// [`TheoryError::OutOfRange`] unless the fractions sum to 1.
///
/// Source: Xiao et al. arXiv:1806.05393.
pub fn spatial_factor(fractions: &[f64], waves: usize, positions: usize) -> Result<f64, TheoryError> {
    let total: f64 = fractions.iter().sum();
    check("sum of variance fractions", total, (total - 1.0).abs() < 1e-9, "1")?;
    check("positions", positions as f64, positions > 0, "≥ 1")?;
    let angle = |b: usize| TAU * ((waves * b) % positions) as f64 / positions as f64;
    let real: f64 = fractions.iter().enumerate().map(|(b, v)| v * angle(b).cos()).sum();
    let imaginary: f64 = fractions.iter().enumerate().map(|(b, v)| v * angle(b).sin()).sum();
    Ok(real.hypot(imaginary))
}

/// Number of layers over which a pattern loses a factor e, on top of χ: −1/ln|λ_k|; infinite for the uniform pattern.
///
/// # Errors
/// As [`spatial_factor`].
pub fn spatial_depth(fractions: &[f64], waves: usize, positions: usize) -> Result<f64, TheoryError> {
    let factor = spatial_factor(fractions, waves, positions)?;
    Ok(if factor >= 1.0 - 1e-12 { f64::INFINITY } else { -1.0 / factor.ln() })
}
