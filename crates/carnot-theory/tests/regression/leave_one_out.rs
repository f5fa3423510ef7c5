//! Leave-one-out and the choice of the ridge: against refits, and against data whose noise is known.

use carnot_math::linalg;
use carnot_math::stats::Moments;
use carnot_theory::regression::choose::{Criterion, best, scores};
use carnot_theory::regression::modes::Modes;
use carnot_theory::regression::posterior::Posterior;
use carnot_theory::regression::problem::{Prior, Ridge, Targets};

use crate::support::{assert_close, block, normals, toy};

#[test]
fn leaving_out_equals_refitting() {
    let (n, outputs, noise) = (18, 3, 0.07);
    let toy = toy(n, 1, 1.0, 1);
    let values = normals(n * outputs, 2);
    let targets = Targets { values: &values, outputs };
    let ridge = Ridge::Absolute(noise);
    let loo = Posterior::fit(toy.inner.clone(), n, targets, ridge).unwrap().leave_one_out().unwrap();
    let mut density = 0.0;
    for out in 0..n {
        let rest: Vec<usize> = (0..n).filter(|&i| i != out).collect();
        let kept: Vec<f64> =
            rest.iter().flat_map(|&i| values[i * outputs..(i + 1) * outputs].to_vec()).collect();
        let refit = Posterior::fit(
            block(&toy.inner, n, &rest, &rest),
            n - 1,
            Targets { values: &kept, outputs },
            ridge,
        )
        .unwrap();
        let got = refit.predict(&block(&toy.inner, n, &[out], &rest), Prior::Variances(&[1.0])).unwrap();
        assert_close("mean", &loo.mean[out * outputs..(out + 1) * outputs], &got.mean, 1e-10);
        let variance = got.variance[0] + noise;
        assert_close("variance", &[loo.variance[out]], &[variance], 1e-11);
        for o in 0..outputs {
            let off = values[out * outputs + o] - got.mean[o];
            density -= 0.5 * ((std::f64::consts::TAU * variance).ln() + off * off / variance);
        }
    }
    let mean = density / (n * outputs) as f64;
    assert_close("density", &[loo.log_density().value], &[mean], 1e-10);
    // The scale is where the density, as a function of it, is largest.
    let scale = loo.variance_scale().value;
    let at = |scale: f64| {
        let mut moved = loo.clone();
        moved.variance.iter_mut().for_each(|v| *v *= scale);
        moved.log_density().value
    };
    assert!(at(scale) > at(1.01 * scale) && at(scale) > at(0.99 * scale));
}

#[test]
fn a_grid_from_one_decomposition_equals_a_factorisation_for_each_ridge() {
    let (n, outputs) = (40, 2);
    let toy = toy(n, 1, 0.8, 4);
    let values = normals(n * outputs, 5);
    let targets = Targets { values: &values, outputs };
    let modes = Modes::of(&toy.inner, n).unwrap();
    let ridges = [1e-4, 0.03, 2.0];
    for (score, &ridge) in scores(&modes, targets, &ridges).unwrap().iter().zip(&ridges) {
        let fit = Posterior::fit(toy.inner.clone(), n, targets, Ridge::Absolute(ridge)).unwrap();
        let expect = fit.leave_one_out().unwrap();
        assert_close("evidence", &[score.log_evidence], &[fit.log_evidence().unwrap()], 1e-7);
        assert_close("means", &score.leave_one_out.mean, &expect.mean, 1e-8);
        assert_close("variances", &score.leave_one_out.variance, &expect.variance, 1e-9);
        let scaled: Vec<f64> = toy.inner.iter().map(|k| k * score.amplitude).collect();
        let fit = Posterior::fit(scaled, n, targets, Ridge::Absolute(ridge * score.amplitude)).unwrap();
        let evidence = fit.log_evidence().unwrap();
        assert_close("scaled", &[score.log_evidence_at_amplitude], &[evidence], 1e-7);
        assert!(score.log_evidence_at_amplitude >= score.log_evidence);
    }
}

#[test]
fn the_chosen_ridge_is_best_by_its_criterion() {
    let (n, outputs) = (60, 1);
    let toy = toy(n, 1, 1.0, 7);
    let smooth: Vec<f64> = (0..n).map(|i| toy.inner[i * n] + toy.inner[i * n + 1]).collect();
    let noise = normals(n, 8);
    let values: Vec<f64> = smooth.iter().zip(&noise).map(|(f, e)| f + 0.2 * e).collect();
    let targets = Targets { values: &values, outputs };
    let modes = Modes::of(&toy.inner, n).unwrap();
    let criteria = [
        Criterion::Evidence,
        Criterion::EvidenceAtAmplitude,
        Criterion::LeaveOneOutDensity,
        Criterion::LeaveOneOutError,
    ];
    for criterion in criteria {
        let (grid, best) = best(&modes, targets, criterion).unwrap();
        let value = criterion.of(&best);
        assert!(grid.iter().all(|score| criterion.of(score) <= value), "{criterion:?}");
        for factor in [0.99, 1.01] {
            let near = &scores(&modes, targets, &[best.ridge * factor]).unwrap()[0];
            assert!(criterion.of(near) <= value + 1e-12 * value.abs(), "{criterion:?} at {factor}");
        }
    }
}

#[test]
fn evidence_is_stationary_at_the_true_noise_on_average() {
    // E ∂ ln p / ∂ noise = 0 under the model that drew the data; the choice by evidence rests on nothing else.
    let (n, noise) = (40, 0.1f64);
    let toy = toy(n, 1, 1.0, 9);
    let mut noisy = toy.inner.clone();
    (0..n).for_each(|i| noisy[i * (n + 1)] += noise);
    let root = linalg::cholesky(&noisy, n).unwrap();
    let modes = Modes::of(&toy.inner, n).unwrap();
    let (mut slopes, mut scale) = (Moments::default(), Moments::default());
    for draw in 0..1500 {
        let white = normals(n, 300 + draw);
        let values: Vec<f64> = (0..n).map(|i| (0..=i).map(|j| root[i * n + j] * white[j]).sum()).collect();
        let targets = Targets { values: &values, outputs: 1 };
        let pair = scores(&modes, targets, &[noise * 0.999, noise, noise * 1.001]).unwrap();
        slopes.push((pair[2].log_evidence - pair[0].log_evidence) / (0.002 * noise));
        scale.push(pair[1].leave_one_out.variance_scale().value);
    }
    let z = slopes.mean() / slopes.error();
    assert!(z.abs() < 4.0, "slope {} ± {}, z = {z} (seeds 300…)", slopes.mean(), slopes.error());
    let z = (scale.mean() - 1.0) / scale.error();
    assert!(z.abs() < 4.0, "variance scale {} ± {}, z = {z}", scale.mean(), scale.error());
}
