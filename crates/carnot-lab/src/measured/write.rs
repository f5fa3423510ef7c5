//! Everything that a recording says → report: verdict, findings, the stress map, layers, coverage.

use carnot_probe::reading::LayerReading;
use carnot_probe::recording::Recording;
use carnot_report::chart::{Axis, Chart, Series};
use carnot_report::finding::{Finding, Level};
use carnot_report::report::{Coverage, Line, Provenance, Report, Skipped, Verdict, Word};
use carnot_report::section::{Cell, Heading, Role, Row, Section, Show, StressMap, Table, Text};
use serde_json::json;

use super::checks::{TABLE, short};
use super::columns;
use super::evidence::ModelEvidence;
use super::load::curve::{LoadCurve, TRACE};
use super::load::verdict::bend;

/// The report on a recording.
#[must_use]
pub fn report(run: &Recording, reference: Option<&Recording>, command: &str) -> Report {
    let mut report = Report::new("check", &subject(run));
    report.provenance = Provenance {
        version: env!("CARGO_PKG_VERSION").into(),
        device: "recording".into(),
        command: command.into(),
        more: run.header.versions.clone(),
        ..Provenance::default()
    };
    report.coverage = Some(coverage(run));
    let Some(evidence) = ModelEvidence::of(run, reference) else {
        let why = "the recording holds no whole step: the writer was stopped before the end of its first one"
            .into();
        report.verdict = Some(Verdict { word: Word::CannotTell, why });
        return report;
    };
    let mut unexamined = Vec::new();
    for check in TABLE {
        match (check.run)(&evidence) {
            Ok(findings) => report.findings.extend(findings),
            Err(because) => unexamined.push((format!("{} {}", check.page.code, check.page.name), because)),
        }
    }
    report.verdict = Some(verdict(&evidence, &report.findings));
    report.profiles = columns::profiles(evidence.steps());
    sections(&mut report, &evidence, &unexamined);
    let unexamined: Vec<_> =
        unexamined.iter().map(|(check, because)| json!({ "check": check, "because": because })).collect();
    report.extra.insert("unexamined".into(), json!(unexamined));
    report.extra.insert("steps".into(), json!(run.steps.iter().map(|step| step.step).collect::<Vec<_>>()));
    report.summary = summary(run, &evidence, &report.findings);
    report.next = next(&report.findings);
    report
}

pub(super) fn subject(run: &Recording) -> String {
    let model = if run.header.model.is_empty() { "model" } else { &run.header.model };
    if run.header.is_snapshot {
        return model.into();
    }
    match (run.steps.first(), run.steps.last()) {
        (Some(first), Some(last)) if first.step != last.step => {
            format!("{model}, steps {} to {}, {} read", first.step, last.step, run.steps.len())
        }
        (_, Some(last)) => format!("{model}, step {}", last.step),
        _ => model.into(),
    }
}

fn verdict(evidence: &ModelEvidence, findings: &[Finding]) -> Verdict {
    let worst = findings.iter().min_by_key(|finding| finding.level);
    if let Some(finding) = worst.filter(|finding| finding.level < Level::Note) {
        let word = if finding.level == Level::Blocks { Word::WillNotLearn } else { Word::LearnsAtACost };
        let why = format!("{}: {}, because {}.", finding.at, finding.saw, finding.because);
        return Verdict { word, why };
    }
    let (word, why) = healthy(evidence);
    Verdict { word, why }
}

