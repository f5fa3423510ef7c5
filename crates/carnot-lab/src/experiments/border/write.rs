//! The search → report.

use carnot_math::levelset::border::Crossing;
use carnot_report::chart::{Axis, Ink, Series};
use carnot_report::number::{estimate, percent, significant};
use carnot_report::report::{Headline, Line, Provenance, Report, Tone};
use carnot_report::section::{Cell, Heading, Map, Row, Section, Table};
use carnot_sim::train::fate::Fate;
use serde_json::{Value, json};

use super::foretell::Predicted;
use super::ray::Ray;
use super::search::{GRID_COLUMNS, Search, Stop, rows};
use super::{Across, Border, Setting};
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
        report.sections.extend(slices(search).into_iter().map(|z| Section::Map(map(search, z))));
        report.sections.push(Section::Table(table(search)));
    }
    report.sections.push(Section::Table(outcomes(search)));
    report.extra.insert(
        "border".into(),
        json!(search.rays().iter().map(|ray| of_ray(search, ray)).collect::<Vec<_>>()),
    );
    report.extra.insert("runs".into(), json!(search.runs()));
    report.extra.insert("predicted".into(), json!(search.predicted()));
    let known = exponents(search);
    for (key, axis) in [("exponent", Some(spec.y)), ("exponent_beside", spec.z)] {
        let own = known.iter().find(|(setting, _)| Some(*setting) == axis);
        if axis.is_some() {
            let own = own.map(|(_, (value, error))| json!({ "value": value, "error": error }));
            report.extra.insert(key.into(), json!(own));
        }
    }
    report.extra.insert("steps".into(), json!(steps(search)));
    report.extra.insert("stop".into(), json!(format!("{:?}", search.stop()).to_lowercase()));
    report
}

fn of_ray(search: &Search, ray: &Ray) -> Value {
    let x = search.spec().x;
    let edge = |edge: &Option<Crossing>| {
        edge.map(|e| json!({ "at": x.value(e.at), "low": x.value(e.low), "high": x.value(e.high), "bracketed": e.is_bracketed }))
    };
    let mut value = json!({ "y": ray.across.y, "upper": edge(&ray.upper), "lower": edge(&ray.lower), "learns_somewhere": ray.has_good() });
    if let Some(z) = ray.across.z {
        value["z"] = json!(z);
    }
    value
}

fn steps(search: &Search) -> u64 {
    search.runs().iter().map(|run| run.verdict.steps).sum()
}

