//! Prose with links from symbols to the glossary, and the glossary itself.

use super::escape;
use crate::finding::Level;
use crate::glossary::{self, ENTRIES, Entry};
use crate::report::Tone;

/// Escaped prose in which every symbol that stands alone links to its line of the glossary.
pub fn linked(prose: &str) -> String {
    let mut linked = String::new();
    let mut rest = prose;
    while let Some((at, entry)) = next_symbol(rest) {
        linked += &whole_numbers(&rest[..at]);
        linked += &link(entry);
        rest = &rest[at + entry.symbol.len()..];
    }
    linked + &whole_numbers(rest)
}

/// Escaped text in which a power of ten such as `5e-13` is not broken over two lines.
fn whole_numbers(prose: &str) -> String {
    let is_power = |word: &str| {
        word.split_once("e-").is_some_and(|(before, _)| before.ends_with(|c: char| c.is_ascii_digit()))
    };
    let write = |word: &str| match is_power(word) {
        true => format!("<span class=\"whole\">{}</span>", escape::text(word)),
        false => escape::text(word),
    };
    prose.split_inclusive(' ').map(write).collect()
}

/// Prose that is about one observable: its symbol links to the glossary even where it is a single letter.
pub fn linked_about(prose: &str, name: Option<&str>) -> String {
    let entry = name.and_then(glossary::by_name);
    match entry.and_then(|entry| Some((entry, find_alone(prose, entry.symbol)?))) {
        Some((entry, at)) => linked(&prose[..at]) + &link(entry) + &linked(&prose[at + entry.symbol.len()..]),
        None => linked(prose),
    }
}

/// A heading that is a symbol as a whole links to the glossary; anything else is prose.
pub fn heading(label: &str) -> String {
    glossary::by_symbol(label).map_or_else(|| linked(label), link)
}

fn link(entry: &Entry) -> String {
    let symbol = escape::text(entry.symbol);
    format!(
        "<a class=\"symbol\" href=\"#g-{}\" title=\"{}\">{symbol}</a>",
        entry.name,
        escape::text(entry.meaning)
    )
}

fn next_symbol(prose: &str) -> Option<(usize, &'static Entry)> {
    let found = ENTRIES
        .iter()
        .filter(|entry| entry.stands_alone)
        .filter_map(|entry| find_alone(prose, entry.symbol).map(|at| (at, entry)));
    found.min_by_key(|(at, entry)| (*at, std::cmp::Reverse(entry.symbol.len())))
}

/// Where the symbol stands as a word of its own.
fn find_alone(prose: &str, symbol: &str) -> Option<usize> {
    let is_alone = |at: usize| {
        let before = prose[..at].chars().next_back();
        let after = prose[at + symbol.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    };
    prose.match_indices(symbol).map(|(at, _)| at).find(|&at| is_alone(at))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// One line per symbol.
pub fn glossary() -> String {
    let line = |entry: &Entry| {
        format!(
            "<div id=\"g-{}\"><dt><span class=\"sign\">{}</span> {}</dt><dd>{}</dd></div>\n",
            entry.name,
            escape::text(entry.symbol),
            escape::text(if entry.title == entry.symbol { "" } else { entry.title }),
            escape::text(entry.meaning)
        )
    };
    let lines: String = ENTRIES.iter().map(line).collect();
    super::section("glossary", "Symbols", &format!("<dl class=\"glossary\">\n{lines}</dl>\n"))
}

/// Class of a tone.
pub fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Costs => "costs",
        Tone::Blocks => "blocks",
        Tone::Plain => "plain",
    }
}

/// Class of a level.
pub fn level(level: Level) -> &'static str {
    match level {
        Level::Blocks => "blocks",
        Level::Costs => "costs",
        Level::Note => "plain",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_in_prose_are_linked_and_words_are_not() {
        assert!(linked("phase: χ⊥ = 0.331 < 1").contains("href=\"#g-chi_perpendicular\""));
        assert!(linked("C_W = 1").contains("#g-c_w"));
        assert_eq!(linked("MAC_Works & ERROR"), "MAC_Works &amp; ERROR");
    }

    #[test]
    fn a_heading_that_is_a_symbol_is_linked() {
        assert!(heading("K").contains("#g-kernel"));
        assert_eq!(heading("K measured"), "K measured");
    }
}
