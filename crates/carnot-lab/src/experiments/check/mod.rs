//! `carnot check`: is it healthy, which layer is the problem, what to change.

pub mod tries;
pub mod weights;
mod write;

use carnot_net::dataset::{Dataset, Targets};
use carnot_net::kernel::Kernel;
use carnot_net::plan::{Plan, Theory};
use carnot_net::profile::{Profile, Source};
use carnot_net::reading::Labels;
use carnot_net::tape::{Mode, Tape};
use carnot_report::report::Report;
use carnot_sim::error::SimError;
use carnot_sim::initialise::initialise;
use carnot_sim::loss::Wanted;
use carnot_sim::measure::{Ask, Backward, Probe, readings};
use carnot_sim::optimizer::Optimizer;
use carnot_sim::train::spec::TrainSpec;
use carnot_theory::forecast::{LayerForecast, forecast};
use carnot_theory::initial::{Initial, feeding};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Experiment, Group, Job, Point, Tools};
use crate::checks::Evidence;
use crate::error::LabError;
use crate::present::{forecast_profile, measured_profile};
use crate::remedy::{Remedied, remedied};
use crate::settings::{DataSettings, InitSettings, known_optimizer, within};
use crate::spec::describe::network;
use crate::spec::network::NetworkSettings;
use tries::{Copy, Tries, Try, attempt, plateau};

/// Is it healthy, which layer is the problem, what to change.
///
/// The network is initialised, read on a probe of the data, and held against theory. With --try, one copy is trained
/// as it is and one with the remedy, on the same batches.
///
/// A file or folder of a trained model (safetensors, GGUF, PyTorch, NPZ, Hugging Face) is read in its place: what its
/// weights alone show, matrix by matrix. An ONNX model is run on --batch and read layer by layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CheckSpec {
    /// The network.
    #[serde(flatten)]
    pub network: NetworkSettings,
    /// How it starts.
    #[serde(flatten)]
    pub init: InitSettings,
    /// What it is read and tried on.
    #[serde(flatten)]
    pub data: DataSettings,
    /// Number of inputs on which it is read, at most 2000.
    pub probe: usize,
    /// Steps for which a copy is trained as it is and one with the remedy; 0 trains nothing.
    #[serde(rename = "try")]
    pub steps: u64,
    /// Optimizer of these trainings: sgd, momentum, adam or adamw.
    pub optimizer: String,
    /// Learning rate of these trainings. Default: three rates, of which the best counts.
    pub rate: Option<f64>,
    /// Samples per step of these trainings; of an ONNX model the file of inputs, NPZ or NPY, or a data set.
    pub batch: usize,
    /// Seed of weights, probe and batches.
    pub seed: u64,
}

impl Default for CheckSpec {
    fn default() -> CheckSpec {
        CheckSpec {
            network: NetworkSettings::default(),
            init: InitSettings::default(),
            data: DataSettings::default(),
            probe: 60,
            steps: 0,
            optimizer: "adam".into(),
            rate: None,
            batch: 100,
            seed: 7,
        }
    }
}

/// The experiment behind `carnot check`.
pub struct Check;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Task {
    Measure,
    AsIs { rate: f64 },
    Remedied { rate: f64 },
}

impl Experiment for Check {
    const VERB: &'static str = "check";
    const GROUP: Group = Group::Ask;
    type Spec = CheckSpec;

    fn resolve(spec: CheckSpec) -> Result<CheckSpec, LabError> {
        if spec.network.model().is_some() {
            return weights::resolve(spec);
        }
        spec.init.check()?;
        within("probe", spec.probe, (2..=2000).contains(&spec.probe), "2 to 2000")?;
        within("try", spec.steps.to_string(), spec.steps <= 10_000_000, "at most 10000000")?;
        within("batch", spec.batch, (1..=1_000_000).contains(&spec.batch), "1 to 1000000")?;
        if let Some(rate) = spec.rate {
            within("rate", rate.to_string(), rate > 0.0 && rate <= 1e6, "above 0, at most 1000000")?;
        }
        known_optimizer(&spec.optimizer)?;
        if spec.steps > 0 && spec.data.data.is_none() {
            return Err(LabError::MissingKey { key: "data", verb: "check" });
        }
        let spec = CheckSpec { network: spec.network.resolve()?, ..spec };
        let plan = Plan::new(spec.network.network())?;
        let (pinned, data) = spec.data.pinned(&plan, spec.seed)?;
        let spec = CheckSpec { data: pinned, ..spec };
        if let Some(data) = data {
            let has_targets = !matches!(data.targets, Targets::None);
            if spec.steps > 0 && !has_targets {
                return Err(SimError::NoTargets.into());
            }
            if has_targets && data.targets.outputs() != plan.output().len() {
                let (needed, found) = (data.targets.outputs(), plan.output().len());
                return Err(SimError::Outputs { needed, found }.into());
            }
        }
        Ok(spec)
    }