/// Without a finding: is there evidence *for* learning?
fn healthy(evidence: &ModelEvidence) -> (Word, String) {
    let losses: Vec<f64> = evidence.steps().iter().filter_map(|step| step.loss).collect();
    let fall = match losses.as_slice() {
        [first, .., last] => Some((*first, *last)),
        _ => None,
    };
    let n = evidence.stages.len();
    let separation = evidence.behind("separation");
    if let (Some(true), Some(Some(last))) = (
        evidence.stages.last().and_then(|stage| evidence.separates(evidence.layer(stage.last))),
        separation.last(),
    ) {
        let shuffled =
            evidence.layer(evidence.stages[n - 1].last).value("separation_shuffled").map_or(0.0, |s| s.value);
        if evidence.is_trained() {
            let loss = fall
                .map_or(String::new(), |(first, last)| format!(", loss {} → {}", short(first), short(last)));
            let why = format!(
                "Behind the last of {n} hidden layers the separation is {} (shuffled labels: {}){loss}; no layer stands out.",
                short(*last),
                short(shuffled)
            );
            return (Word::Learns, why);
        }
    }
    if let Some((first, last)) = fall.filter(|(first, last)| *last < 0.95 * first) {
        return (
            Word::Learns,
            format!("The loss falls from {} to {}; no layer stands out.", short(first), short(last)),
        );
    }
    let gradient = evidence.behind("gradient");
    if let (Some(Some(first)), Some(Some(last)), false) =
        (gradient.first(), gradient.last(), evidence.is_trained())
    {
        let why = format!(
            "Untrained: {} of the gradient at the last of {n} hidden layers reaches the first, and inputs stay apart.",
            short(first / last)
        );
        return (Word::Learns, why);
    }
    let needs = match evidence.is_trained() {
        true => "labels, or the loss of several steps",
        false => "gradients, or a step of training",
    };
    (Word::CannotTell, format!("Nothing stands out, but whether it learns cannot be told without {needs}."))
}

fn summary(run: &Recording, evidence: &ModelEvidence, findings: &[Finding]) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(finding) = findings.iter().min_by_key(|finding| finding.level) {
        lines.push(Line::new("layer", format!("{}{}", finding.at, position(finding))));
        lines.push(Line::new("remedy", finding.remedy.text.clone()));
    }
    if let Some(curve) = curve(evidence) {
        lines.push(Line::new("load", curve));
    }
    if run.thinned > 1 {
        lines.push(Line::new(
            "thinned",
            format!("every {}th step of a long recording is looked at", run.thinned),
        ));
    }
    if run.is_torn {
        lines.push(Line::new("torn", "the last record is not whole and is left out: the writer was stopped"));
    }
    lines
}

fn position(finding: &Finding) -> String {
    finding.position.as_ref().map_or(String::new(), |position| format!(", {position}"))
}

/// Total load and shape, where the loads may be judged: the curve of `carnot load`.
fn curve(evidence: &ModelEvidence) -> Option<String> {
    evidence.judged_loads().ok()?;
    let curve = LoadCurve::of(evidence, evidence.now(), &TRACE).ok()?;
    let shape = carnot_math::curve::shape(&curve.values()).ok()?;
    let relative = shape.relative.ok()?;
    Some(format!(
        "separation falls by {} over the hidden layers, {} (κ = {})",
        short(shape.total),
        bend(relative.convexity),
        short(relative.friction_index)
    ))
}

fn sections(report: &mut Report, evidence: &ModelEvidence, unexamined: &[(String, String)]) {
    report.sections.extend(pictures(evidence).into_iter().map(Section::Chart));
    report.sections.push(Section::StressMap(StressMap::default()));
    report.sections.push(Section::Table(layers(evidence, &report.findings)));
    if !unexamined.is_empty() {
        let lines: Vec<String> =
            unexamined.iter().map(|(check, because)| format!("{check}: {because}")).collect();
        report.sections.push(Section::Text(Text {
            title: "Not examined".into(),
            text: lines.join("\n"),
            show: Show::Page,
        }));
    }
}

/// Signal, separation or sameness, gradient, effective rank along depth.
fn pictures(evidence: &ModelEvidence) -> Vec<Chart> {
    let rows = [
        ("kernel", "signal K", true, "How large the signal is at each call."),
        (
            "separation",
            "separation D",
            false,
            "How far classes are apart: its fall across a layer is that layer's load.",
        ),
        ("gradient", "gradient", true, "How much of the gradient of the loss arrives at each call."),
        ("effective_rank", "effective rank", true, "How many directions each call uses."),
        (
            "load",
            "load",
            false,
            "What each call contributes to the separation; 0 is nothing, below 0 it undoes separation.",
        ),
    ];
    let start = evidence.start().filter(|step| step.step != evidence.now().step);
    let draw = |(name, title, log, caption): &(&str, &str, bool, &str)| {
        let (x, y, error) = points(&evidence.now().layers, name);
        if y.len() < 2 {
            return None;
        }
        let axis = |label: &str| if *log { Axis::log(label) } else { Axis::linear(label) };
        let mut chart = Chart::new(title, caption, Axis::linear("call"), axis(title));
        chart.about = Some((*name).into());
        if let Some(start) = start {
            let (x, y, _) = points(&start.layers, name);
            chart = chart.with(Series::line("untrained", &x, &y).in_ink(carnot_report::chart::Ink::Context));
        }
        Some(chart.with(Series::dots(&format!("step {}", evidence.now().step), &x, &y, &error)))
    };
    rows.iter().filter_map(draw).collect()
}

