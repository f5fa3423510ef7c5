//! Sudden rises of a loss, and whether they were made good.

use super::Curve;
use super::level::level;
use super::robust::{median, spread};

/// A sudden rise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spike {
    /// The first step of it.
    pub from: f64,
    /// The step at which it was highest.
    pub top: f64,
    /// The loss there.
    pub height: f64,
    /// The loss before: the median of the steps before it.
    pub before: f64,
    /// Standard deviation of single points about that.
    pub noise: f64,
    /// The first step at which the loss is back; `None` when it never is.
    pub back: Option<f64>,
}

/// A point this many standard deviations above the median before it is no chance.
const HIGH: f64 = 6.0;
/// Share of the whole fall that a spike must undo to matter.
const SHARE: f64 = 0.05;
/// Steps over which the loss before is taken.
const BEFORE: f64 = 200.0;

/// Sudden rises by more than six standard deviations and a twentieth of all that was learned. In a log of every step one
/// wild batch is no spike: at least two or three points in a row must stand out.
///
/// * `curve`: finite points
#[must_use]
pub fn spikes(curve: &Curve) -> Vec<Spike> {
    let n = curve.len();
    if n < 20 {
        return Vec::new();
    }
    let needed = if n >= 300 {
        3
    } else if n >= 100 {
        2
    } else {
        1
    };
    let before = curve.points_in(BEFORE, 10, (n / 4).max(10));
    let high = median(&curve.values[..n.min(5)]);
    let low = curve.smoothed((curve.window() / 2).max(3)).into_iter().fold(f64::INFINITY, f64::min);
    let matters = SHARE * (high - low).max(0.0);
    let mut found: Vec<Spike> = Vec::new();
    let mut at = before;
    while at + needed <= n {
        let past = &curve.values[at - before..at];
        let base = median(past);
        let noise = spread(past, base).max(1e-4 * base.abs());
        let rise = (HIGH * noise).max(matters).max(1e-12);
        let stands_out = curve.values[at..at + needed]
            .iter()
            .all(|value| value - base > rise.min(HIGH * noise).max(matters));
        if !stands_out || curve.values[at] - base < rise {
            at += 1;
            continue;
        }
        let (end, back) = return_of(curve, at, base, noise);
        let top = (at..end).max_by(|&a, &b| curve.values[a].total_cmp(&curve.values[b])).unwrap_or(at);
        found.push(Spike {
            from: curve.steps[at],
            top: curve.steps[top],
            height: curve.values[top],
            before: base,
            noise,
            back: back.map(|at| curve.steps[at]),
        });
        // The loss before the next one must not hold this one.
        at = end.max(at + needed) + needed;
        if back.is_none() {
            break;
        }
        at = at.max((end + before / 4).min(n));
    }
    found
}

/// The point from which on the loss is back near what it was, and the end of the spike.
fn return_of(curve: &Curve, at: usize, base: f64, noise: f64) -> (usize, Option<usize>) {
    let n = curve.len();
    let width = if n >= 100 { 3 } else { 1 };
    for start in at + 1..n {
        let end = (start + width).min(n);
        let mean = curve.values[start..end].iter().sum::<f64>() / (end - start) as f64;
        if mean <= base + 2.0 * noise {
            return (start, Some(start));
        }
    }
    // The very end may be back within its error though single points are not.
    let is_back =
        level(curve).is_some_and(|level| level.mean.value <= base + 2.0 * level.mean.error.max(noise / 2.0));
    (n, is_back.then_some(n - 1))
}
