//! Everything that a log says → report: verdict, findings, the curve, what happened when.

use carnot_log::reference::Reference;
use carnot_report::finding::{Finding, Level};
use carnot_report::number::estimate;
use carnot_report::report::{Line, Provenance, Report, Verdict, Word};
use carnot_report::section::{Cell, Heading, Row, Section, Show, Table};
use serde_json::{Value, json};

use super::asked::Asked;
use super::checks::TABLE;
use super::evidence::LogEvidence;
use super::fate::{Fate, words};
use super::source::Found;
use super::{happened, pictures};
use crate::checks::short;
use crate::error::LabError;

/// The report on what was found.
///
/// # Errors
/// As [`LogEvidence::of`].
pub fn report(found: &Found, asked: &Asked, command: &str) -> Result<Report, LabError> {
    let mut asked = asked.clone();
    if asked.names.loss.is_none() {
        asked.names.loss = found.curves.first().cloned();
    }
    let evidence = LogEvidence::of(&found.log, &found.references, &asked)?;
    let mut report = Report::new("diagnose", &subject(&evidence));
    report.provenance = Provenance {
        version: env!("CARGO_PKG_VERSION").into(),
        device: found.log.format.clone(),
        command: command.into(),
        ..Provenance::default()
    };
    let mut unexamined = Vec::new();
    for check in TABLE {
        match (check.run)(&evidence) {
            Ok(findings) => report.findings.extend(findings),
            Err(because) => unexamined.push((format!("{} {}", check.page.code, check.page.name), because)),
        }
    }
    report.verdict = Some(verdict(&evidence, &report.findings));
    report.summary = summary(&evidence);
    let events = happened::events(&evidence);
    report.sections = pictures::pictures(&evidence, &events);
    report.sections.extend(happened::references(&evidence));
    report.sections.extend(happened::table(&evidence, &events));
    report.sections.extend(others(found, &asked)?);
    report.sections.extend(not_examined(&unexamined));
    let rest: Vec<Value> =
        unexamined.iter().map(|(check, because)| json!({ "check": check, "because": because })).collect();
    report.extra.insert("unexamined".into(), json!(rest));
    report.extra.insert("diagnosis".into(), data(&evidence, &events));
    report.next = next(&report.findings);
    Ok(report)
}

fn subject(evidence: &LogEvidence) -> String {
    let log = evidence.log;
    let name = log.path.trim_end_matches('/').rsplit('/').next().unwrap_or(&log.path);
    let n = evidence.raw.len();
    match (evidence.raw.steps.first(), evidence.raw.steps.last()) {
        (Some(first), Some(last)) => {
            let position = carnot_report::number::position;
            format!(
                "{name}, {}, {}s {} to {}, {n} losses",
                log.format,
                log.unit,
                position(*first),
                position(*last)
            )
        }
        _ => name.into(),
    }
}

fn verdict(evidence: &LogEvidence, findings: &[Finding]) -> Verdict {
    let worst = findings.iter().min_by_key(|finding| finding.level);
    let blocks = worst.filter(|finding| finding.level == Level::Blocks);
    if let Some(finding) = blocks {
        return Verdict { word: Word::WillNotLearn, why: format!("{}.", capital(&finding.saw)) };
    }
    if let Fate::Unknown(why) = &evidence.fate {
        return Verdict { word: Word::CannotTell, why: format!("{}.", capital(why)) };
    }
    if let Fate::Slow(stuck) = &evidence.fate {
        let slope = evidence.end.map_or(String::new(), |end| {
            let by = 1000.0;
            format!(
                " by {} in 1000 {}s",
                estimate(-end.slope.value * by, end.slope.error * by),
                evidence.log.unit
            )
        });
        let why = format!(
            "The loss is {}, not yet below {} of {}, and falls{slope}: more steps decide.",
            estimate(stuck.level.value, stuck.level.error),
            short(stuck.limit.value),
            words(stuck.limit.kind)
        );
        return Verdict { word: Word::CannotTell, why };
    }
    if let Some(finding) = worst.filter(|finding| finding.level == Level::Costs) {
        let why = format!("{} {}.", learned(evidence), capital(&finding.saw));
        return Verdict { word: Word::LearnsAtACost, why };
    }
    Verdict { word: Word::Learns, why: format!("{} Nothing stands out.", learned(evidence)) }
}

/// How far it has learned, in a sentence.
fn learned(evidence: &LogEvidence) -> String {
    let (Some(start), Some(end)) = (evidence.start, evidence.end) else { return String::new() };
    let span = end.to - evidence.curve.steps[0];
    let below = evidence.references.iter().rfind(|reference| reference.value > end.mean.value);
    let below = below.map_or(String::new(), |reference| {
        format!(", below the {} of {}", short(reference.value), words(reference.kind))
    });
    format!(
        "The loss falls from {} to {} in {}{below}.",
        short(start.value),
        estimate(end.mean.value, end.mean.error),
        evidence.many(span)
    )
}

