//! The loss beyond the best constant answer: what is left to learn once the head knows the marginal of the targets.

use super::data::{Answers, gather_inputs, spread};
use super::evaluate::AT_ONCE;
use crate::loss::Loss;
use carnot_net::batch::Batch;
use carnot_net::dataset::{Dataset, IGNORED, Targets};
use carnot_net::plan::{Plan, Weights};
use carnot_net::tape::{Mode, Tape, Unwatched};

/// Rounds of the fit of the shift; each brings the marginal of the answers a step of Newton's size nearer.
const ROUNDS: usize = 40;
/// Largest difference of a logarithm of the marginals at which the shift is good enough.
const NEAR: f64 = 1e-6;
/// Added to the count of each class, so that one which is absent from a batch has a finite shift.
const ABSENT: f64 = 0.5;

/// A loss in which a shift b common to all answers of the network is free, $L_\perp(\theta) = \min_b L(f_\theta + b)$.
///
/// A network that answers everything alike learns the marginal of the targets in a few steps at any rate and no more from then on. What raises
/// $L_\perp$ does harm that no bias repairs. By the envelope theorem its gradient is that of L at the shifted answers. Cross-entropy: $b$ makes the
/// mean of the answered chances equal to the shares of the classes, with half a sample more of each so that all are finite (the gradient is off by as little);
/// squared loss: $b$ is the mean of what is left.
pub struct Beyond<'a> {
    plan: &'a Plan,
    loss: Loss,
    data: &'a Dataset,
    /// ln of the share of each class; empty for numbers.
    shares: Vec<f64>,
}

