//! A few samples put to networks of finite width: infinite width, the 1/n correction, and real networks beside them.

use carnot_math::linalg::symmetric_eigen;
use carnot_math::stats::Estimate;
use carnot_net::layers::Layer;
use carnot_net::network::{Named, Network};
use carnot_net::plan::Plan;
use carnot_report::chart::{Axis, Chart, Ink, Series};
use carnot_report::number::{percent, significant};
use carnot_report::report::{Headline, Line, Provenance, Report, Tone};
use carnot_report::section::{Cell, Heading, Row, Section, Table};
use carnot_sim::trained::Task as Learning;
use carnot_sim::trained::flow::{FlowSpec, Stepping};
use carnot_sim::trained::member::End;
use carnot_sim::trained::part::{TrainedPart, run_job, run_linear};
use carnot_sim::trained::posterior::{PosteriorPart, weigh_job};
use carnot_theory::at_width::{
    Corrected, Question, TRUSTED, linear_at_width, posterior_at_width, trained_at_width,
};
use carnot_theory::inference::Duration;
use carnot_theory::layer::{Scales, Stack};
use carnot_theory::shape_of::steps;
use carnot_theory::tensors::Wanted;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::data::{self, Split};
use super::{KernelSpec, write};
use crate::error::LabError;
use crate::experiments::{Job, Point};

/// Most samples, trained and asked together: the 1/n tensors grow with their fourth power.
pub const MOST: usize = 12;
/// Steps of the flow, of length 1/λ_max; what is left then is learned by the linear network there.
const STEPS: u64 = 60;
/// For each network that is trained, so many are only made linear, or weighed: a kernel costs a hundredth of a training.
const CHEAP: u64 = 20;
/// Fewest networks that are weighed: their errors come from batches of 500, and few batches give no error.
const WEIGHED: u64 = 10_000;
/// Members of one job.
const MEMBERS: u64 = 25;

/// What a job measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Networks trained by gradient flow, with their mirror images.
    Trained,
    /// Networks made linear at their start.
    Linear,
    /// Random networks weighed by the likelihood of the targets.
    Posterior,
}

/// Members of one width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// Width of every hidden layer.
    pub width: usize,
    /// What is measured.
    pub what: What,
    /// First member.
    pub from: u64,
    /// Member after the last.
    pub to: u64,
}

/// The jobs in order: all widths, first what is cheap.
pub fn jobs(spec: &KernelSpec) -> Vec<(String, Members)> {
    let mut all = Vec::new();
    for &width in &spec.widths {
        // Members that were trained are not made linear again: the two means must be independent.
        let cheap = spec.members + CHEAP * spec.members;
        let weighed = if spec.members > 0 { WEIGHED.max(CHEAP * spec.members) } else { 0 };
        let kinds = [
            (What::Posterior, 0, weighed, 2 * CHEAP * MEMBERS),
            (What::Linear, spec.members, cheap, CHEAP * MEMBERS),
            (What::Trained, 0, spec.members, MEMBERS),
        ];
        for (what, start, end, size) in kinds {
            for from in (start..end).step_by(size as usize) {
                let to = (from + size).min(end);
                let name = format!("width {width}, {what:?} {from}-{}", to - 1).to_lowercase();
                all.push((name, Members { width, what, from, to }));
            }
        }
    }
    all
}

/// Everything about one width.
struct Setting {
    plan: Plan,
    init: Vec<carnot_net::hyper::LayerInit>,
    rates: Vec<carnot_net::hyper::LayerRate>,
    stack: Stack,
    inputs: Vec<f64>,
    gram: Vec<f64>,
    train: Vec<usize>,
    test: Vec<usize>,
    targets: Vec<f64>,
    outputs: usize,
    width: usize,
}

