//! Errors in the shape of findings, with the line they are about.

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents};
use miette::{SourceCode, SourceSpan, SpanContents};

use super::paint::{self, Paint};
use super::{Style, ascii};
use crate::diagnostic::{Diagnostic, Place};
use crate::report::Tone;

/// Column at which the place starts, and the text of the three parts.
const PLACE: usize = 34;
const INDENT: usize = 15;

/// The diagnostic as text, ending with a line end.
pub fn render(diagnostic: &Diagnostic, style: &Style) -> String {
    let paint = Paint::new(style);
    let spell = |text: &str| ascii::safe(text, style.unicode);
    let mut text = title(diagnostic, &spell, &paint);
    for (label, words) in
        [("problem", &diagnostic.problem), ("cause", &diagnostic.cause), ("remedy", &diagnostic.remedy)]
    {
        if !words.is_empty() {
            let label = paint.dim(&paint::pad(label, INDENT - 6));
            text += &format!("      {label}{}", paint::wrap(&spell(words), 0, INDENT, style.text_width()));
        }
    }
    if let Some(snippet) = diagnostic.place.as_ref().and_then(|place| snippet(place, style)) {
        text += &format!("\n{}", paint.dim(&snippet));
    }
    text
}

fn title(diagnostic: &Diagnostic, spell: &dyn Fn(&str) -> String, paint: &Paint) -> String {
    let word = paint.strong(Tone::Blocks, "error");
    let code = spell(&diagnostic.code);
    let Some(place) = &diagnostic.place else { return format!("{word} {code}\n") };
    let blanks = PLACE.saturating_sub(6 + paint::width(&code)).max(3);
    format!("{word} {code}{}{}\n", " ".repeat(blanks), paint.dim(&spell(&place.words())))
}

/// One line of a file or a formula, with the span to point at.
#[derive(Debug)]
struct OneLine {
    text: String,
    number: usize,
    span: SourceSpan,
}

impl SourceCode for OneLine {
    fn read_span<'a>(
        &'a self,
        _: &SourceSpan,
        _: usize,
        _: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let whole = SourceSpan::from((0, self.text.len()));
        let contents = MietteSpanContents::new(self.text.as_bytes(), whole, self.number - 1, 0, 1);
        Ok(Box::new(contents))
    }
}

/// What miette needs to draw the line and nothing else.
#[derive(Debug)]
struct Pointer(OneLine);

impl std::fmt::Display for Pointer {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

impl std::error::Error for Pointer {}

impl miette::Diagnostic for Pointer {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.0)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, self.0.span))))
    }
}

fn snippet(place: &Place, style: &Style) -> Option<String> {
    let line = one_line(place)?;
    let mut theme = if style.unicode { GraphicalTheme::unicode_nocolor() } else { GraphicalTheme::ascii() };
    theme.styles = miette::ThemeStyles::none();
    let handler = GraphicalReportHandler::new_themed(theme).with_width(style.text_width());
    let mut drawn = String::new();
    handler.render_report(&mut drawn, &Pointer(line)).ok()?;
    let is_line =
        |line: &&str| line.contains('│') || line.contains('·') || line.contains('|') || line.contains(':');
    let kept: Vec<&str> = drawn.lines().filter(is_line).collect();
    Some(kept.iter().map(|line| format!("     {}\n", line.trim_end())).collect())
}

fn one_line(place: &Place) -> Option<OneLine> {
    let (text, number, start, length) = match place {
        Place::File { line, column, source, length, .. } => {
            let start = byte_at(source, column.saturating_sub(1));
            let end = byte_at(source, column.saturating_sub(1) + length);
            (source.clone(), (*line).max(1), start, end - start)
        }
        Place::Formula { text, start, length } => {
            let start = floor_boundary(text, *start);
            let end = floor_boundary(text, start + length);
            (text.clone(), 1, start, end.saturating_sub(start))
        }
        Place::Flag { .. } | Place::Layer { .. } => return None,
    };
    // One line only, and never empty, since there would be nothing to point at.
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let start = floor_boundary(&text, start);
    let end = floor_boundary(&text, start + length);
    (!text.trim().is_empty()).then(|| OneLine { text, number, span: SourceSpan::from((start, end - start)) })
}

fn byte_at(text: &str, character: usize) -> usize {
    text.char_indices().nth(character).map_or(text.len(), |(at, _)| at)
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
