//! The command line. Commands of experiments are made from their specifications, so a new field is a flag at once.

use carnot_lab::experiments::VERBS;
use carnot_lab::experiments::question::Verb;
use carnot_lab::spec::Given;
use carnot_lab::spec::keys::{self, Key, Kind, first_paragraph};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::globals;

/// The whole command line.
pub fn command() -> Command {
    let command = Command::new("carnot")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Will this network learn?")
        .args(globals::arguments())
        .max_term_width(100)
        .disable_help_subcommand(true)
        .subcommand_required(false);
    let command =
        VERBS.iter().map(|verb| experiment(*verb)).chain(others()).fold(command, Command::subcommand);
    command.mut_subcommand("check", |check| {
        check.arg(
            Arg::new("reference")
                .long("reference")
                .value_name("RECORDING")
                .help("Hold a recording (check RUN.carnot) against that of a healthy run"),
        )
    })
}

/// Commands that are no experiments.
fn others() -> Vec<Command> {
    let word = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).value_name(value).help(help).required(true)
    };
    vec![
        load(),
        crate::diagnosed::command(),
        Command::new("runs").about("List results: verdict, command, subject, when, progress"),
        Command::new("show").about("Show a result, finished or not").arg(word(
            "id",
            "ID",
            "First characters of its name",
        )),
        Command::new("resume").about("Finish an interrupted run").arg(word(
            "id",
            "ID",
            "First characters of its name",
        )),
        Command::new("new").about("Print a config file with every key explained").arg(word(
            "verb",
            "EXPERIMENT",
            "What the file is for",
        )),
        Command::new("explain")
            .about("Explain a finding's code, a symbol, a command, an activation")
            .arg(word("word", "WORD", "What to explain; without it, all words are listed").required(false)),
        Command::new("schema")
            .about("Print the JSON schema of reports, or of an experiment's settings")
            .arg(word("verb", "EXPERIMENT", "Whose settings").required(false)),
        Command::new("work").about("Do one job of a file and print its line of points.jsonl").arg(word(
            "job",
            "JOB",
            "A file written by --jobs-to",
        )),
        Command::new("completions").about("Print completions for a shell").arg(
            word("shell", "SHELL", "Which shell").value_parser(clap::value_parser!(clap_complete::Shell)),
        ),
    ]
}

/// `load` asks about a model that ran, and has the flags with which `check` reads one.
fn load() -> Command {
    let flag = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("load")
        .override_usage("carnot load MODEL [OPTIONS]")
        .about("Which layers carry the load: load curve, its shape, and its mechanical twin")
        .long_about(
            "Which layers carry the load: load curve, its shape, and its mechanical twin.\n\nRead from a recording of a real model \
             (RUN.carnot), or from an ONNX model that is run on --batch.",
        )
        .arg(Arg::new("network").value_name("MODEL").index(1).required(true).help("A recording, or an ONNX model"))
        .arg(flag("reference", "RECORDING", "Draw the curve of a healthy run beside it"))
        .arg(flag("batch", "FILE", "Inputs and labels of an ONNX model: NPZ, NPY, or a data set"))
        .arg(flag("probe", "N", "Inputs of an ONNX model that are read at most"))
        .arg(flag("seed", "N", "Seed of a probe that is made for an ONNX model [default: 7]"))
}

fn experiment(verb: &dyn Verb) -> Command {
    let doc = verb.schema()["description"].as_str().unwrap_or("").to_string();
    let paragraphs: Vec<String> = doc.split("\n\n").map(first_paragraph).collect();
    let keys = keys::keys(verb);
    let network = if keys.iter().any(Key::is_positional) { " NETWORK" } else { "" };
    Command::new(verb.verb())
        .override_usage(format!("carnot {}{network} [OPTIONS]", verb.verb()))
        .about(paragraphs.first().cloned().unwrap_or_default())
        .long_about(paragraphs.join("\n\n"))
        .args(keys.iter().map(argument))
        .after_help(format!("A file with every key: carnot new {}", verb.verb()))
}

/// The flag of a key. Its text is read by the specification, which knows better than an argument parser what is meant.
fn argument(key: &Key) -> Arg {
    let paragraphs: Vec<String> = key.doc.split("\n\n").map(first_paragraph).collect();
    let arg = Arg::new(key.name.clone())
        .help(help(key, &paragraphs[0]))
        .long_help(help(key, &paragraphs.join("\n\n")));
    if key.is_positional() {
        return arg.value_name("NETWORK").index(1);
    }
    let arg =
        arg.long(key.name.replace('_', "-")).value_name(value_name(&key.kind)).allow_negative_numbers(true);
    match key.kind {
        // A formula may begin with a minus sign.
        Kind::Text | Kind::Any => arg.allow_hyphen_values(true),
        Kind::Boolean => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Kind::List(_) => arg.action(ArgAction::Append),
        _ => arg,
    }
}

fn help(key: &Key, doc: &str) -> String {
    let mut text = doc.trim_end_matches('.').to_string();
    if !key.choices().is_empty() {
        text += &format!(" [{}]", key.choices().join(", "));
    }
    if !(key.default.is_null() || key.is_positional() || key.default == false || key.default == "") {
        let default = key.default.as_str().map_or_else(|| key.default.to_string(), str::to_string);
        text += &format!(" [default: {}]", default.trim_matches(['[', ']']));
    }
    text
}

fn value_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Integer(..) => "N",
        Kind::Number(..) => "X",
        Kind::Boolean => "BOOL",
        Kind::Text => "TEXT",
        Kind::Choice(_) => "WORD",
        Kind::List(_) => "LIST",
        Kind::Any => "VALUE",
    }
}

/// What a person gave to an experiment, keys in the order of its fields.
pub fn given(verb: &dyn Verb, matches: &ArgMatches) -> Given {
    let mut given = Given::default();
    for key in keys::keys(verb) {
        let texts: Vec<String> = matches.get_many(&key.name).into_iter().flatten().cloned().collect();
        match (texts.is_empty(), key.is_positional()) {
            (true, _) => {}
            (false, true) => given.network = Some(texts[0].clone()),
            (false, false) => given.flags.push((key.name, texts.join(","))),
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_setting_of_an_experiment_has_the_name_of_a_global_flag() {
        command().debug_assert();
        let globals: Vec<String> =
            globals::arguments().iter().filter_map(|arg| arg.get_long().map(str::to_string)).collect();
        for verb in VERBS {
            for key in keys::keys(*verb) {
                assert!(!globals.contains(&key.name.replace('_', "-")), "{} of {}", key.name, verb.verb());
                assert!(!["runs-in", "help", "version"].contains(&key.name.as_str()));
                assert!(!key.doc.is_empty(), "{} of {} has no doc comment", key.name, verb.verb());
            }
        }
    }
}
