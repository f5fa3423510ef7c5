//! The trainings → report.

use carnot_math::stats::{Moments, student_quantile};
use carnot_report::chart::{Axis, Chart, Ink, Series};
use carnot_report::number::{estimate, percent, significant};
use carnot_report::report::{Headline, Line, Provenance, Report, Tone};
use carnot_report::section::{Cell, Heading, Row, Section, Table};
use carnot_sim::prune::mask::prunable;
use serde_json::json;

use super::tickets::{Done, State, Way};
use super::{Prune, PruneSpec};
use crate::experiments::Experiment;

/// Chance with which intervals hold.
const SURE: f64 = 0.95;
/// Score that a smaller network may lack and still count as doing as well, where the interval reaches it.
const AS_WELL: f64 = 0.01;

/// A mean over networks with its standard error; of one network without.
struct Mean {
    value: f64,
    error: Option<f64>,
    count: usize,
}

fn mean(values: &[f64]) -> Option<Mean> {
    let moments = Moments::of(values);
    let error = (values.len() > 1).then(|| moments.error());
    (!values.is_empty()).then(|| Mean { value: moments.mean(), error, count: values.len() })
}

/// A quantity of one training.
type Of = fn(&Done) -> Option<f64>;

fn score(done: &Done) -> Option<f64> {
    done.best_score
}

fn speed(done: &Done) -> Option<f64> {
    done.best_loss.map(|_| done.best_step as f64)
}

fn over(state: &State, round: usize, way: Way, of: Of) -> Option<Mean> {
    mean(&state.all(round, way).into_iter().filter_map(of).collect::<Vec<f64>>())
}

/// Ticket less another training of the same networks, paired.
fn less(state: &State, (round, way): (usize, Way), (other, against): (usize, Way), of: Of) -> Option<Mean> {
    let pair =
        |member: u64| Some(of(state.find(member, round, way)?)? - of(state.find(member, other, against)?)?);
    mean(&(0..state.spec().seeds).filter_map(pair).collect::<Vec<f64>>())
}

/// Half the interval of a mean.
fn half(mean: &Mean) -> Option<f64> {
    Some(mean.error? * student_quantile(0.5 + SURE / 2.0, mean.count as f64 - 1.0))
}

/// Does a round do as well as the whole network: is it not below by more than [`AS_WELL`], nor surely below?
fn does_as_well(state: &State, round: usize) -> Option<bool> {
    let gap = less(state, (round, Way::Ticket), (0, Way::Ticket), score)?;
    let surely_below = half(&gap).is_some_and(|half| gap.value + half < 0.0);
    Some(gap.value >= -AS_WELL && !surely_below)
}

fn share(state: &State, round: usize) -> f64 {
    state.all(round, Way::Ticket).first().map_or(f64::NAN, |done| done.share)
}

/// The last round in a row that does as well as the whole, and the first that does not.
fn smallest(state: &State) -> (Option<usize>, Option<usize>) {
    let rounds = 1..state.rounds();
    let last = rounds.clone().take_while(|&round| does_as_well(state, round) == Some(true)).last();
    let next = last.map_or(1, |last| last + 1);
    (last, (next < state.rounds()).then_some(next))
}

/// How good the answer is so far.
pub fn progress(state: &State) -> String {
    match state.rounds() {
        0 => String::new(),
        rounds => format!("{} left after {} rounds", percent(share(state, rounds - 1)), rounds - 1),
    }
}