/// Slopes of the upper edge in decades over decades, along each axis across that has them.
fn exponents(search: &Search) -> Vec<(Setting, (f64, f64))> {
    let spec = search.spec();
    if !spec.x.is_log() {
        return Vec::new();
    }
    let of = |ray: &Ray| {
        let edge = ray.upper.filter(|edge| edge.is_bracketed)?;
        // The interval is one of 95 %.
        let error = ((edge.high - edge.low) / 3.92).hypot(ROUGH);
        Some((ray.across, edge.at, error))
    };
    let points: Vec<_> = search.rays().iter().filter_map(of).collect();
    // Rows between runs are read off the same process: no more of them are independent than runs were spent on each, about one in two.
    let Some((slopes, _)) = search.level(&points).filter(|(slopes, _)| points.len() >= slopes.len() + 2)
    else {
        return Vec::new();
    };
    let axes = [Some(spec.y), spec.z].into_iter().flatten();
    let own = axes.zip(slopes).map(|(axis, (value, error))| (axis, (value, error * 2f64.sqrt())));
    own.filter(|(axis, _)| axis.is_log()).collect()
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
    let across = match spec.z {
        None => format!("VALUES OF {}", spec.y.label().to_uppercase()),
        Some(z) => format!("PAIRS OF {} AND {}", spec.y.label().to_uppercase(), z.label().to_uppercase()),
    };
    let (text, tone) = match (found, learns) {
        (0, 0) => ("NOTHING LEARNS IN THE BOX".into(), Tone::Blocks),
        (0, _) if learns == all => {
            ("EVERYTHING LEARNS UP TO THE END OF THE BOX: NO BORDER FOUND".into(), Tone::Plain)
        }
        (0, _) => ("NO UPPER BORDER FOUND IN THE BOX".into(), Tone::Costs),
        _ if search.stop() == Stop::Known => {
            (format!("{which} FOUND AT {found} OF {all} {across}"), Tone::Good)
        }
        _ => (format!("BORDER FOUND AT {found} OF {all} {across}, NOT YET TO THE TOLERANCE"), Tone::Costs),
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
        let (from, to) = (spec.words(first.across), spec.words(last.across));
        let text =
            format!("learns up to {} {} at {from}; {} at {to}", spec.x.label(), value(a.at), value(b.at));
        lines.push(Line::new("border", text));
    }
    let lower: Vec<(&Ray, Crossing)> =
        search.rays().iter().filter_map(|ray| Some((ray, ray.lower.filter(|_| spec.both)?))).collect();
    if let (Some((first, a)), Some((last, b))) = (lower.first(), lower.last()) {
        let value = |height: f64| significant(spec.x.value(height), 2);
        let (from, to) = (spec.words(first.across), spec.words(last.across));
        let text =
            format!("learns from {} {} at {from}; {} at {to}", spec.x.label(), value(a.at), value(b.at));
        lines.push(Line::new("lower edge", text));
    }
    let powers: Vec<String> = exponents(search)
        .into_iter()
        .map(|(axis, (value, error))| format!("{}^({})", axis.label(), estimate(value, error)))
        .collect();
    if !powers.is_empty() {
        lines.push(Line::new("scales", format!("border ∝ {}", powers.join(" · "))));
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

/// Places across in words; of the second axis alone the values in a row, of two axes a count where they are many.
fn named(search: &Search, places: &[Across]) -> String {
    let spec = search.spec();
    match (spec.z, places) {
        (None, _) => {
            let all: Vec<String> = places.iter().map(|across| spec.y.shown(across.y)).collect();
            format!("{} {}", spec.y.label(), all.join(", "))
        }
        (Some(_), few) if few.len() <= 3 => {
            few.iter().map(|across| spec.words(*across)).collect::<Vec<_>>().join("; ")
        }
        (Some(_), all) => {
            format!(
                "{} of {} pairs, {} to {}",
                all.len(),
                search.rays().len(),
                spec.words(all[0]),
                spec.words(all[all.len() - 1])
            )
        }
    }
}

/// Rows whose border is not in the box.
fn beyond(search: &Search) -> Option<Line> {
    let spec = search.spec();
    let name = |rays: Vec<&Ray>| named(search, &rays.iter().map(|ray| ray.across).collect::<Vec<_>>());
    let (above, dead): (Vec<&Ray>, Vec<&Ray>) =
        search.rays().iter().filter(|ray| ray.upper.is_none()).partition(|ray| ray.has_good());
    let mut parts = Vec::new();
    if !above.is_empty() {
        let end = significant(spec.x.value(search.ends().1), 2);
        parts.push(format!("above the box, which ends at {end}, for {}", name(above)));
    }
    if !dead.is_empty() {
        parts.push(format!("nothing learns for {}", name(dead)));
    }
    (!parts.is_empty()).then(|| Line::new("not found", parts.join("; ")))
}

/// The measured edge nearest to a predicted place across.
fn measured(search: &Search, predicted: &Predicted) -> Option<Crossing> {
    let there = search.shares(predicted.across);
    let distance = |ray: &&Ray| {
        let own = search.shares(ray.across);
        (own[0] - there[0]).hypot(own[1] - there[1])
    };
    search.rays().iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))?.upper
}

/// What was predicted without a run, and whether the border was there.
fn theory(search: &Search) -> Vec<Line> {
    let mut lines = Vec::new();
    let brackets: Vec<(&Predicted, (f64, f64))> =
        search.predicted().iter().filter_map(|p| Some((p, p.bracket?))).collect();
    if let (Some((a, first)), Some((b, last))) = (brackets.first(), brackets.last()) {
        let range = |(low, high): (f64, f64)| format!("{} to {}", significant(low, 2), significant(high, 2));
        let spec = search.spec();
        let known: Vec<(Crossing, (f64, f64))> =
            brackets.iter().filter_map(|(p, bracket)| Some((measured(search, p)?, *bracket))).collect();
        let inside = known
            .iter()
            .filter(|(edge, (low, high))| (low.log10()..=high.log10()).contains(&edge.at))
            .count();
        let (from, to) = (spec.words(a.across), spec.words(b.across));
        let mut text = format!("without a run: {} at {from}; {} at {to}", range(*first), range(*last));
        if !known.is_empty() {
            text += &format!("; the border lies inside at {inside} of {}", known.len());
        }
        lines.push(Line::new("predicted", text));
    }
    let is_deep = |p: &&Predicted| p.reach.is_some_and(|reach| reach < p.layers as f64);
    let deep: Vec<Across> = search.predicted().iter().filter(is_deep).map(|p| p.across).collect();
    if !deep.is_empty() {
        let at = named(search, &deep);
        let text = format!("deeper than six correlation depths at {at}: signals merge or scatter");
        lines.push(Line::new("depth", text));
    }
    lines
}

