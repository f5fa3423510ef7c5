//! How well classes are separated.

use super::{Missing, Observable};
use crate::kernel::Gram;

/// $D = \ln(\mathrm{Tr}\,S_W/\mathrm{Tr}\,S_B)$: within-class over between-class scatter; its fall across a layer is
/// that layer's load. Taken from distances alone: $\mathrm{Tr}\,S_T = \frac{1}{2N^2}\sum_{ab} d_{ab}$,
/// $\mathrm{Tr}\,S_W = \sum_c \frac{1}{2 N n_c}\sum_{ab\in c} d_{ab}$, $S_B = S_T - S_W$.
pub const ROW: Observable = Observable {
    name: "separation",
    symbol: "D",
    meaning: "ln (within-class / between-class scatter); small means well separated",
    of: |reading, labels| {
        if labels.classes.len() != reading.forward.samples {
            return Err(Missing::Labels);
        }
        let (within, between) = scatter(&reading.forward, labels.classes).ok_or(Missing::Classes)?;
        if within + between == 0.0 {
            return Err(Missing::NoSignal);
        }
        Ok((within / between).ln())
    },
};

/// Traces of the within-class and between-class scatter; `None` unless some class has two samples and there
/// are two classes.
fn scatter(gram: &Gram, classes: &[u32]) -> Option<(f64, f64)> {
    let n = gram.samples as f64;
    let mut sizes = std::collections::BTreeMap::new();
    for class in classes {
        *sizes.entry(class).or_insert(0.0) += 1.0;
    }
    if sizes.len() < 2 || sizes.values().all(|&size| size < 2.0) {
        return None;
    }
    // The between-class scatter as a sum of positive terms would need class means; as a difference of means of
    // distances it loses accuracy only where D is large, that is where classes are not separated at all.
    let (mut within, mut total) = (0.0, 0.0);
    for (a, b) in gram.pairs() {
        let d = gram.distance_of(a, b).expect("a pair that is kept");
        total += d / (n * n);
        if classes[a] == classes[b] {
            within += d / (n * sizes[&classes[a]]);
        }
    }
    Some((within, (total - within).max(f64::MIN_POSITIVE)))
}
