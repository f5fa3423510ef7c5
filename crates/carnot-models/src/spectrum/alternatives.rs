//! Exponential and lognormal tails against the power law, on the same eigenvalues.

use carnot_math::solve::root;
use carnot_math::stats::normal_tail;
use serde::{Deserialize, Serialize};

/// Likelihood ratios of a tail.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alternatives {
    /// ln L(power law) − ln L(exponential): above zero the power law fits better.
    pub exponential_ratio: f64,
    /// Probability of a ratio this far from zero when both fit alike (Vuong's test, two-sided).
    pub exponential_p: f64,
    /// ln L(lognormal) − ln L(power law), ≥ 0: a power law is the limit of lognormals cut at their start.
    pub lognormal_gain: f64,
    /// Probability of a gain this large when the tail is a power law.
    pub lognormal_p: f64,
}

/// Compares a tail with its alternatives, each at its maximum of likelihood.
///
/// Exponential: $p(x) = \lambda e^{-\lambda(x - x_{min})}$; the ratio is judged by Vuong's normalised statistic, as in Clauset, Shalizi,
/// Newman 2009, appendix C. Lognormal: $\ln x$ is Gaussian, cut at $\ln x_{min}$. It contains the power law as the limit of infinite variance,
/// at the border of its parameters, so that twice the gain follows $\tfrac12\chi^2_0 + \tfrac12\chi^2_1$ (Self and Liang 1987, case 5).
///
/// * `tail`: ascending, > 0; `logs`: their logarithms
pub(super) fn compare(tail: &[f64], logs: &[f64]) -> Alternatives {
    let n = tail.len() as f64;
    let rises: Vec<f64> = logs.iter().map(|log| log - logs[0]).collect();
    let mean_rise = rises.iter().sum::<f64>() / n;
    let slope = 1.0 / mean_rise;
    let mean_excess = tail.iter().map(|x| x - tail[0]).sum::<f64>() / n;
    // Both densities in x; the power law is slope/x · e^(−slope·rise).
    let power = |at: usize| slope.ln() - logs[at] - slope * rises[at];
    let exponential = |at: usize| -mean_excess.ln() - (tail[at] - tail[0]) / mean_excess;
    let ratios: Vec<f64> = (0..tail.len()).map(|at| power(at) - exponential(at)).collect();
    let exponential_ratio: f64 = ratios.iter().sum();
    let mean = exponential_ratio / n;
    let variance = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum::<f64>() / n;
    let exponential_p =
        if variance > 0.0 { normal_tail(exponential_ratio / (n * variance).sqrt()) } else { 1.0 };
    let lognormal_gain = lognormal_gain(&rises, mean_rise);
    let lognormal_p =
        if lognormal_gain > 0.0 { 0.5 * normal_tail((2.0 * lognormal_gain).sqrt()) } else { 1.0 };
    Alternatives { exponential_ratio, exponential_p, lognormal_gain, lognormal_p }
}

/// How far the best cut Gaussian of the logarithms beats their best exponential, in ln L.
///
/// With $z = (\ln x_{min} - \mu)/\sigma$ and $h = \varphi(z)/(1 - \Phi(z))$ the rises $y$ have $\langle y\rangle = \sigma(h - z)$ and
/// $\langle y^2\rangle = \sigma^2(1 - zh + z^2)$; maximum likelihood matches both. The ratio $\langle y^2\rangle/\langle y\rangle^2$ rises from
/// 1 to 2, the exponential's: beyond 2 no cut Gaussian does better.
fn lognormal_gain(rises: &[f64], mean: f64) -> f64 {
    let n = rises.len() as f64;
    let square = rises.iter().map(|y| y * y).sum::<f64>() / n;
    let wanted = square / (mean * mean);
    let ratio = |z: f64| (1.0 - z * hazard(z) + z * z) / (hazard(z) - z).powi(2);
    // At z = 20 the cut Gaussian is an exponential to half a percent.
    if wanted >= ratio(20.0) || wanted <= ratio(-20.0) {
        return 0.0;
    }
    let Ok(z) = root(|z| ratio(z) - wanted, -20.0, 20.0, 1e-10) else { return 0.0 };
    let sigma = mean / (hazard(z) - z);
    // Mean log-density of y: ln h(z) − ln σ + z²/2 − ⟨(z + y/σ)²⟩/2, since φ(z + y/σ)/(1 − Φ(z)) = h φ(z + y/σ)/φ(z).
    let gaussian = hazard(z).ln() - sigma.ln() - z * mean / sigma - square / (2.0 * sigma * sigma);
    let exponential = -mean.ln() - 1.0;
    (n * (gaussian - exponential)).max(0.0)
}

/// $\varphi(z)/(1 - \Phi(z))$, for z from −20 to 20.
fn hazard(z: f64) -> f64 {
    let density = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
    density / (0.5 * libm::erfc(z * std::f64::consts::FRAC_1_SQRT_2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_math::random::Stream;

    fn tail(draw: impl FnMut() -> f64, n: usize) -> (Vec<f64>, Vec<f64>) {
        let mut tail: Vec<f64> = std::iter::repeat_with(draw).take(n).collect();
        tail.sort_by(f64::total_cmp);
        let logs = tail.iter().map(|x| x.ln()).collect();
        (tail, logs)
    }

    #[test]
    fn each_law_is_told_from_the_others() {
        let mut stream = Stream::new(5, "alternatives", &[]);
        let (x, logs) = tail(|| 1.0 - (1.0 - stream.uniform()).ln(), 1000);
        let of_exponential = compare(&x, &logs);
        assert!(
            of_exponential.exponential_ratio < 0.0 && of_exponential.exponential_p < 1e-3,
            "{of_exponential:?}"
        );
        let (x, logs) = tail(|| stream.normal::<f64>().exp(), 1000);
        let of_lognormal = compare(&x, &logs);
        assert!(of_lognormal.lognormal_p < 1e-6, "{of_lognormal:?}");
        let (x, logs) = tail(|| (1.0 - stream.uniform()).powf(-0.7), 1000);
        let of_power_law = compare(&x, &logs);
        assert!(
            of_power_law.exponential_ratio > 0.0 && of_power_law.exponential_p < 0.05,
            "{of_power_law:?}"
        );
    }

    #[test]
    fn the_gain_of_the_lognormal_has_the_law_it_is_judged_by() {
        // On true power laws half of the gains are zero, and 5 % have p < 0.05; 400 sets of 300.
        let (mut zero, mut small) = (0.0, 0.0);
        for set in 0..400 {
            let mut stream = Stream::new(9, "gain", &[set]);
            let (x, logs) = tail(|| (1.0 - stream.uniform()).powf(-0.5), 300);
            let found = compare(&x, &logs);
            zero += f64::from(found.lognormal_gain < 1e-4);
            small += f64::from(found.lognormal_p < 0.05);
        }
        let z_zero = (zero / 400.0 - 0.5) / (0.25f64 / 400.0).sqrt();
        let z_small = (small / 400.0 - 0.05) / (0.0475f64 / 400.0).sqrt();
        // The cut at z = 20 and 300 values leave the share of zeros a few percent above one half.
        assert!(
            z_small.abs() < 4.0 && z_zero.abs() < 6.0,
            "zero {zero}, small {small} of 400 (seed 9): {z_zero}, {z_small}"
        );
    }
}
