//! Sufficient statistics of some members: what a job leaves behind.

use super::layout::{Layout, Number, Row};
use crate::error::SimError;
use carnot_math::stats::Moments;
use carnot_net::observables::TABLE;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Moments of every number read of some members. Plain data; floats survive JSON exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The members, as runs of consecutive ones in increasing order.
    pub members: Vec<Range<u64>>,
    /// Number of probe samples N.
    pub samples: usize,
    /// One per layer that is read, input to output.
    pub layers: Vec<LayerPart>,
}

/// Moments over members of the numbers read of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerPart {
    /// Index of the site in its plan.
    pub index: usize,
    /// Name of the layer.
    pub name: String,
    /// Number of features n.
    pub width: usize,
    /// `[N]`: kernel $K_a = |z_a|^2/n$.
    pub kernel: Vec<Moments>,
    /// `[N(N-1)/2]`: squared distances $d_{ab}$, pairs (0,1), (0,2), …, (1,2), ….
    pub distance: Vec<Moments>,
    /// `[N]`: squared gradient, relative to the output; empty where not read.
    pub gradient: Vec<Moments>,
    /// `[N]`: tangent kernel $\Theta_{aa}$; empty where not read.
    pub tangent: Vec<Moments>,
    /// `[N(N-1)/2]`: $\Theta_{aa} + \Theta_{bb} - 2\Theta_{ab}$; empty where not read.
    pub tangent_distance: Vec<Moments>,
    /// One per row of the table of observables, each evaluated for every member.
    pub observables: Vec<Moments>,
    /// Why numbers are missing, each reason once, in the order of its first appearance.
    pub missing: Vec<Lack>,
}

/// Why some member lacks a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lack {
    /// Name of the observable, or `kernel of a sample` and the like.
    pub what: String,
    /// The reason.
    pub why: String,
    /// How many numbers.
    pub count: u64,
}

impl Part {
    pub(super) fn empty(layout: &Layout, start: u64) -> Part {
        let n = layout.samples;
        let pairs = n * (n - 1) / 2;
        let some = |count: usize, wanted: bool| vec![Moments::default(); if wanted { count } else { 0 }];
        let layer = |layer: &super::layout::LayerLayout| LayerPart {
            index: layer.index,
            name: layer.name.clone(),
            width: layer.width,
            kernel: some(n, true),
            distance: some(pairs, true),
            gradient: some(n, layer.gradient),
            tangent: some(n, layer.tangent),
            tangent_distance: some(pairs, layer.tangent),
            observables: some(TABLE.len(), true),
            missing: Vec::new(),
        };
        let run = start..start;
        Part { members: vec![run], samples: n, layers: layout.layers.iter().map(layer).collect() }
    }

    /// Number of members.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.members.iter().map(|run| run.end - run.start).sum()
    }

    /// Adds the next member.
    pub(super) fn push(&mut self, rows: &[Row]) {
        self.members.last_mut().expect("a new part has a run").end += 1;
        for (layer, row) in self.layers.iter_mut().zip(rows) {
            let LayerPart { missing, .. } = layer;
            let names = [
                "kernel of a sample",
                "distance of a pair",
                "gradient of a sample",
                "tangent kernel of a sample",
                "tangent distance of a pair",
            ];
            let fields = [
                (&mut layer.kernel, &row.kernel),
                (&mut layer.distance, &row.distance),
                (&mut layer.gradient, &row.gradient),
                (&mut layer.tangent, &row.tangent),
                (&mut layer.tangent_distance, &row.tangent_distance),
            ];
            for (name, (moments, numbers)) in names.into_iter().zip(fields) {
                for (moments, number) in moments.iter_mut().zip(numbers) {
                    push(moments, number, name, missing);
                }
            }
            for ((moments, number), observable) in
                layer.observables.iter_mut().zip(&row.observables).zip(TABLE)
            {
                push(moments, number, observable.name, missing);
            }
        }
    }
}

fn push(moments: &mut Moments, number: &Number, what: &str, missing: &mut Vec<Lack>) {
    match number {
        Ok(value) => moments.push(*value),
        Err(why) => lack(missing, &Lack { what: what.to_string(), why: why.clone(), count: 1 }),
    }
}

fn lack(missing: &mut Vec<Lack>, new: &Lack) {
    match missing.iter_mut().find(|old| old.what == new.what && old.why == new.why) {
        Some(old) => old.count += new.count,
        None => missing.push(new.clone()),
    }
}

/// Parts as one, in the order of their members, whatever order they come in.
///
/// # Errors
/// [`SimError::Parts`] when they read different layers, [`SimError::Twice`] when they share a member, and
/// [`SimError::NoSamples`] when there is none.
pub fn merge(parts: &[Part]) -> Result<Part, SimError> {
    let mut sorted: Vec<&Part> = parts.iter().collect();
    sorted.sort_by_key(|part| part.members.first().map_or(0, |run| run.start));
    let (first, rest) = sorted.split_first().ok_or(SimError::NoSamples)?;
    let mut sum = (*first).clone();
    for part in rest {
        join_members(&mut sum.members, &part.members)?;
        if part.samples != sum.samples || part.layers.len() != sum.layers.len() {
            return Err(SimError::Parts);
        }
        for (layer, other) in sum.layers.iter_mut().zip(&part.layers) {
            merge_layer(layer, other)?;
        }
    }
    Ok(sum)
}

fn join_members(all: &mut Vec<Range<u64>>, new: &[Range<u64>]) -> Result<(), SimError> {
    for run in new {
        match all.last_mut() {
            Some(last) if run.start < last.end && run.start < run.end => {
                return Err(SimError::Twice { member: run.start });
            }
            Some(last) if run.start == last.end => last.end = run.end,
            _ => all.push(run.clone()),
        }
    }
    Ok(())
}

fn merge_layer(layer: &mut LayerPart, other: &LayerPart) -> Result<(), SimError> {
    if (layer.index, layer.width, &layer.name) != (other.index, other.width, &other.name) {
        return Err(SimError::Parts);
    }
    let fields = [
        (&mut layer.kernel, &other.kernel),
        (&mut layer.distance, &other.distance),
        (&mut layer.gradient, &other.gradient),
        (&mut layer.tangent, &other.tangent),
        (&mut layer.tangent_distance, &other.tangent_distance),
        (&mut layer.observables, &other.observables),
    ];
    for (sums, others) in fields {
        if sums.len() != others.len() {
            return Err(SimError::Parts);
        }
        sums.iter_mut().zip(others).for_each(|(sum, other)| sum.merge(other));
    }
    other.missing.iter().for_each(|new| lack(&mut layer.missing, new));
    Ok(())
}
