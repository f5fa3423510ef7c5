//! Tables, bars, prose and maps of the report, and what would be better.

use super::escape::text;
use super::{copy_button, figure, is_other, section, words};
use crate::report::Report;
use crate::section::{Align, Bars, Heading, Role, Section, Table};
use crate::terminal;

/// *As it is* against *recommended*, and the code to get there.
pub fn better(report: &Report) -> String {
    let tables: String = report
        .sections
        .iter()
        .filter_map(|section| match section {
            Section::Table(table) if table.role == Role::Comparison => Some(self::table(table, None, report)),
            _ => None,
        })
        .collect();
    let snippet = |snippet: &crate::report::Snippet| {
        format!(
            "<div class=\"snippet\"><div class=\"head\"><span>{}</span>{}</div><pre tabindex=\"0\"><code>{}</code></pre></div>\n",
            text(&snippet.label),
            copy_button(&snippet.text),
            text(&snippet.text)
        )
    };
    let code: String = report.code.iter().map(snippet).collect();
    if tables.is_empty() && code.is_empty() {
        return String::new();
    }
    let code = if code.is_empty() { code } else { format!("<div class=\"snippets\">\n{code}</div>\n") };
    section("better", "What would be better", &format!("<div class=\"better\">{tables}{code}</div>\n"))
}

/// Whatever else the command has to show, in its order.
pub fn others(report: &Report) -> String {
    let has_profiles = !report.profiles.is_empty();
    let blocks: String = report
        .sections
        .iter()
        .filter(|section| is_other(section, has_profiles))
        .map(|section| match section {
            Section::Text(prose) => {
                let title = if prose.title.is_empty() {
                    String::new()
                } else {
                    format!("<h3>{}</h3>\n", text(&prose.title))
                };
                let lines: String =
                    prose.text.lines().map(|line| format!("<p>{}</p>\n", words::linked(line))).collect();
                format!("{title}{lines}")
            }
            Section::Table(table) => self::table(table, None, report),
            Section::Bars(Bars { table, lengths }) => self::table(table, Some(lengths), report),
            Section::Map(map) => figure::map(map),
            Section::Chart(_) | Section::Sparklines(_) => String::new(),
        })
        .collect();
    if blocks.is_empty() { String::new() } else { section("numbers", "Numbers", &blocks) }
}

fn table(table: &Table, lengths: Option<&[Option<f64>]>, report: &Report) -> String {
    let marked = table.rows.iter().any(|row| row.mark.is_some());
    let mut headings: String = table.columns.iter().map(heading).collect();
    if lengths.is_some() {
        headings += "<th scope=\"col\"><span class=\"unseen\">bar</span></th>";
    }
    if marked {
        headings += "<th scope=\"col\"><span class=\"unseen\">finding</span></th>";
    }
    let columns: Vec<Vec<String>> = table
        .columns
        .iter()
        .enumerate()
        .map(|(at, heading)| terminal::cell_texts(heading, at, &table.rows))
        .collect();
    let longest =
        lengths.into_iter().flatten().flatten().copied().filter(|l| l.is_finite()).fold(0.0, f64::max);
    let row = |at: usize| {
        let mut cells: String = table
            .columns
            .iter()
            .zip(&columns)
            .map(|(heading, column)| format!("<td{}>{}</td>", class(heading), words::linked(&column[at])))
            .collect();
        if let Some(lengths) = lengths {
            let length =
                lengths.get(at).copied().flatten().filter(|l| *l > 0.0 && l.is_finite()).unwrap_or(0.0);
            let share = if longest > 0.0 { 100.0 * length / longest } else { 0.0 };
            cells += &format!("<td class=\"bar\"><i style=\"width:{share:.1}%\"></i></td>");
        }
        if marked {
            cells += &format!(
                "<td class=\"mark\">{}</td>",
                table.rows[at].mark.as_deref().map_or_else(String::new, |words| mark(words, report))
            );
        }
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = (0..table.rows.len()).map(row).collect();
    let title =
        if table.title.is_empty() { String::new() } else { format!("<h3>{}</h3>\n", text(&table.title)) };
    let caption = if table.caption.is_empty() {
        String::new()
    } else {
        format!("<p class=\"caption\">{}</p>\n", words::linked(&table.caption))
    };
    format!(
        "<div class=\"block\">{title}<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>{headings}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n{caption}</div>\n"
    )
}

fn heading(heading: &Heading) -> String {
    format!("<th scope=\"col\"{}>{}</th>", class(heading), words::heading(&heading.label))
}

fn class(heading: &Heading) -> &'static str {
    if heading.align == Align::Left { "" } else { " class=\"number\"" }
}

/// A finding named at a row links to its card, if the report has one.
pub fn mark(mark: &str, report: &Report) -> String {
    let code = mark.split(' ').next().unwrap_or("");
    if !report.findings.iter().any(|finding| finding.code == code) {
        return text(mark);
    }
    format!("<a href=\"#{}\">{}</a>", text(code), text(mark))
}
