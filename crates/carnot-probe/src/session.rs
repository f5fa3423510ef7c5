//! Calls of one step → numbers, in the order of the calls; a probe of any length comes in chunks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use carnot_math::random::Stream;
use carnot_math::stats::Estimate;
use rayon::prelude::*;

use crate::call::{Call, Role};
use crate::digest::Digest;
use crate::error::ProbeError;
use crate::gather::{Frame, Gathered};
use crate::labels::Labels;
use crate::observables::{Missing, OF_TABLES, TABLE, confusion};
use crate::reading::{LayerReading, Number, StepReading};
use crate::seen::{Kept, Seen};
use crate::stress::stress;

/// What stands for a sample that has several positions, where one vector a sample is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pool {
    /// The mean over its positions: sequences.
    #[default]
    Mean,
    /// Its first position: a class token.
    First,
    /// All positions side by side: images.
    Flatten,
}

/// How calls are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// One vector a sample (default: mean).
    pub pool: Pool,
    /// Rows of the fixed choice: spectrum, alignment, linear readers, and errors over samples are of these (default 256, from
    /// 8 on).
    pub rows: usize,
    /// Classes with fewer rows are left out (default 2; 20 for tokens as classes).
    pub smallest_class: usize,
    /// Random orders of the labels for the reference row (default 4).
    pub shuffles: u64,
    /// Seed of the choice of rows, of halves and of shuffled labels.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { pool: Pool::Mean, rows: 256, smallest_class: 2, shuffles: 4, seed: 0 }
    }
}

/// Rows that stand for all rows where all would be too many, and the half each is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Number of all rows.
    pub of: usize,
    /// Ascending.
    pub rows: Vec<usize>,
    /// Which of two halves each is in: readers are fitted on one and tried on the other.
    pub halves: Vec<bool>,
}

impl Choice {
    /// Fixed by the seed and the number of rows.
    fn of(n: usize, settings: &Settings) -> Choice {
        let order = Stream::new(settings.seed, "rows of the probe", &[n as u64]).permutation(n);
        let few = order.into_iter().take(settings.rows.max(8)).enumerate();
        let mut chosen: Vec<(usize, bool)> = few.map(|(at, row)| (row, at % 2 == 0)).collect();
        chosen.sort_unstable();
        let (rows, halves) = chosen.into_iter().unzip();
        Choice { of: n, rows, halves }
    }
}

/// Readings of one model on one probe.
///
/// The same calls give the same numbers. Nothing of a step is kept after its end.
pub struct Session {
    labels: Option<Labels>,
    samples: usize,
    settings: Settings,
    choices: Mutex<BTreeMap<usize, Arc<Choice>>>,
}

impl Session {
    /// * `labels`: class of each sample `[samples]`, or of each position of each sample `[samples, positions]` where tokens are
    ///   classified; `None` where there are none. Rows labelled [`NONE`](crate::labels::NONE) belong to no class
    /// * `samples`: samples of the probe, > 0
    ///
    /// # Errors
    /// [`ProbeError::Empty`], [`ProbeError::Labels`].
    pub fn new(labels: Option<Vec<u32>>, samples: usize, settings: Settings) -> Result<Session, ProbeError> {
        if samples == 0 {
            return Err(ProbeError::Empty);
        }
        let labels = match labels {
            Some(given) if given.is_empty() || given.len() % samples != 0 => {
                return Err(ProbeError::Labels { samples, found: given.len() });
            }
            given => given.map(|given| Labels::new(&given, &settings)),
        };
        Ok(Session { labels, samples, settings, choices: Mutex::default() })
    }

    /// Begins a step whose calls come with all samples. `loss` is kept where it is finite.
    pub fn step(&mut self, step: u64, loss: Option<f64>) -> StepBuilder<'_> {
        StepBuilder { session: self, finished: Finished::new(step, loss) }
    }

    /// Reads all calls of a step at once, on every core: the same numbers as [`Session::step`] gives one after the other.
    ///
    /// # Errors
    /// [`ProbeError::Shape`] when some numbers of a call do not fill `[samples, positions, width]`.
    pub fn read(&mut self, step: u64, loss: Option<f64>, calls: &[Call]) -> Result<StepReading, ProbeError> {
        calls.iter().try_for_each(|call| check(call, self.samples))?;
        let mut finished = Finished::new(step, loss);
        self.with_frame(|frame| {
            let gathered: Vec<Gathered> = calls.par_iter().map(|call| whole(call, frame)).collect();
            finished.take(&gathered, frame);
        });
        Ok(finished.end())
    }

    /// Begins a step whose samples come in chunks, each with all calls; see [`ChunkedStep`].
    pub fn stream(&mut self, step: u64, loss: Option<f64>) -> ChunkedStep<'_> {
        let finished = Finished::new(step, loss);
        ChunkedStep { session: self, finished, gathered: Vec::new(), chunk: None, read: 0, at: 0 }
    }

    /// Classes of the probe, 0 without labels.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.labels.as_ref().map_or(0, |labels| labels.names.len())
    }

    fn choice(&self, n: usize) -> Arc<Choice> {
        let mut choices = self.choices.lock().expect("nothing panics while it holds this lock");
        choices.entry(n).or_insert_with(|| Arc::new(Choice::of(n, &self.settings))).clone()
    }

    fn with_frame<T>(&self, run: impl FnOnce(&Frame) -> T) -> T {
        let choice = |n| self.choice(n);
        let labels = self.labels.as_ref();
        run(&Frame { samples: self.samples, settings: &self.settings, labels, choice: &choice })
    }
}

