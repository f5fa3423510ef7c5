//! `--layers all`: the table of layers with nothing folded away.

use carnot_report::report::Report;
use carnot_report::section::{Section, Show, Table};

/// The report with every folded table replaced by the whole one of the same role that the page shows.
pub fn unfolded(report: &Report) -> Report {
    let whole = |folded: &Table| {
        report.sections.iter().find_map(|section| match section {
            Section::Table(table) if table.show == Show::Page && table.role == folded.role => {
                Some(table.clone())
            }
            _ => None,
        })
    };
    let mut unfolded = report.clone();
    for section in &mut unfolded.sections {
        if let Section::Table(table) = section
            && table.folded.is_some()
            && let Some(whole) = whole(table)
        {
            *table = Table { show: Show::Terminal, ..whole };
        }
    }
    unfolded
}