impl Setting {
    fn of(spec: &KernelSpec, split: &Split, width: usize) -> Result<Setting, LabError> {
        let mut network = spec.network.network().clone();
        let mut left = count(&network.layers).saturating_sub(1);
        widen(&mut network.layers, width, &mut left);
        let plan = Plan::new(&network)?;
        let init = spec.init.initial(&plan)?.layers;
        let rates = spec.parametrization.rates(&plan, &init);
        let stack = stack(&network, &plan, &init, &rates)?;
        let test = split.test.as_ref().expect("resolve asked for samples kept aside");
        let inputs = [split.train.exact_inputs(), test.exact_inputs()].concat();
        let (targets, outputs) = data::targets(&split.train).expect("resolve asked for targets");
        let (size, samples) = (plan.input.len(), split.train.len() + test.len());
        let row = |a: usize| &inputs[a * size..(a + 1) * size];
        let dot = |k: usize| row(k / samples).iter().zip(row(k % samples)).map(|(x, y)| x * y).sum::<f64>();
        let gram = (0..samples * samples).map(|k| dot(k) / size as f64).collect();
        let (train, test) = ((0..split.train.len()).collect(), (split.train.len()..samples).collect());
        Ok(Setting { plan, init, rates, stack, inputs, gram, train, test, targets, outputs, width })
    }

    fn question(&self) -> Question<'_> {
        Question {
            stack: &self.stack,
            input: &self.gram,
            samples: self.train.len() + self.test.len(),
            train: &self.train,
            test: &self.test,
            targets: &self.targets,
            outputs: self.outputs,
            width: self.width as f64,
        }
    }

    fn learning(&self, seed: u64) -> Learning<'_> {
        let (train, test) = self.inputs.split_at(self.train.len() * self.plan.input.len());
        let Setting { plan, init, rates, targets, .. } = self;
        Learning { plan, init, rates, seed, train, targets, test }
    }

    /// Steps of 1/λ_max of the tangent kernel at infinite width.
    fn flow(&self) -> Result<FlowSpec, LabError> {
        let state = self.question().state(Wanted::Tangent)?;
        let theta = state.tangent.expect("it was asked for").mean;
        let (n, all) = (self.train.len(), self.train.len() + self.test.len());
        let inner: Vec<f64> = (0..n * n).map(|k| theta[k / n * all + k % n]).collect();
        let values = symmetric_eigen(&inner, n).map_err(|_| singular())?.values;
        Ok(FlowSpec { stepping: Stepping::RungeKutta, rate: 1.0 / values[n - 1], steps: STEPS })
    }
}

fn singular() -> LabError {
    carnot_theory::error::TheoryError::Singular { what: "tangent kernel" }.into()
}

/// The plain dense stack that 1/n theory is known for.
fn stack(
    network: &Network,
    plan: &Plan,
    init: &[carnot_net::hyper::LayerInit],
    rates: &[carnot_net::hyper::LayerRate],
) -> Result<Stack, LabError> {
    let refuse = |why: String| LabError::OutOfRange {
        key: "widths",
        value: crate::spec::describe::network(network),
        range: format!("about a plain dense stack with one activation, for which 1/n theory is known: {why}"),
    };
    let found = steps(plan).map_err(|layer| refuse(format!("{layer} is not part of one")))?;
    if found.steps.iter().any(|step| step.skip != 0.0) {
        return Err(refuse("it has skips".into()));
    }
    let scales = |step: &carnot_theory::shape_of::Step| {
        let (init, rate) = (init[step.weighted], rates[step.weighted]);
        let on = if step.bias { 1.0 } else { 0.0 };
        Scales::new(init.c_w, on * init.c_b).with_rates(rate.lambda_w, on * rate.lambda_b)
    };
    let layers = found.steps.iter().map(scales).collect();
    Ok(Stack { activation: found.activation.formula, layers, width_ratios: Vec::new() })
}

fn count(layers: &[Named]) -> usize {
    let of = |named: &Named| match &named.layer {
        Layer::Dense(_) => 1,
        Layer::Repeat(repeat) => repeat.times * count(&repeat.block),
        _ => 0,
    };
    layers.iter().map(of).sum()
}

/// Gives the first `left` dense layers this width; a repeat that holds the last one is not met in a dense stack.
fn widen(layers: &mut [Named], width: usize, left: &mut usize) {
    for named in layers {
        match &mut named.layer {
            Layer::Dense(dense) if *left > 0 => {
                dense.width = width;
                *left -= 1;
            }
            Layer::Repeat(repeat) => {
                let inside = count(&repeat.block);
                let mut most = inside;
                widen(&mut repeat.block, width, &mut most);
                *left = left.saturating_sub(repeat.times * inside);
            }
            _ => {}
        }
    }
}

