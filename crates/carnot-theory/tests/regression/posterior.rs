//! The Bayesian posterior: against the small reference, and against functions drawn from the prior.

use carnot_math::linalg;
use carnot_math::stats::Moments;
use carnot_theory::inference;
use carnot_theory::regression::posterior::Posterior;
use carnot_theory::regression::problem::{Prior, Ridge, Targets};

use crate::support::{assert_close, normals, toy};

#[test]
fn the_small_reference_is_reproduced() {
    for (outputs, noise) in [(1, 0.3), (4, 1e-3)] {
        let toy = toy(30, 7, 1.0, 1);
        let values = normals(30 * outputs, 2);
        let (train, test): (Vec<usize>, Vec<usize>) = (0..37).partition(|&i| i < 30);
        let joint = toy.joint();
        let split = inference::Split {
            kernel: &joint,
            samples: 37,
            train: &train,
            test: &test,
            targets: &values,
            outputs,
        };
        let expect = inference::posterior(split, noise).unwrap();
        let targets = Targets { values: &values, outputs };
        let posterior = Posterior::fit(toy.inner.clone(), 30, targets, Ridge::Absolute(noise)).unwrap();
        let got = posterior.predict(&toy.cross, Prior::Full(&toy.outer)).unwrap();
        assert_close("mean", &got.mean, &expect.prediction.mean, 1e-9);
        assert_close("covariance", &got.covariance.unwrap(), &expect.prediction.covariance, 1e-10);
        let off = posterior.log_evidence().unwrap() / expect.log_evidence - 1.0;
        assert!(off.abs() < 1e-11, "{off}");
        let diagonal: Vec<f64> = (0..7).map(|i| toy.outer[i * 8]).collect();
        let short = posterior.predict(&toy.cross, Prior::Variances(&diagonal)).unwrap();
        assert_close("variance", &short.variance, &got.variance, 1e-14);
        assert_close("mean without variances", &short.mean, &got.mean, 0.0);
        assert!(posterior.predict(&toy.cross, Prior::Unknown).unwrap().variance.is_empty());
    }
}

#[test]
fn functions_drawn_from_the_prior_lie_as_far_from_the_mean_as_the_bars_say() {
    let (toy, noise, draws) = (toy(25, 6, 0.8, 3), 0.05f64, 2000);
    let total = toy.train + toy.test;
    let mut joint = toy.joint();
    (0..total).for_each(|i| joint[i * (total + 1)] += 1e-10);
    let root = linalg::cholesky(&joint, total).unwrap();
    let mut squares = Moments::default();
    let mut evidence = Moments::default();
    let mut expected_evidence = 0.0;
    for draw in 0..draws {
        let white = normals(total + toy.train, 100 + draw);
        let function = |i: usize| (0..=i).map(|j| root[i * total + j] * white[j]).sum::<f64>();
        let values: Vec<f64> =
            (0..toy.train).map(|i| function(i) + noise.sqrt() * white[total + i]).collect();
        let targets = Targets { values: &values, outputs: 1 };
        let posterior =
            Posterior::fit(toy.inner.clone(), toy.train, targets, Ridge::Absolute(noise)).unwrap();
        let got = posterior.predict(&toy.cross, Prior::Full(&toy.outer)).unwrap();
        // χ² of the whole vector of test values, which knows the covariance and not only its diagonal.
        let off: Vec<f64> = (0..toy.test).map(|b| function(toy.train + b) - got.mean[b]).collect();
        let covariance = got.covariance.unwrap();
        let solved = linalg::solve_spd(&covariance, toy.test, &off).unwrap();
        squares.push(off.iter().zip(&solved).map(|(a, b)| a * b).sum());
        evidence.push(posterior.log_evidence().unwrap());
        let mut noisy = toy.inner.clone();
        (0..toy.train).for_each(|i| noisy[i * (toy.train + 1)] += noise);
        let n = toy.train as f64;
        expected_evidence =
            -0.5 * (n + linalg::ln_det(&noisy, toy.train).unwrap() + n * std::f64::consts::TAU.ln());
    }
    let z = (squares.mean() - toy.test as f64) / squares.error();
    assert!(z.abs() < 4.0, "χ² is {} for {} test samples, z = {z} (seeds 100…)", squares.mean(), toy.test);
    let z = (evidence.mean() - expected_evidence) / evidence.error();
    assert!(z.abs() < 4.0, "ln p is {}, expected {expected_evidence}, z = {z}", evidence.mean());
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let toy = toy(300, 40, 0.5, 5);
    let values = normals(300 * 3, 6);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let targets = Targets { values: &values, outputs: 3 };
            let fit = Posterior::fit(toy.inner.clone(), 300, targets, Ridge::Relative(1e-4)).unwrap();
            let got = fit.predict(&toy.cross, Prior::Full(&toy.outer)).unwrap();
            (got, fit.log_evidence().unwrap().to_bits(), fit.leave_one_out().unwrap())
        })
    };
    assert!(run(1) == run(2) && run(1) == run(5));
}
