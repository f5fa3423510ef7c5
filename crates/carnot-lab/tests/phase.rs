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

#[test]
fn settings_out_of_range_are_refused_by_their_key() {
    for (settings, word) in [
        (json!({ "noises": [1.0] }), "noises"),
        (json!({ "noise": "batch", "noises": [2.5] }), "noises"),
        (json!({ "slopes": [-0.1] }), "slopes"),
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
