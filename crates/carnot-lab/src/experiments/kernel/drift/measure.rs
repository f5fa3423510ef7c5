//! The kernels of one network while it learns.

use std::sync::Arc;

use carnot_math::scalar::Scalar;
use carnot_net::dataset::Dataset;
use carnot_net::plan::Plan;
use carnot_sim::empirical::drift::{alignment, drift, of_targets};
use carnot_sim::empirical::feature::{features, last_hidden};
use carnot_sim::empirical::tangent::{Blocks, tangent};
use carnot_sim::empirical::{Matrix, Network};
use carnot_sim::error::SimError;
use carnot_sim::loss::Loss;
use carnot_sim::train::evaluate::score;
use carnot_sim::train::history::Score;
use carnot_sim::train::spec::{Precision, TrainSpec};
use carnot_sim::train::{Moment, Training, train_watched};
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::experiments::Tools;
use crate::experiments::kernel::data::{self, Split};
use crate::experiments::kernel::work::{Points, options, parts};
use crate::experiments::kernel::{KernelSpec, effort, networks};

/// Most samples on which kernels are measured: all steps of a network are in memory at once.
pub const MOST: usize = 1000;

/// What theory says before any network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Samples on which kernels are measured.
    pub samples: usize,
    /// Global rate of the mean squared error.
    pub rate: f64,
    /// Alignment of Θ at infinite width with the labels; none where theory has no answer.
    pub tangent_with_labels: Option<f64>,
    /// The same of K.
    pub kernel_with_labels: Option<f64>,
    /// Why theory has no answer.
    pub because: Option<String>,
}

/// One network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// At the start and at the steps asked for; ends where the network diverged.
    pub moments: Vec<Moved>,
    /// The step at which the loss was no longer finite.
    pub diverged: Option<u64>,
}

/// One network at one step. Alignments are between −1 and 1 and centred.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// Steps taken.
    pub step: u64,
    /// Half the squared error of a training sample, mean over all.
    pub loss: f64,
    /// Share of the samples kept aside that are right.
    pub aside: Option<f64>,
    /// ‖Θ_t − Θ_0‖/‖Θ_0‖
    pub tangent: f64,
    /// The same of K, the Gram matrix of the last hidden features; none without a hidden layer.
    pub kernel: Option<f64>,
    /// Alignment of Θ_t with Θ_0: 1 when only its size changed.
    pub tangent_with_start: f64,
    /// Alignment of Θ_t with the labels.
    pub tangent_with_labels: f64,
    /// The same of K.
    pub kernel_with_labels: Option<f64>,
    /// ‖Θ_t − Θ_∞‖/‖Θ_∞‖, where infinite width is known.
    pub from_infinite: Option<f64>,
}

/// The samples on which kernels are measured, with what theory says of them.
struct Probe {
    few: Dataset,
    labels: Matrix,
    infinite: Result<[Matrix; 2], String>,
}

fn probe(spec: &KernelSpec, split: &Split, tools: &Tools) -> Result<Arc<Probe>, LabError> {
    tools.shared("probe", || {
        let few = split.train.probe(spec.probe, spec.seed);
        let (targets, outputs) = data::targets(&few).ok_or(SimError::NoTargets)?;
        let infinite = match infinite(spec, &few) {
            Ok(both) => Ok(both),
            Err(because @ (LabError::Kernel(_) | LabError::Theory(_))) => Err(because.to_string()),
            Err(error) => return Err(error),
        };
        Ok(Probe { labels: of_targets(&targets, outputs), few, infinite })
    })
}

/// K and Θ of the outputs at infinite width.
fn infinite(spec: &KernelSpec, few: &Dataset) -> Result<[Matrix; 2], LabError> {
    let plan = Plan::new(spec.network.network())?;
    let init = spec.init.initial(&plan)?.layers;
    let rates = spec.parametrization.rates(&plan, &init);
    let engine = carnot_kernel::Engine::compile(&plan, &init, &rates, options(spec, true))?;
    let (kernel, tangent) = parts(engine.gram(Points::of(few).inputs())?);
    let matrix = |values| Matrix { rows: few.len(), columns: few.len(), outputs: 1, values };
    Ok([matrix(kernel), matrix(tangent)])
}

/// Theory on the samples, and the rate of training.
///
/// # Errors
/// When sizes do not fit.
pub fn limit(spec: &KernelSpec, split: &Split, tools: &Tools) -> Result<Limit, LabError> {
    let probe = probe(spec, split, tools)?;
    let with_labels = |at: usize| {
        let both = probe.infinite.as_ref().ok()?;
        Some(alignment(&both[at], &probe.labels))
    };
    Ok(Limit {
        samples: probe.few.len(),
        rate: networks::rate(spec, split, tools)?,
        kernel_with_labels: with_labels(0),
        tangent_with_labels: with_labels(1),
        because: probe.infinite.as_ref().err().cloned(),
    })
}

/// What is kept of one step until the network has learned.
struct Seen {
    step: u64,
    tangent: Matrix,
    kernel: Option<Matrix>,
    train: Score,
    aside: Option<Score>,
}

