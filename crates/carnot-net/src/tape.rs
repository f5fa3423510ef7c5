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
    free: Vec<Spare<S>>,
    /// As `saved` and `free`, for marks of one byte.
    marks: Vec<Vec<u8>>,
    free_marks: Vec<Vec<u8>>,
    /// Whether dropout acts.
    pub mode: Mode,
    /// Whether layers need to save anything.
    pub record: bool,
    /// Randomness of dropout, one stream per member; empty when the mode is [`Mode::Evaluate`].
    pub noise: Vec<Stream>,
}

/// A buffer nobody uses, with the shape it had, so that taking it again need not make one.
struct Spare<S> {
    shape: Option<Shape>,
    values: Vec<S>,
}

impl<S: Scalar> Tape<S> {
    /// An empty tape that records for a backward pass.
    #[must_use]
    pub fn new(mode: Mode) -> Tape<S> {
        let [marks, free_marks] = [Vec::new(), Vec::new()];
        Tape { saved: Vec::new(), free: Vec::new(), marks, free_marks, mode, record: true, noise: Vec::new() }
    }

    /// A batch with arbitrary contents, to be overwritten.
    #[must_use]
    pub fn take(&mut self, members: usize, samples: usize, shape: &Shape) -> Batch<S> {
        let len = members * samples * shape.len();
        let same = self.free.iter().rposition(|s| s.values.len() == len && s.shape.as_ref() == Some(shape));
        match same {
            Some(i) => {
                let Spare { shape, values } = self.free.remove(i);
                let shape = shape.expect("compared equal to a shape");
                Batch { members, samples, shape, data: values }
            }
            None => Batch { members, samples, shape: shape.clone(), data: self.take_values(len) },
        }
    }

    /// A plain buffer with arbitrary contents, to be overwritten.
    #[must_use]
    pub fn take_values(&mut self, len: usize) -> Vec<S> {
        let fits = |v: &Vec<S>| v.capacity() >= len && v.capacity() <= 2 * len.max(64);
        // The last one given back is the likeliest to be still in the cache.
        let mut values = match self.free.iter().rposition(|spare| fits(&spare.values)) {
            Some(i) => self.free.remove(i).values,
            None => Vec::with_capacity(len),
        };
        values.resize(len, S::default());
        values
    }

    /// Gives a buffer back.
    pub fn give(&mut self, batch: Batch<S>) {
        self.keep(Spare { shape: Some(batch.shape), values: batch.data });
    }

    /// Gives a plain buffer back.
    pub fn give_values(&mut self, values: Vec<S>) {
        self.keep(Spare { shape: None, values });
    }

    fn keep(&mut self, spare: Spare<S>) {
        // A pool of this size serves any network: a layer holds at most a handful of buffers at once.
        if self.free.len() < 512 {
            self.free.push(spare);
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

    /// Marks with arbitrary contents, to be overwritten.
    #[must_use]
    pub fn take_marks(&mut self, len: usize) -> Vec<u8> {
        let mut marks = self.free_marks.pop().unwrap_or_default();
        marks.resize(len, 0);
        marks
    }

    /// Keeps marks for the backward pass.
    pub fn save_marks(&mut self, marks: Vec<u8>) {
        self.marks.push(marks);
    }

    /// The marks saved last.
    pub fn recall_marks(&mut self) -> Vec<u8> {
        self.marks.pop().expect("every layer recalls in the backward pass what it saved in the forward pass")
    }

    /// Gives marks back.
    pub fn give_marks(&mut self, marks: Vec<u8>) {
        self.free_marks.push(marks);
    }

    /// Number of batches saved and not yet recalled.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.saved.len()
    }

    /// A copy of everything saved, so that one forward pass can serve several backward passes.
    #[must_use]
    pub fn copy_saved(&self) -> Vec<Batch<S>> {
        self.saved.clone()
    }

    /// Puts back a copy made by [`Tape::copy_saved`], in place of what is saved now.
    pub fn restore(&mut self, copy: &[Batch<S>]) {
        self.rewind();
        for batch in copy {
            let mut again = self.take(batch.members, batch.samples, &batch.shape);
            again.data.copy_from_slice(&batch.data);
            self.saved.push(again);
        }
    }

    /// Forgets what was saved, keeps the buffers.
    pub fn rewind(&mut self) {
        while let Some(batch) = self.saved.pop() {
            self.give(batch);
        }
        self.free_marks.append(&mut self.marks);
    }
}
