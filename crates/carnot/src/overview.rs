//! What bare `carnot` prints: every command by its question, and two examples.

use carnot_lab::experiments::VERBS;
use carnot_lab::experiments::question::Verb;
use carnot_lab::spec::keys::first_paragraph;

use crate::output::Output;

/// Column at which explanations start.
const START: usize = 25;
/// Columns of the list.
const WIDTH: usize = 100;

/// Prints it.
pub fn print(output: &Output) {
    output.result(&text());
}

fn text() -> String {
    let mut text = String::from("carnot — will this network learn?\n");
    let mut group = None;
    for verb in VERBS {
        if group != Some(verb.group()) {
            group = Some(verb.group());
            text += &format!("\n{}\n", verb.group().words());
        }
        text += &line(&format!("{} NETWORK", verb.verb()), &about(*verb));
    }
    text += "\nmeasure\n";
    text += &line("load MODEL", "which layers carry the load: of a recording, or of an ONNX model");
    text += &line(
        "diagnose LOG",
        "what happened to a training, and what it is stuck at: TensorBoard, CSV, JSON, recording, run",
    );
    text += "\nresults\n";
    text += &line("runs", "all of them: verdict, command, subject, when");
    text += &line("show ID", "a result again, finished or not");
    text += &line("resume ID", "go on where it was interrupted");
    text += "\nhelp\n";
    text += &line("new EXPERIMENT", "a config file with every key explained");
    text += &line("explain WORD", "a code (S101), a symbol (chi_perpendicular), a command");
    text += &line("schema [EXPERIMENT]", "JSON schema of reports, or of settings");
    text += &line("completions SHELL", "for bash, zsh, fish, powershell, elvish");
    text += &line("work JOB", "one job from a file, for clusters");
    text += "\nNETWORK is a shorthand (784-128x50-10: input, 50 layers of 128, output) or a TOML file\n";
    text += "\n  carnot predict 784-128x50-10 --activation tanh\n";
    text += "  carnot check 64-128x50-10 --activation tanh --data digits --try 150\n";
    text
}

fn line(command: &str, about: &str) -> String {
    let mut lines = vec![format!("  {command:<width$}", width = START - 3)];
    for word in about.split(' ') {
        let line = lines.last_mut().expect("there is always a last line");
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(format!("{}{word}", " ".repeat(START)));
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

fn about(verb: &dyn Verb) -> String {
    let schema = verb.schema();
    let about = first_paragraph(schema["description"].as_str().unwrap_or(""));
    let about = about.trim_end_matches('.');
    let mut characters = about.chars();
    // The list is no prose: entries begin small.
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}
