//! Everything that several checks ask for, computed once.

use carnot_log::curve::Curve;
use carnot_log::curve::ahead::{Ahead, ahead};
use carnot_log::curve::level::{Level, Measured, between, level};
use carnot_log::curve::overfit::{Overfit, overfit};
use carnot_log::curve::plateau::{Plateau, longest};
use carnot_log::curve::robust::median;
use carnot_log::curve::spike::{Spike, spikes};
use carnot_log::log::{Log, Series};
use carnot_log::names::Signals;
use carnot_log::reference::{Kind, Reference};
use carnot_sim::edge::Descent;

use super::asked::Asked;
use super::fate::{Beside, Fate, fate};
use crate::error::LabError;

/// Steps over which a norm is compared with what it was before.
const BEFORE: f64 = 200.0;
/// Steps before an event in which its cause is looked for.
const NEAR: f64 = 20.0;

/// What is known of a training when it is judged.
pub struct LogEvidence<'a> {
    /// All of it.
    pub log: &'a Log,
    /// What the user said.
    pub asked: &'a Asked,
    /// Series by their meaning.
    pub signals: Signals,
    /// The loss, finite or not.
    pub raw: Curve,
    /// Its finite points.
    pub curve: Curve,
    /// Losses to compare with, the highest first.
    pub references: Vec<Reference>,
    /// The rule of descent, where the optimizer was named.
    pub descent: Option<Descent>,
    /// The loss at the start.
    pub start: Option<Measured>,
    /// The loss at the end.
    pub end: Option<Level>,
    /// The outcome.
    pub fate: Fate,
    /// Sudden rises.
    pub spikes: Vec<Spike>,
    /// Validation that turned.
    pub overfit: Option<Overfit>,
    /// Where it goes.
    pub ahead: Option<Ahead>,
}

