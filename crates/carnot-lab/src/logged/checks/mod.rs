//! The table of checks on logs: one file each, log → findings.
//!
//! To add one: write a file with a [`LogCheck`] and its page, and add its row to [`TABLE`]. It then appears in every report of
//! `diagnose`, in `carnot explain` and in the book.

pub mod clipped;
pub mod dead;
pub mod diverged;
pub mod edge;
pub mod noise;
pub mod oscillates;
pub mod overfits;
pub mod spike;
pub mod start;
pub mod stuck;

use carnot_report::finding::{Finding, Level, Remedy, Safety};
use serde_json::json;

use super::evidence::LogEvidence;
pub(super) use crate::checks::short;
use crate::explain::CheckPage;
pub(super) use carnot_log::curve::level::Measured;

/// One check on a log.
pub struct LogCheck {
    /// Its page.
    pub page: &'static CheckPage,
    /// What it finds, or why it cannot tell.
    pub run: fn(&LogEvidence) -> Result<Vec<Finding>, String>,
}

/// Every check, in the order of their codes.
pub const TABLE: &[LogCheck] = &[
    clipped::CHECK,
    edge::CHECK,
    noise::CHECK,
    stuck::CHECK,
    diverged::CHECK,
    dead::CHECK,
    overfits::CHECK,
    spike::CHECK,
    oscillates::CHECK,
    start::CHECK,
];

/// What `carnot explain` says about each check.
pub const PAGES: [&CheckPage; TABLE.len()] = {
    let mut pages: [&CheckPage; TABLE.len()] = [TABLE[0].page; TABLE.len()];
    let mut at = 0;
    while at < TABLE.len() {
        pages[at] = TABLE[at].page;
        at += 1;
    }
    pages
};

/// What is wrong, when, and what to do: a finding in the making.
pub(super) struct Said {
    pub level: Level,
    /// Where in the training: `step 300`.
    pub at: String,
    pub saw: String,
    pub because: String,
    /// In words.
    pub action: String,
    /// Does it keep what was learned?
    pub safety: Safety,
}

/// The finding of a page.
pub(super) fn found(page: &CheckPage, said: Said) -> Finding {
    Finding {
        code: page.code.into(),
        name: page.name.into(),
        level: said.level,
        at: said.at,
        position: None,
        saw: said.saw,
        because: said.because,
        remedy: Remedy {
            text: said.action,
            action: json!({ "check": page.name }),
            command: None,
            safety: Some(said.safety),
        },
        ignore_when: Some(page.ignore.into()),
        evidence: Vec::new(),
    }
}

/// `3.21 ± 0.01`.
pub(super) fn measured(number: Measured) -> String {
    // An error of the size of rounding is none.
    let error = if number.error < 1e-6 * number.value.abs() { 0.0 } else { number.error };
    carnot_report::number::estimate(number.value, error)
}
