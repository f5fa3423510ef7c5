//! `carnot`: will this network learn?
//!
//! This program knows arguments, progress and exit codes, and no mathematics: everything it says was made by
//! `carnot-lab` and is rendered by `carnot-report`.
//!
//! | module | one job |
//! |---|---|
//! | [`cli`] | the command line, made from the specifications of the experiments |
//! | [`overview`] | what bare `carnot` prints |
//! | [`usage`] | a wrong command line as problem, cause and remedy |
//! | [`ask`] | one experiment: settings → run → report |
//! | [`recorded`] | `check` and `load` of a file that a real model left: a recording |
//! | [`diagnosed`] | `diagnose` of a log, a recording or a run |
//! | [`onnx`] | `check` and `load` of an ONNX model |
//! | [`results`] | `runs`, `show`, `resume` |
//! | [`words`] | `new`, `explain`, `schema`, `completions` |
//! | [`progress`] | a bar on a terminal, one line a minute elsewhere |
//! | [`output`] | what goes to which stream, and how |

#![allow(clippy::result_large_err)]

mod ask;
mod cli;
mod diagnosed;
mod globals;
mod layers;
mod onnx;
mod output;
mod overview;
mod progress;
mod recorded;
mod results;
mod usage;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use carnot_lab::diagnose::Explain;
use carnot_lab::error::LabError;
use carnot_lab::experiments;
use carnot_lab::measured::Question;
use clap::ArgMatches;

use globals::Globals;
use output::Output;

/// What a command amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Answered; nothing at or above `--fail-on`.
    Fine,
    /// Answered, with findings at or above `--fail-on`.
    Found,
    /// Interrupted; it can be resumed.
    Interrupted,
}

/// Could not answer.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    carnot_lab::memory::keep_freed();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    output::install_panic_hook(&arguments);
    let matches = match cli::command().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) => return usage::exit(&error, &arguments),
    };
    let globals = Globals::read(&matches);
    let output = Output::new(&globals);
    match dispatch(&matches, &globals, &output) {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(1),
        Ok(Outcome::Interrupted) => ExitCode::from(130),
        Err(error) => {
            output.diagnostic(&error.explain());
            ExitCode::from(FAILED)
        }
    }
}

fn dispatch(matches: &ArgMatches, globals: &Globals, output: &Output) -> Result<Outcome, LabError> {
    let text = |matches: &ArgMatches, name: &str| matches.get_one::<String>(name).cloned();
    match matches.subcommand() {
        None => overview::print(output),
        Some(("runs", _)) => results::runs(globals, output)?,
        Some(("show", of)) => return results::show(&text(of, "id").unwrap_or_default(), globals, output),
        Some(("resume", of)) => return results::resume(&text(of, "id").unwrap_or_default(), globals, output),
        Some(("new", of)) => words::new(&text(of, "verb").unwrap_or_default(), output)?,
        Some(("explain", of)) => words::explain(text(of, "word").as_deref(), output)?,
        Some(("schema", of)) => words::schema(text(of, "verb").as_deref(), output)?,
        Some(("completions", of)) => words::completions(of, output),
        Some(("work", of)) => ask::work(&text(of, "job").unwrap_or_default(), output)?,
        Some(("check", of)) if onnx::is_one(of) => return onnx::answer(Question::Check, of, globals, output),
        Some(("check", of)) if recorded::is_one(of) => {
            return recorded::answer(Question::Check, of, globals, output);
        }
        Some(("load", of)) if onnx::is_one(of) => return onnx::answer(Question::Load, of, globals, output),
        Some(("load", of)) => return recorded::answer(Question::Load, of, globals, output),
        Some(("diagnose", of)) => return diagnosed::answer(of, globals, output),
        Some((word, of)) => return ask::ask(experiments::verb(word)?, of, globals, output),
    }
    Ok(Outcome::Fine)
}
