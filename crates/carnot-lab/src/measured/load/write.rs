//! Everything → report: the headline, the curve, its shape, its twin, its history, findings about loads.

use carnot_probe::recording::Recording;
use carnot_report::number::percent;
use carnot_report::report::{Headline, Line, Provenance, Report, Tone, Verdict, Word};
use carnot_report::section::{Section, Show, Text};
use serde_json::{Value, json};

use super::curve::{LoadCurve, Measure, measures};
use super::history::{self, At};
use super::shape::{self, Shaped};
use super::twin::{self, Twin};
use super::verdict::{AgainstChance, Says, bend, judge, judgeable, spans, spreads};
use super::{pictures, tables};
use crate::measured::checks::TABLE;
use crate::measured::evidence::ModelEvidence;
use crate::measured::write::{coverage, subject};

/// One measure with all that is said of it.
struct Told {
    curve: LoadCurve,
    shaped: Result<Shaped, String>,
    chance: Option<AgainstChance>,
    /// Who carries the load.
    says: Result<Says, String>,
    twin: Result<Twin, String>,
    history: Vec<At>,
}

/// The report on a recording.
#[must_use]
pub fn report(run: &Recording, reference: Option<&Recording>, command: &str) -> Report {
    let mut report = Report::new("load", &subject(run));
    report.provenance = Provenance {
        version: env!("CARGO_PKG_VERSION").into(),
        device: "recording".into(),
        command: command.into(),
        seed: Some(shape::SEED),
        more: run.header.versions.clone(),
        ..Provenance::default()
    };
    report.coverage = Some(coverage(run));
    let Some(evidence) = ModelEvidence::of(run, reference) else {
        cannot_tell(
            &mut report,
            "The recording holds no whole step: the writer was stopped before the end of its first one.",
        );
        return report;
    };
    findings(&mut report, &evidence);
    let judged = judgeable(&evidence);
    let mut all = Vec::new();
    let mut missing = Vec::new();
    for measure in measures(&evidence) {
        match told(&evidence, measure, &judged) {
            Ok(told) => all.push(told),
            Err(why) => missing.push(why),
        }
    }
    match judged.and_then(|()| together(&all, &missing)) {
        Err(why) => cannot_tell(&mut report, &why),
        Ok(says) => headline(&mut report, &evidence, &all[0].curve, &says),
    }
    for told in &all {
        sections(&mut report, &evidence, told);
    }
    not_examined(&mut report);
    report.extra.insert("load".into(), data(&evidence, &all));
    report.next = next(&evidence, command);
    report
}

/// Curve, shape, judgement and twin of one measure.
fn told(
    evidence: &ModelEvidence,
    measure: &'static Measure,
    judged: &Result<(), String>,
) -> Result<Told, String> {
    let now = evidence.now();
    let curve = LoadCurve::of(evidence, now, measure)?;
    let shaped = shape::measure(&curve).map_err(|why| format!("The curve has no shape: {why}."));
    let chance = AgainstChance::of(evidence, now, &curve);
    let says = match (judged, &shaped) {
        (Err(why), _) => Err(why.clone()),
        (_, Err(why)) => Err(why.clone()),
        (Ok(()), Ok(shaped)) => judge(&curve, shaped, chance.as_ref()),
    };
    let twin = match (judged, chance.is_some_and(|chance| chance.is_clear())) {
        (Ok(()), true) => twin::fit(&curve),
        (Err(_), _) => Err("the curve cannot be judged".into()),
        (Ok(()), false) => Err("there is no load to be judged".into()),
    };
    let history = history::of(evidence, measure);
    Ok(Told { curve, shaped, chance, says, twin, history })
}

/// One answer of all measures: a language model has two, and a word only where they agree.
fn together(all: &[Told], missing: &[String]) -> Result<Says, String> {
    let Some(first) = all.first() else {
        return Err(missing
            .first()
            .map_or("There is nothing to read a load from.".into(), |why| sentence(why)));
    };
    let says: Vec<Says> = all.iter().map(|told| told.says.clone()).collect::<Result<_, _>>()?;
    let idle = |says: &Says| match says {
        Says::NearlyIdle(idle) => idle.clone(),
        _ => Vec::new(),
    };
    if says.iter().all(|other| *other == says[0]) {
        return Ok(says[0].clone());
    }
    let shared: Vec<usize> = idle(&says[0])
        .into_iter()
        .filter(|at| says[1..].iter().all(|other| idle(other).contains(at)))
        .collect();
    if !shared.is_empty() {
        return Ok(Says::NearlyIdle(shared));
    }
    let numbers = numbers(&first.curve);
    let each: Vec<String> = all
        .iter()
        .zip(&says)
        .map(|(told, says)| {
            format!("by the {} {}", told.curve.measure.words, says.headline(&numbers, "block").to_lowercase())
        })
        .collect();
    Err(format!("The measures disagree: {}.", each.join("; ")))
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let start: String = letters.next().map_or(String::new(), |first| first.to_uppercase().collect());
    format!("{start}{}.", letters.as_str().trim_end_matches('.'))
}

