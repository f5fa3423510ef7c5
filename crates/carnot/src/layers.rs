//! `--layers all`: the table of layers with nothing folded away.

use carnot_report::report::Report;
use carnot_report::section::{Section, Show};

/// The report with every folded table replaced by the whole one that the page shows.
pub fn unfolded(report: &Report) -> Report {
    let is_folded = |section: &Section| matches!(section, Section::Table(table) if table.folded.is_some());
    let is_whole = |section: &Section| matches!(section, Section::Table(table) if table.show == Show::Page);
    if !report.sections.iter().any(is_folded) || !report.sections.iter().any(is_whole) {
        return report.clone();
    }
    let mut report = report.clone();
    report.sections.retain(|section| !is_folded(section));
    for section in &mut report.sections {
        if let Section::Table(table) = section {
            table.show = Show::Everywhere;
        }
    }
    report
}
