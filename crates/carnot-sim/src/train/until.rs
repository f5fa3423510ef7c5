//! One member trained until somebody has seen enough.

use super::block::{Block, Halt, Then};
use super::{Training, check};
use crate::error::SimError;
use crate::rate;
use carnot_math::scalar::Scalar;
use std::ops::ControlFlow;

/// What is seen of a member behind each of its steps.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a, S> {
    /// Steps taken so far; 0 is the start.
    pub step: u64,
    /// Mean loss of the last batch, before its update; `None` at the start and when it was not finite.
    pub loss: Option<f64>,
    /// `[plan.parameters]`
    pub parameters: &'a [S],
}

/// Trains one member as [`super::train`] does, to the bit, and ends when `look` says so or the steps are done.
///
/// Nothing is evaluated at the end: what is to be known of the run is what `look` saw.
///
/// * `look`: told of the start and of every step
///
/// # Errors
/// As [`super::train`].
pub fn train_until<S: Scalar>(
    training: &Training,
    member: u64,
    look: &mut dyn FnMut(Seen<S>) -> ControlFlow<()>,
) -> Result<(), SimError> {
    check(training)?;
    let groups = rate::groups(training.plan, training.rates)?;
    // Evaluations of a block are for its histories, which nobody reads here.
    let few =
        Training { test: None, spec: super::spec::TrainSpec { evaluate: 1, ..training.spec }, ..*training };
    let mut see = |halt: Halt<S>| {
        let loss = Some(halt.loss).filter(|loss| halt.step > 0 && loss.is_finite());
        match look(Seen { step: halt.step, loss, parameters: &halt.weights[..halt.plan.parameters] }) {
            ControlFlow::Continue(()) => Then::GoOn,
            ControlFlow::Break(()) => Then::End,
        }
    };
    Block::<S>::new(&few, &groups, member..member + 1).run(&|_| {}, &mut see);
    Ok(())
}
