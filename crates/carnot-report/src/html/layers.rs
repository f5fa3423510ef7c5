//! The full table of layers, sortable, and the layers that could not be read.

use super::escape::text;
use super::{section, tables, words};
use crate::number;
use crate::profile::{Column, Profile};
use crate::report::Report;
use crate::{glossary, stress};

/// Every layer with every column; theory stands beside each reading.
pub fn block(report: &Report) -> String {
    let theory = stress::theory(report);
    let Some(main) = stress::readings(report, None).or(theory).or(report.profiles.first()) else {
        return String::new();
    };
    let beside = theory.filter(|theory| !std::ptr::eq(*theory, main));
    let columns = columns(main, beside);
    let mut headings = String::from(
        "<th scope=\"col\" class=\"number\"><button type=\"button\">layer</button></th><th scope=\"col\"><button type=\"button\">name</button></th>",
    );
    headings += &columns.iter().map(Shown::heading).collect::<String>();
    let marked = report.findings.iter().any(|finding| main.layers.contains(&finding.at));
    if marked {
        headings += "<th scope=\"col\">finding</th>";
    }
    let row = |at: usize| {
        let cells: String = columns.iter().map(|column| column.cell(&main.layers[at])).collect();
        let marks = if marked {
            format!("<td class=\"mark\">{}</td>", marks(report, &main.layers[at]))
        } else {
            String::new()
        };
        format!(
            "<tr><td class=\"number\">{}</td><th scope=\"row\">{}</th>{cells}{marks}</tr>\n",
            at + 1,
            text(&main.layers[at])
        )
    };
    let rows: String = (0..main.layers.len()).map(row).collect();
    let table = format!(
        "<div class=\"scroll tall\" tabindex=\"0\"><table class=\"sortable\">\n<thead><tr>{headings}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    );
    section("layers", "Layers", &(table + &unread(report)))
}

fn marks(report: &Report, layer: &str) -> String {
    let here = report.findings_by_weight().into_iter().filter(|finding| finding.at == layer);
    let links: Vec<String> = here
        .map(|finding| tables::mark(format!("{} {}", finding.code, finding.name).trim_end(), report))
        .collect();
    links.join(", ")
}

/// One column of the table.
struct Shown<'a> {
    title: String,
    profile: &'a Profile,
    column: &'a Column,
    is_theory: bool,
}

fn columns<'a>(main: &'a Profile, theory: Option<&'a Profile>) -> Vec<Shown<'a>> {
    let mut names: Vec<&String> = main.columns().keys().collect();
    if let Some(theory) = theory {
        names.extend(theory.columns().keys().filter(|name| main.column(name).is_none()));
    }
    names.sort_by_key(|name| (glossary::rank(name), name.as_str()));
    let mut columns = Vec::new();
    for name in names {
        for (profile, is_theory) in [(Some(main), false), (theory, true)] {
            let Some(profile) = profile else { continue };
            let Some(column) = profile.column(name) else { continue };
            let unit = column.unit.as_ref().map_or_else(String::new, |unit| format!(" ({})", text(unit)));
            let symbol = glossary::by_name(name)
                .map_or_else(|| text(&column.symbol), |_| words::heading(&column.symbol));
            columns.push(Shown { title: format!("{symbol}{unit}"), profile, column, is_theory });
        }
    }
    columns
}

impl Shown<'_> {
    fn heading(&self) -> String {
        let class = if self.is_theory { "number theory" } else { "number" };
        let words = if self.is_theory { "<span>theory</span>".to_string() } else { self.title.clone() };
        format!(
            "<th scope=\"col\" class=\"{class}\">{words}<button type=\"button\" aria-label=\"sort\"></button></th>"
        )
    }

    fn cell(&self, layer: &str) -> String {
        let class = if self.is_theory { "number theory" } else { "number" };
        let Some(at) = self.profile.layers.iter().position(|name| name == layer) else {
            return format!("<td class=\"{class}\"></td>");
        };
        match self.column.value[at] {
            Some(value) => {
                let error = self.column.error[at].unwrap_or(0.0);
                format!(
                    "<td class=\"{class}\" data-value=\"{value:e}\">{}</td>",
                    number::estimate(value, error)
                )
            }
            None => {
                let because = self.column.reason(layer).unwrap_or("no reason recorded");
                format!(
                    "<td class=\"{class} none\"><span title=\"{0}\">–<span class=\"unseen\"> {0}</span></span></td>",
                    text(because)
                )
            }
        }
    }
}

fn unread(report: &Report) -> String {
    let Some(coverage) = report.coverage.as_ref().filter(|coverage| !coverage.skipped.is_empty()) else {
        return String::new();
    };
    let line = |one: &crate::report::Skipped| {
        format!("<li><code>{}</code> {}</li>\n", text(&one.layer), text(&one.because))
    };
    let lines: String = coverage.skipped.iter().map(line).collect();
    format!("<h3>Not read</h3>\n<ul class=\"unread\">\n{lines}</ul>\n")
}
