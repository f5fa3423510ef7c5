//! Report and diagnostic as text: the answer first, then why, then numbers, then what to type next.

mod ascii;
mod curves;
mod diagnostic;
mod finding;
mod paint;
mod stress;
mod table;

use crate::diagnostic::Diagnostic;
use crate::report::{Coverage, Line, Report, Tone};
use crate::section::{Heading, Row, Section, Show, Text};
use paint::Paint;

/// Narrowest text that is laid out; a narrower terminal wraps it by itself.
const NARROWEST: usize = 60;
/// Prose and aligned notes stop here, however wide the terminal is; only tables may go further.
const WIDEST_TEXT: usize = 100;

/// What the terminal can show. `NO_COLOR`, pipes and locales are looked at by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
    /// ANSI colours are understood and wanted.
    pub colour: bool,
    /// Characters beyond ASCII are understood.
    pub unicode: bool,
    /// Show every finding instead of the first three.
    pub all: bool,
}

impl Default for Style {
    fn default() -> Style {
        Style { width: WIDEST_TEXT, colour: false, unicode: true, all: false }
    }
}

impl Style {
    /// Columns used for text.
    fn text_width(&self) -> usize {
        self.width.clamp(NARROWEST, WIDEST_TEXT)
    }

    /// Columns a table may use.
    fn table_width(&self) -> usize {
        self.width.max(NARROWEST)
    }
}

/// The report as text, ending with a line end.
pub fn render(report: &Report, style: &Style) -> String {
    let text = render_safe(&ascii::report(report, style.unicode), style);
    if style.unicode { text } else { ascii::spell(&text) }
}

/// The cells of one column as text; numbers measured alike share their decimals.
pub fn cell_texts(heading: &Heading, at: usize, rows: &[Row]) -> Vec<String> {
    table::texts(heading, at, rows)
}

/// The diagnostic as text, ending with a line end.
pub fn render_diagnostic(diagnostic: &Diagnostic, style: &Style) -> String {
    diagnostic::render(diagnostic, style)
}

fn render_safe(report: &Report, style: &Style) -> String {
    let paint = Paint::new(style);
    let mut blocks: Vec<String> = Vec::new();
    blocks.extend(headline(report, style, &paint));
    let sections: Vec<String> =
        report.sections.iter().filter_map(|section| self::section(section, report, style, &paint)).collect();
    let is_short = sections.is_empty() && report.findings.is_empty() && report.summary.is_empty();
    if let Some(verdict) = &report.verdict {
        blocks.push(paint::wrap(&verdict.why, 2, 2, style.text_width()));
    }
    if is_short {
        let ending = short_ending(report, style, &paint);
        return join_short(blocks, ending);
    }
    if !report.summary.is_empty() {
        blocks.push(lines(&report.summary, style, &paint));
    }
    blocks.extend(sections);
    if !report.findings.is_empty() {
        blocks.push(finding::render_all(&report.findings_by_weight(), style, &paint));
    }
    blocks.extend(ending(report, style, &paint));
    blocks.join("\n")
}

/// A short report has no blank line between verdict and reason.
fn join_short(blocks: Vec<String>, ending: String) -> String {
    blocks.concat() + &ending
}

fn headline(report: &Report, style: &Style, paint: &Paint) -> Option<String> {
    let (words, tone) = report.first_line()?;
    let painted = paint.strong(tone, &words);
    let subject = paint.dim(&report.subject);
    let (left, right, width) = (paint::width(&words), paint::width(&report.subject), style.text_width());
    if right == 0 {
        return Some(format!("{painted}\n"));
    }
    if left + 3 + right <= width {
        return Some(format!("{painted}{}{subject}\n", " ".repeat(width - left - right)));
    }
    Some(format!("{painted}\n{}", paint.dim(&paint::wrap(&report.subject, 2, 2, width))))
}

