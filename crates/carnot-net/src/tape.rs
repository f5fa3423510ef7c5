//! The memory of one forward pass, for the backward pass that follows it.

use crate::batch::Batch;
use crate::shape::Shape;
use carnot_math::random::Stream;
use carnot_math::scalar::Scalar;

/// Whether dropout acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As used: dropout off.
    Evaluate,
    /// As trained: dropout on.
    Train,
}

/// Somebody who looks at the values of every layer while they pass.
pub trait Watch<S> {
    /// Output of the layer at `index` of the plan's preorder.
    fn forward(&mut self, index: usize, output: &Batch<S>);
    /// Gradient of the loss with respect to that output.
    fn backward(&mut self, index: usize, gradient: &Batch<S>);
}

/// Nobody looks.
pub struct Unwatched;

impl<S> Watch<S> for Unwatched {
    fn forward(&mut self, _: usize, _: &Batch<S>) {}
    fn backward(&mut self, _: usize, _: &Batch<S>) {}
}

/// Values saved by layers (last in, first out) and buffers that are used again, so that a training step in
/// its steady state allocates nothing.
pub struct Tape<S> {
    saved: Vec<Batch<S>>,
    free: Vec<Vec<S>>,
    /// Whether dropout acts.
    pub mode: Mode,
    /// Whether layers need to save anything.
    pub record: bool,
    /// Randomness of dropout, one stream per member; empty when the mode is [`Mode::Evaluate`].
    pub noise: Vec<Stream>,
}

impl<S: Scalar> Tape<S> {
    /// An empty tape that records for a backward pass.
    #[must_use]
    pub fn new(mode: Mode) -> Tape<S> {
        Tape { saved: Vec::new(), free: Vec::new(), mode, record: true, noise: Vec::new() }
    }

    /// A batch with arbitrary contents, to be overwritten.
    #[must_use]
    pub fn take(&mut self, members: usize, samples: usize, shape: &Shape) -> Batch<S> {
        let data = self.take_values(members * samples * shape.len());
        Batch { members, samples, shape: shape.clone(), data }
    }

    /// A plain buffer with arbitrary contents, to be overwritten.
    #[must_use]
    pub fn take_values(&mut self, len: usize) -> Vec<S> {
        let best = self.free.iter().position(|v| v.capacity() >= len && v.capacity() <= 2 * len.max(64));
        let mut data = match best {
            Some(i) => self.free.swap_remove(i),
            None => Vec::with_capacity(len),
        };
        data.resize(len, S::default());
        data
    }

    /// Gives a buffer back.
    pub fn give(&mut self, batch: Batch<S>) {
        self.give_values(batch.data);
    }

    /// Gives a plain buffer back.
    pub fn give_values(&mut self, values: Vec<S>) {
        // A pool of this size serves any network: a layer holds at most a handful of buffers at once.
        if self.free.len() < 512 {
            self.free.push(values);
        }
    }

    /// Keeps a batch for the backward pass, or gives its buffer back when nothing is recorded.
    pub fn save(&mut self, batch: Batch<S>) {
        if self.record { self.saved.push(batch) } else { self.give(batch) }
    }

    /// The batch saved last.
    pub fn recall(&mut self) -> Batch<S> {
        self.saved.pop().expect("every layer recalls in the backward pass what it saved in the forward pass")
    }

    /// Number of batches saved and not yet recalled.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.saved.len()
    }

    /// Forgets what was saved, keeps the buffers.
    pub fn rewind(&mut self) {
        while let Some(batch) = self.saved.pop() {
            self.give(batch);
        }
    }
}
