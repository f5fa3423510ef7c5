//! Tables and pictures of the comparison.

use carnot_math::stats::{Estimate, Moments};
use carnot_report::chart::{Axis, Chart, Ink, Series};
use carnot_report::section::{Cell, Heading, Row, Table};
use serde_json::{Value, json};

use super::TuneSpec;
use super::compare::{Difference, Kind, Trainings, convexity};
use super::network::{Answer, Look};
use super::write::{Found, points};

/// A mean over some answers.
fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<Estimate> {
    let all: Vec<f64> = values.flatten().collect();
    (!all.is_empty()).then(|| Moments::of(&all).estimate())
}

fn cell(found: Option<Estimate>) -> Cell {
    match found {
        Some(found) if found.n > 1 && found.error > 0.0 => Cell::measured(found.value, found.error),
        Some(found) => Cell::significant(found.value, 3),
        None => Cell::missing(),
    }
}

/// In percent.
fn percent(found: Option<Estimate>) -> Cell {
    cell(found.map(|e| Estimate { value: 100.0 * e.value, error: 100.0 * e.error, ..e }))
}

fn difference(found: Option<Difference>) -> Cell {
    found.map_or(Cell::text(""), |found| Cell::text(points(&found)))
}

/// Every way to spend trainings, with the difference of tuning to it at the same budget.
pub fn budget(spec: &TuneSpec, found: &Found) -> Table {
    let n = spec.values.len();
    let name = |kind: Kind| match kind {
        Kind::Control => "untouched".to_string(),
        Kind::Tuned => "tuned".to_string(),
        Kind::ControlBest => format!("best of {n} untouched, by held-out labels"),
        Kind::SweepBest => format!("best of a sweep of {n}, by held-out labels"),
        Kind::TunedBest => format!("best of {n} tuned, by held-out labels"),
        Kind::SweepEvenest => "evenest of that sweep, by its training curve".to_string(),
        Kind::Limit => "limit: best of that sweep, by the test set itself".to_string(),
    };
    let row = |way: &super::compare::Way| {
        let peer = if way.runs == 1 { Kind::Tuned } else { Kind::TunedBest };
        let tuned = found.ways.iter().find(|other| other.kind == peer && way.kind != peer);
        Row::new(vec![
            Cell::text(name(way.kind)),
            Cell::text(way.runs.to_string()),
            percent(way.of(&|chosen| Some(chosen.test))),
            cell(way.of(&|chosen| chosen.convexity)),
            difference(tuned.and_then(|tuned| tuned.less(way))),
        ])
    };
    Table {
        title: "At equal budget".into(),
        caption: "Mean over seeds; differences, in points of accuracy, are paired by seed: tuned less this row, with as many trainings. Equal choices count with their mean.".into(),
        columns: vec![
            Heading::words("way"),
            Heading::count("trainings"),
            Heading::number("test %"),
            Heading::number("convexity"),
            Heading::words("tuned less this (95 %)"),
        ],
        rows: found.ways.iter().map(row).collect(),
        ..Table::default()
    }
}

/// What is known from one value on.
struct Start {
    value: f64,
    untouched: Option<Estimate>,
    tuned: Option<Estimate>,
    gained: Option<Difference>,
    bent_untouched: Option<Estimate>,
    bent_tuned: Option<Estimate>,
    knob: Option<Estimate>,
}

fn starts_of(spec: &TuneSpec, all: &Trainings) -> Vec<Start> {
    let one = |(at, &value): (usize, &f64)| {
        let of = |tuned: bool, number: &dyn Fn(&Answer) -> Option<f64>| {
            mean(all.seeds.iter().map(|seed| number(side(seed, at, tuned)?)))
        };
        let gained = |seed: &super::compare::Seed| {
            Some(seed.tuned[at].as_ref()?.test? - seed.untouched[at].as_ref()?.test?)
        };
        let gained: Vec<f64> = all.seeds.iter().filter_map(gained).collect();
        Start {
            value,
            untouched: of(false, &|answer| answer.test),
            tuned: of(true, &|answer| answer.test),
            gained: Difference::of(&gained),
            bent_untouched: of(false, &|answer| all.convexity(answer)),
            bent_tuned: of(true, &|answer| all.convexity(answer)),
            knob: of(true, &|answer| Some(Moments::of(&answer.looks.last()?.values).mean())),
        }
    };
    spec.values.iter().enumerate().map(one).collect()
}

