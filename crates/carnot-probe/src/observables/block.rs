//! What a residual block does to the stream. Per token, no labels needed.

use carnot_math::stats::{Estimate, Moments};

use super::{Missing, Observable, estimate};
use crate::gather::Skip;
use crate::seen::Seen;

/// $1 - \cos(h_{in}, h_{out})$, mean over all vectors. Range: 0 (nothing) to 2.
///
/// Source: Men et al., arXiv:2403.03853 (block influence); Gromov et al., arXiv:2403.17887.
pub const INFLUENCE: Observable = Observable {
    name: "block_influence",
    symbol: "BI",
    title: "block influence",
    meaning: "1 − cosine between a block's input and output, mean over vectors: 0 when the block does nothing.",
    of: |seen| mean(skip(seen)?.influence),
};

/// The largest over all vectors. A block may do nothing to nearly all tokens and everything to one.
pub const LARGEST: Observable = Observable {
    name: "block_influence_max",
    symbol: "BI↑",
    title: "largest block influence",
    meaning: "1 − cosine between a block's input and output, the largest over vectors.",
    of: |seen| {
        let skip = skip(seen)?;
        mean(skip.influence)?;
        Ok(estimate(skip.largest, f64::NAN, skip.influence.count() as usize))
    },
};

/// $|h_{out}-h_{in}|/|h_{in}|$, mean over all vectors: what the branch adds. Range: ≥ 0.
pub const CONTRIBUTION: Observable = Observable {
    name: "contribution",
    symbol: "|Δ|/|h|",
    title: "residual contribution",
    meaning: "Length of what a block adds to the stream, over the length of the stream.",
    of: |seen| mean(skip(seen)?.contribution),
};

fn skip<'a>(seen: &Seen<'a>) -> Result<&'a Skip, Missing> {
    seen.elements()?;
    let of_blocks = Missing::Kind("residual blocks whose input was handed over");
    match seen.gathered.skip.as_ref().ok_or(of_blocks)? {
        skip if skip.non_finite > 0 => Err(Missing::NotFinite { count: skip.non_finite }),
        skip => Ok(skip),
    }
}

/// Over samples that have a vector that is not 0.
fn mean(samples: Moments) -> Result<Estimate, Missing> {
    if samples.count() == 0 { Err(Missing::Constant) } else { Ok(samples.estimate()) }
}