/// A step whose calls are coming in, each with all samples: one chunk.
pub struct StepBuilder<'a> {
    session: &'a mut Session,
    finished: Finished,
}

impl StepBuilder<'_> {
    /// Reads one call at once: every observable of [`TABLE`] gives a number or a reason.
    ///
    /// # Errors
    /// [`ProbeError::Shape`] when some numbers do not fill `[samples, positions, width]`; the step goes on without the call.
    pub fn add(&mut self, call: &Call) -> Result<(), ProbeError> {
        check(call, self.session.samples)?;
        self.session.with_frame(|frame| {
            let gathered = whole(call, frame);
            let mut seen = Seen::new(&gathered, *frame);
            seen.before = self.finished.before.clone();
            self.finished.put(One::of(&seen));
            if call.role.is_on_line() {
                self.finished.before = Some(Arc::new(seen.kept()));
            }
        });
        Ok(())
    }

    /// Ends the step with what needs all calls: stress, and the disagreement with the nearest class mean.
    #[must_use]
    pub fn end(self) -> StepReading {
        self.finished.end()
    }
}

/// A step whose samples are coming in, in chunks: any number of samples in the memory of one chunk, with 4 bytes for each number
/// of the chosen rows and 12 for each number of the class means.
///
/// ```
/// # use carnot_probe::{call::Call, session::{Session, Settings}};
/// let mut session = Session::new(Some(vec![0, 1, 0, 1, 1, 0]), 6, Settings::default())?;
/// let mut stream = session.stream(0, None);
/// for first in [0, 4] {
///     let features: Vec<f32> = (0..2 * (6 - first).min(4)).map(|x| (x + first) as f32).collect();
///     stream.begin(first, features.len() / 2)?;
///     stream.add(&Call::vectors("fc", "linear", &features, 2))?;
/// }
/// assert_eq!(stream.end()?.layers.len(), 1);
/// # Ok::<(), carnot_probe::error::ProbeError>(())
/// ```
pub struct ChunkedStep<'a> {
    session: &'a Session,
    finished: Finished,
    gathered: Vec<Gathered>,
    /// First sample of the chunk, and its samples.
    chunk: Option<(usize, usize)>,
    /// Samples of the chunks before.
    read: usize,
    /// Calls of this chunk so far.
    at: usize,
}

impl<'a> ChunkedStep<'a> {
    /// Begins the next chunk.
    ///
    /// * `first`: its first sample, from 0; chunks come in order, without gaps
    /// * `samples`: samples in it, > 0
    ///
    /// # Errors
    /// [`ProbeError::Chunk`] when it does not follow the one before or exceeds the probe, [`ProbeError::ChunkCalls`] when the one
    /// before lacks calls.
    pub fn begin(&mut self, first: usize, samples: usize) -> Result<(), ProbeError> {
        self.close()?;
        if first != self.read || samples == 0 || self.read + samples > self.session.samples {
            return Err(self.chunk_error(first, samples));
        }
        self.chunk = Some((first, samples));
        Ok(())
    }

    /// Takes in one call of the chunk, with features `[samples of the chunk, positions, width]`. The calls of a chunk are those of
    /// the first chunk in the same order; `positions` may differ.
    ///
    /// # Errors
    /// [`ProbeError::Shape`] when some numbers do not fill their shape, [`ProbeError::Chunk`] before any chunk,
    /// [`ProbeError::ChunkCalls`] when the call is not the one of the first chunk.
    pub fn add(&mut self, call: &Call) -> Result<(), ProbeError> {
        let Some((first, samples)) = self.chunk else { return Err(self.chunk_error(0, 0)) };
        self.absorb(&self.digests().digest(call, first, samples)?)
    }

