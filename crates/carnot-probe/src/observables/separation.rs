//! How well classes are separated: three forms. Small means well separated.
//!
//! Source: Shi, Pan, Dokmanić, arXiv:2407.19353 and their code (trace form); He, Su, arXiv:2210.17020 (pseudo-inverse form).

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
    let separated = seen.separated()?;
    let (classes, directions) = (&separated.classes, seen.directions(false)?);
    let (rank, width) = (directions.rank(), classes.width);
    let n = seen.labelled()?.count() as f64;
    let mean = classes.mean();
    // One pass: a_ij = u_j·(h_i − m_c), S_W u_j and A_jk = u_j·S_W u_k.
    let (mut inside, mut turned) = (vec![0.0; rank * rank], vec![0.0; rank * width]);
    let mut coordinates = Vec::new();
    for (_, label, row) in seen.labelled()? {
        let centre = &classes.by_label[&label].mean;
        let a = directions.project(row, centre);
        for j in 0..rank {
            for k in 0..rank {
                inside[j * rank + k] += a[j] * a[k] / n;
            }
            let out = turned[j * width..][..width].iter_mut().zip(row).zip(centre);
            out.for_each(|((out, &h), m)| *out += a[j] * (f64::from(h) - m) / n);
        }
        coordinates.push((label, a));
    }
    for j in 0..rank {
        for k in 0..rank {
            let (amount, u) = (inside[k * rank + j], &directions.vectors[k * width..][..width]);
            turned[j * width..][..width].iter_mut().zip(u).for_each(|(v, u)| *v -= amount * u);
        }
    }
    let square = |j: usize| directions.sigma[j] * directions.sigma[j];
    let total: f64 = (0..rank).map(|j| inside[j * rank + j] / square(j)).sum();
    if total <= 0.0 {
        return Err(Missing::Collapsed);
    }
    // The influence of a sample: on S_W, on S_B within its directions, and on the directions.
    let mut of_class = std::collections::BTreeMap::new();
    for (label, class) in &classes.by_label {
        let apart =
            |u: &[f64]| u.iter().zip(&class.mean).zip(&mean).map(|((u, m), all)| u * (m - all)).sum::<f64>();
        let b: Vec<f64> = directions.vectors.chunks(width).map(apart).collect();
        let mut turn = vec![0.0; width];
        for j in 0..rank {
            let weight = b[j] / (square(j) * square(j));
            turn.iter_mut().zip(&turned[j * width..]).for_each(|(turn, v)| *turn += weight * v);
        }
        of_class.insert(*label, (b, turn));
    }
    let (mut influence, mut within) = (Vec::new(), Vec::new());
    for ((label, a), (_, _, row)) in coordinates.iter().zip(seen.labelled()?) {
        let (b, turn) = &of_class[label];
        let centre = &classes.by_label[label].mean;
        let mut change: f64 = (0..rank).map(|j| a[j] * a[j] / square(j)).sum();
        within.push(change / total - 1.0);
        for j in 0..rank {
            for k in 0..rank {
                let mixed = b[j] * b[k] + a[j] * b[k] + b[j] * a[k];
                change -= inside[j * rank + k] / (square(j) * square(k)) * mixed;
            }
        }
        let turning: f64 = row.iter().zip(centre).zip(turn).map(|((&h, m), t)| (f64::from(h) - m) * t).sum();
        influence.push((change - 2.0 * turning) / total);
    }
    let all = classes.samples() as f64;
    // The scatter within classes is of n rows, the class means are of all.
    let fewer = within.iter().map(|w| w * w).sum::<f64>() / n * (1.0 / n - 1.0 / all);
    let error = error(&influence, all as usize).hypot(fewer.max(0.0).sqrt());
    Ok(estimate(total.ln(), error, all as usize))
}
