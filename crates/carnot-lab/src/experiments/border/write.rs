//! The search → report.

use carnot_math::levelset::border::{Crossing, slope};
use carnot_report::chart::{Axis, Ink, Series};
use carnot_report::number::{estimate, percent, significant};
use carnot_report::report::{Headline, Line, Provenance, Report, Tone};
use carnot_report::section::{Cell, Heading, Map, Row, Section, Table};
use carnot_sim::train::fate::Fate;
use serde_json::{Value, json};

use super::foretell::Predicted;
use super::search::{GRID_COLUMNS, Ray, Search, Stop, rows};
use super::{Border, Setting};
use crate::experiments::Experiment;

/// Columns of the picture.
const DRAWN: usize = 33;
/// Decades below which a border has no unique value: it is rough at every scale that was looked at (arXiv:2402.06184).
const ROUGH: f64 = 0.025;

/// How good the answer is so far.
pub fn progress(search: &Search) -> String {
    match search.rays().is_empty() {
        true => String::new(),
        false => format!("border known along {}, stops at 90 %", percent(search.known())),
    }
}

/// Writes what is known.
pub fn report(search: &Search) -> Report {
    let spec = search.spec();
    let mut report = Report::new("border", &Border::subject(spec));
    report.provenance = Provenance { seed: Some(spec.seed), device: "cpu".into(), ..Provenance::default() };
    report.headline = Some(headline(search));
    report.summary = lines(search);
    if !search.rays().is_empty() {
        report.sections.push(Section::Map(map(search)));
        report.sections.push(Section::Table(table(search)));
    }
    report.sections.push(Section::Table(outcomes(search)));
    report.extra.insert(
        "border".into(),
        json!(search.rays().iter().map(|ray| of_ray(search, ray)).collect::<Vec<_>>()),
    );
    report.extra.insert("runs".into(), json!(search.runs()));
    report.extra.insert("predicted".into(), json!(search.predicted()));
    let fitted = exponent(search);
    report.extra.insert(
        "exponent".into(),
        json!(fitted.map(|(value, error)| json!({ "value": value, "error": error }))),
    );
    report.extra.insert("steps".into(), json!(steps(search)));
    report.extra.insert("stop".into(), json!(format!("{:?}", search.stop()).to_lowercase()));
    report
}

fn of_ray(search: &Search, ray: &Ray) -> Value {
    let x = search.spec().x;
    let edge = |edge: &Option<Crossing>| {
        edge.map(|e| json!({ "at": x.value(e.at), "low": x.value(e.low), "high": x.value(e.high), "bracketed": e.is_bracketed }))
    };
    json!({ "y": ray.y, "upper": edge(&ray.upper), "lower": edge(&ray.lower), "learns_somewhere": ray.has_good() })
}

fn steps(search: &Search) -> u64 {
    search.runs().iter().map(|run| run.verdict.steps).sum()
}

/// Slope of the upper edge in decades over decades, where the second axis has them.
fn exponent(search: &Search) -> Option<(f64, f64)> {
    let spec = search.spec();
    if !spec.x.is_log() || !spec.y.is_log() {
        return None;
    }
    let of = |ray: &Ray| {
        let edge = ray.upper.filter(|edge| edge.is_bracketed)?;
        // The interval is one of 95 %.
        let error = ((edge.high - edge.low) / 3.92).hypot(ROUGH);
        Some((spec.y.height(ray.y), edge.at, error))
    };
    let points: Vec<_> = search.rays().iter().filter_map(of).collect();
    // Rows between runs are read off the same process: no more of them are independent than runs were spent on each, about one in two.
    let (value, error, _) = slope(&points).filter(|_| points.len() >= 3)?;
    Some((value, error * 2f64.sqrt()))
}

/// Rows with an upper edge, and, where it was asked for, with a lower one.
fn edges(search: &Search) -> (usize, usize) {
    let count = |of: fn(&Ray) -> bool| search.rays().iter().filter(|ray| of(ray)).count();
    (count(|ray| ray.upper.is_some()), if search.spec().both { count(|ray| ray.lower.is_some()) } else { 0 })
}

