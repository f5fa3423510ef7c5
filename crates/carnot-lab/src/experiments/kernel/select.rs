//! Which depth, activation and variances suit the data, by evidence and leave-one-out, before any training.

use carnot_math::stats::{Estimate, spearman};
use carnot_net::activation::Activation;
use carnot_net::hyper::LayerInit;
use carnot_net::network::Network;
use carnot_net::plan::Plan;
use carnot_net::shape::Shape;
use carnot_net::shorthand::{self, Style};
use carnot_report::chart::{Axis, Chart, Series};
use carnot_report::number::{estimate, percent, significant};
use carnot_report::report::{Headline, Line, Provenance, Report, Tone};
use carnot_report::section::{Cell, Heading, Map, Row, Section, Table};
use carnot_theory::initial::critical_point;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::{Measured, Scores};
use super::data::Split;
use super::{KernelSpec, work, write};
use crate::error::LabError;

/// Width in the shorthands that are recommended; theory at infinite width does not use it.
const WIDTH: usize = 512;
/// Weight variances that are compared, as multiples of the critical one.
const MULTIPLES: [f64; 3] = [0.5, 1.0, 2.0];
/// Bias variance that is compared with the critical one.
const BIAS: f64 = 0.1;
/// Rows of the table.
const SHOWN: usize = 10;

/// One setting that is compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Hidden layers.
    pub depth: usize,
    /// Activation.
    pub activation: String,
    /// Weight variance of every layer.
    pub c_w: f64,
    /// Bias variance of every layer.
    pub c_b: f64,
}

/// What was found of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rated {
    /// The setting.
    pub candidate: Candidate,
    /// ln evidence of the targets, when the scale of kernel and noise is free.
    pub log_evidence: Option<f64>,
    /// That scale.
    pub amplitude: Option<f64>,
    /// Noise chosen.
    pub noise: Option<f64>,
    /// Each training sample from all others.
    pub left_out: Option<Scores>,
    /// On the samples kept aside, which decide nothing.
    pub kept_aside: Option<Scores>,
    /// Why nothing is known.
    pub because: Option<String>,
}

/// All settings in order.
///
/// # Errors
/// When an activation cannot be read.
pub fn candidates(spec: &KernelSpec) -> Result<Vec<Candidate>, LabError> {
    let mut all = Vec::new();
    for text in &spec.activations {
        let activation = Activation::parse(text)?;
        let point = critical_point(&activation).ok().and_then(|found| found.point().map(|p| (p.c_w, p.c_b)));
        let (c_w, c_b) = point.unwrap_or((1.0, 0.0));
        let c_ws = if spec.c_ws.is_empty() { MULTIPLES.map(|m| m * c_w).to_vec() } else { spec.c_ws.clone() };
        let c_bs = if spec.c_bs.is_empty() { vec![c_b, c_b + BIAS] } else { spec.c_bs.clone() };
        for &depth in &spec.depths {
            for &c_w in &c_ws {
                for &c_b in &c_bs {
                    all.push(Candidate { depth, activation: text.clone(), c_w, c_b });
                }
            }
        }
    }
    Ok(all)
}

impl Candidate {
    /// Name of its job.
    pub fn name(&self) -> String {
        format!("{} layers of {}, C_W {:e}, C_b {:e}", self.depth, self.activation, self.c_w, self.c_b)
    }

    /// The network: a dense stack over the inputs as one vector.
    ///
    /// # Errors
    /// When the activation cannot be read.
    pub fn network(&self, like: &Plan) -> Result<Network, LabError> {
        let style = Style { activation: Activation::parse(&self.activation)?, residual: None, norm: None };
        let text = self.shorthand(like.input.len(), like.output().len());
        let mut network = shorthand::parse(&text, &style)?;
        network.input = Shape::features(like.input.len());
        Ok(network)
    }

    fn shorthand(&self, inputs: usize, outputs: usize) -> String {
        match self.depth {
            0 => format!("{inputs}-{outputs}"),
            1 => format!("{inputs}-{WIDTH}-{outputs}"),
            depth => format!("{inputs}-{WIDTH}x{depth}-{outputs}"),
        }
    }
}

