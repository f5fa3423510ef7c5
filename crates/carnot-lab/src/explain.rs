//! What a word means: a finding's code, a symbol, a command, an activation, a data set.
//!
//! Nothing is written twice: checks bring their page, symbols come from the report's glossary, commands from the doc
//! comments of their specifications, activations and data sets from their tables.

use carnot_net::activation::table::{Row, TABLE as ACTIVATIONS};
use carnot_net::dataset::TABLE as DATA;
use carnot_report::glossary::{ENTRIES, Entry};
use carnot_report::report::{Headline, Line, Report, Tone};

use crate::checks::PAGES;
use crate::error::LabError;
use crate::experiments::VERBS;
use crate::experiments::question::Verb;
use crate::logged::checks::PAGES as ON_LOGS;
use crate::spec::keys::{Key, first_paragraph, keys};
use crate::spec::nearest;

/// The five parts that a check says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckPage {
    /// `S101`.
    pub code: &'static str,
    /// `inputs-merge`.
    pub name: &'static str,
    /// What it sees.
    pub sees: &'static str,
    /// Why it matters.
    pub matters: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// Theory and its source.
    pub theory: &'static str,
    /// When to ignore it.
    pub ignore: &'static str,
}

/// What is known about a word; all of it, when it is the name of several things.
///
/// # Errors
/// [`LabError::UnknownWord`] with the nearest word.
pub fn explain(word: &str) -> Result<Report, LabError> {
    let mut meanings = meanings(word);
    match meanings.len() {
        0 => {
            let words = words();
            let known: Vec<&str> = words.iter().map(String::as_str).collect();
            Err(LabError::UnknownWord { word: word.into(), nearest: nearest(word.trim(), &known) })
        }
        1 => Ok(meanings.remove(0)),
        _ => Ok(together(word.trim(), meanings)),
    }
}

/// Every page about that word; a setting only where it is the name of nothing else.
fn meanings(word: &str) -> Vec<Report> {
    let lower = word.trim().to_lowercase();
    let is = |known: &str| known.to_lowercase() == lower;
    let mut all = Vec::new();
    all.extend(PAGES.iter().copied().find(|page| is(page.code) || is(page.name)).map(check));
    let is_entry = |entry: &&Entry| is(entry.name) || entry.symbol == word.trim() || is(entry.title);
    all.extend(ENTRIES.iter().find(is_entry).map(symbol));
    all.extend(VERBS.iter().find(|verb| is(verb.verb())).map(|verb| command(*verb)));
    all.extend(is(DIAGNOSE).then(diagnose));
    let is_row = |row: &&Row| is(row.name) || row.aliases.iter().any(|alias| is(alias));
    all.extend(ACTIVATIONS.iter().find(is_row).map(activation));
    all.extend(DATA.iter().find(|row| is(row.name)).map(|row| {
        said(row.name, "data set", &[("is", row.doc.to_string()), ("use", format!("--data {}", row.name))])
    }));
    if all.is_empty() {
        let page = |(verb, key): (&str, Key)| said(&key.name, &format!("setting of {verb}"), &lines_of(&key));
        all.extend(setting(&lower).map(page));
    }
    all
}

/// Several pages under one word: each begins with what kind of thing it is about.
fn together(word: &str, meanings: Vec<Report>) -> Report {
    let kinds: Vec<String> = meanings.iter().map(|page| page.subject.clone()).collect();
    let mut report = said(word, &kinds.join(" and "), &[]);
    for page in meanings {
        let name = page.headline.map(|headline| headline.text).filter(|name| *name != word);
        for (at, mut line) in page.summary.into_iter().enumerate() {
            if at == 0 {
                line.label = page.subject.clone();
                line.text = name.iter().map(|name| format!("{name}: ")).collect::<String>() + &line.text;
            }
            report.summary.push(line);
        }
    }
    report
}

/// Every word that can be explained, without aliases and settings.
pub fn words() -> Vec<String> {
    let checks = PAGES.iter().flat_map(|page| [page.code, page.name]);
    let symbols = ENTRIES.iter().map(|entry| entry.name);
    let verbs = VERBS.iter().map(|verb| verb.verb()).chain([DIAGNOSE]);
    let rows = ACTIVATIONS.iter().map(|row| row.name).chain(DATA.iter().map(|row| row.name));
    checks.chain(symbols).chain(verbs).chain(rows).map(str::to_string).collect()
}

fn said(word: &str, what: &str, lines: &[(&str, String)]) -> Report {
    let mut report = Report::new("explain", what);
    report.headline = Some(Headline { text: word.into(), tone: Tone::Plain });
    report.summary = lines.iter().map(|(label, text)| Line::new(label, text.clone())).collect();
    report
}

fn check(page: &CheckPage) -> Report {
    let lines = [
        ("sees", page.sees),
        ("matters", page.matters),
        ("do", page.remedy),
        ("theory", page.theory),
        ("ignore", page.ignore),
    ];
    said(
        &format!("{} {}", page.code, page.name),
        "finding",
        &lines.map(|(label, text)| (label, text.to_string())),
    )
}

