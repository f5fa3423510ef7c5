//! The fit on curves of simulated chains: how often its intervals hold the truth, and what it refuses.

use carnot_math::random::Stream;
use carnot_theory::spring_block::chain::load_curve;
use carnot_theory::spring_block::fit::answer::{Answer, Demand, Departure, Fit, Known, Misfit};
use carnot_theory::spring_block::fit::atlas::{Atlas, Setting};
use carnot_theory::spring_block::fit::measured::{Errors, FitError, Measured};
use carnot_theory::spring_block::noise::Noise;
use rayon::prelude::*;

use super::{chain, simulate};

/// Mean curve of 64 simulated chains, in another unit and from another zero: 3 (y − x) − 1.
fn truth(friction: f64, noise: f64) -> Vec<f64> {
    let tracks = simulate(&chain(friction, 0.05), Noise::per_step(noise), 64, 0.01, 12_000, 3);
    let mean = |block: usize| tracks.iter().map(|track| track.mean[block]).sum::<f64>() / 64.0;
    let positions: Vec<f64> = (0..7).map(mean).collect();
    load_curve(1.0, &positions).iter().map(|d| 3.0 * d - 1.0).collect()
}

/// The curve as measured: every point with an error of its own.
fn measured(curve: &[f64], error: f64, at: u64) -> Vec<f64> {
    let mut stream = Stream::new(41, "measurement", &[at]);
    curve.iter().map(|d| d + error * stream.normal::<f64>()).collect()
}

fn answer(atlas: &Atlas, curve: &[f64], error: f64) -> Result<Answer, FitError> {
    let errors = vec![error; curve.len()];
    atlas.fit(&Measured { curve, errors: Errors::Standard(&errors) }, &Demand::default())
}

fn fitted(atlas: &Atlas, curve: &[f64], error: f64) -> Fit {
    match answer(atlas, curve, error).unwrap() {
        Answer::Fits(fit) => *fit,
        Answer::DoesNotFit(misfit) => panic!("refused: {misfit:?}"),
    }
}

fn refused(atlas: &Atlas, curve: &[f64], error: f64) -> Misfit {
    match answer(atlas, curve, error).unwrap() {
        Answer::DoesNotFit(misfit) => *misfit,
        Answer::Fits(fit) => panic!("fits: {fit:?}"),
    }
}

fn atlas() -> Atlas {
    Atlas::new(Setting::default(), 7).unwrap()
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    let (atlas, n) = (atlas(), 24);
    for (friction, noise, at_least_both) in [(0.06, 0.02, 8), (0.2, 0.1, 0)] {
        let (curve, error) = (truth(friction, noise), 0.006);
        let fits: Vec<Fit> =
            (0..n).into_par_iter().map(|at| fitted(&atlas, &measured(&curve, error, at), error)).collect();
        let count = |holds: &dyn Fn(&Fit) -> bool| fits.iter().filter(|fit| holds(fit)).count() as f64;
        let of_friction = count(&|fit| fit.friction.low <= friction && friction <= fit.friction.high);
        let of_noise = count(&|fit| fit.noise.low <= noise && noise <= fit.noise.high);
        // Where a parameter is hardly bound the profile covers more than 95 %, never less.
        let allowed = 0.95 * n as f64 - 4.0 * (0.95 * 0.05 * n as f64).sqrt();
        assert!(of_friction >= allowed, "friction {friction} in {of_friction} of {n} intervals (seed 41)");
        assert!(of_noise >= allowed, "noise {noise} in {of_noise} of {n} intervals (seed 41)");
        assert!(count(&|fit| fit.known() == Known::Both) >= f64::from(at_least_both));
        let (chi2, freedom) = fits.iter().fold((0.0, 0.0), |(chi2, freedom), fit| {
            (chi2 + fit.best.chi2, freedom + fit.best.freedom as f64)
        });
        let z = (chi2 - freedom) / (2.0 * freedom).sqrt();
        assert!(z.abs() < 4.0, "χ² {chi2} for {freedom} degrees of freedom, z = {z} (seed 41)");
        for fit in &fits {
            assert!(
                (fit.best.scale / 3.0 - 1.0).abs() < 0.1 && (fit.best.offset + 1.0).abs() < 0.2,
                "{fit:?}"
            );
        }
    }
}

