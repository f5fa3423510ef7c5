//! What goes to which stream: results to stdout, everything else to stderr, and how it looks there.

use std::ffi::OsString;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::Once;

use carnot_report::diagnostic::Diagnostic;
use carnot_report::report::Report;
use carnot_report::terminal::{self, Style};
use carnot_report::{json, terminal::render_diagnostic};

use crate::FAILED;
use crate::globals::{Color, Globals};
use crate::layers;

/// Columns when nobody says how many there are.
const WIDTH: usize = 100;

/// The two streams and their manners.
pub struct Output {
    json: bool,
    color: Color,
    all_findings: bool,
    all_layers: bool,
}

impl Output {
    /// As the flags say.
    pub fn new(globals: &Globals) -> Output {
        Output {
            json: globals.json,
            color: globals.color,
            all_findings: globals.all_findings,
            all_layers: globals.all_layers,
        }
    }

    /// Before the flags could be read.
    pub fn plain(arguments: &[OsString]) -> Output {
        let json = arguments.iter().any(|argument| argument == "--json");
        Output { json, color: Color::Auto, all_findings: false, all_layers: false }
    }

    /// Is a person reading the result as text?
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A report, as text or as JSON.
    pub fn report(&self, report: &Report) {
        if self.json {
            return self.result(&json::to_string(report));
        }
        let style = Style { all: self.all_findings, ..self.style(&io::stdout()) };
        if self.all_layers {
            return self.result(&terminal::render(&layers::unfolded(report), &style));
        }
        self.result(&terminal::render(report, &style));
    }

    /// A result that is text already. A reader who has gone away is no error.
    pub fn result(&self, text: &str) {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                self.diagnostic(&unwritable(&error));
                std::process::exit(i32::from(FAILED));
            }
            _ => {}
        }
    }

    /// An error, as text or as one line of JSON.
    pub fn diagnostic(&self, diagnostic: &Diagnostic) {
        let text = if self.json {
            format!("{}\n", serde_json::json!({ "error": diagnostic }))
        } else {
            render_diagnostic(diagnostic, &self.style(&io::stderr()))
        };
        self.note(&text);
    }

    /// A line for the person at the terminal.
    pub fn note(&self, text: &str) {
        // When even this cannot be written there is nobody left to tell.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    fn style(&self, stream: &impl IsTerminal) -> Style {
        let is_terminal = stream.is_terminal();
        let colour = match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !is_set("NO_COLOR") && !is("TERM", "dumb"),
        };
        Style { width: width(is_terminal), colour, unicode: is_unicode(), all: false }
    }
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn is(name: &str, value: &str) -> bool {
    std::env::var_os(name).is_some_and(|found| found == value)
}

/// `COLUMNS`, the terminal, or a hundred.
fn width(is_terminal: bool) -> usize {
    let asked = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let real =
        || terminal_size::terminal_size().filter(|_| is_terminal).map(|(width, _)| usize::from(width.0));
    asked.or_else(real).unwrap_or(WIDTH)
}

/// Only a locale that says otherwise takes the Greek letters away; none at all is common in containers.
fn is_unicode() -> bool {
    let first = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    first.is_none_or(|locale| {
        let locale = locale.to_uppercase();
        locale.contains("UTF-8")
            || locale.contains("UTF8")
            || !(locale == "C" || locale == "POSIX" || locale.contains("ASCII"))
    })
}

fn unwritable(error: &io::Error) -> Diagnostic {
    Diagnostic {
        code: "output/unwritable".into(),
        problem: format!("the result cannot be written to standard output: {error}"),
        cause: "the file or device behind it refuses, or is full".into(),
        remedy: "carnot runs   lists results that are kept, carnot show ID prints one again".into(),
        place: None,
    }
}

/// A defect of Carnot is told like any other error, once, and the process ends.
pub fn install_panic_hook(arguments: &[OsString]) {
    static TOLD: Once = Once::new();
    let output = Output::plain(arguments);
    let command = arguments.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    std::panic::set_hook(Box::new(move |panic| {
        // What panics inside of the runtime of ONNX models is told as an error by whoever asked it.
        if std::thread::current().name() == Some("onnx") {
            return;
        }
        TOLD.call_once(|| {
            let payload = panic.payload();
            let message = payload.downcast_ref::<&str>().map(|text| text.to_string());
            let message = message.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
            let place = panic
                .location()
                .map(|place| format!(" ({}:{})", place.file(), place.line()))
                .unwrap_or_default();
            output.diagnostic(&Diagnostic {
                code: "internal".into(),
                problem: format!(
                    "{}{place}",
                    message.lines().next().unwrap_or("something impossible happened")
                ),
                cause: "a defect of Carnot, not of your network; finished jobs are kept".into(),
                remedy: format!("report it with this command: {command}"),
                place: None,
            });
        });
        std::process::exit(i32::from(FAILED));
    }));
}
