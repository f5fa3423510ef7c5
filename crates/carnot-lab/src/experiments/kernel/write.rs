//! The report on one network's kernels.

use carnot_report::chart::{Axis, Chart, Series};
use carnot_report::number::{estimate, percent, significant};
use carnot_report::report::{Coverage, Headline, Line, Provenance, Report, Tone};
use carnot_report::section::{Cell, Heading, Role, Row, Section, Table};
use serde_json::json;

use super::KernelSpec;
use super::answer::{Against, Answer, Measured, Prediction, Sampled, Scores, Side, Spectrum};
use super::networks::{Trained, mean};
use crate::spec::describe::network;

/// The whole report.
pub fn report(spec: &KernelSpec, answer: &Answer, members: &[Trained]) -> Report {
    let mut report = Report::new("kernel", &subject(spec));
    report.headline = Some(headline(answer));
    report.summary.extend(answer.remarks.iter().map(|remark| Line::new("note", remark)));
    for (name, side) in sides(answer) {
        if let Some(because) = &side.because {
            report.summary.push(Line::new("note", format!("{name} predicts nothing: {because}")));
        }
    }
    let by = sides(answer).iter().find_map(|(_, side)| Some(side.prediction.as_ref()?.noise_by.clone()));
    report.summary.extend(
        by.and_then(|by| match by.as_str() {
            "leave-one-out" => {
                Some("chosen where samples left out are predicted best; kept aside decides nothing")
            }
            "a part left out" | "a part" => {
                Some("chosen on 1500 of the training samples, each left out; kept aside decides nothing")
            }
            _ => None,
        })
        .map(|text| Line::new("noise", text)),
    );
    if let Some(sampled) = &answer.sampled {
        report.summary.extend(certainty(sampled));
    }
    report.sections.push(Section::Table(table(answer)));
    report.sections.extend(answer.sampled.as_ref().and_then(sampled_table).map(Section::Table));
    if !members.is_empty() {
        report.sections.push(Section::Table(against_networks(answer, members)));
    }
    report.sections.extend(pictures(answer).into_iter().map(Section::Chart));
    report.coverage = Some(Coverage {
        read: answer.train,
        of: answer.train,
        what: format!(
            "training samples, {} kept aside, {} outputs, kernels {} in {}",
            answer.test,
            answer.outputs,
            route(&answer.route),
            float(spec)
        ),
        probe: None,
        skipped: Vec::new(),
    });
    report.next.extend(answer.saved.iter().map(|path| Line::new("kept", path)));
    report.next.push(
        Line::new("try", "carnot kernel … --select")
            .with_note("compares depths and activations on these data"),
    );
    report.extra.insert("kernel".into(), json!(answer));
    if !members.is_empty() {
        report.extra.insert("networks".into(), json!(members));
    }
    report.provenance = match answer.sampled {
        None => Provenance { device: "theory".into(), ..Provenance::default() },
        Some(_) => Provenance { seed: Some(spec.seed), device: "cpu".into(), ..Provenance::default() },
    };
    report
}

/// How sure sampled kernels are, when sampling stopped, and what they are means of.
fn certainty(sampled: &Sampled) -> Vec<Line> {
    let worst = sampled.kernel_error.max(sampled.tangent_error);
    let networks = match sampled.members < sampled.most {
        true => format!(
            "{} random networks, of at most {}: stopped at ± {}",
            sampled.members,
            sampled.most,
            percent(sampled.precision)
        ),
        false if sampled.precision > 0.0 && worst > sampled.precision => {
            let enough = (sampled.members as f64 * (worst / sampled.precision).powi(2)).ceil();
            format!(
                "all {} random networks; ± {} needs about --sampled {}",
                sampled.members,
                percent(sampled.precision),
                significant(enough, 2)
            )
        }
        false => format!("all {} random networks", sampled.members),
    };
    let mut lines = vec![
        Line::new(
            "sampled",
            format!(
                "K to ± {}, Θ to ± {} (root mean square over entries), from {networks}",
                percent(sampled.kernel_error),
                percent(sampled.tangent_error)
            ),
        ),
        Line::new(
            "meaning",
            "means over networks of the widths given: a part of order 1/width away from infinite width",
        ),
    ];
    lines.extend(
        sampled
            .no_theory
            .as_ref()
            .map(|because| Line::new("theory", format!("infinite width is not known, because {because}"))),
    );
    lines
}

