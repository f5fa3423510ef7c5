//! `carnot kernel`: kernels on data, and what networks would predict with them.

mod answer;
mod data;
mod drift;
mod effort;
mod finite;
mod keep;
mod large;
mod matrices;
mod networks;
mod sampled;
mod score;
mod select;
mod work;
mod write;

use std::path::PathBuf;

use carnot_net::parametrization::Parametrization;
use carnot_net::plan::Plan;
use carnot_report::report::Report;
use carnot_sim::train::spec::Precision;
use carnot_theory::regression::descent::Loss;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Experiment, Group, Job, Point, Tools};
use crate::error::LabError;
use crate::settings::{DataSettings, InitSettings, within};
use crate::spec::network::NetworkSettings;
use select::Candidate;

/// Kernels of a network on data, and what infinitely wide networks of its kind would predict.
///
/// The covariance K of the outputs over random networks (NNGP) and the tangent kernel Θ (NTK) are computed on the data in
/// the limit of infinite width. From them follow the Bayesian posterior with its evidence, the result of gradient descent
/// at any time, the error left out of each sample, the largest stable rate, and how well the kernel is aligned with the
/// labels. With --members, real networks of the widths given are trained beside it. With --drift, the kernels of real
/// networks are watched while they learn. With --sampled, K and Θ are estimated from random networks of the widths given,
/// which needs no theory. With --widths, a few samples are put to networks of these widths, and theory to order 1/n is held
/// against them. With --select, depths, activations and variances are compared by evidence and leave-one-out before any
/// training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct KernelSpec {
    /// The network.
    #[serde(flatten)]
    pub network: NetworkSettings,
    /// How it starts.
    #[serde(flatten)]
    pub init: InitSettings,
    /// The data.
    #[serde(flatten)]
    pub data: DataSettings,
    /// Second set of data to predict, instead of samples kept aside from the first.
    pub test_data: Option<String>,
    /// Training samples, a class-balanced random part; 0 takes all.
    pub train: usize,
    /// Samples kept aside for testing; 0 for none.
    pub test: usize,
    /// Rates of weights and biases in the tangent kernel.
    pub parametrization: Parametrization,
    /// Number type of the kernels.
    pub float: Precision,
    /// Largest error of averages without a closed form, relative to the variances.
    pub tolerance: f64,
    /// Variance of the noise on targets, added to the diagonal. Default: chosen by leave-one-out.
    pub noise: Option<f64>,
    /// The same as a share of the mean of the kernel's diagonal, when noise is not given.
    pub ridge: Option<f64>,
    /// What gradient descent makes small; it sets the unit of rates and times.
    pub loss: LossUnit,
    /// Learning rate times steps of gradient descent. Default: until it has converged.
    pub time: Option<f64>,
    /// Whether dropout acts as it does while training; a read network has it off.
    pub dropout: bool,
    /// File for the kernels: .npy (two files, K and Θ) or .safetensors. Default: not kept.
    pub save: Option<String>,
    /// Memory that may be used, in GiB. Default: what this machine has free.
    pub memory: Option<f64>,
    /// Real networks that are trained beside the theory, in the widths of NETWORK; 0 trains none.
    pub members: u64,
    /// Steps of training at which the kernels of real networks are compared with those at their start: 10,100,1000. Four
    /// networks unless --members says otherwise, trained up to the last of these steps.
    pub drift: Vec<u64>,
    /// Training samples on which --drift measures kernels, a class-balanced part; at most 1000.
    pub probe: usize,
    /// Random networks from which K and Θ are estimated instead of taken from theory, at most so many; 0 for theory.
    pub sampled: u64,
    /// Relative error of both kernels at which --sampled stops, after 32 networks at the earliest; 0 draws them all.
    pub precision: f64,
    /// Widths of the hidden layers at which theory at finite width is held against real networks, on at most 12 samples.
    pub widths: Vec<usize>,
    /// Steps for which they are trained.
    pub steps: u64,
    /// Samples per step.
    pub batch: usize,
    /// Compares depths, activations and variances, instead of asking about one network.
    pub select: bool,
    /// Numbers of hidden layers to compare.
    pub depths: Vec<usize>,
    /// Activations to compare, each a name or a formula in z.
    pub activations: Vec<String>,
    /// Weight variances to compare. Default: the critical one of each activation, its half and its double.
    pub c_ws: Vec<f64>,
    /// Bias variances to compare. Default: the critical one of each activation, and 0.1.
    pub c_bs: Vec<f64>,
    /// Seed of the choice of samples and of networks.
    pub seed: u64,
}