/// Refuses what 1/n theory has no tensors for, before any work.
///
/// # Errors
/// [`LabError::OutOfRange`].
pub fn check(spec: &KernelSpec, split: &Split) -> Result<(), LabError> {
    let test = split.test.as_ref().map_or(0, carnot_net::dataset::Dataset::len);
    let samples = split.train.len() + test;
    let out = |key, value: String, range: &str| Err(LabError::OutOfRange { key, value, range: range.into() });
    if test == 0 {
        return out(
            "test",
            "0".into(),
            "at least 1 beside --widths: finite width is asked about predictions",
        );
    }
    if samples > MOST {
        return out(
            "train",
            samples.to_string(),
            "at most 12 together with --test: 1/n tensors are of fourth order",
        );
    }
    let narrow = spec.widths.iter().find(|width| !(4..=65_536).contains(*width));
    if let Some(width) = narrow {
        return out("widths", width.to_string(), "from 4 to 65536");
    }
    Setting::of(spec, split, spec.widths[0]).map(|_| ())
}

/// Measures the members of one job.
///
/// # Errors
/// When sizes do not fit, or a kernel is singular.
pub fn measure(spec: &KernelSpec, split: &Split, members: Members) -> Result<Value, LabError> {
    let setting = Setting::of(spec, split, members.width)?;
    let task = setting.learning(spec.seed);
    let range = members.from..members.to;
    let value = match members.what {
        What::Posterior => {
            let offset = posterior_at_width(&setting.question(), NOISE)?.log_evidence.leading;
            serde_json::to_value(weigh_job(&task, offset, range)?)
        }
        What::Linear => serde_json::to_value(run_linear(&task, setting.flow()?, End::Converged, range)?),
        What::Trained => serde_json::to_value(run_job(&task, setting.flow()?, End::Converged, range)?),
    };
    value.map_err(|error| LabError::Answer { job: "finite width".into(), message: error.to_string() })
}

/// Variance of the targets: they are exact.
const NOISE: f64 = 0.0;

/// One quantity at one width, measured and predicted.
#[derive(Clone, Debug, Serialize)]
struct Compared {
    width: usize,
    what: String,
    measured: Option<f64>,
    error: Option<f64>,
    infinite: f64,
    corrected: f64,
    z_infinite: Option<f64>,
    z_corrected: Option<f64>,
    relative: f64,
}

fn line(width: usize, what: String, measured: Option<Estimate>, theory: Corrected) -> Compared {
    let measured = measured.filter(|m| m.value.is_finite() && m.error > 0.0);
    let z = |predicted: f64| measured.map(|m| (m.value - predicted) / m.error);
    Compared {
        width,
        what,
        measured: measured.map(|m| m.value),
        error: measured.map(|m| m.error),
        infinite: theory.leading,
        corrected: theory.value(),
        z_infinite: z(theory.leading),
        z_corrected: z(theory.value()),
        relative: theory.relative(),
    }
}

