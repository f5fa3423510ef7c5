//! The trainings → report.

use std::cmp::Ordering;

use carnot_report::chart::{Axis, Chart, Ink, Series};
use carnot_report::number::{estimate, significant};
use carnot_report::report::{Headline, Line, Provenance, Report, Tone};
use carnot_report::section::{Cell, Heading, Row, Section, Table, Text};
use carnot_theory::transfer::{Rule, Scale};
use serde_json::json;

use super::size::{Size, base, sized, target};
use super::state::{Slope, State, place, rate};
use super::{Transfer, TransferSpec};
use crate::error::LabError;
use crate::experiments::Experiment;

/// What the work will cost.
///
/// # Errors
/// When the network cannot have that shape.
pub fn cost(spec: &TransferSpec) -> Result<String, LabError> {
    let size = |size: Size| sized(spec, size, Rule::MaximalUpdate).map(|sized| sized.plan.parameters as f64);
    let (small, large) = (size(base(spec))?, size(target(spec))?);
    let ratio = large / small;
    let verify = if spec.verify {
        format!(", and 14 of the target, {} times as large each", significant(ratio, 2))
    } else {
        String::new()
    };
    Ok(format!(
        "about 30 trainings of {} steps and {} seeds of the small network and its neighbours{verify}; a search of 14 rates at the target takes {} times one of the small network's",
        spec.length,
        spec.seeds,
        significant(14.0 * ratio, 2)
    ))
}

/// Writes what is known.
///
/// # Errors
/// When the network cannot have that shape.
pub fn report(state: &State) -> Result<Report, LabError> {
    let spec = state.spec();
    let mut report = Report::new("transfer", &Transfer::subject(spec));
    report.provenance = Provenance { seed: Some(spec.seed), device: "cpu".into(), ..Provenance::default() };
    let wanted = sized(spec, target(spec), Rule::MaximalUpdate)?;
    report.headline = Some(headline(state));
    let one = state.one_rate()?;
    report.summary = lines(state, one);
    if wanted.branch != 1.0 {
        let text = format!("times {}", significant(wanted.branch, 3));
        report.summary.push(Line::new("branches", text));
    }
    report.sections.push(Section::Table(groups(state, &wanted)));
    if !state.trained.is_empty() {
        report.sections.push(Section::Chart(chart(state)));
        report.sections.push(Section::Table(sizes(state)));
    }
    let [ours, theirs] = [Rule::MaximalUpdate, Rule::Standard].map(|rule| state.slopes(rule));
    if !ours.is_empty() {
        report.sections.push(Section::Table(coordinates(&ours, &theirs)));
    }
    report.sections.push(Section::Text(Text {
        title: "Limits".into(),
        text: LIMITS.into(),
        ..Text::default()
    }));
    report.extra.insert("trained".into(), json!(state.trained));
    report.extra.insert("coordinates".into(), json!({ "maximal-update": ours, "standard": theirs }));
    let layers: Vec<_> = wanted
        .plan
        .weighted_sites()
        .iter()
        .zip(wanted.scales.iter().zip(&wanted.init))
        .map(|(site, (scale, init))| json!({ "layer": site.name, "scale": scale, "c_w": init.c_w, "c_b": init.c_b }))
        .collect();
    report.extra.insert("layers".into(), json!(layers));
    report.extra.insert("branch".into(), json!(wanted.branch));
    let predicted = state.predicted().map(|(at, half)| json!({ "rate": 10f64.powf(at), "low": 10f64.powf(at - half), "high": 10f64.powf(at + half) }));
    report.extra.insert("predicted".into(), json!(predicted));
    report.extra.insert("one_rate".into(), json!(state.predicted().map(|(at, _)| 10f64.powf(at) * one)));
    Ok(report)
}

const LIMITS: &str = "The rules are of large width and of few steps; the best rate of a short training is not that of a long one, and data, batch and length \
    must be those of the target. Gains and shifts of norms keep the global rate. With depth and skip paths every branch is multiplied, without them the rates of the layers \
    between the first and the last fall as one over their number, which holds at a critical start alone.";

fn headline(state: &State) -> Headline {
    match state.predicted() {
        Some((at, half)) => Headline {
            text: format!(
                "RATE {} AT {} ({} TO {})",
                significant(10f64.powf(at), 2),
                target(state.spec()).words().to_uppercase(),
                significant(10f64.powf(at - half), 2),
                significant(10f64.powf(at + half), 2)
            ),
            tone: Tone::Good,
        },
        None if state.trained.is_empty() => Headline { text: "NOTHING RUN YET".into(), tone: Tone::Plain },
        None => Headline {
            text: "NOT KNOWN: NO RATE OF THE BOX TRAINS THE SMALL NETWORK".into(),
            tone: Tone::Blocks,
        },
    }
}

fn shown(height: f64, error: f64) -> String {
    let factor = 10f64.powf(error);
    format!("{} (times or over {})", significant(10f64.powf(height), 2), significant(factor, 3))
}

