//! Trainings of a sweep, and how far layers move in their first steps.

use std::ops::ControlFlow;

use carnot_math::stats::Moments;
use carnot_net::batch::Batch;
use carnot_net::dataset::Dataset;
use carnot_net::plan::{Plan, Weights};
use carnot_net::tape::{Mode, Tape, Watch};
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::train::spec::TrainSpec;
use carnot_sim::train::until::train_until;
use carnot_sim::train::{Moment, Training, train_watched};
use carnot_theory::transfer::Rule;
use serde::{Deserialize, Serialize};

use super::TransferSpec;
use super::size::{Size, Sized, sized};
use crate::error::LabError;
use crate::settings::loss_of;

/// Share of the steps over which the final loss is averaged, and the least number of them.
const LAST: (f64, u64) = (0.1, 10);
/// A loss so many times that of the first step ends a run: it has diverged.
const BLOWN: f64 = 10.0;
/// Steps behind which layers are looked at.
const STEPS: u64 = 4;
/// Samples on which they are.
const PROBE: usize = 64;

/// Data and loss.
pub struct Shared {
    data: Dataset,
    loss: Loss,
}

impl Shared {
    /// Reads the data.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn of(spec: &TransferSpec) -> Result<Shared, LabError> {
        let plan = Plan::new(spec.network.network())?;
        let data = spec.data.open(&plan, spec.seed)?;
        let data = data.ok_or(LabError::MissingKey { key: "data", verb: "transfer" })?;
        let loss = loss_of(&data);
        Ok(Shared { data, loss })
    }

    fn training<'a>(&'a self, spec: &TransferSpec, sized: &'a Sized, rate: f64, steps: u64) -> Training<'a> {
        Training {
            plan: &sized.plan,
            init: &sized.init,
            rates: &sized.rates,
            optimizer: Optimizer::named(&spec.optimizer).expect("resolve checked the name"),
            loss: self.loss,
            train: &self.data,
            test: None,
            spec: TrainSpec {
                steps,
                batch: spec.batch,
                rate,
                warm_up: spec.warm_up,
                seed: spec.seed,
                ..TrainSpec::default()
            },
        }
    }
}

/// A place of a sweep and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// Which network.
    pub size: Size,
    /// By which rule.
    pub rule: Rule,
    /// Global rate η.
    pub rate: f64,
    /// Final loss by seed; `None` where it diverged.
    pub losses: Vec<Option<f64>>,
}

impl Trained {
    /// Mean final loss and its standard error; `None` when a seed diverged.
    pub fn loss(&self) -> Option<(f64, f64)> {
        let all: Option<Vec<f64>> = self.losses.iter().copied().collect();
        let mut moments = Moments::default();
        all?.into_iter().for_each(|loss| moments.push(loss));
        let error = if moments.count() > 1 { moments.error() } else { f64::NAN };
        Some((moments.mean(), error))
    }
}

/// Trains a network at a rate, with every seed.
///
/// The final loss is the mean over the last tenth of the steps.
///
/// # Errors
/// When the network cannot have that shape.
pub fn trained(
    spec: &TransferSpec,
    shared: &Shared,
    (size, rule, rate): (Size, Rule, f64),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Trained, LabError> {
    let network = sized(spec, size, rule)?;
    let training = shared.training(spec, &network, rate, spec.length);
    let last = ((spec.length as f64 * LAST.0) as u64).max(LAST.1).min(spec.length);
    let mut losses = Vec::new();
    for member in 0..spec.seeds {
        let (mut first, mut sum, mut is_blown) = (None, Moments::default(), false);
        train_until::<f32>(&training, member, &mut |seen| {
            if seen.step == 0 {
                return ControlFlow::Continue(());
            }
            if seen.step % 32 == 0 {
                progress(member * spec.length + seen.step, spec.seeds * spec.length);
            }
            let start = *first.get_or_insert(seen.loss.unwrap_or(f64::INFINITY));
            let Some(loss) = seen.loss.filter(|loss| *loss <= BLOWN * start.max(0.1)) else {
                is_blown = true;
                return ControlFlow::Break(());
            };
            if seen.step + last > spec.length {
                sum.push(loss);
            }
            ControlFlow::Continue(())
        })?;
        losses.push(Some(sum.mean()).filter(|_| !is_blown));
    }
    Ok(Trained { size, rule, rate, losses })
}

/// How far the layers of a network move in its first steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// Which network.
    pub size: Size,
    /// By which rule.
    pub rule: Rule,
    /// Layers or blocks by name, and the root mean square of the change of every value, by seed; `None` where it is no number.
    pub layers: Vec<(String, Vec<Option<f64>>)>,
}

/// Root mean square of $h_t - h_0$ behind every layer of the chain after four steps.
///
/// # Errors
/// When the network cannot have that shape.
pub fn moved(
    spec: &TransferSpec,
    shared: &Shared,
    (size, rule, rate): (Size, Rule, f64),
) -> Result<Moved, LabError> {
    let network = sized(spec, size, rule)?;
    let plan = &network.plan;
    let without = TransferSpec { warm_up: 0, ..spec.clone() };
    let training = shared.training(&without, &network, rate, STEPS);
    let probe = shared.data.probe(PROBE, spec.seed);
    let look = |moment: Moment<f32>| values(plan, moment.parameters, &probe);
    let members = train_watched::<f32, _>(&training, 0..spec.seeds, &[0, STEPS], &look)?;
    let change = |at: usize, seen: &[Vec<Vec<f32>>]| {
        let (before, after) = (&seen.first()?[at], &seen.get(1)?[at]);
        let square = |(a, b): (&f32, &f32)| (f64::from(*b) - f64::from(*a)).powi(2);
        let mean = before.iter().zip(after).map(square).sum::<f64>() / before.len() as f64;
        Some(mean.sqrt()).filter(|rms| rms.is_finite() && *rms > 0.0)
    };
    let layer = |(at, site): (usize, &carnot_net::plan::Site)| {
        let own = members.iter().map(|(_, seen)| change(at, seen)).collect();
        (site.name.clone(), own)
    };
    let layers = plan.read_sites().into_iter().enumerate().map(layer).collect();
    Ok(Moved { size, rule, layers })
}

/// What leaves every read site, `[sites][samples × outputs]`.
fn values(plan: &Plan, parameters: &[f32], probe: &Dataset) -> Vec<Vec<f32>> {
    let mut tape = Tape::new(Mode::Evaluate);
    tape.record = false;
    let mut ear =
        Ear { sites: plan.read_sites().iter().map(|site| site.index).collect(), values: Vec::new() };
    ear.values.resize(ear.sites.len(), Vec::new());

    let input = Batch::repeated(1, probe.len(), &plan.input, &probe.inputs);
    plan.forward(Weights { data: parameters, stride: plan.parameters }, input, &mut tape, &mut ear);
    ear.values
}

struct Ear {
    sites: Vec<usize>,
    values: Vec<Vec<f32>>,
}

impl Watch<f32> for Ear {
    fn forward(&mut self, index: usize, output: &Batch<f32>) {
        if let Some(at) = self.sites.iter().position(|site| *site == index) {
            self.values[at].clone_from(&output.data);
        }
    }

    fn backward(&mut self, _: usize, _: &Batch<f32>) {}
}