/// Sampled kernels against infinite width, where that is known.
fn sampled_table(sampled: &Sampled) -> Option<Table> {
    let both = sampled.against.as_ref()?;
    let cell = |value: f64| Cell::significant(value, 2);
    let row = |name: &str, against: &Against| {
        Row::new(vec![
            Cell::text(name),
            cell(100.0 * against.difference),
            cell(100.0 * against.noise),
            against.largest_z.map_or(Cell::missing(), cell),
            against.root_mean_square_z.map_or(Cell::missing(), cell),
        ])
    };
    Some(Table {
        title: "Sampled kernels against infinite width".into(),
        caption: format!(
            "On {} pairs of {} samples. z is the distance from infinite width in standard errors; its root mean square is about 1 \
             when nothing but chance differs. What is off beyond chance is the finite width.",
            both[1].pairs, both[1].samples
        ),
        columns: vec![
            Heading::words(""),
            Heading::number("off n → ∞ %"),
            Heading::number("by chance %"),
            Heading::number("largest |z|"),
            Heading::number("rms z"),
        ],
        rows: vec![row("K", &both[0]), row("Θ", &both[1])],
        ..Table::default()
    })
}

/// `784-512x5-10, relu, critical init, on mnist`.
pub fn subject(spec: &KernelSpec) -> String {
    let data = spec.data.data.as_deref().unwrap_or("no data");
    format!("{}, {}, on {data}", network(spec.network.network()), spec.init.words())
}

fn float(spec: &KernelSpec) -> &'static str {
    match spec.float {
        carnot_sim::train::spec::Precision::Float32 => "float32",
        carnot_sim::train::spec::Precision::Float64 => "float64",
    }
}

fn route(route: &str) -> &'static str {
    match route {
        "entrywise" => "entry by entry",
        "spatial" => "pair of images by pair of images",
        "sampled" => "from random networks",
        _ => "layer by layer over all samples",
    }
}