fn points(layers: &[LayerReading], name: &str) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (mut x, mut y, mut error) = (Vec::new(), Vec::new(), Vec::new());
    for (at, number) in layers.iter().enumerate().filter_map(|(at, layer)| Some((at, layer.value(name)?))) {
        x.push((at + 1) as f64);
        y.push(number.value);
        error.push(number.error.unwrap_or(0.0));
    }
    (x, y, error)
}

/// One row a stage for the terminal; the page has all calls and columns from the profiles.
fn layers(evidence: &ModelEvidence, findings: &[Finding]) -> Table {
    let rows: [(&str, &str); 6] = [
        ("kernel", "K"),
        ("correlation", "corr"),
        ("gradient", "gradient"),
        ("separation", "separation"),
        ("effective_rank", "erank"),
        ("update_ratio", "|ΔW|/|W|"),
    ];
    let value = |stage: &super::evidence::Stage, name: &str| {
        let at = if name == "update_ratio" { stage.first } else { stage.last };
        evidence.layer(at).value(name)
    };
    let shown: Vec<_> = rows
        .into_iter()
        .filter(|(name, _)| evidence.stages.iter().any(|stage| value(stage, name).is_some()))
        .collect();
    let loads = evidence.loads();
    let has_loads = loads.iter().any(Option::is_some);
    let mut columns = vec![Heading::count("layer"), Heading::words("")];
    columns.extend(shown.iter().map(|(_, label)| Heading::number(label)));
    if has_loads {
        columns.push(Heading::number("load"));
    }
    let row = |(at, stage): (usize, &super::evidence::Stage)| {
        let mut cells = vec![Cell::text((at + 1).to_string()), Cell::text(stage.name.clone())];
        let number =
            |name: &str| value(stage, name).map_or(Cell::missing(), |n| Cell::significant(n.value, 3));
        cells.extend(shown.iter().map(|(name, _)| number(name)));
        if has_loads {
            cells.push(loads[at].map_or(Cell::missing(), |load| Cell::significant(load.value, 3)));
        }
        let calls = &evidence.now().layers[stage.first..=stage.last];
        let is_here = |finding: &&Finding| calls.iter().any(|layer| layer.title() == finding.at);
        match findings.iter().filter(is_here).min_by_key(|finding| finding.level) {
            Some(finding) => Row::new(cells).with_mark(&format!("{} {}", finding.code, finding.name)),
            None => Row::new(cells),
        }
    };
    Table {
        title: "Layers".into(),
        role: Role::Layers,
        columns,
        rows: evidence.stages.iter().enumerate().map(row).collect(),
        ..Table::default()
    }
}

pub(super) fn coverage(run: &Recording) -> Coverage {
    let header = &run.header;
    let read = run.steps.last().map_or(0, |step| {
        let mut names: Vec<&str> = step
            .layers
            .iter()
            .filter(|layer| layer.weights.is_some())
            .map(|layer| layer.name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        names.len()
    });
    let skipped: Vec<Skipped> = header
        .modules
        .iter()
        .filter_map(|module| Some(Skipped { layer: module.name.clone(), because: module.skipped.clone()? }))
        .collect();
    let unread =
        header.modules.iter().filter(|module| module.skipped.is_some() && module.parameters > 0).count();
    let probe = match (header.probe.has_labels, header.probe.classes) {
        (true, classes) => format!("{} inputs, {classes} classes, eval mode", header.probe.samples),
        (false, _) => format!("{} inputs without labels, eval mode", header.probe.samples),
    };
    Coverage { read, of: read + unread, what: "layers with weights".into(), probe: Some(probe), skipped }
}

fn next(findings: &[Finding]) -> Vec<Line> {
    let worst = findings.iter().min_by_key(|finding| finding.level);
    worst
        .map(|finding| Line::new("explain", format!("carnot explain {}", finding.code)))
        .into_iter()
        .collect()
}
