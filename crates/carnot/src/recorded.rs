//! `carnot check RUN.carnot` and `carnot load RUN.carnot`: a recording of a real model.

use std::path::{Path, PathBuf};

use carnot_lab::error::LabError;
use carnot_lab::measured::{self, Question};
use carnot_lab::store::page;
use clap::ArgMatches;

use crate::Outcome;
use crate::globals::Globals;
use crate::output::Output;

/// Is what stands in the place of the network a recording, by its content or its name?
pub fn is_one(matches: &ArgMatches) -> bool {
    let path = given(matches, "network");
    path.is_some_and(|path| {
        measured::is_recording(&path) || path.extension().is_some_and(|end| end == "carnot")
    })
}

/// Asks it, prints its report and keeps the page.
pub fn answer(
    question: Question,
    matches: &ArgMatches,
    globals: &Globals,
    output: &Output,
) -> Result<Outcome, LabError> {
    let path = given(matches, "network").unwrap_or_default();
    let reference = given(matches, "reference");
    let with = reference.as_ref().map_or(String::new(), |path| format!(" --reference {}", path.display()));
    let command = format!("carnot {} {}{with}", question.word(), path.display());
    let mut report = measured::ask(question, &path, reference.as_deref(), &command)?;
    if globals.wants_page {
        let page = page::beside(&path, question);
        page::write(&page, &carnot_report::html::render(&report))?;
        report.saved = Some(page.display().to_string());
    }
    output.report(&report);
    let is_bad = |level| report.findings.iter().any(|finding| finding.level <= level);
    Ok(if globals.fail_on.is_some_and(is_bad) { Outcome::Found } else { Outcome::Fine })
}

fn given(matches: &ArgMatches, name: &str) -> Option<PathBuf> {
    matches.get_one::<String>(name).map(|text| Path::new(text).to_path_buf())
}
