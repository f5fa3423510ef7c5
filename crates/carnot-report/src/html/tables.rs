//! Tables, bars and prose of the report, and what would be better.

use super::escape::text;
use super::{copy_button, is_other, section, words};
use crate::report::Report;
use crate::section::{Align, Bars, Heading, Role, Section, Table};
use crate::terminal;

/// *As it is* against *recommended*, and the code to get there.
pub fn better(report: &Report) -> String {
    let tables: String = report
        .sections
        .iter()
        .filter_map(|section| match section {
            Section::Table(table) if table.role == Role::Comparison => {
                Some(format!("<div class=\"block\">{}</div>\n", self::table(table, None, report)))
            }
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

/// Whatever else the command has to show, in its order. A single title becomes the heading of them all.
pub fn others(report: &Report) -> String {
    let has_profiles = !report.profiles.is_empty();
    let shown: Vec<&Section> =
        report.sections.iter().filter(|section| is_other(section, has_profiles)).collect();
    let titles: Vec<&str> = shown.iter().filter_map(|section| title(section)).collect();
    let blocks: String = shown.iter().map(|section| block(section, titles.len() == 1, report)).collect();
    let heading = if let [only] = titles.as_slice() { only } else { "Numbers" };
    if blocks.is_empty() { String::new() } else { section("numbers", heading, &blocks) }
}

fn title(section: &Section) -> Option<&str> {
    let title = match section {
        Section::Text(prose) => &prose.title,
        Section::Table(table) => &table.title,
        Section::Bars(bars) => &bars.table.title,
        Section::Chart(_) | Section::Map(_) | Section::Sparklines(_) | Section::StressMap(_) => return None,
    };
    (!title.is_empty()).then_some(title)
}

fn block(section: &Section, is_titled: bool, report: &Report) -> String {
    let heading =
        title(section).filter(|_| !is_titled).map_or_else(String::new, |t| format!("<h3>{}</h3>\n", text(t)));
    let body = match section {
        Section::Text(prose) => {
            prose.text.lines().map(|line| format!("<p>{}</p>\n", words::linked(line))).collect()
        }
        Section::Table(table) => self::table(table, None, report),
        Section::Bars(Bars { table, lengths }) => self::table(table, Some(lengths), report),
        Section::Chart(_) | Section::Map(_) | Section::Sparklines(_) | Section::StressMap(_) => String::new(),
    };
    format!("<div class=\"block\">{heading}{body}</div>\n")
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
            let bar =
                if share > 0.0 { format!("<i style=\"width:{share:.1}%\"></i>") } else { String::new() };
            cells += &format!("<td class=\"bar\">{bar}</td>");
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
    let caption = if table.caption.is_empty() {
        String::new()
    } else {
        format!("<p class=\"caption\">{}</p>\n", words::linked(&table.caption))
    };
    format!(
        "<div class=\"scroll\" tabindex=\"0\"><table>\n<thead><tr>{headings}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n{caption}"
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
