//! What happened when, as a table.

use carnot_report::section::{Cell, Heading, Row, Section, Table};

use super::evidence::LogEvidence;
use super::fate::{Fate, words};
use crate::checks::short;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub step: f64,
    /// In a word, for marks of the picture.
    pub word: &'static str,
    /// In a sentence.
    pub what: String,
}

/// Everything that happened, in the order in which it did.
#[must_use]
pub fn events(evidence: &LogEvidence) -> Vec<Event> {
    let mut all = Vec::new();
    let mut put = |step, word, what| all.push(Event { step, word, what });
    for rewind in evidence.signals.loss.iter().flat_map(|series| &series.rewinds) {
        put(rewind.to, "restart", format!("restarted from here after {}", evidence.at(rewind.from)));
    }
    for spike in &evidence.spikes {
        let back = spike
            .back
            .map_or("and stays there".into(), |back| format!("and is back at {}", evidence.at(back)));
        put(
            spike.from,
            "spike",
            format!("the loss rises from {} to {} {back}", short(spike.before), short(spike.height)),
        );
    }
    if let Some(overfit) = &evidence.overfit {
        put(overfit.best_step, "best validation", "the validation loss is lowest".to_string());
    }
    match &evidence.fate {
        Fate::Diverged(divergence) => {
            put(
                divergence.began,
                "begins to rise",
                format!("the loss begins to rise, from {}", short(divergence.before)),
            );
            put(divergence.plain, "diverged", "the loss has left for good".into());
        }
        Fate::Dead(dead) => put(dead.since, "dead", "nothing moves from here on".into()),
        Fate::Stuck(stuck) | Fate::Slow(stuck) => {
            if let Some(plateau) = stuck.plateau {
                put(plateau.from, "plateau", "the loss has reached the level at which it stays".into());
            }
        }
        Fate::Learned | Fate::Unknown(_) => {
            if let Some((reference, plateau)) = evidence.waited() {
                put(
                    plateau.from,
                    "plateau",
                    format!(
                        "the loss reaches that of {} and stays for {}",
                        words(reference.kind),
                        evidence.many(plateau.steps())
                    ),
                );
                if evidence.curve.steps.last().is_some_and(|last| plateau.to < *last) {
                    put(plateau.to, "leaves plateau", "the loss leaves it".into());
                }
            }
        }
    }
    all.sort_by(|a, b| a.step.total_cmp(&b.step));
    all
}

/// The table of events; none when nothing happened.
#[must_use]
pub fn table(evidence: &LogEvidence, events: &[Event]) -> Option<Section> {
    let row = |event: &Event| {
        Row::new(vec![
            Cell::text(carnot_report::number::position(event.step)),
            Cell::text(event.what.clone()),
        ])
    };
    (!events.is_empty()).then(|| {
        Section::Table(Table {
            title: "What happened when".into(),
            columns: vec![Heading::count(&evidence.log.unit), Heading::words("what happened")],
            rows: events.iter().take(40).map(row).collect(),
            ..Table::default()
        })
    })
}

/// The losses to compare with, and how far the end of the run lies from each.
#[must_use]
pub fn references(evidence: &LogEvidence) -> Option<Section> {
    let end = evidence.end?.mean;
    let row = |reference: &carnot_log::reference::Reference| {
        let away = end.value - reference.value;
        let error = end.error.hypot(reference.error);
        Row::new(vec![
            Cell::text(words(reference.kind)),
            Cell::measured(reference.value, reference.error),
            Cell::measured(away, error),
            Cell::text(reference.from.clone()),
        ])
    };
    (!evidence.references.is_empty() && !matches!(evidence.fate, Fate::Diverged(_))).then(|| {
        Section::Table(Table {
            title: "Losses that need no network".into(),
            columns: vec![
                Heading::words("what gives it"),
                Heading::number("loss"),
                Heading::number("end − loss"),
                Heading::words("from"),
            ],
            rows: evidence.references.iter().map(row).collect(),
            ..Table::default()
        })
    })
}