/// Writes what is known.
pub fn report(state: &State) -> Report {
    let spec = state.spec();
    let mut report = Report::new("prune", &Prune::subject(spec));
    report.provenance = Provenance { seed: Some(spec.seed), device: "cpu".into(), ..Provenance::default() };
    report.headline = Some(headline(state));
    report.summary = lines(state);
    if state.rounds() > 0 {
        report.sections.push(Section::Chart(chart(state, "Accuracy", "accuracy", score)));
        report.sections.push(Section::Chart(chart(
            state,
            "Speed",
            "step of the least validation loss",
            speed,
        )));
        report.sections.push(Section::Table(table(state)));
        report.sections.extend(densities(state).map(Section::Table));
    }
    let trainings: Vec<_> = (0..=spec.rounds)
        .flat_map(|round| [Way::Ticket].into_iter().chain(Way::CONTROLS).map(move |way| (round, way)))
        .flat_map(|(round, way)| state.all(round, way))
        .map(|done| Done { next: None, at_once: Default::default(), ..done.clone() })
        .collect();
    report.extra.insert("trainings".into(), json!(trainings));
    let (last, next) = smallest(state);
    let share_of = |round: Option<usize>| round.map(|round| share(state, round));
    report.extra.insert("smallest".into(), json!({ "does": share_of(last), "does_not": share_of(next) }));
    report
}

fn headline(state: &State) -> Headline {
    if state.rounds() < 2 {
        return Headline { text: "NOTHING PRUNED YET".into(), tone: Tone::Plain };
    }
    let (text, tone) = match smallest(state).0 {
        Some(round) => {
            (format!("{} OF THE WEIGHTS DO AS WELL AS ALL", percent(share(state, round))), Tone::Good)
        }
        None => {
            (format!("ALREADY {} OF THE WEIGHTS DO WORSE THAN ALL", percent(share(state, 1))), Tone::Costs)
        }
    };
    Headline { text, tone }
}

/// `0.962 ± 0.003`, or the value alone.
fn words(mean: &Mean) -> String {
    mean.error.map_or_else(|| significant(mean.value, 3), |error| estimate(mean.value, error))
}

fn lines(state: &State) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(whole) = over(state, 0, Way::Ticket, score) {
        let text = format!("{} on the test set, at the step of the least validation loss", words(&whole));
        lines.push(Line::new("whole", text));
    }
    let (last, next) = smallest(state);
    if let Some(round) = last {
        let upper = percent(share(state, round));
        let text = match next {
            Some(next) => format!(
                "between {} and {upper} of the weights: there it falls behind",
                percent(share(state, next))
            ),
            None => format!("at most {upper} of the weights; more rounds would tell"),
        };
        lines.push(Line::new("smallest", text));
    }
    // The controls where they tell most: at the smallest ticket that does as well and has some.
    let controlled = (1..=last.unwrap_or(state.rounds().saturating_sub(1))).rev();
    if let Some(round) = controlled.into_iter().find(|&round| !state.all(round, Way::Fresh).is_empty()) {
        for way in Way::CONTROLS {
            let Some(gap) = less(state, (round, Way::Ticket), (round, way), score) else { continue };
            let sure = match half(&gap) {
                None => "one network tells no error",
                Some(half) if gap.value > half => "the ticket is better",
                Some(half) if gap.value < -half => "the ticket is worse",
                Some(_) => "no difference is sure",
            };
            let pace = less_pace(state, round, way);
            let text = format!(
                "at {} left the ticket has {} more: {sure}{pace}",
                percent(share(state, round)),
                words(&gap)
            );
            lines.push(Line::new(way.words(), text));
        }
    }
    if state.spec().seeds < 3 {
        lines.push(Line::new("doubt", "fewer than three networks: errors are hardly known (--seeds 5)"));
    }
    lines
}

/// How many times as many steps a control takes to its least validation loss.
fn less_pace(state: &State, round: usize, way: Way) -> String {
    let ratio = |member: u64| {
        let of = |way| speed(state.find(member, round, way)?);
        Some((of(way)? / of(Way::Ticket)?.max(1.0)).ln())
    };
    let all: Vec<f64> = (0..state.spec().seeds).filter_map(ratio).collect();
    mean(&all).map_or_else(String::new, |mean| {
        format!("; it takes {} times as many steps", significant(mean.value.exp(), 2))
    })
}

