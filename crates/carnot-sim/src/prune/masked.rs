//! Training that goes on from given weights, with some of them held at zero.

use super::mask::Mask;
use crate::error::SimError;
use crate::rate;
use crate::train::block::{Block, Halt, Then};
use crate::train::until::Seen;
use crate::train::{Training, check};
use carnot_math::scalar::Scalar;
use std::ops::ControlFlow;

/// Where a training begins.
#[derive(Clone, Copy, Debug)]
pub struct Begin<'a, S> {
    /// `[plan.parameters]`
    pub weights: &'a [S],
    /// Steps that these weights have behind them: the schedule and the order of batches go on from there; the optimizer's memory starts at nothing.
    pub step: u64,
    /// Weights that may move; others stay at zero.
    pub mask: Option<&'a Mask>,
}

/// Trains one member from given weights up to the steps of its settings.
///
/// From the start and with no mask it takes the same steps as [`crate::train::train`], to the bit. Nothing is evaluated at the end: what is to be known
/// is what `look` saw.
///
/// * `look`: told of the beginning and of every step; what it breaks at is the end
///
/// # Errors
/// As [`crate::train::train`]; [`SimError::Range`] for weights of another number than the network has, or a beginning behind the end.
pub fn train_from<S: Scalar>(
    training: &Training,
    member: u64,
    begin: Begin<S>,
    look: &mut dyn FnMut(Seen<S>) -> ControlFlow<()>,
) -> Result<(), SimError> {
    check(training)?;
    let wrong = |name, value: usize, range| Err(SimError::Range { name, value: value as f64, range });
    if begin.weights.len() != training.plan.parameters {
        return wrong("weights", begin.weights.len(), "as many as the network has");
    }
    if begin.step > training.spec.steps {
        return wrong("beginning", begin.step as usize, "a step of the training");
    }
    let groups = rate::groups(training.plan, training.rates)?;
    let few = Training {
        test: None,
        spec: crate::train::spec::TrainSpec { evaluate: 1, ..training.spec },
        ..*training
    };
    let mut see = |halt: Halt<S>| {
        let loss = Some(halt.loss).filter(|loss| halt.step > begin.step && loss.is_finite());
        match look(Seen { step: halt.step, loss, parameters: &halt.weights[..halt.plan.parameters] }) {
            ControlFlow::Continue(()) => Then::GoOn,
            ControlFlow::Break(()) => Then::End,
        }
    };
    Block::<S>::new(&few, &groups, member..member + 1).begun(begin).run(&|_| {}, &mut see);
    Ok(())
}
