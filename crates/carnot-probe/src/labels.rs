//! Labels of a probe's rows: classes, those that are too small left out, and the same in random orders.

use std::collections::BTreeMap;

use carnot_math::random::Stream;

use crate::session::Settings;

/// A row that has no class: its class is too small.
pub const NONE: u32 = u32::MAX;

/// Classes of the rows of a probe.
#[derive(Clone, Debug)]
pub struct Labels {
    /// Place in `names` of each row's label, or [`NONE`].
    pub class: Vec<u32>,
    /// Label of each class, ascending.
    pub names: Vec<u32>,
    /// The classes in random orders, one entry an order.
    pub shuffled: Vec<Vec<u32>>,
    /// The largest label of all.
    pub largest: u32,
}

impl Labels {
    /// Classes with fewer rows than `settings.smallest_class` are left out, unless that leaves none: the observables then say
    /// what is wrong with them.
    ///
    /// * `orders`: random orders of the labels
    #[must_use]
    pub fn new(labels: &[u32], settings: &Settings, orders: u64) -> Labels {
        let mut counts = BTreeMap::new();
        labels.iter().for_each(|label| *counts.entry(*label).or_insert(0usize) += 1);
        let largest = counts.keys().next_back().copied().unwrap_or(0);
        if counts.values().any(|&count| count >= settings.smallest_class) {
            counts.retain(|_, count| *count >= settings.smallest_class);
        }
        let names: Vec<u32> = counts.into_keys().collect();
        let place = |label: &u32| names.binary_search(label).map_or(NONE, |at| at as u32);
        let class: Vec<u32> = labels.iter().map(place).collect();
        let shuffled = (0..orders).map(|order| in_random_order(&class, settings.seed, order)).collect();
        Labels { class, names, shuffled, largest }
    }

    /// Rows that have a class.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.class.iter().filter(|&&class| class != NONE).count()
    }
}

/// The rows that have a class exchange them.
fn in_random_order(class: &[u32], seed: u64, order: u64) -> Vec<u32> {
    let mut known: Vec<u32> = class.iter().copied().filter(|&class| class != NONE).collect();
    Stream::new(seed, "shuffled labels", &[order]).shuffle(&mut known);
    let mut next = known.into_iter();
    class.iter().map(|&class| if class == NONE { NONE } else { next.next().unwrap_or(NONE) }).collect()
}