fn lines(state: &State, one: f64) -> Vec<Line> {
    let spec = state.spec();
    let (small, large) = (base(spec), target(spec));
    let mut lines = Vec::new();
    if let Some(best) = state.best(small, Rule::MaximalUpdate) {
        let mut text = format!("best rate {} at {}", shown(best.at, best.error), small.words());
        if !best.is_inside {
            text += "; it lies at the end of the rates tried: widen the box (--rate-from, --rate-to)";
        }
        lines.push(Line::new("tuned", text));
    }
    for (name, of) in
        [("width", (|size: Size| size.width) as fn(Size) -> Option<usize>), ("depth", |size| size.depth)]
    {
        if let Some((drift, error)) = state.drift(of).filter(|_| of(small) != of(large)) {
            let word = if drift.abs() <= 2.0 * error { "no drift" } else { "a drift" };
            let text =
                format!("best rate ∝ {name}^({}) with the rule's factors: {word}", estimate(drift, error));
            lines.push(Line::new(name, text));
        }
    }
    if let Some((at, _)) = state.predicted() {
        let text = format!("{} for all groups, with the usual start", significant(10f64.powf(at) * one, 2));
        lines.push(Line::new("or one rate", text));
    }
    for (rule, name) in [(Rule::MaximalUpdate, "changes"), (Rule::Standard, "at one rate")] {
        let slopes = state.slopes(rule);
        if slopes.is_empty() {
            continue;
        }
        lines.push(Line::new(name, verdict(&slopes, rule)));
    }
    lines.extend(verified(state, small, large, one));
    lines
}

fn verdict(slopes: &[Slope], rule: Rule) -> String {
    let of = match rule {
        Rule::MaximalUpdate => "in the first four steps by the factors below",
        Rule::Standard => "with the tuned rate for all",
    };
    let with =
        |trend: Ordering| slopes.iter().filter(|slope| slope.trend() == Some(trend)).collect::<Vec<_>>();
    let (grow, fall) = (with(Ordering::Greater), with(Ordering::Less));
    let known = slopes.iter().filter(|slope| slope.found.is_some()).count();
    if known == 0 {
        return format!("{of}: no numbers, the rate is too large for this check");
    }
    let steepest = |some: &[&Slope]| {
        let all = some.iter().filter_map(|slope| Some((slope.layer.clone(), slope.found?)));
        let (layer, (value, error)) = all.max_by(|a, b| a.1.0.abs().total_cmp(&b.1.0.abs()))?;
        Some(format!("most in {layer}, width^({})", estimate(value, error)))
    };
    let part = |some: &[&Slope], word: &str| {
        steepest(some)
            .map(|most| format!("{word} with the width in {} of {known} layers, {most}", some.len()))
    };
    let parts: Vec<String> = [part(&grow, "grow"), part(&fall, "fall")].into_iter().flatten().collect();
    match parts.is_empty() {
        true => format!("{of} do not depend on the width, in {known} layers"),
        false => format!("{of} {}", parts.join("; ")),
    }
}

/// The loss at the predicted rates beside the best found.
fn verified(state: &State, small: Size, large: Size, one: f64) -> Vec<Line> {
    let mut lines = Vec::new();
    let Some(tuned) = state.tuned() else { return lines };
    for (rule, name, k) in [
        (Rule::MaximalUpdate, "trained by groups", tuned),
        (Rule::Standard, "trained at one rate", tuned + place(one)),
    ] {
        let curve = state.curve(large, rule);
        if curve.is_empty() || large == small {
            continue;
        }
        let at = |k: i32| curve.iter().find(|(other, _)| *other == k).map(|(_, trained)| trained.loss());
        let loss = |k: i32| match at(k) {
            Some(Some((loss, error))) => format!("{} at {}", estimate(loss, error), significant(rate(k), 2)),
            Some(None) => format!("diverges at {}", significant(rate(k), 2)),
            None => format!("not tried at {}", significant(rate(k), 2)),
        };
        let mut text = match state.least(large, rule) {
            Some(best) if best == k => {
                format!("{}, as predicted: the least loss of {} rates", loss(k), curve.len())
            }
            Some(best) => format!(
                "{}, as predicted; the least loss of {} rates is {}",
                loss(k),
                curve.len(),
                loss(best)
            ),
            None => "diverges at every rate tried".into(),
        };
        if rule == Rule::Standard && k != tuned {
            text += &format!("; with the small network's rate {}", loss(tuned));
        }
        lines.push(Line::new(name, text));
    }
    lines
}