fn side(seed: &super::compare::Seed, at: usize, tuned: bool) -> Option<&Answer> {
    if tuned { seed.tuned[at].as_ref() } else { seed.untouched[at].as_ref() }
}

/// From every value: left alone, and moved.
pub fn starts(spec: &TuneSpec, all: &Trainings) -> Table {
    let row = |start: Start| {
        Row::new(vec![
            Cell::significant(start.value, 3),
            percent(start.untouched),
            percent(start.tuned),
            difference(start.gained),
            cell(start.bent_untouched),
            cell(start.bent_tuned),
            cell(start.knob),
        ])
    };
    Table {
        title: "From every start".into(),
        caption: "Left alone, and tuned from there: a law that works ends at the same knob and the same curve wherever it starts.".into(),
        columns: vec![
            Heading::number("start"),
            Heading::number("untouched %"),
            Heading::number("tuned %"),
            Heading::words("difference (95 %)"),
            Heading::number("convexity"),
            Heading::number("tuned"),
            Heading::number("knob at the end"),
        ],
        rows: starts_of(spec, all).into_iter().map(row).collect(),
        ..Table::default()
    }
}

/// [`starts`] for programs.
pub fn starts_as_data(spec: &TuneSpec, all: &Trainings) -> Value {
    let one = |start: Start| {
        json!({
            "start": start.value, "untouched": start.untouched, "tuned": start.tuned, "difference": start.gained,
            "convexity_untouched": start.bent_untouched, "convexity_tuned": start.bent_tuned, "knob": start.knob,
        })
    };
    starts_of(spec, all).into_iter().map(one).collect()
}

/// The mean over seeds of what was seen at one epoch.
pub struct Seen {
    /// Passes over the training set.
    pub epoch: u64,
    /// The knob until then, averaged over layers.
    pub knob: Estimate,
    /// By layer, where each has its own.
    pub layers: Vec<Estimate>,
    /// Where the total load is large enough.
    pub convexity: Option<Estimate>,
    /// Total load.
    pub total: Option<Estimate>,
    /// Of the last batch.
    pub loss: Option<Estimate>,
    /// Trainings in which the knob stayed for want of load.
    pub stayed: usize,
}

/// The schedule of the trainings that began at one value.
pub fn schedule_of(all: &Trainings, at: usize, tuned: bool) -> Vec<Seen> {
    let answers: Vec<&Answer> = all.seeds.iter().filter_map(|seed| side(seed, at, tuned)).collect();
    let count = answers.first().map_or(0, |answer| answer.looks.len());
    (0..count)
        .map(|look| seen(all, &answers.iter().map(|answer| &answer.looks[look]).collect::<Vec<_>>()))
        .collect()
}

fn seen(all: &Trainings, looks: &[&Look]) -> Seen {
    let of = |number: &dyn Fn(&Look) -> Option<f64>| mean(looks.iter().map(|look| number(look)));
    let curve = |look: &Look| look.curve.iter().copied().collect::<Option<Vec<f64>>>();
    let layers = looks[0].values.len();
    let by_layer = |layer: usize| of(&|look| Some(look.values[layer])).unwrap_or_default();
    Seen {
        epoch: looks[0].epoch,
        knob: of(&|look| Some(Moments::of(&look.values).mean())).unwrap_or_default(),
        layers: if layers > 1 { (0..layers).map(by_layer).collect() } else { Vec::new() },
        convexity: of(&|look| convexity(&curve(look)?, all.least())),
        total: of(&|look| curve(look).map(|curve| curve[0] - curve[curve.len() - 1])),
        loss: of(&|look| look.loss),
        stayed: looks.iter().filter(|look| look.stayed).count(),
    }
}

/// Looks that the terminal shows; the page's pictures have all.
const SHOWN: usize = 11;

/// Layers with a column of their own; more do not fit beside each other, and the page's picture has all.
fn layers_shown(spec: &TuneSpec) -> usize {
    if spec.knob.is_by_layer() && spec.depth <= 8 { spec.depth } else { 0 }
}

