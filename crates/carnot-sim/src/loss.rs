//! What training makes small.

use carnot_math::device::cpu;
use carnot_math::scalar::Scalar;
use carnot_net::dataset::IGNORED;
use serde::{Deserialize, Serialize};

/// A loss, averaged over samples; over positions, where each has its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Cross-entropy of the softmax, in nats: $\frac1N\sum_a [\ln\sum_j e^{z_{ja}} - z_{y_a a}]$.
    CrossEntropy,
    /// Half the squared distance: $\frac1N\sum_a \frac12\sum_j (z_{ja} - y_{ja})^2$, summed over outputs, as in theory.
    /// A class is the vector with a one in its place, less its mean 1/C.
    Squared,
}

/// What the outputs of a batch should be.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a, S> {
    /// `[rows]`: classes of samples or of positions; [`IGNORED`](carnot_net::dataset::IGNORED) where nothing is asked.
    Classes(&'a [u32]),
    /// `[samples, outputs]`: numbers.
    Values(&'a [S]),
}

/// Loss over some samples, before division by their number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Total {
    /// Sum of the losses; not finite when an output is not.
    pub loss: f64,
    /// Rows whose largest output is the one of their class; 0 for numbers.
    pub correct: u64,
    /// Rows that were judged: samples, or positions with a label.
    pub rows: u64,
}

impl Loss {
    /// Loss of one member on a batch, and its gradient.
    ///
    /// * `outputs`: `[samples, width]`, or `[samples, positions, width]` where each position has its class
    /// * `gradient`: as `outputs`, overwritten with the gradient of the *mean* over these samples (positions)
    ///
    /// # Panics
    /// When shapes do not fit, a class is not below `width`, or cross-entropy is asked of numbers.
    pub fn of<S: Scalar>(
        self,
        outputs: &[S],
        samples: usize,
        wanted: Wanted<S>,
        gradient: &mut [S],
    ) -> Total {
        let rows = match wanted {
            Wanted::Classes(labels) => labels.len(),
            Wanted::Values(_) => samples,
        };
        let judged = match wanted {
            Wanted::Classes(labels) => labels.iter().filter(|&&label| label != IGNORED).count(),
            Wanted::Values(_) => samples,
        };
        let width = outputs.len() / rows.max(1);
        let share = 1.0 / judged.max(1) as f64;
        match (self, wanted) {
            (Loss::CrossEntropy, Wanted::Classes(labels)) => {
                let found = cpu::softmax_cross_entropy(outputs, labels, gradient, share);
                Total { loss: found.sum, correct: found.correct as u64, rows: found.rows as u64 }
            }
            (Loss::CrossEntropy, Wanted::Values(_)) => panic!("cross-entropy needs classes"),
            (Loss::Squared, Wanted::Values(values)) => {
                let loss = cpu::squared_error(outputs, values, gradient, share);
                Total { loss, correct: 0, rows: samples as u64 }
            }
            (Loss::Squared, Wanted::Classes(labels)) => {
                gradient.copy_from_slice(outputs);
                let mut correct = 0;
                let mean = S::from_f64(mean_target(width));
                for (row, &label) in gradient.chunks_exact_mut(width).zip(labels) {
                    if label == IGNORED {
                        row.fill(S::default());
                        continue;
                    }
                    correct += u64::from(largest(row) == label as usize);
                    row[label as usize] -= S::from_f64(1.0);
                    row.iter_mut().for_each(|error| *error += mean);
                }
                let loss = 0.5 * cpu::sum_of_squares(gradient);
                cpu::scale(gradient, S::from_f64(share));
                Total { loss, correct, rows: judged as u64 }
            }
        }
    }
}

/// What is taken from the targets 1 and 0 of classes, so that they sum to zero as the outputs of a random network do on
/// average: the same targets that the theory of regression has.
fn mean_target(classes: usize) -> f64 {
    if classes > 1 { 1.0 / classes as f64 } else { 0.0 }
}

/// Place of the largest number, the first of equal ones.
fn largest<S: Scalar>(row: &[S]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_math::random::Stream;

    /// The definition, written out.
    fn plain(loss: Loss, outputs: &[f64], wanted: Wanted<f64>, width: usize) -> f64 {
        let row = |a: usize| &outputs[a * width..(a + 1) * width];
        let samples = outputs.len() / width;
        let one = |a: usize| match (loss, wanted) {
            (Loss::CrossEntropy, Wanted::Classes(y)) => {
                row(a).iter().map(|z| z.exp()).sum::<f64>().ln() - row(a)[y[a] as usize]
            }
            (Loss::Squared, Wanted::Classes(y)) => {
                (0..width)
                    .map(|j| (row(a)[j] - f64::from(j == y[a] as usize) + 1.0 / width as f64).powi(2))
                    .sum::<f64>()
                    / 2.0
            }
            (Loss::Squared, Wanted::Values(y)) => {
                (0..width).map(|j| (row(a)[j] - y[a * width + j]).powi(2)).sum::<f64>() / 2.0
            }
            _ => unreachable!(),
        };
        (0..samples).map(one).sum::<f64>() / samples as f64
    }

    #[test]
    fn value_and_gradient_are_those_of_the_definition() {
        let (samples, width) = (5, 3);
        let mut outputs = vec![0f64; samples * width];
        Stream::new(1, "loss test", &[]).fill_normal(&mut outputs, 2.0);
        let labels = [0, 2, 1, 1, 0];
        let values: Vec<f64> = (0..samples * width).map(|i| (i as f64).sin()).collect();
        let cases = [
            (Loss::CrossEntropy, Wanted::Classes(&labels)),
            (Loss::Squared, Wanted::Classes(&labels)),
            (Loss::Squared, Wanted::Values(&values)),
        ];
        for (loss, wanted) in cases {
            let mut gradient = vec![f64::NAN; outputs.len()];
            let total = loss.of(&outputs, samples, wanted, &mut gradient);
            let expect = plain(loss, &outputs, wanted, width);
            assert!((total.loss / samples as f64 - expect).abs() < 1e-13, "{loss:?}");
            for i in 0..outputs.len() {
                let at = |shift: f64| {
                    let mut moved = outputs.clone();
                    moved[i] += shift;
                    plain(loss, &moved, wanted, width)
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((gradient[i] - slope).abs() < 1e-9, "{loss:?} {i}: {} and {slope}", gradient[i]);
            }
        }
    }

    #[test]
    fn accuracy_counts_the_largest_output_and_a_broken_output_shows_in_the_loss() {
        for loss in [Loss::CrossEntropy, Loss::Squared] {
            let mut gradient = [0f32; 4];
            let total = loss.of(&[1f32, 2.0, 3.0, 0.0], 2, Wanted::Classes(&[1, 1]), &mut gradient);
            assert_eq!(total.correct, 1, "{loss:?}");
            for broken in [f32::NAN, f32::INFINITY] {
                let total = loss.of(&[broken, 2.0, 3.0, 0.0], 2, Wanted::Classes(&[1, 1]), &mut gradient);
                assert!(!total.loss.is_finite(), "{loss:?} of {broken} is {}", total.loss);
            }
        }
    }
}