fn chart(state: &State, title: &str, label: &str, of: Of) -> Chart {
    let mut chart = Chart::new(
        title,
        "Against the share of the weights that is left, mean and standard error over networks.",
        Axis::log("share left"),
        Axis::linear(label),
    );
    for way in [Way::Ticket].into_iter().chain(Way::CONTROLS) {
        let points: Vec<(f64, Mean)> = (0..state.rounds())
            .filter_map(|round| Some((share(state, round), over(state, round, way, of)?)))
            .collect();
        if points.is_empty() {
            continue;
        }
        let x: Vec<f64> = points.iter().map(|(x, _)| *x).collect();
        let y: Vec<f64> = points.iter().map(|(_, mean)| mean.value).collect();
        let error: Vec<f64> = points.iter().map(|(_, mean)| mean.error.unwrap_or(f64::NAN)).collect();
        let ink = if way == Way::Ticket { Ink::Data } else { Ink::Context };
        chart = chart.with(Series::line(way.words(), &x, &y).in_ink(ink));
        chart = chart.with(Series::dots(way.words(), &x, &y, &error).in_ink(ink));
    }
    chart
}

fn table(state: &State) -> Table {
    let cell = |mean: Option<Mean>| match mean {
        None => Cell::missing(),
        Some(Mean { value, error: Some(error), .. }) => Cell::measured(value, error),
        Some(Mean { value, .. }) => Cell::significant(value, 3),
    };
    let row = |round: usize| {
        let mut cells = vec![Cell::text(round.to_string()), Cell::text(percent(share(state, round)))];
        for of in [score as Of, speed as Of] {
            cells.extend(
                [Way::Ticket].into_iter().chain(Way::CONTROLS).map(|way| cell(over(state, round, way, of))),
            );
        }
        let row = Row::new(cells);
        if round > 0 && does_as_well(state, round) == Some(false) { row.with_mark("!") } else { row }
    };
    let mut columns = vec![Heading::count("round"), Heading::count("left")];
    columns.extend(["ticket", "fresh", "elsewhere", "at once"].map(Heading::number));
    columns.extend(["steps", "fresh", "elsewhere", "at once"].map(Heading::number));
    Table {
        title: "Rounds".into(),
        caption: "Test score at the least validation loss, and the step of that. Fresh: the same mask on fresh weights; elsewhere: as many weights \
                  anywhere in each layer; at once: as many taken in one round. Marked: below the whole network."
            .into(),
        columns,
        rows: (0..state.rounds()).map(row).collect(),
        ..Table::default()
    }
}

/// What is left of each tensor after the last round that does as well, or the last.
fn densities(state: &State) -> Option<Table> {
    let round = smallest(state).0.or_else(|| state.rounds().checked_sub(1))?;
    let plan = plan_of(state.spec())?;
    let done = state.all(round, Way::Ticket).into_iter().next()?;
    let tensors = prunable(&plan);
    let row = |(tensor, left): (&carnot_sim::prune::mask::Prunable, &usize)| {
        Row::new(vec![
            Cell::text(tensor.name.clone()),
            Cell::text(tensor.at.len().to_string()),
            Cell::text(left.to_string()),
            Cell::text(percent(*left as f64 / tensor.at.len().max(1) as f64)),
        ])
    };
    Some(Table {
        title: format!("Layers after round {round}"),
        caption: "Weights of the first network. An unstructured mask does not make a dense runtime faster."
            .into(),
        columns: vec![
            Heading::words("layer"),
            Heading::count("weights"),
            Heading::count("left"),
            Heading::count("share"),
        ],
        rows: tensors.iter().zip(&done.left).map(row).collect(),
        ..Table::default()
    })
}

fn plan_of(spec: &PruneSpec) -> Option<carnot_net::plan::Plan> {
    carnot_net::plan::Plan::new(spec.network.network()).ok()
}
