//! `carnot ensemble`: many real networks against theory.

use carnot_math::stats::{Estimate, Moments, hotelling};
use carnot_net::dataset::Dataset;
use carnot_net::hyper::LayerRate;
use carnot_net::kernel::Kernel;
use carnot_net::plan::{Plan, Theory};
use carnot_net::reading::Labels;
use carnot_report::chart::{Axis, Chart, Series};
use carnot_report::number::{percent, significant};
use carnot_report::report::{Coverage, Headline, Line, Provenance, Report, Skipped, Tone};
use carnot_report::section::{Cell, Heading, Role, Row, Section, Table, Text};
use carnot_sim::ensemble::part::{LayerPart, Part, merge};
use carnot_sim::ensemble::statistics::{fluctuation, profile, worst_relative_error};
use carnot_sim::ensemble::{Ensemble as Sampler, MOST_SAMPLES, TangentAsk, run_job};
use carnot_sim::train::spec::Precision;
use carnot_theory::forecast::{LayerForecast, forecast};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::predict::widths_before;
use super::{Experiment, Group, Job, Point, Progress, Tools};
use crate::error::LabError;
use crate::present::{forecast_profile, measured_profile};
use crate::settings::{DataSettings, InitSettings, within};
use crate::spec::describe::network;
use crate::spec::network::NetworkSettings;

/// Draws many networks and compares their layers with theory, in standard errors.
///
/// Every member is initialised from its own random stream and read on the same few inputs. Theory at infinite
/// width gives the mean, 1/n theory its shift and the fluctuation between members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EnsembleSpec {
    /// The network.
    #[serde(flatten)]
    pub network: NetworkSettings,
    /// How it starts.
    #[serde(flatten)]
    pub init: InitSettings,
    /// What it is read on.
    #[serde(flatten)]
    pub data: DataSettings,
    /// Number of networks.
    pub members: u64,
    /// Number of inputs on which each is read, at most 16. Without data they are Gaussian.
    pub probe: usize,
    /// Stop when the worst standard error is this share of its number; 0 runs all members.
    pub precision: f64,
    /// Seed of networks and inputs.
    pub seed: u64,
    /// Number type of the networks.
    pub float: Precision,
    /// λ_W: rate of weights times fan-in, for the tangent kernel.
    pub lambda_w: f64,
    /// λ_b: rate of biases, for the tangent kernel.
    pub lambda_b: f64,
    /// Whether the tangent kernel of the output is measured, which costs one backward pass per output and input.
    pub tangent: bool,
}

impl Default for EnsembleSpec {
    fn default() -> EnsembleSpec {
        EnsembleSpec {
            network: NetworkSettings::default(),
            init: InitSettings::default(),
            data: DataSettings::default(),
            members: 1000,
            probe: 3,
            precision: 0.0,
            seed: 7,
            float: Precision::Float64,
            lambda_w: 1.0,
            lambda_b: 1.0,
            tangent: false,
        }
    }
}

/// Members of one job: enough that writing a point costs nothing beside it.
const MEMBERS_OF_A_JOB: u64 = 25;

/// The experiment behind `carnot ensemble`.
pub struct Ensemble;

#[derive(Serialize, Deserialize)]
struct Members {
    from: u64,
    to: u64,
}

impl Experiment for Ensemble {
    const VERB: &'static str = "ensemble";
    const GROUP: Group = Group::Simulate;
    type Spec = EnsembleSpec;

    fn resolve(spec: EnsembleSpec) -> Result<EnsembleSpec, LabError> {
        spec.init.check()?;
        within("members", spec.members, (2..=1_000_000_000).contains(&spec.members), "2 to 1000000000")?;
        within("probe", spec.probe, (1..=MOST_SAMPLES).contains(&spec.probe), "1 to 16")?;
        within("precision", spec.precision, (0.0..1.0).contains(&spec.precision), "0 to 1")?;
        within("lambda_w", spec.lambda_w, (0.0..=1e6).contains(&spec.lambda_w), "0 to 1000000")?;
        within("lambda_b", spec.lambda_b, (0.0..=1e6).contains(&spec.lambda_b), "0 to 1000000")?;
        let spec = EnsembleSpec { network: spec.network.resolve()?, ..spec };
        let plan = Plan::new(spec.network.network())?;
        let (data, _) = spec.data.pinned(&plan, spec.seed)?;
        let spec = EnsembleSpec { data, ..spec };
        // Data that are too few should be said before the work, not in the middle of it.
        probe(&spec, &plan)?;
        Ok(spec)
    }