fn headline(search: &Search) -> Headline {
    let spec = search.spec();
    if search.runs().is_empty() {
        return Headline { text: "NOTHING RUN YET".into(), tone: Tone::Plain };
    }
    let ((upper, lower), all) = (edges(search), search.rays().len());
    let (found, which) = if upper == 0 && lower > 0 { (lower, "LOWER BORDER") } else { (upper, "BORDER") };
    let learns = search.rays().iter().filter(|ray| ray.has_good()).count();
    let y = spec.y.label();
    let (text, tone) = match (found, learns) {
        (0, 0) => ("NOTHING LEARNS IN THE BOX".into(), Tone::Blocks),
        (0, _) if learns == all => {
            ("EVERYTHING LEARNS UP TO THE END OF THE BOX: NO BORDER FOUND".into(), Tone::Plain)
        }
        (0, _) => ("NO UPPER BORDER FOUND IN THE BOX".into(), Tone::Costs),
        _ if search.stop() == Stop::Known => {
            (format!("{which} FOUND AT {found} OF {all} VALUES OF {}", y.to_uppercase()), Tone::Good)
        }
        _ => (
            format!(
                "BORDER FOUND AT {found} OF {all} VALUES OF {}, NOT YET TO THE TOLERANCE",
                y.to_uppercase()
            ),
            Tone::Costs,
        ),
    };
    Headline { text, tone }
}

fn lines(search: &Search) -> Vec<Line> {
    let spec = search.spec();
    let mut lines = Vec::new();
    let known: Vec<(&Ray, Crossing)> =
        search.rays().iter().filter_map(|ray| Some((ray, ray.upper?))).collect();
    if let (Some((first, a)), Some((last, b))) = (known.first(), known.last()) {
        let value = |height: f64| significant(spec.x.value(height), 2);
        let (x, y) = (spec.x.label(), spec.y.label());
        lines.push(Line::new(
            "border",
            format!(
                "learns up to {x} {} at {y} {}, {} at {y} {}",
                value(a.at),
                shown(spec.y, first.y),
                value(b.at),
                shown(spec.y, last.y)
            ),
        ));
    }
    let lower: Vec<(&Ray, Crossing)> =
        search.rays().iter().filter_map(|ray| Some((ray, ray.lower.filter(|_| spec.both)?))).collect();
    if let (Some((first, a)), Some((last, b))) = (lower.first(), lower.last()) {
        let value = |height: f64| significant(spec.x.value(height), 2);
        let (x, y) = (spec.x.label(), spec.y.label());
        let ends = format!(
            "{} at {y} {}, {} at {y} {}",
            value(a.at),
            shown(spec.y, first.y),
            value(b.at),
            shown(spec.y, last.y)
        );
        lines.push(Line::new("lower edge", format!("learns from {x} {ends}")));
    }
    if let Some((value, error)) = exponent(search) {
        lines.push(Line::new("scales", format!("border ∝ {}^({})", spec.y.label(), estimate(value, error))));
    }
    lines.extend(beyond(search));
    lines.extend(theory(search));
    if !search.runs().is_empty() {
        let grid = GRID_COLUMNS * rows(spec).len();
        let whole = grid as u64 * spec.length;
        let used = steps(search);
        let text = format!(
            "{} runs, {used} steps; a grid of {grid} full runs takes {whole}, {} times as many",
            search.runs().len(),
            significant(whole as f64 / used.max(1) as f64, 2)
        );
        lines.push(Line::new("cost", text));
        let text = match search.stop() {
            Stop::Known => {
                format!("the border is known to {} along {}", tolerance(search), percent(search.known()))
            }
            Stop::Spent => format!(
                "all {} runs are spent; known to {} along {}",
                spec.budget,
                tolerance(search),
                percent(search.known())
            ),
            Stop::No => format!("not yet; known to {} along {}", tolerance(search), percent(search.known())),
        };
        lines.push(Line::new("stopped", text));
    }
    lines
}

