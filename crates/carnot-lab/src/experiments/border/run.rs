//! What a job does: run until the fate is clear.

use std::ops::ControlFlow;

use carnot_net::dataset::Dataset;
use carnot_net::plan::Plan;
use carnot_sim::error::SimError;
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::train::Training;
use carnot_sim::train::evaluate::score;
use carnot_sim::train::fate::{References, Rule, Verdict, Watch};
use carnot_sim::train::spec::TrainSpec;
use carnot_sim::train::until::train_until;
use serde::{Deserialize, Serialize};

use super::{Across, BorderSpec};
use crate::error::LabError;
use crate::settings::loss_of;

/// Samples on which curvature and the loss of the start are measured.
const PROBE: usize = 256;

/// What jobs share.
pub struct Shared {
    pub(super) data: Dataset,
    pub(super) loss: Loss,
    references: References,
    /// Two batches that have no sample in common.
    pub(super) first: Dataset,
    pub(super) fresh: Dataset,
}

impl Shared {
    /// Reads the data.
    ///
    /// # Errors
    /// When they cannot be read or have no targets.
    pub fn of(spec: &BorderSpec) -> Result<Shared, LabError> {
        let plan = Plan::new(spec.network.network())?;
        let data = spec.data.open(&plan, spec.seed)?;
        let data = data.ok_or(LabError::MissingKey { key: "data", verb: "border" })?;
        let loss = loss_of(&data);
        let references = References::of(&data, loss).ok_or(SimError::NoTargets)?;
        let both = data.probe(2 * PROBE, spec.seed);
        let half = both.len().div_ceil(2);
        let first = both.subset(&(0..half).collect::<Vec<_>>())?;
        let fresh = if both.len() < 2 {
            first.clone()
        } else {
            both.subset(&(half..both.len()).collect::<Vec<_>>())?
        };
        Ok(Shared { data, loss, references, first, fresh })
    }
}

/// One run and its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Value on the first axis.
    pub x: f64,
    /// Its place across.
    #[serde(flatten)]
    pub across: Across,
    /// What became of it.
    pub verdict: Verdict,
}

/// The rule of descent.
pub(super) fn optimizer(spec: &BorderSpec) -> Optimizer {
    Optimizer::named(&spec.optimizer).expect("resolve checked the name")
}

/// Seed of a run's weights and batches: runs take seeds in turn.
pub(super) fn seed(spec: &BorderSpec, number: usize) -> u64 {
    let own = (number as u64).saturating_sub(1) % spec.seeds;
    spec.seed.wrapping_mul(1_000_003).wrapping_add(own)
}

/// Runs a network at one place until its fate is clear.
///
/// # Errors
/// When the network cannot have that shape.
pub fn outcome(
    spec: &BorderSpec,
    shared: &Shared,
    number: usize,
    x: f64,
    across: impl Into<Across>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Done, LabError> {
    judged(spec, shared, number, (x, across.into()), true, progress)
}

/// The same run to its full length, judged at its end: what a short run foretells.
///
/// # Errors
/// As [`outcome`].
pub fn whole(
    spec: &BorderSpec,
    shared: &Shared,
    number: usize,
    x: f64,
    across: impl Into<Across>,
) -> Result<Done, LabError> {
    let spec = BorderSpec { share: 1.0, ..spec.clone() };
    judged(&spec, shared, number, (x, across.into()), false, &mut |_, _| {})
}

/// The loss of every step of a run of the full length, whatever becomes of it, and how a run like it is judged; ends at the first one that is not finite.
///
/// # Errors
/// As [`outcome`].
pub fn losses(
    spec: &BorderSpec,
    shared: &Shared,
    number: usize,
    x: f64,
    across: impl Into<Across>,
) -> Result<(Rule, Vec<Option<f64>>), LabError> {
    let mut all = Vec::new();
    let rule = trained(spec, shared, number, (x, across.into()), spec.length, &mut |_, loss| {
        all.push(loss);
        loss.is_some()
    })?;
    Ok((rule, all))
}

fn judged(
    spec: &BorderSpec,
    shared: &Shared,
    number: usize,
    (x, across): (f64, Across),
    is_early: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Done, LabError> {
    let (mut watch, mut verdict, mut step) = (None, None, 0);
    trained(spec, shared, number, (x, across), spec.looked(), &mut |rule, loss| {
        step += 1;
        let watch = watch.get_or_insert_with(|| Watch::new(Rule { is_early, ..rule }));
        verdict = watch.step(loss);
        if step % 64 == 0 {
            progress(step, spec.looked());
        }
        verdict.is_none()
    })?;
    Ok(Done { x, across, verdict: verdict.expect("a run is judged at its last step at the latest") })
}

/// Trains a network at one place for some steps, or until `look`, told of every loss, has seen enough.
fn trained(
    spec: &BorderSpec,
    shared: &Shared,
    number: usize,
    (x, across): (f64, Across),
    steps: u64,
    look: &mut dyn FnMut(Rule, Option<f64>) -> bool,
) -> Result<Rule, LabError> {
    let cell = spec.cell(x, across)?;
    let plan = Plan::new(cell.network.network())?;
    let initial = cell.init.initial(&plan)?;
    let training = Training {
        plan: &plan,
        init: &initial.layers,
        rates: &[],
        optimizer: optimizer(&cell),
        loss: shared.loss,
        train: &shared.data,
        test: None,
        spec: TrainSpec {
            steps,
            batch: cell.batch,
            rate: cell.rate.unwrap_or(1e-3),
            warm_up: cell.warm_up,
            seed: seed(spec, number),
            ..TrainSpec::default()
        },
    };
    let learned = shared.references.constant - shared.references.margin(shared.loss);
    let start = shared.references.uniform;
    let mut rule = Rule { length: cell.length, seen: cell.looked(), start, learned, is_early: true };
    train_until::<f32>(&training, 0, &mut |seen| {
        if seen.step == 0 {
            let start = score(&plan, seen.parameters, shared.loss, &shared.first).loss;
            rule.start = start.unwrap_or(rule.start);
            return ControlFlow::Continue(());
        }
        if look(rule, seen.loss) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(rule)
}
