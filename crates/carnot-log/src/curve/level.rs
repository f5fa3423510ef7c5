//! Where a curve stands at its end, and how steep it is there.

use super::Curve;
use super::robust::Line;

/// A number with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The value.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

/// The end of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Mean over the last window.
    pub mean: Measured,
    /// Change per step over the last part, negative when it falls.
    pub slope: Measured,
    /// First step of the window.
    pub from: f64,
    /// Last step.
    pub to: f64,
    /// Standard deviation of single points.
    pub scatter: f64,
}

/// The end of a curve: its level over the smoothing window, its slope over the last fifth; of finite points only.
#[must_use]
pub fn level(curve: &Curve) -> Option<Level> {
    let n = curve.len();
    let window = curve.window();
    let end = curve.from(n.saturating_sub(window));
    let line = Line::through(&end.steps, &end.values)?;
    let part = curve.from(n.saturating_sub(window.max(n / 5)));
    let trend = Line::through(&part.steps, &part.values)?;
    Some(Level {
        mean: Measured { value: line.mean, error: line.mean_error },
        slope: Measured { value: trend.slope, error: trend.slope_error },
        from: end.steps[0],
        to: end.steps[end.len() - 1],
        scatter: line.scatter,
    })
}

/// The mean of a stretch of the curve, from one step to another.
#[must_use]
pub fn between(curve: &Curve, from: f64, to: f64) -> Option<Measured> {
    let inside = |step: &f64| *step >= from && *step <= to;
    let (x, y): (Vec<f64>, Vec<f64>) =
        curve.steps.iter().zip(&curve.values).filter(|(step, _)| inside(step)).map(|(s, v)| (*s, *v)).unzip();
    if let Some(line) = Line::through(&x, &y) {
        return Some(Measured { value: line.mean, error: line.mean_error });
    }
    let noise = super::robust::noise(&curve.values);
    let n = y.len() as f64;
    (!y.is_empty()).then(|| Measured { value: y.iter().sum::<f64>() / n, error: noise / n.sqrt() })
}