    /// Makes digests of calls, on any thread and of any chunk: the larger part of [`ChunkedStep::add`].
    #[must_use]
    pub fn digests(&self) -> Digests<'a> {
        Digests { session: self.session }
    }

    /// Takes in one call of the chunk as [`ChunkedStep::add`] does, from its digest: the same bits.
    ///
    /// # Errors
    /// [`ProbeError::Chunk`] before any chunk or where the digest is of another number of samples, [`ProbeError::ChunkCalls`] when the
    /// call is not the one of the first chunk.
    pub fn absorb(&mut self, digest: &Digest) -> Result<(), ProbeError> {
        let known = self.chunk.filter(|(_, samples)| *samples == digest.samples.len());
        let Some((first, _)) = known else { return Err(self.chunk_error(0, digest.samples.len())) };
        let (gathered, at) = (&mut self.gathered, self.at);
        self.session.with_frame(|frame| {
            if first == 0 {
                gathered.push(Gathered::new(digest, frame));
            }
            let known = gathered.get_mut(at).filter(|known| known.is_of(digest));
            let wrong = || ProbeError::ChunkCalls { first, call: digest.facts.name.clone() };
            known.ok_or_else(wrong)?.absorb(digest, first, frame);
            Ok(())
        })?;
        self.at += 1;
        Ok(())
    }

    /// Ends the step: every observable of every call gives a number or a reason.
    ///
    /// # Errors
    /// [`ProbeError::Chunk`] when samples are missing, [`ProbeError::ChunkCalls`] when calls of the last chunk are.
    pub fn end(mut self) -> Result<StepReading, ProbeError> {
        self.close()?;
        if self.read != self.session.samples {
            return Err(self.chunk_error(self.read, 0));
        }
        let (mut finished, gathered) = (self.finished, std::mem::take(&mut self.gathered));
        self.session.with_frame(|frame| finished.take(&gathered, frame));
        Ok(finished.end())
    }

    fn close(&mut self) -> Result<(), ProbeError> {
        if let Some((first, samples)) = self.chunk.take() {
            if let Some(missing) = self.gathered.get(self.at) {
                return Err(ProbeError::ChunkCalls { first, call: missing.facts.name.clone() });
            }
            self.read += samples;
        }
        self.at = 0;
        Ok(())
    }

    fn chunk_error(&self, first: usize, samples: usize) -> ProbeError {
        ProbeError::Chunk { first, samples, read: self.read, all: self.session.samples }
    }
}

/// Makes [`Digest`]s for a [`ChunkedStep`].
#[derive(Clone, Copy)]
pub struct Digests<'a> {
    session: &'a Session,
}

impl Digests<'_> {
    /// One call of the chunk from sample `first` on, with features `[samples, positions, width]`.
    ///
    /// # Errors
    /// [`ProbeError::Shape`] when some numbers do not fill their shape.
    pub fn digest<'c>(
        &self,
        call: &Call<'c>,
        first: usize,
        samples: usize,
    ) -> Result<Digest<'c>, ProbeError> {
        check(call, samples)?;
        Ok(self.session.with_frame(|frame| Digest::of(call, frame, first == 0)))
    }
}

/// What a head has to answer with.
const SPEAKS: &str = "outputs with one unit a class";

/// The numbers of the calls so far, and what the next call needs of the one before.
struct Finished {
    reading: StepReading,
    before: Option<Arc<Kept>>,
    /// Indices of the calls that are not inside a branch.
    chain: Vec<usize>,
    guesses: Vec<Option<Vec<u32>>>,
    /// What the last call says of the chosen rows, read as a head.
    outputs: Option<Vec<u32>>,
    accuracy: Result<Estimate, Missing>,
    /// Labels of the same rows, where samples are classified.
    labels: Result<Vec<u32>, Missing>,
}

impl Finished {
    fn new(step: u64, loss: Option<f64>) -> Finished {
        Finished {
            reading: StepReading { step, loss: loss.filter(|loss| loss.is_finite()), layers: Vec::new() },
            before: None,
            chain: Vec::new(),
            guesses: Vec::new(),
            outputs: None,
            accuracy: Err(Missing::Labels),
            labels: Err(Missing::Labels),
        }
    }

    /// Reads all calls of a step on the threads of the calling pool; each number is computed by one of them, so that there are the
    /// same bits on any number.
    fn take(&mut self, gathered: &[Gathered], frame: &Frame) {
        let prepared = gathered.par_iter().map(|gathered| {
            let seen = Seen::new(gathered, *frame);
            let kept = seen.call.role.is_on_line().then(|| Arc::new(seen.kept()));
            (seen, kept)
        });
        let mut prepared: Vec<(Seen, Option<Arc<Kept>>)> = prepared.collect();
        for (seen, kept) in &mut prepared {
            seen.before = self.before.clone();
            self.before = kept.clone().or(self.before.take());
        }
        let read: Vec<One> = prepared.into_par_iter().map(|(seen, _)| One::of(&seen)).collect();
        read.into_iter().for_each(|one| self.put(one));
    }

