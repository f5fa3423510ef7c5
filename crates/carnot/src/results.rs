//! Results that are there: `runs`, `show`, `resume`.

use std::time::{Duration, SystemTime};

use carnot_lab::drive::look;
use carnot_lab::error::LabError;
use carnot_lab::store::Store;
use carnot_lab::store::list::{Listed, State};
use serde_json::{Value, json};

use crate::globals::Globals;
use crate::output::Output;
use crate::{Outcome, ask};

/// Prints a run as far as it is.
pub fn show(id: &str, globals: &Globals, output: &Output) -> Result<Outcome, LabError> {
    let run = Store::new(&globals.runs).find(id)?;
    let report = match run.report() {
        Some(report) => report,
        None => look(&*run.question()?, &run)?.report,
    };
    Ok(ask::show(report, &run, globals, output))
}

/// Goes on with a run.
pub fn resume(id: &str, globals: &Globals, output: &Output) -> Result<Outcome, LabError> {
    let run = Store::new(&globals.runs).find(id)?;
    ask::answer(&*run.question()?, &run, globals, output)
}

/// Prints the list of runs.
pub fn runs(globals: &Globals, output: &Output) -> Result<(), LabError> {
    let listed = Store::new(&globals.runs).list()?;
    if output.is_json() {
        let lines: Vec<Value> = listed.iter().map(data).collect();
        output.result(&format!("{:#}\n", json!({ "schema": "carnot.runs/1", "runs": lines })));
        return Ok(());
    }
    if listed.is_empty() {
        output.result(&format!(
            "no runs in {}\n  try   carnot predict 784-128x50-10 --activation tanh\n",
            globals.runs.display()
        ));
        return Ok(());
    }
    let now = SystemTime::now();
    let rows: Vec<[String; 5]> = listed.iter().map(|line| row(line, now)).collect();
    output.result(&table(&rows));
    Ok(())
}

fn data(line: &Listed) -> Value {
    let seconds = line.touched.and_then(|touched| touched.duration_since(SystemTime::UNIX_EPOCH).ok());
    let state = match &line.state {
        State::Finished(words) => json!({ "is": "finished", "verdict": words }),
        State::Unfinished { done, of } => json!({ "is": "unfinished", "done": done, "of": of }),
        State::Damaged(why) => json!({ "is": "damaged", "because": why }),
    };
    json!({
        "id": line.id,
        "command": line.verb,
        "subject": line.subject,
        "touched": seconds.map(|since| since.as_secs()),
        "state": state,
    })
}

fn row(line: &Listed, now: SystemTime) -> [String; 5] {
    let state = match &line.state {
        State::Finished(words) if words.is_empty() => "finished".into(),
        State::Finished(words) => words.clone(),
        State::Unfinished { done, of: Some(of) } => format!("{done} of {of} jobs"),
        State::Unfinished { done, of: None } => format!("{done} jobs"),
        State::Damaged(_) => "damaged".into(),
    };
    let when = line.touched.and_then(|touched| now.duration_since(touched).ok()).map(ago).unwrap_or_default();
    [line.id.clone(), state, line.verb.clone(), line.subject.clone(), when]
}

/// How long ago, to one digit that matters.
fn ago(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => "now".into(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

fn table(rows: &[[String; 5]]) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let write = |row: &[String; 5]| {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())))
            .collect();
        format!("{}\n", cells.join("   ").trim_end())
    };
    rows.iter().map(write).collect()
}
