//! The report on networks whose kernels were watched.

use carnot_math::stats::{Estimate, Moments};
use carnot_report::chart::{Axis, Chart, Ink, Series};
use carnot_report::number::{estimate, significant};
use carnot_report::report::{Coverage, Headline, Line, Provenance, Report, Tone};
use carnot_report::section::{Cell, Heading, Row, Section, Table};
use serde_json::{Value, json};

use super::measure::{Limit, Member, Moved};
use crate::experiments::kernel::{KernelSpec, write::subject};

type Of = fn(&Moved) -> Option<f64>;

/// What is kept of every step: its name in JSON, and where it is found.
const COLUMNS: [(&str, Of); 8] = [
    ("training_loss", |m| Some(m.loss)),
    ("aside_accuracy", |m| m.aside),
    ("tangent_change", |m| Some(m.tangent)),
    ("features_change", |m| m.kernel),
    ("tangent_with_start", |m| Some(m.tangent_with_start)),
    ("tangent_with_labels", |m| Some(m.tangent_with_labels)),
    ("features_with_labels", |m| m.kernel_with_labels),
    ("tangent_from_infinite_width", |m| m.from_infinite),
];

/// All members together.
struct Watched<'a> {
    steps: Vec<u64>,
    /// Those that did not diverge.
    members: Vec<&'a Member>,
}

impl Watched<'_> {
    /// Mean and standard error over members of something at one step.
    fn at(&self, step: u64, of: impl Fn(&Moved) -> Option<f64>) -> Option<Estimate> {
        let find = |member: &&Member| of(member.moments.iter().find(|moment| moment.step == step)?);
        over(self.members.iter().filter_map(find).collect())
    }

    /// The same of what changed since the start, member by member: the start's own scatter drops out.
    fn change(&self, step: u64, of: impl Fn(&Moved) -> Option<f64>) -> Option<Estimate> {
        let find = |member: &&Member| {
            let now = of(member.moments.iter().find(|moment| moment.step == step)?)?;
            Some(now - of(member.moments.first()?)?)
        };
        over(self.members.iter().filter_map(find).collect())
    }

    fn last(&self) -> u64 {
        self.steps.last().copied().unwrap_or(0)
    }
}

fn over(known: Vec<f64>) -> Option<Estimate> {
    let moments = Moments::of(&known);
    (!known.is_empty()).then(|| moments.estimate())
}

/// The report.
pub fn report(spec: &KernelSpec, limit: &Limit, members: &[Member]) -> Report {
    let mut report = Report::new("kernel", &subject(spec));
    let watched = Watched {
        steps: std::iter::once(0).chain(spec.drift.iter().copied()).collect(),
        members: members.iter().filter(|member| member.diverged.is_none()).collect(),
    };
    report.headline = Some(headline(&watched, members.len()));
    report.summary = summary(&watched, limit, members);
    report.sections.push(Section::Table(table(&watched, limit)));
    report.sections.extend(pictures(&watched, limit).into_iter().map(Section::Chart));
    report.coverage = Some(Coverage {
        read: watched.members.len(),
        of: members.len(),
        what: format!(
            "networks, kernels on {} training samples, rate {}, batches of {}",
            limit.samples,
            significant(limit.rate, 3),
            spec.batch
        ),
        probe: None,
        skipped: Vec::new(),
    });
    report.next.push(
        Line::new("try", "carnot kernel … --members 16")
            .with_note("halves the errors; twice the width halves a lazy drift"),
    );
    report.extra.insert("drift".into(), json(&watched, limit, members));
    report.provenance = Provenance { seed: Some(spec.seed), device: "cpu".into(), ..Provenance::default() };
    report
}

fn headline(watched: &Watched, all: usize) -> Headline {
    let last = watched.last();
    match watched.at(last, |m| Some(m.tangent)) {
        Some(moved) => Headline {
            text: format!("THE TANGENT KERNEL MOVED BY {} IN {last} STEPS", percent(moved)),
            tone: Tone::Plain,
        },
        None if all > 0 => Headline { text: "ALL NETWORKS DIVERGED".into(), tone: Tone::Blocks },
        None => Headline { text: "NOTHING MEASURED YET".into(), tone: Tone::Plain },
    }
}