    fn put(&mut self, one: One) {
        if one.layer.role.is_on_line() {
            self.chain.push(self.reading.layers.len());
        }
        self.reading.layers.push(one.layer);
        self.guesses.push(one.guesses);
        self.outputs = one.outputs;
        self.accuracy = one.accuracy;
        self.labels = one.labels;
    }

    fn end(mut self) -> StepReading {
        self.stress();
        self.disagreement();
        if let Some(last) = self.reading.layers.last_mut() {
            last.take("accuracy", self.accuracy);
            let answers = self.outputs.ok_or(Missing::NotGiven(SPEAKS));
            let even = self.labels.and_then(|labels| confusion::evenness(&labels, &answers?));
            last.take("confusion", even);
        }
        self.reading
    }

    fn stress(&mut self) {
        let loads: Vec<Option<Number>> =
            self.chain.iter().map(|&at| self.reading.layers[at].value("load")).collect();
        let shares = stress(&loads);
        for (&at, share) in self.chain.iter().zip(shares) {
            self.reading.layers[at].take("load_stress", share);
        }
        for at in (0..self.reading.layers.len()).filter(|at| !self.chain.contains(at)) {
            self.reading.layers[at].take("load_stress", Err(Missing::Inside));
        }
    }

    /// NC4: share of the chosen samples for which the class mean nearest to the features is not what the head says.
    fn disagreement(&mut self) {
        for (layer, guesses) in self.reading.layers.iter_mut().zip(&self.guesses) {
            let answer = match (guesses, &self.outputs) {
                (None, _) => Err(Missing::Labels),
                (Some(_), None) => Err(Missing::NotGiven(SPEAKS)),
                (Some(own), Some(head)) if own.len() != head.len() => Err(Missing::Positions),
                (Some(own), Some(head)) => {
                    Ok(share(own.iter().zip(head).filter(|(a, b)| a != b).count(), own.len()))
                }
            };
            layer.take("nc4", answer);
        }
    }
}

/// The numbers of one call, and what the end of the step needs of it.
struct One {
    layer: LayerReading,
    guesses: Option<Vec<u32>>,
    outputs: Option<Vec<u32>>,
    accuracy: Result<Estimate, Missing>,
    labels: Result<Vec<u32>, Missing>,
}

impl One {
    fn of(seen: &Seen) -> One {
        let facts = seen.call;
        let mut layer = LayerReading {
            name: facts.name.clone(),
            kind: facts.kind.clone(),
            call: facts.index,
            role: facts.role,
            positions: facts.positions,
            width: facts.width,
            weights: facts.weights,
            ..LayerReading::default()
        };
        for observable in TABLE {
            let says = facts.role != Role::Table || OF_TABLES.contains(&observable.name);
            let value = if says { (observable.of)(seen) } else { Err(Missing::Constant) };
            layer.take(observable.name, value);
        }
        One {
            layer,
            guesses: seen.guesses(),
            outputs: seen.outputs(),
            accuracy: accuracy(seen),
            labels: seen.labels_of_samples(),
        }
    }
}

/// A call that comes with all samples.
fn whole(call: &Call, frame: &Frame) -> Gathered {
    let digest = Digest::of(call, frame, true);
    let mut gathered = Gathered::new(&digest, frame);
    gathered.absorb(&digest, 0, frame);
    gathered
}

/// Of a call, read as a head: over all rows that have a class.
fn accuracy(seen: &Seen) -> Result<Estimate, Missing> {
    seen.chosen_labels().map_err(|_| Missing::Labels)?;
    let labels = seen.frame.labels.ok_or(Missing::Labels)?;
    if !seen.speaks() {
        return Err(Missing::NotGiven(SPEAKS));
    }
    Ok(share(seen.rows()?.correct as usize, labels.rows()))
}

/// A share of n with its binomial error.
pub(crate) fn share(count: usize, n: usize) -> Estimate {
    let p = count as f64 / n as f64;
    Estimate { value: p, error: (p * (1.0 - p) / n as f64).sqrt(), spread: 0.0, n: n as u64 }
}

fn check(call: &Call, samples: usize) -> Result<(), ProbeError> {
    let expected = samples.saturating_mul(call.positions).saturating_mul(call.width);
    let wrong = |what, found| ProbeError::Shape { call: call.name.into(), what, expected, found };
    if call.features.len() != expected || expected == 0 {
        return Err(wrong("features", call.features.len()));
    }
    match (call.input, call.gradient) {
        (Some(input), _) if input.len() != expected => Err(wrong("input", input.len())),
        (_, Some(gradient)) if gradient.len() != expected => Err(wrong("gradient", gradient.len())),
        _ => Ok(()),
    }
}
