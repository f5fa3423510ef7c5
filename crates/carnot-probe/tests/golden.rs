//! Numbers of others, recomputed.

use carnot_probe::call::Call;
use carnot_probe::reading::StepReading;
use carnot_probe::scatter::{Class, Classes};
use carnot_probe::session::{Session, Settings};
use serde_json::Value;

fn cases(kind: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../../tests/golden/spring-block.json")).unwrap();
    let cases = file["cases"].as_array().unwrap().clone();
    cases.into_iter().filter(|case| case["kind"] == kind).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn rows(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

fn labels(value: &Value) -> Vec<u32> {
    numbers(value).into_iter().map(|x| x as u32).collect()
}

fn reading(rows: &[Vec<f64>], labels: &[u32]) -> StepReading {
    let flat: Vec<f32> = rows.concat().iter().map(|&x| x as f32).collect();
    let settings = Settings { smallest_class: 1, ..Settings::default() };
    let mut session = Session::new(Some(labels.to_vec()), rows.len(), settings).unwrap();
    let mut step = session.step(0, None);
    step.add(&Call::vectors("x", "linear", &flat, rows[0].len())).unwrap();
    step.end()
}

fn assert_near(what: &str, got: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap_or_else(|| panic!("{what}: {expected}"));
    let allowed = tolerance * expected.abs().max(1.0);
    assert!((got - expected).abs() <= allowed, "{what}: {got}, expected {expected} ± {allowed:.1e}");
}

#[test]
fn separations_are_those_of_the_sheet() {
    // The rows of the first case are exact in single precision; those of the second are not.
    let columns = [
        ("separation", "D_trace"),
        ("separation_pinv", "D_pinv"),
        ("separation_corrected", "D_debiased"),
        ("nc1", "nc1"),
        ("cdnv", "cdnv"),
        ("effective_rank", "erank"),
        ("participation_ratio", "participation_rank"),
    ];
    let mut compared = 0;
    for case in cases("separation").iter().filter(|case| case["inputs"]["offset"].is_null()) {
        let reading = reading(&rows(&case["inputs"]["X"]), &labels(&case["inputs"]["labels"]));
        let is_exact = case["name"] == "D_small_imbalanced";
        for (ours, theirs) in columns.iter().filter(|(_, theirs)| !case["expect"][theirs].is_null()) {
            let got = reading.layers[0]
                .value(ours)
                .unwrap_or_else(|| panic!("{ours}: {:?}", reading.layers[0].reason(ours)));
            let what = format!("{} of {}", theirs, case["name"]);
            assert_near(&what, got.value, &case["expect"][theirs], if is_exact { 1e-10 } else { 1e-5 });
            compared += 1;
        }
    }
    assert_eq!(compared, 9);
}

#[test]
fn separations_keep_what_they_should_and_lose_what_they_should() {
    let case = &cases("separation").into_iter().find(|case| case["name"] == "D_invariances").unwrap();
    let (x, labels) = (rows(&case["inputs"]["X"]), labels(&case["inputs"]["labels"]));
    let rotation = rows(&case["inputs"]["rotation"]);
    let turned: Vec<Vec<f64>> = x
        .iter()
        .map(|row| {
            rotation.iter().map(|r| 3.0 * r.iter().zip(row).map(|(a, b)| a * b).sum::<f64>() + 7.0).collect()
        })
        .collect();
    let stretch = numbers(&case["inputs"]["stretch"]);
    let stretched: Vec<Vec<f64>> =
        x.iter().map(|row| row.iter().zip(&stretch).map(|(a, b)| a * b).collect()).collect();
    for (ours, theirs) in [("separation", "D_trace"), ("separation_pinv", "D_pinv")] {
        let value = |rows: &[Vec<f64>]| reading(rows, &labels).layers[0].value(ours).unwrap().value;
        assert_near(
            "turned",
            value(&turned),
            &case["expect"][format!("{theirs}_rotated_scaled_shifted")],
            1e-5,
        );
        assert_near("stretched", value(&stretched), &case["expect"][format!("{theirs}_stretched")], 1e-5);
    }
}

#[test]
fn a_large_offset_costs_no_digits() {
    let case = &cases("separation").into_iter().find(|case| !case["inputs"]["offset"].is_null()).unwrap();
    let offset = case["inputs"]["offset"].as_f64().unwrap();
    let mut classes = Classes::new(3);
    for (row, label) in rows(&case["inputs"]["X"]).iter().zip(labels(&case["inputs"]["labels"])) {
        classes.push(label, &row.iter().map(|x| x + offset).collect::<Vec<f64>>());
    }
    let traces = classes.traces().unwrap();
    assert_near("D", (traces.within / traces.between).ln(), &case["expect"]["D_trace"], 1e-6);
}

#[test]
fn parts_of_a_batch_merge_into_the_whole() {
    for case in cases("streaming") {
        let part = |value: &Value| {
            let mut classes = Classes::new(3);
            for (label, class) in value.as_object().unwrap() {
                let count = class["n"].as_u64().unwrap();
                let class =
                    Class { count, mean: numbers(&class["mean"]), spread: class["m2"].as_f64().unwrap() };
                classes.by_label.insert(label.parse().unwrap(), class);
            }
            classes
        };
        let mut merged = part(&case["inputs"]["part_a"]);
        merged.merge(&part(&case["inputs"]["part_b"]));
        for (label, class) in case["expect"]["merged"].as_object().unwrap() {
            let got = &merged.by_label[&label.parse::<u32>().unwrap()];
            assert_eq!(got.count, class["n"].as_u64().unwrap());
            assert_near("spread", got.spread, &class["m2"], 1e-10);
            for (got, expected) in got.mean.iter().zip(class["mean"].as_array().unwrap()) {
                assert_near("mean", *got, expected, 1e-10);
            }
        }
        let traces = merged.traces().unwrap();
        assert_near("D", (traces.within / traces.between).ln(), &case["expect"]["D_trace"], 1e-10);
    }
}