/// Everything at one width, and the reasons for what is missing.
fn lines(
    spec: &KernelSpec,
    split: &Split,
    width: usize,
    points: &[(Members, &Point)],
    notes: &mut Vec<String>,
) -> Result<Vec<Compared>, LabError> {
    let setting = Setting::of(spec, split, width)?;
    let question = setting.question();
    let mut trained = TrainedPart::default();
    let mut posterior: Option<PosteriorPart> = None;
    let mut kinds = Vec::new();
    for (members, point) in points.iter().filter(|(members, _)| members.width == width) {
        kinds.push(members.what);
        match members.what {
            What::Posterior => {
                let part: PosteriorPart = point.read()?;
                match &mut posterior {
                    None => posterior = Some(part),
                    Some(all) => all.merge(&part)?,
                }
            }
            _ => {
                let part: TrainedPart = point.read()?;
                match trained == TrainedPart::default() {
                    true => trained = part,
                    false => trained.merge(&part)?,
                }
            }
        }
    }
    let (m, o) = (setting.test.len(), setting.outputs);
    let name = |b: usize, i: usize| if o == 1 { format!("{b}") } else { format!("{b}, output {i}") };
    let mut all = Vec::new();
    let bayes = posterior_at_width(&question, NOISE)?;
    for b in 0..m {
        for i in 0..o {
            let measured = posterior.as_ref().map(|part| part.mean(b, i, o));
            all.push(line(
                width,
                format!("Bayesian mean, sample {}", name(b, i)),
                measured,
                bayes.mean[b * o + i],
            ));
            let measured = posterior.as_ref().map(|part| part.covariance(b, [i, i], o));
            let theory = bayes.covariance[(i * m + b) * m + b];
            all.push(line(width, format!("Bayesian variance, sample {}", name(b, i)), measured, theory));
        }
    }
    let measured = posterior.as_ref().map(PosteriorPart::log_evidence);
    all.push(line(width, "ln evidence".into(), measured, bayes.log_evidence));
    if let Some(part) = &posterior {
        let (count, of) = (part.effective_batches(), part.batches.len() as f64);
        if count < 0.3 * of {
            notes.push(format!(
                "width {width}: only {} of {of} batches of weighed networks count, errors of the Bayesian lines are too small",
                significant(count, 2)
            ));
        }
    }
    let has = |what: What| kinds.contains(&what);
    let both = has(What::Trained) && has(What::Linear);
    match trained_at_width(&question, Duration::Converged) {
        Ok(theory) => {
            let mean = if both { Some(trained.mean()) } else { None };
            for b in 0..m {
                for i in 0..o {
                    let at = b * o + i;
                    let measured = mean.as_ref().map(|mean| mean[at]);
                    all.push(line(
                        width,
                        format!("trained mean, sample {}", name(b, i)),
                        measured,
                        theory.mean[at],
                    ));
                }
            }
        }
        Err(because) => {
            notes.push(format!(
                "the 1/n shift of trained networks is {because}; shown is that of networks made linear"
            ));
            let theory = linear_at_width(&question, Duration::Converged)?;
            for b in 0..m {
                for i in 0..o {
                    let at = b * o + i;
                    let measured = has(What::Linear).then(|| trained.linear[at].estimate());
                    let what = format!("linear mean, sample {}", name(b, i));
                    all.push(line(width, what, measured, theory.linear[at]));
                }
            }
        }
    }
    Ok(all)
}

/// The report on all widths.
///
/// # Errors
/// When theory has no answer.
pub fn report(spec: &KernelSpec, split: &Split, jobs: &[Job], points: &[Point]) -> Result<Report, LabError> {
    let mut report = Report::new("kernel", &write::subject(spec));
    let found: Vec<(Members, &Point)> = points
        .iter()
        .filter_map(|point| {
            let job = jobs.iter().find(|job| job.id == point.job)?;
            serde_json::from_value(job.at.get("members")?.clone()).ok().map(|members| (members, point))
        })
        .collect();
    let mut notes = Vec::new();
    let mut all = Vec::new();
    for &width in &spec.widths {
        all.extend(lines(spec, split, width, &found, &mut notes)?);
    }
    notes.sort();
    notes.dedup();
    report.headline = Some(headline(&all, &spec.widths));
    report.summary.extend(notes.into_iter().map(|note| Line::new("note", note)));
    report.sections.push(Section::Table(table(&all)));
    report.sections.extend(pictures(&all).into_iter().map(Section::Chart));
    report.extra.insert("finite_width".into(), json!(all));
    report
        .next
        .push(Line::new("explain", "carnot explain vertex").with_note("what fluctuates at finite width"));
    report.provenance = Provenance::default();
    Ok(report)
}

/// Predictions are refuted beyond this many standard errors.
const REFUTED: f64 = 4.0;

