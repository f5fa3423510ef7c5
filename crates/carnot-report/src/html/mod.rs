//! Report → one self-contained file: no request, no fonts, no account; it opens in ten years, by mail, on paper.
//!
//! The order is the order of questions: the verdict, the pictures, where it hurts, the findings, what would be better,
//! every layer, how it was measured, what the symbols mean.

pub mod escape;
mod figure;
mod findings;
mod heat;
mod layers;
mod measured;
mod tables;
mod verdict;
mod words;

use crate::json;
use crate::report::Report;
use crate::section::{Role, Section, Show};
use escape::text;

const STYLE: &str = include_str!("../assets/report.css");
const SCRIPT: &str = include_str!("../assets/report.js");
/// Largest file in bytes; recordings with more steps are thinned until they fit, and the page says so.
const LARGEST: usize = 1_900_000;

/// The report as one HTML file.
pub fn render(report: &Report) -> String {
    let mut page = page(report, None);
    let mut thinned = report.clone();
    while page.len() > LARGEST && thin(&mut thinned) {
        let n_steps = crate::stress::steps(&thinned).len();
        let note =
            format!("{n_steps} steps of the recording are kept in this file; all of them are in the run.");
        page = self::page(&thinned, Some(&note));
    }
    page
}

fn page(report: &Report, note: Option<&str>) -> String {
    let title = report.first_line().map_or_else(|| report.command.clone(), |(words, _)| words);
    let blocks: String = [
        verdict::block(report),
        pictures(report),
        tables::others(report),
        heat::block(report),
        findings::block(report),
        tables::better(report),
        layers::block(report),
        measured::block(report, note),
        words::glossary(),
    ]
    .concat();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{} · {}</title>\n<style>\n{}\n{STYLE}</style>\n</head>\n<body>\n<main>\n{blocks}</main>\n\
         <div id=\"tip\" role=\"status\" hidden></div>\n\
         <script type=\"application/json\" id=\"report\">{}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        text(&title),
        text(&report.subject),
        crate::svg::THEME,
        escape::json(&compact(report)),
    )
}

/// The same JSON as [`json::to_string`] without its blanks.
fn compact(report: &Report) -> String {
    let value: serde_json::Value =
        serde_json::from_str(&json::to_string(report)).expect("our own JSON is JSON");
    value.to_string()
}

/// Drops every second step of the recording, never the first and the last; false when nothing is left to drop.
fn thin(report: &mut Report) -> bool {
    let steps = crate::stress::steps(report);
    if steps.len() <= 2 {
        return false;
    }
    let (first, last) = (steps[0], steps[steps.len() - 1]);
    let dropped: Vec<u64> =
        steps.iter().skip(1).step_by(2).copied().filter(|step| *step != first && *step != last).collect();
    report.profiles.retain(|profile| profile.source == "theory" || !dropped.contains(&profile.step));
    !dropped.is_empty()
}

fn pictures(report: &Report) -> String {
    let charts: Vec<String> = report
        .sections
        .iter()
        .filter_map(|section| match section {
            Section::Chart(chart) => Some(figure::figure(chart)),
            Section::Map(map) => Some(figure::map(map)),
            _ => None,
        })
        .collect();
    if charts.is_empty() {
        return String::new();
    }
    let count = match charts.len() {
        1 => "one",
        2 => "two",
        _ => "many",
    };
    format!("<section class=\"pictures {count}\" aria-label=\"pictures\">\n{}</section>\n", charts.concat())
}

/// A section with a heading that can be linked to.
fn section(id: &str, title: &str, body: &str) -> String {
    format!("<section id=\"{id}\">\n<h2>{}</h2>\n{body}</section>\n", text(title))
}

/// A button that copies; hidden until the script runs.
fn copy_button(what: &str) -> String {
    format!("<button class=\"copy\" type=\"button\" data-copy=\"{}\">copy</button>", text(what))
}

/// Does the page show this section below findings and comparison?
fn is_other(section: &Section, has_profiles: bool) -> bool {
    match section {
        Section::Text(text) => text.show != Show::Terminal,
        Section::Table(table) => {
            let replaced = table.role == Role::Comparison || (table.role == Role::Layers && has_profiles);
            table.show != Show::Terminal && !replaced
        }
        Section::Bars(bars) => bars.table.show != Show::Terminal,
        Section::Chart(_) | Section::Map(_) | Section::Sparklines(_) | Section::StressMap(_) => false,
    }
}
