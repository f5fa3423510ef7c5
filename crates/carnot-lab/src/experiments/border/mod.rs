//! `carnot border`: where learning ends, over two or three settings, with few short runs.

mod axes;
mod edge;
mod edges;
pub mod foretell;
pub mod ray;
pub mod run;
pub mod search;
pub mod shape;
mod write;

use carnot_net::plan::Plan;
use carnot_report::report::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Experiment, Group, Job, Point, Progress, Tools};
use crate::error::LabError;
use crate::settings::{DataSettings, InitSettings, known_optimizer, within};
use crate::spec::describe::network;
use crate::spec::network::NetworkSettings;
pub use axes::{Across, Setting};
use search::Search;

/// The border between learning, stuck and diverging over two or three settings, found with few short runs.
///
/// Before any run, curvature at the start says between which rates the border should lie. Runs are then spent where the answer is least
/// sure: an edge that changes smoothly is read from the outcomes, and the next runs go where they tell most about it. A run ends as soon as its fate is clear,
/// after a share of the full length at the latest. Runs that fail are data. The report has the probability of learning over the plane, the border with its interval, and
/// how it scales; where the border leaves the box, it says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BorderSpec {
    /// The network.
    #[serde(flatten)]
    pub network: NetworkSettings,
    /// How it starts.
    #[serde(flatten)]
    pub init: InitSettings,
    /// What it learns.
    #[serde(flatten)]
    pub data: DataSettings,
    /// Setting along which the border is crossed.
    pub x: Setting,
    /// Lower end of that axis. Default: of the rate a factor of 30 below what theory predicts; of others a usual value.
    pub x_from: Option<f64>,
    /// Upper end of that axis. Default: of the rate a factor of 30 above; of others a usual value.
    pub x_to: Option<f64>,
    /// The other setting: the border is given for values of it.
    pub y: Setting,
    /// Lower end of that axis. Default: a usual value.
    pub y_from: Option<f64>,
    /// Upper end of that axis. Default: a usual value.
    pub y_to: Option<f64>,
    /// A third setting: the border is then given for every pair of values of this one and the other. Default: none.
    pub z: Option<Setting>,
    /// Lower end of that axis. Default: a usual value.
    pub z_from: Option<f64>,
    /// Upper end of that axis. Default: a usual value.
    pub z_to: Option<f64>,
    /// Runs at most.
    pub budget: usize,
    /// Runs of a round, which are chosen together and may run beside each other.
    pub together: usize,
    /// Steps of a full training, whose fate is asked for.
    pub length: u64,
    /// Share of these steps that a run takes at most.
    pub share: f64,
    /// Width of the border's interval, in decades or in tenths of an axis without decades, at which the search stops along 90 % of it.
    pub tolerance: f64,
    /// Whether the lower edge, where settings are too small to learn, is searched too.
    pub both: bool,
    /// Whether theory is asked before the first run: for the box of the rate, and for a bracket to hold the border against.
    pub theory: bool,
    /// Optimizer: sgd, momentum, adam or adamw.
    pub optimizer: String,
    /// Learning rate, where it is on no axis. Default: 0.001 for adam and adamw, 0.1 for the others.
    pub rate: Option<f64>,
    /// Samples of a batch, where it is on no axis.
    pub batch: usize,
    /// Steps of warm-up, where it is on no axis.
    pub warm_up: u64,
    /// Seeds of weights and batches, which runs take in turn; the border is then that of the middle of them.
    pub seeds: u64,
    /// Seed of everything.
    pub seed: u64,
    /// Seed of the first places to look at alone.
    pub search_seed: u64,
}

impl Default for BorderSpec {
    fn default() -> BorderSpec {
        BorderSpec {
            network: NetworkSettings::default(),
            init: InitSettings::default(),
            data: DataSettings::default(),
            x: Setting::Rate,
            x_from: None,
            x_to: None,
            y: Setting::Depth,
            y_from: None,
            y_to: None,
            z: None,
            z_from: None,
            z_to: None,
            budget: 25,
            together: 2,
            length: 500,
            share: 0.2,
            tolerance: 0.1,
            both: false,
            theory: true,
            optimizer: "adam".into(),
            rate: None,
            batch: 50,
            warm_up: 0,
            seeds: 1,
            seed: 7,
            search_seed: 0,
        }
    }
}

impl BorderSpec {
    /// Steps of a run at most.
    pub fn looked(&self) -> u64 {
        ((self.length as f64 * self.share).round() as u64).clamp(1, self.length)
    }

    /// The ends of the second axis; filled in by `resolve`.
    pub fn y_ends(&self) -> (f64, f64) {
        let usual = self.y.usual();
        (self.y_from.unwrap_or(usual.0), self.y_to.unwrap_or(usual.1))
    }

