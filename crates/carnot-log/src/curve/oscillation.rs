//! A swing at constant level: a period in what is left when the trend is taken off.

use super::Curve;
use super::robust::Line;

/// A swing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Oscillation {
    /// Its period in logged points, 2 and more.
    pub period: f64,
    /// Half the distance between its turning points.
    pub amplitude: f64,
    /// Share of the variance that it explains.
    pub share: f64,
    /// Chance of so large a share in noise without a period.
    pub chance: f64,
}

/// Points that are looked at, at most and at least.
const MOST: usize = 512;
const FEWEST: usize = 32;
/// Longest period that a step that is too large makes; longer ones follow the order of the data.
const LONGEST: f64 = 8.0;

/// The strongest period of the last third of the curve, where it is no chance (Fisher's test, 10⁻⁴), at most eight points
/// long, and explains two fifths of the variance; `None` while the level still moves by more than the swing.
///
/// * `curve`: finite points
///
/// Source: Fisher, *Tests of significance in harmonic analysis*, 1929.
#[must_use]
pub fn oscillation(curve: &Curve) -> Option<Oscillation> {
    let n = curve.len();
    let part = curve.from(n - (n / 3).clamp(FEWEST.min(n), MOST));
    let line = Line::through(&part.steps, &part.values)?;
    if part.len() < FEWEST {
        return None;
    }
    let left: Vec<f64> = part.steps.iter().zip(&part.values).map(|(x, y)| y - line.at(*x).0).collect();
    let total: f64 = left.iter().map(|x| x * x).sum();
    let moved = line.slope.abs() * (part.steps[part.len() - 1] - part.steps[0]);
    if total <= 0.0 {
        return None;
    }
    let n = left.len();
    let most = n / 2;
    let power = |k: usize| {
        let angle = std::f64::consts::TAU * k as f64 / n as f64;
        let (mut a, mut b) = (0.0, 0.0);
        for (at, value) in left.iter().enumerate() {
            let (sin, cos) = (angle * at as f64).sin_cos();
            a += value * cos;
            b += value * sin;
        }
        // At the shortest period of two points sine and cosine are the same.
        let once = if 2 * k == n { 1.0 } else { 2.0 };
        once * (a * a + b * b) / n as f64
    };
    let (k, best) = (1..=most).map(|k| (k, power(k))).max_by(|a, b| a.1.total_cmp(&b.1))?;
    let (period, share) = (n as f64 / k as f64, best / total);
    let chance = most as f64 * (1.0 - share).max(0.0).powi(most as i32 - 1);
    let once = if 2 * k == n { 1.0 } else { 2.0 };
    let amplitude = (once * best / n as f64).sqrt();
    let is_swing = share > 0.4 && chance < 1e-4 && period <= LONGEST && moved < 2.0 * amplitude;
    is_swing.then_some(Oscillation { period, amplitude, share, chance })
}