impl<'a> Beyond<'a> {
    /// The loss of a network on some samples.
    #[must_use]
    pub fn new(plan: &'a Plan, loss: Loss, data: &'a Dataset) -> Beyond<'a> {
        let shares = match &data.targets {
            Targets::Classes { classes, .. } | Targets::Positions { classes, .. } => {
                let counts = data.class_counts();
                let n: f64 = counts.iter().map(|&count| count as f64 + ABSENT).sum();
                let mut shares: Vec<f64> =
                    counts.iter().map(|&count| ((count as f64 + ABSENT) / n).ln()).collect();
                shares.resize(*classes, (ABSENT / n).ln());
                shares
            }
            Targets::None | Targets::Values { .. } => Vec::new(),
        };
        Beyond { plan, loss, data, shares }
    }

    /// Its value; `None` when it is not finite.
    ///
    /// * `parameters`: `[plan.parameters]`
    #[must_use]
    pub fn value(&self, parameters: &[f64]) -> Option<f64> {
        let mut tape = Tape::new(Mode::Evaluate);
        tape.record = false;
        let all = self.answers(parameters, &mut tape);
        let shift = self.shift(&all)?;
        let (mut sum, mut rows) = (0.0, 0);
        for (mut outputs, wanted, samples) in all {
            add(&mut outputs.data, &shift);
            let mut slope = vec![0.0; outputs.data.len()];
            let total = self.loss.of(&outputs.data, samples, wanted.wanted(), &mut slope);
            sum += total.loss;
            rows += total.rows;
        }
        let mean = sum / rows as f64;
        mean.is_finite().then_some(mean)
    }

    /// Its gradient, `[plan.parameters]`; NaN where the loss is not finite.
    #[must_use]
    pub fn gradient(&self, parameters: &[f64]) -> Vec<f64> {
        let mut tape = Tape::new(Mode::Evaluate);
        tape.record = false;
        let Some(shift) = self.shift(&self.answers(parameters, &mut tape)) else {
            return vec![f64::NAN; parameters.len()];
        };
        tape.record = true;
        let (mut sum, mut part_sum) = (vec![0.0; parameters.len()], vec![0.0; parameters.len()]);
        let all = self.data.rows() as f64;
        let mut answers = Answers::new();
        for part in spread(self.data.len(), 0).chunks(AT_ONCE) {
            answers.gather(self.data, part);
            let mut outputs = self.outputs(parameters, part, &mut tape);
            add(&mut outputs.data, &shift);
            let mut slope = tape.take(1, part.len(), &outputs.shape);
            let total = self.loss.of(&outputs.data, part.len(), answers.wanted(), &mut slope.data);
            tape.give(outputs);
            let weights = Weights { data: parameters, stride: self.plan.parameters };
            self.plan.backward(weights, slope, &mut part_sum, &mut tape, &mut Unwatched);
            let share = total.rows as f64 / all;
            sum.iter_mut().zip(&part_sum).for_each(|(sum, part)| *sum += share * part);
        }
        sum
    }

    fn outputs(&self, parameters: &[f64], part: &[usize], tape: &mut Tape<f64>) -> Batch<f64> {
        let mut input = tape.take(1, part.len(), &self.plan.input);
        gather_inputs(self.data, part, &mut input.data);
        let weights = Weights { data: parameters, stride: self.plan.parameters };
        self.plan.forward(weights, input, tape, &mut Unwatched)
    }

    fn answers(&self, parameters: &[f64], tape: &mut Tape<f64>) -> Vec<(Batch<f64>, Answers<f64>, usize)> {
        let of = |part: &[usize]| {
            let mut answers = Answers::new();
            answers.gather(self.data, part);
            (self.outputs(parameters, part, tape), answers, part.len())
        };
        spread(self.data.len(), 0).chunks(AT_ONCE).map(of).collect()
    }

    /// The shift with which the loss is least; `None` when the answers are not finite.
    fn shift(&self, all: &[(Batch<f64>, Answers<f64>, usize)]) -> Option<Vec<f64>> {
        match self.loss {
            Loss::CrossEntropy => self.of_chances(all),
            Loss::Squared => self.of_means(all),
        }
    }

    /// Proportional fitting: $b \leftarrow b + \ln q - \ln \bar p$.
    fn of_chances(&self, all: &[(Batch<f64>, Answers<f64>, usize)]) -> Option<Vec<f64>> {
        let width = self.shares.len();
        let mut shift = vec![0.0; width];
        for _ in 0..ROUNDS {
            let (mut mean, mut rows) = (vec![0.0; width], 0.0);
            for (outputs, answers, _) in all {
                for (row, label) in outputs.data.chunks_exact(width).zip(answers.labels()) {
                    if *label == IGNORED {
                        continue;
                    }
                    let top = row.iter().zip(&shift).map(|(f, b)| f + b).fold(f64::NEG_INFINITY, f64::max);
                    let sum: f64 = row.iter().zip(&shift).map(|(f, b)| (f + b - top).exp()).sum();
                    mean.iter_mut()
                        .zip(row.iter().zip(&shift))
                        .for_each(|(mean, (f, b))| *mean += (f + b - top).exp() / sum);
                    rows += 1.0;
                }
            }
            let mut worst = 0.0f64;
            for ((shift, mean), share) in shift.iter_mut().zip(&mean).zip(&self.shares) {
                let off = share - (mean / rows).max(f64::MIN_POSITIVE).ln();
                worst = worst.max(off.abs());
                *shift += off;
            }
            if !worst.is_finite() || shift.iter().any(|b| !b.is_finite()) {
                return None;
            }
            if worst < NEAR {
                break;
            }
        }
        Some(shift)
    }

    /// What is left on the mean, by output: one look at the loss's own slope.
    fn of_means(&self, all: &[(Batch<f64>, Answers<f64>, usize)]) -> Option<Vec<f64>> {
        let (mut sum, mut rows) = (Vec::new(), 0.0);
        for (outputs, answers, samples) in all {
            let mut slope = vec![0.0; outputs.data.len()];
            let total = self.loss.of(&outputs.data, *samples, answers.wanted(), &mut slope);
            let judged = total.rows as f64;
            let count = if answers.labels().is_empty() { *samples } else { answers.labels().len() };
            let width = outputs.data.len() / count.max(1);
            sum.resize(width, 0.0);
            for row in slope.chunks_exact(width) {
                sum.iter_mut().zip(row).for_each(|(sum, slope)| *sum += slope * judged);
            }
            rows += judged;
        }
        let shift: Vec<f64> = sum.into_iter().map(|sum: f64| -sum / rows).collect();
        shift.iter().all(|b| b.is_finite()).then_some(shift)
    }
}

