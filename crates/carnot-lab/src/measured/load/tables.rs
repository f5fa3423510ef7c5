//! Curve, shape and steps as rows.

use carnot_probe::reading::{LayerReading, Number};
use carnot_report::finding::Finding;
use carnot_report::number;
use carnot_report::section::{Bars, Cell, Heading, Row, Show, Table};

use super::curve::{LoadCurve, TRACE};
use super::history::{At, thinned};
use super::shape::{Known, Shaped};
use crate::measured::evidence::ModelEvidence;

/// Longest name of a layer in the terminal: with it the table fills 80 columns.
const NAME: usize = 9;
/// Rows of the steps in the terminal.
const ROWS: usize = 6;

/// One line of the curve: depth zero, a layer, or the head.
struct Line {
    number: String,
    name: String,
    point: Option<Number>,
    load: Option<Number>,
    /// Its call at the latest step.
    call: Option<usize>,
    is_hidden: bool,
}

fn lines(evidence: &ModelEvidence, curve: &LoadCurve) -> Vec<Line> {
    let zero = Line {
        number: String::new(),
        name: curve.zero_name.clone(),
        point: curve.points.first().copied(),
        load: None,
        call: curve.zero_call,
        is_hidden: false,
    };
    let hidden =
        evidence.stages.iter().enumerate().skip(curve.first).zip(&curve.points[1..]).zip(&curve.loads);
    let hidden = hidden.map(|(((at, stage), point), load)| Line {
        number: (at + 1).to_string(),
        name: stage.name.clone(),
        point: Some(*point),
        load: Some(*load),
        call: Some(stage.last),
        is_hidden: true,
    });
    let head = curve.head(evidence).map(|(call, point, load)| Line {
        number: String::new(),
        name: evidence.layer(call).title(),
        point: Some(point),
        load: Some(load),
        call: Some(call),
        is_hidden: false,
    });
    std::iter::once(zero).chain(hidden).chain(head).collect()
}

/// The curve for the terminal: one bar a layer, 80 columns.
#[must_use]
pub fn short(
    evidence: &ModelEvidence,
    curve: &LoadCurve,
    shaped: Option<&Shaped>,
    findings: &[Finding],
) -> Bars {
    let lines = lines(evidence, curve);
    let names: Vec<&str> =
        lines.iter().filter(|line| line.is_hidden).map(|line| line.name.as_str()).collect();
    let is_long = names.iter().any(|name| name.chars().count() > NAME);
    let (from, to) = if is_long { (common(&names), shared_end(&names)) } else { (0, 0) };
    let columns = headings(evidence, curve);
    let row = |line: &Line| {
        let name = &line.name;
        let name = if line.is_hidden { name.get(from..name.len() - to).unwrap_or(name) } else { name };
        marked(Row::new(cells(line, fitted(name), shaped, curve)), line, evidence, findings)
    };
    let table = Table {
        title: "Load of each layer".into(),
        caption: curve.measure.caption.into(),
        show: Show::Terminal,
        columns,
        rows: lines.iter().map(row).collect(),
        ..Table::default()
    };
    Bars { table, lengths: lines.iter().map(|line| line.load.map(|load| load.value)).collect() }
}

/// Columns of the curve, in the terminal and on the page.
fn headings(evidence: &ModelEvidence, curve: &LoadCurve) -> Vec<Heading> {
    vec![
        Heading::count(word(evidence)),
        Heading::words(""),
        Heading::number(curve.measure.heading),
        Heading::number("load"),
        Heading::count("share"),
    ]
}

/// What stands under [`headings`].
fn cells(line: &Line, name: String, shaped: Option<&Shaped>, curve: &LoadCurve) -> Vec<Cell> {
    let mut cells = vec![Cell::text(line.number.clone()), Cell::text(name)];
    cells.extend([line.point, line.load].map(cell));
    cells.push(Cell::text(share(line, shaped, curve)));
    cells
}