impl<'a> LogEvidence<'a> {
    /// Of a log; `references` of the log itself stand behind those that the user gave.
    ///
    /// # Errors
    /// [`LabError::Log`] without a loss, or for a name that is not there.
    pub fn of(log: &'a Log, own: &[Reference], asked: &'a Asked) -> Result<LogEvidence<'a>, LabError> {
        asked.check()?;
        let mut references = asked.references()?;
        references.extend(
            own.iter()
                .filter(|one| references.iter().all(|r| r.kind != one.kind))
                .cloned()
                .collect::<Vec<_>>(),
        );
        let mut signals = Signals::of(log, &asked.names)?;
        let loss = signals.loss.take().or_else(|| signals.validation.clone()).ok_or_else(|| {
            carnot_log::error::LogError::NoLoss { path: log.path.clone(), names: log.names() }
        })?;
        let raw = Curve::of(&loss);
        let curve = raw.finite();
        let beside = Beside { gradient: signals.gradient.as_ref(), steps: asked.steps };
        let fate = fate(&raw, &references, beside);
        let validation = signals
            .validation
            .as_ref()
            .filter(|other| **other != loss)
            .map(|other| Curve::of(other).finite());
        let last = curve.steps.last().copied().unwrap_or(0.0);
        let first = curve.steps.first().copied().unwrap_or(0.0);
        let target = asked.steps.filter(|steps| *steps > last).unwrap_or(2.0 * last - first);
        let has_blown_up = matches!(fate, Fate::Diverged(_) | Fate::Dead(_));
        signals.loss = Some(loss);
        Ok(LogEvidence {
            start: curve.start(),
            end: level(&curve),
            spikes: if has_blown_up { Vec::new() } else { spikes(&curve) },
            overfit: validation
                .as_ref()
                .filter(|_| !has_blown_up)
                .and_then(|validation| overfit(&curve, validation)),
            ahead: ahead(&curve, target).filter(|_| !has_blown_up),
            descent: asked.descent()?,
            log,
            asked,
            signals,
            raw,
            curve,
            references,
            fate,
        })
    }

    /// Name of the loss.
    #[must_use]
    pub fn loss_name(&self) -> &str {
        self.signals.loss.as_ref().map_or("loss", |series| &series.name)
    }

    /// `step 300`, `epoch 3`, `line 17`.
    #[must_use]
    pub fn at(&self, step: f64) -> String {
        format!("{} {}", self.log.unit, carnot_report::number::position(step))
    }

    /// `300 steps`.
    #[must_use]
    pub fn many(&self, steps: f64) -> String {
        format!("{} {}s", carnot_report::number::position(steps), self.log.unit)
    }

    /// The reference of a kind.
    #[must_use]
    pub fn reference(&self, kind: Kind) -> Option<&Reference> {
        self.references.iter().find(|reference| reference.kind == kind)
    }

    /// The longest stay at the frequencies, of a run that went on: at least a twentieth of it.
    #[must_use]
    pub fn waited(&self) -> Option<(&Reference, Plateau)> {
        let span = self.curve.steps.last()? - self.curve.steps.first()?;
        let of = |reference: &'_ Reference| longest(&self.curve, reference.value, reference.delta());
        let stays =
            self.references.iter().filter_map(|reference| of(reference).map(|plateau| (reference, plateau)));
        stays
            .filter(|(_, plateau)| plateau.steps() > 0.1 * span)
            .max_by(|a, b| a.1.steps().total_cmp(&b.1.steps()))
    }

    /// What stood in the log shortly before a step that something happened at: norms above their median, a changed rate.
    #[must_use]
    pub fn before(&self, step: f64) -> Vec<String> {
        let mut said = Vec::new();
        let norms = [("gradient norm", &self.signals.gradient), ("update norm", &self.signals.update)];
        for (name, series) in norms {
            if let Some((ratio, at)) = series.as_ref().and_then(|series| raised(series, step))
                && ratio > 1.5
            {
                let times = crate::checks::short(ratio);
                said.push(format!("the {name} was {times} times its median at {}", self.at(at)));
            }
        }
        if let Some(rate) = &self.signals.rate {
            let window = self.near();
            let of = |from: f64, to: f64| median(&rate.between(from, to).collect::<Vec<_>>());
            let was = of(step - 4.0 * window, step - 2.0 * window);
            // A burst of a single step is enough.
            let is = rate.between(step - window / 2.0, step).fold(f64::NAN, f64::max);
            if was > 0.0 && is > 1.05 * was {
                let short = crate::checks::short;
                said.push(format!("the rate had risen from {} to {}", short(was), short(is)));
            } else if let Some(is) = Some(is).filter(|is| is.is_finite()) {
                said.push(format!("the rate was {}", crate::checks::short(is)));
            }
        }
        said
    }

    /// Steps that count as shortly before: 20, more in a sparse log.
    fn near(&self) -> f64 {
        let span = self.curve.steps.last().unwrap_or(&0.0) - self.curve.steps.first().unwrap_or(&0.0);
        NEAR.max(3.0 * span / self.curve.len().max(2) as f64)
    }

    /// Share of right answers at the end, with its error over steps.
    #[must_use]
    pub fn accuracy(&self) -> Option<Measured> {
        let series = Curve::of(self.signals.accuracy.as_ref()?).finite();
        let end = level(&series)?;
        // Percent are shares too.
        let unit = if series.values.iter().any(|&value| value > 1.0) { 100.0 } else { 1.0 };
        Some(Measured { value: end.mean.value / unit, error: end.mean.error / unit })
    }

    /// The mean of a stretch of the loss.
    #[must_use]
    pub fn mean(&self, from: f64, to: f64) -> Option<Measured> {
        between(&self.curve, from, to)
    }
}

/// How many times its median of the 200 steps before a norm was, at most, within the last steps up to `step`; and where.
/// Medians of three points, since single norms are wild.
fn raised(series: &Series, step: f64) -> Option<(f64, f64)> {
    let end = series.steps.iter().rposition(|&at| at <= step)? + 1;
    let span = (series.steps[end - 1] - series.steps[0]) / end as f64;
    let (near, far) = (NEAR.max(3.0 * span), BEFORE.max(20.0 * span));
    let usual = median(&series.between(step - near - far, step - near).collect::<Vec<_>>());
    let of = |at: usize| (median(&series.values[at.saturating_sub(2)..=at]), series.steps[at]);
    let best =
        (0..end).filter(|&at| series.steps[at] > step - near).map(of).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (usual > 0.0).then(|| (best.0 / usual, best.1)).filter(|(ratio, _)| ratio.is_finite())
}
