//! One experiment: settings → run → report → exit code.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use carnot_lab::drive::{Manner, drive};
use carnot_lab::error::LabError;
use carnot_lab::experiments::question::{Question, Verb};
use carnot_lab::jobs::worker;
use carnot_lab::spec;
use carnot_lab::store::Store;
use carnot_lab::store::run::Run;
use carnot_report::report::Report;
use clap::ArgMatches;

use crate::globals::Globals;
use crate::output::Output;
use crate::progress::Progress;
use crate::{Outcome, cli};

/// Answers what was asked.
pub fn ask(
    verb: &dyn Verb,
    matches: &ArgMatches,
    globals: &Globals,
    output: &Output,
) -> Result<Outcome, LabError> {
    let given = cli::given(verb, matches);
    let question = spec::ask(verb, &given)?;
    // Planned before anything is written, so that a question that makes no sense leaves nothing behind.
    let jobs = question.plan()?;
    if let Some(folder) = &globals.jobs_to {
        let run = Store::new(&globals.runs).open(&*question, &spec::command_line(verb.verb(), &given))?;
        worker::write_all(&*question, folder)?;
        let points = run.folder().join("points.jsonl");
        output.result(&format!(
            "{} jobs in {folder}\n  each   carnot work {folder}/0001.json >> {points}\n  then   carnot resume {}\n",
            jobs.len(),
            run.id(),
            folder = folder.display(),
            points = points.display(),
        ));
        return Ok(Outcome::Fine);
    }
    let run = Store::new(&globals.runs).open(&*question, &spec::command_line(verb.verb(), &given))?;
    let answered = answer(&*question, &run, globals, output);
    if answered.is_err() {
        run.abandon();
    }
    answered
}

/// Drives a run to its end or to an interruption, and shows the result.
pub fn answer(
    question: &dyn Question,
    run: &Run,
    globals: &Globals,
    output: &Output,
) -> Result<Outcome, LabError> {
    let cancel = cancel_flag();
    let progress = Progress::new(question.verb(), run.id(), globals.quiet);
    let page = |report: &Report| carnot_report::html::render(report);
    let manner = Manner {
        threads: globals.threads,
        is_fresh: globals.is_fresh,
        cancel,
        watch: &|event| progress.show(event),
        page: if globals.wants_page { Some(&page) } else { None },
    };
    let answer = drive(question, run, &manner);
    progress.clear();
    let answer = answer?;
    if !answer.is_finished {
        output.note(&format!(
            "kept {} of {}.  continue: carnot resume {id}      look now: carnot show {id}\n",
            answer.done,
            answer.of,
            id = run.id()
        ));
        return Ok(Outcome::Interrupted);
    }
    Ok(show(answer.report, run, globals, output))
}

/// Prints a report, with where its page lies, and judges it.
pub fn show(mut report: Report, run: &Run, globals: &Globals, output: &Output) -> Outcome {
    if run.page().exists() {
        report.saved = Some(run.page().display().to_string());
    }
    output.report(&report);
    let is_bad = |level| report.findings.iter().any(|finding| finding.level <= level);
    if globals.fail_on.is_some_and(is_bad) { Outcome::Found } else { Outcome::Fine }
}

/// Does one job of a file.
pub fn work(path: &str, output: &Output) -> Result<(), LabError> {
    worker::work(path).map(|line| output.result(&line))
}

/// Set by Ctrl-C. The jobs in hand are finished; a second Ctrl-C does not wait for them.
fn cancel_flag() -> &'static AtomicBool {
    static CANCEL: AtomicBool = AtomicBool::new(false);
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| {
        // Without a handler Ctrl-C ends the process, which loses only jobs in hand.
        let _ = ctrlc::set_handler(|| {
            if CANCEL.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
        });
    });
    &CANCEL
}