/// `34.2 ± 0.8 %`
fn percent(share: Estimate) -> String {
    format!("{} %", estimate(100.0 * share.value, 100.0 * share.error))
}

fn summary(watched: &Watched, limit: &Limit, members: &[Member]) -> Vec<Line> {
    let mut lines = Vec::new();
    let last = watched.last();
    let number = |of: Option<Estimate>| of.map_or("–".into(), |of| estimate(of.value, of.error));
    let mut say = |label: &str, text: String| lines.push(Line::new(label, text));
    if let Some(kernel) = watched.at(last, |m| m.kernel) {
        let loss = |step| number(watched.at(step, |m| Some(m.loss)));
        say(
            "features",
            format!(
                "K of the last hidden layer moved by {}, while the training loss went from {} to {}",
                percent(kernel),
                loss(0),
                loss(last)
            ),
        );
    }
    let towards = |of: Of| watched.change(last, of).map(|change| (change, number(Some(change))));
    if let Some((change, words)) = towards(|m| Some(m.tangent_with_labels)) {
        let features = towards(|m| m.kernel_with_labels);
        let features = features.map_or(String::new(), |(_, words)| format!(", of K by {words}"));
        let way = match change.value / change.error {
            z if z > 3.0 => ": the kernel turned towards what is learned",
            z if z < -3.0 => ": the kernel turned away from the labels",
            _ => "",
        };
        say("labels", format!("alignment of Θ with the labels changed by {words}{features}{way}"));
    }
    match watched.at(0, |m| m.from_infinite) {
        Some(distance) => say(
            "width",
            format!("before training Θ lies {} from its limit at infinite width", percent(distance)),
        ),
        None => {
            if let Some(because) = &limit.because {
                say("width", format!("the distance from infinite width is not known, because {because}"));
            }
        }
    }
    let diverged = members.len() - watched.members.len();
    if diverged > 0 {
        say("note", format!("{diverged} of {} networks diverged and do not count", members.len()));
    }
    if watched.members.len() == 1 {
        say("note", "one network has no error: --members 4 or more shows what is chance".into());
    }
    lines
}

fn table(watched: &Watched, limit: &Limit) -> Table {
    let cell = |of: Option<Estimate>, factor: f64| {
        of.map_or(Cell::missing(), |of| Cell::measured(factor * of.value, factor * of.error))
    };
    let row = |&step: &u64| {
        let at = |of: Of, factor: f64| cell(watched.at(step, of), factor);
        Row::new(vec![
            Cell::text(step.to_string()),
            at(|m| Some(m.loss), 1.0),
            at(|m| m.aside, 100.0),
            at(|m| Some(m.tangent), 100.0),
            at(|m| m.kernel, 100.0),
            // Its error is far below what matters; it stands in JSON.
            watched
                .at(step, |m| Some(m.tangent_with_start))
                .map_or(Cell::missing(), |e| Cell::significant(e.value, 4)),
            at(|m| Some(m.tangent_with_labels), 1.0),
            at(|m| m.kernel_with_labels, 1.0),
        ])
    };
    let mut rows: Vec<Row> = watched.steps.iter().map(row).collect();
    if let Some(theta) = limit.tangent_with_labels {
        let known = |value: Option<f64>| value.map_or(Cell::missing(), |value| Cell::significant(value, 3));
        let mut cells = vec![Cell::text("n → ∞")];
        cells.extend((0..5).map(|_| Cell::missing()));
        cells.extend([known(Some(theta)), known(limit.kernel_with_labels)]);
        rows.push(Row::new(cells));
    }
    Table {
        title: "Kernels while networks learn".into(),
        caption: "Loss is half the squared error of a training sample. Moved: distance from the kernel at step 0 over its size. \
                  Like: centred alignment, at most 1. Errors are over networks."
            .into(),
        columns: vec![
            Heading::count("step"),
            Heading::number("training loss"),
            Heading::number("aside %"),
            Heading::number("Θ moved %"),
            Heading::number("K moved %"),
            Heading::number("Θ like start"),
            Heading::number("Θ like labels"),
            Heading::number("K like labels"),
        ],
        rows,
        ..Table::default()
    }
}

