//! How alike different inputs have become.

use carnot_math::stats::{Estimate, Moments};

use super::{Missing, Observable, estimate};
use crate::seen::Seen;

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
        pairs(seen, |a, b| gram.correlation(a, b))
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
        pairs(seen, |a, b| Some(gram.squared_distance(a, b) / gram.width as f64))
    },
};

/// Mean over pairs of different rows; pairs without a value (a row of zeros) are left out.
fn pairs(seen: &Seen, of: impl Fn(usize, usize) -> Option<f64>) -> Result<Estimate, Missing> {
    let n = seen.gram()?.n;
    let (mut own, mut all) = (vec![Moments::default(); n], Moments::default());
    for a in 0..n {
        for b in 0..a {
            if let Some(value) = of(a, b) {
                own[a].push(value);
                own[b].push(value);
                all.push(value);
            }
        }
    }
    if all.count() == 0 {
        return Err(Missing::Constant);
    }
    let means: Vec<f64> = own.iter().filter(|own| own.count() > 0).map(Moments::mean).collect();
    Ok(estimate(all.mean(), 2.0 * Moments::of(&means).error(), n))
}
