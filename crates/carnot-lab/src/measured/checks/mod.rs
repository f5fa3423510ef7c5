//! The table of checks on measured models: one file each, recording → findings.
//!
//! To add one: write a file with a [`ModelCheck`] and its page, and add its row to [`TABLE`]. It then appears in every report on a
//! recording, in `carnot explain` and in the book.

pub mod attention;
pub mod block_size;
pub mod bottleneck;
pub mod conflict;
pub mod cut;
pub mod dead;
pub mod differs;
pub mod drift;
pub mod duplicated;
pub mod gradient;
pub mod idle;
pub mod idle_blocks;
pub mod init;
pub mod linear;
pub mod merge;
pub mod noise;
pub mod not_finite;
pub mod not_learned;
pub mod overloaded;
pub mod post_norm;
pub mod rates;
pub mod saturated;
pub mod siblings;
pub mod size;
pub mod stream;
pub mod training;
pub mod undoes;

use carnot_report::finding::{Finding, Level, Remedy, Safety};
use serde_json::json;

use super::evidence::ModelEvidence;
pub(super) use crate::checks::short;
use crate::explain::CheckPage;

/// One check on a measured model.
pub struct ModelCheck {
    /// Its page.
    pub page: &'static CheckPage,
    /// What it finds, or why it cannot tell.
    pub run: fn(&ModelEvidence) -> Result<Vec<Finding>, String>,
}

/// Every check, in the order of their codes.
pub const TABLE: &[ModelCheck] = &[
    not_finite::FEATURES,
    merge::CHECK,
    init::CHECK,
    size::SIGNALS,
    dead::CHECK,
    saturated::CHECK,
    stream::CHECK,
    size::WEIGHTS,
    size::NORMS,
    block_size::LOUD,
    attention::CHECK,
    training::INPUTS,
    training::START,
    gradient::VANISHES,
    gradient::EXPLODES,
    not_finite::GRADIENTS,
    post_norm::CHECK,
    cut::CHECK,
    bottleneck::CHECK,
    duplicated::CHECK,
    idle_blocks::CHECK,
    linear::CHECK,
    block_size::SILENT,
    siblings::CHECK,
    rates::STARVED,
    rates::OVERDRIVEN,
    training::RATE,
    idle::CHECK,
    overloaded::CHECK,
    undoes::CHECK,
    noise::CHECK,
    differs::CHECK,
    drift::CHECK,
    not_learned::CHECK,
    training::RISES,
    training::MISFIT,
    conflict::CHECK,
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

/// What is wrong, where, and what to do: a finding in the making.
pub(super) struct Said {
    pub level: Level,
    /// Path of the layer.
    pub at: String,
    /// `hidden layer 3 of 7`.
    pub position: Option<String>,
    pub saw: String,
    pub because: String,
    /// In words.
    pub action: String,
    /// Does it keep what was learned?
    pub safety: Option<Safety>,
}

/// The finding of a page.
pub(super) fn found(page: &CheckPage, said: Said) -> Finding {
    Finding {
        code: page.code.into(),
        name: page.name.into(),
        level: said.level,
        at: said.at.clone(),
        position: said.position,
        saw: said.saw,
        because: said.because,
        remedy: Remedy {
            text: said.action,
            action: json!({ "check": page.name, "layer": said.at }),
            command: None,
            safety: said.safety,
        },
        ignore_when: Some(page.ignore.into()),
        evidence: Vec::new(),
    }
}

/// `name` alone, or `first … last (n layers)`.
pub(super) fn span(names: &[String]) -> String {
    match names {
        [] => "none".into(),
        [one] => one.clone(),
        [first, .., last] => format!("{first} … {last} ({} layers)", names.len()),
    }
}
