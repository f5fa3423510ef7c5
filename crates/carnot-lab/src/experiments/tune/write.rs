//! The comparison → report.

use carnot_report::number::significant;
use carnot_report::report::{Headline, Line, Provenance, Report, Tone};
use carnot_report::section::Section;
use serde_json::json;

use super::compare::{Difference, Kind, Says, Trainings, Way};
use super::tables;
use super::{Tune, TuneSpec};
use crate::experiments::Experiment;

/// What decides the headline.
pub struct Found {
    /// Every way to spend trainings.
    pub ways: Vec<Way>,
    /// One tuned less one untouched.
    pub control: Option<Difference>,
    /// One tuned less the best of the sweep, which costs more.
    pub one_for_all: Option<Difference>,
    /// The best tuned less the best of the sweep.
    pub sweep: Option<Difference>,
}

impl Found {
    fn of(all: &Trainings) -> Found {
        let ways = all.ways();
        let way = |kind: Kind| ways.iter().find(|way| way.kind == kind).expect("every kind is a way");
        let less = |a: Kind, b: Kind| way(a).less(way(b));
        Found {
            control: less(Kind::Tuned, Kind::Control),
            one_for_all: less(Kind::Tuned, Kind::SweepBest),
            sweep: less(Kind::TunedBest, Kind::SweepBest),
            ways,
        }
    }
}

/// Writes what is known.
pub fn report(spec: &TuneSpec, all: &Trainings) -> Report {
    let mut report = Report::new("tune", &Tune::subject(spec));
    report.provenance = Provenance { seed: Some(spec.seed), device: "cpu".into(), ..Provenance::default() };
    let found = Found::of(all);
    report.headline = Some(headline(all, &found));
    report.summary = lines(spec, all, &found);
    report.sections.push(Section::Table(tables::budget(spec, &found)));
    report.sections.push(Section::Table(tables::starts(spec, all)));
    report.sections.push(Section::Table(tables::schedule(spec, all)));
    report.sections.extend(tables::charts(spec, all).into_iter().map(Section::Chart));
    report.extra.insert("knob".into(), json!(spec.knob));
    report.extra.insert("values".into(), json!(spec.values));
    report.extra.insert("ways".into(), json!(found.ways));
    let differences = [
        ("tuned_less_control", &found.control),
        ("tuned_less_sweep", &found.sweep),
        ("one_tuned_less_sweep", &found.one_for_all),
    ];
    for (name, difference) in differences {
        report.extra.insert(name.into(), json!(difference));
    }
    report.extra.insert("starts".into(), tables::starts_as_data(spec, all));
    report.extra.insert("schedule".into(), tables::schedule_as_data(spec, all));
    report
}

/// Tuned trainings from the start that never had load enough to be moved.
fn never_judged(all: &Trainings) -> (usize, usize) {
    let tuned: Vec<_> = all.seeds.iter().filter_map(|seed| seed.tuned[all.start].as_ref()).collect();
    let never = tuned.iter().filter(|answer| answer.looks.iter().all(|look| look.stayed)).count();
    (never, tuned.len())
}

fn headline(all: &Trainings, found: &Found) -> Headline {
    let says = |difference: &Option<Difference>| difference.map_or(Says::Unknown, |found| found.says());
    let (never, tuned) = never_judged(all);
    let text = match (says(&found.control), says(&found.sweep)) {
        _ if all.done == 0 => "NOTHING MEASURED YET",
        _ if tuned > 0 && never == tuned => "TOO LITTLE LOAD TO TUNE BY",
        (Says::Unknown, _) => "ONE SEED CANNOT TELL WHETHER TUNING HELPS",
        (Says::Better, Says::Better) => "TUNING BEATS CONTROL AND SWEEP",
        (Says::Better, Says::Worse) => "TUNING BEATS THE CONTROL AND LOSES TO THE SWEEP",
        (Says::Better, _) => "TUNING BEATS THE CONTROL, AND CANNOT BE TOLD FROM THE SWEEP",
        (Says::Worse, _) => "TUNING HURTS",
        (Says::NotApart, Says::Worse) => "TUNING CANNOT BE TOLD FROM THE CONTROL, AND LOSES TO THE SWEEP",
        (Says::NotApart, Says::Better) => "TUNING BEATS THE SWEEP, AND CANNOT BE TOLD FROM THE CONTROL",
        (Says::NotApart, _) => "TUNING CANNOT BE TOLD FROM THE CONTROL",
    };
    Headline { text: text.into(), tone: Tone::Plain }
}