#[test]
fn a_frozen_chain_tells_its_friction_and_bounds_its_noise() {
    let fit = fitted(&atlas(), &measured(&truth(0.1, 0.002), 0.01, 5), 0.01);
    assert_eq!(fit.known(), Known::Friction, "{fit:?}");
    assert!(fit.noise.is_open_below && fit.noise.high < 0.1, "{fit:?}");
    assert!(fit.friction.low < 0.1 && 0.1 < fit.friction.high, "{fit:?}");
}

#[test]
fn one_curve_cannot_tell_a_frozen_chain_from_a_relaxed_one() {
    // Relaxed at a friction of 0.11, loads grow by (0.11 − 0.05)/2 each; frozen at 0.03 they grow by 0.03.
    let fit = fitted(&atlas(), &measured(&truth(0.11, 0.3), 0.03, 6), 0.03);
    assert_eq!(fit.known(), Known::Combination, "{fit:?}");
    assert!(fit.noise.is_open_below && fit.noise.is_open_above, "{fit:?}");
    assert!(fit.friction.low < 0.035 && fit.friction.high > 0.105, "{fit:?}");
    assert!(fit.combination.relative_error < 0.1, "{:?}", fit.combination);
    let powers = [fit.combination.friction_power, fit.combination.noise_power];
    assert_eq!(powers.into_iter().fold(0.0, |a: f64, b| a.max(b.abs())), 1.0);
}

#[test]
fn a_bottleneck_is_refused_and_named() {
    let (atlas, smooth) = (atlas(), truth(0.06, 0.02));
    for layer in 2..=6 {
        let mut curve = measured(&smooth, 0.03, 50 + layer as u64);
        curve[layer] -= 0.6;
        let misfit = refused(&atlas, &curve, 0.03);
        let worst = misfit.worst.unwrap();
        assert_eq!((worst.layer, worst.departure), (layer, Departure::Point), "{misfit:?}");
        assert!((worst.excess - 0.6).abs() < 4.0 * worst.error, "{worst:?}");
        assert!(misfit.best.p < 1e-10);
    }
}

#[test]
fn a_layer_that_learns_too_fast_is_refused_and_named() {
    let (atlas, smooth) = (atlas(), truth(0.06, 0.02));
    for layer in 2..=6 {
        let mut curve = measured(&smooth, 0.006, 70 + layer as u64);
        curve[layer..].iter_mut().for_each(|d| *d -= 0.9);
        let misfit = refused(&atlas, &curve, 0.006);
        let worst = misfit.worst.unwrap();
        assert_eq!((worst.layer, worst.departure), (layer, Departure::Load), "{misfit:?}");
    }
}

#[test]
fn units_and_zero_of_the_curve_do_not_matter() {
    let (atlas, curve) = (atlas(), measured(&truth(0.06, 0.02), 0.006, 9));
    let other: Vec<f64> = curve.iter().map(|d| 0.1 * d + 7.0).collect();
    let (a, b) = (fitted(&atlas, &curve, 0.006), fitted(&atlas, &other, 0.0006));
    assert!((a.best.friction / b.best.friction - 1.0).abs() < 1e-3, "{a:?} {b:?}");
    assert!(
        (a.best.chi2 - b.best.chi2).abs() < 1e-4 && (a.friction.high / b.friction.high - 1.0).abs() < 1e-2
    );
    assert!((10.0 * b.best.scale / a.best.scale - 1.0).abs() < 1e-3);
    assert!((b.best.offset - (0.1 * a.best.offset + 7.0)).abs() < 1e-4);
}

