//! A loss over the steps → what happened in it. Every number has its error, and neighbouring steps are not taken for
//! independent ones.
//!
//! | module | one job |
//! |---|---|
//! | [`robust`] | medians, spreads, straight lines |
//! | [`level`] | where the curve stands at its end, and how steep it is |
//! | [`plateau`] | how long it stayed at a loss |
//! | [`divergence`] | when it blew up |
//! | [`spike`] | sudden rises, and whether they were made good |
//! | [`oscillation`] | a swing at constant level |
//! | [`overfit`] | validation that turns while training goes on |
//! | [`ahead`] | where it would be after as many steps again |

pub mod ahead;
pub mod divergence;
pub mod level;
pub mod oscillation;
pub mod overfit;
pub mod plateau;
pub mod robust;
pub mod spike;

use crate::log::Series;

/// Fewest points of which anything is said.
pub const FEWEST: usize = 10;

/// A curve over strictly ascending steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// Steps.
    pub steps: Vec<f64>,
    /// Values; some may not be finite.
    pub values: Vec<f64>,
}

impl Curve {
    /// Of a series.
    #[must_use]
    pub fn of(series: &Series) -> Curve {
        Curve { steps: series.steps.clone(), values: series.values.clone() }
    }

    /// Its finite points alone.
    #[must_use]
    pub fn finite(&self) -> Curve {
        let (steps, values) = self
            .steps
            .iter()
            .zip(&self.values)
            .filter(|(_, value)| value.is_finite())
            .map(|(s, v)| (*s, *v))
            .unzip();
        Curve { steps, values }
    }

    /// Number of points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Without points?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Points of the smoothing window: those of max(20, T/20) steps, at least 5 and at most a fifth of all.
    ///
    /// A log that is written every 100 steps has few points in so many steps; then the window is longer.
    #[must_use]
    pub fn window(&self) -> usize {
        let (Some(first), Some(last)) = (self.steps.first(), self.steps.last()) else { return 1 };
        let span = last - first;
        let between = span / (self.len().max(2) - 1) as f64;
        let wanted = (span / 20.0).max(20.0) / between.max(f64::MIN_POSITIVE);
        (wanted.round() as usize).min(self.len() / 5).max(5).min(self.len().max(1))
    }

    /// Points of about so many steps, between bounds.
    #[must_use]
    pub fn points_in(&self, steps: f64, fewest: usize, most: usize) -> usize {
        let (Some(first), Some(last)) = (self.steps.first(), self.steps.last()) else { return fewest };
        let between = (last - first) / (self.len().max(2) - 1) as f64;
        ((steps / between.max(f64::MIN_POSITIVE)).round() as usize).clamp(fewest, most.max(fewest))
    }

    /// The part from one point on.
    #[must_use]
    pub fn from(&self, start: usize) -> Curve {
        let start = start.min(self.len());
        Curve { steps: self.steps[start..].to_vec(), values: self.values[start..].to_vec() }
    }

    /// Means over the last `window` points up to each.
    #[must_use]
    pub fn smoothed(&self, window: usize) -> Vec<f64> {
        let mut sums = vec![0.0];
        for value in &self.values {
            sums.push(sums[sums.len() - 1] + value);
        }
        let mean = |at: usize| {
            let start = (at + 1).saturating_sub(window.max(1));
            // Differences of running sums lose digits where a huge value came before.
            let exact = self.values[start..=at].iter().copied();
            match sums[at + 1].abs() < 1e6 * sums.len() as f64 {
                true => (sums[at + 1] - sums[start]) / (at + 1 - start) as f64,
                false => exact.sum::<f64>() / (at + 1 - start) as f64,
            }
        };
        (0..self.len()).map(mean).collect()
    }

    /// The loss at the start with its error: the first point, or the mean of the first few where a rate that warms up leaves
    /// them alike.
    #[must_use]
    pub fn start(&self) -> Option<level::Measured> {
        let first = *self.values.first()?;
        let near = &self.values[..self.len().min(6)];
        let noise = robust::noise(near).max(robust::noise(&self.values[..self.len().min(40)]));
        Some(level::Measured { value: first, error: noise })
    }
}
