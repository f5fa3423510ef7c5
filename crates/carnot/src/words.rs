//! Text about Carnot itself: `new`, `explain`, `schema`, `completions`.

use carnot_lab::error::LabError;
use carnot_lab::experiments::verb;
use carnot_lab::explain::{explain as page, words};
use carnot_lab::spec::template;
use clap::ArgMatches;
use clap_complete::Shell;

use crate::cli;
use crate::output::Output;

/// Prints a config file.
pub fn new(word: &str, output: &Output) -> Result<(), LabError> {
    output.result(&template::toml(verb(word)?));
    Ok(())
}

/// Explains a word, or lists all words.
pub fn explain(word: Option<&str>, output: &Output) -> Result<(), LabError> {
    match word {
        Some(word) => output.report(&page(word)?),
        None => output.result(&format!("{}\n", words().join("\n"))),
    }
    Ok(())
}

/// Prints the JSON schema of reports, or of an experiment's settings.
pub fn schema(word: Option<&str>, output: &Output) -> Result<(), LabError> {
    let schema = match word {
        Some(word) => verb(word)?.schema(),
        None => carnot_report::json::schema(),
    };
    output.result(&format!("{schema:#}\n"));
    Ok(())
}

/// Prints completions for a shell.
pub fn completions(matches: &ArgMatches, output: &Output) {
    let shell = matches.get_one::<Shell>("shell").copied().unwrap_or(Shell::Bash);
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "carnot", &mut text);
    output.result(&String::from_utf8_lossy(&text));
}