fn add(outputs: &mut [f64], shift: &[f64]) {
    for row in outputs.chunks_exact_mut(shift.len()) {
        row.iter_mut().zip(shift).for_each(|(f, b)| *f += b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initialise::initialise;
    use crate::train::evaluate::score;
    use carnot_math::random::Stream;
    use carnot_net::hyper::LayerInit;
    use carnot_net::network::Network;

    const SAMPLES: usize = 600;

    fn data(targets: Targets) -> Dataset {
        let mut inputs = vec![0f32; SAMPLES * 4];
        Stream::new(2, "inputs", &[]).fill_normal(&mut inputs, 1.0);
        let (name, source) = ("toy".into(), String::new());
        Dataset { name, shape: vec![4], inputs, targets, exact: Default::default(), source }
    }

    fn classes() -> Dataset {
        data(Targets::Classes {
            labels: (0..SAMPLES).map(|at| [0, 0, 0, 1, 2][at % 5]).collect(),
            classes: 3,
        })
    }

    fn values() -> Dataset {
        let values = (0..2 * SAMPLES).map(|at| 3.0 + (at % 7) as f32).collect();
        data(Targets::Values { values, width: 2 })
    }

    fn started(classes: usize) -> (Plan, Vec<f64>) {
        let text =
            format!("input = [4]\nlayers = [{{ dense = 8 }}, {{ act = \"tanh\" }}, {{ dense = {classes} }}]");
        let plan = Plan::new(&Network::from_toml(&text).unwrap()).unwrap();
        let init = vec![LayerInit::normal(1.5, 0.1); plan.weighted];
        let mut parameters = vec![0.0; plan.parameters];
        initialise(&plan, &init, 5, 0, &mut parameters);
        (plan, parameters)
    }

    /// A bias that is common to all answers changes nothing, and no bias of the head does better.
    #[test]
    fn no_bias_does_better_and_none_matters() {
        for (data, loss, width) in [(classes(), Loss::CrossEntropy, 3), (values(), Loss::Squared, 2)] {
            let (plan, parameters) = started(width);
            let beyond = Beyond::new(&plan, loss, &data);
            let value = beyond.value(&parameters).unwrap();
            let mut stream = Stream::new(3, "biases", &[]);
            let first = plan.parameters - width;
            for _ in 0..50 {
                let mut moved = parameters.clone();
                moved[first..].iter_mut().for_each(|b| *b += 3.0 * stream.normal::<f64>());
                assert!((beyond.value(&moved).unwrap() - value).abs() < 1e-5, "{loss:?}");
                // Shares of classes count half a sample more of each.
                assert!(score(&plan, &moved, loss, &data).loss.unwrap() > value - 1e-3, "{loss:?}");
            }
        }
    }

    #[test]
    fn its_gradient_is_its_slope() {
        for (data, loss, width) in [(classes(), Loss::CrossEntropy, 3), (values(), Loss::Squared, 2)] {
            let (plan, parameters) = started(width);
            let beyond = Beyond::new(&plan, loss, &data);
            let slope = beyond.gradient(&parameters);
            for at in (0..plan.parameters).step_by(5) {
                let moved = |by: f64| {
                    let mut moved = parameters.clone();
                    moved[at] += by;
                    beyond.value(&moved).unwrap()
                };
                let expected = (moved(1e-4) - moved(-1e-4)) / 2e-4;
                // A batch counts half a sample more of each class than the loss does.
                let near = 2e-2 * slope.iter().map(|g| g.abs()).fold(0.0, f64::max);
                assert!((slope[at] - expected).abs() < near, "{loss:?}, {at}: {} and {expected}", slope[at]);
            }
        }
    }

    #[test]
    fn what_is_not_finite_has_no_value() {
        let (plan, mut parameters) = started(3);
        parameters[0] = f64::NAN;
        let data = classes();
        let beyond = Beyond::new(&plan, Loss::CrossEntropy, &data);
        assert!(beyond.value(&parameters).is_none());
        assert!(beyond.gradient(&parameters).iter().all(|g| g.is_nan()));
    }
}