/// What was done, from the start.
pub fn schedule(spec: &TuneSpec, all: &Trainings) -> Table {
    let seen = schedule_of(all, all.start, true);
    let every = seen.len().div_ceil(SHOWN).max(1);
    let last = seen.len().saturating_sub(1);
    let layers = layers_shown(spec);
    let row = |seen: Seen| {
        let stayed = if seen.stayed > 0 { seen.stayed.to_string() } else { String::new() };
        let mut cells = vec![Cell::text(seen.epoch.to_string()), cell(Some(seen.knob))];
        cells.extend(seen.layers[..layers].iter().map(|layer| Cell::significant(layer.value, 2)));
        cells.extend([cell(seen.convexity), cell(seen.total), cell(seen.loss), Cell::text(stayed)]);
        Row::new(cells)
    };
    let mut columns = vec![Heading::count("epoch"), Heading::number(spec.knob.label())];
    columns.extend((1..=layers).map(|layer| Heading::number(&layer.to_string())));
    columns.extend(["convexity", "total load", "loss"].map(Heading::number));
    columns.push(Heading::count("not moved"));
    let kept = |(at, _): &(usize, Seen)| at % every == 0 || *at == last;
    Table {
        title: "Schedule".into(),
        caption: format!(
            "From {} {}: what held until each look, mean over seeds; at the last column's trainings the total load was too small to judge.",
            spec.knob.label(),
            spec.start_value()
        ),
        columns,
        rows: seen.into_iter().enumerate().filter(kept).map(|(_, seen)| row(seen)).collect(),
        ..Table::default()
    }
}

/// Every schedule for programs: by start, then by look.
pub fn schedule_as_data(spec: &TuneSpec, all: &Trainings) -> Value {
    let look = |seen: Seen| {
        json!({
            "epoch": seen.epoch, "knob": seen.knob, "layers": seen.layers, "convexity": seen.convexity,
            "total": seen.total, "loss": seen.loss, "not_moved": seen.stayed,
        })
    };
    let of = |(at, &value): (usize, &f64)| {
        let looks: Vec<Value> = schedule_of(all, at, true).into_iter().map(look).collect();
        json!({ "start": value, "looks": looks })
    };
    spec.values.iter().enumerate().map(of).collect()
}

/// Values from which schedules are drawn: the start and the ends.
fn drawn(spec: &TuneSpec, all: &Trainings) -> Vec<usize> {
    let mut drawn = vec![all.start, spec.values.len() - 1, 0];
    drawn.dedup();
    drawn.sort_unstable();
    drawn.dedup();
    drawn
}

/// A number of some looks against the epoch.
fn over_epochs(name: &str, seen: &[Seen], of: &dyn Fn(&Seen) -> Option<Estimate>) -> Series {
    let known: Vec<(f64, Estimate)> =
        seen.iter().filter_map(|seen| Some((seen.epoch as f64, of(seen)?))).collect();
    let column = |of: &dyn Fn(&(f64, Estimate)) -> f64| known.iter().map(of).collect::<Vec<f64>>();
    let error = if known.iter().all(|(_, e)| e.n > 1) { column(&|(_, e)| e.error) } else { Vec::new() };
    Series::dots(name, &column(&|(epoch, _)| *epoch), &column(&|(_, e)| e.value), &error)
}

/// Knob and convexity over the training, load curves at its end, and accuracy over the values.
pub fn charts(spec: &TuneSpec, all: &Trainings) -> Vec<Chart> {
    let charts =
        [knob_chart(spec, all), bend_chart(spec, all), curve_chart(spec, all), value_chart(spec, all)];
    let mut charts: Vec<Chart> = charts.into_iter().collect();
    if spec.knob.is_by_layer() {
        charts.insert(1, layer_chart(spec, all));
    }
    charts.retain(|chart| chart.series.iter().any(|series| !series.x.is_empty()));
    charts
}

fn value_axis(spec: &TuneSpec) -> Axis {
    let label = spec.knob.label();
    if spec.knob.is_log() { Axis::log(label) } else { Axis::linear(label) }
}

fn knob_chart(spec: &TuneSpec, all: &Trainings) -> Chart {
    let caption = "The knob as it was moved, from different starts; mean and error over seeds.";
    let chart = Chart::new("Schedule", caption, Axis::linear("epoch"), value_axis(spec));
    drawn(spec, all).into_iter().fold(chart, |chart, at| {
        let name = format!("from {}", spec.values[at]);
        let series = over_epochs(&name, &schedule_of(all, at, true), &|seen| Some(seen.knob));
        chart.with(series.in_ink(ink(at == all.start)))
    })
}

fn ink(is_start: bool) -> Ink {
    if is_start { Ink::Data } else { Ink::Theory }
}

