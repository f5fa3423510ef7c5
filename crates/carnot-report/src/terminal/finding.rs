//! Findings: saw, because, do.

use super::Style;
use super::paint::{self, Paint};
use crate::finding::{Finding, Level};
use crate::report::Tone;

/// Findings shown without `--all`.
const SHOWN: usize = 3;
/// Columns at which the place and the command start.
const PLACE: usize = 41;
const COMMAND: usize = 53;
/// Columns before the text of saw, because and do.
const INDENT: usize = 14;

/// How a level is meant.
pub fn tone(level: Level) -> Tone {
    match level {
        Level::Blocks => Tone::Blocks,
        Level::Costs => Tone::Costs,
        Level::Note => Tone::Plain,
    }
}

/// The first findings, or all, with the number of those left out.
pub fn render_all(findings: &[&Finding], style: &Style, paint: &Paint) -> String {
    let shown = if style.all { findings.len() } else { findings.len().min(SHOWN) };
    let mut text: String = findings[..shown].iter().map(|finding| render(finding, style, paint)).collect();
    let hidden = findings.len() - shown;
    if hidden > 0 {
        let noun = if hidden == 1 { "finding" } else { "findings" };
        text += &paint.dim(&format!("     {hidden} more {noun}: --all\n"));
    }
    text
}

fn render(finding: &Finding, style: &Style, paint: &Paint) -> String {
    let mut text = title(finding, style, paint);
    text += &part("saw", &finding.saw, style, paint);
    text += &part("because", &finding.because, style, paint);
    text += &remedy(finding, style, paint);
    if let Some(ignore_when) = finding.ignore_when.as_ref().filter(|_| style.all) {
        text += &part("ignore", ignore_when, style, paint);
    }
    text
}

fn title(finding: &Finding, style: &Style, paint: &Paint) -> String {
    let width = style.text_width();
    let name = format!("{} {}", finding.code, finding.name);
    let place = match &finding.position {
        Some(position) => format!("{}, {position}", finding.at),
        None => finding.at.clone(),
    };
    let level = finding.level.words();
    let painted = paint.strong(tone(finding.level), name.trim_end());
    let level_painted = paint.toned(tone(finding.level), level);
    let start = paint::width(&name).max(PLACE.min(width * 2 / 5) - 2) + 2;
    let used = start + paint::width(&place);
    let before = " ".repeat(start - paint::width(name.trim_end()));
    if used + 2 + level.len() <= width {
        let after = " ".repeat(width - used - level.len());
        return format!("{painted}{before}{place}{after}{level_painted}\n");
    }
    let after = " ".repeat(width.saturating_sub(paint::width(name.trim_end()) + level.len()).max(2));
    format!("{painted}{after}{level_painted}\n{}", part("at", &place, style, paint))
}

fn part(label: &str, text: &str, style: &Style, paint: &Paint) -> String {
    let label = paint.dim(&paint::pad(label, INDENT - 5));
    format!("     {label}{}", paint::wrap(text, 0, INDENT, style.text_width()))
}

/// What to do, what to paste, and whether that is safe, in three columns when they fit.
fn remedy(finding: &Finding, style: &Style, paint: &Paint) -> String {
    let remedy = &finding.remedy;
    let width = style.text_width();
    let command = remedy.command.as_deref().unwrap_or("");
    let safety = remedy.safety.map_or("", |safety| safety.words());
    if command.is_empty() && safety.is_empty() {
        return part("do", &remedy.text, style, paint);
    }
    let start = (INDENT + paint::width(&remedy.text) + 3).max(COMMAND.min(width / 2));
    let used = start + paint::width(command);
    if used + 2 + safety.len() <= width {
        let between = " ".repeat(start - INDENT - paint::width(&remedy.text));
        let after = " ".repeat(width - used - safety.len());
        let line = format!("{}{between}{command}{after}{safety}", remedy.text);
        return format!("     {}{}\n", paint.dim(&paint::pad("do", INDENT - 5)), line.trim_end());
    }
    let mut text = part("do", &remedy.text, style, paint);
    let words = [command, safety].join("   ");
    text += &paint::wrap(words.trim(), INDENT, INDENT, width);
    text
}