    fn subject(spec: &EnsembleSpec) -> String {
        format!("{}, {}, {} members", network(spec.network.network()), spec.init.words(), spec.members)
    }

    fn plan(spec: &EnsembleSpec) -> Result<Vec<Job>, LabError> {
        let job = |from: u64| {
            let to = (from + MEMBERS_OF_A_JOB).min(spec.members);
            Job::new(format!("members {from}-{}", to - 1), Members { from, to })
        };
        Ok((0..spec.members).step_by(MEMBERS_OF_A_JOB as usize).map(job).collect())
    }

    fn run(spec: &EnsembleSpec, job: &Job, tools: &Tools) -> Result<Value, LabError> {
        let members: Members = job.read()?;
        let shared = tools.shared("probe", || Setting::of(spec))?;
        let part = run_job(&shared.sampler(spec), members.from..members.to)?;
        serde_json::to_value(part)
            .map_err(|error| LabError::Answer { job: job.id.clone(), message: error.to_string() })
    }

    fn progress(spec: &EnsembleSpec, points: &[Point]) -> Progress {
        let Ok(part) = merged(points) else { return Progress::default() };
        let worst = worst_relative_error(&part);
        if !worst.is_finite() {
            return Progress::default();
        }
        let stops = match spec.precision > 0.0 {
            true => format!(", stops at ± {}", percent(spec.precision)),
            false => String::new(),
        };
        Progress {
            is_done: spec.precision > 0.0 && worst <= spec.precision,
            words: format!("worst estimate ± {}{stops}", percent(worst)),
        }
    }

    fn report(spec: &EnsembleSpec, points: &[Point]) -> Result<Report, LabError> {
        let setting = Setting::of(spec)?;
        let theory = Theory::new(&setting.init, &setting.rate);
        let positions = setting.plan.input.positions();
        let inputs =
            Kernel::of_inputs(&setting.inputs, spec.probe, positions, setting.plan.positions(), false);
        let expected = forecast(&setting.plan, &theory, &inputs);
        let parts: Vec<Part> = points.iter().map(Point::read).collect::<Result<_, _>>()?;
        let labels = Labels { classes: &setting.labels };
        write(spec, &setting, &expected, &parts, labels)
    }
}

/// Everything a job needs, made once.
struct Setting {
    plan: Plan,
    init: Vec<carnot_net::hyper::LayerInit>,
    rate: Vec<LayerRate>,
    inputs: Vec<f64>,
    labels: Vec<u32>,
}

impl Setting {
    fn of(spec: &EnsembleSpec) -> Result<Setting, LabError> {
        let plan = Plan::new(spec.network.network())?;
        let init = spec.init.initial(&plan)?.layers;
        let rate = vec![LayerRate { lambda_w: spec.lambda_w, lambda_b: spec.lambda_b }; plan.weighted];
        let (inputs, labels) = probe(spec, &plan)?;
        Ok(Setting { plan, init, rate, inputs, labels })
    }

    fn sampler<'a>(&'a self, spec: &EnsembleSpec) -> Sampler<'a> {
        Sampler {
            plan: &self.plan,
            init: &self.init,
            seed: spec.seed,
            inputs: &self.inputs,
            labels: Labels { classes: &self.labels },
            precision: spec.float,
            gradient: true,
            tangent: spec.tangent.then_some(TangentAsk { rates: &self.rate, directions: 0 }),
        }
    }
}

/// The inputs: a sample of the data, or Gaussian vectors scaled to |x|²/n₀ = 1.
fn probe(spec: &EnsembleSpec, plan: &Plan) -> Result<(Vec<f64>, Vec<u32>), LabError> {
    if let Some(data) = spec.data.open(plan, spec.seed)? {
        let few: Dataset = data.probe(spec.probe, spec.seed);
        let labels = match &few.targets {
            carnot_net::dataset::Targets::Classes { labels, .. } => labels.clone(),
            _ => Vec::new(),
        };
        if few.len() < spec.probe {
            let (value, range) =
                (spec.probe.to_string(), format!("at most the {} samples of the data", few.len()));
            return Err(LabError::OutOfRange { key: "probe", value, range });
        }
        return Ok((few.inputs.iter().map(|&x| f64::from(x)).collect(), labels));
    }
    let mut inputs = vec![0.0; spec.probe * plan.input.len()];
    carnot_math::random::Stream::new(spec.seed, "inputs", &[]).fill_normal(&mut inputs, 1.0);
    for sample in inputs.chunks_mut(plan.input.len()) {
        let norm = (sample.iter().map(|x| x * x).sum::<f64>() / sample.len() as f64).sqrt();
        sample.iter_mut().for_each(|x| *x /= norm);
    }
    Ok((inputs, Vec::new()))
}

