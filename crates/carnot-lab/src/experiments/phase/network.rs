//! One network of the diagram: built, trained, and its load curve read.

use carnot_net::activation::Activation;
use carnot_net::batch::Batch;
use carnot_net::dataset::{Dataset, Targets};
use carnot_net::hyper::LayerInit;
use carnot_net::layers::Layer;
use carnot_net::layers::activate::Activate;
use carnot_net::layers::batch_norm::BatchNorm;
use carnot_net::layers::dense::Dense;
use carnot_net::layers::dropout::Dropout;
use carnot_net::network::Network;
use carnot_net::plan::{Plan, Weights};
use carnot_net::shape::Shape;
use carnot_net::tape::{Mode, Tape, Watch};
use carnot_probe::scatter::Tally;
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::train::spec::TrainSpec;
use carnot_sim::train::{Moment, Training, train_watched};
use serde::{Deserialize, Serialize};

use super::PhaseSpec;
use super::axes::Noise;
use crate::error::LabError;

/// What one network says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// D_0 … D_L, ln(Tr S_W/Tr S_B) on the clean training set in evaluation mode: behind the input norm, then behind each hidden
    /// activation. `None` where it is not finite.
    pub curve: Vec<Option<f64>>,
    /// Mean loss on the training set; `None` where it diverged.
    pub loss: Option<f64>,
    /// Accuracy on the training set.
    pub train: Option<f64>,
    /// Accuracy on the test set.
    pub test: Option<f64>,
}

/// Input norm, then so many hidden layers of linear map, norm, leaky ReLU and dropout, then the outputs.
///
/// # Errors
/// When the slope is no number of a formula.
pub fn network(
    spec: &PhaseSpec,
    input: usize,
    classes: usize,
    slope: f64,
    dropout: f64,
) -> Result<Network, LabError> {
    let activation = Activation::parse(&format!("max(z, {slope} * z)"))?;
    let norm = || spec.norm.then(|| Layer::BatchNorm(BatchNorm::usual()));
    let mut layers: Vec<Layer> = norm().into_iter().collect();
    for _ in 0..spec.depth {
        layers.push(Layer::Dense(Dense::of_width(spec.width)));
        layers.extend(norm());
        layers.push(Layer::Activate(Activate { activation: activation.clone() }));
        if dropout > 0.0 {
            layers.push(Layer::Dropout(Dropout { probability: dropout }));
        }
    }
    layers.push(Layer::Dense(Dense::of_width(classes)));
    Ok(Network { input: Shape::features(input), layers: layers.into_iter().map(Into::into).collect() })
}

/// Trains the network of one cell with one seed and reads it.
///
/// # Errors
/// When the network cannot be built or trained.
pub fn trained(
    spec: &PhaseSpec,
    (train, test): &(Dataset, Dataset),
    slope: f64,
    noise: f64,
    seed: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Answer, LabError> {
    let of = |kind: Noise, usual: f64| if spec.noise == kind { noise } else { usual };
    let batch = match spec.noise {
        Noise::Batch => noise as usize,
        _ if spec.batch == 0 => train.len(),
        _ => spec.batch,
    };
    let classes = train.targets.outputs().max(test.targets.outputs());
    let plan = Plan::new(&network(spec, train.width(), classes, slope, of(Noise::Dropout, 0.0))?)?;
    let init: Vec<LayerInit> = plan
        .all()
        .iter()
        .filter(|site| site.weighted.is_some())
        .map(|site| LayerInit::torch(site.fan_in()))
        .collect();
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
            rate: of(Noise::Rate, spec.rate),
            seed,
            evaluate: 0,
            label_noise: of(Noise::Data, 0.0),
            input_noise: of(Noise::Data, 0.0),
            temperature: of(Noise::Temperature, 0.0),
            ..TrainSpec::default()
        },
    };
    progress(0, steps);
    let look = |moment: Moment<f32>| curve(&plan, train, moment.parameters);
    let seen = train_watched::<f32, _>(&training, 0..1, &[steps], &look)?.pop().expect("one member");
    progress(steps, steps);
    let (history, mut curves) = seen;
    Ok(Answer {
        curve: curves.pop().expect("it was looked at once"),
        loss: history.train.loss,
        train: history.train.accuracy,
        test: history.test.and_then(|score| score.accuracy),
    })
}

/// Samples that pass at once.
const AT_ONCE: usize = 256;

/// Classes behind some sites, as their outputs pass.
struct Eye<'a> {
    /// By site: its tally.
    tallies: Vec<(usize, Tally)>,
    labels: &'a [u32],
}

impl Watch<f32> for Eye<'_> {
    fn forward(&mut self, index: usize, output: &Batch<f32>) {
        if let Some((_, tally)) = self.tallies.iter_mut().find(|(site, _)| *site == index) {
            let rows = output.data.chunks_exact(output.shape.len());
            rows.zip(self.labels).for_each(|(row, &label)| tally.push(label as usize, row));
        }
    }

    fn backward(&mut self, _: usize, _: &Batch<f32>) {}
}

/// D of the input (behind its norm, where there is one) and behind every activation.
pub fn curve(plan: &Plan, data: &Dataset, parameters: &[f32]) -> Vec<Option<f64>> {
    let Targets::Classes { labels, classes } = &data.targets else { return Vec::new() };
    let mut tape = Tape::new(Mode::Evaluate);
    tape.record = false;
    let has_norm = matches!(plan.sites[0].layer, Layer::BatchNorm(_));
    let read = plan
        .sites
        .iter()
        .enumerate()
        .filter(|(at, site)| matches!(site.layer, Layer::Activate(_)) || (*at == 0 && has_norm));
    let tallies = read.map(|(_, site)| (site.index, Tally::new(*classes, site.output.len()))).collect();
    let mut eye = Eye { tallies, labels: &[] };
    let mut raw = (!has_norm).then(|| Tally::new(*classes, data.width()));
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
    raw.iter().chain(eye.tallies.iter().map(|(_, tally)| tally)).map(separation).collect()
}