    fn subject(spec: &CheckSpec) -> String {
        if let Some(choice) = spec.network.model() {
            return weights::subject(choice);
        }
        format!("{}, {}", network(spec.network.network()), spec.init.words())
    }

    fn plan(spec: &CheckSpec) -> Result<Vec<Job>, LabError> {
        if let Some(choice) = spec.network.model() {
            return weights::plan(choice);
        }
        let mut jobs = vec![Job::new("measure", Task::Measure)];
        if spec.steps > 0 {
            for rate in rates(spec) {
                jobs.push(Job::new(format!("as it is, rate {rate}"), Task::AsIs { rate }));
            }
            if needs_remedy(spec)? {
                for rate in rates(spec) {
                    jobs.push(Job::new(format!("with the remedy, rate {rate}"), Task::Remedied { rate }));
                }
            }
        }
        Ok(jobs)
    }

    fn run(spec: &CheckSpec, job: &Job, tools: &Tools) -> Result<Value, LabError> {
        if let Some(choice) = spec.network.model() {
            return weights::run(choice, spec.seed, job, tools);
        }
        let setting = tools.shared("setting", || Setting::of(spec))?;
        let value = match job.read::<Task>()? {
            Task::Measure => serde_json::to_value(measure(spec, &setting)),
            Task::AsIs { rate } => {
                let copy = Copy { network: spec.network.network(), layers: &setting.initial.layers };
                serde_json::to_value(setting.attempt(spec, &copy, rate, "training as it is", tools)?)
            }
            Task::Remedied { rate } => {
                let copy = Copy { network: &setting.remedied.network, layers: &setting.remedied.layers };
                serde_json::to_value(setting.attempt(spec, &copy, rate, "training with the remedy", tools)?)
            }
        };
        value.map_err(|error| LabError::Answer { job: job.id.clone(), message: error.to_string() })
    }

    fn report(spec: &CheckSpec, points: &[Point]) -> Result<Report, LabError> {
        if let Some(choice) = spec.network.model() {
            return weights::report(choice, spec.seed, points);
        }
        let setting = Setting::of(spec)?;
        let (measured, tries) = collect(spec, &setting, points)?;
        let expected = setting.forecast(&setting.plan, &setting.initial.layers);
        let better_plan = Plan::new(&setting.remedied.network)?;
        let better = setting.forecast(&better_plan, &setting.remedied.layers);
        let labels = Labels { classes: &setting.labels };
        let theory = forecast_profile("theory", &expected, labels);
        let measured = measured.map(|profile| measured_profile("measured", &profile));
        let evidence = Evidence {
            plan: &setting.plan,
            initial: &setting.initial,
            init_words: spec.init.words(),
            feeding: &feeding(&setting.plan),
            expected: &expected,
            better: &better,
            measured: measured.as_ref().unwrap_or(&theory),
            is_adaptive: spec.optimizer.starts_with("adam"),
            remedied: &setting.remedied,
            tries: tries.as_ref(),
        };
        Ok(write::write(spec, &setting, &evidence, &theory, measured.is_some()))
    }
}

/// The rates of the trial: the one asked for, or three a factor of three apart around the optimizer's usual one.
fn rates(spec: &CheckSpec) -> Vec<f64> {
    match (spec.rate, spec.optimizer.as_str()) {
        (Some(rate), _) => vec![rate],
        (None, "sgd") => vec![0.01, 0.03, 0.1],
        (None, "momentum") => vec![1e-3, 3e-3, 1e-2],
        (None, _) => vec![3e-4, 1e-3, 3e-3],
    }
}

fn needs_remedy(spec: &CheckSpec) -> Result<bool, LabError> {
    let remedied = remedied(spec.network.network())?;
    let own = spec.init.initial(&Plan::new(spec.network.network())?)?;
    Ok(remedied.layers != own.layers || remedied.network != *spec.network.network())
}