fn sides(answer: &Answer) -> [(&'static str, &Side); 2] {
    [("the Bayesian network (K)", &answer.nngp), ("the trained network (Θ)", &answer.ntk)]
}

fn headline(answer: &Answer) -> Headline {
    let best = sides(answer)
        .into_iter()
        .filter_map(|(_, side)| side.prediction.as_ref()?.kept_aside)
        .max_by(|a, b| key(a).total_cmp(&key(b)));
    let which = if answer.sampled.is_some() { "WITH SAMPLED KERNELS" } else { "AT INFINITE WIDTH" };
    let text = match best {
        Some(Scores { accuracy: Some(accuracy), .. }) => format!(
            "{which} {} % OF THE SAMPLES KEPT ASIDE ARE RIGHT",
            estimate(100.0 * accuracy.value, 100.0 * accuracy.error)
        ),
        Some(scores) => {
            format!("{which} THE SQUARED ERROR ASIDE IS {}", estimate(scores.error.value, scores.error.error))
        }
        None => format!("KERNELS OF {} SAMPLES", answer.train),
    };
    Headline { text, tone: Tone::Plain }
}

fn key(scores: &Scores) -> f64 {
    scores.accuracy.map_or(-scores.error.value, |accuracy| accuracy.value)
}

type Of = fn(&Side) -> Option<String>;

fn table(answer: &Answer) -> Table {
    let mut rows = Vec::new();
    let mut row = |label: &str, meaning: &str, of: Of| {
        let cells: Vec<Option<String>> = sides(answer).iter().map(|(_, side)| of(side)).collect();
        if cells.iter().any(Option::is_some) {
            let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".into()));
            let all = std::iter::once(label.to_string()).chain(cells).chain([meaning.to_string()]);
            rows.push(Row::new(all.map(Cell::text).collect()));
        }
    };
    row("largest eigenvalue / N", "learned first", |side| {
        side.spectrum.as_ref()?.values.first().map(|value| significant(*value, 3))
    });
    row("condition number", "", |side| side.spectrum.as_ref()?.condition.map(|value| significant(value, 2)));
    row("rank", "above rounding", |side| side.spectrum.as_ref()?.rank.map(|rank| rank.to_string()));
    row("alignment with labels", "at most 1", |side| {
        side.spectrum.as_ref()?.alignment.map(|value| significant(value, 3))
    });
    row("largest stable rate", "per sample, full batch", |side| {
        Some(significant(side.spectrum.as_ref()?.largest_rate, 3))
    });
    row("noise variance", "on the diagonal", |side| known(side, |p| Some(significant(p.noise, 2))));
    row("ln evidence", "before any training", |side| {
        known(side, |p| p.log_evidence.map(|value| significant(value, 6)))
    });
    row("ln evidence, free scale", "", |side| {
        known(side, |p| p.evidence_at_amplitude.map(|value| significant(value, 6)))
    });
    row("left out: accuracy", "from all others", |side| share(left_out(side)?.accuracy));
    row("left out: squared error", "", |side| Some(written(left_out(side)?.error)));
    row("variances times", "fitted to those left out", |side| known(side, |p| p.bar_scale.map(written)));
    row("kept aside: accuracy", "", |side| share(aside(side)?.accuracy));
    row("kept aside: squared error", "", |side| Some(written(aside(side)?.error)));
    row("of one network: accuracy", "not of the mean", |side| share(aside(side)?.one_accuracy));
    row("of one network: error", "bias² + spread", |side| aside(side)?.one_error.map(written));
    row("surprise", "−ln p of the right class", |side| aside(side)?.surprise.map(written));
    row("calibration error", "stated against found", |side| share(aside(side)?.calibration));
    row("within 1 σ", "68.3 % when right", |side| share(aside(side)?.within_one));
    row("within 1.96 σ", "95 % when right", |side| share(aside(side)?.within_two));
    row("50 % of labels learned", "at rate × steps", |side| time(side, 0));
    row("90 %", "", |side| time(side, 1));
    row("99 %", "", |side| time(side, 2));
    Table {
        title: "What the kernels predict".into(),
        role: Role::Plain,
        columns: vec![
            Heading::words(""),
            Heading::words("K: Bayesian"),
            Heading::words("Θ: trained"),
            Heading::words("meaning"),
        ],
        rows,
        ..Table::default()
    }
}

fn known(side: &Side, of: impl Fn(&Prediction) -> Option<String>) -> Option<String> {
    side.prediction.as_ref().and_then(of)
}

fn left_out(side: &Side) -> Option<Scores> {
    side.prediction.as_ref()?.left_out
}

fn aside(side: &Side) -> Option<Scores> {
    side.prediction.as_ref()?.kept_aside
}

fn time(side: &Side, at: usize) -> Option<String> {
    known(side, |p| p.times.get(at).map(|time| time.map_or("never".into(), |time| significant(time, 3))))
}

fn share(of: Option<Measured>) -> Option<String> {
    of.map(|share| format!("{} %", estimate(100.0 * share.value, 100.0 * share.error)))
}

fn written(of: Measured) -> String {
    estimate(of.value, of.error)
}

/// Theory beside real networks of the widths given.
fn against_networks(answer: &Answer, members: &[Trained]) -> Table {
    let time = members[0].time;
    let ntk = answer.ntk.prediction.as_ref();
    let cell = |share: Option<(f64, f64)>| {
        share.map_or(Cell::missing(), |(v, e)| Cell::measured(100.0 * v, 100.0 * e))
    };
    let error = |value: Option<(f64, f64)>| value.map_or(Cell::missing(), |(v, e)| Cell::measured(v, e));
    let estimate = |of: fn(&Trained) -> Option<f64>| mean(members, of).map(|e| (e.value, e.error));
    let outputs = answer.outputs as f64;
    let mut rows = vec![Row::new(vec![
        Cell::text(format!("real networks, {} seeds", members.len())),
        cell(estimate(|m| m.test_accuracy)),
        // A loss is half the sum over outputs.
        error(estimate(|m| m.test_loss).map(|(v, e)| (2.0 * v / outputs, 2.0 * e / outputs))),
        cell(estimate(|m| m.accuracy)),
    ])];
    if let Some(scores) = ntk.and_then(|p| p.at_networks) {
        rows.push(Row::new(vec![
            Cell::text(format!("Θ, one network, after as long (η t = {})", significant(time, 2))),
            cell(scores.one_accuracy.map(|a| (a.value, a.error))),
            error(scores.one_error.map(|e| (e.value, e.error))),
            Cell::missing(),
        ]));
    }
    if let Some(scores) = aside(&answer.ntk).filter(|scores| scores.one_error.is_some()) {
        rows.push(Row::new(vec![
            Cell::text("Θ, one network, converged"),
            cell(scores.one_accuracy.map(|a| (a.value, a.error))),
            error(scores.one_error.map(|e| (e.value, e.error))),
            Cell::missing(),
        ]));
    }
    for (name, side) in [("Θ, mean of networks, converged", &answer.ntk), ("K, Bayesian mean", &answer.nngp)]
    {
        let Some(scores) = aside(side) else { continue };
        rows.push(Row::new(vec![
            Cell::text(name),
            cell(scores.accuracy.map(|a| (a.value, a.error))),
            error(Some((scores.error.value, scores.error.error))),
            Cell::missing(),
        ]));
    }
    let diverged = members.iter().filter(|m| m.diverged.is_some()).count();
    let caption = match diverged {
        0 => "Errors of networks are over seeds, those of theory over the samples kept aside.".into(),
        n => format!("{n} of {} networks diverged and do not count.", members.len()),
    };
    Table {
        title: "Against real networks".into(),
        caption,
        columns: vec![
            Heading::words(""),
            Heading::number("accuracy %"),
            Heading::number("squared error"),
            Heading::number("training accuracy %"),
        ],
        rows,
        ..Table::default()
    }
}

fn pictures(answer: &Answer) -> Vec<Chart> {
    let mut charts = Vec::new();
    let both = [("K", &answer.nngp), ("Θ", &answer.ntk)];
    let known: Vec<(&str, &Spectrum)> =
        both.into_iter().filter_map(|(name, side)| Some((name, side.spectrum.as_ref()?))).collect();
    let order = |spectrum: &Spectrum| spectrum.order.iter().map(|&k| k as f64).collect::<Vec<_>>();
    if known.iter().any(|(_, s)| s.order.len() > 1) {
        let conditions: Vec<String> = known
            .iter()
            .filter_map(|(name, s)| Some(format!("{} for {name}", significant(s.condition?, 2))))
            .collect();
        let caption = format!("Eigenvalues over N; the condition number is {}.", conditions.join(", "));
        let mut chart = Chart::new("spectrum", &caption, Axis::log("number"), Axis::log("eigenvalue / N"));
        for (name, spectrum) in &known {
            let pairs = order(spectrum).into_iter().zip(spectrum.values.iter().copied());
            let (x, y): (Vec<f64>, Vec<f64>) = pairs.filter(|(_, value)| *value > 0.0).unzip();
            chart = chart.with(Series::line(name, &x, &y));
        }
        charts.push(chart);
    }
    if let Some((name, last)) = known.last().filter(|(_, s)| s.power.len() > 1) {
        let first = 10.min(answer.train);
        let at = last.order.iter().position(|&k| k >= first).unwrap_or(last.power.len() - 1);
        let caption = format!(
            "The first {} of {} directions of {name} hold {} of the squared targets.",
            last.order[at],
            answer.train,
            percent(last.power[at])
        );
        let axis = Axis::linear("share of the squared targets");
        let mut chart = Chart::new("where the labels are", &caption, Axis::log("first directions"), axis);
        for (name, spectrum) in &known {
            chart = chart.with(Series::line(name, &order(spectrum), &spectrum.power));
        }
        charts.push(chart);
    }
    if let Some(prediction) = answer.ntk.prediction.as_ref().filter(|p| p.curve.len() > 1) {
        let x: Vec<f64> = prediction.curve.iter().map(|moment| moment.time).collect();
        let y: Vec<f64> =
            prediction.curve.iter().map(|m| m.accuracy.map_or(m.error, |a| 100.0 * a)).collect();
        let is_class = prediction.curve[0].accuracy.is_some();
        let (title, axis) = match is_class {
            true => ("accuracy while training", "accuracy %"),
            false => ("error while training", "squared error"),
        };
        let best =
            x.iter().zip(&y).max_by(|a, b| if is_class { a.1.total_cmp(b.1) } else { b.1.total_cmp(a.1) });
        let caption = best.map_or(String::new(), |(time, value)| {
            format!(
                "On the samples kept aside it is best at η t = {}: {}.",
                significant(*time, 2),
                significant(*value, 3)
            )
        });
        charts.push(
            Chart::new(title, &caption, Axis::log("rate × steps (summed error)"), Axis::linear(axis))
                .with(Series::line("Θ", &x, &y)),
        );
    }
    charts
}