fn merged(points: &[Point]) -> Result<Part, LabError> {
    let parts: Vec<Part> = points.iter().map(Point::read).collect::<Result<_, _>>()?;
    Ok(merge(&parts)?)
}

/// One layer, measured against theory.
struct Compared {
    kernel: Estimate,
    limit: Option<f64>,
    expected: Option<f64>,
    z: Option<f64>,
    fluctuation: Estimate,
    expected_fluctuation: Option<f64>,
}

/// The mean over samples of the kernel, and n·Var(K)/K² averaged over samples.
fn compare(layer: &LayerPart, expected: &LayerForecast, before: usize) -> Compared {
    let kernel = layer.observables[0].estimate();
    let limit = expected.reading.as_ref().ok().map(|reading| reading.forward.mean_variance());
    // The 1/n shift is known for one input of the mean norm; without it the limit stands.
    let shift = expected.kernel_shift.clone().ok().map_or(0.0, |g| g / before as f64);
    let value = limit.map(|limit| limit + shift);
    let fluctuations: Vec<Estimate> =
        layer.kernel.iter().map(|k: &Moments| fluctuation(k, layer.width)).collect();
    let count = fluctuations.len() as f64;
    let mean = fluctuations.iter().map(|f| f.value).sum::<f64>() / count;
    // Samples of one ensemble are correlated: the error of the mean is not better than that of one of them.
    let error = fluctuations.iter().map(|f| f.error).sum::<f64>() / count;
    let expected_fluctuation = match (expected.vertex.clone(), limit) {
        (Ok(vertex), Some(limit)) => {
            let relative = vertex / (limit * limit);
            let (n, before) = (layer.width as f64, before as f64);
            Some(2.0 + 2.0 * relative / before + relative * n / before)
        }
        _ => None,
    };
    Compared {
        z: value.filter(|_| kernel.error > 0.0).map(|value| (kernel.value - value) / kernel.error),
        kernel,
        limit,
        expected: value,
        fluctuation: Estimate { value: mean, error, spread: 0.0, n: kernel.n },
        expected_fluctuation,
    }
}

/// Largest |z| of one layer, and smallest tail of χ² over all, that count as agreement.
const LARGEST_Z: f64 = 4.0;
const SMALLEST_TAIL: f64 = 1e-4;

fn write(
    spec: &EnsembleSpec,
    setting: &Setting,
    expected: &[LayerForecast],
    parts: &[Part],
    labels: Labels,
) -> Result<Report, LabError> {
    let mut report = Report::new("ensemble", &Ensemble::subject(spec));
    report.profiles.push(forecast_profile("theory", expected, labels));
    report.provenance = Provenance { seed: Some(spec.seed), device: "cpu".into(), ..Provenance::default() };
    if parts.is_empty() {
        report.headline = Some(Headline { text: "NOTHING MEASURED YET".into(), tone: Tone::Plain });
        return Ok(report);
    }
    let part = &merge(parts)?;
    let before = widths_before(&setting.plan);
    let rows: Vec<Compared> = part
        .layers
        .iter()
        .zip(expected)
        .zip(&before)
        .map(|((layer, theory), &n)| compare(layer, theory, n))
        .collect();
    let outcome = Outcome::of(&rows, parts);
    report.headline = Some(outcome.headline());
    report.summary = outcome.lines(&rows, part);
    if part.count() < spec.members {
        let worst = worst_relative_error(part);
        let text = format!("{} of {}; worst estimate ± {}", part.count(), spec.members, percent(worst));
        report.summary.push(Line::new("members", text));
    }
    report.sections.extend(charts(&rows));
    report.sections.push(Section::Table(table(part, &rows)));
    report
        .sections
        .extend(shift_note(&rows, &before, part).map(|text| Section::Text(Text { text, ..Text::default() })));
    report.profiles.push(measured_profile("simulated", &profile(part)));
    report.coverage = Some(coverage(expected, &rows));
    report.extra.insert("agreement".into(), outcome.json(&rows));
    report.extra.insert("members".into(), json!(part.count()));
    Ok(report)
}

