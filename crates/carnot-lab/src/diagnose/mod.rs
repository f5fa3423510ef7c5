//! Every error of the crates below, as problem, cause and remedy.
//!
//! Libraries know the problem; the remedy speaks of flags and commands, which they must not know, so it is given here,
//! once. One file an enum, one exhaustive match a file, no `_` arm: a new variant does not compile until somebody has
//! said what to do about it.

mod chain;
mod data;
mod engine;
mod formula;
mod kernel;
mod lab;
mod log;
mod model;
mod network;
mod onnx;
mod probe;
mod sim;
mod theory;

use std::ops::Range;

use carnot_report::diagnostic::{Diagnostic, Place};

use crate::error::{Origin, Source};

/// An error that can be told to a person.
pub trait Explain {
    /// Problem, cause, remedy and, where known, place.
    fn explain(&self) -> Diagnostic;
}

/// A diagnostic without a place.
fn told(
    code: &str,
    problem: impl Into<String>,
    cause: impl Into<String>,
    remedy: impl Into<String>,
) -> Diagnostic {
    Diagnostic {
        code: code.into(),
        problem: problem.into(),
        cause: cause.into(),
        remedy: remedy.into(),
        place: None,
    }
}

fn at(place: Place, diagnostic: Diagnostic) -> Diagnostic {
    Diagnostic { place: Some(place), ..diagnostic }
}

fn flag(flag: impl Into<String>) -> Place {
    Place::Flag { flag: flag.into() }
}

/// `did you mean "activation"?`, or what else there is to say.
fn meant(nearest: Option<&str>, otherwise: &str) -> String {
    nearest.map_or_else(|| otherwise.into(), |nearest| format!("did you mean \"{nearest}\"?"))
}

fn place(origin: &Origin) -> Option<Place> {
    match origin {
        Origin::Flag(name) => Some(flag(name)),
        Origin::File(source, span) => Some(in_file(source, span)),
        Origin::Default => None,
    }
}

/// Line and column of bytes in a file, with the text of that line.
fn in_file(source: &Source, span: &Range<usize>) -> Place {
    let text = &source.text;
    let start = floor(text, span.start.min(text.len()));
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let end = floor(text, span.end.clamp(start, line_end));
    Place::File {
        file: source.path.clone(),
        line: text[..line_start].matches('\n').count() + 1,
        column: text[line_start..start].chars().count() + 1,
        source: text[line_start..line_end].trim_end_matches('\r').to_string(),
        length: text[start..end].chars().count(),
    }
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let source = Source { path: "net.toml".into(), text: "a = 1\nβ = \"é\" # x\r\nc = 2".into() };
        let value = source.text.find("\"é\"").unwrap();
        let Place::File { line, column, source, length, .. } = in_file(&source, &(value..value + 4)) else {
            panic!()
        };
        assert_eq!((line, column, source.as_str(), length), (2, 5, "β = \"é\" # x", 3));
    }

    #[test]
    fn a_place_beyond_the_end_is_the_end() {
        let source = Source { path: "net.toml".into(), text: "a =".into() };
        let Place::File { line, column, length, .. } = in_file(&source, &(99..120)) else { panic!() };
        assert_eq!((line, column, length), (1, 4, 0));
    }
}
