//! How long a curve stayed at a loss.

use super::Curve;

/// A stretch of the curve near one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    /// First step.
    pub from: f64,
    /// Last step.
    pub to: f64,
}

impl Plateau {
    /// Its length in steps.
    #[must_use]
    pub fn steps(&self) -> f64 {
        self.to - self.from
    }
}

/// The stretch at the end of the curve in which the smoothed loss stays within `reach` of `value`.
#[must_use]
pub fn at_end(curve: &Curve, value: f64, reach: f64) -> Option<Plateau> {
    let near = nearness(curve, value, reach);
    let outside = near.iter().rposition(|near| !near).map_or(0, |at| at + 1);
    plateau(curve, outside, near.len())
}

/// The longest stretch in which the smoothed loss stays within `reach` of `value`.
#[must_use]
pub fn longest(curve: &Curve, value: f64, reach: f64) -> Option<Plateau> {
    let near = nearness(curve, value, reach);
    let (mut best, mut start) = ((0, 0), 0);
    for at in 0..=near.len() {
        if at == near.len() || !near[at] {
            if at - start > best.1 - best.0 {
                best = (start, at);
            }
            start = at + 1;
        }
    }
    plateau(curve, best.0, best.1)
}

fn nearness(curve: &Curve, value: f64, reach: f64) -> Vec<bool> {
    curve.smoothed(curve.window()).iter().map(|smooth| (smooth - value).abs() <= reach).collect()
}

fn plateau(curve: &Curve, start: usize, end: usize) -> Option<Plateau> {
    (end > start + 1).then(|| Plateau { from: curve.steps[start], to: curve.steps[end - 1] })
}
