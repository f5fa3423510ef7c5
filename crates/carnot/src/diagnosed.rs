//! `carnot diagnose LOG|RECORDING|RUN`: what happened to a training.

use std::path::PathBuf;
use std::str::FromStr;

use carnot_lab::error::LabError;
use carnot_lab::logged::asked::Asked;
use carnot_lab::logged::{self, asked};
use carnot_lab::store::page;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, value_parser};

use crate::Outcome;
use crate::globals::Globals;
use crate::output::Output;

/// Its flags: name, value, help. Those of numbers come first in [`command`].
const WORDS: &[(&str, &str, &str)] = &[
    ("step", "NAME", "Column that counts steps [default: guessed]"),
    ("loss", "NAME", "Series of the training loss [default: guessed]"),
    ("val-loss", "NAME", "Series of the validation loss [default: guessed]"),
    ("rate", "NAME", "Series of the learning rate [default: guessed]"),
    ("grad-norm", "NAME", "Series of the gradient norm before clipping [default: guessed]"),
    ("update-norm", "NAME", "Series of the norm of the update [default: guessed]"),
    ("accuracy", "NAME", "Series of the share of right answers [default: guessed]"),
    ("sharpness", "NAME", "Series of the sharpness, preconditioned for adam [default: guessed]"),
    ("labels", "FILE", "Labels of the task, one a line: ln K and their entropy"),
    ("data", "TEXT", "The text that is learned: ln V, entropy of its symbols and of pairs"),
];

const NUMBERS: &[(&str, &str, &str)] = &[
    ("unigram", "NATS", "Entropy of the frequencies"),
    ("bigram", "NATS", "Entropy of a symbol given the one before"),
    ("clip", "X", "Norm to which gradients are clipped"),
    ("batch", "N", "Samples of a batch"),
    ("steps", "N", "Steps that the training is to have"),
    ("momentum", "X", "Momentum, or beta 1 [default: 0.9]"),
];

/// The command.
pub fn command() -> Command {
    let flag = |&(name, value, help): &(&'static str, &'static str, &'static str)| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let count = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("N").help(help).value_parser(value_parser!(u64))
    };
    Command::new("diagnose")
        .override_usage("carnot diagnose LOG [OPTIONS]")
        .about("What happened to a training: plateau, divergence, spikes, overfitting")
        .long_about(
            "What happened to a training, and what it is stuck at.\n\nReads TensorBoard event files (one, or a folder), CSV, JSON lines, \
             trainer_state.json, recordings (RUN.carnot) and runs.",
        )
        .arg(Arg::new("log").value_name("LOG").index(1).required(true).help("A log, a recording or a run"))
        .arg(count("classes", "Classes of the task: chance is ln K"))
        .arg(count("vocabulary", "Symbols of the vocabulary: chance is ln V"))
        .args(WORDS.iter().map(flag))
        .arg(
            Arg::new("symbols")
                .long("symbols")
                .value_name("WORD")
                .value_parser(PossibleValuesParser::new(["characters", "bytes"]))
                .default_value("characters")
                .help("What a symbol of --data is"),
        )
        .args(NUMBERS.iter().map(|row| flag(row).value_parser(value_parser!(f64)).allow_negative_numbers(true)))
        .arg(flag(&("optimizer", "WORD", "sgd, momentum, nesterov, rmsprop, adam or adamw: threshold of the sharpness")))
}

/// Reads, prints the report and keeps the page.
pub fn answer(matches: &ArgMatches, globals: &Globals, output: &Output) -> Result<Outcome, LabError> {
    let path = PathBuf::from(matches.get_one::<String>("log").cloned().unwrap_or_default());
    let (asked, flags) = asked(matches);
    let command = format!("carnot diagnose {}{flags}", path.display());
    let mut report = logged::diagnose(&path, &globals.runs, &asked, &command)?;
    if globals.wants_page {
        let place =
            if path.exists() { page::beside_log(&path) } else { page::beside_log(&globals.runs.join(&path)) };
        page::write(&place, &carnot_report::html::render(&report))?;
        report.saved = Some(place.display().to_string());
    }
    output.report(&report);
    let is_bad = |level| report.findings.iter().any(|finding| finding.level <= level);
    Ok(if globals.fail_on.is_some_and(is_bad) { Outcome::Found } else { Outcome::Fine })
}

/// What was said, and the flags as typed.
fn asked(matches: &ArgMatches) -> (Asked, String) {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let path = |name: &str| text(name).map(PathBuf::from);
    let number = |name: &str| matches.get_one::<f64>(name).copied();
    let count = |name: &str| matches.get_one::<u64>(name).copied();
    let names = asked::Given {
        loss: text("loss"),
        validation: text("val-loss"),
        rate: text("rate"),
        gradient: text("grad-norm"),
        update: text("update-norm"),
        accuracy: text("accuracy"),
        sharpness: text("sharpness"),
    };
    let asked = Asked {
        names,
        step: text("step"),
        classes: count("classes"),
        vocabulary: count("vocabulary"),
        labels: path("labels"),
        data: path("data"),
        symbols: text("symbols").and_then(|word| asked::Symbol::from_str(&word).ok()).unwrap_or_default(),
        unigram: number("unigram"),
        bigram: number("bigram"),
        clip: number("clip"),
        batch: number("batch"),
        steps: number("steps"),
        optimizer: text("optimizer"),
        momentum: number("momentum"),
    };
    let mut flags = String::new();
    let mut put = |name: &str, value: String| flags += &format!(" --{name} {value}");
    for name in ["classes", "vocabulary"] {
        count(name).into_iter().for_each(|value| put(name, value.to_string()));
    }
    let words = WORDS.iter().map(|row| row.0).chain(["optimizer"]);
    words.for_each(|name| text(name).into_iter().for_each(|value| put(name, value)));
    NUMBERS
        .iter()
        .for_each(|(name, ..)| number(name).into_iter().for_each(|value| put(name, value.to_string())));
    if asked.symbols == asked::Symbol::Byte {
        put("symbols", "bytes".into());
    }
    (asked, flags)
}
