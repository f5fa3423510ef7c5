//! What is gathered of one call while its samples come in, in chunks: sums of everything, and a fixed choice of rows.
//!
//! Memory does not depend on the number of samples. Samples are taken in one after the other, so that the sums have the same bits
//! however a probe is cut.

use std::borrow::Cow;
use std::sync::Arc;

use carnot_math::stats::Moments;

use crate::call::{Call, Role, WeightStats};
use crate::labels::{Labels, NONE};
use crate::lanes;
use crate::observables::{Missing, units};
use crate::scatter::{Classes, Tally};
use crate::session::{Choice, Pool, Settings};

/// A probe, as its calls need to know it.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// Samples of all chunks.
    pub samples: usize,
    /// How calls are read.
    pub settings: &'a Settings,
    /// Labels of samples, or of positions.
    pub labels: Option<&'a Labels>,
    /// Makes the choice among so many rows.
    pub choice: &'a (dyn Fn(usize) -> Arc<Choice> + Sync),
}

impl Frame<'_> {
    /// Are the labels those of positions, as in a language model?
    #[must_use]
    pub fn classifies_positions(&self) -> bool {
        self.labels.is_some_and(|labels| labels.class.len() != self.samples)
    }
}

/// What a call is, without its numbers.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Path in the model.
    pub name: String,
    /// Class of the module.
    pub kind: String,
    /// Which call of the module.
    pub index: u32,
    /// Where it stands.
    pub role: Role,
    /// Positions of a sample, the most of all chunks.
    pub positions: usize,
    /// Units.
    pub width: usize,
    /// Numbers about its weights.
    pub weights: Option<WeightStats>,
    /// Weight of the head, where this is the head.
    pub classifier: Option<Vec<f32>>,
    /// Name, value and error of what only the caller can know; that of the first chunk.
    pub told: Vec<(String, f64, Option<f64>)>,
}

/// Sums over all outputs of a call.
#[derive(Clone, Debug)]
pub struct Elements {
    /// Numbers seen.
    pub count: u64,
    /// Those that are NaN or infinite.
    pub non_finite: u64,
    /// Mean square of each sample.
    pub signal: Moments,
    /// Sum of squares.
    pub squares: f64,
    /// `[width]`: the smallest output of each unit.
    pub low: Vec<f32>,
    /// `[width]`: the largest output of each unit.
    pub high: Vec<f32>,
    /// Numbers at the ends of a bounded activation; `None` for other kinds.
    pub at_ends: Option<u64>,
}

/// Sums over the vectors before and behind a residual block.
#[derive(Clone, Debug, Default)]
pub struct Skip {
    /// Numbers of the input that are NaN or infinite.
    pub non_finite: u64,
    /// Mean over the vectors of a sample of 1 − cos.
    pub influence: Moments,
    /// The largest 1 − cos.
    pub largest: f64,
    /// Mean over the vectors of a sample of |out − in|/|in|.
    pub contribution: Moments,
}

/// Sums over the gradient with respect to a call's outputs.
#[derive(Clone, Debug, Default)]
pub struct Gradient {
    /// Numbers seen.
    pub count: u64,
    /// Those that are NaN or infinite.
    pub non_finite: u64,
    /// Squared norm of each sample.
    pub squares: Moments,
}

/// One vector a sample, or one a label where positions are classified; normalised behind residual blocks.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Units of a row.
    pub width: usize,
    /// The fixed choice.
    pub choice: Arc<Choice>,
    /// `[chosen, width]`.
    pub kept: Vec<f32>,
    /// Sums by class.
    pub classes: Option<Tally>,
    /// Rows whose largest unit is their label.
    pub correct: u64,
    /// Why there are no rows.
    problem: Option<Missing>,
}

/// Everything that is known of one call.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// What it is.
    pub facts: Facts,
    /// Of its outputs.
    pub elements: Elements,
    /// Of its skip, where the input of a block was handed over.
    pub skip: Option<Skip>,
    /// Of the gradient, where it was handed over.
    pub gradient: Option<Gradient>,
    /// One vector a sample.
    pub rows: Rows,
}

impl Gathered {
    /// Nothing yet, of a call whose first chunk is given.
    #[must_use]
    pub fn new(call: &Call, frame: &Frame) -> Gathered {
        let width = call.width;
        let facts = Facts {
            name: call.name.into(),
            kind: call.kind.into(),
            index: call.index,
            role: call.role,
            positions: 0,
            width,
            weights: call.weights,
            classifier: call.classifier.map(<[f32]>::to_vec),
            told: call.told.iter().map(|told| (told.name.into(), told.value, told.error)).collect(),
        };
        let elements = Elements {
            count: 0,
            non_finite: 0,
            signal: Moments::default(),
            squares: 0.0,
            low: vec![f32::INFINITY; width],
            high: vec![f32::NEG_INFINITY; width],
            at_ends: units::ends(call.kind).map(|_| 0),
        };
        Gathered {
            facts,
            elements,
            skip: call.input.map(|_| Skip { largest: f64::NEG_INFINITY, ..Skip::default() }),
            gradient: call.gradient.map(|_| Gradient::default()),
            rows: Rows::new(call, frame),
        }
    }

    /// Is this the same call, in another chunk?
    #[must_use]
    pub fn is_of(&self, call: &Call) -> bool {
        let (facts, has) = (&self.facts, (self.skip.is_some(), self.gradient.is_some()));
        (facts.name.as_str(), facts.kind.as_str(), facts.index, facts.role, facts.width)
            == (call.name, call.kind, call.index, call.role, call.width)
            && has == (call.input.is_some(), call.gradient.is_some())
    }