fn symbol(entry: &Entry) -> Report {
    let lines = [("is", entry.meaning.to_string()), ("in JSON", entry.name.to_string())];
    said(&format!("{}, {}", entry.symbol, entry.title), "symbol", &lines)
}

fn activation(row: &Row) -> Report {
    let mut lines = vec![("is", row.doc.to_string()), ("formula", row.formula.to_string())];
    if !row.parameters.is_empty() {
        let write = |p: &carnot_net::activation::table::Parameter| {
            format!("{} = {} (from {} to {})", p.name, p.default, p.low, p.high)
        };
        lines.push(("with", row.parameters.iter().map(write).collect::<Vec<_>>().join(", ")));
    }
    if !row.aliases.is_empty() {
        lines.push(("also", row.aliases.join(", ")));
    }
    lines.push(("try", format!("carnot predict 784-128x50-10 --activation {}", row.name)));
    said(row.name, "activation", &lines)
}

fn command(verb: &dyn Verb) -> Report {
    let doc = verb.schema()["description"].as_str().unwrap_or("").to_string();
    let mut lines = vec![("is", first_paragraph(&doc))];
    let more: Vec<String> = doc.split("\n\n").skip(1).map(first_paragraph).collect();
    if !more.is_empty() {
        lines.push(("more", more.join(" ")));
    }
    let flags: Vec<String> = keys(verb).iter().map(Key::flag).collect();
    lines.push(("takes", flags.join(" ")));
    lines.push(("try", format!("carnot {} --help", verb.verb())));
    said(verb.verb(), "command", &lines)
}

/// The command that reads logs: no experiment, so it has no specification to read.
const DIAGNOSE: &str = "diagnose";

fn diagnose() -> Report {
    let findings: Vec<String> = ON_LOGS.iter().map(|page| format!("{} {}", page.code, page.name)).collect();
    said(
        DIAGNOSE,
        "command",
        &[
            ("is", "What happened to a training, from what it wrote down, and what it is stuck at.".into()),
            (
                "reads",
                "TensorBoard event files, CSV, JSON lines, trainer_state.json, recordings and runs; half a last line is said, and the rest is read."
                    .into(),
            ),
            (
                "decides",
                "Diverged: not finite, or far above where it was. Dead: the loss is exactly constant, or the gradient exactly zero. Stuck: the smoothed loss \
                 ends no lower than the entropy of the frequencies less 0.1 nat or 3 %, whichever is smaller, and does not fall fast enough to pass it. Slow: as many steps again would take it \
                 below. Learns: it ends below. Without a loss to compare with it cannot always be told."
                    .into(),
            ),
            (
                "names",
                "A plateau at ln V (uniform answers), at the entropy of the frequencies (answers that ignore the input), or of pairs: --classes, --vocabulary, \
                 --labels and --data say what these are."
                    .into(),
            ),
            ("finds", findings.join(", ")),
            ("try", "carnot diagnose LOG --classes 10; carnot diagnose --help lists all flags".into()),
        ],
    )
}

/// A setting by its key or flag, and the first experiment that has it.
fn setting(word: &str) -> Option<(&'static str, Key)> {
    let name = word.trim_start_matches('-').replace('-', "_");
    let find = |verb: &&dyn Verb| Some((verb.verb(), keys(*verb).into_iter().find(|key| key.name == name)?));
    VERBS.iter().find_map(find)
}

fn lines_of(key: &Key) -> Vec<(&'static str, String)> {
    let doc = key.doc.split("\n\n").map(first_paragraph).collect::<Vec<_>>().join(" ");
    let mut lines = vec![("is", doc), ("takes", key.accepts()), ("flag", key.flag())];
    if !key.default.is_null() && !key.is_positional() {
        lines.push(("default", key.default.to_string()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_explained_and_a_slip_gets_the_nearest() {
        for word in words() {
            let report = explain(&word).unwrap_or_else(|error| panic!("{error}"));
            assert!(report.summary.iter().all(|line| !line.text.is_empty()), "{word}");
        }
        let Err(LabError::UnknownWord { nearest, .. }) = explain("chi_perpendiculer") else { panic!() };
        assert_eq!(nearest.as_deref(), Some("chi_perpendicular"));
    }

    #[test]
    fn a_symbol_that_is_also_a_command_is_explained_as_both() {
        let report = explain("kernel").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(report.subject, "symbol and command");
        let says = |label: &str, part: &str| {
            report.summary.iter().any(|l| l.label == label && l.text.contains(part))
        };
        assert!(
            says("symbol", "K, signal") && says("command", "Kernels of a network"),
            "{:?}",
            report.summary
        );
        assert!(says("try", "carnot kernel --help"));
        assert!(
            explain(DIAGNOSE).is_ok_and(|page| page.summary.iter().any(|line| line.text.contains("R322")))
        );
        // Every command can be found under its word, whatever else that word means.
        for verb in VERBS {
            let page = explain(verb.verb()).unwrap_or_else(|error| panic!("{error}"));
            assert!(page.summary.iter().any(|line| line.text.contains(&format!("carnot {} ", verb.verb()))));
        }
    }
}
