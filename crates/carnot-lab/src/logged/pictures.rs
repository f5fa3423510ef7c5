//! The curve with the losses it is held against, and marks where something happened.

use carnot_log::curve::Curve;
use carnot_report::chart::{Axis, Chart, Ink, Series};
use carnot_report::section::{Section, Spark, Sparklines};

use super::evidence::LogEvidence;
use super::fate::words;
use super::happened::Event;
use crate::checks::short;

/// Points of a drawn curve at most: means of stretches of longer ones.
const DRAWN: usize = 300;

/// The pictures of a log: one for the terminal, one or two for the page.
#[must_use]
pub fn pictures(evidence: &LogEvidence, events: &[Event]) -> Vec<Section> {
    let mut sections = vec![sparklines(evidence)];
    sections.push(Section::Chart(losses(evidence, events)));
    sections.extend(norms(evidence).map(Section::Chart));
    sections
}

fn losses(evidence: &LogEvidence, events: &[Event]) -> Chart {
    let (x, y, error) = thinned(&evidence.curve);
    let mut chart = Chart::new(
        "loss over the steps",
        "Dots are means over stretches of the log with their standard errors; lines are losses that need no network.",
        Axis::linear(&evidence.log.unit),
        Axis::linear("loss"),
    );
    let ends = [x.first().copied().unwrap_or(0.0), x.last().copied().unwrap_or(1.0)];
    for reference in &evidence.references {
        let name = format!("{}, {}", words(reference.kind), short(reference.value));
        chart = chart.with(Series::line(&name, &ends, &[reference.value; 2]));
    }
    let range = |pick: fn(f64, f64) -> f64, from: f64| y.iter().copied().fold(from, pick);
    let (low, high) = (range(f64::min, f64::INFINITY), range(f64::max, f64::NEG_INFINITY));
    for event in events.iter().take(6) {
        let name = format!("{}, {}", event.word, evidence.at(event.step));
        chart = chart.with(Series::line(&name, &[event.step; 2], &[low, high]).in_ink(Ink::Context));
    }
    if let Some(validation) = other(evidence) {
        let (x, y, _) = thinned(&validation);
        chart = chart.with(Series::line("validation", &x, &y).in_ink(Ink::Context));
    }
    chart.with(Series::dots(evidence.loss_name(), &x, &y, &error))
}

/// Validation, where it is not itself the loss.
fn other(evidence: &LogEvidence) -> Option<Curve> {
    let validation = evidence.signals.validation.as_ref()?;
    (validation.name != evidence.loss_name()).then(|| Curve::of(validation).finite())
}

fn norms(evidence: &LogEvidence) -> Option<Chart> {
    let curve = Curve::of(evidence.signals.gradient.as_ref()?).finite();
    let is_positive = curve.values.iter().all(|&norm| norm > 0.0);
    let axis = if is_positive { Axis::log("gradient norm") } else { Axis::linear("gradient norm") };
    let (x, y, error) = thinned(&curve);
    let chart = Chart::new(
        "gradient norm",
        "Means over stretches of the log.",
        Axis::linear(&evidence.log.unit),
        axis,
    );
    (!x.is_empty()).then(|| chart.with(Series::dots("gradient norm", &x, &y, &error)))
}

/// Means over stretches, with their errors; every point of a short curve.
fn thinned(curve: &Curve) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let size = curve.len().div_ceil(DRAWN).max(1);
    let parts = curve.steps.chunks(size).zip(curve.values.chunks(size));
    let of = |(steps, values): (&[f64], &[f64])| {
        let n = values.len() as f64;
        let mean = |list: &[f64]| list.iter().sum::<f64>() / n;
        let centre = mean(values);
        let spread = values.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        (mean(steps), centre, (spread / n).sqrt())
    };
    let all: Vec<(f64, f64, f64)> = parts.map(of).collect();
    let errors = if size > 1 { all.iter().map(|point| point.2).collect() } else { Vec::new() };
    (all.iter().map(|point| point.0).collect(), all.iter().map(|point| point.1).collect(), errors)
}

/// Small curves for the terminal.
fn sparklines(evidence: &LogEvidence) -> Section {
    let mut rows = Vec::new();
    let mut put = |label: &str, curve: &Curve, log: bool| {
        let (_, y, _) = thinned(curve);
        if let (Some(first), Some(last)) = (y.first(), y.last()) {
            rows.push(Spark {
                label: label.into(),
                reading: format!("{} → {}", short(*first), short(*last)),
                values: y.iter().map(|&value| Some(value)).collect(),
                log,
                ..Spark::default()
            });
        }
    };
    put("loss", &evidence.curve, false);
    let more = [
        ("validation", other(evidence), false),
        ("rate", evidence.signals.rate.as_ref().map(Curve::of), false),
        ("gradient", evidence.signals.gradient.as_ref().map(|series| Curve::of(series).finite()), true),
    ];
    for (label, curve, log) in more {
        if let Some(curve) = curve {
            put(label, &curve, log);
        }
    }
    let ends = |at: Option<&f64>| evidence.at(at.copied().unwrap_or(0.0));
    Section::Sparklines(Sparklines {
        from: ends(evidence.curve.steps.first()),
        to: ends(evidence.curve.steps.last()),
        rows,
        ..Sparklines::default()
    })
}
