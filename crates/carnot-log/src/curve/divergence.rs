//! When a loss blew up, and how one sees it.

use super::Curve;
use super::level::{Measured, level};
use super::robust::noise;

/// How a run left the numbers from which it could come back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sign {
    /// The loss is no number any more.
    NotFinite,
    /// It ends a tenth or more above its start.
    AboveStart,
    /// It ends above ten times its lowest, and has lost a tenth or more of what it had learned.
    TenfoldMinimum,
}

/// A run that blew up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Divergence {
    /// How it shows.
    pub sign: Sign,
    /// The last step at which the loss was as low as before.
    pub began: f64,
    /// The step at which it could no longer be missed.
    pub plain: f64,
    /// The loss before.
    pub before: f64,
    /// The loss at the end; `None` when it is no number.
    pub end: Option<Measured>,
}

/// Did the run blow up and stay there?
///
/// Not finite at the end, or smoothed loss above L₀ + 0.1 |L₀|, or above ten times its running minimum; each beyond three
/// standard errors, so that noise about a constant is none.
#[must_use]
pub fn divergence(curve: &Curve) -> Option<Divergence> {
    broken(curve).or_else(|| risen(&curve.finite()))
}

/// Steps at which the loss was no number, though it came back.
#[must_use]
pub fn gaps(curve: &Curve) -> Vec<f64> {
    let is_bad = |(_, value): &(&f64, &f64)| !value.is_finite();
    curve.steps.iter().zip(&curve.values).filter(is_bad).map(|(step, _)| *step).collect()
}

fn broken(curve: &Curve) -> Option<Divergence> {
    let last = curve.values.iter().rposition(|value| value.is_finite()).map_or(0, |at| at + 1);
    if last == curve.len() {
        return None;
    }
    let before =
        Curve { steps: curve.steps[..last].to_vec(), values: curve.values[..last].to_vec() }.finite();
    let plain = curve.steps[last];
    let rose = (before.len() >= 5).then(|| onset(&before)).flatten();
    let (began, level) = match rose {
        Some((at, low)) => (before.steps[at], low),
        None => {
            (before.steps.last().copied().unwrap_or(plain), before.values.last().copied().unwrap_or(f64::NAN))
        }
    };
    Some(Divergence { sign: Sign::NotFinite, began, plain, before: level, end: None })
}

fn risen(curve: &Curve) -> Option<Divergence> {
    let (start, end) = (curve.start()?, level(curve)?.mean);
    let window = (curve.window() / 2).max(3);
    let smooth = curve.smoothed(window);
    let low = smooth.iter().copied().fold(f64::INFINITY, f64::min);
    let is_above = end.value - 3.0 * end.error.hypot(start.error) > start.value + 0.1 * start.value.abs();
    let lost = (end.value - low) > 0.1 * (start.value - low).max(0.0);
    let is_tenfold = low > 0.0 && end.value - 3.0 * end.error > 10.0 * low && lost;
    if !is_above && !is_tenfold {
        return None;
    }
    let sign = if is_above { Sign::AboveStart } else { Sign::TenfoldMinimum };
    let limit = if is_above { start.value + 0.1 * start.value.abs() } else { 10.0 * low };
    let crossed =
        smooth.iter().rposition(|&value| value <= limit).map_or(0, |at| (at + 1).min(smooth.len() - 1));
    let (at, before) =
        onset(&Curve { steps: curve.steps[..=crossed].to_vec(), values: curve.values[..=crossed].to_vec() })
            .unwrap_or((0, start.value));
    Some(Divergence { sign, began: curve.steps[at], plain: curve.steps[crossed], before, end: Some(end) })
}

/// The last point at which the loss was still at its lowest, and that loss, where it rose afterwards.
fn onset(curve: &Curve) -> Option<(usize, f64)> {
    let window = (curve.window() / 4).clamp(1, 5);
    let smooth = curve.smoothed(window);
    let low = smooth.iter().copied().fold(f64::INFINITY, f64::min);
    let reach = 3.0 * noise(&curve.values) / (window as f64).sqrt() + 1e-3 * low.abs();
    let at = smooth.iter().rposition(|&value| value <= low + reach)?;
    (smooth[smooth.len() - 1] > low + 2.0 * reach).then_some((at, low))
}