fn tolerance(search: &Search) -> String {
    let unit = if search.spec().x.is_log() { "decades" } else { "thirds of the box" };
    format!("{} {unit}", significant(search.spec().tolerance, 2))
}

/// A value of the second axis: whole ones as they are.
fn shown(setting: Setting, value: f64) -> String {
    if setting.is_whole() { format!("{value:.0}") } else { significant(value, 3) }
}

/// Rows whose border is not in the box.
fn beyond(search: &Search) -> Option<Line> {
    let spec = search.spec();
    let name = |rays: Vec<&Ray>| rays.iter().map(|ray| shown(spec.y, ray.y)).collect::<Vec<_>>().join(", ");
    let (above, dead): (Vec<&Ray>, Vec<&Ray>) =
        search.rays().iter().filter(|ray| ray.upper.is_none()).partition(|ray| ray.has_good());
    let mut parts = Vec::new();
    if !above.is_empty() {
        let end = significant(spec.x.value(search.ends().1), 2);
        parts.push(format!("above the box, which ends at {end}, for {} {}", spec.y.label(), name(above)));
    }
    if !dead.is_empty() {
        parts.push(format!("nothing learns for {} {}", spec.y.label(), name(dead)));
    }
    (!parts.is_empty()).then(|| Line::new("not found", parts.join("; ")))
}

/// The measured edge nearest to a predicted value of the second axis.
fn measured(search: &Search, predicted: &Predicted) -> Option<Crossing> {
    let y = search.spec().y;
    let distance = |ray: &&Ray| (y.height(ray.y) - y.height(predicted.y)).abs();
    search.rays().iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))?.upper
}

/// What was predicted without a run, and whether the border was there.
fn theory(search: &Search) -> Vec<Line> {
    let mut lines = Vec::new();
    let brackets: Vec<(&Predicted, (f64, f64))> =
        search.predicted().iter().filter_map(|p| Some((p, p.bracket?))).collect();
    if let (Some((a, first)), Some((b, last))) = (brackets.first(), brackets.last()) {
        let range = |(low, high): (f64, f64)| format!("{} to {}", significant(low, 2), significant(high, 2));
        let y = search.spec().y;
        let known: Vec<(Crossing, (f64, f64))> =
            brackets.iter().filter_map(|(p, bracket)| Some((measured(search, p)?, *bracket))).collect();
        let inside = known
            .iter()
            .filter(|(edge, (low, high))| (low.log10()..=high.log10()).contains(&edge.at))
            .count();
        let mut text = format!(
            "without a run: {} at {} {}, {} at {}",
            range(*first),
            y.label(),
            shown(y, a.y),
            range(*last),
            shown(y, b.y)
        );
        if !known.is_empty() {
            text += &format!("; the border lies inside at {inside} of {}", known.len());
        }
        lines.push(Line::new("predicted", text));
    }
    let deep: Vec<String> = search
        .predicted()
        .iter()
        .filter(|p| p.reach.is_some_and(|reach| reach < p.layers as f64))
        .map(|p| shown(search.spec().y, p.y))
        .collect();
    if !deep.is_empty() {
        let text = format!(
            "deeper than six correlation depths at {} {}: signals merge or scatter",
            search.spec().y.label(),
            deep.join(", ")
        );
        lines.push(Line::new("depth", text));
    }
    lines
}

