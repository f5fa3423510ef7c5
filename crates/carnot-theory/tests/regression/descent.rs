//! Gradient descent: against the small reference, and against real linear models that are really trained.

use carnot_math::stats::{Moments, chi_squared_tail};
use carnot_theory::inference::{self, Duration};
use carnot_theory::regression::descent::{Descent, Loss, Start};
use carnot_theory::regression::modes::Modes;
use carnot_theory::regression::problem::{Prior, Ridge, Targets};

use crate::support::{assert_close, normals, toy};

#[test]
fn the_small_reference_is_reproduced_at_every_time() {
    let (kernel, tangent) = (toy(20, 5, 1.5, 1), toy(20, 5, 0.7, 1));
    let values = normals(40, 2);
    let (train, test): (Vec<usize>, Vec<usize>) = (0..25).partition(|&i| i < 20);
    let (k, theta) = (kernel.joint(), tangent.joint());
    let split = inference::Split {
        kernel: &k,
        samples: 25,
        train: &train,
        test: &test,
        targets: &values,
        outputs: 2,
    };
    let modes = Modes::of(&tangent.inner, 20).unwrap();
    let targets = Targets { values: &values, outputs: 2 };
    let durations = [
        Duration::Converged,
        Duration::Flow(0.0),
        Duration::Flow(0.7),
        Duration::Flow(300.0),
        Duration::Steps { rate: 0.1, steps: 1 },
        Duration::Steps { rate: 0.1, steps: 37 },
    ];
    for duration in durations {
        let expect = inference::descent(split, &theta, duration).unwrap();
        let check = |loss, duration| {
            let descent = Descent::new(&modes, targets, Ridge::Absolute(0.0), loss).unwrap();
            let start =
                |prior| Start::Ensemble { train: &kernel.inner, cross: &kernel.cross, prior, noise: 0.0 };
            let got = descent.predict(&tangent.cross, start(Prior::Full(&kernel.outer)), duration).unwrap();
            let what = format!("{loss:?} {duration:?}");
            assert_close(&what, &got.mean, &expect.mean, 1e-10);
            assert_close(&what, &got.covariance.unwrap(), &expect.covariance, 1e-10);
            let diagonal = vec![1.0; 5];
            let short =
                descent.predict(&tangent.cross, start(Prior::Variances(&diagonal)), duration).unwrap();
            assert_close(&what, &short.variance, &got.variance, 1e-12);
            let still = descent.predict(&tangent.cross, Start::Zero, duration).unwrap();
            assert_close(&what, &still.mean, &got.mean, 0.0);
            assert!(still.variance.iter().all(|&v| v == 0.0));
        };
        check(Loss::Sum, duration);
        // 20 samples × 2 outputs: the mean loss is 40 times slower.
        check(
            Loss::Mean,
            match duration {
                Duration::Flow(time) => Duration::Flow(40.0 * time),
                Duration::Steps { rate, steps } => Duration::Steps { rate: 40.0 * rate, steps },
                Duration::Converged => Duration::Converged,
            },
        );
    }
}

/// Linear model z = Σ φ_k θ_k with its own rate and initial variance for each parameter.
struct Model {
    /// `[samples, parameters]`
    features: Vec<f64>,
    rates: Vec<f64>,
    variances: Vec<f64>,
}

impl Model {
    fn new(samples: usize, parameters: usize) -> Self {
        Self {
            features: normals(samples * parameters, 11),
            rates: (0..parameters).map(|k| 0.2 + 0.1 * k as f64).collect(),
            variances: (0..parameters).map(|k| 1.5 / (1.0 + k as f64)).collect(),
        }
    }

    fn gram(
        &self,
        weights: &[f64],
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
    ) -> Vec<f64> {
        let p = weights.len();
        let entry = |i: usize, j: usize| {
            (0..p).map(|k| self.features[i * p + k] * weights[k] * self.features[j * p + k]).sum::<f64>()
        };
        rows.flat_map(|i| columns.clone().map(move |j| (i, j))).map(|(i, j)| entry(i, j)).collect()
    }

    fn output(&self, theta: &[f64], sample: usize) -> f64 {
        self.features[sample * theta.len()..].iter().zip(theta).map(|(f, t)| f * t).sum()
    }

