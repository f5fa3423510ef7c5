//! `carnot phase`: noise × nonlinearity, for trained networks and for the chain of blocks and springs.

mod axes;
mod compare;
pub(super) mod network;
mod observables;
mod predictors;
mod published;
mod refine;
pub(super) mod stack;
mod write;

use std::collections::{BTreeSet, HashMap};

use carnot_math::random::Stream;
use carnot_net::activation::Activation;
use carnot_net::dataset::Dataset;
use carnot_report::report::Report;
use carnot_theory::spring_block::chain::{Friction, Parameters};
use carnot_theory::spring_block::grid::{GridPlan, grid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Experiment, Group, Job, Point, Tools};
use crate::error::LabError;
use crate::settings::{DataSettings, within};
use axes::Setting;
use observables::Show;
use stack::Model;

/// Which layers do the work, over noise and nonlinearity: trained networks beside the chain of blocks and springs.
///
/// Networks of linear map, batch norm, leaky ReLU and dropout are trained with one kind of noise at a time; of each the load curve is
/// read: D = ln(within-class/between-class scatter) behind every hidden layer. Its convexity says who works: below zero the deep
/// layers, above zero the shallow ones, zero shares evenly. The chain has friction in place of nonlinearity and a shaking in place of
/// noise. Cells are visited corners first; an unfinished diagram is a coarse one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PhaseSpec {
    /// The data; digits (embedded) when not given.
    #[serde(flatten)]
    pub data: DataSettings,
    /// Images are resized to this many pixels along each side. Default: as they are.
    pub side: Option<usize>,
    /// Samples to train on; the rest is for testing.
    pub train: usize,
    /// Setting along the horizontal axis, usually a kind of noise.
    pub noise: Setting,
    /// Its values. Default: those of the published diagram of its kind.
    pub noises: Vec<f64>,
    /// Setting along the vertical axis.
    pub rows: Setting,
    /// Its values; of the leaky ReLU slopes below zero: 0 is the ReLU, 1 is linear. Default: as published, or usual ones.
    pub slopes: Vec<f64>,
    /// Activation, as a formula in z with the parameter a.
    pub family: String,
    /// Parameter a of the activation, where it is on no axis.
    pub slope: f64,
    /// What the picture shows.
    pub show: Show,
    /// What the hidden layers are.
    pub model: Model,
    /// Hidden layers.
    pub depth: usize,
    /// Units (channels of a CNN) of each hidden layer.
    pub width: usize,
    /// Whether inputs and hidden layers are batch-normalised.
    pub norm: bool,
    /// Passes over the training set.
    pub epochs: u64,
    /// Samples of a batch; 0 for all.
    pub batch: usize,
    /// Learning rate of Adam.
    pub rate: f64,
    /// Dropout, where it is on no axis.
    pub dropout: f64,
    /// Noise of labels and inputs, where it is on no axis.
    pub data_noise: f64,
    /// Temperature of the parameters, where it is on no axis.
    pub temperature: f64,
    /// Trains a cell only where convexities around it differ by more than this, and reads the others between; 0 trains every cell.
    pub detail: f64,
    /// Networks of each cell.
    pub seeds: u64,
    /// Seed of everything.
    pub seed: u64,
    /// Training samples on which the sharpness of the loss is measured; 0 for not at all.
    pub sharpness: usize,
    /// Whether to compare with the published diagram, where it has the same cells.
    pub published: bool,
    /// Chains of each cell; 0 for no chain.
    pub chains: usize,
    /// Friction μ_→ of the chain for a linear network and for a ReLU network.
    pub friction: Vec<f64>,
    /// Friction μ_← of the chain.
    pub friction_left: f64,
    /// Shaking s of the chain for the least and for the most noise.
    pub shake: Vec<f64>,
}

