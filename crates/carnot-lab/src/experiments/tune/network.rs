//! One training: untouched, or with the knob moved at every look.

use std::sync::Mutex;

use carnot_net::activation::Activation;
use carnot_net::dataset::Dataset;
use carnot_net::plan::Plan;
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::train::Training;
use carnot_sim::train::evaluate::score;
use carnot_sim::train::spec::TrainSpec;
use carnot_sim::train::steer::{Reins, Sight, train_steered};
use serde::{Deserialize, Serialize};

use super::TuneSpec;
use super::knob::Knob;
use super::law::{Law, Stays};
use crate::error::LabError;
use crate::experiments::phase::{PhaseSpec, network, stack};

/// What was seen at one look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Passes over the training set so far.
    pub epoch: u64,
    /// The knob until now: one value, or one per hidden layer.
    pub values: Vec<f64>,
    /// D_0 … D_L on the clean training set in evaluation mode; `None` where not finite.
    pub curve: Vec<Option<f64>>,
    /// Mean loss of the last batch, with its noise.
    pub loss: Option<f64>,
    /// The total load was too small, or there was no shape: nothing was moved.
    pub stayed: bool,
}

/// What one training says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// From the start to the end, in order.
    pub looks: Vec<Look>,
    /// Steps taken.
    pub steps: u64,
    /// Accuracy on what it learned from.
    pub train: Option<f64>,
    /// Accuracy on the labels held out for choosing.
    pub held: Option<f64>,
    /// Accuracy on the test set.
    pub test: Option<f64>,
}

impl Answer {
    /// The curve at the end.
    pub fn curve(&self) -> Option<Vec<f64>> {
        self.looks.last()?.curve.iter().copied().collect()
    }
}

/// What one seed learns from, chooses by, and is tested on.
pub struct Sets {
    /// Learned from.
    pub train: Dataset,
    /// Labels that choose among trainings.
    pub held: Dataset,
    /// Everything else.
    pub test: Dataset,
}

/// Trains one network from `start`, moved by `law` where there is one, and reads it at every look.
///
/// # Errors
/// When the network cannot be built or trained.
pub fn trained(
    spec: &TuneSpec,
    sets: &Sets,
    start: f64,
    law: Option<&Law>,
    seed: u64,
) -> Result<Answer, LabError> {
    let plan = plan(spec, sets, start)?;
    let init = stack::init(&plan);
    let train = &sets.train;
    let batch = if spec.batch == 0 { train.len() } else { spec.batch.min(train.len()) };
    let per_epoch = train.len().div_ceil(batch) as u64;
    let steps = spec.epochs * per_epoch;
    let of = |knob: Knob, usual: f64| if spec.knob == knob { start } else { usual };
    let training = Training {
        plan: &plan,
        init: &init,
        rates: &[],
        optimizer: Optimizer::named("adam").expect("it is in the table"),
        loss: Loss::CrossEntropy,
        train,
        test: None,
        spec: TrainSpec {
            steps,
            batch,
            rate: of(Knob::Rate, spec.rate),
            seed,
            evaluate: 0,
            label_noise: of(Knob::Data, 0.0),
            input_noise: of(Knob::Data, 0.0),
            ..TrainSpec::default()
        },
    };
    let mut stops: Vec<u64> = (0..spec.epochs).step_by(spec.every as usize).map(|e| e * per_epoch).collect();
    stops.push(steps);
    let count = if spec.knob.is_by_layer() { spec.depth } else { 1 };
    let knob = Mutex::new(vec![start; count]);
    let steer = |sight: Sight<f32>, reins: &mut Reins| {
        let step = sight.moment.step;
        let mut knob = knob.lock().expect("nobody panics while it is turned");
        let values = knob.clone();
        let curve = network::curve(sight.plan, train, sight.moment.parameters);
        let next = law.map_or(Err(Stays::NoShape), |law| law.moved(&values, &curve));
        let stayed = law.is_some() && next.is_err();
        if let (Ok(next), true) = (next, step < steps) {
            turn(spec, &next, reins);
            *knob = next;
        }
        let scores = (step == steps).then(|| {
            let of = |data: &Dataset| {
                let score = score(sight.plan, sight.moment.parameters, Loss::CrossEntropy, data);
                score.accuracy.filter(|_| score.loss.is_some())
            };
            [of(&sets.held), of(&sets.test)]
        });
        (Look { epoch: step / per_epoch, values, curve, loss: sight.loss, stayed }, scores)
    };
    let seen = train_steered::<f32, _>(&training, 0..1, &stops, &steer)?.pop().expect("one member");
    let (history, seen) = seen;
    let [held, test] = seen.iter().find_map(|(_, scores)| *scores).unwrap_or_default();
    let looks = seen.into_iter().map(|(look, _)| look).collect();
    Ok(Answer { looks, steps, train: history.train.accuracy, held, test })
}

/// The network of `carnot phase`, with dropout layers where dropout may come.
fn plan(spec: &TuneSpec, sets: &Sets, start: f64) -> Result<Plan, LabError> {
    let drops = matches!(spec.knob, Knob::Dropout | Knob::Layers);
    let slope = if spec.knob == Knob::Slope { start } else { spec.slope };
    // A probability of nothing would leave the layers out.
    let dropout = if drops { start.max(f64::MIN_POSITIVE) } else { spec.dropout };
    let (depth, width, norm) = (spec.depth, spec.width, spec.norm);
    let like = PhaseSpec { depth, width, norm, slope, dropout, ..PhaseSpec::default() };
    let classes = [&sets.train, &sets.held, &sets.test].map(|data| data.targets.outputs());
    let most = classes.into_iter().fold(0, usize::max);
    Ok(Plan::new(&stack::network(&like, &[sets.train.width()], most)?)?)
}

fn turn(spec: &TuneSpec, values: &[f64], reins: &mut Reins) {
    match spec.knob {
        Knob::Dropout => reins.dropout.fill(values[0]),
        Knob::Layers => reins.dropout.copy_from_slice(values),
        Knob::Rate => reins.rate = values[0],
        Knob::Data => (reins.label_noise, reins.input_noise) = (values[0], values[0]),
        Knob::Slope => {
            let leaky = Activation::parse(&format!("max(z, {} * z)", values[0]));
            reins.activations.fill(leaky.expect("a number between 0 and 1 times z is a formula"));
        }
    }
}