    /// The third axis and its ends, where there is one; filled in by `resolve`.
    pub fn third(&self) -> Option<(Setting, (f64, f64))> {
        let z = self.z?;
        let usual = z.usual();
        Some((z, (self.z_from.unwrap_or(usual.0), self.z_to.unwrap_or(usual.1))))
    }

    /// A place across, in words: "depth 4, width 32".
    pub fn words(&self, across: Across) -> String {
        let of = |setting: Setting, value| format!("{} {}", setting.label(), setting.shown(value));
        match (self.z, across.z) {
            (Some(z), Some(value)) => format!("{}, {}", of(self.y, across.y), of(z, value)),
            _ => of(self.y, across.y),
        }
    }

    /// The same with all digits, as jobs are named.
    fn exactly(&self, across: Across) -> String {
        let third = self.z.zip(across.z).map(|(z, value)| format!(", {} {value}", z.label()));
        format!("{} {}{}", self.y.label(), across.y, third.unwrap_or_default())
    }

    /// Whether theory has something to say of the first axis.
    pub fn is_predicted(&self) -> bool {
        self.theory && self.x == Setting::Rate
    }

    /// The settings of one place.
    ///
    /// # Errors
    /// When the network cannot have that shape.
    pub fn cell(&self, x: f64, across: impl Into<Across>) -> Result<BorderSpec, LabError> {
        let (mut own, across) = (self.clone(), across.into());
        self.y.set(&mut own, across.y)?;
        if let (Some(z), Some(value)) = (self.z, across.z) {
            z.set(&mut own, value)?;
        }
        self.x.set(&mut own, x)?;
        Ok(own)
    }
}

/// The experiment behind `carnot border`.
pub struct Border;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum At {
    /// What theory says, for one place across.
    Predict {
        /// The place.
        #[serde(flatten)]
        across: Across,
    },
    /// A run.
    Run {
        /// Its place in the order of runs, from 1.
        number: usize,
        /// Value on the first axis.
        x: f64,
        /// Its place across.
        #[serde(flatten)]
        across: Across,
    },
}

impl Experiment for Border {
    const VERB: &'static str = "border";
    const GROUP: Group = Group::Simulate;
    type Spec = BorderSpec;

    fn resolve(spec: BorderSpec) -> Result<BorderSpec, LabError> {
        spec.init.check()?;
        check_ranges(&spec)?;
        let mut spec = BorderSpec { network: spec.network.resolve()?, ..spec };
        let usual = if spec.optimizer.starts_with("adam") { 1e-3 } else { 0.1 };
        spec.rate.get_or_insert(usual);
        let y = spec.y_ends();
        (spec.y_from, spec.y_to) = (Some(y.0), Some(y.1));
        spec.y.check(["y_from", "y_to"], y)?;
        match spec.third() {
            Some((z, ends)) => {
                z.check(["z_from", "z_to"], ends)?;
                (spec.z_from, spec.z_to) = (Some(ends.0), Some(ends.1));
            }
            None => {
                let end = spec.z_from.or(spec.z_to);
                within("z", "none", end.is_none(), "a setting, as the axis has an end: --z width")?;
            }
        }
        // Of the rate the box follows from theory, which is only known once the first jobs are done.
        if !spec.is_predicted() {
            let usual = spec.x.usual();
            (spec.x_from, spec.x_to) = (spec.x_from.or(Some(usual.0)), spec.x_to.or(Some(usual.1)));
        }
        match (spec.x_from, spec.x_to) {
            (Some(low), Some(high)) => spec.x.check(["x_from", "x_to"], (low, high))?,
            (Some(end), None) => spec.x.check(["x_from", "x_to"], (end, end * 2.0))?,
            (None, Some(end)) => spec.x.check(["x_from", "x_to"], (end / 2.0, end))?,
            (None, None) => {}
        }
        let plan = Plan::new(spec.network.network())?;
        spec.data = spec.data.pinned_to_learn(&plan, spec.seed, "border")?;
        // Shapes at all corners, before any work.
        let third = spec.third().map(|(_, ends)| [ends.0, ends.1]);
        for across in Across::all(&[y.0, y.1], third.as_ref().map(|ends| ends.as_slice())) {
            let x = spec.x_from.or(spec.x_to).unwrap_or(1.0);
            Plan::new(spec.cell(x, across)?.network.network())?;
            Plan::new(spec.cell(spec.x_to.unwrap_or(x), across)?.network.network())?;
        }
        Ok(spec)
    }

