//! Phase diagrams on real digits: who works where, the same bits after a break, and clear refusals.

#![allow(clippy::result_large_err)]

mod toy;

use carnot_lab::experiments::question::Question;
use carnot_lab::experiments::{self, Point, Tools};
use carnot_report::report::Report;
use serde_json::{Value, json};

fn question(settings: Value) -> Box<dyn Question> {
    experiments::verb("phase").unwrap().ask(settings).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(settings: Value) -> String {
    experiments::verb("phase").unwrap().ask(settings).err().expect("it should be refused").to_string()
}

fn answered(question: &dyn Question) -> Vec<Point> {
    let tools = Tools::silent();
    let one = |job: experiments::Job| Point { value: question.run(&job, &tools).unwrap(), job: job.id };
    question.plan().unwrap().into_iter().map(one).collect()
}

fn numbers(report: &Report, key: &str) -> Vec<Vec<f64>> {
    serde_json::from_value(report.extra[key].clone()).unwrap_or_else(|error| panic!("{key}: {error}"))
}

/// The four corners of the published dropout diagram (Shi, Pan, Dokmanić, arXiv:2407.19353, on MNIST: convexities −0.13, 0.13, 0.12,
/// 0.27 for ReLU and linear, without dropout and with 0.28), on 8 × 8 digits: the same signs and order. Two seeds.
#[test]
fn four_corners_of_dropout_are_as_published() {
    let question = question(json!({ "noises": [0.0, 0.28], "slopes": [0.0, 1.0], "seeds": 2 }));
    let report = question.report(&answered(&*question)).unwrap();
    let bent = numbers(&report, "convexity");
    let chain = numbers(&report, "convexity_chain");
    let [relu, linear] = [&bent[0], &bent[1]];
    assert!(relu[0] < -0.08, "a quiet ReLU network works in its deep layers: {bent:?}");
    assert!(relu[1] > 0.0 && linear[0] > 0.0, "noise, and linearity, shift the work to the front: {bent:?}");
    assert!(linear[1] > linear[0].max(relu[1]) + 0.05, "both do so together: {bent:?}");
    assert!(chain[0][0] < -0.2 && chain[1][1] > 0.05 && chain[1][0].abs() < 0.03, "the chain: {chain:?}");
    let tested = numbers(&report, "test_accuracy");
    assert!(tested.iter().flatten().all(|&accuracy| accuracy > 0.93), "{tested:?}");
    assert_eq!(report.headline.unwrap().text, "NOISE AND NONLINEARITY DECIDE WHICH LAYERS WORK");
}

const SMALL: &str = r#"{ "noises": [0.0, 0.1, 0.3], "slopes": [0.0, 0.5], "depth": 4, "width": 20, "train": 300, "epochs": 8, "seeds": 2, "chains": 4 }"#;

#[test]
fn a_diagram_that_was_interrupted_has_the_bits_of_one_that_was_not() {
    let question = question(serde_json::from_str(SMALL).unwrap());
    let whole = tempfile::tempdir().unwrap();
    assert!(toy::run(&*question, whole.path(), 2, usize::MAX).unwrap().is_finished);
    for (threads, cancel_after) in [(1, 1), (2, 5), (3, 9)] {
        let root = tempfile::tempdir().unwrap();
        toy::run(&*question, root.path(), threads, cancel_after).unwrap();
        assert!(toy::run(&*question, root.path(), 3, usize::MAX).unwrap().is_finished);
        assert_eq!(toy::report_bytes(root.path()), toy::report_bytes(whole.path()), "after {cancel_after}");
    }
}

#[test]
fn a_part_of_the_jobs_is_a_coarse_diagram_and_none_is_no_error() {
    let question = question(serde_json::from_str(SMALL).unwrap());
    let points = answered(&*question);
    for known in [0, 1, 3, points.len()] {
        let report = question.report(&points[..known]).unwrap();
        let text = report.headline.unwrap().text;
        assert_eq!(text == "NOTHING MEASURED YET", known < 2, "{known}: {text}");
    }
    // The first networks are the corners: the middle column is not among them.
    let report = question.report(&points[..5]).unwrap();
    let bent: Vec<Vec<Option<f64>>> = serde_json::from_value(report.extra["convexity"].clone()).unwrap();
    assert!(bent.iter().all(|row| row[0].is_some() && row[1].is_none() && row[2].is_some()), "{bent:?}");
}

#[test]
fn every_kind_of_noise_moves_the_loads() {
    let of = |noise: &str, values: Value| {
        let mut settings: Value = serde_json::from_str(SMALL).unwrap();
        let more = json!({ "noise": noise, "noises": values, "slopes": [0.0], "seeds": 1, "chains": 0, "epochs": 20 });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let question = question(settings);
        numbers(&question.report(&answered(&*question)).unwrap(), "convexity")[0].clone()
    };
    for (noise, values) in [
        ("dropout", json!([0.0, 0.3])),
        ("data", json!([0.0, 0.5])),
        ("rate", json!([1e-3, 1e-2])),
        ("batch", json!([20, 300])),
        ("temperature", json!([0.0, 1e-4])),
    ] {
        let bent = of(noise, values);
        assert!((bent[0] - bent[1]).abs() > 1e-3, "{noise}: {bent:?}");
    }
}

/// Each cell is the network that a diagram with those settings on no axis trains; and the chain stays away where it has no such axis.
#[test]
fn any_two_settings_make_a_diagram() {
    let numbers_of = |more: Value| {
        let question = with(more);
        let report = question.report(&answered(&*question)).unwrap();
        assert!(
            report.summary.iter().any(|line| line.label == "chain" && line.text.contains("not drawn")),
            "the chain has no such axes"
        );
        (numbers(&report, "convexity"), report)
    };
    for (rows, values, noise, along) in [
        ("depth", [3.0, 5.0], "width", [8.0, 16.0]),
        ("temperature", [0.0, 1e-4], "slope", [0.0, 1.0]),
        ("data", [0.0, 0.5], "epochs", [4.0, 9.0]),
    ] {
        let own = json!({ "rows": rows, "slopes": values, "noise": noise, "noises": along, "seeds": 1, "sharpness": 0 });
        let (bent, report) = numbers_of(own);
        assert!(
            report.subject.starts_with(if noise == "slope" { "slope" } else { noise }),
            "{}",
            report.subject
        );
        let key = |word: &str| if word == "data" { "data_noise".to_string() } else { word.to_string() };
        let whole = |word: &str, value: f64| match word {
            "depth" | "width" | "epochs" => json!(value as u64),
            _ => json!(value),
        };
        // The far corner again, with rates on the vertical axis, one of which is the usual one.
        let mut again = json!({ "rows": "rate", "slopes": [1e-3], "noise": "dropout", "noises": [0.0], "seeds": 1, "sharpness": 0 });
        again[key(rows)] = whole(rows, values[1]);
        again[key(noise)] = whole(noise, along[1]);
        assert_eq!(numbers_of(again).0[0][0], bent[1][1], "{rows} and {noise}");
    }
}

#[test]
fn settings_out_of_range_are_refused_by_their_key() {
    for (settings, word) in [
        (json!({ "noises": [1.0] }), "noises"),
        (json!({ "noise": "batch", "noises": [2.5] }), "noises"),
        (json!({ "slopes": [-0.1] }), "slopes"),
        (json!({ "noise": "slope" }), "rows"),
        (json!({ "rows": "depth", "slopes": [4.5] }), "slopes"),
        (json!({ "rows": "depth", "slopes": [7.0], "published": true }), "published"),
        (json!({ "data_noise": 1.5 }), "data_noise"),
        (json!({ "train": 1797 }), "train"),
        (json!({ "depth": 1 }), "depth"),
        (json!({ "friction": [0.1] }), "friction"),
        (json!({ "side": 0 }), "0 × 0"),
        (json!({ "data": "mnist1d", "side": 3 }), "images"),
    ] {
        let said = refused(settings.clone());
        assert!(said.contains(word), "{settings}: {said}");
    }
}

fn with(more: Value) -> Box<dyn Question> {
    let mut settings: Value = serde_json::from_str(SMALL).unwrap();
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    question(settings)
}

/// Convolutions on images as they are, residual sums, and the MLP: all have a curve with a point for each hidden layer, one behind and
/// (but for residual sums) one before the activation, which are not the same.
#[test]
fn convolutions_and_residual_networks_have_load_curves_too() {
    for (model, has_before) in [("mlp", true), ("cnn", true), ("residual", false)] {
        let question = with(
            json!({ "model": model, "noises": [0.1], "slopes": [0.2], "width": 8, "seeds": 1, "chains": 0, "epochs": 60, "rate": 0.01 }),
        );
        let answer = &answered(&*question)[0].value;
        let curve = |key: &str| -> Vec<f64> { serde_json::from_value(answer[key].clone()).unwrap() };
        let (after, before) = (curve("curve"), curve("before"));
        assert_eq!(after.len(), 5, "{model}: D_0 and one for each of four hidden layers");
        assert_eq!(before.len(), if has_before { 5 } else { 0 }, "{model}");
        assert!(!has_before || (before[0] == after[0] && before[1..] != after[1..]), "{model}");
        assert!(after[4] < after[0], "{model} separates: {after:?}");
        assert!(answer["train"].as_f64().unwrap() > 0.9, "{model}: {answer}");
        assert!(
            answer["sharpness"].as_f64().unwrap() > 0.0 && answer["weights"].as_f64().unwrap() > 0.0,
            "{model}"
        );
    }
    let said = refused(json!({ "model": "cnn", "data": "mnist1d", "train": 100 }));
    assert!(said.contains("model") && said.contains("no image"), "{said}");
}

/// A diagram that is refined trains fewer cells, is taken up again to the same bits, and agrees with the whole one where both were
/// trained.
#[test]
fn a_diagram_is_trained_where_it_changes() {
    let noises: Vec<f64> = (0..9).map(|at| 0.05 * f64::from(at)).collect();
    let some = json!({ "noises": noises, "slopes": [0.0, 0.25, 0.5, 0.75, 1.0], "seeds": 1, "sharpness": 0 });
    let whole = with(some.clone());
    let mut fewer = some;
    fewer["detail"] = json!(0.1);
    let question = with(fewer);
    let root = tempfile::tempdir().unwrap();
    let report = |question: &dyn Question, root: &std::path::Path, threads, stop| {
        toy::run(question, root, threads, stop).unwrap()
    };
    let refined = report(&*question, root.path(), 2, usize::MAX);
    assert!(refined.is_finished);
    for (threads, cancel_after) in [(1, 3), (2, 12), (2, 20)] {
        let other = tempfile::tempdir().unwrap();
        report(&*question, other.path(), threads, cancel_after);
        assert!(report(&*question, other.path(), 3, usize::MAX).is_finished);
        assert_eq!(toy::report_bytes(other.path()), toy::report_bytes(root.path()), "after {cancel_after}");
    }
    let text =
        |report: &Report| report.summary.iter().map(|line| line.text.clone()).collect::<Vec<_>>().join("\n");
    let said = text(&refined.report);
    let trained: usize =
        said.split(" of 45 cells").next().unwrap().split_whitespace().last().unwrap().parse().unwrap();
    assert!((9..45).contains(&trained), "{said}");
    let all = whole.report(&answered(&*whole)).unwrap();
    let read = |report: &Report| -> Vec<Vec<Option<f64>>> {
        serde_json::from_value(report.extra["convexity"].clone()).unwrap()
    };
    let (fine, coarse) = (read(&all), read(&refined.report));
    let same = fine.iter().flatten().zip(coarse.iter().flatten()).filter(|(_, found)| found.is_some());
    assert_eq!(same.clone().count(), trained);
    assert!(same.into_iter().all(|(a, b)| a == b), "{fine:?} and {coarse:?}");
}

/// Against the figure of the paper: only cells that it has, and only kinds of noise that it shows.
#[test]
fn the_published_diagram_is_compared_where_it_has_the_same_cells() {
    let more = json!({ "published": true, "depth": 7, "noises": [0.0, 0.12, 0.28], "slopes": [0.0, 1.0], "epochs": 100, "width": 100, "train": 400, "seeds": 1 });
    let question = with(more);
    let report = question.report(&answered(&*question)).unwrap();
    let near = &report.extra["against_published"];
    assert_eq!(near["cells"], 6);
    // Other data, and a sixth of them: alike all the same.
    assert!(near["convexity"].as_f64().unwrap() > 0.97, "{near}");
    for (settings, word) in [
        (json!({ "published": true, "noise": "temperature" }), "for this noise"),
        (json!({ "published": true, "depth": 4 }), "for this depth"),
        (json!({ "published": true, "noises": [0.01] }), "for these cells"),
    ] {
        let said = refused(settings.clone());
        assert!(said.contains("published") && said.contains(word), "{settings}: {said}");
    }
}

/// Eight networks and more, and what goes with their accuracy.
#[test]
fn predictors_of_accuracy_are_ranked_beside_the_loads() {
    let question =
        with(json!({ "noises": [0.0, 0.1, 0.2, 0.4], "slopes": [0.0, 0.5, 1.0], "seeds": 2, "chains": 0 }));
    let report = question.report(&answered(&*question)).unwrap();
    let found = report.extra["goes_with_test_accuracy"].as_array().unwrap();
    let names: Vec<&str> = found.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(names.len() == 6 && names[0] == "training loss" && names.contains(&"sharpness"), "{names:?}");
    for one in found {
        let value = one["all"]["value"].as_f64().unwrap();
        assert!(value.abs() <= 1.0 && one["all"]["error"].as_f64().unwrap().is_finite(), "{one}");
    }
}