fn pictures(watched: &Watched, limit: &Limit) -> Vec<Chart> {
    let last = watched.last();
    let Some(moved) = watched.at(last, |m| Some(m.tangent)) else { return Vec::new() };
    let kernel = watched.at(last, |m| m.kernel);
    let and = kernel.map_or(String::new(), |kernel| format!(", K by {}", percent(kernel)));
    let caption = format!("After {last} steps Θ has moved by {}{and} of what it was.", percent(moved));
    let mut far = Chart::new("how far kernels move", &caption, Axis::log("step"), Axis::linear("moved, %"))
        .with(dots(watched, "Θ", 100.0, |m| Some(m.tangent)));
    let change = watched.change(last, |m| Some(m.tangent_with_labels)).map_or(String::new(), |change| {
        format!("The alignment of Θ with the labels changes by {}.", estimate(change.value, change.error))
    });
    let axis = Axis::linear("alignment with the labels");
    let mut towards = Chart::new("towards the labels", &change, Axis::log("step"), axis);
    // A logarithmic axis has no place for step 0: what was there is a line.
    let ends = [first_step(watched), last as f64];
    let mut level = |name: &str, value: Option<f64>, ink: Ink| {
        if let Some(value) = value {
            towards.series.push(Series::line(name, &ends, &[value, value]).in_ink(ink));
        }
    };
    level("Θ, n → ∞", limit.tangent_with_labels, Ink::Theory);
    level("Θ, step 0", watched.at(0, |m| Some(m.tangent_with_labels)).map(|e| e.value), Ink::Data);
    level("K, step 0", watched.at(0, |m| m.kernel_with_labels).map(|e| e.value), Ink::Context);
    towards = towards.with(dots(watched, "Θ", 1.0, |m| Some(m.tangent_with_labels)));
    if kernel.is_some() {
        far = far.with(dots(watched, "K, last hidden layer", 100.0, |m| m.kernel).in_ink(Ink::Context));
        let name = "K, last hidden layer";
        towards = towards.with(dots(watched, name, 1.0, |m| m.kernel_with_labels).in_ink(Ink::Context));
    }
    vec![far, towards]
}

/// The first step after the start.
fn first_step(watched: &Watched) -> f64 {
    watched.steps.get(1).map_or(1.0, |&step| step as f64)
}

/// Something at all steps after the start, in units of 1/factor.
fn dots(watched: &Watched, name: &str, factor: f64, of: Of) -> Series {
    let after = watched.steps.iter().filter(|step| **step > 0);
    let found: Vec<(f64, Estimate)> =
        after.filter_map(|&step| Some((step as f64, watched.at(step, of)?))).collect();
    let pick = |of: &dyn Fn(&(f64, Estimate)) -> f64| found.iter().map(of).collect::<Vec<_>>();
    Series::dots(name, &pick(&|p| p.0), &pick(&|p| factor * p.1.value), &pick(&|p| factor * p.1.error))
}

/// Steps, means and errors as columns, theory, and every network for itself.
fn json(watched: &Watched, limit: &Limit, members: &[Member]) -> Value {
    let mut columns = serde_json::Map::new();
    columns.insert("step".into(), json!(watched.steps));
    for (name, of) in COLUMNS {
        let all: Vec<Option<Estimate>> = watched.steps.iter().map(|&step| watched.at(step, of)).collect();
        columns.insert(name.into(), json!(all.iter().map(|e| e.map(|e| e.value)).collect::<Vec<_>>()));
        columns.insert(
            format!("{name}_error"),
            json!(all.iter().map(|e| e.map(|e| e.error)).collect::<Vec<_>>()),
        );
    }
    json!({ "columns": columns, "infinite_width": limit, "networks": members })
}