fn summary(evidence: &LogEvidence) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(ahead) = &evidence.ahead {
        let text = format!(
            "still falls; at {} the loss would be {}",
            evidence.at(ahead.step),
            estimate(ahead.loss.value, ahead.loss.error)
        );
        lines.push(Line::new("ahead", text));
    }
    let signals = &evidence.signals;
    let named = [
        ("loss", &signals.loss),
        ("validation", &signals.validation),
        ("rate", &signals.rate),
        ("gradient norm", &signals.gradient),
        ("update norm", &signals.update),
        ("accuracy", &signals.accuracy),
        ("sharpness", &signals.sharpness),
    ];
    let read: Vec<String> = named
        .iter()
        .filter_map(|(what, series)| series.as_ref().map(|series| format!("{what} = {}", series.name)))
        .collect();
    lines.push(Line::new("read", read.join(", ")));
    lines.extend(evidence.log.remarks.iter().map(|remark| Line::new("note", remark.clone())));
    lines
}

/// The other trainings of a run, one row each.
fn others(found: &Found, asked: &Asked) -> Result<Option<Section>, LabError> {
    if found.curves.len() < 2 {
        return Ok(None);
    }
    let mut rows = Vec::new();
    for name in &found.curves {
        let mut own = asked.clone();
        own.names.loss = Some(name.clone());
        let evidence = LogEvidence::of(&found.log, &found.references, &own)?;
        let cell = |value: Option<f64>| value.map_or(Cell::missing(), |value| Cell::significant(value, 3));
        rows.push(Row::new(vec![
            Cell::text(name.clone()),
            cell(evidence.start.map(|start| start.value)),
            cell(evidence.end.map(|end| end.mean.value)),
            Cell::text(outcome(&evidence.fate)),
        ]));
    }
    Ok(Some(Section::Table(Table {
        title: "All trainings of this run".into(),
        caption: "The first is the one above; --loss NAME takes another.".into(),
        columns: vec![
            Heading::words("training"),
            Heading::number("start"),
            Heading::number("end"),
            Heading::words("outcome"),
        ],
        rows,
        ..Table::default()
    })))
}

fn not_examined(unexamined: &[(String, String)]) -> Option<Section> {
    let row = |(check, because): &(String, String)| {
        Row::new(vec![Cell::text(check.clone()), Cell::text(because.clone())])
    };
    (!unexamined.is_empty()).then(|| {
        let text = Table {
            title: "What could not be examined".into(),
            show: Show::Page,
            columns: vec![Heading::words("check"), Heading::words("why not")],
            rows: unexamined.iter().map(row).collect(),
            ..Table::default()
        };
        Section::Table(text)
    })
}

/// The outcome in a word.
fn outcome(fate: &Fate) -> &'static str {
    match fate {
        Fate::Diverged(_) => "diverged",
        Fate::Dead(_) => "dead",
        Fate::Stuck(_) => "stuck",
        Fate::Slow(_) => "slow",
        Fate::Learned => "learns",
        Fate::Unknown(_) => "cannot tell",
    }
}

fn data(evidence: &LogEvidence, events: &[happened::Event]) -> Value {
    let number = |value: f64, error: f64| json!({ "value": value, "error": error });
    let of = |reference: &Reference| json!({ "kind": format!("{:?}", reference.kind).to_lowercase(), "value": reference.value, "error": reference.error, "from": reference.from });
    let stuck = match &evidence.fate {
        Fate::Stuck(stuck) | Fate::Slow(stuck) => Some(stuck),
        _ => None,
    };
    json!({
        "outcome": outcome(&evidence.fate),
        "unit": evidence.log.unit,
        "start": evidence.start.map(|start| number(start.value, start.error)),
        "end": evidence.end.map(|end| number(end.mean.value, end.mean.error)),
        "slope": evidence.end.map(|end| number(end.slope.value, end.slope.error)),
        "ahead": evidence.ahead.map(|ahead| json!({ "step": ahead.step, "loss": number(ahead.loss.value, ahead.loss.error) })),
        "references": evidence.references.iter().map(of).collect::<Vec<_>>(),
        "at": stuck.map(|stuck| stuck.at.iter().map(of).collect::<Vec<_>>()),
        "events": events.iter().map(|event| json!({ "step": event.step, "word": event.word, "what": event.what })).collect::<Vec<_>>(),
        "remarks": evidence.log.remarks,
    })
}

fn next(findings: &[Finding]) -> Vec<Line> {
    let worst = findings.iter().min_by_key(|finding| finding.level);
    worst
        .map(|finding| Line::new("explain", format!("carnot explain {}", finding.code)))
        .into_iter()
        .collect()
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
