//! What jobs of trained members leave behind, and what it says.

use super::Task;
use super::flow::FlowSpec;
use super::member::{End, linear_mean, time_of, trained};
use crate::error::SimError;
use crate::initialise::initialise;
use carnot_math::stats::{Estimate, Moments};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Moments of predictions, each `[tests, outputs]`. Plain data; parts merge in any number, bits follow the order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainedPart {
    /// Predictions of trained members.
    pub plain: Vec<Moments>,
    /// Means of a trained member and its mirror image.
    pub paired: Vec<Moments>,
    /// Those less the predictions of the same networks made linear at their start: what the motion of the kernel does.
    pub moved: Vec<Moments>,
    /// Predictions of networks made linear, from members of their own: as cheap as one kernel.
    pub linear: Vec<Moments>,
}

impl TrainedPart {
    fn empty(size: usize) -> TrainedPart {
        let none = vec![Moments::default(); size];
        TrainedPart { plain: none.clone(), paired: none.clone(), moved: none.clone(), linear: none }
    }

    /// Adds the members of another part.
    ///
    /// # Errors
    /// [`SimError::Parts`] when it is of another task.
    pub fn merge(&mut self, other: &TrainedPart) -> Result<(), SimError> {
        let fields = [
            (&mut self.plain, &other.plain),
            (&mut self.paired, &other.paired),
            (&mut self.moved, &other.moved),
            (&mut self.linear, &other.linear),
        ];
        for (sums, others) in fields {
            if sums.len() != others.len() {
                return Err(SimError::Parts);
            }
            sums.iter_mut().zip(others).for_each(|(sum, other)| sum.merge(other));
        }
        Ok(())
    }

    /// Mean prediction of trained networks, without bias, from both kinds of members: E[moved] + E[linear].
    ///
    /// Each part has far smaller fluctuations than a prediction: for width n, of order 1/n and $1/\sqrt n$.
    #[must_use]
    pub fn mean(&self) -> Vec<Estimate> {
        let sum = |(moved, linear): (&Moments, &Moments)| Estimate {
            value: moved.mean() + linear.mean(),
            error: moved.error().hypot(linear.error()),
            spread: 0.0,
            n: moved.count(),
        };
        self.moved.iter().zip(&self.linear).map(sum).collect()
    }

    /// Variance of predictions over members.
    #[must_use]
    pub fn spread(&self) -> Vec<Estimate> {
        self.plain.iter().map(Moments::variance_estimate).collect()
    }
}

/// Trains the members of one job with their mirror images, in parallel on the current rayon pool; same bits for any number of threads.
///
/// The last layer of the network must be one with weights.
///
/// # Errors
/// [`SimError`] when sizes do not fit, or a member's tangent kernel is singular on the training samples.
pub fn run_job(task: &Task, spec: FlowSpec, end: End, members: Range<u64>) -> Result<TrainedPart, SimError> {
    check(task, spec)?;
    // Small networks share a task, so that the products of a step are not all overhead.
    let together = (20_000 / task.plan.parameters.max(1)).clamp(1, 16);
    let starts: Vec<u64> = members.clone().step_by(together).collect();
    let block = |&start: &u64| trained(task, spec, end, start..(start + together as u64).min(members.end));
    let measured: Result<Vec<_>, SimError> = starts.par_iter().map(block).collect();
    let mut part = TrainedPart::empty(task.asked() * task.outputs());
    for one in measured?.into_iter().flatten() {
        push(&mut part.plain, &one.plain);
        push(&mut part.paired, &one.paired);
        push(&mut part.moved, &one.moved);
    }
    Ok(part)
}

/// The linear models of other members, untrained: their mean completes [`TrainedPart::mean`].
///
/// * `members`: other ones than were trained, or the two means are not independent
///
/// # Errors
/// As [`run_job`].
pub fn run_linear(
    task: &Task,
    spec: FlowSpec,
    end: End,
    members: Range<u64>,
) -> Result<TrainedPart, SimError> {
    check(task, spec)?;
    let time = time_of(spec, end);
    let one = |member: u64| {
        let mut parameters = vec![0.0; task.plan.parameters];
        initialise(task.plan, task.init, task.seed, member, &mut parameters);
        linear_mean(task, &parameters, time, member)
    };
    let mut part = TrainedPart::empty(task.asked() * task.outputs());
    let mut start = members.start;
    while start < members.end {
        let end = (start + 4096).min(members.end);
        let values: Result<Vec<Vec<f64>>, SimError> = (start..end).into_par_iter().map(one).collect();
        values?.iter().for_each(|values| push(&mut part.linear, values));
        start = end;
    }
    Ok(part)
}

fn push(moments: &mut [Moments], values: &[f64]) {
    moments.iter_mut().zip(values).for_each(|(moments, value)| moments.push(*value));
}

fn check(task: &Task, spec: FlowSpec) -> Result<(), SimError> {
    task.check()?;
    let last = task.plan.sites.last().expect("a plan has sites");
    if last.weighted.is_none() {
        let range = "a network that ends in a layer with weights";
        return Err(SimError::Range { name: "last layer", value: last.index as f64, range });
    }
    if !(spec.rate.is_finite() && spec.rate > 0.0) {
        return Err(SimError::Range { name: "rate", value: spec.rate, range: "a finite number > 0" });
    }
    Ok(())
}
