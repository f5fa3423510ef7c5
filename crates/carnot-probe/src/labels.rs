//! Labels of a probe's rows: classes, those that are too small left out.

use std::collections::BTreeMap;

use crate::session::Settings;

/// A row that has no class: its class is too small, or it was given this label, as tokens that a loss passes over are.
pub const NONE: u32 = u32::MAX;

/// Classes of the rows of a probe.
#[derive(Clone, Debug)]
pub struct Labels {
    /// Place in `names` of each row's label, or [`NONE`].
    pub class: Vec<u32>,
    /// Label of each class, ascending.
    pub names: Vec<u32>,
    /// The largest label of all.
    pub largest: u32,
}

impl Labels {
    /// Classes with fewer rows than `settings.smallest_class` are left out, unless that leaves none: the observables then say
    /// what is wrong with them.
    #[must_use]
    pub fn new(labels: &[u32], settings: &Settings) -> Labels {
        let mut counts = BTreeMap::new();
        let given = labels.iter().filter(|label| **label != NONE);
        given.for_each(|label| *counts.entry(*label).or_insert(0usize) += 1);
        let largest = counts.keys().next_back().copied().unwrap_or(0);
        if counts.values().any(|&count| count >= settings.smallest_class) {
            counts.retain(|_, count| *count >= settings.smallest_class);
        }
        let names: Vec<u32> = counts.into_keys().collect();
        let place = |label: &u32| names.binary_search(label).map_or(NONE, |at| at as u32);
        let class: Vec<u32> = labels.iter().map(place).collect();
        Labels { class, names, largest }
    }

    /// Rows that have a class.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.class.iter().filter(|&&class| class != NONE).count()
    }
}