/// Everything a job or a report needs, made once.
struct Setting {
    plan: Plan,
    initial: Initial,
    remedied: Remedied,
    /// Training and test part.
    data: Option<(Dataset, Dataset)>,
    inputs: Vec<f64>,
    samples: usize,
    labels: Vec<u32>,
}

impl Setting {
    fn of(spec: &CheckSpec) -> Result<Setting, LabError> {
        let plan = Plan::new(spec.network.network())?;
        let initial = spec.init.initial(&plan)?;
        let remedied = remedied(spec.network.network())?;
        let data = spec.data.open(&plan, spec.seed)?;
        let (inputs, labels, samples) = match &data {
            Some(data) => {
                let probe = data.probe(spec.probe, spec.seed);
                let labels = match &probe.targets {
                    Targets::Classes { labels, .. } => labels.clone(),
                    _ => Vec::new(),
                };
                (probe.inputs.iter().map(|&x| f64::from(x)).collect(), labels, probe.len())
            }
            None => {
                let mut inputs = vec![0.0; spec.probe * plan.input.len()];
                carnot_math::random::Stream::new(spec.seed, "inputs", &[]).fill_normal(&mut inputs, 1.0);
                (inputs, Vec::new(), spec.probe)
            }
        };
        let data = data.map(|data| data.split(0.8, spec.seed)).transpose()?;
        Ok(Setting { plan, initial, remedied, data, inputs, samples, labels })
    }

    fn forecast(&self, plan: &Plan, layers: &[carnot_net::hyper::LayerInit]) -> Vec<LayerForecast> {
        let (positions, keep) = (plan.input.positions(), plan.positions());
        let inputs = Kernel::of_inputs(&self.inputs, self.samples, positions, keep, false);
        forecast(plan, &Theory::new(layers, &[]), &inputs)
    }

    fn attempt(
        &self,
        spec: &CheckSpec,
        copy: &Copy,
        rate: f64,
        what: &str,
        tools: &Tools,
    ) -> Result<Try, LabError> {
        let data = self.data.as_ref().ok_or(LabError::MissingKey { key: "data", verb: "check" })?;
        let optimizer = Optimizer::named(&spec.optimizer).expect("resolve checked the name");
        let train =
            TrainSpec { steps: spec.steps, batch: spec.batch, rate, seed: spec.seed, ..TrainSpec::default() };
        attempt(copy, data, optimizer, train, what, tools)
    }
}

/// Reads the network on its probe, in double precision, with the gradient of its loss where there are labels.
fn measure(spec: &CheckSpec, setting: &Setting) -> Profile {
    let plan = &setting.plan;
    let mut parameters = vec![0.0f64; plan.parameters];
    initialise(plan, &setting.initial.layers, spec.seed, 0, &mut parameters);
    let probe = Probe { inputs: &setting.inputs, samples: setting.samples };
    let backward = match setting.labels.is_empty() {
        true => Backward::Directions { seed: spec.seed },
        false => Backward::Loss(carnot_sim::loss::Loss::CrossEntropy, Wanted::Classes(&setting.labels)),
    };
    let ask = Ask { backward, tangent: None };
    let mut tape = Tape::new(Mode::Evaluate);
    let readings = readings::<f64>(plan, &parameters, probe, &ask, 0, &mut tape);
    let named: Vec<_> = readings.into_iter().map(|reading| (reading.layer.clone(), Ok(reading))).collect();
    Profile::of_readings(Source::Model, 0, &named, Labels { classes: &setting.labels })
}

fn collect(
    spec: &CheckSpec,
    setting: &Setting,
    points: &[Point],
) -> Result<(Option<Profile>, Option<Tries>), LabError> {
    let mut measured = None;
    let plateau = setting.data.as_ref().and_then(|(train, _)| plateau(train));
    let mut tries = Tries { steps: spec.steps, plateau, ..Tries::default() };
    for point in points {
        match point.job.as_str() {
            "measure" => measured = Some(point.read()?),
            name if name.starts_with("as it is") => tries.as_is.push(point.read()?),
            _ => tries.remedied.push(point.read()?),
        }
    }
    Ok((measured, (!tries.as_is.is_empty()).then_some(tries)))
}
