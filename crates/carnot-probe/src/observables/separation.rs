//! How well classes are separated: three forms. Small means well separated.
//!
//! Source: Shi, Pan, Dokmanić, arXiv:2407.19353 and their code (trace form); He, Su, arXiv:2210.17020 (pseudo-inverse form).

use carnot_math::device::{View, product, product_into};
use carnot_math::stats::Estimate;

use super::{Missing, Observable, estimate};
use crate::seen::{Seen, Separated, error};

/// $D = \ln(\mathrm{Tr}\,S_W/\mathrm{Tr}\,S_B)$ with $S_W = \frac1N\sum_c\sum_{i\in c}(h_i-m_c)(h_i-m_c)^\top$ and
/// $S_B = \frac1N\sum_c n_c(m_c-m)(m_c-m)^\top$. Natural logarithm; any real number, unchanged by shifts, rotations and a
/// common scale.
///
/// Error from the influence of each sample, $|h-m_c|^2/\mathrm{Tr}S_W - (|m_c-m|^2+2(h-m_c)\cdot(m_c-m))/\mathrm{Tr}S_B$.
pub const TRACE: Observable = Observable {
    name: "separation",
    symbol: "D",
    title: "separation",
    meaning: "ln(within-class / between-class scatter): low when classes are apart.",
    of: |seen| {
        judged(seen)?;
        Ok(seen.separation()?.estimate())
    },
};

/// $D^+ = \ln\mathrm{Tr}(S_W S_B^+)$: the scatter within classes along the directions that separate them, in units of what
/// separates them. From a thin singular value decomposition of the class means. Any real number.
///
/// $S_B$ is of all samples, $S_W$ along its directions of the fixed choice of rows. Error from the influence of each of them on
/// $S_W$ and on $S_B^+$, the turning of its directions included.
pub const PINV: Observable = Observable {
    name: "separation_pinv",
    symbol: "D⁺",
    title: "separation along the class means",
    meaning: "ln Tr(within · between⁺): within-class scatter along the directions that separate the classes.",
    of: |seen| {
        judged(seen)?;
        along_directions(seen)
    },
};

/// $D_u = \ln(w/b)$ with $w = \frac{N}{N-K}\mathrm{Tr}S_W$, $b = \mathrm{Tr}S_B - \frac{K-1}{N}w$: without the part of S_B that
/// is the scatter of means of few samples. b ≤ 0 is "no separation found".
pub const CORRECTED: Observable = Observable {
    name: "separation_corrected",
    symbol: "D_u",
    title: "separation, corrected",
    meaning: "Separation without the part that the means of few samples show by chance.",
    of: |seen| {
        let separated = judged(seen)?;
        let t = &separated.traces;
        if t.samples <= t.classes {
            return Err(Missing::Singles);
        }
        let w = t.samples / (t.samples - t.classes) * t.within;
        let chance = (t.classes - 1.0) / t.samples * w;
        let b = t.between - chance;
        if b <= 0.0 {
            return Err(Missing::NoSeparation);
        }
        // d ln b = (dB − chance · dW/W)/b: the plain influence, with more weight on the part that is left.
        let plain = seen.separation()?.estimate();
        Ok(Estimate { value: (w / b).ln(), error: plain.error * t.between / b, ..plain })
    },
};

/// The scatter of classes where it means something: not for tokens, not where nothing is left on one side.
pub(super) fn judged<'s>(seen: &'s Seen) -> Result<&'s Separated, Missing> {
    if seen.classifies_positions() {
        return Err(Missing::Tokens);
    }
    let separated = seen.separated()?;
    let size = separated.traces.within + separated.traces.between;
    if separated.traces.between <= size * 1e-14 {
        return Err(Missing::Merged);
    }
    if separated.traces.within <= size * 1e-14 {
        return Err(Missing::Collapsed);
    }
    Ok(separated)
}

fn along_directions(seen: &Seen) -> Result<Estimate, Missing> {
    let (separated, placed) = (seen.separated()?, seen.placed()?);
    let directions = separated.directions.as_ref().map_err(Clone::clone)?;
    let (arms, along, rank) = (&separated.arms, &separated.compared.along, directions.rank());
    let n = placed.rows.len() as f64;
    // a_ij = u_j·(h_i − m_c) and A_jk = u_j·S_W u_k.
    let mut inside = vec![0.0; rank * rank];
    let coordinates = View::new(along, placed.rows.len(), rank);
    product_into(&mut inside, coordinates.transposed(), coordinates, 1.0 / n, false);
    let square = |j: usize| directions.sigma[j] * directions.sigma[j];
    let total: f64 = (0..rank).map(|j| inside[j * rank + j] / square(j)).sum();
    if total <= 0.0 {
        return Err(Missing::Collapsed);
    }
    // The influence of a sample: on S_W, on S_B within its directions, and on the directions. b_cj = u_j·(m_c − m).
    let classes = arms.counts.len();
    let mut b = vec![0.0; classes * rank];
    let vectors = View::new(&directions.vectors, rank, arms.width).transposed();
    product(&mut b, View::new(&arms.arms, classes, arms.width), vectors, false);
    let weights: Vec<f64> =
        b.iter().enumerate().map(|(at, b)| b / (square(at % rank) * square(at % rank))).collect();
    let turning = placed.turning(arms, directions, along, &inside, &weights);
    let (mut influence, mut within) = (Vec::new(), Vec::new());
    for ((a, class), turning) in along.chunks_exact(rank).zip(&placed.class).zip(turning) {
        let b = &b[class * rank..][..rank];
        let mut change: f64 = (0..rank).map(|j| a[j] * a[j] / square(j)).sum();
        within.push(change / total - 1.0);
        for j in 0..rank {
            for k in 0..rank {
                let mixed = b[j] * b[k] + a[j] * b[k] + b[j] * a[k];
                change -= inside[j * rank + k] / (square(j) * square(k)) * mixed;
            }
        }
        influence.push((change - 2.0 * turning) / total);
    }
    let all = separated.classes.samples() as f64;
    // The scatter within classes is of n rows, the class means are of all.
    let fewer = within.iter().map(|w| w * w).sum::<f64>() / n * (1.0 / n - 1.0 / all);
    let error = error(&influence, all as usize).hypot(fewer.max(0.0).sqrt());
    Ok(estimate(total.ln(), error, all as usize))
}