fn bend_chart(spec: &TuneSpec, all: &Trainings) -> Chart {
    let caption = "Convexity of the load curve while training: below 0 deep layers carry more. Grey: untouched from the same values.";
    let mut chart = Chart::new("Load curve", caption, Axis::linear("epoch"), Axis::linear("convexity"));
    for at in drawn(spec, all) {
        for tuned in [false, true] {
            let name = format!("{} {}", if tuned { "tuned from" } else { "untouched" }, spec.values[at]);
            let series = over_epochs(&name, &schedule_of(all, at, tuned), &|seen| seen.convexity);
            let ink = if tuned { ink(at == all.start) } else { Ink::Context };
            chart = chart.with(series.in_ink(ink));
        }
    }
    chart
}

fn layer_chart(spec: &TuneSpec, all: &Trainings) -> Chart {
    let caption = "Dropout of each layer at the end; mean and error over seeds.";
    let mut chart = Chart::new("Layers", caption, Axis::linear("layer"), Axis::linear("dropout p"));
    for at in drawn(spec, all) {
        let Some(last) = schedule_of(all, at, true).pop() else { continue };
        let layers: Vec<f64> = (1..=last.layers.len()).map(|layer| layer as f64).collect();
        let values: Vec<f64> = last.layers.iter().map(|layer| layer.value).collect();
        let error: Vec<f64> = last.layers.iter().map(|layer| layer.error).collect();
        let error = if last.layers.iter().all(|layer| layer.n > 1) { error } else { Vec::new() };
        let name = format!("from {}", spec.values[at]);
        chart = chart.with(Series::dots(&name, &layers, &values, &error).in_ink(ink(at == all.start)));
    }
    chart
}

fn curve_chart(spec: &TuneSpec, all: &Trainings) -> Chart {
    let caption = "Share of the separation still to be done behind each layer, at the end: a straight line shares the work evenly.";
    let y = Axis::linear("(D − D_last)/(D_0 − D_last)");
    let mut chart = Chart::new("Who does the work", caption, Axis::linear("layer"), y);
    for tuned in [false, true] {
        let curves: Vec<Vec<f64>> = all
            .seeds
            .iter()
            .filter_map(|seed| side(seed, all.start, tuned)?.curve())
            .filter(|curve| convexity(curve, spec.least).is_some())
            .map(|curve| left(&curve))
            .collect();
        let at = |layer: usize| mean(curves.iter().map(|curve| curve.get(layer).copied()));
        let known: Vec<Estimate> = (0..=spec.depth).filter_map(at).collect();
        let layers: Vec<f64> = (0..known.len()).map(|layer| layer as f64).collect();
        let values: Vec<f64> = known.iter().map(|e| e.value).collect();
        let error: Vec<f64> = known.iter().map(|e| e.error).collect();
        let error = if curves.len() > 1 { error } else { Vec::new() };
        let (name, ink) = if tuned { ("tuned", Ink::Data) } else { ("untouched", Ink::Context) };
        chart = chart.with(Series::dots(name, &layers, &values, &error).in_ink(ink));
    }
    chart
}

/// Share of the whole fall that is left behind each layer.
fn left(curve: &[f64]) -> Vec<f64> {
    let (first, last) = (curve[0], curve[curve.len() - 1]);
    curve.iter().map(|d| (d - last) / (first - last)).collect()
}

fn value_chart(spec: &TuneSpec, all: &Trainings) -> Chart {
    let caption = "Test accuracy over the values: left alone there, and tuned from there.";
    let chart = Chart::new("Test accuracy", caption, value_axis(spec), Axis::linear("test accuracy"));
    let starts = starts_of(spec, all);
    let series = |name: &str, of: &dyn Fn(&Start) -> Option<Estimate>, ink: Ink| {
        let known: Vec<(f64, Estimate)> =
            starts.iter().filter_map(|start| Some((start.value, of(start)?))).collect();
        let column = |of: &dyn Fn(&(f64, Estimate)) -> f64| known.iter().map(of).collect::<Vec<f64>>();
        let error = if known.iter().all(|(_, e)| e.n > 1) { column(&|(_, e)| e.error) } else { Vec::new() };
        Series::dots(name, &column(&|(value, _)| *value), &column(&|(_, e)| e.value), &error).in_ink(ink)
    };
    chart.with(series("untouched", &|start| start.untouched, Ink::Context)).with(series(
        "tuned",
        &|start| start.tuned,
        Ink::Data,
    ))
}