/// At the widest networks: how many of the predictions whose correction is small enough to be trusted hold.
fn headline(all: &[Compared], widths: &[usize]) -> Headline {
    let widest = widths.iter().copied().max().unwrap_or(0);
    let trusted: Vec<&Compared> = all
        .iter()
        .filter(|line| line.width == widest && line.relative <= TRUSTED && line.measured.is_some())
        .collect();
    if trusted.is_empty() {
        let measured = all.iter().any(|line| line.measured.is_some());
        let (text, tone) = match measured {
            true => ("NO CORRECTION IS SMALL ENOUGH TO BE TRUSTED AT THESE WIDTHS", Tone::Costs),
            false => ("PREDICTIONS AT FINITE WIDTH", Tone::Plain),
        };
        return Headline { text: text.into(), tone };
    }
    let holds = |of: fn(&Compared) -> Option<f64>| {
        trusted.iter().filter(|line| of(line).is_some_and(|z| z.abs() < REFUTED)).count()
    };
    let (corrected, infinite) = (holds(|line| line.z_corrected), holds(|line| line.z_infinite));
    let text = format!(
        "AT WIDTH {widest} {corrected} OF {} PREDICTIONS HOLD WITH 1/N, {infinite} WITHOUT",
        trusted.len()
    );
    Headline { text, tone: if corrected == trusted.len() { Tone::Good } else { Tone::Costs } }
}

fn table(all: &[Compared]) -> Table {
    let number = |value: Option<f64>| value.map_or(Cell::missing(), |value| Cell::significant(value, 2));
    let row = |line: &Compared| {
        let measured = match (line.measured, line.error) {
            (Some(value), Some(error)) => Cell::measured(value, error),
            _ => Cell::missing(),
        };
        Row::new(vec![
            Cell::text(line.width.to_string()),
            Cell::text(line.what.clone()),
            measured,
            Cell::significant(line.infinite, 5),
            number(line.z_infinite),
            Cell::significant(line.corrected, 5),
            number(line.z_corrected),
            Cell::text(if line.relative > TRUSTED {
                format!("{} !", percent(line.relative))
            } else {
                percent(line.relative)
            }),
        ])
    };
    Table {
        title: "Networks of finite width".into(),
        caption: "z is measured minus predicted, in standard errors; above 4 the prediction is refuted. A 1/n part above 30 % is \
                  marked: the next order is not small either."
            .into(),
        columns: vec![
            Heading::count("width"),
            Heading::words(""),
            Heading::number("real networks"),
            Heading::number("n → ∞"),
            Heading::number("z"),
            Heading::number("with 1/n"),
            Heading::number("z"),
            Heading::count("1/n part"),
        ],
        rows: all.iter().map(row).collect(),
        ..Table::default()
    }
}

/// Each quantity against 1/width: dots measured, a line with the correction, a grey one without.
fn pictures(all: &[Compared]) -> Vec<Chart> {
    let mut names: Vec<&str> = all.iter().map(|line| line.what.as_str()).collect();
    names.dedup();
    names.sort_unstable();
    names.dedup();
    let interesting = ["trained mean", "linear mean", "Bayesian mean"];
    let chosen = interesting.iter().filter_map(|kind| names.iter().find(|name| name.starts_with(kind)));
    chosen
        .map(|name| {
            let of: Vec<&Compared> = all.iter().filter(|line| line.what == **name).collect();
            let at = |line: &&Compared| 1.0 / line.width as f64;
            let mut x: Vec<f64> = of.iter().map(at).collect();
            let mut corrected: Vec<f64> = of.iter().map(|line| line.corrected).collect();
            let mut infinite: Vec<f64> = of.iter().map(|line| line.infinite).collect();
            let known: Vec<&&Compared> = of.iter().filter(|line| line.measured.is_some()).collect();
            let dots: Vec<f64> = known.iter().map(|line| 1.0 / line.width as f64).collect();
            let values: Vec<f64> = known.iter().filter_map(|line| line.measured).collect();
            let errors: Vec<f64> = known.iter().filter_map(|line| line.error).collect();
            if let Some(first) = of.first() {
                x.push(0.0);
                corrected.push(first.infinite);
                infinite.push(first.infinite);
            }
            let caption = known.first().map_or(String::new(), |line| {
                format!(
                    "At width {} infinite width is off by {} standard errors, the correction by {}.",
                    line.width,
                    significant(line.z_infinite.unwrap_or(f64::NAN).abs(), 2),
                    significant(line.z_corrected.unwrap_or(f64::NAN).abs(), 2)
                )
            });
            Chart::new(name, &caption, Axis::linear("1 / width"), Axis::linear("prediction"))
                .with(Series::line("n → ∞", &x, &infinite).in_ink(Ink::Context))
                .with(Series::line("with 1/n", &x, &corrected))
                .with(Series::dots("real networks", &dots, &values, &errors))
        })
        .collect()
}
