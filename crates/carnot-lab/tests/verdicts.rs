//! The verdict of `check` on networks whose fate is known, on real digits.

use carnot_lab::experiments::check::{Check, CheckSpec};
use carnot_lab::experiments::{Experiment, Point, Tools};
use carnot_report::report::{Report, Word};
use rayon::prelude::*;
use serde_json::{Value, json};

fn check(settings: Value) -> Report {
    let mut merged = serde_json::to_value(CheckSpec::default()).expect("plain data");
    merged["data"] = json!("digits");
    for (key, value) in settings.as_object().expect("an object") {
        merged[key] = value.clone();
    }
    let spec = Check::resolve(serde_json::from_value(merged).expect("a specification")).expect("resolves");
    let tools = Tools::silent();
    let jobs = Check::plan(&spec).expect("plans");
    let run = |job| Check::run(&spec, job, &tools).expect("runs");
    let points: Vec<Point> =
        jobs.par_iter().map(|job| Point { job: job.id.clone(), value: run(job) }).collect();
    Check::report(&spec, &points).expect("reports")
}

fn word(report: &Report) -> Word {
    report.verdict.as_ref().expect("check has a verdict").word
}

fn codes(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|finding| finding.code.as_str()).collect()
}

#[test]
fn fifty_layers_with_the_default_init_do_not_learn_whatever_the_activation() {
    for activation in ["tanh", "relu", "gelu", "sigmoid"] {
        let report = check(json!({ "network": "64-128x50-10", "activation": activation }));
        assert_eq!(word(&report), Word::WillNotLearn, "{activation}");
        assert!(codes(&report).contains(&"S101") && codes(&report).contains(&"G201"), "{activation}");
        let cause = if activation == "sigmoid" { "S105" } else { "S103" };
        assert!(codes(&report).contains(&cause), "{activation}: {:?}", codes(&report));
    }
}

#[test]
fn the_remedy_is_proved_by_training() {
    let report =
        check(json!({ "network": "64-64x30-10", "activation": "tanh", "try": 150, "optimizer": "momentum" }));
    assert_eq!(word(&report), Word::WillNotLearn);
    let tried = &report.extra["tried"];
    assert_eq!(
        (&tried["as_is_learned"], &tried["remedied_learned"]),
        (&json!(false), &json!(true)),
        "{tried}"
    );
    let critical =
        check(json!({ "network": "64-64x30-10", "activation": "tanh", "init": "critical", "try": 150 }));
    assert_ne!(word(&critical), Word::WillNotLearn);
    assert_eq!(critical.extra["tried"]["as_is_learned"], json!(true));
    assert_eq!(
        critical.extra["tried"]["remedied"],
        json!([]),
        "a network that needs no remedy is not trained twice"
    );
}

#[test]
fn a_shallow_network_simply_learns() {
    let report =
        check(json!({ "network": "64-128x3-10", "activation": "relu", "init": "critical", "try": 100 }));
    assert_eq!((word(&report), codes(&report)), (Word::Learns, vec![]));
}

#[test]
fn weights_that_are_too_large_scatter_inputs_and_blow_up_gradients() {
    let report = check(json!({ "network": "64-128x40-10", "activation": "tanh", "c_w": 6.0, "c_b": 0.0 }));
    assert!(codes(&report).contains(&"S102") && codes(&report).contains(&"G202"), "{:?}", codes(&report));
    let report = check(json!({ "network": "64-64x60-10", "activation": "relu", "c_w": 20.0, "c_b": 0.0 }));
    assert_eq!(word(&report), Word::WillNotLearn);
    assert!(codes(&report).contains(&"S104"), "{:?}", codes(&report));
}

#[test]
fn an_adaptive_optimizer_is_judged_more_leniently() {
    let settings =
        |optimizer: &str| json!({ "network": "64-128x10-10", "activation": "relu", "optimizer": optimizer });
    assert_eq!(word(&check(settings("sgd"))), Word::WillNotLearn);
    assert_eq!(word(&check(settings("adam"))), Word::LearnsAtACost);
}

#[test]
fn norms_and_skips_save_a_deep_network() {
    let report = check(
        json!({ "network": "64-64x40-10", "activation": "relu", "norm": "layer", "residual": 1.0, "try": 100 }),
    );
    assert_ne!(word(&report), Word::WillNotLearn);
    assert_eq!(report.extra["tried"]["as_is_learned"], json!(true));
}

#[test]
fn a_changed_file_is_another_question() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data.csv");
    let resolved = |rows: &str| {
        std::fs::write(&path, rows).expect("writes");
        let spec = json!({ "network": "2-4-2", "data": path.to_str(), "probe": 2 });
        let mut merged = serde_json::to_value(CheckSpec::default()).expect("plain data");
        spec.as_object().expect("an object").iter().for_each(|(key, value)| merged[key] = value.clone());
        Check::resolve(serde_json::from_value(merged).expect("a specification"))
    };
    let first = resolved("a,b,label\n1,2,0\n2,1,1\n3,4,0\n").expect("resolves");
    let second = resolved("a,b,label\n1,2,0\n2,1,1\n3,5,0\n").expect("resolves");
    assert_ne!(first.data.data_checksum, second.data.data_checksum);
    let again = Check::resolve(first);
    assert!(again.is_err(), "a run must not go on with other data than it began with");
}
