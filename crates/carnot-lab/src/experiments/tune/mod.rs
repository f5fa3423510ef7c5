//! `carnot tune`: noise, rate or nonlinearity moved towards an even load curve while a network trains.

mod compare;
mod knob;
mod law;
mod network;
mod tables;
mod write;

use std::collections::HashMap;

use carnot_math::random::Stream;
use carnot_net::dataset::Dataset;
use carnot_report::report::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Experiment, Group, Job, Point, Tools};
use crate::error::LabError;
use crate::settings::{DataSettings, within};
use compare::Trainings;
use knob::Knob;
use law::Law;
use network::Sets;

/// Moves noise, rate or nonlinearity towards an even load curve while training; against a control and a sweep.
///
/// Every few epochs the load curve of the training set is read, and the knob moved by what is missing to the wanted convexity. For each
/// seed a network is trained from every value of the sweep, once untouched and once tuned, and some more untouched ones from the start,
/// so that all ways to spend the same number of trainings are held against each other on the same test samples: one untouched, one
/// tuned, the best of several by labels held out. Differences are paired by seed; where tuning does not help, the headline says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TuneSpec {
    /// The data; digits (embedded) when not given.
    #[serde(flatten)]
    pub data: DataSettings,
    /// Images are resized to this many pixels along each side. Default: as they are.
    pub side: Option<usize>,
    /// Samples whose labels are known; the rest is for testing.
    pub train: usize,
    /// Share of these labels that is held out to choose among trainings.
    pub held: f64,
    /// What is moved.
    pub knob: Knob,
    /// Values of the sweep; each is a start of a tuned training too, which stays between the least and the largest. Default: by the knob.
    pub values: Vec<f64>,
    /// Value of the control, one of the values. Default: no noise, a ReLU, rate 0.001.
    pub start: Option<f64>,
    /// Wanted convexity of the load curve: 0 is even, below 0 deep layers carry more.
    pub target: f64,
    /// Epochs from one look at the load curve to the next.
    pub every: u64,
    /// Share of what is missing to the target that one look makes up.
    pub gain: f64,
    /// Convexity that an untouched network ends with for a unit of the knob's coordinate; the gain is divided by it. Default: measured
    /// on digits.
    pub response: Option<f64>,
    /// Total load (nats) below which a curve is not judged and the knob stays.
    pub least: f64,
    /// Hidden layers.
    pub depth: usize,
    /// Units of each hidden layer.
    pub width: usize,
    /// Whether inputs and hidden layers are batch-normalised.
    pub norm: bool,
    /// Slope of the leaky ReLU below zero, where it is not the knob: 0 is the ReLU, 1 is linear.
    pub slope: f64,
    /// Dropout at every hidden layer, where it is not the knob.
    pub dropout: f64,
    /// Passes over the training set.
    pub epochs: u64,
    /// Samples of a batch; 0 for all.
    pub batch: usize,
    /// Learning rate of Adam, where it is not the knob.
    pub rate: f64,
    /// Seeds: each has its own labels, initialisation and batches.
    pub seeds: u64,
    /// Seed of everything.
    pub seed: u64,
}

impl Default for TuneSpec {
    fn default() -> TuneSpec {
        TuneSpec {
            data: DataSettings::default(),
            side: None,
            train: 300,
            held: 0.2,
            knob: Knob::default(),
            values: Vec::new(),
            start: None,
            target: 0.0,
            every: 5,
            gain: 0.2,
            response: None,
            least: 1.0,
            depth: 7,
            width: 100,
            norm: true,
            slope: 0.0,
            dropout: 0.0,
            epochs: 100,
            batch: 60,
            rate: 1e-3,
            seeds: 10,
            seed: 1,
        }
    }
}

impl TuneSpec {
    /// The value of the control; filled in by `resolve`.
    fn start_value(&self) -> f64 {
        self.start.unwrap_or_else(|| self.knob.untouched())
    }

    fn law(&self) -> Law {
        let low = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Law {
            knob: self.knob,
            target: self.target,
            gain: self.gain,
            response: self.response.unwrap_or_else(|| self.knob.response()),
            least: self.least,
            bounds: (low, high),
        }
    }

    /// Samples that are learned from; the other labels choose.
    fn learned(&self) -> usize {
        self.train - ((self.held * self.train as f64).round() as usize).clamp(1, self.train - 1)
    }
}

/// The experiment behind `carnot tune`.
pub struct Tune;

/// One training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct At {
    seed: u64,
    /// Place of its (first) value.
    value: usize,
    /// Whether the knob is moved.
    tuned: bool,
    /// 0, or the number of another initialisation.
    again: u64,
}

impl At {
    fn job(self, spec: &TuneSpec) -> Job {
        let manner = if self.tuned { "tuned" } else { "untouched" };
        let again = if self.again > 0 { format!(" again {}", self.again) } else { String::new() };
        Job::new(format!("seed {} {manner} {}{again}", self.seed, spec.values[self.value]), self)
    }
}

/// The trainings of all seeds: first the start, then the other values, then the start with other initialisations.
fn trainings(spec: &TuneSpec) -> Vec<At> {
    let start = spec.values.iter().position(|&value| value == spec.start_value()).unwrap_or(0);
    let others = (0..spec.values.len()).filter(|&value| value != start);
    let values: Vec<usize> = [start].into_iter().chain(others).collect();
    let of = |seed: u64| {
        let pair = |&value: &usize| [false, true].map(|tuned| At { seed, value, tuned, again: 0 });
        let pairs = values.iter().flat_map(pair).collect::<Vec<_>>();
        let again = 1..spec.values.len() as u64;
        pairs.into_iter().chain(again.map(move |again| At { seed, value: start, tuned: false, again }))
    };
    (0..spec.seeds).flat_map(of).collect()
}

