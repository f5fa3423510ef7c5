//! What a job does: predict without a run, or run until the fate is clear.

use std::ops::ControlFlow;

use carnot_net::dataset::{Dataset, Targets};
use carnot_net::layers::Layer;
use carnot_net::plan::Plan;
use carnot_sim::critical::{Direction, critical_step};
use carnot_sim::curvature::{Lanczos, sharpness};
use carnot_sim::error::SimError;
use carnot_sim::initialise::initialise;
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::train::Training;
use carnot_sim::train::evaluate::score;
use carnot_sim::train::fate::{References, Rule, Verdict, Watch};
use carnot_sim::train::spec::TrainSpec;
use carnot_sim::train::until::train_until;
use carnot_theory::phases::{correlations, settle};
use serde::{Deserialize, Serialize};

use super::BorderSpec;
use crate::error::LabError;
use crate::settings::{loss_of, variances};

/// Samples on which curvature and the loss of the start are measured.
const PROBE: usize = 256;

/// What jobs share.
pub struct Shared {
    data: Dataset,
    loss: Loss,
    references: References,
    /// Two batches that have no sample in common.
    first: Dataset,
    fresh: Dataset,
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
    /// Value on the second axis.
    pub y: f64,
    /// What became of it.
    pub verdict: Verdict,
}

/// What is known before any run, at one value of the second axis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// Value on the second axis.
    pub y: f64,
    /// The rates between which learning should end; `None` where the start has no curvature.
    pub bracket: Option<(f64, f64)>,
    /// Depth 6 ξ that a signal reaches; `None` where it is infinite or not known.
    pub reach: Option<f64>,
    /// Layers with weights, to compare with it.
    pub layers: usize,
}

/// Predicts the border at one value of the second axis, from the start alone.
///
/// # Errors
/// When the network cannot have that shape.
pub fn predict(spec: &BorderSpec, shared: &Shared, y: f64) -> Result<Predicted, LabError> {
    let cell = spec.cell(spec.rate.unwrap_or(1.0), y)?;
    let plan = Plan::new(cell.network.network())?;
    let initial = cell.init.initial(&plan)?;
    let draw = |member: u64| {
        let mut parameters = vec![0.0f64; plan.parameters];
        initialise(&plan, &initial.layers, seed(spec, 1), member, &mut parameters);
        bracket_of(&cell, &plan, &parameters, shared)
    };
    // Of a text the head alone lowers the loss, to the frequencies of tokens: the critical step is ten times the border and more.
    let is_text = matches!(shared.data.targets, Targets::Positions { .. });
    let draws = if is_text { 0 } else { DRAWS };
    let all: Vec<(f64, f64)> = (0..draws).filter_map(draw).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| {
        (all.iter().map(|pair| of(pair).ln()).sum::<f64>() / all.len() as f64).exp()
    };
    let bracket = (!all.is_empty()).then(|| (mean(|pair| pair.0), mean(|pair| pair.1)));
    let (c_w, c_b) = variances(&initial.layers);
    let activation = plan.all().into_iter().find_map(|site| match &site.layer {
        Layer::Activate(act) => Some(act.activation.formula.clone()),
        _ => None,
    });
    let reach = activation.and_then(|formula| {
        let at = settle(&formula, c_w, c_b, 1.0).ok()?;
        let depth = correlations(&formula, c_w, c_b, &at).ok()?.correlation_depth().ok()?;
        Some(REACH * depth).filter(|depth| depth.is_finite())
    });
    Ok(Predicted { y, bracket, reach, layers: plan.weighted })
}