/// Numbers of the layers that have the loads, from 1.
fn numbers(curve: &LoadCurve) -> Vec<usize> {
    (0..curve.loads.len()).map(|at| at + curve.first + 1).collect()
}

fn cannot_tell(report: &mut Report, why: &str) {
    report.verdict = Some(Verdict { word: Word::CannotTell, why: why.into() });
}

fn headline(report: &mut Report, evidence: &ModelEvidence, curve: &LoadCurve, says: &Says) {
    let word = if evidence.has_blocks { "BLOCK" } else { "LAYER" };
    // Nothing is verified while a check has something to say.
    let tone = if report.findings.is_empty() { says.tone() } else { Tone::Costs };
    report.headline = Some(Headline { text: says.headline(&numbers(curve), word), tone });
}

/// The checks of loads, and why some could not judge.
fn findings(report: &mut Report, evidence: &ModelEvidence) {
    let mut unexamined = Vec::new();
    for check in TABLE.iter().filter(|check| check.page.code.starts_with('L')) {
        match (check.run)(evidence) {
            Ok(findings) => report.findings.extend(findings),
            Err(because) => unexamined.push(
                json!({ "check": format!("{} {}", check.page.code, check.page.name), "because": because }),
            ),
        }
    }
    report.extra.insert("unexamined".into(), json!(unexamined));
}

fn sections(report: &mut Report, evidence: &ModelEvidence, told: &Told) {
    let measured = told.shaped.as_ref().ok();
    let is_clear = told.chance.is_some_and(|chance| chance.is_clear());
    // Shares of a total that is nothing are nothing.
    let shaped = measured.filter(|_| is_clear);
    let findings = report.findings.clone();
    let curve = &told.curve;
    let mut add = |section: Section| report.sections.push(section);
    let text =
        |title: &str, text: String| Section::Text(Text { title: title.into(), text, show: Show::Everywhere });
    for chart in pictures::all(evidence, curve, told.twin.as_ref().ok(), &told.history) {
        add(Section::Chart(chart));
    }
    add(Section::Bars(tables::short(evidence, curve, shaped, &findings)));
    add(Section::Bars(tables::full(evidence, curve, shaped, &findings)));
    if let Some(table) = tables::beside(evidence, curve) {
        add(Section::Table(table));
    }
    add(text("Who carries the load", why(evidence, told)));
    if let Some(shaped) = measured {
        let show = if is_clear { Show::Everywhere } else { Show::Page };
        add(Section::Table(tables::shape(shaped, curve.loads.len(), show)));
    }
    add(text("Mechanical twin", twin_words(evidence, told)));
    if told.history.len() > 1 {
        add(Section::Table(tables::steps(&told.history, Show::Terminal)));
        add(Section::Table(tables::steps(&told.history, Show::Page)));
    }
}

/// Checks that could not judge, for the page.
fn not_examined(report: &mut Report) {
    let unexamined = report.extra["unexamined"].as_array().into_iter().flatten();
    let said = |one: &Value| {
        format!("{}: {}", one["check"].as_str().unwrap_or(""), one["because"].as_str().unwrap_or(""))
    };
    let lines: Vec<String> = unexamined.map(said).collect();
    if !lines.is_empty() {
        let text = Text { title: "Not examined".into(), text: lines.join("\n"), show: Show::Page };
        report.sections.push(Section::Text(text));
    }
}

/// What the curve says, where it begins, and how far it is from chance.
fn why(evidence: &ModelEvidence, told: &Told) -> String {
    let word = if evidence.has_blocks { "block" } else { "layer" };
    let mut lines = Vec::new();
    if let (Ok(says), Ok(shaped)) = (&told.says, &told.shaped) {
        lines.push(said(says, shaped, &numbers(&told.curve), word));
    }
    let zero = &told.curve.zero;
    let first = match told.curve.first {
        0 => String::new(),
        _ => format!("; nothing before the first {word} was recorded, so its load is not known"),
    };
    lines.push(format!("depth zero is {zero}{first}; the head is left out of the curve and its shape"));
    if let Some(chance) = &told.chance {
        let own = told.curve.total();
        let own = carnot_report::number::estimate(own.value, own.error.unwrap_or(0.0));
        lines.push(match told.curve.measure.value {
            "separation" => format!(
                "total load {own}, {} that of shuffled labels, {}",
                spreads(chance.times),
                carnot_report::number::estimate(chance.total, chance.spread)
            ),
            _ => format!("total load {own}, {} nothing", spreads(chance.times)),
        });
    }
    lines.join("\n")
}