/// Whether the ensemble agrees with theory.
struct Outcome {
    worst: Option<(usize, f64)>,
    /// T², number of layers in it, and the probability of a larger one.
    joint: Option<(f64, usize, f64)>,
}

impl Outcome {
    fn of(rows: &[Compared], parts: &[Part]) -> Outcome {
        let known = || rows.iter().enumerate().filter_map(|(at, row)| row.z.map(|z| (at, z)));
        let worst = known().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
        Outcome { worst, joint: joint(rows, parts) }
    }

    fn agrees(&self) -> Option<bool> {
        let likely = self.joint.is_none_or(|(_, _, tail)| tail > SMALLEST_TAIL);
        self.worst.map(|(_, z)| z.abs() < LARGEST_Z && likely)
    }

    fn headline(&self) -> Headline {
        let (text, tone) = match self.agrees() {
            Some(true) => ("AGREES WITH THEORY", Tone::Good),
            Some(false) => ("DEPARTS FROM THEORY", Tone::Costs),
            None => ("THEORY HAS NO ANSWER HERE", Tone::Plain),
        };
        Headline { text: text.into(), tone }
    }

    fn lines(&self, rows: &[Compared], part: &Part) -> Vec<Line> {
        let Some((at, z)) = self.worst else { return Vec::new() };
        let name = &part.layers[at].name;
        let mut text = format!(
            "largest deviation {} standard errors, at {name} (layer {} of {})",
            significant(z, 2),
            at + 1,
            rows.len(),
        );
        if let Some((t2, layers, tail)) = self.joint {
            let (t2, tail) = (significant(t2, 3), significant(tail, 2));
            text.push_str(&format!("; χ² = {t2} over {layers} layers with their correlations, p = {tail}"));
        }
        vec![Line::new("test", text)]
    }

    fn json(&self, rows: &[Compared]) -> Value {
        json!({
            "agrees": self.agrees(),
            "largest_z": self.worst.map(|(_, z)| z),
            "chi2": self.joint.map(|(t2, _, _)| t2),
            "dof": self.joint.map(|(_, layers, _)| layers),
            "tail": self.joint.map(|(_, _, tail)| tail),
            "z": rows.iter().map(|row| row.z).collect::<Vec<_>>(),
            "fluctuation": rows.iter().map(|row| row.fluctuation.value).collect::<Vec<_>>(),
            "fluctuation_error": rows.iter().map(|row| row.fluctuation.error).collect::<Vec<_>>(),
            "fluctuation_theory": rows.iter().map(|row| row.expected_fluctuation).collect::<Vec<_>>(),
        })
    }
}

/// All layers at once. A fluctuation of an early layer stays in the later ones, so their z are no independent
/// numbers; the covariance is taken from the means of the jobs. With few jobs, a selection of layers is tested.
fn joint(rows: &[Compared], parts: &[Part]) -> Option<(f64, usize, f64)> {
    let known: Vec<usize> = (0..rows.len()).filter(|&at| rows[at].z.is_some()).collect();
    // The last job may be smaller: its mean would be noisier than the others'.
    let full = parts.iter().map(Part::count).max()?;
    let parts: Vec<&Part> = parts.iter().filter(|part| part.count() == full).collect();
    let most = (parts.len() / 4).min(known.len());
    if most == 0 {
        return None;
    }
    // Evenly spread, the last layer among them.
    let chosen: Vec<usize> = (1..=most).map(|i| known[i * known.len() / most - 1]).collect();
    let means = |part: &&Part| chosen.iter().map(|&at| part.layers[at].observables[0].mean()).collect();
    let samples: Vec<Vec<f64>> = parts.iter().map(means).collect();
    let predicted: Vec<f64> = chosen.iter().filter_map(|&at| rows[at].expected).collect();
    let (t2, tail) = hotelling(&samples, &predicted)?;
    Some((t2, chosen.len(), tail))
}