/// Values of the third axis of which maps are drawn: its ends and its middle.
fn slices(search: &Search) -> Vec<Option<f64>> {
    let mut all: Vec<Option<f64>> = search.rays().iter().map(|ray| ray.across.z).collect();
    all.dedup();
    let last = all.len() - 1;
    let mut drawn: Vec<usize> = vec![0, last / 2, last];
    drawn.dedup();
    drawn.into_iter().map(|at| all[at]).collect()
}

/// The plane at one value of the third axis.
fn map(search: &Search, z: Option<f64>) -> Map {
    let spec = search.spec();
    let rays: Vec<&Ray> = search.rays().iter().filter(|ray| ray.across.z == z).collect();
    let runs = search.runs().iter().filter(|run| run.across.z == z).count();
    let beside =
        spec.z.zip(z).map(|(setting, value)| format!(", {} {}", setting.label(), setting.shown(value)));
    let axis = |setting: Setting| match setting.is_log() {
        true => Axis::log(setting.label()),
        false => Axis::linear(setting.label()),
    };
    let places: Vec<usize> = {
        let last = rays[0].chances.len() - 1;
        let mut all: Vec<usize> = (0..DRAWN).map(|i| i * last / (DRAWN - 1)).collect();
        all.dedup();
        all
    };
    let value = |height: f64| spec.x.value(height);
    let border = |of: fn(&Crossing) -> f64, name: &str, ink| {
        let known = || rays.iter().filter_map(|ray| Some((ray.across.y, ray.upper.as_ref()?)));
        let x: Vec<f64> = known().map(|(_, edge)| value(of(edge))).collect();
        let y: Vec<f64> = known().map(|(y, _)| y).collect();
        Series::line(name, &x, &y).in_ink(ink)
    };
    Map {
        title: format!("Probability of learning{}", beside.unwrap_or_default()),
        caption: format!(
            "After {} steps, from {} runs{}. The line is the border, with its interval of 95 %.",
            spec.length,
            search.runs().len(),
            if z.is_some() { format!(", {runs} of them here") } else { String::new() }
        ),
        x: axis(spec.x),
        y: axis(spec.y),
        x_values: places.iter().map(|&at| value(rays[0].chances[at].0)).collect(),
        y_values: rays.iter().map(|ray| ray.across.y).collect(),
        cells: rays.iter().map(|ray| places.iter().map(|&at| Some(ray.chances[at].1)).collect()).collect(),
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
        let centre = search.centre(ray.across);
        let mut cells = vec![Cell::text(spec.y.shown(ray.across.y))];
        cells.extend(spec.z.zip(ray.across.z).map(|(z, value)| Cell::text(z.shown(value))));
        cells.extend([
            number(edge.map(|edge| edge.at)),
            number(edge.map(|edge| edge.low)),
            number(edge.map(|edge| edge.high)),
            edge.map_or(Cell::missing(), |edge| Cell::significant((edge.high - edge.low) / search.unit(), 2)),
        ]);
        if spec.both {
            cells.push(number(ray.lower.map(|edge| edge.at)));
        }
        if spec.is_predicted() {
            cells.push(number(centre));
        }
        Row::new(cells)
    };
    let width = if spec.x.is_log() { "decades" } else { "thirds" };
    let mut columns = vec![Heading::count(spec.y.label())];
    columns.extend(spec.z.map(|z| Heading::count(z.label())));
    columns.extend(["border", "from", "to", width].map(Heading::number));
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
