//! Widths, wrapping and colour of text. Colour is put on last, so widths never count it.

use unicode_width::UnicodeWidthStr;

use super::Style;
use crate::report::Tone;

const RED: &str = "31";
const YELLOW: &str = "33";
const GREEN: &str = "32";
const BOLD: &str = "1";
const DIM: &str = "2";

/// Puts colour on text, or not.
pub struct Paint {
    colour: bool,
}

impl Paint {
    pub fn new(style: &Style) -> Paint {
        Paint { colour: style.colour }
    }

    /// Context: labels, notes, headings.
    pub fn dim(&self, text: &str) -> String {
        self.with(&[DIM], text)
    }

    /// A judgement, bold.
    pub fn strong(&self, tone: Tone, text: &str) -> String {
        match colour(tone) {
            Some(colour) => self.with(&[BOLD, colour], text),
            None => self.with(&[BOLD], text),
        }
    }

    /// A judgement.
    pub fn toned(&self, tone: Tone, text: &str) -> String {
        match colour(tone) {
            Some(colour) => self.with(&[colour], text),
            None => text.to_string(),
        }
    }

    /// Each line is painted by itself, so that pagers keep the colour after scrolling.
    fn with(&self, codes: &[&str], text: &str) -> String {
        if !self.colour || text.trim().is_empty() {
            return text.to_string();
        }
        let start = format!("\u{1b}[{}m", codes.join(";"));
        let paint = |line: &str| match line.trim_end_matches('\n') {
            "" => line.to_string(),
            words => format!("{start}{words}\u{1b}[0m{}", &line[words.len()..]),
        };
        text.split_inclusive('\n').map(paint).collect()
    }
}

fn colour(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Good => Some(GREEN),
        Tone::Costs => Some(YELLOW),
        Tone::Blocks => Some(RED),
        Tone::Plain => None,
    }
}

/// Columns that text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Text with blanks on its right.
pub fn pad(text: &str, to: usize) -> String {
    format!("{text}{}", " ".repeat(to.saturating_sub(width(text))))
}

/// Text with blanks on its left.
pub fn pad_left(text: &str, to: usize) -> String {
    format!("{}{text}", " ".repeat(to.saturating_sub(width(text))))
}

/// Words on lines of at most `limit` columns, each line ending with a line end.
///
/// The first line starts with `first` blanks, the others with `rest`. When `first` is 0 the caller has already written
/// up to column `rest`. Runs of blanks inside a line are kept, since they align things.
pub fn wrap(text: &str, first: usize, rest: usize, limit: usize) -> String {
    let room = limit.saturating_sub(rest).max(20);
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let line = lines.last_mut().expect("there is always a last line");
        if !line.is_empty() && width(line) + width(word.trim_end()) > room {
            lines.push(word.to_string());
        } else {
            line.push_str(word);
        }
    }
    let indent = |at: usize| " ".repeat(if at == 0 { first } else { rest });
    lines.iter().enumerate().map(|(at, line)| format!("{}{}\n", indent(at), line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_lines_fit_and_keep_their_words() {
        let text = "Inputs become indistinguishable by layer 10, and the gradient dies on the way";
        let wrapped = wrap(text, 2, 2, 40);
        assert!(wrapped.lines().all(|line| line.width() <= 40), "{wrapped}");
        assert_eq!(
            wrapped.split_whitespace().collect::<Vec<_>>(),
            text.split_whitespace().collect::<Vec<_>>()
        );
    }

    #[test]
    fn colour_is_off_when_not_wanted_and_ends_with_each_line() {
        let paint = |colour| Paint { colour }.strong(Tone::Blocks, "a\nb");
        assert_eq!(paint(false), "a\nb");
        assert_eq!(paint(true), "\u{1b}[1;31ma\u{1b}[0m\n\u{1b}[1;31mb\u{1b}[0m");
    }
}