impl Default for PhaseSpec {
    fn default() -> PhaseSpec {
        PhaseSpec {
            data: DataSettings::default(),
            side: None,
            train: 1280,
            noise: Setting::default(),
            noises: Vec::new(),
            rows: Setting::Slope,
            slopes: Vec::new(),
            family: LEAKY.into(),
            slope: 0.0,
            show: Show::default(),
            model: Model::default(),
            depth: 7,
            width: 100,
            norm: true,
            epochs: 100,
            batch: 0,
            rate: 1e-3,
            dropout: 0.0,
            data_noise: 0.0,
            temperature: 0.0,
            detail: 0.0,
            seeds: 1,
            seed: 1,
            sharpness: 256,
            published: false,
            chains: 64,
            friction: vec![0.005, 0.06],
            friction_left: 0.05,
            shake: vec![0.002, 0.15],
        }
    }
}

/// The leaky ReLU, whose parameter is the slope below zero.
const LEAKY: &str = "max(z, a * z)";

impl PhaseSpec {
    /// The activation.
    fn activation(&self) -> Result<Activation, LabError> {
        Ok(Activation::parse(&stack::with_parameter(&self.family, self.slope))?)
    }

    /// The settings of one cell.
    fn cell(&self, (row, column): refine::Place) -> PhaseSpec {
        let mut own = self.clone();
        self.rows.set(&mut own, self.slopes[row]);
        self.noise.set(&mut own, self.noises[column]);
        own
    }

    /// Does the chain have both axes? Friction stands for nonlinearity, shaking for noise.
    fn has_chain(&self) -> bool {
        self.rows == Setting::Slope && self.noise.is_noise()
    }
}

/// Step and number of steps of the chain.
const STEP: f64 = 0.01;
const STEPS: usize = 12_000;

/// The experiment behind `carnot phase`.
pub struct Phase;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum At {
    Network { row: usize, column: usize, seed: u64 },
    Chain { chains: usize },
}

/// The chain's diagram, rows by slopes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ChainAnswer {
    /// `[rows × columns][L + 1]`
    curves: Vec<Vec<f64>>,
}

impl Experiment for Phase {
    const VERB: &'static str = "phase";
    const GROUP: Group = Group::Simulate;
    type Spec = PhaseSpec;

    fn resolve(spec: PhaseSpec) -> Result<PhaseSpec, LabError> {
        let mut spec = spec;
        within("rows", spec.rows.word(&spec), spec.rows != spec.noise, "another setting than that of noise")?;
        let (noise, rows, said) = (spec.noise, spec.rows, spec.clone());
        for (key, setting, values) in
            [("noises", noise, &mut spec.noises), ("slopes", rows, &mut spec.slopes)]
        {
            if values.is_empty() {
                *values = setting.usual();
            }
            values.sort_by(f64::total_cmp);
            values.dedup();
            within(key, values.len(), values.len() <= 200, "1 to 200 values")?;
            for &value in values.iter() {
                if let Some(range) = setting.refuses(&said, value) {
                    within(key, value, false, range)?;
                }
            }
        }
        for (key, setting, value) in [
            ("slope", Setting::Slope, spec.slope),
            ("dropout", Setting::Dropout, spec.dropout),
            ("data_noise", Setting::Data, spec.data_noise),
            ("temperature", Setting::Temperature, spec.temperature),
            ("rate", Setting::Rate, spec.rate),
        ] {
            if let Some(range) = setting.refuses(&spec, value) {
                within(key, value, false, range)?;
            }
        }
        for row in 0..spec.slopes.len() {
            spec.cell((row, 0)).activation()?;
        }
        if !spec.has_chain() {
            spec.chains = 0;
        }
        within("depth", spec.depth, (3..=200).contains(&spec.depth), "3 to 200")?;
        within("width", spec.width, (2..=10_000).contains(&spec.width), "2 to 10000")?;
        within("epochs", spec.epochs, (1..=1_000_000).contains(&spec.epochs), "1 to 1000000")?;
        within("detail", spec.detail, (0.0..=100.0).contains(&spec.detail), "0 to 100")?;
        within("seeds", spec.seeds, (1..=10_000).contains(&spec.seeds), "1 to 10000")?;
        within(
            "chains",
            spec.chains,
            spec.chains == 0 || (2..=100_000).contains(&spec.chains),
            "0, or 2 to 100000",
        )?;
        for (key, ends, least) in [("friction", &spec.friction, 0.0), ("shake", &spec.shake, 1e-6)] {
            let good = ends.len() == 2 && ends.iter().all(|end| (least..=100.0).contains(end));
            within(key, format!("{ends:?}"), good, "two numbers, those of the two ends, at most 100")?;
        }
        within("friction_left", spec.friction_left, (0.0..=100.0).contains(&spec.friction_left), "0 to 100")?;
        if spec.published {
            published::check(&spec)?;
        }
        let data = whole(&spec)?;
        within(
            "train",
            spec.train,
            (2..data.len()).contains(&spec.train),
            &format!("2 to {}, so that a test sample is left", data.len() - 1),
        )?;
        spec.data = spec.data.pinned_classes(&data)?;
        Ok(spec)
    }

