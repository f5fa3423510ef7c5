//! The first screen: the answer, why, and what to do.

use super::escape::text;
use super::{copy_button, words};
use crate::report::{Line, Report};

/// What was asked, the verdict, and the lines under it.
pub fn block(report: &Report) -> String {
    // Without a verdict the subject is the first heading, and is not said twice.
    let subject = if report.first_line().is_some() { text(&report.subject) } else { String::new() };
    let asked = format!(
        "<p class=\"asked\"><span>carnot {}</span> <span>{subject}</span></p>\n",
        text(&report.command)
    );
    let answer = match report.first_line() {
        Some((line, tone)) => format!("<h1 class=\"{}\">{}</h1>\n", words::tone(tone), text(&line)),
        None => format!("<h1 class=\"plain\">{}</h1>\n", text(&report.subject)),
    };
    let why = report.verdict.as_ref().map_or_else(String::new, |verdict| {
        format!("<p class=\"why\">{}</p>\n", words::linked(&verdict.why))
    });
    format!("<header>\n{asked}{answer}{why}{}</header>\n", lines(&report.summary, "summary"))
}

/// Labels and texts; a remedy, and whatever has something to paste, gets a copy button.
pub fn lines(lines: &[Line], class: &str) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let rows: String = lines.iter().map(line).collect();
    format!("<dl class=\"{class}\">\n{rows}</dl>\n")
}

fn line(line: &Line) -> String {
    let can_be_pasted = line.label == "remedy" || line.text.starts_with("carnot ");
    let paste = line.copy.as_deref().or_else(|| can_be_pasted.then_some(line.text.as_str()));
    let body = match paste {
        Some(paste) => format!("{} {}", code_in(&line.text, paste), copy_button(paste)),
        None => words::linked(&line.text),
    };
    let note = line
        .note
        .as_ref()
        .map_or_else(String::new, |note| format!(" <span class=\"note\">{}</span>", words::linked(note)));
    let label = text(&line.label);
    format!("<div class=\"is-{label}\"><dt>{label}</dt><dd>{body}{note}</dd></div>\n")
}

/// The text with what can be pasted set as code.
fn code_in(whole: &str, paste: &str) -> String {
    match whole.split_once(paste) {
        Some((before, after)) => {
            format!("{}<code>{}</code>{}", words::linked(before), text(paste), words::linked(after))
        }
        None => words::linked(whole),
    }
}