fn table(part: &Part, rows: &[Compared]) -> Table {
    let number =
        |value: Option<f64>, digits| value.map_or(Cell::missing(), |value| Cell::significant(value, digits));
    let row = |(at, (layer, row)): (usize, (&LayerPart, &Compared))| {
        let cells = vec![
            Cell::text((at + 1).to_string()),
            Cell::text(layer.name.clone()),
            Cell::measured(row.kernel.value, row.kernel.error),
            number(row.expected, 4),
            row.z.map_or(Cell::missing(), Cell::number),
            Cell::measured(row.fluctuation.value, row.fluctuation.error),
            number(row.expected_fluctuation, 3),
        ];
        let departs = row.z.is_some_and(|z| z.abs() >= LARGEST_Z);
        if departs { Row::new(cells).with_mark("departs") } else { Row::new(cells) }
    };
    Table {
        title: "Mean and fluctuation of the signal".into(),
        role: Role::Layers,
        columns: vec![
            Heading::count("layer"),
            Heading::words(""),
            Heading::number("K measured"),
            Heading::number("theory"),
            Heading::number("z").with_decimals(1),
            Heading::number("n·var/K²"),
            Heading::number("theory"),
        ],
        rows: part.layers.iter().zip(rows).enumerate().map(row).collect(),
        ..Table::default()
    }
}

fn charts(rows: &[Compared]) -> Vec<Section> {
    let depth: Vec<f64> = (1..=rows.len()).map(|layer| layer as f64).collect();
    let known = |of: &dyn Fn(&Compared) -> Option<f64>| -> (Vec<f64>, Vec<f64>) {
        depth.iter().zip(rows).filter_map(|(x, row)| of(row).map(|y| (*x, y))).unzip()
    };
    let (x, y) = known(&|row| row.expected);
    let measured: Vec<f64> = rows.iter().map(|row| row.kernel.value).collect();
    let error: Vec<f64> = rows.iter().map(|row| row.kernel.error).collect();
    let signal = Chart::new(
        "signal K, mean of the ensemble",
        "Theory is the line; dots are the measured mean with its standard error.",
        Axis::linear("layer"),
        Axis::log("K"),
    );
    let signal = signal
        .with(Series::line("theory", &x, &y))
        .with(Series::dots("measured", &depth, &measured, &error))
        .about("kernel");
    let (x, y) = known(&|row| row.expected_fluctuation);
    let measured: Vec<f64> = rows.iter().map(|row| row.fluctuation.value).collect();
    let error: Vec<f64> = rows.iter().map(|row| row.fluctuation.error).collect();
    let spread = Chart::new(
        "fluctuation n·var/K²",
        "How much members differ; theory is 2 + V/K² for equal widths.",
        Axis::linear("layer"),
        Axis::linear("n·var/K²"),
    );
    let spread = spread
        .with(Series::line("theory", &x, &y))
        .with(Series::dots("measured", &depth, &measured, &error))
        .about("vertex");
    vec![Section::Chart(signal), Section::Chart(spread)]
}

/// The 1/n shift, where it is seen.
fn shift_note(rows: &[Compared], before: &[usize], part: &Part) -> Option<String> {
    let seen = rows.iter().enumerate().filter_map(|(at, row)| {
        let limit = row.limit?;
        let z = (row.kernel.value - limit) / row.kernel.error;
        Some((at, (row.kernel.value - limit) / limit, z))
    });
    let (at, share, z) = seen.max_by(|a, b| a.2.abs().total_cmp(&b.2.abs()))?;
    (z.abs() > 3.0).then(|| {
        let way = if share < 0.0 { "short of" } else { "above" };
        let ratio = (at + 1) as f64 / before[at] as f64;
        format!(
            "at width {} the mean lies {} {way} the infinite-width value at {} (z = {}): the 1/n shift, L/n = {}",
            before[at],
            percent(share.abs()),
            part.layers[at].name,
            significant(z, 2),
            significant(ratio, 2)
        )
    })
}

fn coverage(expected: &[LayerForecast], rows: &[Compared]) -> Coverage {
    let skipped = expected.iter().filter_map(|layer| {
        let why = layer.reading.as_ref().err()?;
        Some(Skipped { layer: layer.name.clone(), because: format!("theory: {why}") })
    });
    let skipped: Vec<Skipped> = skipped.collect();
    let of = rows.len();
    Coverage { read: of - skipped.len(), of, what: "layers".into(), probe: None, skipped }
}
