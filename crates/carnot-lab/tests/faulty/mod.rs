//! Real networks with one planted fault, trained on real digits and recorded.

use carnot_net::batch::Batch;
use carnot_net::dataset::{Dataset, Options, Targets};
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::layers::Layer;
use carnot_net::network::Network;
use carnot_net::plan::{Plan, Weights};
use carnot_net::tape::{Mode, Tape, Watch};
use carnot_probe::call::{Call, WeightStats};
use carnot_probe::reading::StepReading;
use carnot_probe::recording::{Header, Probe, Recording};
use carnot_probe::session::{Session, Settings};
use carnot_report::report::Report;
use carnot_sim::loss::{Loss, Wanted};
use carnot_sim::optimizer::Optimizer;
use carnot_sim::train::spec::TrainSpec;
use carnot_sim::train::{Moment, Training, train_watched};
use serde_json::json;

/// Hidden layers.
pub const DEPTH: usize = 7;
/// Units of a hidden layer.
pub const WIDTH: usize = 64;
/// Samples of the probe.
pub const PROBE: usize = 240;
/// Steps after which the network is read.
pub const STEPS: [u64; 5] = [0, 20, 60, 200, 600];

/// What is wrong with one hidden layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It does not move.
    Frozen,
    /// It moves at a hundredth of the rate.
    Starved,
    /// It moves at a hundred times the rate.
    Overdriven,
    /// Its weights start at 0, so that nothing passes.
    Dead,
    /// It has three units.
    Bottleneck,
    /// Half of its outputs are dropped.
    HalfDropped,
    /// Four fifths of its outputs are dropped.
    Dropped,
    /// It has no activation.
    Linear,
}

/// Eight kinds, planted at three depths each: 24 networks.
pub const FAULTS: &[Fault] = &[
    Fault::Frozen,
    Fault::Starved,
    Fault::Overdriven,
    Fault::Dead,
    Fault::Bottleneck,
    Fault::HalfDropped,
    Fault::Dropped,
    Fault::Linear,
];

impl Fault {
    /// For messages.
    pub fn name(self) -> &'static str {
        match self {
            Fault::None => "healthy",
            Fault::Frozen => "frozen",
            Fault::Starved => "rate × 0.01",
            Fault::Overdriven => "rate × 100",
            Fault::Dead => "dead",
            Fault::Bottleneck => "bottleneck of 3",
            Fault::HalfDropped => "dropout 0.5",
            Fault::Dropped => "dropout 0.8",
            Fault::Linear => "linear",
        }
    }
}

/// 64-64x7-10 with a norm before each ReLU; the fault at hidden layer `place`, from 1.
fn network(fault: Fault, place: usize) -> Network {
    let mut layers = Vec::new();
    for at in 1..=DEPTH {
        let is_here = at == place;
        layers.push(json!({ "dense": if is_here && fault == Fault::Bottleneck { 3 } else { WIDTH } }));
        layers.push(json!({ "norm": "layer" }));
        if !(is_here && fault == Fault::Linear) {
            layers.push(json!({ "act": "relu" }));
        }
        match fault {
            Fault::HalfDropped if is_here => layers.push(json!({ "dropout": 0.5 })),
            Fault::Dropped if is_here => layers.push(json!({ "dropout": 0.8 })),
            _ => {}
        }
    }
    layers.push(json!({ "dense": 10 }));
    serde_json::from_value(json!({ "input": [64], "layers": layers })).unwrap()
}

/// Trains such a network on digits and reads it on a fixed probe.
pub fn record(fault: &Fault, place: usize, seed: u64) -> Recording {
    let spread = |all: usize| vec![(0..PROBE).map(|at| at * all / PROBE).collect()];
    record_on(fault, place, seed, &STEPS, spread).pop().unwrap()
}

/// The same training, read at some of [`STEPS`] on each of the probes of [`PROBE`] samples that are chosen from so many.
pub fn record_on(
    fault: &Fault,
    place: usize,
    seed: u64,
    steps: &[u64],
    choose: impl Fn(usize) -> Vec<Vec<usize>>,
) -> Vec<Recording> {
    let data = carnot_net::dataset::open("digits", &Options::default()).unwrap();
    let plan = Plan::new(&network(*fault, place)).unwrap();
    let fan_in = |at: usize| match at {
        0 => 64,
        at if at == place && *fault == Fault::Bottleneck => 3,
        _ => WIDTH,
    };
    let init: Vec<LayerInit> = (0..=DEPTH)
        .map(|at| match *fault {
            Fault::Dead if at + 1 == place => LayerInit::normal(0.0, 0.0),
            _ if at == DEPTH => LayerInit::normal(1.0, 0.0),
            _ => LayerInit::normal(2.0, 0.0),
        })
        .collect();
    let factor = |at: usize| match *fault {
        Fault::Frozen if at + 1 == place => 0.0,
        Fault::Starved if at + 1 == place => 0.01,
        Fault::Overdriven if at + 1 == place => 100.0,
        _ => 1.0,
    };
    let rates: Vec<LayerRate> = (0..=DEPTH)
        .map(|at| LayerRate { lambda_w: factor(at) * fan_in(at) as f64, lambda_b: factor(at) })
        .collect();
    let training = Training {
        plan: &plan,
        init: &init,
        rates: &rates,
        optimizer: Optimizer::named("adam").unwrap(),
        loss: Loss::CrossEntropy,
        train: &data,
        test: None,
        spec: TrainSpec {
            steps: STEPS[STEPS.len() - 1],
            batch: 64,
            rate: 1e-3,
            seed,
            evaluate: 500,
            ..TrainSpec::default()
        },
    };
    let mut looked: Vec<u64> = STEPS.iter().flat_map(|&step| [step.saturating_sub(1), step]).collect();
    looked.sort_unstable();
    looked.dedup();
    let look = |moment: Moment<f32>| (moment.step, moment.parameters.to_vec());
    let (_, seen) = train_watched::<f32, _>(&training, 0..1, &looked, &look).unwrap().pop().unwrap();
    let parameters =
        |step: u64| seen.iter().find(|(at, _)| *at == step).map(|(_, parameters)| parameters.as_slice());
    let recording = |probe: Vec<usize>| {
        let step = |&step: &u64| {
            let before = step.checked_sub(1).and_then(parameters);
            read(&plan, &data, &probe, step, parameters(step).unwrap(), before)
        };
        let mut header = Header::new("digits", Probe { samples: PROBE, classes: 10, has_labels: true });
        header.starts_untrained = steps[0] == 0;
        Recording { header, steps: steps.iter().map(step).collect(), thinned: 1, is_torn: false }
    };
    choose(data.len()).into_iter().map(recording).collect()
}

