//! The report of `carnot check`: verdict, cause, remedy, what was tried, pictures, layers, findings.

use carnot_report::chart::{Axis, Chart, Ink, Series};
use carnot_report::finding::{Finding, Level};
use carnot_report::number::significant;
use carnot_report::profile::Profile;
use carnot_report::report::{Coverage, Line, Provenance, Report, Skipped, Snippet, Verdict, Word};
use carnot_report::section::{Cell, Heading, Role, Row, Section, Show, Spark, Sparklines, Table};
use carnot_theory::forecast::LayerForecast;
use serde_json::json;

use super::tries::{Tries, Try};
use super::{Check, CheckSpec, Setting};
use crate::checks::{Evidence, Outcome, TABLE, short};
use crate::experiments::Experiment;
use crate::experiments::predict::criticality;
use crate::present::charts::{Curve, PICTURES};
use crate::present::{forecast_profile, values};
use crate::remedy::torch_code;
use crate::settings::variances;

/// Writes the report.
pub fn write(
    spec: &CheckSpec,
    setting: &Setting,
    evidence: &Evidence,
    theory: &Profile,
    is_measured: bool,
) -> Report {
    let mut report = Report::new("check", &Check::subject(spec));
    let mut unexamined = Vec::new();
    for check in TABLE {
        match (check.run)(evidence) {
            Outcome::Fine => {}
            Outcome::Found(finding) => report.findings.push(*finding),
            Outcome::NotApplicable(because) => {
                unexamined
                    .push(Skipped { layer: format!("{} {}", check.page.code, check.page.name), because });
            }
        }
    }
    add_evidence(&mut report.findings, evidence, theory, is_measured);
    let verdict = verdict(evidence, &report.findings);
    report.summary = summary(evidence, &report.findings, verdict.word);
    report.verdict = Some(verdict);
    let better =
        forecast_profile("theory, with the remedy", evidence.better, carnot_net::reading::Labels::default());
    sections(&mut report, evidence, theory, &better, is_measured);
    report.extra.insert("criticality".into(), criticality(evidence.plan));
    report.extra.insert(
        "unexamined".into(),
        json!(unexamined.iter().map(|s| json!({"check": s.layer, "because": s.because})).collect::<Vec<_>>()),
    );
    if let Some(tries) = evidence.tries {
        report.extra.insert("tried".into(), tried_json(tries));
    }
    let (c_w, c_b) = variances(&evidence.remedied.layers);
    report.code.push(Snippet { label: "PyTorch".into(), text: torch_code(c_w, c_b) });
    report.coverage = Some(coverage(setting, evidence));
    report.next = next(&report.findings);
    report.profiles = vec![theory.clone(), better];
    if is_measured {
        report.profiles.insert(1, evidence.measured.clone());
    }
    report.provenance = Provenance { seed: Some(spec.seed), device: "cpu".into(), ..Provenance::default() };
    report
}

fn verdict(evidence: &Evidence, findings: &[Finding]) -> Verdict {
    let worst = findings.iter().map(|finding| finding.level).min();
    let learned = evidence.tries.and_then(|tries| Some(tries.learned(tries.best_as_is()?.loss)));
    let blocked = findings.iter().any(|finding| finding.level == Level::Blocks && finding.code != "T501");
    let word = match (worst, learned) {
        // The experiment outranks the forecast, either way.
        (Some(Level::Blocks), Some(true)) => Word::LearnsAtACost,
        (Some(Level::Blocks), _) => Word::WillNotLearn,
        (_, Some(false)) => Word::CannotTell,
        (Some(Level::Costs), _) => Word::LearnsAtACost,
        _ => Word::Learns,
    };
    let mut why = sentence(evidence, findings);
    match (blocked, learned) {
        (true, Some(true)) => why.push_str(" The copy that was trained learned all the same."),
        (false, Some(false)) => why.push_str(" Yet the copy that was trained did not learn."),
        _ => {}
    }
    Verdict { word, why }
}