    /// Plain gradient descent, one parameter at a time, with a pull to the start.
    fn train(&self, start: &[f64], targets: &[f64], rate: f64, steps: u32, ridge: f64) -> Vec<f64> {
        let p = start.len();
        let mut theta = start.to_vec();
        for _ in 0..steps {
            let errors: Vec<f64> =
                targets.iter().enumerate().map(|(i, y)| self.output(&theta, i) - y).collect();
            for k in 0..p {
                let slope: f64 = errors.iter().enumerate().map(|(i, e)| e * self.features[i * p + k]).sum();
                theta[k] -= rate * (self.rates[k] * slope + ridge * (theta[k] - start[k]));
            }
        }
        theta
    }
}

#[test]
fn real_linear_models_end_where_predicted_and_spread_as_predicted() {
    let (samples, tests, parameters) = (6, 2, 9);
    let model = Model::new(samples + tests, parameters);
    let values = normals(samples, 12);
    let (a, b) = (0..samples, samples..samples + tests);
    let theta_aa = model.gram(&model.rates, a.clone(), a.clone());
    let theta_ba = model.gram(&model.rates, b.clone(), a.clone());
    let k_aa = model.gram(&model.variances, a.clone(), a.clone());
    let k_ba = model.gram(&model.variances, b.clone(), a.clone());
    let k_bb = model.gram(&model.variances, b.clone(), b.clone());
    let modes = Modes::of(&theta_aa, samples).unwrap();
    let targets = Targets { values: &values, outputs: 1 };
    for (steps, ridge) in [(3, 0.0), (40, 0.0), (15, 0.8)] {
        let rate = 0.02;
        let descent = Descent::new(&modes, targets, Ridge::Absolute(ridge), Loss::Sum).unwrap();
        assert!(descent.largest_rate() > rate);
        let start = Start::Ensemble { train: &k_aa, cross: &k_ba, prior: Prior::Full(&k_bb), noise: 0.0 };
        let got = descent.predict(&theta_ba, start, Duration::Steps { rate, steps }).unwrap();
        // From zero the model is deterministic: its outputs are the mean.
        let theta = model.train(&vec![0.0; parameters], &values, rate, steps, ridge);
        let outputs: Vec<f64> = b.clone().map(|i| model.output(&theta, i)).collect();
        assert_close("mean", &got.mean, &outputs, 1e-11);
        let mut squares = Moments::default();
        let covariance = got.covariance.unwrap();
        for member in 0..3000 {
            let white = normals(parameters, 5000 + member);
            let start: Vec<f64> = white.iter().zip(&model.variances).map(|(x, v)| x * v.sqrt()).collect();
            let theta = model.train(&start, &values, rate, steps, ridge);
            let off: Vec<f64> = b.clone().map(|i| model.output(&theta, i) - got.mean[i - samples]).collect();
            let solved = carnot_math::linalg::solve_spd(&covariance, tests, &off).unwrap();
            squares.push(off.iter().zip(&solved).map(|(x, y)| x * y).sum());
        }
        let z = (squares.mean() - tests as f64) / squares.error();
        assert!(
            z.abs() < 4.0,
            "χ² {} for {tests} outputs, z = {z}, {steps} steps, ridge {ridge}",
            squares.mean()
        );
        let tail = chi_squared_tail(3000.0 * squares.mean(), 3000.0 * tests as f64);
        assert!(tail > 1e-4 && tail < 1.0 - 1e-4, "{tail}");
    }
}

#[test]
fn repeated_inputs_with_different_targets_are_averaged() {
    let kernel = [1.0, 1.0, 0.2, 1.0, 1.0, 0.2, 0.2, 0.2, 1.0];
    let modes = Modes::of(&kernel, 3).unwrap();
    let targets = Targets { values: &[1.0, 2.0, 0.0], outputs: 1 };
    let descent = Descent::new(&modes, targets, Ridge::Absolute(0.0), Loss::Sum).unwrap();
    let got = descent.predict(&[1.0, 1.0, 0.2], Start::Zero, Duration::Converged).unwrap();
    assert_close("average", &got.mean, &[1.5], 1e-12);
}
