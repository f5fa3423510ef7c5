//! What a chunk of one call says, sample by sample, before it is taken in: this part of the work needs nothing of other chunks, so that
//! chunks can be worked on side by side. [`Gathered::absorb`](crate::gather::Gathered::absorb) takes them in, in their order.

use std::borrow::Cow;

use carnot_math::device::cpu::sum_of_squares;

use crate::call::{Call, Role};
use crate::gather::{Facts, Frame};
use crate::lanes;
use crate::observables::units;
use crate::session::Pool;

/// One call of one chunk.
pub struct Digest<'c> {
    /// What it is; weight of the head and numbers of the caller only in the first chunk.
    pub facts: Facts,
    /// Was the input of a block handed over, was the gradient?
    pub has: (bool, bool),
    /// `[width]`: the smallest output of each unit.
    pub low: Vec<f32>,
    /// `[width]`: the largest output of each unit.
    pub high: Vec<f32>,
    /// Numbers at the ends of a bounded activation.
    pub at_ends: Option<u64>,
    /// In order.
    pub samples: Vec<Sample<'c>>,
}

/// One sample of one call.
pub struct Sample<'c> {
    /// Sum of squares of its outputs.
    pub squares: f64,
    /// Outputs that are NaN or infinite.
    pub non_finite: u64,
    /// Its row, or its rows where positions are classified; normalised behind residual blocks.
    pub rows: Cow<'c, [f32]>,
    /// Against the input of the block.
    pub skip: Option<SkipSample>,
    /// Squared norm of its gradient, and numbers there that are NaN or infinite.
    pub gradient: Option<(f64, u64)>,
}

/// The vectors of one sample before and behind a residual block.
pub struct SkipSample {
    /// Numbers of the input that are NaN or infinite.
    pub non_finite: u64,
    /// Mean of 1 − cos, where a vector has a direction.
    pub influence: Option<f64>,
    /// The largest 1 − cos.
    pub largest: f64,
    /// Mean of |out − in|/|in|.
    pub contribution: Option<f64>,
}

impl<'c> Digest<'c> {
    /// Of a call whose shapes have been checked.
    ///
    /// * `is_first`: is this the first chunk?
    #[must_use]
    pub fn of(call: &Call<'c>, frame: &Frame, is_first: bool) -> Digest<'c> {
        let (width, per_sample) = (call.width, call.positions * call.width);
        let (mut low, mut high) = (vec![f32::INFINITY; width], vec![f32::NEG_INFINITY; width]);
        let mut sums = vec![0.0; width];
        let of = |(at, features): (usize, &'c [f32])| {
            sums.fill(0.0);
            let squares = lanes::survey(features, &mut low, &mut high, &mut sums);
            let own = |all: &'c [f32]| &all[at * per_sample..][..per_sample];
            Sample {
                squares,
                non_finite: if squares.is_finite() { 0 } else { bad(features) },
                rows: rows(features, &mut sums, call, frame),
                skip: call.input.map(|input| SkipSample::of(own(input), features, width)),
                gradient: call.gradient.map(|gradient| {
                    let squares = sum_of_squares(own(gradient));
                    (squares, if squares.is_finite() { 0 } else { bad(own(gradient)) })
                }),
            }
        };
        let samples = call.features.chunks_exact(per_sample).enumerate().map(of).collect();
        let at_ends = units::ends(call.kind).map(|(low, high)| lanes::outside(call.features, low, high));
        let has = (call.input.is_some(), call.gradient.is_some());
        Digest { facts: Facts::of(call, is_first), has, low, high, at_ends, samples }
    }

    /// The same, without the numbers that it was made of.
    #[must_use]
    pub fn into_owned(self) -> Digest<'static> {
        let own = |sample: Sample| Sample { rows: Cow::Owned(sample.rows.into_owned()), ..sample };
        let samples = self.samples.into_iter().map(own).collect();
        Digest {
            facts: self.facts,
            has: self.has,
            low: self.low,
            high: self.high,
            at_ends: self.at_ends,
            samples,
        }
    }
}

impl SkipSample {
    fn of(from: &[f32], to: &[f32], width: usize) -> SkipSample {
        // Sum and number over the vectors of the sample.
        let (mut influence, mut contribution) = ((0.0, 0), (0.0, 0));
        let (mut largest, mut non_finite) = (f64::NEG_INFINITY, 0);
        for (from, to) in from.chunks_exact(width).zip(to.chunks_exact(width)) {
            let [a, b, added] = lanes::apart(from, to);
            // A vector of zeros has no direction, and nothing can be compared with its length.
            if a > 0.0 {
                contribution = (contribution.0 + (added / a).sqrt(), contribution.1 + 1);
            }
            if a > 0.0 && b > 0.0 {
                // |b − a|² = (|a| − |b|)² + 2 |a||b| (1 − cos): 1 − cos keeps its digits.
                let (na, nb) = (a.sqrt(), b.sqrt());
                let turned = ((added - (nb - na).powi(2)) / (2.0 * na * nb)).max(0.0);
                influence = (influence.0 + turned, influence.1 + 1);
                largest = largest.max(turned);
            }
            if !a.is_finite() {
                non_finite += bad(from);
            }
        }
        let mean = |(sum, n): (f64, u32)| (n > 0).then(|| sum / f64::from(n));
        SkipSample { non_finite, influence: mean(influence), largest, contribution: mean(contribution) }
    }
}

/// One row a sample, or one a position where positions are classified. `sums`: of its vectors, unit by unit.
fn rows<'c>(sample: &'c [f32], sums: &mut [f64], call: &Call, frame: &Frame) -> Cow<'c, [f32]> {
    let (positions, width) = (call.positions, call.width);
    let is_pooled = positions > 1 && !frame.classifies_positions();
    if is_pooled && frame.settings.pool == Pool::Mean {
        if call.role == Role::Block {
            sums.fill(0.0);
            sample.chunks_exact(width).for_each(|vector| lanes::add_normalised(vector, sums));
        }
        return sums.iter().map(|sum| (sum / positions as f64) as f32).collect();
    }
    let vectors = if is_pooled && frame.settings.pool == Pool::First { &sample[..width] } else { sample };
    match call.role {
        Role::Block => Cow::Owned(normalised(vectors, width)),
        Role::Chain | Role::Inside | Role::Table => Cow::Borrowed(vectors),
    }
}

fn bad(numbers: &[f32]) -> u64 {
    numbers.iter().filter(|x| !x.is_finite()).count() as u64
}

/// Every vector with mean 0 and variance 1; a constant one becomes zero.
fn normalised(features: &[f32], width: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(features.len());
    let mut vector_out = vec![0.0; width];
    for vector in features.chunks_exact(width) {
        vector_out.fill(0.0);
        lanes::add_normalised(vector, &mut vector_out);
        out.extend(vector_out.iter().map(|&x| x as f32));
    }
    out
}