/// The numbers that decide, in one or two sentences.
fn sentence(evidence: &Evidence, findings: &[Finding]) -> String {
    let has = |code: &str| findings.iter().find(|finding| finding.code == code);
    let mut parts = Vec::new();
    if let Some(finding) = has("S101") {
        let layer = finding.position.as_deref().and_then(|p| p.split(' ').nth(1)).unwrap_or("?");
        let word = if finding.level == Level::Blocks { "indistinguishable" } else { "nearly alike" };
        parts.push(format!("inputs become {word} by layer {layer}"));
    }
    if let Some(finding) = has("S102").or(has("S104")) {
        parts.push(finding.saw.clone());
    }
    let gradient = evidence.column("gradient").first().copied().flatten();
    if let (Some(_), Some(gradient)) = (has("G201").or(has("G202")), gradient) {
        parts.push(format!(
            "the gradient that reaches layer 1 is {} of the gradient at the output",
            significant(gradient, 2)
        ));
    }
    if parts.is_empty() {
        parts.extend(has("T501").map(|finding| finding.saw.clone()));
    }
    if parts.is_empty() {
        let kernel = evidence.column("kernel");
        let known: Vec<f64> = kernel.into_iter().flatten().collect();
        let (low, high) = known.iter().fold((f64::INFINITY, 0.0f64), |(l, h), k| (l.min(*k), h.max(*k)));
        parts.push(match short(low) == short(high) {
            true => format!("the signal is {}", short(low)),
            false => format!("the signal stays between {} and {}", short(low), short(high)),
        });
        if let Some(gradient) = gradient {
            parts.push(format!("{} of the gradient at the output reaches layer 1", significant(gradient, 2)));
        }
        if let Some(apart) = evidence.apart().get(evidence.deep()).copied().flatten() {
            parts.push(format!(
                "two inputs still differ by {} (1 − correlation) at the last hidden layer",
                short(apart)
            ));
        }
    }
    let mut text = parts.join(", and ");
    if let Some(first) = text.get(..1) {
        text = format!("{}{}", first.to_uppercase(), &text[1..]);
    }
    text + "."
}

fn summary(evidence: &Evidence, findings: &[Finding], word: Word) -> Vec<Line> {
    let mut lines = Vec::new();
    let order = ["S105", "S103", "S102", "S101", "S104", "G201", "G202", "W201"];
    let serious = findings.iter().map(|finding| finding.level).min();
    let cause = order.iter().find_map(|code| {
        findings
            .iter()
            .find(|finding| finding.code == **code && (Some(finding.level) == serious || *code != "W201"))
    });
    if let (Some(finding), true) = (cause, word != Word::Learns) {
        let text = if finding.code == "S105" {
            format!("{}: {}", finding.saw, finding.because)
        } else {
            finding.because.clone()
        };
        lines.push(Line::new("cause", text));
        let (c_w, c_b) = variances(&evidence.remedied.layers);
        let line = Line::new("remedy", finding.remedy.text.clone()).with_note("safe: nothing learned yet");
        lines.push(line.with_copy(torch_code(c_w, c_b)));
    }
    lines.extend(evidence.tries.and_then(|tries| tried(tries, word != Word::Learns)));
    lines
}

/// `150 steps of adam: loss 2.304 → 2.301 as it is (chance is 2.303), 2.302 → 1.235 with the remedy`.
fn tried(tries: &Tries, is_ill: bool) -> Option<Line> {
    let own = tries.best_as_is()?;
    let chance = tries.plateau.map_or(String::new(), |p| format!(" (class frequencies alone give {p:.3})"));
    let mut text = format!("{} steps: loss {} as it is{chance}", tries.steps, path(own));
    if let Some(better) = tries.best_remedied().filter(|_| is_ill) {
        text.push_str(&format!(", {} with the remedy", path(better)));
        if let Some(accuracy) = better.accuracy {
            text.push_str(&format!(
                ", test accuracy {} against {}",
                percent(Some(accuracy)),
                percent(own.accuracy)
            ));
        }
    } else if own.accuracy.is_some() {
        text.push_str(&format!(", test accuracy {}", percent(own.accuracy)));
    }
    let note = (tries.as_is.len() > 1)
        .then(|| format!("best of {} rates, same seed and batches", tries.as_is.len()));
    let line = Line::new("tried", text);
    Some(match note {
        Some(note) => line.with_note(note),
        None => line,
    })
}