impl Experiment for Tune {
    const VERB: &'static str = "tune";
    const GROUP: Group = Group::Simulate;
    type Spec = TuneSpec;

    fn resolve(spec: TuneSpec) -> Result<TuneSpec, LabError> {
        let mut spec = spec;
        if spec.values.is_empty() {
            spec.values = spec.knob.usual();
        }
        spec.values.sort_by(f64::total_cmp);
        spec.values.dedup();
        check_values(&spec)?;
        spec.start = Some(spec.start_value());
        spec.response = Some(spec.law().response);
        check_ranges(&spec)?;
        let data = whole(&spec)?;
        let most = data.len() - 1;
        let range = format!("4 to {most}, so that a test sample is left");
        within("train", spec.train, (4..=most).contains(&spec.train), &range)?;
        spec.data = spec.data.pinned_classes(&data)?;
        Ok(spec)
    }

    fn subject(spec: &TuneSpec) -> String {
        format!(
            "{} from {}, {} hidden layers of {}, {}, {} labels",
            spec.knob.label(),
            spec.start_value(),
            spec.depth,
            spec.width,
            spec.data.data.as_deref().unwrap_or("digits"),
            spec.train
        )
    }

    fn plan(spec: &TuneSpec) -> Result<Vec<Job>, LabError> {
        Ok(trainings(spec).into_iter().map(|at| at.job(spec)).collect())
    }

    fn run(spec: &TuneSpec, job: &Job, tools: &Tools) -> Result<Value, LabError> {
        let at: At = job.read()?;
        let data = tools.shared("data", || whole(spec))?;
        let sets = tools.shared(&format!("seed {}", at.seed), || split(spec, &data, at.seed))?;
        // Another initialisation is another stream; seeds and repeats are far fewer than the factors.
        let own = spec.seed.wrapping_mul(1_000_003).wrapping_add(at.seed);
        let own = own.wrapping_add(at.again.wrapping_mul(1_000_000_007));
        let law = at.tuned.then(|| spec.law());
        let answer = network::trained(spec, &sets, spec.values[at.value], law.as_ref(), own)?;
        serde_json::to_value(answer)
            .map_err(|error| LabError::Answer { job: job.id.clone(), message: error.to_string() })
    }

    fn report(spec: &TuneSpec, points: &[Point]) -> Result<Report, LabError> {
        let known: HashMap<&str, &Point> = points.iter().map(|point| (point.job.as_str(), point)).collect();
        let mut all = Trainings::empty(spec);
        for at in trainings(spec) {
            if let Some(point) = known.get(at.job(spec).id.as_str()) {
                all.push(at, point.read()?);
            }
        }
        Ok(write::report(spec, &all))
    }
}

fn check_values(spec: &TuneSpec) -> Result<(), LabError> {
    for &value in &spec.values {
        if let Some(range) = spec.knob.refuses(value) {
            within("values", value, false, range)?;
        }
    }
    within("values", spec.values.len(), (2..=100).contains(&spec.values.len()), "2 to 100 values")?;
    let start = spec.start_value();
    within("start", start, spec.values.contains(&start), &format!("one of the values {:?}", spec.values))
}

fn check_ranges(spec: &TuneSpec) -> Result<(), LabError> {
    within("held", spec.held, spec.held > 0.0 && spec.held < 1.0, "above 0, below 1")?;
    within("target", spec.target, (-1.0..=1.0).contains(&spec.target), "-1 to 1")?;
    within("epochs", spec.epochs, (1..=1_000_000).contains(&spec.epochs), "1 to 1000000")?;
    let range = format!("1 to {}, the epochs", spec.epochs);
    within("every", spec.every, (1..=spec.epochs).contains(&spec.every), &range)?;
    within("gain", spec.gain, spec.gain > 0.0 && spec.gain <= 2.0, "above 0, at most 2")?;
    let response = spec.law().response;
    within("response", response, response > 0.0 && response <= 1e3, "above 0, at most 1000")?;
    within("least", spec.least, spec.least >= 0.0 && spec.least <= 1e6, "0 to 1000000")?;
    within("depth", spec.depth, (3..=200).contains(&spec.depth), "3 to 200")?;
    within("width", spec.width, (2..=10_000).contains(&spec.width), "2 to 10000")?;
    within("slope", spec.slope, (0.0..=1.0).contains(&spec.slope), "0 to 1")?;
    within("dropout", spec.dropout, (0.0..1.0).contains(&spec.dropout), "0 ≤ p < 1")?;
    within("rate", spec.rate, spec.rate > 0.0 && spec.rate <= 100.0, "above 0, at most 100")?;
    within("seeds", spec.seeds, (1..=10_000).contains(&spec.seeds), "1 to 10000")
}

fn whole(spec: &TuneSpec) -> Result<Dataset, LabError> {
    let data = spec.data.sized(spec.side, spec.seed)?;
    let width = data.width();
    Ok(data.reshaped(&[width])?)
}

/// What a seed learns from, chooses by and is tested on: its own random choice.
fn split(spec: &TuneSpec, data: &Dataset, seed: u64) -> Result<Sets, LabError> {
    let order = Stream::new(spec.seed, "labels that are known", &[seed]).permutation(data.len());
    let (known, test) = order.split_at(spec.train);
    let (train, held) = known.split_at(spec.learned());
    Ok(Sets { train: data.subset(train)?, held: data.subset(held)?, test: data.subset(test)? })
}