#[test]
fn errors_shared_by_all_points_are_offset_and_change_nothing() {
    let (atlas, curve) = (atlas(), measured(&truth(0.06, 0.02), 0.006, 9));
    let of = |shared: f64| {
        let covariance: Vec<f64> =
            (0..64).map(|at| shared + if at / 8 == at % 8 { 0.006 * 0.006 } else { 0.0 }).collect();
        let measured = Measured { curve: &curve, errors: Errors::Covariance(&covariance) };
        match atlas.fit(&measured, &Demand::default()).unwrap() {
            Answer::Fits(fit) => *fit,
            Answer::DoesNotFit(misfit) => panic!("{misfit:?}"),
        }
    };
    let (plain, none, shared) = (fitted(&atlas, &curve, 0.006), of(0.0), of(0.01));
    assert!((plain.best.chi2 - none.best.chi2).abs() < 1e-9);
    assert!((plain.best.chi2 - shared.best.chi2).abs() < 1e-4, "{plain:?} {shared:?}");
    assert!((plain.noise.low / shared.noise.low - 1.0).abs() < 1e-2, "{plain:?} {shared:?}");
}

#[test]
fn wider_confidence_is_a_wider_interval() {
    let (atlas, curve) = (atlas(), measured(&truth(0.2, 0.1), 0.006, 9));
    let of = |confidence: f64| {
        let measured = Measured { curve: &curve, errors: Errors::Standard(&[0.006; 8]) };
        match atlas.fit(&measured, &Demand { confidence, ..Demand::default() }).unwrap() {
            Answer::Fits(fit) => *fit,
            Answer::DoesNotFit(misfit) => panic!("{misfit:?}"),
        }
    };
    let (narrow, wide) = (of(0.68), of(0.95));
    assert!(narrow.friction.low > wide.friction.low && narrow.friction.high < wide.friction.high);
    assert!(narrow.friction.low <= narrow.best.friction && narrow.best.friction <= narrow.friction.high);
}

#[test]
fn what_cannot_be_fitted_says_why() {
    let atlas = atlas();
    let falling: Vec<f64> = (0..8).map(|layer| -f64::from(layer)).collect();
    let fit = |curve: &[f64], errors: Errors| atlas.fit(&Measured { curve, errors }, &Demand::default());
    let good = [0.1; 8];
    let refused = |curve: &[f64], errors: Errors| fit(curve, errors).unwrap_err();
    assert_eq!(
        refused(&falling[..6], Errors::Standard(&good[..6])),
        FitError::OtherLength { points: 6, expected: 8 }
    );
    let mut hole = falling.clone();
    hole[3] = f64::NAN;
    assert_eq!(refused(&hole, Errors::Standard(&good)), FitError::NotFinite { layer: 3 });
    let mut none = good;
    none[7] = 0.0;
    assert_eq!(refused(&falling, Errors::Standard(&none)), FitError::NoError { layer: 7, error: 0.0 });
    assert_eq!(refused(&falling, Errors::Covariance(&good)), FitError::Errors { expected: 64, found: 8 });
    assert_eq!(refused(&falling, Errors::Covariance(&[1.0; 64])), FitError::NotPositive);
    assert_eq!(refused(&falling, Errors::Covariance(&[f64::NAN; 64])), FitError::NotPositive);
    let rising: Vec<f64> = falling.iter().map(|d| -d).collect();
    assert_eq!(refused(&rising, Errors::Standard(&good)), FitError::DoesNotFall { total: -7.0 });
    assert_eq!(Atlas::new(Setting::default(), 3).err(), Some(FitError::TooFewPoints { points: 4 }));
    let setting = Setting { end: 0.0, ..Setting::default() };
    assert!(matches!(Atlas::new(setting, 7), Err(FitError::Chain(_))));
    let odd = Demand { confidence: 1.0, ..Demand::default() };
    let measured = Measured { curve: &falling, errors: Errors::Standard(&good) };
    assert!(matches!(atlas.fit(&measured, &odd), Err(FitError::Chain(_))));
}
