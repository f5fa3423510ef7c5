//! What a job does: train what is left, and say what goes next.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use carnot_net::dataset::Dataset;
use carnot_net::plan::Plan;
use carnot_sim::initialise::initialise;
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::prune::mask::{Kind, Mask};
use carnot_sim::prune::masked::{Begin, train_from};
use carnot_sim::train::Training;
use carnot_sim::train::evaluate::score;
use carnot_sim::train::history::Score;
use carnot_sim::train::spec::TrainSpec;

use super::PruneSpec;
use super::tickets::{At, Done, Way};
use crate::error::LabError;
use crate::settings::loss_of;

/// Shares of the samples that are kept aside: for the test, and of the rest for validation.
const TEST: f64 = 0.15;
const VALIDATION: f64 = 0.15;
/// Added to the number of a network for its fresh weights.
const FRESH: u64 = 1 << 32;

/// What jobs share.
pub struct Shared {
    plan: Plan,
    loss: Loss,
    train: Dataset,
    validation: Dataset,
    test: Dataset,
}

impl Shared {
    /// Reads the data and splits them.
    ///
    /// # Errors
    /// When they cannot be read or have no targets.
    pub fn of(spec: &PruneSpec) -> Result<Shared, LabError> {
        let plan = Plan::new(spec.network.network())?;
        let data = spec.data.open(&plan, spec.seed)?;
        let data = data.ok_or(LabError::MissingKey { key: "data", verb: "prune" })?;
        let loss = loss_of(&data);
        let (test, rest) = data.split(TEST, spec.seed)?;
        let (validation, train) = rest.split(VALIDATION, spec.seed.wrapping_add(1))?;
        Ok(Shared { plan, loss, train, validation, test })
    }
}

/// Accuracy, or less the loss.
fn merit(score: Score) -> Option<f64> {
    score.accuracy.filter(|_| score.loss.is_some()).or(score.loss.map(|loss| -loss))
}

fn text(mask: &Mask) -> String {
    BASE64_STANDARD.encode(mask.bits())
}

fn read(plan: &Plan, text: &str, job: &str) -> Result<Mask, LabError> {
    let bits = BASE64_STANDARD.decode(text).ok();
    bits.and_then(|bits| Mask::of_bits(plan, &bits)).ok_or_else(|| LabError::Answer {
        job: job.into(),
        message: "its mask does not fit the network".into(),
    })
}

/// Trains what a mask leaves, from where it starts.
///
/// # Errors
/// When a mask cannot be read, or the network cannot be trained.
pub fn trained(
    spec: &PruneSpec,
    shared: &Shared,
    at: At,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Done, LabError> {
    let plan = &shared.plan;
    let init = spec.init.initial(plan)?;
    let job = format!("round {}, network {}", at.round, at.member + 1);
    let mut mask = match &at.mask {
        Some(text) => read(plan, text, &job)?,
        None => Mask::whole(plan),
    };
    if at.way == Way::Elsewhere {
        mask = mask.shuffled(spec.seed, at.member);
    }
    let training = Training {
        plan,
        init: &init.layers,
        rates: &[],
        optimizer: Optimizer::named(&spec.optimizer).expect("resolve checked the name"),
        loss: shared.loss,
        train: &shared.train,
        test: None,
        spec: TrainSpec {
            steps: spec.length,
            batch: spec.batch,
            rate: spec.rate,
            seed: spec.seed.wrapping_mul(1_000_003).wrapping_add(at.member),
            ..TrainSpec::default()
        },
    };
    let start = |member: u64| {
        let mut weights = vec![0.0f32; plan.parameters];
        initialise(plan, &init.layers, spec.seed, member, &mut weights);
        weights
    };
    let first = start(if at.way == Way::Fresh { at.member + FRESH } else { at.member });
    let step = if at.round == 0 { 0 } else { spec.rewind };
    let weights = if step == 0 { first } else { rewound(&training, at.member, &first, step)? };
    let (mut best, mut last): (Option<(u64, f64, Option<f64>)>, _) = (None, Vec::new());
    let begin = Begin { weights: &weights, step, mask: Some(&mask) };
    train_from::<f32>(&training, at.member, begin, &mut |seen| {
        let is_last = seen.step == spec.length;
        if seen.step.is_multiple_of(spec.look) || is_last {
            let validation = score(plan, seen.parameters, shared.loss, &shared.validation);
            if let Some(loss) = validation.loss.filter(|loss| best.is_none_or(|(_, least, _)| *loss < least))
            {
                let merit = merit(score(plan, seen.parameters, shared.loss, &shared.test));
                best = Some((seen.step, loss, merit));
            }
            progress(seen.step, spec.length);
        }
        if is_last {
            last = seen.parameters.to_vec();
        }
        ControlFlow::Continue(())
    })?;
    let last_score =
        if last.is_empty() { None } else { merit(score(plan, &last, shared.loss, &shared.test)) };
    let sizes: Vec<f64> = last.iter().map(|w| f64::from(w.abs())).collect();
    let is_ticket = at.way == Way::Ticket && !sizes.is_empty();
    let next = (is_ticket && at.round < spec.rounds).then(|| text(&pruned(spec, &mask, &sizes, 1)));
    let mut at_once = BTreeMap::new();
    if is_ticket && at.round == 0 {
        for round in (1..=spec.rounds).filter(|round| spec.is_controlled(*round)) {
            at_once.insert(round, text(&pruned(spec, &mask, &sizes, round)));
        }
    }
    Ok(Done {
        member: at.member,
        round: at.round,
        way: at.way,
        share: mask.share(),
        left: mask.tensors().iter().map(|tensor| mask.left(tensor)).collect(),
        best_step: best.map_or(spec.length, |(step, _, _)| step),
        best_loss: best.map(|(_, loss, _)| loss),
        best_score: best.and_then(|(_, _, score)| score),
        last_score,
        next,
        at_once,
    })
}

/// The mask after some more rounds, by the size of weights as they are now.
fn pruned(spec: &PruneSpec, mask: &Mask, sizes: &[f64], rounds: usize) -> Mask {
    let mut mask = mask.clone();
    let left = |kind: Kind| (1.0 - spec.rate_of(kind)).powi(rounds as i32);
    if spec.together {
        let admits = |kind: Kind| kind != Kind::Output;
        let (now, all) = mask
            .tensors()
            .iter()
            .filter(|tensor| admits(tensor.kind))
            .fold((0, 0), |(now, all), tensor| (now + mask.left(tensor), all + tensor.at.len()));
        mask.take_together(sizes, left(Kind::Dense) * now as f64 / all.max(1) as f64, admits);
    } else {
        mask.take_by_tensor(sizes, |kind| 1.0 - left(kind));
    }
    mask
}

/// The weights of the whole network after the steps that are not repeated.
fn rewound(training: &Training, member: u64, first: &[f32], until: u64) -> Result<Vec<f32>, LabError> {
    let mut weights = first.to_vec();
    let begin = Begin { weights: first, step: 0, mask: None };
    train_from::<f32>(training, member, begin, &mut |seen| {
        if seen.step < until {
            return ControlFlow::Continue(());
        }
        weights.copy_from_slice(seen.parameters);
        ControlFlow::Break(())
    })?;
    Ok(weights)
}