fn section(section: &Section, report: &Report, style: &Style, paint: &Paint) -> Option<String> {
    match section {
        Section::Text(text) => (text.show != Show::Page).then(|| prose(text, style)),
        Section::Table(table) => {
            (table.show != Show::Page).then(|| table::render(table, None, report, style, paint))
        }
        Section::Bars(bars) => (bars.table.show != Show::Page)
            .then(|| table::render(&bars.table, Some(&bars.lengths), report, style, paint)),
        Section::Sparklines(sparklines) => Some(curves::sparklines(sparklines, style, paint)),
        Section::Map(map) => Some(curves::map(map, style, paint)),
        Section::StressMap(map) => {
            (map.show != Show::Page).then(|| stress::render(report, style, paint)).flatten()
        }
        Section::Chart(_) => None,
    }
}

fn prose(text: &Text, style: &Style) -> String {
    text.text.lines().map(|line| paint::wrap(line, 2, 2, style.text_width())).collect()
}

/// Label, text and an aside at the right margin; the aside goes below when there is no room beside.
fn lines(lines: &[Line], style: &Style, paint: &Paint) -> String {
    let label_width = lines.iter().map(|line| paint::width(&line.label)).max().unwrap_or(0) + 3;
    let (start, width) = (2 + label_width, style.text_width());
    lines
        .iter()
        .map(|line| {
            let label = format!("  {}", paint.dim(&paint::pad(&line.label, label_width)));
            let body = paint::wrap(&line.text, 0, start, width);
            let body = body.trim_end_matches('\n');
            label + &beside(body, start, line.note.as_deref(), style, paint)
        })
        .collect()
}

/// `body` (its first line starting at column `start`) with a note at the right margin or below.
fn beside(body: &str, start: usize, note: Option<&str>, style: &Style, paint: &Paint) -> String {
    let Some(note) = note else { return format!("{body}\n") };
    let width = style.text_width();
    let is_one_line = !body.contains('\n');
    let (used, note_width) = (start + paint::width(body), paint::width(note));
    if is_one_line && used + 3 + note_width <= width {
        return format!("{body}{}{}\n", " ".repeat(width - used - note_width), paint.dim(note));
    }
    format!("{body}\n{}", paint.dim(&paint::wrap(note, start, start, width)))
}

/// Coverage, where the report lies, and what to type next.
fn ending(report: &Report, style: &Style, paint: &Paint) -> Option<String> {
    let indent = if report.findings.is_empty() { 2 } else { 0 };
    let mut text = String::new();
    if let Some(coverage) = &report.coverage {
        text += &paint.dim(&paint::wrap(&coverage_words(coverage), indent, indent, style.text_width()));
    }
    let saved = report.saved.as_ref().map(|place| Line::new("report", place.clone()));
    let (asides, plain): (Vec<Line>, Vec<Line>) =
        saved.into_iter().chain(report.next.iter().cloned()).partition(|line| line.note.is_some());
    let (mut plain, mut asides) = (plain, asides);
    if !plain.is_empty() && !asides.is_empty() {
        // Two ways of setting lines, one column of labels: the second sets one blank more behind its label.
        let widest = plain.iter().chain(&asides).map(|line| paint::width(&line.label)).max().unwrap_or(0);
        plain.iter_mut().for_each(|line| line.label = paint::pad(&line.label, widest + 1));
        asides.iter_mut().for_each(|line| line.label = paint::pad(&line.label, widest));
    }
    text += &packed(&plain, asides.is_empty(), indent, style, paint);
    text += &columns_of_notes(&asides, indent, style, paint);
    (!text.is_empty()).then_some(text)
}

fn short_ending(report: &Report, style: &Style, paint: &Paint) -> String {
    let coverage = report.coverage.as_ref().map(coverage_words);
    let saved = report.saved.as_ref().map(|place| format!("report {place}"));
    let parts: Vec<String> = coverage.into_iter().chain(saved).collect();
    let mut text = paint.dim(&paint::wrap(&parts.join(" · "), 2, 2, style.text_width()));
    text += &columns_of_notes(&report.next, 2, style, paint);
    text
}

