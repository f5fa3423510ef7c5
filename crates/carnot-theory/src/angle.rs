//! Finite angles between inputs of scale-invariant activations: an exact one-number recursion.

use crate::criticality::Slopes;
use crate::error::{TheoryError, check};
use std::f64::consts::PI;

/// Angle between two signals after one more layer, C_b = 0, any C_W.
///
/// $$ \cos\psi' = \cos\psi + \rho(\sin\psi - \psi\cos\psi),\qquad \rho = \frac{(a_+-a_-)^2}{\pi(a_+^2+a_-^2)} $$
///
/// * `angle`: ψ in [0, π], radians
///
/// Source: PDLT ch. 5.5. Checked by `tests/golden.rs`.
pub fn next_angle(slopes: Slopes, angle: f64) -> f64 {
    let rho = slopes.angle_rate();
    // 1 − cos ψ' in half angles: no cancellation at small angles.
    let gap = 2.0 * (angle / 2.0).sin().powi(2) - rho * sine_minus(angle);
    2.0 * (gap / 2.0).clamp(0.0, 1.0).sqrt().asin()
}

/// sin ψ − ψ cos ψ, by its series where the two terms nearly cancel.
fn sine_minus(angle: f64) -> f64 {
    if angle > 0.3 {
        return angle.sin() - angle * angle.cos();
    }
    let square = angle * angle;
    let (mut term, mut sum) = (angle * square, 0.0);
    for k in 1..12 {
        let k = k as f64;
        // (−1)^{k+1} 2k/(2k+1)! ψ^{2k+1}
        sum += term * 2.0 * k / factorial(2.0 * k + 1.0);
        term *= -square;
    }
    sum
}

fn factorial(n: f64) -> f64 {
    (1..=n as u32).map(f64::from).product()
}

/// Angles at layers 1..=depth, starting from `first` at layer 1.
///
/// # Errors
/// [`TheoryError::OutOfRange`] unless the first angle lies in [0, π].
pub fn angles(slopes: Slopes, first: f64, depth: usize) -> Result<Vec<f64>, TheoryError> {
    check("angle", first, (0.0..=PI).contains(&first), "in [0, π]")?;
    Ok(std::iter::successors(Some(first), |&angle| Some(next_angle(slopes, angle))).take(depth).collect())
}

/// Limit of angle × depth: 3/ρ, infinite for a linear activation.
pub fn angle_times_depth(slopes: Slopes) -> f64 {
    3.0 / slopes.angle_rate()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_angles_follow_the_series_without_cancellation() {
        let relu = Slopes { plus: 1.0, minus: 0.0 };
        for angle in [1e-6f64, 1e-3, 0.29, 0.31] {
            let expect = (angle.cos() + (angle.sin() - angle * angle.cos()) / PI).acos();
            let tolerance = if angle < 1e-2 { 1e-4 } else { 1e-12 };
            assert!((next_angle(relu, angle) / expect - 1.0).abs() < tolerance, "{angle}");
        }
        assert!((next_angle(relu, 1e-6) - (1e-6 - 1e-12 / (3.0 * PI))).abs() < 1e-18);
    }
}
