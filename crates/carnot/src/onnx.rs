//! `carnot check MODEL.onnx --batch FILE` and `carnot load MODEL.onnx --batch FILE`: an ONNX model.

use std::path::PathBuf;

use carnot_lab::error::LabError;
use carnot_lab::measured::Question;
use carnot_lab::measured::onnx::{self, Source};
use carnot_lab::store::page;
use clap::ArgMatches;

use crate::Outcome;
use crate::globals::Globals;
use crate::output::Output;

/// Is what stands in the place of the network an ONNX model?
pub fn is_one(matches: &ArgMatches) -> bool {
    given(matches, "network").is_some_and(|path| onnx::is_one(path.as_ref()))
}

/// Runs it, prints its report and keeps the page.
pub fn answer(
    question: Question,
    matches: &ArgMatches,
    globals: &Globals,
    output: &Output,
) -> Result<Outcome, LabError> {
    let path = PathBuf::from(given(matches, "network").unwrap_or_default());
    let source = Source {
        batch: given(matches, "batch").or_else(|| given(matches, "data")),
        samples: number(matches, "probe")?,
        reference: given(matches, "reference").map(PathBuf::from),
        seed: number(matches, "seed")?.unwrap_or(7),
        command: command(question, matches, &path),
        path,
    };
    let mut report = onnx::ask(question, &source)?;
    if globals.wants_page {
        let page = page::among(&globals.runs, &source.path, question)?;
        page::write(&page, &carnot_report::html::render(&report))?;
        report.saved = Some(page.display().to_string());
    }
    output.report(&report);
    let is_bad = |level| report.findings.iter().any(|finding| finding.level <= level);
    Ok(if globals.fail_on.is_some_and(is_bad) { Outcome::Found } else { Outcome::Fine })
}

fn command(question: Question, matches: &ArgMatches, path: &std::path::Path) -> String {
    let flags = ["batch", "data", "probe", "seed", "reference"];
    let flags = flags.iter().filter_map(|key| Some(format!(" --{key} {}", given(matches, key)?)));
    format!("carnot {} {}{}", question.word(), path.display(), flags.collect::<String>())
}

fn number<N: std::str::FromStr>(matches: &ArgMatches, key: &'static str) -> Result<Option<N>, LabError> {
    let Some(text) = given(matches, key) else { return Ok(None) };
    let number = text.parse().ok();
    let range = "a whole number".into();
    number.map(Some).ok_or(LabError::OutOfRange { key, value: text, range })
}

fn given(matches: &ArgMatches, name: &str) -> Option<String> {
    // `load` has no --data.
    matches.try_get_one::<String>(name).ok().flatten().cloned()
}