/// The curve for the page: whole names, and the stress.
#[must_use]
pub fn full(
    evidence: &ModelEvidence,
    curve: &LoadCurve,
    shaped: Option<&Shaped>,
    findings: &[Finding],
) -> Bars {
    let lines = lines(evidence, curve);
    let mut columns = headings(evidence, curve);
    columns.push(Heading::number("stress").with_decimals(2));
    let row = |line: &Line| {
        let mut cells = cells(line, line.name.clone(), shaped, curve);
        let stress = shaped.and_then(|shaped| shaped.stress.as_ref()?.get(place(line, curve)?).copied());
        cells.push(stress.map_or(Cell::missing(), Cell::number));
        marked(Row::new(cells), line, evidence, findings)
    };
    let table = Table {
        title: format!("Load of each {}: {}", word(evidence), curve.measure.words),
        caption: format!(
            "{}. Stress = load over a fair share, less 1. Loads, shares and the shape are of the hidden layers; the head is shown and left out.",
            curve.measure.caption
        ),
        show: Show::Page,
        columns,
        rows: lines.iter().map(row).collect(),
        ..Table::default()
    };
    Bars { table, lengths: lines.iter().map(|line| line.load.map(|load| load.value)).collect() }
}

/// What stands beside the curve, for the page: the other forms of the separation, references, companions; `None` where none of it
/// was read.
#[must_use]
pub fn beside(evidence: &ModelEvidence, curve: &LoadCurve) -> Option<Table> {
    let lines = lines(evidence, curve);
    let now = |name: &'static str, label: &'static str| Beside { name, label, of: Reading::Now };
    let start = |name: &'static str, label: &'static str| Beside { name, label, of: Reading::Start };
    let beside: Vec<Beside> = [
        now("separation_pinv", "D⁺"),
        now("separation_corrected", "D_u"),
        now("separation_shuffled", "shuffled"),
        start("separation", "untrained"),
        now("unexplained", "1−R²"),
        now("effective_rank", "erank"),
        now("update_ratio", "|ΔW|/|W|"),
        now("block_influence", "influence"),
    ]
    .into_iter()
    .filter(|beside| *curve.measure == TRACE || !beside.name.starts_with("separation"))
    .filter(|beside| lines.iter().any(|line| beside.number(evidence, line).is_some()))
    .collect();
    let mut columns = vec![Heading::count(word(evidence)), Heading::words("")];
    columns.extend(beside.iter().map(|beside| Heading::number(beside.label)));
    let row = |line: &Line| {
        let mut cells = vec![Cell::text(line.number.clone()), Cell::text(line.name.clone())];
        cells.extend(beside.iter().map(|beside| cell(beside.number(evidence, line))));
        Row::new(cells)
    };
    (!beside.is_empty()).then(|| Table {
        title: "Beside it".into(),
        caption: "Other forms of the separation, the same with shuffled labels and before training, and what else tells layers apart."
            .into(),
        show: Show::Page,
        columns,
        rows: lines.iter().map(row).collect(),
        ..Table::default()
    })
}

fn word(evidence: &ModelEvidence) -> &'static str {
    if evidence.has_blocks { "block" } else { "layer" }
}

/// Another observable beside the curve.
struct Beside {
    name: &'static str,
    label: &'static str,
    of: Reading,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Now,
    Start,
}

impl Beside {
    fn number(&self, evidence: &ModelEvidence, line: &Line) -> Option<Number> {
        let step = match self.of {
            Reading::Now => evidence.now(),
            Reading::Start => evidence.start().filter(|start| start.step != evidence.now().step)?,
        };
        let of = |layer: &LayerReading| layer.value(self.name);
        // Weights change at the first call of a stage, everything else is read behind it.
        let stage = evidence.stages.iter().find(|stage| Some(stage.last) == line.call);
        match (self.name, stage) {
            ("update_ratio", Some(stage)) => of(&step.layers[stage.first]),
            _ => of(&step.layers[line.call?]),
        }
    }
}

