//! What a residual block does to the stream. Per token, no labels needed.

use carnot_math::stats::{Estimate, Moments};

use super::{Missing, Observable, estimate};
use crate::seen::Seen;

/// $1 - \cos(h_{in}, h_{out})$, mean over all vectors. Range: 0 (nothing) to 2.
///
/// Source: Men et al., arXiv:2403.03853 (block influence); Gromov et al., arXiv:2403.17887.
pub const INFLUENCE: Observable = Observable {
    name: "block_influence",
    symbol: "BI",
    title: "block influence",
    meaning: "1 − cosine between a block's input and output, mean over vectors: 0 when the block does nothing.",
    of: |seen| over_samples(seen, |from, to| cosine(from, to).map(|cosine| 1.0 - cosine), Sum::Mean),
};

/// The largest over all vectors. A block may do nothing to nearly all tokens and everything to one.
pub const LARGEST: Observable = Observable {
    name: "block_influence_max",
    symbol: "BI↑",
    title: "largest block influence",
    meaning: "1 − cosine between a block's input and output, the largest over vectors.",
    of: |seen| over_samples(seen, |from, to| cosine(from, to).map(|cosine| 1.0 - cosine), Sum::Largest),
};

/// $|h_{out}-h_{in}|/|h_{in}|$, mean over all vectors: what the branch adds. Range: ≥ 0.
pub const CONTRIBUTION: Observable = Observable {
    name: "contribution",
    symbol: "|Δ|/|h|",
    title: "residual contribution",
    meaning: "Length of what a block adds to the stream, over the length of the stream.",
    of: |seen| {
        let share = |from: &[f32], to: &[f32]| {
            let size = squares(from);
            let added: f64 = from.iter().zip(to).map(|(&a, &b)| (f64::from(b) - f64::from(a)).powi(2)).sum();
            (size > 0.0).then(|| (added / size).sqrt())
        };
        over_samples(seen, share, Sum::Mean)
    },
};

enum Sum {
    Mean,
    Largest,
}

/// Over vectors, with the error over samples; vectors of zeros are left out.
fn over_samples(
    seen: &Seen,
    of: impl Fn(&[f32], &[f32]) -> Option<f64>,
    sum: Sum,
) -> Result<Estimate, Missing> {
    let to = seen.features()?;
    let from = seen.call.input.ok_or(Missing::Kind("residual blocks whose input was handed over"))?;
    if from.iter().any(|x| !x.is_finite()) {
        return Err(Missing::NotFinite { count: from.iter().filter(|x| !x.is_finite()).count() as u64 });
    }
    let (width, per_sample) = (seen.call.width, to.len() / seen.samples);
    let (mut samples, mut largest) = (Moments::default(), f64::NEG_INFINITY);
    for (from, to) in from.chunks_exact(per_sample).zip(to.chunks_exact(per_sample)) {
        let vectors = from.chunks_exact(width).zip(to.chunks_exact(width));
        let mut own = Moments::default();
        for value in vectors.filter_map(|(from, to)| of(from, to)) {
            own.push(value);
            largest = largest.max(value);
        }
        if own.count() > 0 {
            samples.push(own.mean());
        }
    }
    match (samples.count(), sum) {
        (0, _) => Err(Missing::Constant),
        (_, Sum::Mean) => Ok(samples.estimate()),
        (n, Sum::Largest) => Ok(estimate(largest, f64::NAN, n as usize)),
    }
}

/// From the difference of the directions, so that 1 − cos keeps its digits: |a/|a| − b/|b||² = 2 (1 − cos).
fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    let (na, nb) = (squares(a).sqrt(), squares(b).sqrt());
    if na <= 0.0 || nb <= 0.0 {
        return None;
    }
    let apart: f64 = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) / na - f64::from(b) / nb).powi(2)).sum();
    Some(1.0 - apart / 2.0)
}

fn squares(a: &[f32]) -> f64 {
    a.iter().map(|&x| f64::from(x) * f64::from(x)).sum()
}
