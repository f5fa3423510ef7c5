//! How many directions a layer uses.

use super::{Missing, Observable, estimate};
use crate::gram::Spectrum;
use crate::seen::{Seen, error};

/// $\mathrm{erank} = \exp(-\sum_k p_k\ln p_k)$, $p_k = \sigma_k/\sum\sigma$ over the singular values of the chosen rows,
/// centred. Range: 1 to min(rows − 1, units). No labels needed.
///
/// Source: Roy, Vetterli, EUSIPCO 2007.
pub const EFFECTIVE: Observable = Observable {
    name: "effective_rank",
    symbol: "erank",
    title: "effective rank",
    meaning: "Number of directions that a layer uses: exponential of the entropy of its spectrum.",
    of: |seen| {
        let spectrum = seen.spectrum()?;
        let sigma: Vec<f64> = spectrum.values.iter().map(|v| v.sqrt()).collect();
        let sum: f64 = sigma.iter().sum();
        let entropy: f64 = sigma.iter().map(|s| s / sum).map(|p| -p * p.ln()).sum();
        // dH/dσ_k = −(ln p_k + H)/Σσ, and dσ/dλ = 1/(2σ).
        let slope: Vec<f64> = sigma.iter().map(|s| -((s / sum).ln() + entropy) / (2.0 * sum * s)).collect();
        let rank = entropy.exp();
        with_error(seen, spectrum, rank, &slope, rank)
    },
};

/// $\mathrm{PR} = (\sum\lambda)^2/\sum\lambda^2$. Range: 1 to min(rows − 1, units). No labels needed.
pub const PARTICIPATION: Observable = Observable {
    name: "participation_ratio",
    symbol: "PR",
    title: "participation ratio",
    meaning: "Number of directions that carry most of a layer: squared sum over sum of squares of its spectrum.",
    of: |seen| {
        let spectrum = seen.spectrum()?;
        let sum: f64 = spectrum.values.iter().sum();
        let squares: f64 = spectrum.values.iter().map(|v| v * v).sum();
        let ratio = sum * sum / squares;
        let slope: Vec<f64> = spectrum.values.iter().map(|v| 2.0 / sum - 2.0 * v / squares).collect();
        with_error(seen, spectrum, ratio, &slope, ratio)
    },
};

/// The error from the influence of each row: λ_k changes by λ_k (n q_ik² − 1), q_ik the entry of row i in eigenvector k.
fn with_error(
    seen: &Seen,
    spectrum: &Spectrum,
    value: f64,
    slope: &[f64],
    scale: f64,
) -> Result<carnot_math::stats::Estimate, Missing> {
    let n = seen.gram()?.n;
    let mut influence = vec![0.0; n];
    for ((lambda, shares), slope) in spectrum.values.iter().zip(spectrum.shares.chunks_exact(n)).zip(slope) {
        let weight = scale * slope * lambda;
        for (influence, share) in influence.iter_mut().zip(shares) {
            *influence += weight * (n as f64 * share - 1.0);
        }
    }
    Ok(estimate(value, error(&influence, n), n))
}