/// What gradient descent makes small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LossUnit {
    /// Half the squared error, summed over samples and outputs.
    #[default]
    Sum,
    /// Half the mean of the squared error over samples and outputs.
    Mean,
}

impl From<LossUnit> for Loss {
    fn from(unit: LossUnit) -> Loss {
        match unit {
            LossUnit::Sum => Loss::Sum,
            LossUnit::Mean => Loss::Mean,
        }
    }
}

impl Default for KernelSpec {
    fn default() -> KernelSpec {
        KernelSpec {
            network: NetworkSettings::default(),
            init: InitSettings::default(),
            data: DataSettings::default(),
            test_data: None,
            train: 1000,
            test: 500,
            parametrization: Parametrization::default(),
            float: Precision::Float64,
            tolerance: 1e-12,
            noise: None,
            ridge: None,
            loss: LossUnit::Sum,
            time: None,
            dropout: false,
            save: None,
            memory: None,
            members: 0,
            drift: Vec::new(),
            probe: 200,
            sampled: 0,
            precision: 0.01,
            widths: Vec::new(),
            steps: 1000,
            batch: 100,
            select: false,
            depths: vec![1, 2, 3, 5, 10],
            activations: ["relu", "erf", "tanh", "gelu"].map(String::from).to_vec(),
            c_ws: Vec::new(),
            c_bs: Vec::new(),
            seed: 7,
        }
    }
}

/// The experiment behind `carnot kernel`.
pub struct Kernel;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Task {
    Predict,
    Rate(Candidate),
    Train { member: u64 },
    Finite { members: finite::Members },
    Limit,
    Drift { member: u64 },
}

/// Name of the job that asks theory beside networks that are watched.
const LIMIT: &str = "infinite width";
/// Members that are watched when nobody says how many: the fewest whose error means something.
const WATCHED: u64 = 4;

/// The answers that replace the usual report, of which one can be asked for at a time.
///
/// # Errors
/// [`LabError::OutOfRange`].
fn one_question(spec: &KernelSpec) -> Result<(), LabError> {
    let list = |all: &[u64]| all.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    let widths: Vec<u64> = spec.widths.iter().map(|&width| width as u64).collect();
    let all = [
        ("select", spec.select, String::new(), ""),
        ("widths", !widths.is_empty(), list(&widths), "empty"),
        ("drift", !spec.drift.is_empty(), list(&spec.drift), "empty"),
        ("sampled", spec.sampled > 0, spec.sampled.to_string(), "0"),
    ];
    let mut asked = all.iter().filter(|(_, is_asked, ..)| *is_asked);
    let (Some((first, ..)), Some((key, _, value, off))) = (asked.next(), asked.next()) else { return Ok(()) };
    within(key, value, false, &format!("{off} beside --{first}, which is another question"))
}

/// What `--drift` and `--sampled` take.
///
/// # Errors
/// [`LabError::OutOfRange`].
fn measured(spec: &KernelSpec) -> Result<(), LabError> {
    let far = spec.drift.iter().find(|step| !(1..=10_000_000).contains(*step));
    far.map_or(Ok(()), |step| within("drift", step, false, "steps from 1 to 10000000"))?;
    within("drift", format!("{} steps", spec.drift.len()), spec.drift.len() <= 100, "at most 100 steps")?;
    let probe = drift::measure::MOST;
    within("probe", spec.probe, (2..=probe).contains(&spec.probe), &format!("2 to {probe}"))?;
    within(
        "sampled",
        spec.sampled,
        spec.sampled != 1 && spec.sampled <= 1_000_000,
        "2 to 1000000, or 0 for theory",
    )?;
    within("precision", spec.precision, (0.0..1.0).contains(&spec.precision), "0 to 1")?;
    let is_odd = spec.dropout && spec.sampled > 0;
    within("dropout", spec.dropout, !is_odd, "left out with --sampled, which reads networks with dropout off")
}

