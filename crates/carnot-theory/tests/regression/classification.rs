//! Class probabilities and their quality: closed forms, samples, and judges that are judged.

use carnot_math::random::Stream;
use carnot_math::stats::{Moments, ln_normal_cdf};
use carnot_theory::regression::calibration::{classified, coverage, expected_accuracy, frequency};
use carnot_theory::regression::labels::{centred_one_hot, decide};
use carnot_theory::regression::probability::class_log_probabilities;
use carnot_theory::regression::problem::{Predicted, Targets};

use crate::support::normals;

#[test]
fn two_classes_have_their_closed_form_far_into_the_tail() {
    for (difference, spread) in [(0.0, 1.0), (0.3, 0.7), (5.0, 0.5), (60.0, 1.0), (-2.0, 3.0)] {
        let got = class_log_probabilities(&[difference, 0.0], &[spread * spread], 2).unwrap();
        for (ln_p, sign) in got.iter().zip([1.0, -1.0]) {
            let expect = ln_normal_cdf(sign * difference / (spread * 2f64.sqrt()));
            assert!((ln_p - expect).abs() <= 1e-11 * expect.abs().max(1e-3), "{ln_p} {expect}");
        }
    }
}

#[test]
fn probabilities_sum_to_one_and_equal_classes_share() {
    let mean = normals(10 * 40, 1);
    let variance: Vec<f64> = (0..40).map(|i| 10f64.powi(i % 5 - 3)).collect();
    let got = class_log_probabilities(&mean, &variance, 10).unwrap();
    for row in got.chunks(10) {
        let sum: f64 = row.iter().map(|ln_p| ln_p.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
    }
    let equal = class_log_probabilities(&[0.4; 7], &[2.0], 7).unwrap();
    assert!(equal.iter().all(|ln_p| (ln_p + 7f64.ln()).abs() < 1e-13), "{equal:?}");
    let certain = class_log_probabilities(&[1.0, 3.0, 3.0], &[0.0], 3).unwrap();
    assert_eq!(certain, [f64::NEG_INFINITY, -(2f64.ln()), -(2f64.ln())]);
}

#[test]
fn samples_of_the_outputs_choose_classes_as_often_as_predicted() {
    let mean = [0.3, -0.2, 0.5, 0.1];
    let got = class_log_probabilities(&mean, &[0.36], 4).unwrap();
    let (draws, mut counts) = (40_000, [0usize; 4]);
    let mut stream = Stream::new(3, "argmax", &[]);
    for _ in 0..draws {
        let outputs: Vec<f64> = mean.iter().map(|m| m + 0.6 * stream.normal::<f64>()).collect();
        counts[decide(&outputs, 4)[0] as usize] += 1;
    }
    for (class, ln_p) in got.iter().enumerate() {
        let measured = frequency(counts[class], draws);
        let z = (measured.value - ln_p.exp()) / measured.error;
        assert!(z.abs() < 4.0, "class {class}: {} against {}, z = {z} (seed 3)", measured.value, ln_p.exp());
    }
}

#[test]
fn calibrated_probabilities_are_found_calibrated_and_others_not() {
    let (samples, classes) = (6000, 3);
    let mean = normals(samples * classes, 5);
    let log_p = class_log_probabilities(&mean, &vec![1.0; samples], classes).unwrap();
    let mut stream = Stream::new(6, "labels", &[]);
    let draw = |row: &[f64], stream: &mut Stream| {
        let mut left = stream.uniform();
        (0..row.len() - 1).find(|&c| {
            left -= row[c].exp();
            left < 0.0
        })
    };
    let labels: Vec<u32> =
        log_p.chunks(classes).map(|row| draw(row, &mut stream).unwrap_or(classes - 1) as u32).collect();
    let fair = classified(&log_p, &labels, classes).unwrap();
    // Accuracy is the mean confidence, the likelihood loss is the mean entropy.
    let confidence = fair.bins.iter().map(|b| b.count as f64 * b.confidence).sum::<f64>() / samples as f64;
    let z = (fair.accuracy.value - confidence) / fair.accuracy.error;
    assert!(z.abs() < 4.0, "accuracy {} confidence {confidence}", fair.accuracy.value);
    let mut entropy = Moments::default();
    log_p.chunks(classes).for_each(|row| entropy.push(-row.iter().map(|l| l * l.exp()).sum::<f64>()));
    let loss = fair.negative_log_likelihood;
    assert!(((loss.value - entropy.mean()) / loss.error).abs() < 4.0);
    let excess = (fair.calibration_error.value - fair.calibration_noise) / fair.calibration_error.error;
    assert!(excess.abs() < 4.0, "{:?} over noise {}", fair.calibration_error, fair.calibration_noise);
    // Twice too sure: the same means with a quarter of the variance.
    let bold = class_log_probabilities(&mean, &vec![0.1; samples], classes).unwrap();
    let bold = classified(&bold, &labels, classes).unwrap();
    assert!(bold.calibration_error.value > bold.calibration_noise + 10.0 * bold.calibration_error.error);
    assert!(bold.negative_log_likelihood.value > loss.value + 4.0 * loss.error);
    assert_eq!(bold.accuracy, fair.accuracy);
}

#[test]
fn single_networks_have_the_error_and_the_accuracy_expected_of_them() {
    let (samples, classes, draws) = (8, 4, 6000);
    let mean: Vec<f64> = normals(samples * classes, 20).iter().map(|m| 0.7 * m).collect();
    let variance: Vec<f64> = (0..samples).map(|i| 0.2 + 0.1 * i as f64).collect();
    let labels: Vec<u32> = (0..samples as u32).map(|i| i % 4).collect();
    let values = centred_one_hot(&labels, classes).unwrap();
    let log_p = class_log_probabilities(&mean, &variance, classes).unwrap();
    let accuracy = expected_accuracy(&log_p, &labels, classes).unwrap().value;
    let predicted = Predicted { mean: mean.clone(), variance: variance.clone(), covariance: None };
    let targets = Targets { values: &values, outputs: classes };
    let error = predicted.expected_squared_error(targets).unwrap().value;
    let (mut right, mut squares) = (Moments::default(), Moments::default());
    let mut stream = Stream::new(21, "networks", &[]);
    for _ in 0..draws {
        let noise = |(at, m): (usize, &f64)| m + variance[at / classes].sqrt() * stream.normal::<f64>();
        let outputs: Vec<f64> = mean.iter().enumerate().map(noise).collect();
        let hits = decide(&outputs, classes).iter().zip(&labels).filter(|(a, b)| a == b).count();
        right.push(hits as f64 / samples as f64);
        let sum: f64 = outputs.iter().zip(&values).map(|(z, y)| (z - y).powi(2)).sum();
        squares.push(sum / values.len() as f64);
    }
    for (what, moments, expect) in [("accuracy", right, accuracy), ("error", squares, error)] {
        let z = (moments.mean() - expect) / moments.error();
        assert!(z.abs() < 4.0, "{what}: {} against {expect}, z = {z} (seed 21)", moments.mean());
    }
    let unknown = Predicted { variance: vec![], ..predicted };
    assert!(unknown.expected_squared_error(targets).is_err());
}

#[test]
fn intervals_cover_what_they_say() {
    let (samples, outputs) = (3000, 2);
    let variance: Vec<f64> = (0..samples).map(|i| 0.1 + (i % 7) as f64).collect();
    let white = normals(samples * outputs, 7);
    let residual: Vec<f64> =
        white.iter().enumerate().map(|(at, x)| x * (2.0 * variance[at / outputs]).sqrt()).collect();
    let right = coverage(&residual, &variance, outputs, 2.0).unwrap();
    for (measured, expect) in [(right.one_sigma, 0.682689492137), (right.two_sided_95, 0.95)] {
        let z = (measured.value - expect) / measured.error;
        assert!(z.abs() < 4.0, "{} against {expect}, z = {z} (seed 7)", measured.value);
    }
    let narrow = coverage(&residual, &variance, outputs, 1.0).unwrap();
    assert!(narrow.one_sigma.value < 0.6);
}

#[test]
fn targets_of_classes_are_centred_and_decided_back() {
    let labels = [2, 0, 1, 2];
    let targets = centred_one_hot(&labels, 3).unwrap();
    assert!(targets.chunks(3).all(|row| row.iter().sum::<f64>().abs() < 1e-15));
    assert!((targets[2] - 2.0 / 3.0).abs() < 1e-15 && (targets[0] + 1.0 / 3.0).abs() < 1e-15);
    assert_eq!(decide(&targets, 3), labels);
    assert!(centred_one_hot(&[3], 3).is_err() && centred_one_hot(&[0], 1).is_err());
}
