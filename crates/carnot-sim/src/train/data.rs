//! Which samples a step sees, and how they get there.

use crate::loss::Wanted;
use carnot_math::random::Stream;
use carnot_math::scalar::Scalar;
use carnot_math::stats::Moments;
use carnot_net::dataset::{Dataset, IGNORED, Targets};

/// An endless sequence of batches: random orders of the whole set, one after another, cut into equal pieces.
///
/// Depends on the seed and the sizes only, so that every member, and every copy of a network, sees the same.
pub(super) struct Batches {
    seed: u64,
    epoch: u64,
    next: usize,
    order: Vec<usize>,
    /// The samples of the current batch.
    pub(super) current: Vec<usize>,
}

impl Batches {
    pub(super) fn new(seed: u64, samples: usize, batch: usize) -> Batches {
        let order = (0..samples).collect();
        // `next` at the end: the first advance() shuffles.
        Batches { seed, epoch: 0, next: samples, order, current: vec![0; batch.min(samples)] }
    }

    /// Goes to the next batch.
    pub(super) fn advance(&mut self) {
        for place in &mut self.current {
            if self.next == self.order.len() {
                Stream::new(self.seed, "batches", &[self.epoch]).shuffle(&mut self.order);
                self.epoch += 1;
                self.next = 0;
            }
            *place = self.order[self.next];
            self.next += 1;
        }
    }
}

/// Targets of a batch, in the form its loss wants.
pub(super) struct Answers<S> {
    labels: Vec<u32>,
    values: Vec<S>,
}

impl<S: Scalar> Answers<S> {
    pub(super) fn new() -> Answers<S> {
        Answers { labels: Vec::new(), values: Vec::new() }
    }

    /// Copies the targets of the samples; no allocation once the largest batch has been seen.
    pub(super) fn gather(&mut self, data: &Dataset, samples: &[usize]) {
        self.labels.clear();
        self.values.clear();
        match &data.targets {
            Targets::None => {}
            Targets::Classes { labels, .. } => self.labels.extend(samples.iter().map(|&i| labels[i])),
            Targets::Positions { labels, positions: p, .. } => {
                self.labels.extend(samples.iter().flat_map(|&i| &labels[i * p..(i + 1) * p]));
            }
            Targets::Values { values, width } => {
                let of = |&i: &usize| values[i * width..(i + 1) * width].iter();
                self.values.extend(samples.iter().flat_map(of).map(|&x| S::from_f64(f64::from(x))));
            }
        }
    }

    /// Labels of the batch, none where the targets are numbers.
    pub(super) fn labels(&self) -> &[u32] {
        &self.labels
    }

    pub(super) fn wanted(&self) -> Wanted<'_, S> {
        if self.labels.is_empty() { Wanted::Values(&self.values) } else { Wanted::Classes(&self.labels) }
    }
}

/// Labels of a batch for one member, each redrawn with the probability `share` from `classes`.
pub(super) fn redrawn(labels: &[u32], share: f64, classes: usize, stream: &mut Stream, out: &mut [u32]) {
    for (to, &label) in out.iter_mut().zip(labels) {
        let is_redrawn = label != IGNORED && stream.uniform() < share;
        *to = if is_redrawn { stream.below(classes) as u32 } else { label };
    }
}

/// Root mean square of all inputs less their mean.
pub(super) fn spread_of_inputs(data: &Dataset) -> f64 {
    let moments = Moments::of(&data.inputs.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
    (moments.variance() * (1.0 - 1.0 / moments.count().max(1) as f64)).sqrt()
}

/// Copies the inputs of the samples to `out`, `[samples, width]`.
pub(super) fn gather_inputs<S: Scalar>(data: &Dataset, samples: &[usize], out: &mut [S]) {
    for (row, &index) in out.chunks_exact_mut(data.width()).zip(samples) {
        for (to, &from) in row.iter_mut().zip(data.sample(index)) {
            *to = S::from_f64(f64::from(from));
        }
    }
}

/// At most `most` samples (0: all), evenly spread over a set of `len`.
pub(super) fn spread(len: usize, most: usize) -> Vec<usize> {
    let n = if most == 0 { len } else { most.min(len) };
    (0..n).map(|i| i * len / n).collect()
}

/// True when accuracy means something.
pub(super) fn has_classes(data: &Dataset) -> bool {
    matches!(data.targets, Targets::Classes { .. } | Targets::Positions { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_shows_every_sample_once_even_across_batches() {
        let mut batches = Batches::new(3, 10, 4);
        let mut seen = Vec::new();
        for _ in 0..5 {
            batches.advance();
            seen.extend_from_slice(&batches.current);
        }
        for epoch in seen.chunks(10) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(seen[..10], seen[10..]);
    }

    #[test]
    fn a_part_for_evaluation_reaches_over_the_whole_set() {
        assert_eq!(spread(10, 5), [0, 2, 4, 6, 8]);
        assert_eq!(spread(3, 0), [0, 1, 2]);
        assert_eq!(spread(3, 7), [0, 1, 2]);
    }
}
