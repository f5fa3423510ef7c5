//! Entropy and mutual information of output neurons at initialisation, and the aspect ratio at which perturbation theory turns over.

use crate::error::{TheoryError, check};
use std::f64::consts::PI;

/// Entropy of m output neurons for one input, to third order in ε = Var(kernel)/kernel², in nats.
///
/// $$ S_m = \tfrac m2 \ln 2\pi e G - \tfrac{m(m+2)}{16}\epsilon^2 + \tfrac{m(m+2)(m+8)}{48}\epsilon^3 $$
///
/// * `kernel`: mean kernel G > 0; `spread`: ε = V/(nK²) ≥ 0
///
/// Source: PDLT appendix A; the cubic term is our own derivation.
pub fn entropy(neurons: usize, kernel: f64, spread: f64) -> f64 {
    let m = neurons as f64;
    m / 2.0 * (1.0 + (2.0 * PI * kernel).ln()) - m * (m + 2.0) / 16.0 * spread.powi(2)
        + m * (m + 2.0) * (m + 8.0) / 48.0 * spread.powi(3)
}

/// Mutual information of two groups of output neurons, to third order in ε, in nats.
///
/// $$ I = \tfrac{m_1 m_2}{8}\epsilon^2 - \tfrac{m_1 m_2(20+3(m_1+m_2))}{48}\epsilon^3 $$
///
/// Negative where the series has broken down; [`mixture_information`] is exact.
///
/// Source: PDLT appendix A.
pub fn mutual_information(first: usize, second: usize, spread: f64) -> f64 {
    let (a, b) = (first as f64, second as f64);
    a * b / 8.0 * spread.powi(2) - a * b * (20.0 + 3.0 * (a + b)) / 48.0 * spread.powi(3)
}

/// Aspect ratio L/n at which the truncated mutual information of the two halves of the output is largest.
///
/// $$ r^* = \frac{4}{(20 + 3 n_L)\,\nu} $$
///
/// The edge of the well-behaved regime, not a true optimum: the exact information keeps growing with depth.
///
/// * `nu`: growth of the vertex, V/K² → ν × depth; `outputs`: n_L
///
/// Source: PDLT appendix A.
pub fn best_aspect_ratio(nu: f64, outputs: usize) -> f64 {
    4.0 / ((20.0 + 3.0 * outputs as f64) * nu)
}

/// Exact mutual information of two groups of neurons that share one log-normal variance, in nats.
///
/// z = √G g with ln G ~ N(·, s²): the law that deep networks flow to. ε = e^{s²} − 1.
///
/// * `log_variance`: s² in (0, 25]
///
/// # Errors
/// [`TheoryError::OutOfRange`] for no neurons or s² outside the range.
///
/// Source: radial integration of the entropies.
pub fn mixture_information(first: usize, second: usize, log_variance: f64) -> Result<f64, TheoryError> {
    let total = first + second;
    check("neurons", first.min(second) as f64, first.min(second) > 0, "≥ 1")?;
    check("log variance", log_variance, log_variance > 0.0 && log_variance <= 25.0, "in (0, 25]")?;
    let excess = |m: usize| negentropy(m as f64, log_variance);
    Ok(excess(total) - excess(first) - excess(second))
}

/// (m/2) ln(2πe) − S of m neurons whose variance is log-normal with E ln G = 0.
///
/// With t = ln r², S = −E[ln p(r)]; p relative to the standard normal density keeps every term of order one.
fn negentropy(m: f64, log_variance: f64) -> f64 {
    let width = log_variance.sqrt();
    // Trapezoids converge exponentially once a step is half a standard deviation of the narrowest factor, √(2/m).
    let narrow = (2.0 / m).sqrt();
    let points = (9.0 * width / (0.5 * narrow)).ceil().max(60.0) as i32;
    let spacing = 9.0 / f64::from(points);
    let grid = || (-points..=points).map(|k| spacing * f64::from(k));
    let scales: Vec<f64> = grid().map(|u| u * width).collect();
    let weights: Vec<f64> = grid().map(|u| spacing * (-u * u / 2.0).exp() / (2.0 * PI).sqrt()).collect();
    // ln of the density of t = ln r² for unit variance, up to the normalisation: (m/2) t − e^t/2.
    let norm = -m / 2.0 * 2.0f64.ln() - log_gamma(m / 2.0);
    let (low, high) = range_of_log_square(m, 9.0 * width);
    let steps = ((high - low) / (0.5 * narrow).min(0.1)).ceil() as usize;
    let step = (high - low) / steps as f64;
    let mut sum = 0.0;
    for k in 0..=steps {
        let t = low + step * k as f64;
        // ln ∫ dG p(G) G^{−m/2} e^{−r²/2G}, by its largest term.
        let exponent = |g: f64| -m / 2.0 * g - (t - g).exp() / 2.0;
        let largest = scales.iter().map(|&g| exponent(g)).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scales.iter().zip(&weights).map(|(&g, w)| w * (exponent(g) - largest).exp()).sum();
        let log_mixture = largest + total.ln();
        let density = (norm + m / 2.0 * t + log_mixture).exp();
        if density > 0.0 {
            // (m/2) ln 2πe − S = E[ln mixture] + m/2.
            sum += step * density * log_mixture;
        }
    }
    sum + m / 2.0
}

/// Where t = ln r² lies: a chi-squared logarithm, moved by up to `reach` by the scale.
fn range_of_log_square(m: f64, reach: f64) -> (f64, f64) {
    (m.ln() - 80.0 / m.max(1.0) - reach - 6.0, (m + 20.0 * m.sqrt() + 90.0).ln() + reach)
}

/// ln Γ(x) for x = 1/2, 1, 3/2, …
fn log_gamma(x: f64) -> f64 {
    let mut value = if x.fract() == 0.0 { 0.0 } else { PI.sqrt().ln() };
    let mut at = if x.fract() == 0.0 { 1.0 } else { 0.5 };
    while at < x {
        value += f64::ln(at);
        at += 1.0;
    }
    value
}
