//! One network of the diagram: built, trained, and its load curve read.

use carnot_net::batch::Batch;
use carnot_net::dataset::{Dataset, Targets};
use carnot_net::layers::Role;
use carnot_net::plan::{Plan, Weights};
use carnot_net::tape::{Mode, Tape, Watch};
use carnot_probe::scatter::Tally;
use carnot_sim::curvature::{Lanczos, sharpness};
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::train::spec::TrainSpec;
use carnot_sim::train::{Moment, Training, train_watched};
use serde::{Deserialize, Serialize};

use super::PhaseSpec;
use super::stack::{self, Model, Places, network, places};
use crate::error::LabError;

/// What one network says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// D_0 … D_L, ln(Tr S_W/Tr S_B) on the clean training set in evaluation mode: behind the input norm, then behind each hidden
    /// activation. `None` where it is not finite.
    pub curve: Vec<Option<f64>>,
    /// The same with D_1 … D_L read before each activation; empty for a residual network.
    pub before: Vec<Option<f64>>,
    /// Mean loss on the training set; `None` where it diverged.
    pub loss: Option<f64>,
    /// Accuracy on the training set.
    pub train: Option<f64>,
    /// Accuracy on the test set.
    pub test: Option<f64>,
    /// ‖W‖ of all weights together.
    pub weights: Option<f64>,
    /// Largest eigenvalue of the Hessian of the loss, on part of the training set; `None` where it was not asked for or diverged.
    pub sharpness: Option<f64>,
}

/// Trains the network of one cell with one seed and reads it.
///
/// * `spec`: the settings of the cell
///
/// # Errors
/// When the network cannot be built or trained.
pub fn trained(
    spec: &PhaseSpec,
    (train, test): &(Dataset, Dataset),
    seed: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Answer, LabError> {
    let batch = if spec.batch == 0 { train.len() } else { spec.batch };
    let classes = train.targets.outputs().max(test.targets.outputs());
    let plan = Plan::new(&network(spec, &train.shape, classes)?)?;
    let init = stack::init(&plan);
    let steps = spec.epochs * train.len().div_ceil(batch.max(1)) as u64;
    let training = Training {
        plan: &plan,
        init: &init,
        rates: &[],
        optimizer: Optimizer::named("adam").expect("it is in the table"),
        loss: Loss::CrossEntropy,
        train,
        test: Some(test),
        spec: TrainSpec {
            steps,
            batch,
            rate: spec.rate,
            seed,
            evaluate: 0,
            label_noise: spec.data_noise,
            input_noise: spec.data_noise,
            temperature: spec.temperature,
            ..TrainSpec::default()
        },
    };
    progress(0, steps);
    let part = train.subset(&(0..spec.sharpness.min(train.len())).collect::<Vec<_>>())?;
    let where_read = places(&plan, spec.model);
    let look = |moment: Moment<f32>| {
        let parameters: Vec<f64> = moment.parameters.iter().map(|&w| f64::from(w)).collect();
        let bent = (spec.sharpness > 0)
            .then(|| sharpness(&plan, &parameters, Loss::CrossEntropy, &part, Lanczos::default()))
            .flatten();
        (curves(&plan, &where_read, train, moment.parameters), norm(&plan, &parameters), bent)
    };
    let seen = train_watched::<f32, _>(&training, 0..1, &[steps], &look)?.pop().expect("one member");
    progress(steps, steps);
    let (history, mut looks) = seen;
    let ([curve, before], weights, bent) = looks.pop().expect("it was looked at once");
    Ok(Answer {
        curve,
        before,
        loss: history.train.loss,
        train: history.train.accuracy,
        test: history.test.and_then(|score| score.accuracy),
        weights: weights.is_finite().then_some(weights),
        sharpness: bent.map(|bent| bent.value),
    })
}

/// ‖W‖ of all weights of linear maps and convolutions.
fn norm(plan: &Plan, parameters: &[f64]) -> f64 {
    let mut squares = 0.0;
    for site in plan.all() {
        let mut start = site.offset;
        for parameter in &site.parameters {
            let own = &parameters[start..start + parameter.len()];
            start += parameter.len();
            if parameter.role == Role::Weight {
                squares += own.iter().map(|w| w * w).sum::<f64>();
            }
        }
    }
    squares.sqrt()
}

/// Samples that pass at once.
const AT_ONCE: usize = 256;

/// Classes behind some sites, as their outputs pass.
struct Eye<'a> {
    /// By site: its tally.
    tallies: Vec<(usize, Tally)>,
    labels: &'a [u32],
    /// Where samples are brought to mean 0 and variance 1: the row at hand.
    normed: Option<Vec<f32>>,
}