/// Lines without asides; side by side while they fit and nothing else follows.
fn packed(lines: &[Line], side_by_side: bool, indent: usize, style: &Style, paint: &Paint) -> String {
    let one_row = |line: &Line| paint::width(&line.label) + 2 + paint::width(&line.text) + 8;
    let fits = side_by_side && indent + lines.iter().map(one_row).sum::<usize>() <= style.text_width() + 8;
    let counted = if fits { 1 } else { lines.len() };
    let label_width = lines.iter().take(counted).map(|line| paint::width(&line.label)).max().unwrap_or(0) + 2;
    let mut text = String::new();
    let mut used = 0;
    for line in lines {
        if fits && used > 0 {
            text += &format!("        {}  {}", paint.dim(&line.label), line.text);
            continue;
        }
        if used > 0 {
            text.push('\n');
        }
        let body = paint::wrap(&line.text, 0, indent + label_width, style.text_width());
        let label = paint.dim(&paint::pad(&line.label, label_width));
        text += &format!("{}{label}{}", " ".repeat(indent), body.trim_end_matches('\n'));
        used = indent + label_width + paint::width(&line.text);
    }
    if used > 0 {
        text.push('\n');
    }
    text
}

/// Lines whose asides stand under each other.
fn columns_of_notes(lines: &[Line], indent: usize, style: &Style, paint: &Paint) -> String {
    let label_width = lines.iter().map(|line| paint::width(&line.label)).max().unwrap_or(0) + 3;
    let text_width = lines.iter().map(|line| paint::width(&line.text)).max().unwrap_or(0);
    let note_width =
        lines.iter().filter_map(|line| line.note.as_deref()).map(paint::width).max().unwrap_or(0);
    let start = indent + label_width;
    let fits = start + text_width + 4 + note_width <= style.text_width();
    let write = |line: &Line| {
        let label = format!("{}{}", " ".repeat(indent), paint.dim(&paint::pad(&line.label, label_width)));
        let note = line.note.as_deref().unwrap_or("");
        if fits {
            let body = format!("{}    {}", paint::pad(&line.text, text_width), paint.dim(note));
            return format!("{label}{}\n", body.trim_end());
        }
        let body = paint::wrap(&line.text, 0, start, style.text_width());
        let below =
            if note.is_empty() { String::new() } else { paint::wrap(note, start, start, style.text_width()) };
        format!("{label}{body}{}", paint.dim(&below))
    };
    lines.iter().map(write).collect()
}

/// `read 96 of 98 weight layers: rotary (no vectors), lm_head (tied to embed) · probe 200 inputs`.
pub fn coverage_words(coverage: &Coverage) -> String {
    let what = if coverage.what.is_empty() { String::new() } else { format!(" {}", coverage.what) };
    let mut text = format!("read {} of {}{what}", coverage.read, coverage.of);
    if !coverage.skipped.is_empty() {
        text += &format!(": {}", skipped(coverage));
    }
    if let Some(probe) = &coverage.probe {
        text += &format!(" · probe {probe}");
    }
    text
}

/// Layers by reason; from three of one reason on, their number and the first of them.
fn skipped(coverage: &Coverage) -> String {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for one in &coverage.skipped {
        match reasons.iter_mut().find(|(because, _)| *because == one.because) {
            Some((_, layers)) => layers.push(&one.layer),
            None => reasons.push((&one.because, vec![&one.layer])),
        }
    }
    let write = |(because, layers): &(&str, Vec<&str>)| match layers.as_slice() {
        [first, _, rest @ ..] if !rest.is_empty() => {
            format!("{first} and {} more ({because})", layers.len() - 1)
        }
        layers => layers.iter().map(|layer| format!("{layer} ({because})")).collect::<Vec<_>>().join(", "),
    };
    reasons.iter().map(write).collect::<Vec<_>>().join(", ")
}

/// Tone of the finding that a mark names by its code.
fn tone_of_mark(mark: &str, report: &Report) -> Tone {
    let code = mark.split(' ').next().unwrap_or("");
    let level = report.findings.iter().find(|finding| finding.code == code).map(|finding| finding.level);
    level.map_or(Tone::Plain, finding::tone)
}