/// Shape numbers with their intervals and what they mean.
#[must_use]
pub fn shape(shaped: &Shaped, n_loads: usize, show: Show) -> Table {
    let mut rows = vec![row("total load", Some(shaped.total), "D_0 - D_M")];
    let rest = [
        ("straightness r", shaped.straightness, "-1: a straight line, all alike"),
        ("unevenness v/|d̄|", shaped.relative_spread, "0: even, all alike"),
        ("unevenness v", Some(shaped.load_spread), "its numerator: spread of loads"),
        ("friction index κ", shaped.friction_index, "> 0: deep layers carry more"),
        ("convexity", shaped.convexity, "-κ(M-1)/12: > 0 is convex"),
        ("curvature c", Some(shaped.curvature), "first load less the last"),
    ];
    rows.extend(rest.into_iter().filter_map(|(name, known, means)| Some(row(name, Some(known?), means))));
    if let Some(centre) = shaped.centre {
        let middle = (n_loads as f64 + 1.0) / 2.0;
        rows.push(row("centre of load", Some(centre), &format!("middle of {n_loads}: {middle}")));
    }
    Table {
        title: "Shape of the curve".into(),
        show,
        caption: "95 % from the errors of the readings over the probe's samples: 2000 draws, fixed seed"
            .into(),
        columns: vec![
            Heading::words("shape"),
            Heading::number(""),
            Heading::words("95 %"),
            Heading::words(""),
        ],
        rows,
        ..Table::default()
    }
}

fn row(name: &str, known: Option<Known>, means: &str) -> Row {
    let known = known.unwrap_or(Known { value: f64::NAN, error: None, low: None, high: None });
    let range = known.low.zip(known.high).map_or(String::new(), |(low, high)| {
        let digits = decimals(high - low);
        format!("{} … {}", number::decimals(low, digits), number::decimals(high, digits))
    });
    let digits = known.error.map_or(3, |error| decimals(4.0 * error));
    let value = number::decimals(known.value, digits);
    Row::new(vec![Cell::text(name), Cell::text(value), Cell::text(range), Cell::text(means)])
}

/// Decimals that show two digits of a width.
fn decimals(width: f64) -> usize {
    if width > 0.0 && width.is_finite() { (1.0 - width.log10().floor()).clamp(0.0, 4.0) as usize } else { 4 }
}

/// The shape over the steps.
#[must_use]
pub fn steps(history: &[At], show: Show) -> Table {
    let chosen = match show {
        Show::Terminal => thinned(history.len(), ROWS),
        _ => (0..history.len()).collect(),
    };
    let of = |known: Option<Known>| {
        known.map_or(Cell::missing(), |known| match known.error {
            Some(error) => Cell::measured(known.value, error),
            None => Cell::number(known.value),
        })
    };
    let row = |&at: &usize| {
        let at = &history[at];
        let shape = at.shape.as_ref();
        Row::new(vec![
            Cell::text(at.step.to_string()),
            at.loss.map_or(Cell::missing(), |loss| Cell::significant(loss, 3)),
            of(shape.map(|shape| shape.total)),
            of(shape.and_then(|shape| shape.friction_index)),
            shape.and_then(|shape| shape.straightness).map_or(Cell::missing(), |r| Cell::number(r.value)),
            shape.and_then(|shape| shape.relative_spread).map_or(Cell::missing(), |v| Cell::number(v.value)),
            shape.and_then(|shape| shape.centre).map_or(Cell::missing(), |c| Cell::number(c.value)),
        ])
    };
    Table {
        title: "Shape over the steps".into(),
        show,
        columns: vec![
            Heading::count("step"),
            Heading::number("loss"),
            Heading::number("total load"),
            Heading::number("κ"),
            Heading::number("r").with_decimals(3),
            Heading::number("v/|d̄|").with_decimals(2),
            Heading::number("centre").with_decimals(1),
        ],
        rows: chosen.iter().map(row).collect(),
        ..Table::default()
    }
}

