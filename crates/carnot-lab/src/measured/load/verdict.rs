//! The answer in words: who carries the load, or why that cannot be told.

use carnot_probe::reading::{LayerReading, Number, StepReading};
use carnot_report::report::Tone;
use serde::Serialize;

use super::curve::{LoadCurve, TRACE};
use super::shape::Shaped;
use crate::measured::checks::short;
use crate::measured::evidence::ModelEvidence;

/// Hidden layers below which a curve has no shape worth a word.
pub const FEWEST: usize = 3;
/// A total load is judged when it exceeds so many times the spread of that of shuffled labels: the factor of the checks.
pub const SPREADS: f64 = 4.0;
/// Convexity within which a curve is called straight: |κ| < 0.1 for seven layers, where the sheet's table begins to call it bent.
/// The best networks of the published diagrams lie within.
pub const STRAIGHT: f64 = 0.05;
/// A straight curve is called even when no layer carries less than this part of a fair share, or more than its inverse.
pub const EVEN: f64 = 0.5;
/// A load is nearly idle when, with two standard errors, it is below so much of a fair share.
pub const IDLE: f64 = 0.25;

/// Who carries the load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// These layers, as places among the loads, do next to nothing.
    NearlyIdle(Vec<usize>),
    /// All alike.
    Even,
    /// Concave.
    Deep,
    /// Convex.
    Shallow,
    /// Neither bent one way nor even.
    Uneven,
}

/// Total load against that of shuffled labels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AgainstChance {
    /// Total load of shuffled labels: what the layers do to any labels.
    pub total: f64,
    /// Its standard deviation for one random order, depths taken as independent (an upper limit), with the error of the total load.
    pub spread: f64,
    /// How many of these the total load lies above.
    pub times: f64,
}

impl AgainstChance {
    /// Of a curve at a step; without labels to shuffle (language models) the spread is the error of the total load alone.
    #[must_use]
    pub fn of(evidence: &ModelEvidence, step: &StepReading, curve: &LoadCurve) -> Option<AgainstChance> {
        let total = curve.total();
        let shuffled = |layer: &LayerReading| layer.value("separation_shuffled");
        let (chance, spread) = match *curve.measure == TRACE {
            true => {
                let first = shuffled(&step.layers[curve.zero_call?])?;
                let last = shuffled(&step.layers[evidence.stages.last()?.last])?;
                (first.value - last.value, first.error?.hypot(last.error?))
            }
            false => (0.0, 0.0),
        };
        let spread = spread.hypot(total.error?);
        let times = if spread > 0.0 { (total.value - chance) / spread } else { 0.0 };
        Some(AgainstChance { total: chance, spread, times })
    }

    /// Is there a load to judge?
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.times >= SPREADS
    }
}

/// May this model's curve be judged at all?
///
/// # Errors
/// Why not, with what would help.
pub fn judgeable(evidence: &ModelEvidence) -> Result<(), String> {
    if !evidence.run.header.probe.has_labels {
        return Err(
            "Loads need labels: the probe has none, so nothing says what there is to separate.".into()
        );
    }
    let n = evidence.stages.len();
    if n < FEWEST {
        let what = if evidence.has_blocks { "residual blocks" } else { "hidden layers" };
        return Err(format!("A load curve needs at least {FEWEST} {what}; this model has {n}."));
    }
    if !evidence.is_trained() {
        return Err("The network is untrained: at the start every layer undoes separation, and the shape says nothing.".into());
    }
    Ok(())
}

