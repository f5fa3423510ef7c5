//! Calls of one step → numbers, in the order of the calls.

use carnot_math::random::Stream;
use carnot_math::stats::Estimate;

use crate::call::{Call, Role};
use crate::curve;
use crate::error::ProbeError;
use crate::observables::{Missing, TABLE};
use crate::reading::{LayerReading, Number, StepReading};
use crate::seen::{Kept, Seen};

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
    /// Rows that Gram matrices are made of: spectrum, alignment, linear readers (default 256, from 8 on).
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

/// Readings of one model on one probe.
///
/// The same calls give the same numbers. Nothing of a step is kept after its end.
pub struct Session {
    labels: Option<Vec<u32>>,
    samples: usize,
    settings: Settings,
}

impl Session {
    /// * `labels`: class of each sample `[samples]`, or of each position of each sample `[samples, positions]` where tokens are
    ///   classified; `None` where there are none
    /// * `samples`: samples of the probe, > 0
    ///
    /// # Errors
    /// [`ProbeError::Empty`], [`ProbeError::Labels`].
    pub fn new(labels: Option<Vec<u32>>, samples: usize, settings: Settings) -> Result<Session, ProbeError> {
        if samples == 0 {
            return Err(ProbeError::Empty);
        }
        match &labels {
            Some(given) if given.is_empty() || given.len() % samples != 0 => {
                Err(ProbeError::Labels { samples, found: given.len() })
            }
            _ => Ok(Session { labels, samples, settings }),
        }
    }

    /// Begins a step. `loss` is kept where it is finite.
    pub fn step(&mut self, step: u64, loss: Option<f64>) -> StepBuilder<'_> {
        StepBuilder {
            session: self,
            reading: StepReading { step, loss: loss.filter(|loss| loss.is_finite()), layers: Vec::new() },
            before: None,
            chain: Vec::new(),
            guesses: Vec::new(),
            outputs: None,
            truth: None,
        }
    }

    /// Classes of the probe, 0 without labels.
    #[must_use]
    pub fn classes(&self) -> usize {
        let mut classes = self.labels.clone().unwrap_or_default();
        classes.sort_unstable();
        classes.dedup();
        classes.len()
    }
}

/// A step whose calls are coming in.
pub struct StepBuilder<'a> {
    session: &'a mut Session,
    reading: StepReading,
    before: Option<Kept>,
    /// Indices of the calls that are not inside a branch.
    chain: Vec<usize>,
    guesses: Vec<Option<Vec<u32>>>,
    /// What the last call says, read as a head.
    outputs: Option<Vec<u32>>,
    /// The labels of the rows of the last call.
    truth: Option<Vec<u32>>,
}

impl StepBuilder<'_> {
    /// Reads one call at once: every observable of [`TABLE`] gives a number or a reason.
    ///
    /// # Errors
    /// [`ProbeError::Shape`] when some numbers do not fill `[samples, positions, width]`; the step goes on without the call.
    pub fn add(&mut self, call: &Call) -> Result<(), ProbeError> {
        let (samples, settings) = (self.session.samples, &self.session.settings);
        check(call, samples)?;
        let mut layer = LayerReading {
            name: call.name.into(),
            kind: call.kind.into(),
            call: call.index,
            role: call.role,
            positions: call.positions,
            width: call.width,
            weights: call.weights,
            ..LayerReading::default()
        };
        let before = if call.role == Role::Inside { None } else { self.before.as_ref() };
        let seen = Seen::new(call, samples, self.session.labels.as_deref(), settings, before);
        for observable in TABLE {
            layer.take(observable.name, (observable.of)(&seen));
        }
        self.guesses.push(seen.guesses());
        self.outputs = seen.outputs();
        self.truth = seen.labelled().ok().map(|rows| rows.map(|(_, label, _)| label).collect());
        if call.role != Role::Inside {
            self.chain.push(self.reading.layers.len());
            self.before = Some(seen.keep());
        }
        self.reading.layers.push(layer);
        Ok(())
    }

    /// Ends the step with what needs all calls: stress, and the disagreement with the nearest class mean.
    #[must_use]
    pub fn end(mut self) -> StepReading {
        self.stress();
        self.disagreement();
        self.accuracy();
        self.reading
    }

    fn stress(&mut self) {
        let loads: Vec<Option<Number>> =
            self.chain.iter().map(|&at| self.reading.layers[at].value("load")).collect();
        let shares = curve::stress(&loads);
        for (&at, share) in self.chain.iter().zip(shares) {
            self.reading.layers[at].take("load_stress", share);
        }
        for at in (0..self.reading.layers.len()).filter(|at| !self.chain.contains(at)) {
            self.reading.layers[at].take("load_stress", Err(Missing::Inside));
        }
    }

    /// Of the last call, read as a head.
    fn accuracy(&mut self) {
        let answer = match (&self.outputs, &self.truth) {
            (_, None) => Err(Missing::Labels),
            (None, _) => Err(Missing::NotGiven("outputs with one unit a class")),
            (Some(outputs), Some(truth)) => {
                Ok(share(outputs.iter().zip(truth).filter(|(a, b)| a == b).count(), truth.len()))
            }
        };
        if let Some(last) = self.reading.layers.last_mut() {
            last.take("accuracy", answer);
        }
    }

    /// NC4: share of samples for which the class mean nearest to the features is not what the head says.
    fn disagreement(&mut self) {
        for (layer, guesses) in self.reading.layers.iter_mut().zip(&self.guesses) {
            let answer = match (guesses, &self.outputs) {
                (None, _) => Err(Missing::Labels),
                (Some(_), None) => Err(Missing::NotGiven("outputs with one unit a class")),
                (Some(own), Some(head)) if own.len() != head.len() => Err(Missing::Positions),
                (Some(own), Some(head)) => {
                    Ok(share(own.iter().zip(head).filter(|(a, b)| a != b).count(), own.len()))
                }
            };
            layer.take("nc4", answer);
        }
    }
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

/// Rows that Gram matrices are made of, and the half each is in: fixed by the seed and the number of rows.
pub(crate) fn choice(n: usize, settings: &Settings) -> (Vec<usize>, Vec<bool>) {
    let order = Stream::new(settings.seed, "rows of the probe", &[n as u64]).permutation(n);
    let mut chosen: Vec<(usize, bool)> = order
        .into_iter()
        .take(settings.rows.max(8))
        .enumerate()
        .map(|(at, row)| (row, at % 2 == 0))
        .collect();
    chosen.sort_unstable();
    chosen.into_iter().unzip()
}
