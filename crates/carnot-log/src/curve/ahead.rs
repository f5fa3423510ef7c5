//! Where a curve would be after as many steps again.

use super::Curve;
use super::level::{Measured, level};
use super::robust::Line;

/// A curve that still falls at its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ahead {
    /// Change per step at the end.
    pub slope: Measured,
    /// The step that is looked at.
    pub step: f64,
    /// The loss expected there.
    pub loss: Measured,
}

/// A loss that falls at its end by more than four standard errors of the slope, carried on to `step`.
///
/// The loss is fitted against ln(step) over the last half and over the last quarter, as power laws with small exponents are
/// nearly straight there. The two differ by what the curve bends, which goes on: three quarters of it again are added, and all
/// of it is part of the error. The three quarters were chosen on power laws.
///
/// * `curve`: finite points
/// * `step`: beyond the end
#[must_use]
pub fn ahead(curve: &Curve, step: f64) -> Option<Ahead> {
    let level = level(curve)?;
    let n = curve.len();
    let is_falling = level.slope.value < -4.0 * level.slope.error;
    let last = *curve.steps.last()?;
    if !is_falling || n < 20 || step <= last {
        return None;
    }
    let first = curve.steps[0].min(0.0);
    let fit = |start: usize| {
        let part = curve.from(start);
        let x: Vec<f64> = part.steps.iter().map(|step| (step - first + 1.0).ln()).collect();
        Line::through(&x, &part.values).map(|line| line.at((step - first + 1.0).ln()))
    };
    let (half, quarter) = (fit(n / 2)?, fit(n - n / 4)?);
    let bent = quarter.0 - half.0;
    let error = (1.75 * quarter.1).hypot(0.75 * half.1).hypot(bent);
    let loss = Measured { value: quarter.0 + 0.75 * bent, error };
    (loss.value < level.mean.value).then_some(Ahead { slope: level.slope, step, loss })
}