/// Trains one member and compares its kernels with what they were.
///
/// # Errors
/// When sizes do not fit.
pub fn member(spec: &KernelSpec, split: &Split, number: u64, tools: &Tools) -> Result<Member, LabError> {
    let plan = Plan::new(spec.network.network())?;
    let init = spec.init.initial(&plan)?.layers;
    let rates = spec.parametrization.rates(&plan, &init);
    let probe = probe(spec, split, tools)?;
    let rate = networks::rate(spec, split, tools)?;
    let last = spec.drift.last().copied().unwrap_or(0);
    let training = networks::training(spec, split, (&plan, &init, &rates), rate);
    // Scores at the end are taken by whoever looks at the last step; the training itself asks a few samples only.
    let training =
        Training { test: None, spec: TrainSpec { steps: last, evaluate: 1, ..training.spec }, ..training };
    let steps: Vec<u64> = std::iter::once(0).chain(spec.drift.iter().copied()).collect();
    let points = Points::of(&probe.few);
    let look = |moment: Moment<f32>| -> Result<Seen, SimError> {
        tools.step("networks while they learn", moment.step, last);
        let (tangent, kernel) = match spec.float {
            Precision::Float32 => kernels(&plan, moment.parameters, &rates, &points.data)?,
            Precision::Float64 => {
                let parameters: Vec<f64> = moment.parameters.iter().map(|&x| f64::from(x)).collect();
                kernels(&plan, &parameters, &rates, &points.data)?
            }
        };
        let scored = |data: &Dataset| score(&plan, moment.parameters, Loss::Squared, data);
        let aside = split.test.as_ref().map(scored);
        Ok(Seen { step: moment.step, tangent, kernel, train: scored(&split.train), aside })
    };
    let (history, seen) = train_watched(&training, number..number + 1, &steps, &look)?.remove(0);
    let seen = seen.into_iter().collect::<Result<Vec<Seen>, SimError>>()?;
    let start = &seen[0];
    // A network that has diverged has no kernel.
    let is_there = |seen: &&Seen| history.diverged.is_none_or(|step| seen.step < step);
    let moments = seen.iter().take_while(is_there).filter_map(|now| moved(&probe, start, now)).collect();
    Ok(Member { moments, diverged: history.diverged })
}

/// Θ, and the Gram matrix of the last hidden features.
fn kernels<S: Scalar>(
    plan: &Plan,
    parameters: &[S],
    rates: &[carnot_net::hyper::LayerRate],
    points: &[f64],
) -> Result<(Matrix, Option<Matrix>), SimError> {
    let network = Network { plan, parameters };
    let kernel = last_hidden(plan).map(|site| features(network, site, points, None)).transpose()?;
    Ok((tangent(network, rates, points, None, Blocks::TraceMean)?, kernel))
}

fn moved(probe: &Probe, start: &Seen, now: &Seen) -> Option<Moved> {
    let tangent = drift(&start.tangent, &now.tangent);
    let kernels = start.kernel.as_ref().zip(now.kernel.as_ref());
    let infinite = probe.infinite.as_ref().ok();
    let moved = Moved {
        step: now.step,
        loss: now.train.loss?,
        aside: now.aside.and_then(|score| score.accuracy),
        tangent: tangent.relative_change,
        kernel: kernels.map(|(start, now)| drift(start, now).relative_change),
        tangent_with_start: tangent.with_start,
        tangent_with_labels: alignment(&now.tangent, &probe.labels),
        kernel_with_labels: now.kernel.as_ref().map(|kernel| alignment(kernel, &probe.labels)),
        from_infinite: infinite.map(|both| drift(&both[1], &now.tangent).relative_change),
    };
    moved.tangent.is_finite().then_some(moved)
}

/// Memory and time, said before the work.
///
/// # Errors
/// When the data cannot be read.
pub fn cost(spec: &KernelSpec, split: &Split, plan: &Plan) -> Result<Option<String>, LabError> {
    let samples = spec.probe.min(split.train.len()) as f64;
    let last = spec.drift.last().copied().unwrap_or(0) as f64;
    let looks = spec.drift.len() as f64 + 1.0;
    let aside = split.test.as_ref().map_or(0, Dataset::len) as f64;
    let read = split.train.len() as f64 + aside;
    // A step is a pass forwards and two of the same size back, in single precision.
    let steps = 3.0 * last * spec.batch.min(split.train.len()) as f64 * effort::pass(plan) / 2.0;
    let looking = looks * (effort::kernels(plan, samples) + read * effort::pass(plan) / 2.0);
    let number = if spec.float == Precision::Float32 { 4.0 } else { 8.0 };
    let threads = crate::drive::all_threads().min(spec.members as usize) as f64;
    let bytes = threads * (effort::kernel_bytes(plan, samples, number) + looks * 16.0 * samples * samples);
    Ok(Some(format!(
        "{} networks trained for {last} steps, their kernels on {samples} samples at {looks} of them, {} and {}",
        spec.members,
        effort::words(spec.members as f64 * (steps + looking)),
        crate::error::gib(bytes)
    )))
}
