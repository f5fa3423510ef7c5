//! What is gathered of one call while its samples come in, in chunks: sums of everything, and a fixed choice of rows.
//!
//! Memory does not depend on the number of samples. Samples are taken in one after the other, so that the sums have the same bits
//! however a probe is cut.

use std::sync::Arc;

use carnot_math::device::wide::Real;
use carnot_math::stats::Moments;

use crate::call::{Call, Role, WeightStats};
use crate::digest::{Digest, Sample, SkipSample};
use crate::labels::{Labels, NONE};
use crate::lanes;
use crate::observables::Missing;
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

impl Facts {
    /// Of a call; what need not be said more than once is left out where it is not the first chunk.
    #[must_use]
    pub fn of(call: &Call, is_first: bool) -> Facts {
        let told = call.told.iter().filter(|_| is_first);
        Facts {
            name: call.name.into(),
            kind: call.kind.into(),
            index: call.index,
            role: call.role,
            positions: call.positions,
            width: call.width,
            weights: call.weights,
            classifier: call.classifier.filter(|_| is_first).map(<[f32]>::to_vec),
            told: told.map(|told| (told.name.into(), told.value, told.error)).collect(),
        }
    }
}

impl Gathered {
    /// Nothing yet, of a call whose first chunk is given.
    #[must_use]
    pub fn new(first: &Digest, frame: &Frame) -> Gathered {
        let (facts, width) = (first.facts.clone(), first.facts.width);
        let elements = Elements {
            count: 0,
            non_finite: 0,
            signal: Moments::default(),
            squares: 0.0,
            low: vec![f32::INFINITY; width],
            high: vec![f32::NEG_INFINITY; width],
            at_ends: first.at_ends.map(|_| 0),
        };
        Gathered {
            elements,
            skip: first.has.0.then(|| Skip { largest: f64::NEG_INFINITY, ..Skip::default() }),
            gradient: first.has.1.then(Gradient::default),
            rows: Rows::new(&facts, frame),
            facts,
        }
    }

    /// Is this the same call, in another chunk?
    #[must_use]
    pub fn is_of(&self, digest: &Digest) -> bool {
        let name = |facts: &'_ Facts| (facts.index, facts.role, facts.width);
        let (own, other) = (&self.facts, &digest.facts);
        (&own.name, &own.kind, name(own)) == (&other.name, &other.kind, name(other))
            && digest.has == (self.skip.is_some(), self.gradient.is_some())
    }

    /// Takes in the samples from `first` on.
    pub fn absorb(&mut self, digest: &Digest, first: usize, frame: &Frame) {
        let positions = digest.facts.positions;
        self.facts.positions = self.facts.positions.max(positions);
        self.rows.check(&digest.facts, frame);
        self.elements.widen(&digest.low, &digest.high);
        let numbers = positions * digest.facts.width;
        for (at, sample) in digest.samples.iter().enumerate() {
            self.elements.push(sample, numbers);
            self.rows.push(&sample.rows, first + at, frame);
            if let (Some(skip), Some(sample)) = (&mut self.skip, &sample.skip) {
                skip.push(sample);
            }
            if let (Some(sums), Some((squares, non_finite))) = (&mut self.gradient, sample.gradient) {
                sums.count += numbers as u64;
                sums.squares.push(squares);
                sums.non_finite += non_finite;
            }
        }
        if let Some(count) = digest.at_ends {
            *self.elements.at_ends.get_or_insert(0) += count;
        }
    }
}

impl Elements {
    fn widen(&mut self, low: &[f32], high: &[f32]) {
        self.low.iter_mut().zip(low).for_each(|(own, &x)| *own = own.least(x));
        self.high.iter_mut().zip(high).for_each(|(own, &x)| *own = own.greatest(x));
    }

    fn push(&mut self, sample: &Sample, numbers: usize) {
        self.count += numbers as u64;
        self.squares += sample.squares;
        self.signal.push(sample.squares / numbers as f64);
        self.non_finite += sample.non_finite;
    }
}

impl Skip {
    fn push(&mut self, sample: &SkipSample) {
        self.largest = self.largest.max(sample.largest);
        self.non_finite += sample.non_finite;
        sample.influence.into_iter().for_each(|influence| self.influence.push(influence));
        sample.contribution.into_iter().for_each(|contribution| self.contribution.push(contribution));
    }
}

impl Rows {
    fn new(call: &Facts, frame: &Frame) -> Rows {
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
    fn check(&mut self, call: &Facts, frame: &Frame) {
        let is_even = if frame.classifies_positions() {
            frame.samples * call.positions == self.choice.of
        } else {
            self.width == call.width || self.width == call.positions * call.width
        };
        if !is_even {
            self.problem = Some(Missing::Positions);
        }
    }

    /// Takes in the row of one sample, or the rows of its positions.
    fn push(&mut self, rows: &[f32], at: usize, frame: &Frame) {
        if self.problem.is_some() {
            return;
        }
        let each = if frame.classifies_positions() { self.width } else { rows.len().max(1) };
        let count = rows.len() / each;
        for (position, row) in rows.chunks_exact(each).enumerate() {
            self.row(row, at * count + position, frame);
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
