//! Loss and accuracy of a network as it is used: without dropout, and without remembering what a gradient would need.

use super::data::{Answers, gather_inputs, has_classes, spread};
use super::history::Score;
use crate::loss::{Loss, Total};
use carnot_math::scalar::Scalar;
use carnot_net::dataset::Dataset;
use carnot_net::plan::{Plan, Weights};
use carnot_net::tape::{Mode, Tape, Unwatched};

/// Samples that are evaluated at once: enough to fill the matrix product, few enough for the cache.
pub(super) const AT_ONCE: usize = 128;

/// Loss and accuracy of one network on all samples of a set.
///
/// * `parameters`: `[plan.parameters]`
///
/// # Panics
/// When the set does not fit the network: [`super::train`] checks that for its sets.
#[must_use]
pub fn score<S: Scalar>(plan: &Plan, parameters: &[S], loss: Loss, data: &Dataset) -> Score {
    let mut tape = Tape::new(Mode::Evaluate);
    tape.record = false;
    let (mut answers, mut sum) = (Answers::new(), Total::default());
    for part in spread(data.len(), 0).chunks(AT_ONCE) {
        answers.gather(data, part);
        let total = of_part(plan, parameters, loss, (data, part, &answers), &mut tape);
        sum.loss += total.loss;
        sum.correct += total.correct;
        sum.rows += total.rows;
    }
    mean(&sum, data)
}

/// Gradient of the mean loss of one network over all samples of a set, as it is used: without dropout, and with the running means of
/// batch norms as they are. What those follow has no gradient: zero stands in its place.
///
/// * `parameters`: `[plan.parameters]`; so is what is returned
///
/// # Panics
/// As [`score`].
#[must_use]
pub fn gradient<S: Scalar>(plan: &Plan, parameters: &[S], loss: Loss, data: &Dataset) -> Vec<f64> {
    gradient_softened(plan, parameters, loss, data, 1.0)
}

/// [`gradient`] of the loss of outputs that are divided by a temperature.
///
/// * `temperature`: > 0
///
/// # Panics
/// As [`score`].
#[must_use]
pub fn gradient_softened<S: Scalar>(
    plan: &Plan,
    parameters: &[S],
    loss: Loss,
    data: &Dataset,
    temperature: f64,
) -> Vec<f64> {
    let soften = |values: &mut [S]| {
        if temperature != 1.0 {
            values.iter_mut().for_each(|value| *value = S::from_f64(value.to_f64() / temperature));
        }
    };
    let mut tape = Tape::new(Mode::Evaluate);
    let mut answers = Answers::new();
    let (mut sum, mut part_sum) = (vec![0.0; plan.parameters], vec![S::default(); plan.parameters]);
    let rows = data.rows();
    for part in spread(data.len(), 0).chunks(AT_ONCE) {
        answers.gather(data, part);
        let mut input = tape.take(1, part.len(), &plan.input);
        gather_inputs(data, part, &mut input.data);
        let weights = || Weights { data: parameters, stride: plan.parameters };
        let mut outputs = plan.forward(weights(), input, &mut tape, &mut Unwatched);
        soften(&mut outputs.data);
        let mut slope = tape.take(1, part.len(), &outputs.shape);
        let total = loss.of(&outputs.data, part.len(), answers.wanted(), &mut slope.data);
        soften(&mut slope.data);
        tape.give(outputs);
        plan.backward(weights(), slope, &mut part_sum, &mut tape, &mut Unwatched);
        let share = total.rows as f64 / rows as f64;
        sum.iter_mut().zip(&part_sum).for_each(|(sum, part)| *sum += share * part.to_f64());
    }
    sum
}

/// Losses and hits of one network on some samples, whose answers were gathered.
pub(super) fn of_part<S: Scalar>(
    plan: &Plan,
    parameters: &[S],
    loss: Loss,
    (data, part, answers): (&Dataset, &[usize], &Answers<S>),
    tape: &mut Tape<S>,
) -> Total {
    let mut input = tape.take(1, part.len(), &plan.input);
    gather_inputs(data, part, &mut input.data);
    let weights = Weights { data: parameters, stride: plan.parameters };
    let outputs = plan.forward(weights, input, tape, &mut Unwatched);
    let mut scratch = tape.take(1, part.len(), &outputs.shape);
    let total = loss.of(&outputs.data, part.len(), answers.wanted(), &mut scratch.data);
    tape.give(outputs);
    tape.give(scratch);
    total
}

/// Sums as means over the rows that were judged.
pub(super) fn mean(total: &Total, data: &Dataset) -> Score {
    let n = total.rows as f64;
    Score {
        loss: total.loss.is_finite().then_some(total.loss / n),
        accuracy: has_classes(data).then_some(total.correct as f64 / n),
    }
}