fn cell(number: Option<Number>) -> Cell {
    match number {
        None => Cell::missing(),
        Some(Number { value, error: Some(error) }) => Cell::measured(value, error),
        Some(Number { value, error: None }) => Cell::significant(value, 3),
    }
}

/// Place of a line among the loads.
fn place(line: &Line, curve: &LoadCurve) -> Option<usize> {
    let number: usize = line.number.parse().ok()?;
    (number - 1).checked_sub(curve.first)
}

fn share(line: &Line, shaped: Option<&Shaped>, curve: &LoadCurve) -> String {
    let share = place(line, curve).and_then(|at| shaped?.share.as_ref()?.get(at).copied());
    // Two digits at most, so that the table keeps its width.
    let written = |share: f64| number::decimals(100.0 * share, usize::from(share.abs() < 0.0995));
    share.map_or(String::new(), |share| format!("{} %", written(share)))
}

/// The finding at a line: a finding of the whole stage, whichever of its calls it names.
fn marked(row: Row, line: &Line, evidence: &ModelEvidence, findings: &[Finding]) -> Row {
    let Some(stage) = evidence.stages.iter().find(|stage| Some(stage.last) == line.call) else { return row };
    let calls = &evidence.now().layers[stage.first..=stage.last];
    let is_here = |finding: &&Finding| calls.iter().any(|layer| layer.title() == finding.at);
    match findings.iter().filter(is_here).min_by_key(|finding| finding.level) {
        Some(finding) => row.with_mark(&format!("{} {}", finding.code, finding.name)),
        None => row,
    }
}

/// Bytes of what all names begin with, up to a point: `encoder.layer.` of `encoder.layer.0` and `encoder.layer.1`.
fn common(names: &[&str]) -> usize {
    let Some((first, rest)) = names.split_first() else { return 0 };
    let mut ends = first.match_indices('.').map(|(at, _)| at + 1);
    let is_shared =
        |end: &usize| !rest.is_empty() && rest.iter().all(|name| name.starts_with(&first[..*end]));
    ends.rfind(is_shared).unwrap_or(0)
}

/// Bytes of what all names end with, from a point on: `.output.norm` of `0.attention.output.norm` and `0.output.norm`.
fn shared_end(names: &[&str]) -> usize {
    let Some((first, rest)) = names.split_first() else { return 0 };
    let mut starts = first.match_indices('.').map(|(at, _)| first.len() - at);
    let is_shared = |bytes: &usize| {
        let end = &first[first.len() - bytes..];
        !rest.is_empty() && rest.iter().all(|name| name.ends_with(end) && name.len() > *bytes)
    };
    starts.find(is_shared).unwrap_or(0)
}

/// The two ends of a name that is too long: where it stands comes first, what it is last.
fn fitted(name: &str) -> String {
    let n = name.chars().count();
    if n <= NAME {
        return name.into();
    }
    name.chars().take(2).chain("…".chars()).chain(name.chars().skip(n - NAME + 3)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_they_share_and_keep_their_ends() {
        assert_eq!(common(&["net.0.fc", "net.1.fc"]), 4);
        assert_eq!(common(&["fc1", "fc2"]), 0);
        assert_eq!(common(&["only.one"]), 0);
        assert_eq!(
            shared_end(&["layer.0.attention.output.norm", "layer.0.output.norm"]),
            ".output.norm".len()
        );
        assert_eq!(shared_end(&["a.norm", "b.norm2"]), 0);
        assert_eq!(shared_end(&["norm", "norm"]), 0);
        assert_eq!(fitted("0.output.dense.weight"), "0.…weight");
        assert_eq!(fitted("fc1"), "fc1");
    }

    #[test]
    fn decimals_show_two_digits_of_a_width() {
        assert_eq!([3.0, 0.3, 0.031, 1e-9, 0.0].map(decimals), [1, 2, 3, 4, 4]);
    }
}