fn groups(state: &State, wanted: &super::size::Sized) -> Table {
    let global = state.predicted().map(|(at, _)| 10f64.powf(at));
    let sites = wanted.plan.weighted_sites();
    let mut rows: Vec<(Scale, f64, Vec<&str>)> = Vec::new();
    for ((site, scale), init) in sites.iter().zip(&wanted.scales).zip(&wanted.init) {
        match rows.iter_mut().find(|(other, c_w, _)| other == scale && *c_w == init.c_w) {
            Some((.., names)) => names.push(&site.name),
            None => rows.push((*scale, init.c_w, vec![&site.name])),
        }
    }
    let named = |names: &[&str]| match names {
        [one] => (*one).to_string(),
        [first, .., last] => format!("{first} … {last}"),
        [] => String::new(),
    };
    let row = |(scale, c_w, names): &(Scale, f64, Vec<&str>)| {
        let rated =
            |factor: f64| global.map_or(Cell::missing(), |global| Cell::significant(global * factor, 3));
        Row::new(vec![
            Cell::text(named(names)),
            Cell::text(scale.place.words()),
            Cell::significant(*c_w, 3),
            Cell::significant(scale.c_w, 3),
            Cell::significant(scale.weight, 3),
            rated(scale.weight),
            Cell::significant(scale.bias, 3),
        ])
    };
    Table {
        title: "Groups of parameters".into(),
        caption:
            "Of the target: weights start with variance C_W over fan-in; rates are factors of the global one."
                .into(),
        columns: vec![
            Heading::words("layers"),
            Heading::words("place"),
            Heading::number("C_W"),
            Heading::number("of the small one's"),
            Heading::number("rate factor"),
            Heading::number("rate"),
            Heading::number("of biases"),
        ],
        rows: rows.iter().map(row).collect(),
        ..Table::default()
    }
}

/// Every size and rule that was trained, in order of appearance.
fn curves(state: &State) -> Vec<(Size, Rule)> {
    let mut all: Vec<(Size, Rule)> = Vec::new();
    for trained in &state.trained {
        if !all.contains(&(trained.size, trained.rule)) {
            all.push((trained.size, trained.rule));
        }
    }
    all
}

fn label(size: Size, rule: Rule) -> String {
    let rule = if rule == Rule::Standard { ", one rate for all" } else { "" };
    format!("{}{rule}", size.words())
}

fn chart(state: &State) -> Chart {
    let (small, large) = (base(state.spec()), target(state.spec()));
    let mut chart = Chart::new(
        "Final loss against the global rate",
        "Mean over seeds with its error. By the rules the valleys lie above one another.",
        Axis::log("learning rate"),
        Axis::log("final loss"),
    );
    for (size, rule) in curves(state) {
        let points: Vec<(f64, (f64, f64))> = state
            .curve(size, rule)
            .iter()
            .filter_map(|(k, trained)| Some((rate(*k), trained.loss()?)))
            .collect();
        let x: Vec<f64> = points.iter().map(|point| point.0).collect();
        let y: Vec<f64> = points.iter().map(|point| point.1.0).collect();
        let error: Vec<f64> = points.iter().map(|point| point.1.1).collect();
        let ink = match (size == small, size == large, rule) {
            (_, true, Rule::MaximalUpdate) => Ink::Data,
            (true, ..) => Ink::Theory,
            _ => Ink::Context,
        };
        let name = label(size, rule);
        chart = chart
            .with(Series::line(&name, &x, &y).in_ink(ink))
            .with(Series::dots(&name, &x, &y, &error).in_ink(ink));
    }
    chart
}

fn sizes(state: &State) -> Table {
    let row = |(size, rule): &(Size, Rule)| {
        let best = state.best(*size, *rule);
        let loss = state.least(*size, *rule).and_then(|k| {
            let curve = state.curve(*size, *rule);
            curve.iter().find(|(other, _)| *other == k)?.1.loss()
        });
        Row::new(vec![
            Cell::text(label(*size, *rule)),
            best.map_or(Cell::missing(), |best| Cell::significant(10f64.powf(best.at), 2)),
            best.map_or(Cell::missing(), |best| Cell::significant(best.error, 2)),
            loss.map_or(Cell::missing(), |(loss, error)| Cell::measured(loss, error)),
            Cell::text(state.curve(*size, *rule).len().to_string()),
        ])
    };
    Table {
        title: "Best rates".into(),
        caption: "Vertex of the parabola through the least loss and its neighbours, mean over seeds; the error in decades.".into(),
        columns: vec![
            Heading::words("network"),
            Heading::number("best rate"),
            Heading::number("± decades"),
            Heading::number("loss there"),
            Heading::count("rates tried"),
        ],
        rows: curves(state).iter().map(row).collect(),
        ..Table::default()
    }
}

fn coordinates(ours: &[Slope], theirs: &[Slope]) -> Table {
    let found = |slope: &Slope| match slope.found {
        Some((value, error)) => Cell::measured(value, error),
        None => Cell::missing(),
    };
    let row = |(a, b): (&Slope, &Slope)| {
        let word = match a.trend() {
            Some(Ordering::Equal) => "flat",
            Some(Ordering::Greater) => "grows",
            Some(Ordering::Less) => "falls",
            None => "not known",
        };
        Row::new(vec![Cell::text(&*a.layer), found(a), Cell::text(word), found(b)])
    };
    Table {
        title: "Coordinate check".into(),
        caption: "Exponent in the width of the root mean square change of what leaves each layer, after four steps at the tuned rate.".into(),
        columns: vec![
            Heading::words("layer"),
            Heading::number("exponent"),
            Heading::words("verdict"),
            Heading::number("one rate for all"),
        ],
        rows: ours.iter().zip(theirs).map(row).collect(),
        ..Table::default()
    }
}
