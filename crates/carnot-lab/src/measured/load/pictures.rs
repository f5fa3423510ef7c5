//! Curve, loads and steps as charts: theory is a line, data are dots with bars.

use carnot_probe::reading::Number;
use carnot_report::chart::{Axis, Chart, Ink, Series};

use super::curve::{LoadCurve, TRACE};
use super::history::{At, thinned};
use super::twin::Twin;
use crate::measured::evidence::ModelEvidence;
use carnot_theory::spring_block::fit::answer::Answer;

/// Curves of other steps that a picture holds besides the latest.
const CURVES: usize = 5;

/// All of them.
#[must_use]
pub fn all(evidence: &ModelEvidence, curve: &LoadCurve, twin: Option<&Twin>, history: &[At]) -> Vec<Chart> {
    let mut charts = vec![load_curve(evidence, curve, twin), loads(evidence, curve)];
    if history.len() > 1 {
        charts.push(over_the_steps(evidence, curve, history));
        charts.extend(friction(history));
    }
    charts
}

fn depth(evidence: &ModelEvidence) -> Axis {
    Axis::linear(if evidence.has_blocks {
        "block (0: before the first)"
    } else {
        "hidden layer (0: before the first)"
    })
}

/// Depths of the points of a curve.
fn depths(curve: &LoadCurve) -> Vec<f64> {
    (0..curve.points.len()).map(|at| (at + curve.first) as f64).collect()
}

fn load_curve(evidence: &ModelEvidence, curve: &LoadCurve, twin: Option<&Twin>) -> Chart {
    let x = depths(curve);
    let values = curve.values();
    let caption = match twin.map(|twin| &twin.answer) {
        Some(Answer::Fits(_)) => {
            "How far classes are apart behind each layer; the line is the chain of blocks that fits."
        }
        Some(Answer::DoesNotFit(_)) => {
            "How far classes are apart behind each layer; the line is the nearest chain, which does not fit."
        }
        None => "How far classes are apart behind each layer; the line is what equal loads would give.",
    };
    let mut chart = Chart::new(
        &format!("load curve: {}", curve.measure.words),
        caption,
        depth(evidence),
        Axis::linear(curve.measure.heading),
    );
    chart.about = Some(curve.measure.value.into());
    for (name, line) in references(evidence, curve) {
        let (x, y): (Vec<f64>, Vec<f64>) = x.iter().zip(line).filter_map(|(x, y)| Some((*x, y?))).unzip();
        if y.len() > 1 {
            chart = chart.with(Series::line(name, &x, &y).in_ink(Ink::Context));
        }
    }
    let (name, theory) = match twin {
        Some(twin) => ("chain", twin.curve().to_vec()),
        None => ("equal loads", chord(&values)),
    };
    let errors: Vec<f64> = curve.points.iter().map(|point| point.error.unwrap_or(0.0)).collect();
    chart.with(Series::line(name, &x, &theory)).with(Series::dots(
        &format!("step {}", evidence.now().step),
        &x,
        &values,
        &errors,
    ))
}

/// The same curve untrained, with shuffled labels, and of a healthy run.
fn references(evidence: &ModelEvidence, curve: &LoadCurve) -> Vec<(&'static str, Vec<Option<f64>>)> {
    let mut found = Vec::new();
    if let Some(start) = evidence.start().filter(|start| start.step != evidence.now().step) {
        let line = LoadCurve::of(evidence, start, curve.measure).map(|curve| curve.values());
        found.extend(line.ok().map(|line| ("untrained", line.into_iter().map(Some).collect())));
    }
    if *curve.measure == TRACE {
        let calls = std::iter::once(curve.zero_call)
            .chain(evidence.stages.iter().skip(curve.first).map(|stage| Some(stage.last)));
        let of = |call: Option<usize>| evidence.layer(call?).value("separation_shuffled").map(|n| n.value);
        found.push(("shuffled labels", calls.map(of).collect()));
    }
    if let Some(other) = &evidence.reference {
        let line = LoadCurve::of(other, other.now(), curve.measure).map(|curve| curve.values());
        found.extend(line.ok().map(|line| ("healthy run", line.into_iter().map(Some).collect())));
    }
    found
}

fn loads(evidence: &ModelEvidence, curve: &LoadCurve) -> Chart {
    let x: Vec<f64> = depths(curve)[1..].to_vec();
    let of = |number: &Number| (number.value, number.error.unwrap_or(0.0));
    let (y, errors): (Vec<f64>, Vec<f64>) = curve.loads.iter().map(of).unzip();
    let mean = y.iter().sum::<f64>() / y.len() as f64;
    let mut chart = Chart::new(
        &format!("load: fall of {}", curve.measure.words),
        "What each layer carries; the line is a fair share, 0 is nothing, below 0 it undoes separation.",
        depth(evidence),
        Axis::linear("load"),
    );
    chart.about = Some(curve.measure.load.into());
    chart
        .with(Series::line("nothing", &x, &vec![0.0; x.len()]).in_ink(Ink::Context))
        .with(Series::line("fair share", &x, &vec![mean; x.len()]))
        .with(Series::dots(&format!("step {}", evidence.now().step), &x, &y, &errors))
}

fn over_the_steps(evidence: &ModelEvidence, curve: &LoadCurve, history: &[At]) -> Chart {
    let x = depths(curve);
    let before = &history[..history.len() - 1];
    let chart = Chart::new(
        "load curve over the steps",
        "The same curve at earlier steps, and at the latest.",
        depth(evidence),
        Axis::linear(curve.measure.heading),
    );
    let chart = thinned(before.len(), CURVES)
        .into_iter()
        .map(|at| &before[at])
        .filter(|at| at.curve.len() == x.len())
        .fold(chart, |chart, at| {
            chart.with(Series::line(&format!("step {}", at.step), &x, &at.curve).in_ink(Ink::Context))
        });
    let last = &history[history.len() - 1];
    chart.with(Series::line(&format!("step {}", last.step), &x, &last.curve).in_ink(Ink::Data))
}

/// κ against the step, where it is known at two steps at least.
fn friction(history: &[At]) -> Option<Chart> {
    let known: Vec<(f64, f64, f64)> = history
        .iter()
        .filter_map(|at| {
            let kappa = at.shape.as_ref()?.friction_index?;
            let error = kappa.error.unwrap_or(0.0);
            // A curve that hardly falls has any slope over its mean.
            (error < 1.0).then_some((at.step as f64, kappa.value, error))
        })
        .collect();
    if known.len() < 2 {
        return None;
    }
    let column = |of: fn(&(f64, f64, f64)) -> f64| known.iter().map(of).collect::<Vec<f64>>();
    let (x, y, errors) = (column(|k| k.0), column(|k| k.1), column(|k| k.2));
    let chart = Chart::new(
        "friction index κ over the steps",
        "Above 0 deep layers carry more, below 0 shallow ones; steps whose κ is uncertain by more than 1 are left out.",
        Axis::linear("step"),
        Axis::linear("κ"),
    );
    Some(
        chart
            .with(Series::line("straight", &[x[0], x[x.len() - 1]], &[0.0, 0.0]))
            .with(Series::dots("κ", &x, &y, &errors)),
    )
}

fn chord(values: &[f64]) -> Vec<f64> {
    let last = values.len() - 1;
    (0..=last).map(|at| values[0] + (values[last] - values[0]) * at as f64 / last as f64).collect()
}