/// Judges a curve.
///
/// # Errors
/// Why it cannot be told.
pub fn judge(curve: &LoadCurve, shaped: &Shaped, chance: Option<&AgainstChance>) -> Result<Says, String> {
    let chance = chance.ok_or("The errors of the readings, or the shuffled labels, are missing, so a load cannot be told from chance.")?;
    if !chance.is_clear() {
        return Err(format!(
            "The total load is {}, {} that of shuffled labels ({}); {SPREADS} above it are needed to speak of its shape.",
            short(shaped.total.value),
            spreads(chance.times),
            carnot_report::number::estimate(chance.total, chance.spread)
        ));
    }
    let idle = idle(&curve.loads);
    if !idle.is_empty() && idle.len() < curve.loads.len() {
        return Ok(Says::NearlyIdle(idle));
    }
    let missing = "The curve has no intervals, so its shape cannot be told.";
    let (convexity, stress) = shaped.convexity.zip(shaped.stress.as_ref()).ok_or(missing)?;
    let (low, high) = convexity.low.zip(convexity.high).ok_or(missing)?;
    match convexity.value {
        c if c <= -STRAIGHT && high < 0.0 => Ok(Says::Deep),
        c if c >= STRAIGHT && low > 0.0 => Ok(Says::Shallow),
        c if c.abs() < STRAIGHT && low > -2.0 * STRAIGHT && high < 2.0 * STRAIGHT => {
            let is_fair = |stress: &f64| 1.0 + stress > EVEN && 1.0 + stress < 1.0 / EVEN;
            Ok(if stress.iter().all(is_fair) { Says::Even } else { Says::Uneven })
        }
        c => Err(format!(
            "The convexity is {} with a 95 % interval of {} to {}: straight and bent are both possible. A larger probe would tell.",
            short(c),
            short(low),
            short(high)
        )),
    }
}

/// `12 spreads above`, `0.5 spreads below`.
#[must_use]
pub fn spreads(times: f64) -> String {
    let direction = if times < 0.0 { "below" } else { "above" };
    format!("{} spreads {direction}", carnot_report::number::significant(times.abs(), 2))
}

/// Loads that are surely below a quarter of a fair share, in size: a layer that undoes separation is not idle.
fn idle(loads: &[Number]) -> Vec<usize> {
    let mean = loads.iter().map(|load| load.value).sum::<f64>() / loads.len() as f64;
    let is_idle = |load: &Number| load.value.abs() + 2.0 * load.error.unwrap_or(f64::INFINITY) < IDLE * mean;
    (0..loads.len()).filter(|&at| is_idle(&loads[at])).collect()
}

/// What the curve's bend is called.
#[must_use]
pub fn bend(convexity: f64) -> &'static str {
    match convexity {
        c if c >= STRAIGHT => "convex (shallow layers carry more)",
        c if c <= -STRAIGHT => "concave (deep layers carry more)",
        _ => "nearly straight",
    }
}

impl Says {
    /// The headline. `numbers` of the layers with the loads, from 1; `word` for one of them: `LAYER`, `BLOCK`.
    #[must_use]
    pub fn headline(&self, numbers: &[usize], word: &str) -> String {
        match self {
            Says::NearlyIdle(idle) => {
                let spans = spans(&idle.iter().map(|&at| numbers[at]).collect::<Vec<_>>());
                match (idle.len(), spans.len()) {
                    (1, _) => format!("{word} {} IS NEARLY IDLE", spans[0]),
                    (_, 1..=3) => format!("{word}S {} ARE NEARLY IDLE", listed(&spans)),
                    (n, _) => format!("{n} OF {} {word}S ARE NEARLY IDLE", numbers.len()),
                }
            }
            Says::Even => "THE LOAD IS EVEN".into(),
            Says::Deep => format!("DEEP {word}S DO THE WORK"),
            Says::Shallow => format!("SHALLOW {word}S DO THE WORK"),
            Says::Uneven => "THE LOAD IS UNEVEN".into(),
        }
    }

    /// How it is meant: a bent curve is a price, not an illness.
    #[must_use]
    pub fn tone(&self) -> Tone {
        match self {
            Says::Even => Tone::Good,
            Says::NearlyIdle(_) => Tone::Costs,
            Says::Deep | Says::Shallow | Says::Uneven => Tone::Plain,
        }
    }
}

/// `7–10`, `12` of 7, 8, 9, 10, 12.
pub fn spans(numbers: &[usize]) -> Vec<String> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => found.push((number, number)),
        }
    }
    found.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}–{b}") }).collect()
}

fn listed(spans: &[String]) -> String {
    match spans {
        [one] => one.clone(),
        [some @ .., last] => format!("{} AND {last}", some.join(", ")),
        [] => String::new(),
    }
}
