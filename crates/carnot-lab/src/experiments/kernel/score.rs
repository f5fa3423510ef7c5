//! How good predictions are, on samples whose targets are known.

use carnot_math::stats::Moments;
use carnot_net::dataset::{Dataset, Targets as Wanted};
use carnot_theory::regression::calibration::{classified, coverage, frequency};
use carnot_theory::regression::labels::decide;
use carnot_theory::regression::probability::class_log_probabilities;
use carnot_theory::regression::problem::Predicted;

use super::answer::{Measured, Scores};
use super::data;
use crate::error::LabError;

/// Scores of predictions `[samples, outputs]` for the samples of `data`, in their order.
///
/// * `found.variance`: of each sample, or empty when only means were predicted
/// * `noise`: variance that targets have beside the function's
/// * `scale`: factor on all variances, by which samples left out were found to lie off
///
/// # Errors
/// When sizes do not fit.
pub fn scores(data: &Dataset, found: &Predicted, noise: f64, scale: f64) -> Result<Scores, LabError> {
    let (values, outputs) = data::targets(data).unwrap_or_default();
    let squares: Vec<f64> = found
        .mean
        .chunks(outputs)
        .zip(values.chunks(outputs))
        .map(|(mean, wanted)| {
            mean.iter().zip(wanted).map(|(m, y)| (m - y) * (m - y)).sum::<f64>() / outputs as f64
        })
        .collect();
    let mut scores = Scores {
        error: mean(&squares),
        accuracy: None,
        one_error: None,
        one_accuracy: None,
        surprise: None,
        calibration: None,
        within_one: None,
        within_two: None,
    };
    let variance: Vec<f64> = found.variance.iter().map(|v| scale * (v + noise)).collect();
    let has_bars = !variance.is_empty() && variance.iter().all(|&v| v > 0.0);
    if let Wanted::Classes { labels, classes } = &data.targets {
        if has_bars && *classes > 1 {
            let probabilities = class_log_probabilities(&found.mean, &variance, *classes)?;
            let quality = classified(&probabilities, labels, *classes)?;
            scores.accuracy = Some(quality.accuracy.into());
            let right = |(row, &label): (&[f64], &u32)| row[label as usize].exp();
            let right: Vec<f64> = probabilities.chunks(*classes).zip(labels).map(right).collect();
            scores.one_accuracy = Some(mean(&right));
            scores.surprise = Some(quality.negative_log_likelihood.into());
            scores.calibration = Some(quality.calibration_error.into());
        } else {
            let right = decide(&found.mean, *classes).iter().zip(labels).filter(|(a, b)| a == b).count();
            let share = frequency(right, labels.len());
            scores.accuracy = Some(share.into());
        }
    }
    if has_bars {
        let both: Vec<f64> = squares.iter().zip(&variance).map(|(square, v)| square + v).collect();
        scores.one_error = Some(mean(&both));
        let residual: Vec<f64> = values.iter().zip(&found.mean).map(|(y, m)| y - m).collect();
        let inside = coverage(&residual, &variance, outputs, 1.0)?;
        scores.within_one = Some(inside.one_sigma.into());
        scores.within_two = Some(inside.two_sided_95.into());
    }
    Ok(scores)
}

fn mean(values: &[f64]) -> Measured {
    let moments = Moments::of(values);
    // One sample has no spread.
    Measured { value: moments.mean(), error: if values.len() > 1 { moments.error() } else { 0.0 } }
}
