//! Products of random layers that are solved exactly at any width: deep linear networks, and one input through ReLU-like ones.

use crate::criticality::Slopes;
use crate::error::{TheoryError, check};

/// Exact moment of the output of a deep linear network without biases: E[z^{2m}] = G_{2m} × (2m − 1)!!.
///
/// $$ G_{2m} = (C_W^L G_0)^m \prod_{l=1}^{L-1}\prod_{k=0}^{m-1}\Big(1+\frac{2k}{n_l}\Big) $$
///
/// * `input_square`: G₀ = |x|²/n₀; `c_w`: C_W of each of the L layers; `hidden`: widths n_1..n_{L−1}
/// * `half_order`: m ≥ 1
///
/// # Errors
/// [`TheoryError::Length`] unless there is one width fewer than layers.
///
/// Source: PDLT ch. 3.2–3.4, eqs 3.11–3.25.
pub fn deep_linear_moment(
    input_square: f64,
    c_w: &[f64],
    hidden: &[usize],
    half_order: u32,
) -> Result<f64, TheoryError> {
    crate::error::check_length("hidden widths", c_w.len().saturating_sub(1), hidden.len())?;
    let m = half_order as i32;
    let scale: f64 = c_w.iter().product::<f64>() * input_square;
    let factor = |&n: &usize| (0..half_order).map(|k| 1.0 + 2.0 * f64::from(k) / n as f64).product::<f64>();
    Ok(scale.powi(m) * hidden.iter().map(factor).product::<f64>())
}

/// Exact relative second moment of the kernel, E[Ĝ²]/E[Ĝ]², of a scale-invariant stack with C_b = 0.
///
/// $$ \prod_l (1 + \nu/n_l),\qquad \nu = 3A_4/A_2^2 - 1 $$
///
/// * `hidden`: widths of the layers that the signal has passed
///
/// # Errors
/// [`TheoryError::OutOfRange`] for a width of 0.
///
/// Source: PDLT ch. 4.3 (independence of angle and norm); exact.
pub fn scale_invariant_second_moment(slopes: Slopes, hidden: &[usize]) -> Result<f64, TheoryError> {
    hidden.iter().try_for_each(|&n| check("width", n as f64, n > 0, "≥ 1"))?;
    Ok(hidden.iter().map(|&n| 1.0 + slopes.nu() / n as f64).product())
}