fn map(search: &Search) -> Map {
    let spec = search.spec();
    let axis = |setting: Setting| match setting.is_log() {
        true => Axis::log(setting.label()),
        false => Axis::linear(setting.label()),
    };
    let places: Vec<usize> = {
        let last = search.rays()[0].chances.len() - 1;
        let mut all: Vec<usize> = (0..DRAWN).map(|i| i * last / (DRAWN - 1)).collect();
        all.dedup();
        all
    };
    let value = |height: f64| spec.x.value(height);
    let border = |of: fn(&Crossing) -> f64, name: &str, ink| {
        let known = || search.rays().iter().filter_map(|ray| Some((ray.y, ray.upper.as_ref()?)));
        let x: Vec<f64> = known().map(|(_, edge)| value(of(edge))).collect();
        let y: Vec<f64> = known().map(|(y, _)| y).collect();
        Series::line(name, &x, &y).in_ink(ink)
    };
    Map {
        title: "Probability of learning".into(),
        caption: format!(
            "After {} steps, from {} runs. The line is the border, with its interval of 95 %.",
            spec.length,
            search.runs().len()
        ),
        x: axis(spec.x),
        y: axis(spec.y),
        x_values: places.iter().map(|&at| value(search.rays()[0].chances[at].0)).collect(),
        y_values: search.rays().iter().map(|ray| ray.y).collect(),
        cells: search
            .rays()
            .iter()
            .map(|ray| places.iter().map(|&at| Some(ray.chances[at].1)).collect())
            .collect(),
        limits: Some((0.0, 1.0)),
        scale: "P(learns)".into(),
        border: vec![
            border(|edge| edge.low, "from", Ink::Context),
            border(|edge| edge.high, "to", Ink::Context),
            border(|edge| edge.at, "border", Ink::Data),
        ],
        ..Map::default()
    }
}

fn table(search: &Search) -> Table {
    let spec = search.spec();
    let number =
        |height: Option<f64>| height.map_or(Cell::missing(), |h| Cell::significant(spec.x.value(h), 3));
    let row = |ray: &Ray| {
        let edge = ray.upper;
        let centre = search.centre(ray.y);
        let mut cells = vec![
            Cell::text(shown(spec.y, ray.y)),
            number(edge.map(|edge| edge.at)),
            number(edge.map(|edge| edge.low)),
            number(edge.map(|edge| edge.high)),
            edge.map_or(Cell::missing(), |edge| Cell::significant((edge.high - edge.low) / search.unit(), 2)),
        ];
        if spec.both {
            cells.push(number(ray.lower.map(|edge| edge.at)));
        }
        if spec.is_predicted() {
            cells.push(number(centre));
        }
        Row::new(cells)
    };
    let width = if spec.x.is_log() { "decades" } else { "thirds" };
    let mut columns = vec![
        Heading::count(spec.y.label()),
        Heading::number("border"),
        Heading::number("from"),
        Heading::number("to"),
        Heading::number(width),
    ];
    if spec.both {
        columns.push(Heading::number("lower edge"));
    }
    if spec.is_predicted() {
        columns.push(Heading::number("predicted"));
    }
    Table {
        title: "Border".into(),
        caption: format!("The largest {} with which it learns, with an interval of 95 %.", spec.x.label()),
        columns,
        rows: search.rays().iter().map(row).collect(),
        ..Table::default()
    }
}

/// How many runs ended how, and after how many steps.
fn outcomes(search: &Search) -> Table {
    let all = [
        (Fate::Learns, "learns"),
        (Fate::Slow, "slow"),
        (Fate::Stuck, "stuck"),
        (Fate::Diverges, "diverges"),
    ];
    let row = |(fate, word): (Fate, &str)| {
        let of: Vec<u64> = search
            .runs()
            .iter()
            .filter(|run| run.verdict.fate == fate)
            .map(|run| run.verdict.steps)
            .collect();
        let mean = of.iter().sum::<u64>() as f64 / of.len() as f64;
        let mean = if of.is_empty() { Cell::missing() } else { Cell::significant(mean, 3) };
        Row::new(vec![Cell::text(word), Cell::text(of.len().to_string()), mean])
    };
    Table {
        title: "Runs".into(),
        caption: "Each ended as soon as its fate was clear.".into(),
        columns: vec![Heading::words("fate"), Heading::count("runs"), Heading::number("steps each")],
        rows: all.into_iter().map(row).collect(),
        ..Table::default()
    }
}
