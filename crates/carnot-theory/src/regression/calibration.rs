//! How right and how sure: accuracy, calibration and coverage, each with its error.

use carnot_math::stats::{Estimate, Moments};

use crate::error::{TheoryError, check, check_length};

/// Quality of predicted class probabilities against true labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Classified {
    /// Part of samples whose most probable class is right; the error is binomial, which is what a bootstrap over samples gives.
    pub accuracy: Estimate,
    /// Mean of −ln p(true class), in nats.
    pub negative_log_likelihood: Estimate,
    /// Expected calibration error: mean distance between confidence and accuracy over bins of confidence.
    pub calibration_error: Estimate,
    /// What the calibration error of perfect probabilities would be for so few samples: it is biased upwards by noise.
    pub calibration_noise: f64,
    /// The bins that are not empty, ascending.
    pub bins: Vec<Bin>,
}

/// Samples of similar confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Number of samples.
    pub count: usize,
    /// Mean probability of the chosen class.
    pub confidence: f64,
    /// Part of them that is right.
    pub accuracy: f64,
}

/// Number of bins of equal width in confidence.
pub const BINS: usize = 15;

/// Judges log-probabilities against labels.
///
/// $$ \mathrm{ECE} = \sum_b \frac{n_b}{n} |\mathrm{acc}_b - \mathrm{conf}_b| $$
///
/// The error of the calibration error is that of a sum of independent bins, each binomial; its noise floor is the mean of the same sum
/// when accuracy equals confidence in each bin.
///
/// * `log_probabilities`: `[samples, classes]`, row-major, from
///   [`class_log_probabilities`](super::probability::class_log_probabilities)
///
/// # Errors
/// [`TheoryError::Length`]; [`TheoryError::OutOfRange`] for labels that are no class, or no samples.
///
/// Source: Guo et al. 2017, arXiv:1706.04599, eq. 3. Checked by `tests/regression/classification.rs`.
pub fn classified(
    log_probabilities: &[f64],
    labels: &[u32],
    classes: usize,
) -> Result<Classified, TheoryError> {
    let samples = labels.len();
    check_labels(log_probabilities, labels, classes)?;
    let mut losses = Moments::default();
    let mut sums = [(0usize, 0.0f64, 0usize); BINS];
    for (row, &label) in log_probabilities.chunks(classes).zip(labels) {
        losses.push(-row[label as usize]);
        let chosen = (1..classes).fold(0, |top, at| if row[at] > row[top] { at } else { top });
        let confidence = row[chosen].exp().min(1.0);
        let bin = &mut sums[((confidence * BINS as f64) as usize).min(BINS - 1)];
        *bin = (bin.0 + 1, bin.1 + confidence, bin.2 + usize::from(chosen == label as usize));
    }
    let right: usize = sums.iter().map(|bin| bin.2).sum();
    let filled = sums.iter().filter(|bin| bin.0 > 0);
    let bins: Vec<Bin> = filled
        .map(|&(count, confidence, right)| Bin {
            count,
            confidence: confidence / count as f64,
            accuracy: right as f64 / count as f64,
        })
        .collect();
    let (calibration_error, calibration_noise) = calibration(&bins, samples);
    Ok(Classified {
        accuracy: frequency(right, samples),
        negative_log_likelihood: losses.estimate(),
        calibration_error,
        calibration_noise,
        bins,
    })
}

/// Accuracy that one network (one draw from the prediction) is expected to have: the mean probability of the true class.
///
/// Smaller than the accuracy of the mean of many networks, which [`classified`] gives.
///
/// * `log_probabilities`: `[samples, classes]`, row-major, from the variance over networks without noise
/// * returns: the mean over samples, with the standard error that their number leaves
///
/// # Errors
/// As [`classified`].
pub fn expected_accuracy(
    log_probabilities: &[f64],
    labels: &[u32],
    classes: usize,
) -> Result<Estimate, TheoryError> {
    check_labels(log_probabilities, labels, classes)?;
    let mut moments = Moments::default();
    for (row, &label) in log_probabilities.chunks(classes).zip(labels) {
        moments.push(row[label as usize].exp());
    }
    Ok(moments.estimate())
}

fn check_labels(log_probabilities: &[f64], labels: &[u32], classes: usize) -> Result<(), TheoryError> {
    check("samples", labels.len() as f64, !labels.is_empty(), "at least 1")?;
    check("classes", classes as f64, classes >= 2, "at least 2")?;
    check_length("log-probabilities", labels.len() * classes, log_probabilities.len())?;
    let known = |&label: &u32| {
        check("label", f64::from(label), (label as usize) < classes, "below the number of classes")
    };
    labels.iter().try_for_each(known)
}

fn calibration(bins: &[Bin], samples: usize) -> (Estimate, f64) {
    let (mut value, mut variance, mut noise) = (0.0, 0.0, 0.0);
    for bin in bins {
        let weight = bin.count as f64 / samples as f64;
        let binomial = |p: f64| p * (1.0 - p) / bin.count as f64;
        value += weight * (bin.accuracy - bin.confidence).abs();
        variance += weight * weight * binomial(bin.accuracy);
        noise += weight * (2.0 / std::f64::consts::PI * binomial(bin.confidence)).sqrt();
    }
    let error = variance.sqrt();
    (Estimate { value, error, spread: error * (samples as f64).sqrt(), n: samples as u64 }, noise)
}

/// Part of `samples` ≥ 1 for which something holds, with its binomial standard error.
///
/// $$ p \pm \sqrt{p(1-p)/n} $$
///
/// When all or none hold, the error is that of half a sample: (½/n) instead of the meaningless 0.
pub fn frequency(holds: usize, samples: usize) -> Estimate {
    let n = samples as f64;
    let p = holds as f64 / n;
    let spread = (p * (1.0 - p)).sqrt();
    let error = if holds == 0 || holds == samples { 0.5 / n } else { spread / n.sqrt() };
    Estimate { value: p, error, spread, n: samples as u64 }
}

/// Part of targets that lie inside of their intervals, as measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coverage {
    /// Inside ± 1 standard deviation; 0.6827 when bars are right.
    pub one_sigma: Estimate,
    /// Inside ± 1.96 standard deviations; 0.95 when bars are right.
    pub two_sided_95: Estimate,
}

/// Coverage of Gaussian intervals.
///
/// Outputs of one sample share their input, so the error is taken between samples.
///
/// * `residual`: target − mean, `[samples, outputs]`, row-major
/// * `variance`: of the targets (noise included), `[samples]`, > 0
/// * `scale`: factor on all variances, > 0; 1 for none
///
/// # Errors
/// [`TheoryError::Length`]; [`TheoryError::OutOfRange`].
pub fn coverage(
    residual: &[f64],
    variance: &[f64],
    outputs: usize,
    scale: f64,
) -> Result<Coverage, TheoryError> {
    check("scale of the variances", scale, scale > 0.0, "above zero")?;
    check_length("residuals", variance.len() * outputs, residual.len())?;
    variance.iter().try_for_each(|&v| check("variance", v, v > 0.0, "above zero"))?;
    let inside = |limit: f64| {
        let mut moments = Moments::default();
        for (row, &variance) in residual.chunks(outputs).zip(variance) {
            let bar = limit * (scale * variance).sqrt();
            moments.push(row.iter().filter(|r| r.abs() <= bar).count() as f64 / outputs as f64);
        }
        moments.estimate()
    };
    Ok(Coverage { one_sigma: inside(1.0), two_sided_95: inside(1.959_963_984_540_054) })
}