fn said(says: &Says, shaped: &Shaped, numbers: &[usize], word: &str) -> String {
    let convexity = shaped.convexity.map_or(0.0, |convexity| convexity.value);
    let share = |at: usize| shaped.share.as_ref().map_or(0.0, |share| share[at]);
    let last = numbers.len() - 1;
    match says {
        Says::NearlyIdle(idle) => {
            let places = spans(&idle.iter().map(|&at| numbers[at]).collect::<Vec<_>>()).join(", ");
            let all = idle.iter().map(|&at| share(at)).sum::<f64>();
            let (plural, verb) = if idle.len() == 1 { ("", "carries") } else { ("s", "carry") };
            format!(
                "{word}{plural} {places} {verb} {} of the load; the curve is {}. Under-used is not sick: what they are worth is measured by \
                 leaving them out",
                percent(all),
                bend(convexity)
            )
        }
        Says::Even => format!(
            "every {word} carries its share, {} on average; the curve is {}",
            percent(1.0 / numbers.len() as f64),
            bend(convexity)
        ),
        Says::Uneven => {
            format!("the curve is {}, but its loads differ by more than half their mean", bend(convexity))
        }
        Says::Deep | Says::Shallow => format!(
            "the curve is {}; {word} {} carries {} of the load, {word} {} carries {}",
            bend(convexity),
            numbers[0],
            percent(share(0)),
            numbers[last],
            percent(share(last))
        ),
    }
}

/// The twin with its caution, or why there is none.
fn twin_words(evidence: &ModelEvidence, told: &Told) -> String {
    match &told.twin {
        Err(why) => format!("mechanical twin: none, because {why}"),
        Ok(twin) => {
            let names: Vec<String> =
                evidence.stages.iter().skip(told.curve.first).map(|stage| stage.name.clone()).collect();
            let readings = twin.readings().map_or(String::new(), |readings| format!("\n{readings}"));
            format!(
                "mechanical twin, an illustration and not a measurement: {}{readings}",
                twin.words(&names)
            )
        }
    }
}

fn data(evidence: &ModelEvidence, all: &[Told]) -> Value {
    let curve = |told: &Told| {
        let curve = &told.curve;
        let stages = evidence.stages.iter().skip(curve.first).zip(&curve.points[1..]).zip(&curve.loads);
        let number =
            |number: &carnot_probe::reading::Number| json!({ "value": number.value, "error": number.error });
        let beside = |call: usize, name: &str| evidence.layer(call).value(name).map(|n| number(&n));
        let stages: Vec<Value> = stages
            .enumerate()
            .map(|(at, ((stage, point), load))| {
                let of = |list: &Option<Vec<f64>>| list.as_ref().map(|list| list[at]);
                let shaped = told.shaped.as_ref().ok();
                json!({
                    "layer": at + curve.first + 1, "name": stage.name, "separation": number(point), "load": number(load),
                    "share": shaped.and_then(|shaped| of(&shaped.share)), "stress": shaped.and_then(|shaped| of(&shaped.stress)),
                    "separation_pinv": beside(stage.last, "separation_pinv"),
                    "separation_corrected": beside(stage.last, "separation_corrected"),
                    "separation_shuffled": beside(stage.last, "separation_shuffled"),
                })
            })
            .collect();
        json!({
            "measure": curve.measure.value, "is_log": curve.measure.is_log,
            "depth_zero": { "words": curve.zero, "call": curve.zero_name, "separation": number(&curve.points[0]) },
            "stages": stages, "covariance": curve.covariance(), "shape": told.shaped.as_ref().ok(), "chance": told.chance,
            "says": told.says.as_ref().ok(), "because": told.says.as_ref().err(),
            "twin": match &told.twin { Ok(twin) => twin.data(), Err(why) => json!({ "missing": why }) },
            "steps": told.history,
        })
    };
    json!({ "step": evidence.now().step, "curves": all.iter().map(curve).collect::<Vec<_>>() })
}

fn next(evidence: &ModelEvidence, command: &str) -> Vec<Line> {
    if !evidence.run.header.probe.has_labels {
        let (what, note) = match evidence.run.header.versions.contains_key("torch") {
            true => ("carnot.watch(model, probe=(inputs, labels))", "records with labels"),
            false => (
                "--batch FILE with labels, or carnot.watch(model, probe=(inputs, labels))",
                "reads with labels",
            ),
        };
        return vec![Line::new("try", what).with_note(note)];
    }
    let check = command.replacen("carnot load", "carnot check", 1);
    vec![Line::new("try", check).with_note("every other check of this model")]
}
