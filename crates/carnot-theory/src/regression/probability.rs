//! Class probabilities from Gaussian outputs, without sampling.

use std::f64::consts::TAU;

use carnot_math::stats::ln_normal_cdf;

use crate::error::{TheoryError, check, check_length};

/// Log-probability that each class has the largest output, for independent Gaussian outputs of equal variance.
///
/// $$ p_c = \int \varphi(u) \prod_{j\ne c} \Phi\!\left(u + \frac{m_c - m_j}{s}\right) du $$
///
/// The integrand is log-concave: the trapezoidal rule around its maximum, with two points for each standard deviation of
/// the narrowest possible peak, is exact to rounding (the integrand is analytic), far into the tail.
///
/// * `mean`: m, `[samples, classes]`, row-major
/// * `variance`: s², `[samples]`, ≥ 0; 0 decides for the largest mean (equal ones share)
/// * returns: ln p, `[samples, classes]`, row-major; −∞ where a class is excluded
///
/// # Errors
/// [`TheoryError::Length`]; [`TheoryError::OutOfRange`].
///
/// Checked by `tests/regression/classification.rs` against closed forms (two and three classes) and samples.
pub fn class_log_probabilities(
    mean: &[f64],
    variance: &[f64],
    classes: usize,
) -> Result<Vec<f64>, TheoryError> {
    check("classes", classes as f64, classes >= 2, "at least 2")?;
    check_length("means", variance.len() * classes, mean.len())?;
    mean.iter().try_for_each(|&m| check("mean", m, true, "finite"))?;
    let mut out = Vec::with_capacity(mean.len());
    for (row, &variance) in mean.chunks(classes).zip(variance) {
        check("variance", variance, variance >= 0.0, "zero or more")?;
        if variance == 0.0 {
            out.extend(certain(row));
        } else {
            let spread = variance.sqrt();
            let mut shifts = vec![0.0; classes - 1];
            for class in 0..classes {
                let others = (0..classes).filter(|&other| other != class);
                others
                    .zip(&mut shifts)
                    .for_each(|(other, shift)| *shift = (row[class] - row[other]) / spread);
                out.push(ln_largest(&shifts));
            }
        }
    }
    Ok(out)
}

/// All weight on the largest mean.
fn certain(row: &[f64]) -> Vec<f64> {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let equal = row.iter().filter(|&&m| m == top).count() as f64;
    row.iter().map(|&m| if m == top { -equal.ln() } else { f64::NEG_INFINITY }).collect()
}

/// ln ∫ φ(u) Π Φ(u + shift_j) du
fn ln_largest(shifts: &[f64]) -> f64 {
    let ln_integrand =
        |u: f64| -0.5 * (u * u + TAU.ln()) + shifts.iter().map(|shift| ln_normal_cdf(u + shift)).sum::<f64>();
    // −ln of the integrand is convex with curvature from 1 to 1 + number of others.
    let peak = peak(shifts);
    let step = 0.5 / (1.0 + shifts.len() as f64).sqrt();
    let top = ln_integrand(peak);
    let mut sum = 1.0;
    for direction in [-1.0, 1.0] {
        for at in 1.. {
            let term = (ln_integrand(peak + direction * step * f64::from(at)) - top).exp();
            sum += term;
            if term < 1e-17 {
                break;
            }
        }
    }
    top + (sum * step).ln()
}

/// Where the integrand is largest: u = Σ φ/Φ(u + shift_j). The right side falls, so the root is bracketed and bisected.
fn peak(shifts: &[f64]) -> f64 {
    let slope = |u: f64| shifts.iter().map(|shift| inverse_mills(u + shift)).sum::<f64>() - u;
    let (mut low, mut high) = (0.0, 1.0);
    while slope(high) > 0.0 {
        (low, high) = (high, 2.0 * high);
    }
    // A thousandth of a standard deviation is enough: the sum does not need the peak itself.
    while high - low > 1e-3 {
        let middle = 0.5 * (low + high);
        if slope(middle) > 0.0 { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// φ(x) / Φ(x)
fn inverse_mills(x: f64) -> f64 {
    (-0.5 * (x * x + TAU.ln()) - ln_normal_cdf(x)).exp()
}