impl Experiment for Kernel {
    const VERB: &'static str = "kernel";
    const GROUP: Group = Group::Predict;
    type Spec = KernelSpec;

    fn resolve(spec: KernelSpec) -> Result<KernelSpec, LabError> {
        spec.init.check()?;
        let positive = |x: f64| x.is_finite() && x > 0.0;
        within(
            "tolerance",
            spec.tolerance,
            positive(spec.tolerance) && spec.tolerance < 0.1,
            "above 0, below 0.1",
        )?;
        if let Some(noise) = spec.noise {
            within("noise", noise, noise >= 0.0 && noise.is_finite(), "0 or more")?;
        }
        if let Some(ridge) = spec.ridge {
            within("ridge", ridge, ridge >= 0.0 && ridge.is_finite(), "0 or more")?;
        }
        if let Some(time) = spec.time {
            within("time", time, positive(time), "above 0")?;
        }
        if let Some(memory) = spec.memory {
            within("memory", memory, positive(memory), "above 0, in GiB")?;
        }
        if let Some(path) = &spec.save {
            let known = [".npy", ".safetensors"].iter().any(|end| path.ends_with(end));
            within("save", path.clone(), known, "a file that ends in .npy or .safetensors")?;
        }
        within("members", spec.members, spec.members <= 10_000, "at most 10000")?;
        within("batch", spec.batch, (1..=1_000_000).contains(&spec.batch), "1 to 1000000")?;
        let numbers = |key, all: &[f64], least: f64| {
            let good = |x: &&f64| !(x.is_finite() && **x >= least && **x <= 1e6);
            all.iter()
                .find(good)
                .map_or(Ok(()), |x| within(key, x, false, "finite, at least 0, at most 1000000"))
        };
        numbers("c_ws", &spec.c_ws, 0.0)?;
        numbers("c_bs", &spec.c_bs, 0.0)?;
        let deep = spec.depths.iter().find(|depth| **depth > 10_000);
        deep.map_or(Ok(()), |depth| within("depths", depth, false, "at most 10000"))?;
        let spec = KernelSpec { network: spec.network.resolve()?, ..spec };
        one_question(&spec)?;
        measured(&spec)?;
        let mut drift = spec.drift;
        drift.sort_unstable();
        drift.dedup();
        let members = if spec.members == 0 && !drift.is_empty() { WATCHED } else { spec.members };
        let spec = KernelSpec { drift, members, ..spec };
        if spec.select && (spec.depths.is_empty() || spec.activations.is_empty()) {
            let key = if spec.depths.is_empty() { "depths" } else { "activations" };
            return Err(LabError::MissingKey { key, verb: "kernel --select" });
        }
        if spec.data.data.is_none() {
            return Err(LabError::MissingKey { key: "data", verb: "kernel" });
        }
        let plan = Plan::new(spec.network.network())?;
        let (data, _) = spec.data.clone().pinned(&plan, spec.seed)?;
        let spec = KernelSpec { data, ..spec };
        let split = data::split(&spec, &plan)?;
        let outputs = split.train.targets.outputs();
        if (spec.members > 0 || spec.select) && outputs == 0 {
            return Err(carnot_sim::error::SimError::NoTargets.into());
        }
        if !spec.widths.is_empty() {
            if outputs == 0 {
                return Err(carnot_sim::error::SimError::NoTargets.into());
            }
            finite::check(&spec, &split)?;
        }
        let trains = spec.members > 0 || !spec.widths.is_empty();
        if trains && outputs != plan.output().len() {
            let found = plan.output().len();
            return Err(carnot_sim::error::SimError::Outputs { needed: outputs, found }.into());
        }
        Ok(spec)
    }