/// The rates between which learning should end, of one drawn network.
///
/// Gradient descent: from where it is no longer stable at the start, 2/λ (2 + 2β for a velocity of share β), to where the very first step raises
/// the loss of a fresh batch. Under cross-entropy the step flattens the loss so soon that 4/λ, the end of the catapult under squared loss, is far too low.
/// Squared loss: 2/λ to 4/λ, or 12/λ where the activation has a kink at zero. Adam: about the critical step along the sign of the gradient.
/// Sources: arXiv:2103.00065, 2003.02218, 2601.16979.
fn bracket_of(cell: &BorderSpec, plan: &Plan, parameters: &[f64], shared: &Shared) -> Option<(f64, f64)> {
    let step =
        |direction| critical_step(plan, parameters, shared.loss, direction, &shared.first, &shared.fresh);
    let more = match optimizer(cell) {
        Optimizer::Sgd(_) => 1.0,
        Optimizer::Momentum(rule) => 1.0 + rule.beta,
        _ => return step(Direction::Sign).map(|step| (SIGN.0 * step, SIGN.1 * step)),
    };
    let effort = Lanczos { products: 24, tolerance: 0.05, seed: 1 };
    let found =
        sharpness(plan, parameters, shared.loss, &shared.first, effort).filter(|found| found.value > 0.0);
    let stable = found.map(|found| 2.0 * more / found.value);
    match (shared.loss, stable) {
        (_, None) => step(Direction::Gradient).map(|step| (step / 4.0, step)),
        (Loss::Squared, Some(stable)) => {
            let kinked = plan.all().into_iter().any(|site| match &site.layer {
                Layer::Activate(act) => !act.activation.formula.kinks().is_empty(),
                _ => false,
            });
            Some((stable, stable * if kinked { 6.0 } else { 2.0 }))
        }
        (Loss::CrossEntropy, Some(stable)) => {
            let end = step(Direction::Gradient).unwrap_or(2.0 * stable);
            let (low, high) = (stable.min(end), stable.max(end));
            Some((low, high.max(2.0 * low)))
        }
    }
}

/// Networks that are drawn for a prediction: one draw of a critical step is off by a factor of 1.5.
const DRAWS: u64 = 3;
/// Where Adam's border is expected, in units of the critical first step along the sign of the gradient.
const SIGN: (f64, f64) = (0.5, 2.0);
/// Correlation depths that a network may be deep. Source: arXiv:1611.01232.
const REACH: f64 = 6.0;

fn optimizer(spec: &BorderSpec) -> Optimizer {
    Optimizer::named(&spec.optimizer).expect("resolve checked the name")
}

/// Seed of a run's weights and batches: runs take seeds in turn.
fn seed(spec: &BorderSpec, number: usize) -> u64 {
    let own = (number as u64).saturating_sub(1) % spec.seeds;
    spec.seed.wrapping_mul(1_000_003).wrapping_add(own)
}

/// Runs a network at one place of the plane until its fate is clear.
///
/// # Errors
/// When the network cannot have that shape.
pub fn outcome(
    spec: &BorderSpec,
    shared: &Shared,
    number: usize,
    x: f64,
    y: f64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Done, LabError> {
    judged(spec, shared, number, (x, y), true, progress)
}

/// The same run to its full length, judged at its end: what a short run foretells.
///
/// # Errors
/// As [`outcome`].
pub fn whole(spec: &BorderSpec, shared: &Shared, number: usize, x: f64, y: f64) -> Result<Done, LabError> {
    let spec = BorderSpec { share: 1.0, ..spec.clone() };
    judged(&spec, shared, number, (x, y), false, &mut |_, _| {})
}

fn judged(
    spec: &BorderSpec,
    shared: &Shared,
    number: usize,
    (x, y): (f64, f64),
    is_early: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Done, LabError> {
    let cell = spec.cell(x, y)?;
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
            steps: cell.looked(),
            batch: cell.batch,
            rate: cell.rate.unwrap_or(1e-3),
            warm_up: cell.warm_up,
            seed: seed(spec, number),
            ..TrainSpec::default()
        },
    };
    let margin = shared.references.margin(shared.loss);
    let learned = shared.references.constant - margin;
    let (mut watch, mut verdict) = (None, None);
    train_until::<f32>(&training, 0, &mut |seen| {
        if seen.step == 0 {
            let start = score(&plan, seen.parameters, shared.loss, &shared.first).loss;
            let rule = Rule {
                length: cell.length,
                seen: cell.looked(),
                start: start.unwrap_or(shared.references.uniform),
                learned,
                is_early,
            };
            watch = Some(Watch::new(rule));
            return ControlFlow::Continue(());
        }
        verdict = watch.as_mut().and_then(|watch: &mut Watch| watch.step(seen.loss));
        if seen.step % 64 == 0 {
            progress(seen.step, cell.looked());
        }
        if verdict.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(Done { x, y, verdict: verdict.expect("a run is judged at its last step at the latest") })
}
