//! A wrong command line as problem, cause and remedy.

use std::ffi::OsString;
use std::process::ExitCode;

use carnot_lab::diagnose::Explain;
use carnot_lab::error::LabError;
use carnot_lab::spec::nearest;
use carnot_report::diagnostic::{Diagnostic, Place};
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::output::Output;
use crate::{FAILED, cli};

/// Prints help or version, or says what is wrong with the command line.
pub fn exit(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let output = Output::plain(arguments);
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output.result(&error.render().to_string());
            ExitCode::SUCCESS
        }
        _ => {
            output.diagnostic(&diagnostic(error, arguments));
            ExitCode::from(FAILED)
        }
    }
}

fn diagnostic(error: &clap::Error, arguments: &[OsString]) -> Diagnostic {
    let of = |kind| context(error, kind);
    let argument = of(ContextKind::InvalidArg).unwrap_or_default();
    // clap adds what a flag takes: `--seed <N>`.
    let flag = argument.split([' ', '=']).next().unwrap_or("").to_string();
    let value = of(ContextKind::InvalidValue).unwrap_or_default();
    let help = help(arguments);
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = of(ContextKind::InvalidSubcommand).unwrap_or_default();
            let names: Vec<String> =
                cli::command().get_subcommands().map(|sub| sub.get_name().to_string()).collect();
            let known: Vec<&str> = names.iter().map(String::as_str).collect();
            LabError::UnknownVerb { nearest: nearest(&word, &known), word }.explain()
        }
        ErrorKind::UnknownArgument if !argument.starts_with('-') => at(
            None,
            Diagnostic {
                problem: format!("`{argument}` is one argument too many"),
                cause: "settings are given by flags, and a text with blanks needs quotes".into(),
                remedy: help,
                ..empty("command/argument")
            },
        ),
        ErrorKind::UnknownArgument => at(
            Some(flag),
            Diagnostic {
                problem: format!("there is no flag `{argument}`"),
                cause: match of(ContextKind::SuggestedArg) {
                    Some(meant) => format!("did you mean \"{meant}\"?"),
                    None => "no flag of this command has a similar name".into(),
                },
                remedy: help,
                ..empty("command/unknown-flag")
            },
        ),
        ErrorKind::InvalidValue if value.is_empty() => at(
            Some(flag.clone()),
            Diagnostic {
                problem: format!("{flag} needs a value"),
                cause: "nothing follows it".into(),
                remedy: help,
                ..empty("command/missing-value")
            },
        ),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => at(
            Some(flag.clone()),
            Diagnostic {
                problem: format!("{flag} cannot be `{value}`"),
                cause: match of(ContextKind::ValidValue) {
                    Some(valid) => format!("it takes one of {valid}"),
                    None => std::error::Error::source(error).map_or_else(String::new, ToString::to_string),
                },
                remedy: help,
                ..empty("command/wrong-value")
            },
        ),
        ErrorKind::MissingRequiredArgument => at(
            None,
            Diagnostic {
                problem: format!("{} is missing", argument.trim_matches(['<', '>'])),
                cause: "the command does not know what to do without it".into(),
                remedy: help,
                ..empty("command/missing-argument")
            },
        ),
        ErrorKind::ArgumentConflict => at(
            Some(flag.clone()),
            Diagnostic {
                problem: format!("{flag} is given twice, or beside a flag that excludes it"),
                cause: "one of them would be ignored".into(),
                remedy: "give it once".into(),
                ..empty("command/conflict")
            },
        ),
        _ => at(
            None,
            Diagnostic {
                problem: error
                    .render()
                    .to_string()
                    .lines()
                    .next()
                    .unwrap_or("")
                    .trim_start_matches("error: ")
                    .to_string(),
                cause: "the command line cannot be read".into(),
                remedy: help,
                ..empty("command/usage")
            },
        ),
    }
}

fn empty(code: &str) -> Diagnostic {
    Diagnostic {
        code: code.into(),
        problem: String::new(),
        cause: String::new(),
        remedy: String::new(),
        place: None,
    }
}

fn at(flag: Option<String>, diagnostic: Diagnostic) -> Diagnostic {
    Diagnostic { place: flag.map(|flag| Place::Flag { flag }), ..diagnostic }
}

/// `carnot predict --help   lists every flag`, for the command that was typed.
fn help(arguments: &[OsString]) -> String {
    let command = cli::command();
    let is_command =
        |word: &&OsString| command.get_subcommands().any(|sub| sub.get_name() == word.to_string_lossy());
    let name = arguments.iter().skip(1).find(is_command).map(|word| format!(" {}", word.to_string_lossy()));
    format!("carnot{} --help   lists every flag", name.unwrap_or_default())
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        ContextValue::StyledStr(text) => Some(text.to_string()),
        _ => None,
    }
}
