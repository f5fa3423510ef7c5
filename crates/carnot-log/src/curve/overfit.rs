//! Validation that turns while training goes on.

use super::Curve;
use super::level::{Measured, between};
use super::robust::noise;

/// A validation loss that had its minimum before the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overfit {
    /// The step of the minimum.
    pub best_step: f64,
    /// The validation loss there.
    pub best: Measured,
    /// The validation loss at the end.
    pub end: Measured,
    /// What was lost since, with its error.
    pub lost: Measured,
    /// How much the training loss moved since; negative when it fell.
    pub train: Measured,
}

/// Does validation rise while training falls? By more than 2 %, four standard errors, and three standard deviations of what
/// is smoothed, since the lowest of many noisy points is low by chance.
///
/// * `train`, `validation`: finite points
/// * returns: `None` when not, or with fewer than six validations, three of them after the minimum
#[must_use]
pub fn overfit(train: &Curve, validation: &Curve) -> Option<Overfit> {
    let n = validation.len();
    if n < 6 {
        return None;
    }
    let width = (n / 20).max(1);
    let smooth: Vec<f64> = (0..n)
        .map(|at| {
            let part = &validation.values[at.saturating_sub(width)..(at + width + 1).min(n)];
            part.iter().sum::<f64>() / part.len() as f64
        })
        .collect();
    let at = (0..n).min_by(|&a, &b| smooth[a].total_cmp(&smooth[b]))?;
    if at + 3 >= n {
        return None;
    }
    let scatter = noise(&validation.values);
    let of = |from: usize, to: usize| {
        let values = &validation.values[from..to];
        let count = values.len() as f64;
        Measured { value: values.iter().sum::<f64>() / count, error: scatter / count.sqrt() }
    };
    let best = of(at.saturating_sub(width), (at + width + 1).min(n));
    let end = of(n - (n / 10).clamp(2, n - at - 1), n);
    let lost = Measured { value: end.value - best.value, error: end.error.hypot(best.error) };
    let blurred = scatter / ((2 * width + 1) as f64).sqrt();
    let is_lost =
        lost.value > 4.0 * lost.error && lost.value > 3.0 * blurred && lost.value > 0.02 * best.value.abs();
    let (first, last) = (validation.steps[at], validation.steps[n - 1]);
    let reach = (last - first) / 5.0;
    let then = between(train, first - reach / 2.0, first + reach / 2.0)?;
    let now = between(train, last - reach, f64::INFINITY)?;
    let train = Measured { value: now.value - then.value, error: now.error.hypot(then.error) };
    (is_lost && train.value < -2.0 * train.error).then_some(Overfit {
        best_step: first,
        best,
        end,
        lost,
        train,
    })
}
