//! Training of ensembles: every member learns alone, on the same batches as the others of its seed.
//!
//! A block of members is one task. It is as large as fits into a core's caches with its optimizer's memory, and
//! does all of its steps in one go, so that what it works on stays near. Inside a block everything runs on one
//! thread, and once the first step has been taken nothing is allocated but what a large matrix product needs for
//! itself.

pub mod beyond;
pub(crate) mod block;
mod data;
pub mod evaluate;
pub mod fate;
pub mod history;
pub mod spec;
pub mod steer;
pub mod until;

use crate::error::SimError;
use crate::initialise;
use crate::loss::Loss;
use crate::optimizer::{Optimizer, Rule};
use crate::rate;
use block::{Block, Halt, Then};
use carnot_math::scalar::Scalar;
use carnot_net::dataset::{Dataset, Targets};
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::plan::Plan;
use history::History;
use rayon::prelude::*;
use spec::{Precision, TrainSpec};
use std::ops::Range;

/// Everything that decides how a member is trained, except which member.
#[derive(Clone, Copy, Debug)]
pub struct Training<'a> {
    /// The network.
    pub plan: &'a Plan,
    /// How it starts: one per layer with weights.
    pub init: &'a [LayerInit],
    /// Relative rates, one per layer with weights; none for one rate everywhere.
    pub rates: &'a [LayerRate],
    /// How parameters follow gradients.
    pub optimizer: Optimizer,
    /// What is made small.
    pub loss: Loss,
    /// What is learned.
    pub train: &'a Dataset,
    /// What is kept aside.
    pub test: Option<&'a Dataset>,
    /// How long, how fast.
    pub spec: TrainSpec,
}

/// Trains the members, in parallel on the current rayon pool; histories come in the order of members.
///
/// Two trainings with the same seed and data see the same batches, whatever else differs: so a copy as it is and
/// one with a remedy can be compared. The result has the same bits for any number of threads and any
/// [`TrainSpec::block`].
///
/// * `progress`: told the number of network-steps just done, from any thread, about 100 times per member
///
/// # Errors
/// [`SimError`] when sizes do not fit or a setting is out of its range. A run that diverges is not an error:
/// see [`History::diverged`].
pub fn train(
    training: &Training,
    members: Range<u64>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<History>, SimError> {
    check(training)?;
    match training.spec.precision {
        Precision::Float32 => run::<f32>(training, members, progress),
        Precision::Float64 => run::<f64>(training, members, progress),
    }
}

fn run<S: Scalar>(
    training: &Training,
    members: Range<u64>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<History>, SimError> {
    let groups = rate::groups(training.plan, training.rates)?;
    let size = match training.spec.block {
        Some(size) => size.max(1) as u64,
        None => block_size::<S>(training, members.end.saturating_sub(members.start)),
    };
    let starts: Vec<u64> = members.clone().step_by(size as usize).collect();
    let of_block = |&start: &u64| {
        Block::<S>::new(training, &groups, start..(start + size).min(members.end))
            .run(progress, &mut |_| Then::GoOn)
    };
    let histories: Vec<Vec<History>> = starts.par_iter().map(of_block).collect();
    Ok(histories.into_iter().flatten().collect())
}

/// A member at some step of its training.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a, S> {
    /// The member.
    pub member: u64,
    /// Steps taken so far.
    pub step: u64,
    /// `[plan.parameters]`
    pub parameters: &'a [S],
}

/// [`train`], looking at every member after some of its steps: for kernels, predictions, or whatever else is to be seen on the way.
///
/// * `S`: number type, whatever [`TrainSpec::precision`] says
/// * `steps`: at which to look, in increasing order; 0 is the start
/// * `look`: called once for each member and step, from any thread
/// * returns: for each member its history and what was seen, in the order of `steps`
///
/// # Errors
/// As [`train`].
pub fn train_watched<S: Scalar, T: Send>(
    training: &Training,
    members: Range<u64>,
    steps: &[u64],
    look: &(dyn Fn(Moment<S>) -> T + Sync),
) -> Result<Vec<(History, Vec<T>)>, SimError> {
    check(training)?;
    let groups = rate::groups(training.plan, training.rates)?;
    let size = training.plan.parameters;
    let one = |member: u64| {
        let mut seen = Vec::new();
        let mut see = |halt: Halt<S>| {
            if steps.binary_search(&halt.step).is_ok() {
                seen.push(look(Moment { member, step: halt.step, parameters: &halt.weights[..size] }));
            }
            Then::GoOn
        };
        let block = Block::<S>::new(training, &groups, member..member + 1);
        let mut histories = block.run(&|_| {}, &mut see);
        (histories.pop().expect("one member"), seen)
    };
    Ok(members.into_par_iter().map(one).collect())
}

/// Bytes that a block may occupy: about what one core has of second-level cache. Half of it or four times as
/// much makes small networks a few percent slower; large networks are alone in their block anyway.
const BLOCK_BYTES: usize = 1 << 20;

/// Members of a block: as many as fit [`BLOCK_BYTES`], and no more than leave every thread its share.
fn block_size<S: Scalar>(training: &Training, members: u64) -> u64 {
    let plan = training.plan;
    let batch = training.spec.batch.min(training.train.len());
    let values: usize = plan.all().iter().map(|site| site.output.len()).sum::<usize>() + plan.input.len();
    // Parameters, gradients and memories; activations, what is saved of them, and their gradients.
    let numbers = plan.parameters * (2 + training.optimizer.memories()) + 3 * values * batch;
    let fit = BLOCK_BYTES / (numbers * size_of::<S>()).max(1);
    let share = members.div_ceil(rayon::current_num_threads() as u64).max(1);
    (fit as u64).clamp(1, 256).min(share)
}

pub(crate) fn check(training: &Training) -> Result<(), SimError> {
    let plan = training.plan;
    initialise::check(plan, training.init)?;
    training.optimizer.check()?;
    training.spec.check()?;
    for data in [Some(training.train), training.test].into_iter().flatten() {
        if data.is_empty() {
            return Err(SimError::NoSamples);
        }
        if data.width() != plan.input.len() {
            return Err(SimError::Input { expected: plan.input.clone(), found: data.width() });
        }
        let (found, needed) = (plan.output().len(), data.targets.outputs());
        match (training.loss, &data.targets) {
            (_, Targets::Values { .. }) if training.spec.label_noise > 0.0 => {
                return Err(SimError::NoClasses);
            }
            (_, Targets::None) => return Err(SimError::NoTargets),
            (Loss::CrossEntropy, Targets::Values { .. }) => return Err(SimError::NoClasses),
            // More outputs than classes seen are fine: a class may be missing from a small set.
            (_, Targets::Classes { .. }) if found < needed => {
                return Err(SimError::Outputs { needed, found });
            }
            (_, Targets::Positions { classes, positions, .. })
                if plan.output().positions() != *positions || plan.output().width() < *classes =>
            {
                return Err(SimError::Outputs { needed, found });
            }
            (_, Targets::Values { .. }) if found != needed => {
                return Err(SimError::Outputs { needed, found });
            }
            _ => {}
        }
    }
    Ok(())
}
