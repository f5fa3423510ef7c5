//! `carnot transfer`: the rate and the start of a large network from a small one.

mod run;
mod size;
mod state;
mod write;

use carnot_net::plan::Plan;
use carnot_report::report::Report;
use carnot_theory::transfer::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Experiment, Group, Job, Point, Tools};
use crate::error::LabError;
use crate::settings::{DataSettings, InitSettings, known_optimizer, within};
use crate::spec::describe::network;
use crate::spec::network::NetworkSettings;
use run::Shared;
use size::{base, sized, target};
use state::{At, State, rate};

/// The rate and the start of a large network, from trainings of a small one.
///
/// The small network is tuned: trained at rates over the box, then closely around the best. Rules of scaling (maximal update with width, branches and rates
/// with depth) then say with which variances and rates by group of parameters the large one learns alike at the same global rate. That is tested on
/// networks half and twice as large, whose best rate should not move, and layer by layer: a coordinate check says whether changes of the first steps depend on the width.
/// The report has the rate with its interval, every group's factors, and the same for one rate for all, as frameworks do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TransferSpec {
    /// The small network.
    #[serde(flatten)]
    pub network: NetworkSettings,
    /// How it starts.
    #[serde(flatten)]
    pub init: InitSettings,
    /// What it learns.
    #[serde(flatten)]
    pub data: DataSettings,
    /// Width of the large network. Default: that of the small one.
    pub to_width: Option<usize>,
    /// Depth of the large network: hidden layers, or blocks. Default: that of the small one.
    pub to_depth: Option<usize>,
    /// Whether the large network is trained too, at rates around the predicted one and by both rules.
    pub verify: bool,
    /// Least rate that is tried.
    pub rate_from: f64,
    /// Largest rate that is tried.
    pub rate_to: f64,
    /// Steps of a training.
    pub length: u64,
    /// Optimizer: sgd, momentum, adam or adamw.
    pub optimizer: String,
    /// Samples of a batch.
    pub batch: usize,
    /// Steps of warm-up.
    pub warm_up: u64,
    /// Networks of each size and rate.
    pub seeds: u64,
    /// Seed of everything.
    pub seed: u64,
}

impl Default for TransferSpec {
    fn default() -> TransferSpec {
        TransferSpec {
            network: NetworkSettings::default(),
            init: InitSettings::default(),
            data: DataSettings::default(),
            to_width: None,
            to_depth: None,
            verify: false,
            rate_from: 1e-4,
            rate_to: 1.0,
            length: 200,
            optimizer: "adam".into(),
            batch: 32,
            warm_up: 0,
            seeds: 3,
            seed: 7,
        }
    }
}

/// The experiment behind `carnot transfer`.
pub struct Transfer;

impl Experiment for Transfer {
    const VERB: &'static str = "transfer";
    const GROUP: Group = Group::Simulate;
    type Spec = TransferSpec;

    fn resolve(spec: TransferSpec) -> Result<TransferSpec, LabError> {
        spec.init.check()?;
        check_ranges(&spec)?;
        let mut spec = TransferSpec { network: spec.network.resolve()?, ..spec };
        let plan = Plan::new(spec.network.network())?;
        spec.data = spec.data.pinned_to_learn(&plan, spec.seed, "transfer")?;
        let has = base(&spec);
        let none =
            |what: &str| format!("not given: only a network with {what}, such as 64-32x4-10, has it to vary");
        within(
            "to_width",
            spec.to_width.unwrap_or(0),
            spec.to_width.is_none() || has.width.is_some(),
            &none("hidden layers"),
        )?;
        within(
            "to_depth",
            spec.to_depth.unwrap_or(0),
            spec.to_depth.is_none() || has.depth.is_some(),
            &none("a repeated block"),
        )?;
        // The target's shape, before any work.
        sized(&spec, target(&spec), Rule::MaximalUpdate)?;
        Ok(spec)
    }

    fn subject(spec: &TransferSpec) -> String {
        let to = target(spec).words();
        format!("{} to {to}, {}, {}", network(spec.network.network()), spec.init.words(), spec.optimizer)
    }

    fn plan(spec: &TransferSpec) -> Result<Vec<Job>, LabError> {
        jobs(&State::of(spec, &[])?)
    }

    fn next(spec: &TransferSpec, points: &[Point]) -> Result<Vec<Job>, LabError> {
        jobs(&State::of(spec, points)?)
    }

    fn cost(spec: &TransferSpec) -> Result<Option<String>, LabError> {
        write::cost(spec).map(Some)
    }

    fn run(spec: &TransferSpec, job: &Job, tools: &Tools) -> Result<Value, LabError> {
        let shared = tools.shared("data", || Shared::of(spec))?;
        let value = match job.read()? {
            At::Train { size, rule, k } => {
                let mut step = |done, of| tools.step(&job.id, done, of);
                serde_json::to_value(run::trained(spec, &shared, (size, rule, rate(k)), &mut step)?)
            }
            At::Move { size, rule, k } => {
                serde_json::to_value(run::moved(spec, &shared, (size, rule, rate(k)))?)
            }
        };
        value.map_err(|error| LabError::Answer { job: job.id.clone(), message: error.to_string() })
    }

    fn report(spec: &TransferSpec, points: &[Point]) -> Result<Report, LabError> {
        write::report(&State::of(spec, points)?)
    }
}

fn jobs(state: &State) -> Result<Vec<Job>, LabError> {
    let job = |at: At| {
        let (what, size, rule, k) = match at {
            At::Train { size, rule, k } => ("train", size, rule, k),
            At::Move { size, rule, k } => ("layers of", size, rule, k),
        };
        let rule = if rule == Rule::Standard { ", one rate for all" } else { "" };
        let shown = carnot_report::number::significant(rate(k), 3);
        Job::new(format!("{what} {} at rate {shown}{rule}", size.words()), at)
    };
    Ok(state.next()?.into_iter().map(job).collect())
}

fn check_ranges(spec: &TransferSpec) -> Result<(), LabError> {
    let is_rate = |rate: f64| (1e-9..=1e4).contains(&rate);
    within("rate_from", spec.rate_from, is_rate(spec.rate_from), "1e-9 to 10000")?;
    within("rate_to", spec.rate_to, is_rate(spec.rate_to), "1e-9 to 10000")?;
    let is_wide = spec.rate_to >= 4.0 * spec.rate_from;
    within(
        "rate_to",
        spec.rate_to,
        is_wide,
        &format!("at least {}, four times rate_from", 4.0 * spec.rate_from),
    )?;
    within("length", spec.length, (20..=100_000_000).contains(&spec.length), "20 to 100000000")?;
    within("batch", spec.batch, (1..=1_000_000).contains(&spec.batch), "1 to 1000000")?;
    within("seeds", spec.seeds, (2..=100).contains(&spec.seeds), "2 to 100: one seed has no error")?;
    for (key, size) in [("to_width", spec.to_width), ("to_depth", spec.to_depth)] {
        let Some(size) = size else { continue };
        within(key, size, (1..=100_000).contains(&size), "1 to 100000")?;
    }
    if spec.to_width.is_none() && spec.to_depth.is_none() {
        return Err(LabError::MissingKey { key: "larger size", verb: "transfer" });
    }
    known_optimizer(&spec.optimizer)
}
