//! Flags that every command understands.

use std::path::PathBuf;

use carnot_lab::drive::all_threads;
use carnot_report::finding::Level;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, value_parser};

/// Most threads that may be asked for; beyond it a typing error is likelier than a wish.
const MOST_THREADS: u64 = 1024;

/// Their values.
#[derive(Clone, Debug)]
pub struct Globals {
    pub json: bool,
    pub fail_on: Option<Level>,
    pub runs: PathBuf,
    pub threads: usize,
    pub is_fresh: bool,
    pub wants_page: bool,
    pub color: Color,
    pub all_layers: bool,
    pub all_findings: bool,
    pub quiet: bool,
    pub jobs_to: Option<PathBuf>,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// Their definitions, in the order of the help.
pub fn arguments() -> Vec<Arg> {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).action(ArgAction::SetTrue).global(true).help_heading("Output")
    };
    let running = |arg: Arg| arg.global(true).help_heading("Running");
    vec![
        flag("json", "Print the report as JSON and nothing else"),
        Arg::new("fail-on")
            .long("fail-on")
            .value_name("LEVEL")
            .value_parser(PossibleValuesParser::new(["blocks", "costs", "note", "never"]))
            .default_value("blocks")
            .help("Exit with 1 when a finding is at least this bad")
            .global(true)
            .help_heading("Output"),
        flag("all", "Show every finding instead of the first three"),
        Arg::new("layers")
            .long("layers")
            .value_name("WHICH")
            .value_parser(PossibleValuesParser::new(["some", "all"]))
            .default_value("some")
            .help("Show layers that are alike once, or all of them")
            .global(true)
            .help_heading("Output"),
        Arg::new("color")
            .long("color")
            .value_name("WHEN")
            .value_parser(PossibleValuesParser::new(["auto", "always", "never"]))
            .default_value("auto")
            .help("Use colour")
            .global(true)
            .help_heading("Output"),
        flag("no-html", "Write no report.html"),
        flag("quiet", "Show no progress").short('q'),
        running(
            Arg::new("runs-in")
                .long("runs")
                .value_name("DIR")
                .default_value("runs")
                .help("Keep results in this folder"),
        ),
        running(
            Arg::new("threads")
                .long("threads")
                .value_name("N")
                .value_parser(value_parser!(u64).range(1..=MOST_THREADS))
                .help("Use so many threads; results do not depend on it [default: all]"),
        ),
        running(
            Arg::new("fresh")
                .long("fresh")
                .action(ArgAction::SetTrue)
                .help("Forget what is there and do it again"),
        ),
        running(
            Arg::new("jobs-to")
                .long("jobs-to")
                .value_name("DIR")
                .help("Run nothing; write one file a job, each for `carnot work`"),
        ),
    ]
}

impl Globals {
    /// From the command line.
    pub fn read(matches: &ArgMatches) -> Globals {
        // A global flag after the command is known to the command's own matches.
        let matches = matches.subcommand().map_or(matches, |(_, of)| of);
        let text = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
        Globals {
            json: matches.get_flag("json"),
            fail_on: match text("fail-on") {
                "never" => None,
                "note" => Some(Level::Note),
                "costs" => Some(Level::Costs),
                _ => Some(Level::Blocks),
            },
            runs: PathBuf::from(text("runs-in")),
            threads: matches.get_one::<u64>("threads").map_or_else(all_threads, |n| *n as usize),
            is_fresh: matches.get_flag("fresh"),
            wants_page: !matches.get_flag("no-html"),
            color: match text("color") {
                "always" => Color::Always,
                "never" => Color::Never,
                _ => Color::Auto,
            },
            all_layers: text("layers") == "all",
            all_findings: matches.get_flag("all"),
            quiet: matches.get_flag("quiet"),
            jobs_to: matches.get_one::<String>("jobs-to").map(PathBuf::from),
        }
    }
}