    fn subject(spec: &BorderSpec) -> String {
        format!(
            "{}, {}, {}, {}",
            [Some(spec.x), Some(spec.y), spec.z]
                .into_iter()
                .flatten()
                .map(Setting::label)
                .collect::<Vec<_>>()
                .join(" × "),
            network(spec.network.network()),
            spec.init.words(),
            spec.optimizer
        )
    }

    fn plan(spec: &BorderSpec) -> Result<Vec<Job>, LabError> {
        if spec.is_predicted() {
            let job =
                |across| Job::new(format!("theory at {}", spec.exactly(across)), At::Predict { across });
            return Ok(search::foretold(spec).into_iter().map(job).collect());
        }
        Ok(jobs(&Search::of(spec, &[])?))
    }

    fn next(spec: &BorderSpec, points: &[Point]) -> Result<Vec<Job>, LabError> {
        Ok(jobs(&Search::of(spec, points)?))
    }

    fn cost(spec: &BorderSpec) -> Result<Option<String>, LabError> {
        let (steps, rows) = (spec.budget as u64 * spec.looked(), search::rows(spec).len());
        let grid = search::GRID_COLUMNS * rows;
        let share = steps as f64 / (grid as f64 * spec.length as f64);
        Ok(Some(format!(
            "at most {} runs of {} steps, {steps} in all; a grid of {grid} full runs takes {}, {} times as many",
            spec.budget,
            spec.looked(),
            grid as u64 * spec.length,
            carnot_report::number::significant(1.0 / share, 2)
        )))
    }

    fn run(spec: &BorderSpec, job: &Job, tools: &Tools) -> Result<Value, LabError> {
        let setting = tools.shared("data", || run::Shared::of(spec))?;
        let value = match job.read()? {
            At::Predict { across } => serde_json::to_value(foretell::predict(spec, &setting, across)?),
            At::Run { number, x, across } => {
                let mut step = |done, of| tools.step(&job.id, done, of);
                serde_json::to_value(run::outcome(spec, &setting, number, x, across, &mut step)?)
            }
        };
        value.map_err(|error| LabError::Answer { job: job.id.clone(), message: error.to_string() })
    }

    fn progress(spec: &BorderSpec, points: &[Point]) -> Progress {
        let Ok(search) = Search::of(spec, points) else { return Progress::default() };
        // Whether to stop is decided where rounds end, in `next`: a round is never cut.
        Progress { is_done: false, words: write::progress(&search) }
    }

    fn report(spec: &BorderSpec, points: &[Point]) -> Result<Report, LabError> {
        Ok(write::report(&Search::of(spec, points)?))
    }
}

/// The jobs of the next round.
fn jobs(search: &Search) -> Vec<Job> {
    let spec = search.spec();
    let first = search.runs().len() + 1;
    let job = |(at, (x, across)): (usize, (f64, Across))| {
        let number = first + at;
        let shown = carnot_report::number::significant(x, 3);
        let id = format!("run {number}: {} {shown}, {}", spec.x.label(), spec.exactly(across));
        Job::new(id, At::Run { number, x, across })
    };
    search.next().into_iter().enumerate().map(job).collect()
}

fn check_ranges(spec: &BorderSpec) -> Result<(), LabError> {
    within("y", spec.y.label(), spec.y != spec.x, "another setting than that of x")?;
    let is_first = spec.y != Setting::Rate;
    within("y", "rate", is_first, "another setting: the rate is crossed along x (--x rate)")?;
    let is_third = spec.z.is_none_or(|z| z != spec.x && z != spec.y && z != Setting::Rate);
    within(
        "z",
        spec.z.map_or("none", Setting::label),
        is_third,
        "another setting than those of x and y, and not the rate",
    )?;
    within("budget", spec.budget, (4..=1000).contains(&spec.budget), "4 to 1000")?;
    within("together", spec.together, (1..=100).contains(&spec.together), "1 to 100")?;
    within("length", spec.length, (20..=100_000_000).contains(&spec.length), "20 to 100000000")?;
    within("share", spec.share, spec.share > 0.0 && spec.share <= 1.0, "above 0, at most 1")?;
    within(
        "tolerance",
        spec.tolerance,
        spec.tolerance > 0.0 && spec.tolerance <= 10.0,
        "above 0, at most 10",
    )?;
    within("batch", spec.batch, (1..=1_000_000).contains(&spec.batch), "1 to 1000000")?;
    within("seeds", spec.seeds, (1..=1000).contains(&spec.seeds), "1 to 1000")?;
    if let Some(rate) = spec.rate {
        within("rate", rate, rate > 0.0 && rate <= 1e6, "above 0, at most 1000000")?;
    }
    known_optimizer(&spec.optimizer)
}