    fn subject(spec: &PhaseSpec) -> String {
        let varied = |setting, value: usize| match [spec.noise, spec.rows].contains(&setting) {
            true => "some".to_string(),
            false => value.to_string(),
        };
        format!(
            "{} × {}, {} {}hidden layers of {}, {}",
            spec.noise.word(spec),
            spec.rows.word(spec),
            varied(Setting::Depth, spec.depth),
            spec.model.words(),
            varied(Setting::Width, spec.width).replace("some", "several widths"),
            spec.data.data.as_deref().unwrap_or("digits")
        )
    }

    fn plan(spec: &PhaseSpec) -> Result<Vec<Job>, LabError> {
        let chain = (spec.chains > 0).then(|| Job::new("chain", At::Chain { chains: spec.chains }));
        let wanted = if spec.detail > 0.0 {
            refine::refine(whole_diagram(spec), spec.detail, &|_| None).0
        } else {
            all(spec)
        };
        Ok(chain.into_iter().chain(networks(spec, &wanted)).collect())
    }

    fn next(spec: &PhaseSpec, points: &[Point]) -> Result<Vec<Job>, LabError> {
        if spec.detail == 0.0 {
            return Ok(Vec::new());
        }
        let diagram = read(spec, points)?;
        let (wanted, _) =
            refine::refine(whole_diagram(spec), spec.detail, &|at| diagram.known(spec.show, at));
        Ok(networks(spec, &wanted))
    }

    fn run(spec: &PhaseSpec, job: &Job, tools: &Tools) -> Result<Value, LabError> {
        let value = match job.read()? {
            At::Chain { .. } => serde_json::to_value(chain(spec)?),
            At::Network { row, column, seed } => {
                let sets = tools.shared("data", || split(spec))?;
                let mut step = |done, of| tools.step(&job.id, done, of);
                let own = spec.seed.wrapping_mul(1_000_003).wrapping_add(seed);
                serde_json::to_value(network::trained(&spec.cell((row, column)), &sets, own, &mut step)?)
            }
        };
        value.map_err(|error| LabError::Answer { job: job.id.clone(), message: error.to_string() })
    }

    fn report(spec: &PhaseSpec, points: &[Point]) -> Result<Report, LabError> {
        let diagram = read(spec, points)?;
        Ok(write::report(spec, &diagram))
    }
}

fn whole_diagram(spec: &PhaseSpec) -> refine::Block {
    refine::Block::whole(spec.slopes.len(), spec.noises.len())
}

fn all(spec: &PhaseSpec) -> BTreeSet<refine::Place> {
    axes::visits(spec.slopes.len(), spec.noises.len()).into_iter().collect()
}