/// Rates one candidate on the training samples; what was kept aside is looked at and decides nothing.
///
/// # Errors
/// When the data do not fit. A kernel without an answer is not an error, but a candidate without a rating.
pub fn rate(spec: &KernelSpec, split: &Split, candidate: &Candidate) -> Result<Rated, LabError> {
    let like = Plan::new(spec.network.network())?;
    let plan = Plan::new(&candidate.network(&like)?)?;
    let init = vec![LayerInit::normal(candidate.c_w, candidate.c_b); plan.weighted];
    let unknown = |because: String| Rated {
        candidate: candidate.clone(),
        log_evidence: None,
        amplitude: None,
        noise: None,
        left_out: None,
        kept_aside: None,
        because: Some(because),
    };
    let side = match work::bayesian(spec, &plan, &init, split) {
        Ok(side) => side,
        Err(error @ (LabError::Kernel(_) | LabError::Theory(_))) => return Ok(unknown(error.to_string())),
        Err(error) => return Err(error),
    };
    let Some(prediction) = side.prediction else {
        return Ok(unknown(side.because.unwrap_or_else(|| "not known".into())));
    };
    Ok(Rated {
        candidate: candidate.clone(),
        log_evidence: prediction.evidence_at_amplitude,
        amplitude: prediction.amplitude,
        noise: Some(prediction.noise),
        left_out: prediction.left_out,
        kept_aside: prediction.kept_aside,
        because: prediction.no_evidence,
    })
}

/// The report on all candidates.
pub fn report(spec: &KernelSpec, rated: &[Rated]) -> Report {
    let mut report = Report::new("kernel", &write::subject(spec));
    let mut order: Vec<&Rated> = rated.iter().filter(|r| r.log_evidence.is_some()).collect();
    order.sort_by(|a, b| b.log_evidence.unwrap_or(f64::NAN).total_cmp(&a.log_evidence.unwrap_or(f64::NAN)));
    let Some(best) = order.first() else {
        report.headline = Some(Headline { text: "NO SETTING GIVES AN EVIDENCE".into(), tone: Tone::Blocks });
        let because = rated.iter().find_map(|r| r.because.clone());
        report.summary.extend(because.map(|because| Line::new("because", because)));
        return report;
    };
    let choice = &best.candidate;
    report.headline = Some(Headline {
        text: format!("{} LAYERS OF {} SUIT THESE DATA BEST", choice.depth, choice.activation.to_uppercase()),
        tone: Tone::Good,
    });
    let left_out = best.left_out.and_then(|s| s.accuracy).map(|a| 100.0 * a.value);
    let words = left_out.map_or(String::new(), |a| format!("; left out {} %", significant(a, 3)));
    report.summary.push(Line::new(
        "chosen",
        format!(
            "C_W = {}, C_b = {}: ln evidence {}{words}",
            significant(choice.c_w, 3),
            significant(choice.c_b, 3),
            significant(best.log_evidence.unwrap_or(f64::NAN), 6)
        ),
    ));
    if let Some(correlation) = agreement(&order) {
        report.summary.push(Line::new(
            "aside",
            format!(
                "rank correlation of evidence with the error on samples kept aside: {} over {} settings",
                estimate(correlation.value, correlation.error),
                order.len()
            ),
        ));
    }
    report.sections.push(Section::Table(table(&order)));
    report.sections.extend(scatter(&order).map(Section::Chart));
    report.sections.extend(map(rated, &choice.activation, choice.c_b).map(Section::Map));
    let plan = Plan::new(spec.network.network()).expect("resolved networks have a plan");
    let shape = choice.shorthand(plan.input.len(), plan.output().len());
    let quoted = match choice.activation.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        true => choice.activation.clone(),
        false => format!("'{}'", choice.activation),
    };
    report.next.push(Line::new(
        "use",
        format!("{shape} --activation {quoted} --c-w {} --c-b {}", choice.c_w, choice.c_b),
    ));
    let lost = rated.len() - order.len();
    if lost > 0 {
        let because = rated.iter().find(|r| r.log_evidence.is_none()).and_then(|r| r.because.clone());
        report.summary.push(Line::new(
            "note",
            format!("{lost} of {} settings have no evidence: {}", rated.len(), because.unwrap_or_default()),
        ));
    }
    report.extra.insert("selection".into(), json!(rated));
    report.provenance = Provenance { device: "theory".into(), ..Provenance::default() };
    report
}