    fn subject(spec: &KernelSpec) -> String {
        write::subject(spec)
    }

    fn plan(spec: &KernelSpec) -> Result<Vec<Job>, LabError> {
        if spec.select {
            let all = select::candidates(spec)?;
            return Ok(all
                .into_iter()
                .map(|candidate| Job::new(candidate.name(), Task::Rate(candidate)))
                .collect());
        }
        if !spec.widths.is_empty() {
            let job = |(name, members)| Job::new(name, Task::Finite { members });
            return Ok(finite::jobs(spec).into_iter().map(job).collect());
        }
        if !spec.drift.is_empty() {
            let watch = |member| Job::new(format!("network {member}"), Task::Drift { member });
            return Ok(std::iter::once(Job::new(LIMIT, Task::Limit))
                .chain((0..spec.members).map(watch))
                .collect());
        }
        let train = |member| Job::new(format!("network {member}"), Task::Train { member });
        Ok(std::iter::once(Job::new("kernel", Task::Predict)).chain((0..spec.members).map(train)).collect())
    }

    fn cost(spec: &KernelSpec) -> Result<Option<String>, LabError> {
        work::cost(spec)
    }

    fn outputs(spec: &KernelSpec) -> Vec<PathBuf> {
        keep::files(spec)
    }

    fn run(spec: &KernelSpec, job: &Job, tools: &Tools) -> Result<Value, LabError> {
        let split = tools.shared("split", || {
            let plan = Plan::new(spec.network.network())?;
            data::split(spec, &plan)
        })?;
        let value = match job.read::<Task>()? {
            Task::Predict => serde_json::to_value(work::answer(spec, &split, tools)?),
            Task::Rate(candidate) => serde_json::to_value(select::rate(spec, &split, &candidate)?),
            Task::Finite { members } => return finite::measure(spec, &split, members),
            Task::Limit => serde_json::to_value(drift::measure::limit(spec, &split, tools)?),
            Task::Drift { member } => {
                serde_json::to_value(drift::measure::member(spec, &split, member, tools)?)
            }
            Task::Train { member } => serde_json::to_value(networks::member(spec, &split, member, tools)?),
        };
        value.map_err(|error| LabError::Answer { job: job.id.clone(), message: error.to_string() })
    }

    fn report(spec: &KernelSpec, points: &[Point]) -> Result<Report, LabError> {
        if spec.select {
            let rated = points.iter().map(Point::read).collect::<Result<Vec<select::Rated>, _>>()?;
            return Ok(select::report(spec, &rated));
        }
        if !spec.widths.is_empty() {
            let plan = Plan::new(spec.network.network())?;
            return finite::report(spec, &data::split(spec, &plan)?, &Self::plan(spec)?, points);
        }
        if !spec.drift.is_empty() {
            let (limit, rest): (Vec<&Point>, Vec<&Point>) =
                points.iter().partition(|point| point.job == LIMIT);
            let members =
                rest.into_iter().map(Point::read).collect::<Result<Vec<drift::measure::Member>, _>>()?;
            return match limit.first() {
                Some(point) => Ok(drift::write::report(spec, &point.read()?, &members)),
                None => Ok(Report::new("kernel", &write::subject(spec))),
            };
        }
        let (kernel, rest): (Vec<&Point>, Vec<&Point>) =
            points.iter().partition(|point| point.job == "kernel");
        let members = rest.into_iter().map(Point::read).collect::<Result<Vec<networks::Trained>, _>>()?;
        match kernel.first() {
            Some(point) => Ok(write::report(spec, &point.read()?, &members)),
            // Interrupted before the kernel was there, with networks already trained.
            None => Ok(Report::new("kernel", &write::subject(spec))),
        }
    }
}
