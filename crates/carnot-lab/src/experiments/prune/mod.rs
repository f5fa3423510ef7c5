//! `carnot prune`: how few weights a network can do with, and whether it matters which.

mod run;
mod tickets;
mod write;

use carnot_net::plan::Plan;
use carnot_report::report::Report;
use carnot_sim::prune::mask::{Kind, prunable};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Experiment, Group, Job, Point, Progress, Tools};
use crate::error::LabError;
use crate::settings::{DataSettings, InitSettings, known_optimizer, within};
use crate::spec::describe::network;
use crate::spec::network::NetworkSettings;
use run::Shared;
use tickets::{At, Done, State, Way};

/// How few weights a network can do with, and whether it matters which.
///
/// The network is trained; the smallest weights are taken away; what is left goes back to where it started and is trained again, round
/// after round: a winning ticket does as well as the whole. Beside it, always, the controls: the same mask on fresh weights, as many weights elsewhere in
/// each layer, and as many taken at once. The report has accuracy and speed against the share that is left, each with its error over seeds, the
/// smallest share that does as well as all, and what is left of each layer. Rounds that were done are not repeated when it is taken up again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PruneSpec {
    /// The network.
    #[serde(flatten)]
    pub network: NetworkSettings,
    /// How it starts.
    #[serde(flatten)]
    pub init: InitSettings,
    /// What it learns.
    #[serde(flatten)]
    pub data: DataSettings,
    /// Rounds of pruning.
    pub rounds: usize,
    /// Share of the weights left of a matrix that go in each round.
    pub each: f64,
    /// The same of kernels of convolutions. Default: half of that of matrices.
    pub each_conv: Option<f64>,
    /// The same of the last matrix. Default: half of that of the others.
    pub each_output: Option<f64>,
    /// Whether weights of all layers are compared with each other, the last matrix left whole; otherwise each layer loses its own share.
    pub together: bool,
    /// Step of the first training to whose weights the ones that are left go back; 0 for the start.
    pub rewind: u64,
    /// Rounds from one with controls to the next; the last one has them. 0 for none.
    pub controls: usize,
    /// Steps of a training.
    pub length: u64,
    /// Steps from one look at the validation loss to the next.
    pub look: u64,
    /// Optimizer: sgd, momentum, adam or adamw.
    pub optimizer: String,
    /// Learning rate.
    pub rate: f64,
    /// Samples of a batch.
    pub batch: usize,
    /// Networks, each with its own start and order of samples.
    pub seeds: u64,
    /// Seed of everything.
    pub seed: u64,
}

impl Default for PruneSpec {
    fn default() -> PruneSpec {
        PruneSpec {
            network: NetworkSettings::default(),
            init: InitSettings::default(),
            data: DataSettings::default(),
            rounds: 12,
            each: 0.2,
            each_conv: None,
            each_output: None,
            together: false,
            rewind: 0,
            controls: 3,
            length: 1000,
            look: 50,
            optimizer: "adam".into(),
            rate: 1.2e-3,
            batch: 60,
            seeds: 3,
            seed: 7,
        }
    }
}

impl PruneSpec {
    /// Share of what is left of a tensor that goes in a round.
    pub fn rate_of(&self, kind: Kind) -> f64 {
        match kind {
            Kind::Dense => self.each,
            Kind::Conv => self.each_conv.unwrap_or(self.each / 2.0),
            Kind::Output => self.each_output.unwrap_or(self.each / 2.0),
        }
    }

    /// Whether a round has controls.
    pub fn is_controlled(&self, round: usize) -> bool {
        self.controls > 0 && round > 0 && (round.is_multiple_of(self.controls) || round == self.rounds)
    }

    /// Trainings in all.
    fn trainings(&self) -> u64 {
        let controlled = (1..=self.rounds).filter(|round| self.is_controlled(*round)).count();
        self.seeds * (1 + self.rounds as u64 + controlled as u64 * (Way::CONTROLS.len() as u64))
    }
}

/// The experiment behind `carnot prune`.
pub struct Prune;

impl Experiment for Prune {
    const VERB: &'static str = "prune";
    const GROUP: Group = Group::Simulate;
    type Spec = PruneSpec;

    fn resolve(spec: PruneSpec) -> Result<PruneSpec, LabError> {
        spec.init.check()?;
        check_ranges(&spec)?;
        let mut spec = PruneSpec { network: spec.network.resolve()?, ..spec };
        let plan = Plan::new(spec.network.network())?;
        let is_empty = prunable(&plan).is_empty();
        within("network", "it", !is_empty, "a network with matrices or kernels to prune")?;
        spec.data = spec.data.pinned_to_learn(&plan, spec.seed, "prune")?;
        (spec.each_conv, spec.each_output) =
            (Some(spec.rate_of(Kind::Conv)), Some(spec.rate_of(Kind::Output)));
        Ok(spec)
    }

    fn subject(spec: &PruneSpec) -> String {
        format!("{}, {}, {}", network(spec.network.network()), spec.init.words(), spec.optimizer)
    }

    fn plan(spec: &PruneSpec) -> Result<Vec<Job>, LabError> {
        Ok(State::of(spec, &[])?.next())
    }

    fn next(spec: &PruneSpec, points: &[Point]) -> Result<Vec<Job>, LabError> {
        Ok(State::of(spec, points)?.next())
    }

    fn cost(spec: &PruneSpec) -> Result<Option<String>, LabError> {
        let all = spec.trainings();
        Ok(Some(format!(
            "{all} trainings of {} steps, {} in all; it tells what can go, and saves no training",
            spec.length,
            all * spec.length
        )))
    }

    fn run(spec: &PruneSpec, job: &Job, tools: &Tools) -> Result<Value, LabError> {
        let shared = tools.shared("data", || Shared::of(spec))?;
        let at: At = job.read()?;
        let mut step = |done, of| tools.step(&job.id, done, of);
        let done: Done = run::trained(spec, &shared, at, &mut step)?;
        serde_json::to_value(done)
            .map_err(|error| LabError::Answer { job: job.id.clone(), message: error.to_string() })
    }

    fn progress(spec: &PruneSpec, points: &[Point]) -> Progress {
        let Ok(state) = State::of(spec, points) else { return Progress::default() };
        Progress { is_done: false, words: write::progress(&state) }
    }

    fn report(spec: &PruneSpec, points: &[Point]) -> Result<Report, LabError> {
        Ok(write::report(&State::of(spec, points)?))
    }
}

fn check_ranges(spec: &PruneSpec) -> Result<(), LabError> {
    within("rounds", spec.rounds, (1..=100).contains(&spec.rounds), "1 to 100")?;
    let shares =
        [("each", Some(spec.each)), ("each_conv", spec.each_conv), ("each_output", spec.each_output)];
    for (key, value) in shares {
        if let Some(value) = value {
            within(key, value, (0.0..1.0).contains(&value), "0 to below 1")?;
        }
    }
    within("length", spec.length, (1..=100_000_000).contains(&spec.length), "1 to 100000000")?;
    within("rewind", spec.rewind, spec.rewind < spec.length, "below the steps of a training")?;
    within("look", spec.look, (1..=spec.length).contains(&spec.look), "1 to the steps of a training")?;
    within("batch", spec.batch, (1..=1_000_000).contains(&spec.batch), "1 to 1000000")?;
    within("seeds", spec.seeds, (1..=1000).contains(&spec.seeds), "1 to 1000")?;
    within("rate", spec.rate, spec.rate > 0.0 && spec.rate <= 1e6, "above 0, at most 1000000")?;
    known_optimizer(&spec.optimizer)
}