fn path(one: &Try) -> String {
    let number = |loss: Option<f64>| loss.map_or("not finite".to_string(), |loss| format!("{loss:.3}"));
    match one.diverged {
        Some(step) => format!("{} → diverged at step {step}", number(one.before)),
        None => format!("{} → {}", number(one.before), number(one.loss)),
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or("–".into(), |share| format!("{:.0} %", 100.0 * share))
}

fn tried_json(tries: &Tries) -> serde_json::Value {
    let learned = |one: Option<&Try>| one.map(|one| tries.learned(one.loss));
    json!({
        "steps": tries.steps,
        "plateau": tries.plateau,
        "as_is": tries.as_is,
        "remedied": tries.remedied,
        "as_is_learned": learned(tries.best_as_is()),
        "remedied_learned": learned(tries.best_remedied()),
    })
}

fn sections(report: &mut Report, evidence: &Evidence, theory: &Profile, better: &Profile, is_measured: bool) {
    report.sections.push(Section::Sparklines(sparklines(evidence, theory)));
    for picture in PICTURES {
        let mut curves =
            vec![Curve { name: "theory", profile: theory, is_measured: false, is_context: false }];
        if is_measured {
            let profile = evidence.measured;
            curves.push(Curve { name: "this network", profile, is_measured: true, is_context: false });
        }
        curves.push(Curve { name: "with the remedy", profile: better, is_measured: false, is_context: true });
        let caption = match picture.column {
            "kernel" => "How large the signal is at each layer; grey is the same network with the remedy.",
            "correlation" => "How alike two different inputs have become; at 1 they cannot be told apart.",
            _ => "How much of the gradient at the output arrives at each layer.",
        };
        report.sections.extend(picture.draw(&curves, caption).map(Section::Chart));
    }
    report.sections.extend(evidence.tries.map(|tries| Section::Chart(training_chart(tries))));
    let shown = shown(evidence, &report.findings);
    let all: Vec<usize> = (0..evidence.depth()).collect();
    let hidden = all.len() - shown.len();
    if hidden > 0 {
        let folded = format!("{hidden} more layers alike: --layers all");
        report.sections.push(Section::Table(Table {
            show: Show::Terminal,
            folded: Some(folded),
            ..layers(evidence, theory, &report.findings, &shown)
        }));
        report.sections.push(Section::Table(Table {
            show: Show::Page,
            ..layers(evidence, theory, &report.findings, &all)
        }));
    } else {
        report.sections.push(Section::Table(layers(evidence, theory, &report.findings, &all)));
    }
    report.sections.push(Section::Table(comparison(evidence)));
}

fn sparklines(evidence: &Evidence, theory: &Profile) -> Sparklines {
    let ends = |column: &[Option<f64>]| {
        let end = |x: Option<&Option<f64>>| x.copied().flatten().map_or("–".to_string(), short);
        format!("{} → {}", end(column.first()), end(column.last()))
    };
    let spark = |label: &str, symbol: &str, column: &str, log: bool, theory: String| {
        let values = evidence.column(column);
        let reading = match column {
            "correlation" => {
                let c = |x: Option<&Option<f64>>| {
                    x.copied().flatten().map_or("–".to_string(), |c| format!("{c:.3}"))
                };
                format!("{} → {}", c(values.first()), c(values.last()))
            }
            _ => ends(&values).replace('→', if column == "gradient" { "←" } else { "→" }),
        };
        Spark { label: label.into(), symbol: symbol.into(), values, log, reading, theory }
    };
    let deep = &evidence.expected[evidence.inner()];
    let end = values(theory, "kernel").last().copied().flatten();
    let length = match &deep.chi_perpendicular {
        Ok(chi) if *chi < 0.95 => format!("depth {} layers", significant(-1.0 / chi.ln(), 2)),
        Ok(_) => "power law".into(),
        Err(_) => String::new(),
    };
    let step = deep
        .chi_perpendicular
        .as_ref()
        .map_or(String::new(), |chi| format!("× {} a layer", short(chi.sqrt())));
    Sparklines {
        from: "input".into(),
        along: "depth".into(),
        to: "output".into(),
        heading: "theory".into(),
        rows: vec![
            spark("signal", "K", "kernel", false, end.map_or(String::new(), |k| format!("→ {}", short(k)))),
            spark("sameness", "corr", "correlation", false, length),
            spark("gradient", "log", "gradient", true, step),
        ],
    }
}

fn training_chart(tries: &Tries) -> Chart {
    let mut chart = Chart::new(
        "training loss",
        "The same batches and seed: as it is, and with the remedy; each at its best rate.",
        Axis::log("step"),
        Axis::linear("loss"),
    );
    let points = |one: &Try| -> (Vec<f64>, Vec<f64>) {
        one.points
            .iter()
            .filter(|(_, loss)| loss.is_finite())
            .map(|(step, loss)| (*step as f64, *loss))
            .unzip()
    };
    if let Some(own) = tries.best_as_is() {
        let (x, y) = points(own);
        chart = chart.with(Series::dots("as it is", &x, &y, &vec![0.0; x.len()]).in_ink(Ink::Context));
    }
    if let Some(better) = tries.best_remedied() {
        let (x, y) = points(better);
        chart = chart.with(Series::dots("with the remedy", &x, &y, &vec![0.0; x.len()]));
    }
    if let (Some(plateau), true) = (tries.plateau, tries.steps > 1) {
        let ends = [1.0, tries.steps as f64];
        chart = chart.with(Series::line("class frequencies", &ends, &[plateau; 2]).in_ink(Ink::Context));
    }
    chart
}

/// The first three layers, then a thinning selection, the ones with findings, and the last two.
fn shown(evidence: &Evidence, findings: &[Finding]) -> Vec<usize> {
    let depth = evidence.depth();
    if depth <= 14 {
        return (0..depth).collect();
    }
    let mut rows: Vec<usize> =
        [1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000].iter().map(|layer| layer - 1).collect();
    rows.extend([depth - 2, depth - 1]);
    rows.extend((0..depth).filter(|&at| findings.iter().any(|finding| finding.at == evidence.name(at))));
    rows.retain(|&at| at < depth);
    rows.sort_unstable();
    rows.dedup();
    rows
}

fn layers(evidence: &Evidence, theory: &Profile, findings: &[Finding], rows: &[usize]) -> Table {
    let names = ["kernel", "correlation", "gradient", "separation"];
    let measured: Vec<Vec<Option<f64>>> = names.iter().map(|name| evidence.column(name)).collect();
    let expected = values(theory, "kernel");
    let has_separation = measured[3].iter().any(Option::is_some);
    let cell = |column: &[Option<f64>], at: usize, digits| {
        column.get(at).copied().flatten().map_or(Cell::missing(), |value| Cell::significant(value, digits))
    };
    let row = |&at: &usize| {
        let mut cells = vec![
            Cell::text((at + 1).to_string()),
            Cell::text(evidence.name(at)),
            cell(&measured[0], at, 3),
            cell(&expected, at, 3),
            measured[1].get(at).copied().flatten().map_or(Cell::missing(), Cell::number),
            cell(&measured[2], at, 2),
        ];
        if has_separation {
            cells.push(cell(&measured[3], at, 3));
        }
        let here = findings.iter().find(|finding| finding.at == evidence.name(at));
        match here {
            Some(finding) => Row::new(cells).with_mark(&format!("{} {}", finding.code, finding.name)),
            None => Row::new(cells),
        }
    };
    let mut columns = vec![
        Heading::count("layer"),
        Heading::words(""),
        Heading::number("K"),
        Heading::number("theory"),
        Heading::number("corr").with_decimals(3),
        Heading::number("gradient"),
    ];
    if has_separation {
        columns.push(Heading::number("separation"));
    }
    Table {
        title: "Layers".into(),
        role: Role::Layers,
        columns,
        rows: rows.iter().map(row).collect(),
        ..Table::default()
    }
}

fn comparison(evidence: &Evidence) -> Table {
    let (own, best) = (variances(&evidence.initial.layers), variances(&evidence.remedied.layers));
    let deep = evidence.deep();
    let mut rows = Vec::new();
    let mut row = |label: String, own: String, best: String, meaning: &str| {
        rows.push(Row::new([label, own, best, meaning.to_string()].into_iter().map(Cell::text).collect()));
    };
    row("C_W".into(), short(own.0), short(best.0), "weight variance × fan-in");
    row("C_b".into(), short(own.1), short(best.1), "bias variance");
    if let Some(activation) = &evidence.remedied.activation {
        let names: Vec<&str> = evidence.initial.advice.keys().map(String::as_str).collect();
        row("activation".into(), names.join(", "), activation.clone(), "");
    }
    let at = |layer: usize, layers: &[LayerForecast], get: &dyn Fn(&LayerForecast) -> Option<f64>| {
        layers.get(layer).and_then(get).map_or("not known".to_string(), short)
    };
    let chi = |layer: &LayerForecast| layer.chi_perpendicular.clone().ok();
    let inner = evidence.inner();
    let chis = (at(inner, evidence.expected, &chi), at(inner, evidence.better, &chi));
    row(format!("χ⊥ at layer {}", inner + 1), chis.0, chis.1, "1 keeps distances");
    let kernel = |layer: &LayerForecast| Some(layer.reading.as_ref().ok()?.forward.mean_variance());
    let signals = (at(deep, evidence.expected, &kernel), at(deep, evidence.better, &kernel));
    row(format!("signal at layer {}", deep + 1), signals.0, signals.1, "");
    let first = |layers: &[LayerForecast]| {
        let gradient =
            layers.first().and_then(|layer| layer.reading.as_ref().ok()?.gradient.first().copied());
        gradient.map_or("not known".to_string(), |g| significant(g.sqrt(), 2))
    };
    row(
        "gradient at layer 1".into(),
        first(evidence.expected),
        first(evidence.better),
        "relative to the output",
    );
    Table {
        title: "as it is and with the remedy".into(),
        role: Role::Comparison,
        show: Show::Page,
        columns: ["", "as it is", "with the remedy", "meaning"].map(Heading::words).to_vec(),
        rows,
        ..Table::default()
    }
}

/// A finding about signals or gradients carries its picture.
fn add_evidence(findings: &mut [Finding], evidence: &Evidence, theory: &Profile, is_measured: bool) {
    for finding in findings {
        let column = match finding.code.as_str() {
            "S101" | "S102" => "correlation",
            "S103" | "S104" => "kernel",
            "G201" | "G202" => "gradient",
            _ => continue,
        };
        let picture = PICTURES.iter().find(|picture| picture.column == column);
        let mut curves =
            vec![Curve { name: "theory", profile: theory, is_measured: false, is_context: false }];
        if is_measured {
            let profile = evidence.measured;
            curves.push(Curve { name: "this network", profile, is_measured: true, is_context: false });
        }
        finding.evidence.extend(picture.and_then(|picture| picture.draw(&curves, &finding.saw)));
    }
}

fn coverage(setting: &Setting, evidence: &Evidence) -> Coverage {
    let skipped = evidence.expected.iter().filter_map(|layer| {
        let why = layer.reading.as_ref().err()?;
        Some(Skipped { layer: layer.name.clone(), because: format!("theory: {why}") })
    });
    let inside = evidence.plan.all().len() - evidence.plan.sites.len();
    let what = match inside {
        0 => "layers with weights".to_string(),
        _ => {
            format!("layers with weights and blocks; {inside} layers inside blocks are read as part of them")
        }
    };
    let classes: std::collections::BTreeSet<u32> = setting.labels.iter().copied().collect();
    let probe = match classes.len() {
        0 => format!("{} inputs, eval mode", setting.samples),
        classes => format!("{} inputs, {classes} classes, eval mode", setting.samples),
    };
    let depth = evidence.depth();
    Coverage { read: depth, of: depth, what, probe: Some(probe), skipped: skipped.collect() }
}

fn next(findings: &[Finding]) -> Vec<Line> {
    findings
        .first()
        .map(|finding| Line::new("explain", format!("carnot explain {}", finding.code)))
        .into_iter()
        .collect()
}
