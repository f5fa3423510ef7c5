//! How alike different inputs have become.

use carnot_math::stats::{Estimate, Moments};

use super::{Missing, Observable, estimate};
use crate::gram::Gram;

/// $c = \langle K_{ab}/\sqrt{K_{aa}K_{bb}}\rangle_{a\ne b}$, from distances, so that 1 − c keeps its digits. Range: −1 to 1.
///
/// Its error is that of a mean over pairs (U-statistic): 2 s/√N, s the spread of each sample's own mean.
/// Source: Schoenholz et al., arXiv:1611.01232; Hoeffding 1948 (error).
pub const CORRELATION: Observable = Observable {
    name: "correlation",
    symbol: "corr",
    title: "sameness",
    meaning: "Mean correlation of two different inputs; 1 means that the layer cannot tell them apart.",
    of: |seen| {
        let gram = seen.gram()?;
        if gram.size.iter().all(|&size| size < 1e-30) {
            return Err(Missing::Constant);
        }
        // |x_a − x_b|² = (|x_a| − |x_b|)² + 2 |x_a||x_b| (1 − c): 1 − c keeps its digits. A row of zeros has no direction.
        let length: Vec<f64> = gram.size.iter().map(|size| size.sqrt()).collect();
        let inverse: Vec<f64> =
            length.iter().map(|&length| if length > 0.0 { 1.0 / length } else { 0.0 }).collect();
        let gap = pairs(gram, &inverse, |a, b, apart| {
            (apart - (length[a] - length[b]).powi(2)) * (0.5 * inverse[a] * inverse[b])
        })?;
        Ok(Estimate { value: 1.0 - gap.value, ..gap })
    },
};

/// $d = \langle |z_a - z_b|^2/n\rangle_{a\ne b}$. Range: ≥ 0.
pub const DISTANCE: Observable = Observable {
    name: "distance",
    symbol: "d",
    title: "distance",
    meaning: "Mean squared distance of two different inputs, per unit.",
    of: |seen| {
        let gram = seen.gram()?;
        let per_unit = 1.0 / gram.width as f64;
        pairs(gram, &vec![1.0; gram.n], |_, _, apart| apart * per_unit)
    },
};

/// Mean over pairs of different rows, given |x_a − x_b|²; pairs with a row whose weight is 0 are left out.
fn pairs(gram: &Gram, weights: &[f64], of: impl Fn(usize, usize, f64) -> f64) -> Result<Estimate, Missing> {
    let n = gram.n;
    let diagonal: Vec<f64> = (0..n).map(|i| gram.centred[i * n + i]).collect();
    let mut sums = vec![0.0; n];
    for a in (0..n).filter(|&a| weights[a] > 0.0) {
        let (row, mut own) = (&gram.centred[a * n..][..a], 0.0);
        for b in 0..a {
            let apart = (diagonal[a] + diagonal[b] - 2.0 * row[b]).max(0.0);
            let value = if weights[b] > 0.0 { of(a, b, apart) } else { 0.0 };
            own += value;
            sums[b] += value;
        }
        sums[a] += own;
    }
    let counted = weights.iter().filter(|&&weight| weight > 0.0).count();
    if counted < 2 {
        return Err(Missing::Constant);
    }
    let others = (counted - 1) as f64;
    let means = sums.iter().zip(weights).filter(|(_, weight)| **weight > 0.0).map(|(sum, _)| sum / others);
    let means = Moments::of(&means.collect::<Vec<f64>>());
    Ok(estimate(means.mean(), 2.0 * means.error(), n))
}
