//! Errors cover the truth as often as they should: many probes of one model, against a much larger one.

use carnot_math::random::Stream;
use carnot_math::stats::Moments;
use carnot_probe::call::Call;
use carnot_probe::reading::StepReading;
use carnot_probe::session::{Session, Settings};

const CLASSES: usize = 4;
const WIDTH: usize = 6;
const SAMPLES: usize = 400;

/// Two calls of a Gaussian mixture: as it is, and with the classes twice as far apart.
fn read(samples: usize, seed: u64) -> StepReading {
    let mut stream = Stream::new(seed, "probe", &[]);
    let labels: Vec<u32> = (0..samples).map(|_| stream.below(CLASSES) as u32).collect();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for &label in &labels {
        for unit in 0..WIDTH {
            let centre = f64::from(u8::from(unit == label as usize)) * 1.5;
            let noise: f64 = stream.normal::<f64>() * (1.0 + 0.3 * unit as f64);
            first.push((centre + noise) as f32);
            second.push((2.0 * centre + noise) as f32);
        }
    }
    let settings = Settings { rows: 128, ..Settings::default() };
    let mut session = Session::new(Some(labels), samples, settings).unwrap();
    let mut step = session.step(0, None);
    step.add(&Call::vectors("a", "linear", &first, WIDTH)).unwrap();
    step.add(&Call::vectors("b", "linear", &second, WIDTH)).unwrap();
    step.end()
}

/// For each observable of the second call: mean over probes, its error, and the mean of (spread/error)².
fn over_probes(names: &[&str], probes: u64) -> Vec<(f64, f64, f64)> {
    let readings: Vec<StepReading> = (0..probes).map(|seed| read(SAMPLES, 1000 + seed)).collect();
    let of = |name: &&str| {
        let numbers: Vec<_> = readings.iter().map(|reading| reading.layers[1].value(name).unwrap()).collect();
        let values = Moments::of(&numbers.iter().map(|number| number.value).collect::<Vec<_>>());
        let told =
            numbers.iter().map(|number| number.error.unwrap().powi(2)).sum::<f64>() / numbers.len() as f64;
        (values.mean(), values.error(), values.variance() / told)
    };
    names.iter().map(of).collect()
}

#[test]
fn told_errors_are_those_of_repeated_probes() {
    // The spread of 300 probes is known to √(2/300) = 8 % of its variance; 4 standard errors are 33 %, and groups left out of a
    // jackknife or a fitted reader add what they ignore.
    let rows = [
        ("kernel", 0.33),
        ("separation", 0.33),
        ("separation_pinv", 0.33),
        ("separation_corrected", 0.40),
        ("load", 0.33),
        ("correlation", 0.45),
        ("distance", 0.40),
        ("effective_rank", 0.45),
        ("participation_ratio", 0.45),
    ];
    let names: Vec<&str> = rows.iter().map(|row| row.0).collect();
    for ((name, allowed), (_, _, ratio)) in rows.iter().zip(over_probes(&names, 300)) {
        assert!(
            (ratio - 1.0).abs() < *allowed,
            "{name}: variance over probes / told variance = {ratio} (seeds 1000 to 1299)"
        );
    }
}

#[test]
fn the_corrected_separation_is_that_of_a_large_probe_and_the_plain_one_is_not() {
    // D_u is consistent: small probes agree with one of 60,000 samples up to the curvature of ln, about error²/2.
    let truth = read(60_000, 5).layers[1].value("separation_corrected").unwrap();
    let [(corrected, error, _), (plain, ..)] = over_probes(&["separation_corrected", "separation"], 300)[..]
    else {
        panic!()
    };
    let z = (corrected - truth.value) / error.hypot(truth.error.unwrap());
    assert!(
        z.abs() < 4.0,
        "corrected {corrected}, large probe {}, z = {z} (seeds 1000 to 1299)",
        truth.value
    );
    assert!(plain < corrected, "{plain} {corrected}");
}

#[test]
fn shuffled_labels_stand_where_theory_says() {
    let reading = read(SAMPLES, 9);
    let shuffled = reading.layers[1].value("separation_shuffled").unwrap();
    let expected = ((SAMPLES - CLASSES) as f64 / (CLASSES - 1) as f64).ln();
    // E ln of a small χ²-like sum lies below the logarithm of its mean by about 1/(classes − 1) at most.
    let z = (shuffled.value - expected) / shuffled.error.unwrap();
    assert!(z.abs() < 4.0, "{} expected {expected}, z = {z} (seed 9)", shuffled.value);
}

#[test]
fn degenerate_probes_give_reasons_and_never_numbers_that_are_none() {
    let constant = vec![2.5f32; 40];
    let broken: Vec<f32> = (0..40).map(|at| if at == 7 { f32::NAN } else { at as f32 }).collect();
    let huge: Vec<f32> = (0..40).map(|at| if at % 2 == 0 { f32::MAX } else { -f32::MAX }).collect();
    let zero = vec![0.0f32; 40];
    let labels = [vec![0; 10], (0..10).collect::<Vec<u32>>(), vec![0, 0, 0, 0, 0, 1, 1, 1, 1, 1]];
    for given in labels.into_iter().map(Some).chain([None]) {
        let mut session = Session::new(given, 10, Settings::default()).unwrap();
        let mut step = session.step(0, Some(f64::NAN));
        for features in [&constant, &broken, &huge, &zero] {
            let call = Call {
                input: Some(&zero),
                gradient: Some(features),
                ..Call::vectors("x", "tanh", features, 4)
            };
            step.add(&call).unwrap();
        }
        let reading = step.end();
        assert_eq!(reading.loss, None);
        for layer in &reading.layers {
            let known = layer.values.len() + layer.missing.values().map(Vec::len).sum::<usize>();
            assert!(known >= carnot_probe::observables::TABLE.len());
            assert!(layer.values.values().all(|number| number.value.is_finite()), "{:?}", layer.values);
        }
        assert_eq!(reading.layers[1].reason("kernel"), Some("1 features are not finite"));
    }
}

#[test]
fn alignment_is_one_with_itself_and_zero_with_noise() {
    let mut stream = Stream::new(3, "alignment", &[]);
    let mut noise = |n: usize| (0..n).map(|_| stream.normal::<f64>() as f32).collect::<Vec<f32>>();
    let (a, b) = (noise(200 * 50), noise(200 * 50));
    let mut session = Session::new(None, 200, Settings::default()).unwrap();
    let mut step = session.step(0, None);
    for (name, features) in [("a", &a), ("again", &a), ("b", &b)] {
        step.add(&Call::vectors(name, "linear", features, 50)).unwrap();
    }
    let reading = step.end();
    let value = |at: usize| reading.layers[at].value("cka").unwrap();
    assert!((value(1).value - 1.0).abs() < 1e-12, "{:?}", value(1));
    let other = value(2);
    assert!(other.value.abs() < 4.0 * other.error.unwrap(), "{other:?} (seed 3)");
}
