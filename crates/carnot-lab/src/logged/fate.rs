//! The outcome of a training, by rules a program can follow.
//!
//! | outcome | rule |
//! |---|---|
//! | diverged | [`carnot_log::curve::divergence`] |
//! | dead | the loss is exactly constant, or the gradient exactly zero |
//! | stuck | the smoothed loss ends above the entropy of the frequencies less δ, and does not fall fast enough to pass it |
//! | slow | as stuck, but as many steps again (or those of `--steps`) would take it below |
//! | learns | it ends below |
//!
//! δ is 0.1 nat or 3 %, whichever is smaller. Without the entropy of the frequencies ln V stands in its place, without that
//! the loss at the start.

use carnot_log::curve::divergence::{Divergence, divergence};
use carnot_log::curve::level::{Level, Measured, level};
use carnot_log::curve::plateau::{Plateau, at_end};
use carnot_log::curve::{Curve, FEWEST};
use carnot_log::log::Series;
use carnot_log::reference::{Kind, Reference};

/// What became of a training.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It blew up.
    Diverged(Divergence),
    /// Nothing moves.
    Dead(Dead),
    /// It has learned no more than frequencies.
    Stuck(Stuck),
    /// It has not, yet.
    Slow(Stuck),
    /// It has learned more.
    Learned,
    /// It cannot be told, and why.
    Unknown(String),
}

/// A training in which nothing moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dead {
    /// Since which step.
    pub since: f64,
    /// Is it the gradient that is zero, rather than the loss that is constant?
    pub is_gradient: bool,
    /// The loss.
    pub loss: f64,
}

/// A loss that stays where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Stuck {
    /// Where it stands.
    pub level: Measured,
    /// What it equals within δ, the nearest first; none when it lies between.
    pub at: Vec<Reference>,
    /// What it would have to pass.
    pub limit: Reference,
    /// How long it has been there.
    pub plateau: Option<Plateau>,
}

/// What else decides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// Norm of the gradient.
    pub gradient: Option<&'a Series>,
    /// Steps that the training is to have.
    pub steps: Option<f64>,
}

/// The outcome of a curve, held against reference losses.
#[must_use]
pub fn fate(raw: &Curve, references: &[Reference], beside: Beside) -> Fate {
    let curve = raw.finite();
    if let Some(divergence) = divergence(raw).filter(|_| raw.len() >= FEWEST || curve.len() < raw.len()) {
        return Fate::Diverged(divergence);
    }
    if curve.len() < FEWEST {
        return Fate::Unknown(format!("the log has {} losses, {FEWEST} are needed", curve.len()));
    }
    let (Some(end), Some(start)) = (level(&curve), curve.start()) else {
        return Fate::Unknown("the steps of the log do not ascend".into());
    };
    if let Some(dead) = dead(&curve, start.value, beside.gradient) {
        return Fate::Dead(dead);
    }
    let limit = limit(references, start);
    // A single first loss is noisy, an entropy is not.
    let reach = limit.delta() + 3.0 * limit.error;
    if end.mean.value > limit.value - reach {
        let stuck = stuck(&curve, &end, references, limit);
        let left = beside.steps.map_or(end.to - curve.steps[0], |steps| (steps - end.to).max(0.0));
        let gap = end.mean.value - (stuck.limit.value - reach);
        let is_falling = end.slope.value < -4.0 * end.slope.error && -end.slope.value * left > gap;
        return if is_falling { Fate::Slow(stuck) } else { Fate::Stuck(stuck) };
    }
    let knows_frequencies = references.iter().any(|reference| reference.kind == Kind::Unigram);
    let fallen = (start.value - end.mean.value) / start.value.abs();
    let span = end.to - curve.steps[0];
    let still_falls =
        -end.slope.value * span > 0.1 * end.mean.value.abs() && end.slope.value < -4.0 * end.slope.error;
    if !knows_frequencies && start.value > 0.0 && fallen < 0.5 && !still_falls {
        return Fate::Unknown(format!(
            "the loss fell from {} to {} and stays there, which may be the frequencies alone: --data TEXT, --labels FILE or \
             --unigram X says what those give",
            crate::checks::short(start.value),
            carnot_report::number::estimate(end.mean.value, end.mean.error)
        ));
    }
    Fate::Learned
}

/// What a loss must pass to have learned anything about the inputs.
fn limit(references: &[Reference], start: Measured) -> Reference {
    let of = |kind| references.iter().filter(move |reference| reference.kind == kind);
    let lowest = |kind| of(kind).min_by(|a, b| a.value.total_cmp(&b.value)).cloned();
    lowest(Kind::Unigram).or_else(|| lowest(Kind::Uniform)).unwrap_or_else(|| Reference {
        kind: Kind::Start,
        value: start.value,
        error: start.error,
        from: "the first loss of the log".into(),
    })
}

fn stuck(curve: &Curve, end: &Level, references: &[Reference], limit: Reference) -> Stuck {
    let is_near = |reference: &&Reference| {
        let error = 2.0 * end.mean.error.hypot(reference.error);
        (end.mean.value - reference.value).abs() <= reference.delta() + error
    };
    let mut at: Vec<Reference> = references.iter().filter(is_near).cloned().collect();
    if at.is_empty() && limit.kind == Kind::Start && is_near(&&limit) {
        at.push(limit.clone());
    }
    at.sort_by(|a, b| (a.value - end.mean.value).abs().total_cmp(&(b.value - end.mean.value).abs()));
    let reach = limit.delta().max(3.0 * end.mean.error).max(end.scatter);
    Stuck { level: end.mean, at, plateau: at_end(curve, end.mean.value, reach), limit }
}

/// Exactly constant to the last digit over the last window and more, or a gradient of exactly nothing. A loss that is zero to
/// a thousandth of its start is a task that is done.
fn dead(curve: &Curve, start: f64, gradient: Option<&Series>) -> Option<Dead> {
    let loss = *curve.values.last()?;
    if loss.abs() <= 1e-3 * start.abs() && curve.values.iter().any(|&value| value != loss) {
        return None;
    }
    let enough = curve.window().max(FEWEST).min(curve.len());
    let same = curve.values.iter().rev().take_while(|&&value| value == loss).count();
    if same >= enough && same >= 3 {
        return Some(Dead { since: curve.steps[curve.len() - same], is_gradient: false, loss });
    }
    let gradient = gradient?;
    let zero = gradient.values.iter().rev().take_while(|&&norm| norm.abs() < 1e-30).count();
    let is_long = zero >= FEWEST.min(gradient.values.len()) && zero >= 3;
    is_long.then(|| Dead { since: gradient.steps[gradient.steps.len() - zero], is_gradient: true, loss })
}

/// A kind of reference in words.
#[must_use]
pub fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Uniform => "uniform answers",
        Kind::Unigram => "frequencies alone",
        Kind::Bigram => "pairs alone",
        Kind::Start => "the loss at the start",
    }
}