    /// Takes in the samples from `first` on; shapes have been checked.
    pub fn push(&mut self, call: &Call, first: usize, frame: &Frame) {
        let per_sample = call.positions * call.width;
        self.facts.positions = self.facts.positions.max(call.positions);
        self.rows.check(call, frame);
        let mut sums = vec![0.0; call.width];
        for (at, sample) in call.features.chunks_exact(per_sample).enumerate() {
            sums.fill(0.0);
            self.elements.push(sample, &mut sums);
            self.rows.push(sample, &mut sums, first + at, call, frame);
        }
        if let Some((low, high)) = units::ends(call.kind) {
            *self.elements.at_ends.get_or_insert(0) += lanes::outside(call.features, low, high);
        }
        if let (Some(skip), Some(input)) = (&mut self.skip, call.input) {
            let samples = input.chunks_exact(per_sample).zip(call.features.chunks_exact(per_sample));
            samples.for_each(|(from, to)| skip.push(from, to, call.width));
        }
        if let (Some(sums), Some(gradient)) = (&mut self.gradient, call.gradient) {
            gradient.chunks_exact(per_sample).for_each(|sample| sums.push(sample));
        }
    }
}

impl Elements {
    fn push(&mut self, sample: &[f32], sums: &mut [f64]) {
        let squares = lanes::survey(sample, &mut self.low, &mut self.high, sums);
        self.count += sample.len() as u64;
        self.squares += squares;
        self.signal.push(squares / sample.len() as f64);
        if !squares.is_finite() {
            self.non_finite += bad(sample);
        }
    }
}

impl Skip {
    fn push(&mut self, from: &[f32], to: &[f32], width: usize) {
        // Sum and number over the vectors of the sample.
        let (mut influence, mut contribution) = ((0.0, 0), (0.0, 0));
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
                self.largest = self.largest.max(turned);
            }
            if !a.is_finite() {
                self.non_finite += bad(from);
            }
        }
        for (all, (sum, n)) in [(&mut self.influence, influence), (&mut self.contribution, contribution)] {
            if n > 0 {
                all.push(sum / f64::from(n));
            }
        }
    }
}

impl Gradient {
    fn push(&mut self, sample: &[f32]) {
        let squares = carnot_math::device::cpu::sum_of_squares(sample);
        self.count += sample.len() as u64;
        self.squares.push(squares);
        if !squares.is_finite() {
            self.non_finite += bad(sample);
        }
    }
}

impl Rows {
    fn new(call: &Call, frame: &Frame) -> Rows {
        let is_flat = call.positions > 1 && frame.settings.pool == Pool::Flatten;
        let by_position = frame.classifies_positions();
        let width = if is_flat && !by_position { call.positions * call.width } else { call.width };
        let rows = if by_position { frame.samples * call.positions } else { frame.samples };
        let labels = frame.labels.filter(|labels| labels.class.len() == rows);
        let tally = |labels: &Labels| Tally::new(labels.names.len(), width);
        Rows {
            width,
            choice: (frame.choice)(rows),
            kept: Vec::new(),
            classes: labels.map(tally),
            correct: 0,
            problem: None,
        }
    }

    /// Chunks of another number of positions have no rows of the same kind.
    fn check(&mut self, call: &Call, frame: &Frame) {
        let is_even = if frame.classifies_positions() {
            frame.samples * call.positions == self.choice.of
        } else {
            self.width == call.width || self.width == call.positions * call.width
        };
        if !is_even {
            self.problem = Some(Missing::Positions);
        }
    }

    /// Takes in one sample. `sums`: of its vectors, unit by unit.
    fn push(&mut self, sample: &[f32], sums: &mut [f64], at: usize, call: &Call, frame: &Frame) {
        if self.problem.is_some() {
            return;
        }
        let (positions, width) = (call.positions, call.width);
        let is_pooled = positions > 1 && !frame.classifies_positions();
        if is_pooled && frame.settings.pool == Pool::Mean {
            if call.role == Role::Block {
                sums.fill(0.0);
                sample.chunks_exact(width).for_each(|vector| lanes::add_normalised(vector, sums));
            }
            let mean: Vec<f32> = sums.iter().map(|sum| (sum / positions as f64) as f32).collect();
            return self.row(&mean, at, frame);
        }
        let vectors = if is_pooled && frame.settings.pool == Pool::First { &sample[..width] } else { sample };
        let vectors: Cow<[f32]> = match call.role {
            Role::Block => Cow::Owned(normalised(vectors, width)),
            Role::Chain | Role::Inside => Cow::Borrowed(vectors),
        };
        if frame.classifies_positions() {
            for (position, row) in vectors.chunks_exact(width).enumerate() {
                self.row(row, at * positions + position, frame);
            }
        } else {
            self.row(&vectors, at, frame);
        }
    }

    fn row(&mut self, row: &[f32], at: usize, frame: &Frame) {
        if self.choice.rows.binary_search(&at).is_ok() {
            self.kept.extend_from_slice(row);
        }
        let (Some(tally), Some(labels)) = (&mut self.classes, frame.labels) else { return };
        let class = labels.class[at];
        if class == NONE {
            return;
        }
        tally.push(class as usize, row);
        if self.width > labels.largest as usize
            && lanes::largest(row) == labels.names[class as usize] as usize
        {
            self.correct += 1;
        }
    }

    /// Why there are no rows, if there are none.
    ///
    /// # Errors
    /// [`Missing::Positions`].
    pub fn whole(&self) -> Result<&Rows, Missing> {
        self.problem.clone().map_or(Ok(self), Err)
    }

    /// Means and spreads of the classes.
    #[must_use]
    pub fn classes(&self, labels: &Labels) -> Option<Classes> {
        self.classes.as_ref().map(|tally| tally.classes(&labels.names))
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