/// A difference in points of accuracy: `+3.9 ± 0.5 (+2.8 to +5.0)`.
pub fn points(difference: &Difference) -> String {
    let signed = |value: f64, digits: usize| format!("{:+.digits$}", 100.0 * value);
    let Some(error) = difference.error else { return signed(difference.value, 1) };
    let digits = if 100.0 * error < 0.095 { 2 } else { 1 };
    let ends = difference.low.zip(difference.high);
    let interval = ends.map_or(String::new(), |(low, high)| {
        format!(" ({} to {})", signed(low, digits), signed(high, digits))
    });
    format!("{} ± {:.digits$}{interval}", signed(difference.value, digits), 100.0 * error)
}

fn words(difference: &Difference) -> String {
    let meaning = match difference.says() {
        Says::Better => "better",
        Says::Worse => "worse",
        Says::NotApart => "not distinguishable",
        Says::Unknown => "one seed, no error",
    };
    format!("{} points: {meaning}", points(difference))
}

fn lines(spec: &TuneSpec, all: &Trainings, found: &Found) -> Vec<Line> {
    let n = spec.values.len();
    let mut lines = Vec::new();
    let named = [
        ("control", &found.control, "tuned less untouched, one training each".to_string()),
        (
            "sweep",
            &found.sweep,
            format!("best of {n} tuned less best of a sweep of {n}, by the labels held out"),
        ),
        ("one for all", &found.one_for_all, format!("one tuned training less that sweep of {n}")),
    ];
    for (label, difference, what) in named {
        if let Some(difference) = difference {
            lines.push(Line::new(label, format!("{what} {}", words(difference))));
        }
    }
    if let Some(text) = where_it_ends(spec, all) {
        lines.push(Line::new("knob", text));
    }
    lines.push(Line::new("cost", cost(spec)));
    let planned = super::trainings(spec).len();
    if all.done < planned {
        lines.push(Line::new("so far", format!("{} of {planned} trainings", all.done)));
    }
    let (never, tuned) = never_judged(all);
    if never > 0 {
        let least = significant(spec.least, 3);
        let text = format!(
            "{never} of {tuned} tuned trainings never had a total load of {least}: their shape says nothing, and the knob stayed"
        );
        lines.push(Line::new("not moved", text));
    }
    lines
}

/// Where the knob and the curve of the tuned trainings end.
fn where_it_ends(spec: &TuneSpec, all: &Trainings) -> Option<String> {
    let row = tables::schedule_of(all, all.start, true);
    let last = row.last()?;
    let first = row.first()?;
    let ends = |estimate: &carnot_math::stats::Estimate| {
        carnot_report::number::estimate(estimate.value, estimate.error)
    };
    let bent = last.convexity.as_ref().map_or("unknown".into(), ends);
    let from = significant(first.knob.value, 3);
    Some(format!("{} {from} → {}, convexity then {bent}", spec.knob.label(), ends(&last.knob)))
}

/// What a training and its looks cost.
fn cost(spec: &TuneSpec) -> String {
    let learned = spec.learned();
    let batch = if spec.batch == 0 { learned } else { spec.batch.min(learned) };
    let steps = spec.epochs * learned.div_ceil(batch) as u64;
    let looks = spec.epochs.div_ceil(spec.every) + 1;
    // A look is a pass forward over what is learned; a step passes forward and twice as dear backward.
    let share = looks as f64 / (3.0 * spec.epochs as f64);
    format!(
        "{steps} steps of {batch} a training, {learned} labels learn and {} choose; {looks} looks are {} % of a training more",
        spec.train - learned,
        significant(100.0 * share, 2)
    )
}