/// Spearman's rank correlation of evidence and −error aside, with the error (1 − r²)/√(n − 1).
fn agreement(order: &[&Rated]) -> Option<Estimate> {
    let pairs: Vec<(f64, f64)> =
        order.iter().filter_map(|r| Some((r.log_evidence?, -r.kept_aside?.error.value))).collect();
    if pairs.len() < 4 {
        return None;
    }
    let value = spearman(&pairs)?;
    let n = pairs.len() as f64;
    Some(Estimate { value, error: (1.0 - value * value) / (n - 1.0).sqrt(), ..Estimate::exact(value) })
}

fn table(order: &[&Rated]) -> Table {
    let cell = |share: Option<Measured>, factor: f64| {
        share.map_or(Cell::missing(), |m| Cell::measured(factor * m.value, factor * m.error))
    };
    let row = |r: &&Rated| {
        Row::new(vec![
            Cell::text(r.candidate.depth.to_string()),
            Cell::text(r.candidate.activation.clone()),
            Cell::significant(r.candidate.c_w, 3),
            Cell::significant(r.candidate.c_b, 3),
            Cell::significant(r.noise.unwrap_or(f64::NAN), 2),
            Cell::significant(r.log_evidence.unwrap_or(f64::NAN), 6),
            cell(r.left_out.and_then(|s| s.accuracy), 100.0),
            cell(r.left_out.map(|s| s.error), 1.0),
            cell(r.kept_aside.and_then(|s| s.accuracy), 100.0),
            cell(r.kept_aside.map(|s| s.error), 1.0),
        ])
    };
    Table {
        title: "Settings by evidence".into(),
        caption: "What was kept aside was not used to choose.".into(),
        columns: vec![
            Heading::count("layers"),
            Heading::words("activation"),
            Heading::number("C_W"),
            Heading::number("C_b"),
            Heading::number("noise"),
            Heading::number("ln evidence"),
            Heading::number("left out %"),
            Heading::number("its error"),
            Heading::number("aside %"),
            Heading::number("its error"),
        ],
        rows: order.iter().take(SHOWN).map(row).collect(),
        folded: (order.len() > SHOWN).then(|| format!("{} more settings: --json", order.len() - SHOWN)),
        ..Table::default()
    }
}

fn scatter(order: &[&Rated]) -> Option<Chart> {
    let points: Vec<(f64, f64)> =
        order.iter().filter_map(|r| Some((r.log_evidence?, r.kept_aside?.error.value))).collect();
    let (x, y): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
    let best = order.first()?.kept_aside?.error.value;
    let least = y.iter().copied().fold(f64::INFINITY, f64::min);
    let caption = format!(
        "The setting of largest evidence is {} worse aside than the best of all.",
        percent(best / least - 1.0)
    );
    let (across, up) = (Axis::linear("ln evidence"), Axis::linear("squared error, kept aside"));
    (x.len() > 3).then(|| {
        Chart::new("does the evidence choose well?", &caption, across, up).with(Series::dots(
            "settings",
            &x,
            &y,
            &[],
        ))
    })
}

/// Error of samples left out over depth and weight variance, for the chosen activation and bias variance.
fn map(rated: &[Rated], activation: &str, c_b: f64) -> Option<Map> {
    let of: Vec<&Rated> =
        rated.iter().filter(|r| r.candidate.activation == activation && r.candidate.c_b == c_b).collect();
    let sorted = |value: &dyn Fn(&Candidate) -> f64| {
        let mut all: Vec<f64> = of.iter().map(|r| value(&r.candidate)).collect();
        all.sort_by(f64::total_cmp);
        all.dedup();
        all
    };
    let (x_values, y_values) = (sorted(&|c| c.depth as f64), sorted(&|c| c.c_w));
    if x_values.len() < 2 || y_values.len() < 2 {
        return None;
    }
    let at = |x: f64, y: f64| {
        let found = of.iter().find(|r| r.candidate.depth as f64 == x && r.candidate.c_w == y);
        found.and_then(|r| Some(r.left_out?.error.value))
    };
    let cells = y_values.iter().map(|&y| x_values.iter().map(|&x| at(x, y)).collect()).collect();
    Some(Map {
        limits: None,
        title: "error of samples left out".into(),
        caption: format!("For {activation} with C_b = {}.", significant(c_b, 3)),
        x: Axis::linear("hidden layers"),
        y: Axis::log("C_W"),
        x_values,
        y_values,
        cells,
        outcomes: Vec::new(),
        scale: "squared error, left out".into(),
        border: Vec::new(),
    })
}