/// Outputs and gradients of every layer as they pass.
#[derive(Default)]
struct Eye {
    outputs: Vec<(usize, Vec<f32>)>,
    gradients: Vec<(usize, Vec<f32>)>,
}

impl Watch<f32> for Eye {
    fn forward(&mut self, index: usize, output: &Batch<f32>) {
        self.outputs.push((index, output.data.clone()));
    }

    fn backward(&mut self, index: usize, gradient: &Batch<f32>) {
        self.gradients.push((index, gradient.data.clone()));
    }
}

fn read(
    plan: &Plan,
    data: &Dataset,
    probe: &[usize],
    step: u64,
    parameters: &[f32],
    before: Option<&[f32]>,
) -> StepReading {
    let probe = data.subset(probe).unwrap();
    let Targets::Classes { labels, .. } = &probe.targets else { panic!("digits have classes") };
    let mut tape = Tape::new(Mode::Evaluate);
    let mut input = tape.take(1, PROBE, &plan.input);
    input.data.copy_from_slice(&probe.inputs);
    let mut eye = Eye::default();
    let weights = Weights { data: parameters, stride: plan.parameters };
    let outputs = plan.forward(weights, input, &mut tape, &mut eye);
    let mut gradient = tape.take(1, PROBE, &outputs.shape);
    let total = Loss::CrossEntropy.of(&outputs.data, PROBE, Wanted::Classes(labels), &mut gradient.data);
    let mut gradients = vec![0.0; plan.parameters];
    plan.backward(weights, gradient, &mut gradients, &mut tape, &mut eye);
    let mut session = Session::new(Some(labels.clone()), PROBE, Settings::default()).unwrap();
    let mut builder = session.step(step, Some(total.loss / PROBE as f64));
    builder.add(&Call::vectors("input", "input", &probe.inputs, 64)).unwrap();
    for site in plan.all() {
        let of = |all: &[(usize, Vec<f32>)]| {
            all.iter().find(|(index, _)| *index == site.index).map(|(_, v)| v.clone())
        };
        let (features, gradient) = (of(&eye.outputs).unwrap(), of(&eye.gradients));
        let kind = match &site.layer {
            Layer::Dense(_) => "linear",
            Layer::Activate(_) => "relu",
            Layer::Norm(_) => "layernorm",
            Layer::Dropout(_) => "dropout",
            _ => "other",
        };
        let width = site.output.len();
        let mut call = Call::vectors(&site.name, kind, &features, width);
        call.gradient = gradient.as_deref();
        if let (Some(weight), "linear") = (site.parameters.first(), kind) {
            let range = site.offset..site.offset + weight.len();
            let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
            let own = &parameters[range.clone()];
            call.weights = Some(WeightStats {
                parameters: weight.len() as u64,
                fan_in: Some(weight.fan_in as u64),
                norm: norm(&mut own.iter().map(|&x| f64::from(x))),
                gradient: Some(norm(&mut gradients[range.clone()].iter().map(|&x| f64::from(x)))),
                update: before.map(|before| {
                    norm(
                        &mut own
                            .iter()
                            .zip(&before[range.clone()])
                            .map(|(&a, &b)| f64::from(a) - f64::from(b)),
                    )
                }),
                non_finite: own.iter().filter(|x| !x.is_finite()).count() as u64,
                digest: None,
            });
        }
        builder.add(&call).unwrap();
    }
    builder.end()
}

/// Names of all calls of each hidden layer.
pub fn names_of(run: &Recording) -> Vec<Vec<String>> {
    let mut stages: Vec<Vec<String>> = Vec::new();
    for layer in &run.steps[0].layers {
        if layer.kind == "linear" {
            stages.push(Vec::new());
        }
        if let Some(stage) = stages.last_mut() {
            stage.push(layer.name.clone());
        }
    }
    stages
}

/// The hidden layer, from 0, that the report's first finding names.
pub fn located(report: &Report, stages: &[Vec<String>]) -> Option<usize> {
    let first = report.findings_by_weight().first().map(|finding| finding.at.clone())?;
    stages.iter().position(|names| names.contains(&first))
}