impl Watch<f32> for Eye<'_> {
    fn forward(&mut self, index: usize, output: &Batch<f32>) {
        let Some((_, tally)) = self.tallies.iter_mut().find(|(site, _)| *site == index) else { return };
        for (row, &label) in output.data.chunks_exact(output.shape.len()).zip(self.labels) {
            match &mut self.normed {
                Some(own) => {
                    standardise(row, own);
                    tally.push(label as usize, own);
                }
                None => tally.push(label as usize, row),
            }
        }
    }

    fn backward(&mut self, _: usize, _: &Batch<f32>) {}
}

/// Mean 0, variance 1; a constant row becomes zero.
fn standardise(row: &[f32], out: &mut Vec<f32>) {
    let n = row.len() as f64;
    let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
    let scale = if variance > 0.0 { 1.0 / variance.sqrt() } else { 0.0 };
    out.clear();
    out.extend(row.iter().map(|&x| ((f64::from(x) - mean) * scale) as f32));
}

/// D of the input (behind its norm, where there is one) and behind every activation of an MLP.
pub fn curve(plan: &Plan, data: &Dataset, parameters: &[f32]) -> Vec<Option<f64>> {
    let places = Places { before: Vec::new(), ..places(plan, Model::Mlp) };
    let [after, _] = curves(plan, &places, data, parameters);
    after
}

/// D of the start and behind every hidden layer; the same before every activation.
fn curves(plan: &Plan, places: &Places, data: &Dataset, parameters: &[f32]) -> [Vec<Option<f64>>; 2] {
    let Targets::Classes { labels, classes } = &data.targets else { return [Vec::new(), Vec::new()] };
    let mut tape = Tape::new(Mode::Evaluate);
    tape.record = false;
    let all = plan.all();
    let read = places.start.iter().chain(&places.after).chain(&places.before);
    let width =
        |index: usize| all.iter().find(|site| site.index == index).expect("it is a site").output.len();
    let tallies = read.map(|&index| (index, Tally::new(*classes, width(index)))).collect();
    let mut eye = Eye { tallies, labels: &[], normed: places.is_normed.then(Vec::new) };
    let mut raw = places.start.is_none().then(|| Tally::new(*classes, data.width()));
    for (inputs, labels) in data.inputs.chunks(AT_ONCE * data.width()).zip(labels.chunks(AT_ONCE)) {
        let mut input = tape.take(1, labels.len(), &plan.input);
        input.data.copy_from_slice(inputs);
        if let Some(raw) = &mut raw {
            inputs
                .chunks_exact(data.width())
                .zip(labels)
                .for_each(|(row, &label)| raw.push(label as usize, row));
        }
        eye.labels = labels;
        let weights = Weights { data: parameters, stride: plan.parameters };
        let output = plan.forward(weights, input, &mut tape, &mut eye);
        tape.give(output);
    }
    let names: Vec<u32> = (0..*classes as u32).collect();
    let separation =
        |tally: &Tally| Some(tally.classes(&names).traces().ok()?.separation()).filter(|d| d.is_finite());
    let found: Vec<Option<f64>> =
        raw.iter().chain(eye.tallies.iter().map(|(_, tally)| tally)).map(separation).collect();
    let (after, before) = found.split_at(1 + places.after.len());
    let before = if before.is_empty() { Vec::new() } else { [&after[..1], before].concat() };
    [after.to_vec(), before]
}
