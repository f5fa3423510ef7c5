//! Spectra against their definitions.

use carnot_math::linalg;
use carnot_theory::regression::descent::Loss;
use carnot_theory::regression::modes::Modes;
use carnot_theory::regression::problem::Targets;
use carnot_theory::regression::spectrum::{Timetable, alignment, extremes};

use crate::support::{assert_close, normals, toy};

#[test]
fn effective_dimension_is_the_trace_of_the_smoother() {
    let (n, ridge) = (30, 0.2);
    let toy = toy(n, 1, 0.7, 1);
    let modes = Modes::of(&toy.inner, n).unwrap();
    let mut noisy = toy.inner.clone();
    (0..n).for_each(|i| noisy[i * (n + 1)] += ridge);
    let smoother = linalg::solve_spd(&noisy, n, &toy.inner).unwrap();
    let trace: f64 = (0..n).map(|i| smoother[i * (n + 1)]).sum();
    let got = extremes(&modes, ridge).unwrap();
    assert_close("trace", &[got.effective_dimension], &[trace], 1e-11);
    assert_close("condition", &[got.condition], &[got.largest / got.smallest], 0.0);
    let values = linalg::symmetric_eigen(&noisy, n).unwrap().values;
    assert_close("extremes", &[got.smallest, got.largest], &[values[0], values[n - 1]], 1e-12);
    // Two equal inputs, no ridge.
    let singular = extremes(&Modes::of(&[1.0, 1.0, 1.0, 1.0], 2).unwrap(), 0.0).unwrap();
    assert_eq!((singular.condition, singular.effective_dimension), (f64::INFINITY, 1.0));
}

#[test]
fn alignment_is_the_cosine_between_matrices() {
    let (n, outputs) = (12, 2);
    let toy = toy(n, 1, 1.0, 2);
    let values = normals(n * outputs, 3);
    let targets = Targets { values: &values, outputs };
    let modes = Modes::of(&toy.inner, n).unwrap();
    let got = alignment(&modes, &toy.inner, targets).unwrap();
    let labels = |values: &[f64]| -> Vec<f64> {
        let dot = |i: usize, j: usize| {
            (0..outputs).map(|o| values[i * outputs + o] * values[j * outputs + o]).sum::<f64>()
        };
        (0..n * n).map(|at| dot(at / n, at % n)).collect()
    };
    let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let cosine = |a: &[f64], b: &[f64]| inner(a, b) / (inner(a, a) * inner(b, b)).sqrt();
    let outer = labels(&values);
    assert_close("plain", &[got.plain], &[cosine(&toy.inner, &outer)], 1e-12);
    let centre = |m: &[f64]| -> Vec<f64> {
        let row = |i: usize| (0..n).map(|j| m[i * n + j]).sum::<f64>() / n as f64;
        let all = (0..n).map(row).sum::<f64>() / n as f64;
        (0..n * n).map(|at| m[at] - row(at / n) - row(at % n) + all).collect()
    };
    assert_close("centred", &[got.centred], &[cosine(&centre(&toy.inner), &centre(&outer))], 1e-12);
    assert_close("all of it", &got.cumulative[n - 1..], &[1.0], 1e-12);
    assert!(got.cumulative.windows(2).all(|pair| pair[0] <= pair[1] + 1e-15));
    let top = &modes.vectors()[(n - 1) * n..];
    let along = |o: usize| (0..n).map(|i| top[i] * values[i * outputs + o]).sum::<f64>().powi(2);
    assert_close("first", &got.cumulative[..1], &[(along(0) + along(1)) / inner(&values, &values)], 1e-12);
}

#[test]
fn times_to_learn_are_logarithms_of_what_is_left() {
    // One mode of the targets: e^{−2λt} = 1 − part.
    let kernel = [2.0, 0.0, 0.0, 0.5];
    let modes = Modes::of(&kernel, 2).unwrap();
    for (values, rate) in [([3.0, 0.0], 2.0), ([0.0, 1.0], 0.5)] {
        let targets = Targets { values: &values, outputs: 1 };
        for (loss, unit) in [(Loss::Sum, 1.0), (Loss::Mean, 0.5)] {
            let table = Timetable::new(&modes, targets, loss).unwrap();
            for part in [0.5f64, 0.9, 0.99] {
                let expect = -(1.0 - part).ln() / (2.0 * rate * unit);
                assert_close("time", &[table.time_to(part).unwrap()], &[expect], 1e-13 * expect);
            }
        }
    }
    // Two equal inputs with different targets: half of the power is never learned.
    let modes = Modes::of(&[1.0, 1.0, 1.0, 1.0], 2).unwrap();
    let table = Timetable::new(&modes, Targets { values: &[1.0, 0.0], outputs: 1 }, Loss::Sum).unwrap();
    assert_close("unreachable", &[table.unreachable()], &[0.5], 1e-14);
    assert_eq!(table.time_to(0.9).unwrap(), f64::INFINITY);
    assert!(table.time_to(0.4).unwrap().is_finite());
}
