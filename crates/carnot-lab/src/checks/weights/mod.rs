//! Checks on weights alone: one file each, matrices → findings.
//!
//! To add one: write a file with a [`Check`] and its page, and add its row to [`TABLE`].

pub mod collapsed_rank;
pub mod dead_units;
pub mod duplicated_units;
pub mod not_finite;
pub mod scale_apart;

use carnot_models::huggingface::roles::{Role, Weight};
use carnot_models::spectrum::matrix::Analysis;
use carnot_report::finding::{Finding, Level, Remedy};
use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::explain::CheckPage;

/// One matrix and what was found in it.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Name, layer and role.
    pub weight: Weight,
    /// What it says by itself.
    pub analysis: Analysis,
}

impl Matrix {
    /// Is it a table of vectors, whose rows are tokens rather than units?
    pub fn is_table(&self) -> bool {
        self.weight.role == Role::Embedding
    }
}

/// A vector in which something is not finite.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BadVector {
    /// Its name.
    pub name: String,
    /// NaN.
    pub nan: u64,
    /// Infinite.
    pub infinite: u64,
}

/// What is known of a model from its weights.
pub struct Evidence<'a> {
    /// Every matrix that was read.
    pub matrices: &'a [Matrix],
    /// Vectors with numbers that are not finite.
    pub bad_vectors: &'a [BadVector],
}

/// One check.
pub struct Check {
    /// Its page.
    pub page: &'static CheckPage,
    /// Its judgement.
    pub run: fn(&Evidence) -> Outcome,
}

/// Every check on weights alone, in the order of their codes.
pub const TABLE: &[Check] = &[
    not_finite::CHECK,
    dead_units::CHECK,
    duplicated_units::CHECK,
    scale_apart::CHECK,
    collapsed_rank::CHECK,
];

/// A finding at one or several matrices, the worst named first.
fn finding(
    page: &CheckPage,
    level: Level,
    at: &[String],
    saw: String,
    because: &str,
    remedy: &str,
) -> Outcome {
    let place = match at {
        [] => "none".into(),
        [one] => one.clone(),
        [first, ..] => format!("{first} and {} more", at.len() - 1),
    };
    Outcome::Found(Box::new(Finding {
        code: page.code.into(),
        name: page.name.into(),
        level,
        at: place,
        position: None,
        saw,
        because: because.into(),
        remedy: Remedy {
            text: remedy.into(),
            action: serde_json::json!({ "look_at": at }),
            ..Remedy::default()
        },
        ignore_when: Some(page.ignore.into()),
        evidence: Vec::new(),
    }))
}