/// The networks of some cells: all cells with the first seed, then with the next; corners of the diagram first.
fn networks(spec: &PhaseSpec, wanted: &BTreeSet<refine::Place>) -> Vec<Job> {
    let cells = axes::visits(spec.slopes.len(), spec.noises.len());
    let job = |seed: u64, (row, column): refine::Place| {
        Job::new(format!("slope {row} noise {column} seed {seed}"), At::Network { row, column, seed })
    };
    let of_seed = |seed| cells.iter().filter(|at| wanted.contains(at)).map(move |&at| job(seed, at));
    (0..spec.seeds).flat_map(of_seed).collect()
}

/// What some jobs have found.
fn read(spec: &PhaseSpec, points: &[Point]) -> Result<write::Diagram, LabError> {
    let mut diagram = write::Diagram::empty(spec);
    let chain = std::iter::once(("chain".to_string(), At::Chain { chains: spec.chains }));
    let networks = networks(spec, &all(spec)).into_iter().map(|job| Ok((job.id.clone(), job.read::<At>()?)));
    let jobs: HashMap<String, At> = chain.map(Ok).chain(networks).collect::<Result<_, LabError>>()?;
    for point in points {
        match jobs.get(&point.job) {
            Some(At::Chain { .. }) => diagram.chain = Some(point.read::<ChainAnswer>()?.curves),
            Some(&At::Network { row, column, .. }) => diagram.cells[row][column].push(point.read()?),
            None => {}
        }
    }
    Ok(diagram)
}

fn whole(spec: &PhaseSpec) -> Result<Dataset, LabError> {
    let data = spec.data.sized(spec.side, spec.seed)?;
    let shape = match (spec.model, data.shape.as_slice()) {
        (Model::Mlp | Model::Residual, _) => vec![data.width()],
        (Model::Cnn, &[height, width]) => vec![height, width, 1],
        (Model::Cnn, &[height, width, channels]) => vec![height, width, channels],
        // A row of n² numbers is a square image.
        (Model::Cnn, &[flat]) if flat.isqrt().pow(2) == flat => vec![flat.isqrt(), flat.isqrt(), 1],
        (Model::Cnn, shape) => {
            let said = format!("mlp or residual: a sample of {shape:?} numbers is no image");
            return within("model", "cnn", false, &said).map(|()| data);
        }
    };
    Ok(data.reshaped(&shape)?)
}

/// Training and test set: a fixed random choice.
fn split(spec: &PhaseSpec) -> Result<(Dataset, Dataset), LabError> {
    let data = whole(spec)?;
    let order = Stream::new(spec.seed, "training set", &[]).permutation(data.len());
    let (train, test) = order.split_at(spec.train);
    Ok((data.subset(train)?, data.subset(test)?))
}

/// How far a parameter lies between most and least nonlinear: the slope itself, or its place between the ends of another family.
fn share(spec: &PhaseSpec, slope: f64) -> f64 {
    let (first, last) = (spec.slopes[0], spec.slopes[spec.slopes.len() - 1]);
    match spec.family == LEAKY {
        true => slope,
        false if last > first => (slope - first) / (last - first),
        false => 0.0,
    }
}

/// The same diagram of the chain: friction falls with the slope, shaking grows with the noise.
fn chain(spec: &PhaseSpec) -> Result<ChainAnswer, LabError> {
    let frictions: Vec<f64> = spec
        .slopes
        .iter()
        .map(|slope| spec.friction[1] + (spec.friction[0] - spec.friction[1]) * share(spec, *slope))
        .collect();
    let mut noises = axes::between(spec.shake[0], spec.shake[1], spec.noises.len(), true);
    if !spec.noise.grows() {
        noises.reverse();
    }
    let parameters = Parameters {
        n_blocks: spec.depth,
        friction_left: Friction::Same(spec.friction_left),
        ..Parameters::default()
    };
    let plan = GridPlan {
        parameters,
        frictions: &frictions,
        noises: &noises,
        step: STEP,
        steps: STEPS,
        chains: spec.chains,
        seed: spec.seed,
    };
    let cells = grid(&plan).map_err(LabError::Chain)?;
    Ok(ChainAnswer {
        curves: cells.iter().map(|cell| cell.curve.iter().map(|d| d.value).collect()).collect(),
    })
}
