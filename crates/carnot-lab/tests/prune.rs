//! Lottery tickets on real digits: what the paper saw, the same bits after any break, and what cannot be asked.

#![allow(clippy::result_large_err)]

mod toy;

use std::collections::HashSet;
use std::fs;

use carnot_lab::experiments::question::Question;
use carnot_lab::experiments::{self, Point, Tools};
use carnot_report::report::Report;
use serde_json::{Value, json};

const SMALL: &str =
    r#"{ "network": "64-100-50-10", "data": "digits", "rounds": 15, "length": 800, "seeds": 3 }"#;

fn settings(more: Value) -> Value {
    let mut settings: Value = serde_json::from_str(SMALL).unwrap();
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

fn question(more: Value) -> Box<dyn Question> {
    let verb = experiments::verb("prune").unwrap();
    verb.ask(settings(more)).unwrap_or_else(|error| panic!("{error}"))
}

fn report(more: Value) -> Report {
    let (question, tools, mut points) = (question(more), Tools::silent(), Vec::new());
    let mut jobs = question.plan().unwrap();
    while !jobs.is_empty() {
        let point = |job: carnot_lab::experiments::Job| Point {
            value: question.run(&job, &tools).unwrap(),
            job: job.id,
        };
        points.extend(jobs.into_iter().map(point));
        jobs = question.next(&points).unwrap();
    }
    question.report(&points).unwrap()
}

/// Mean over networks of a number of the trainings of a round and way.
fn mean(report: &Report, round: usize, way: &str, key: &str) -> f64 {
    let all = report.extra["trainings"].as_array().unwrap();
    let own: Vec<f64> = all
        .iter()
        .filter(|one| one["round"] == round && one["way"] == way)
        .map(|one| one[key].as_f64().unwrap())
        .collect();
    assert_eq!(own.len(), 3, "{round} {way}");
    own.iter().sum::<f64>() / 3.0
}

/// With 4 % of the weights the ticket does nearly as well as the whole, the same mask on fresh weights worse, a shuffled mask far worse; at half the weights it
/// matters little which.
#[test]
fn it_matters_which_weights_are_left_and_with_which_values() {
    let report = report(json!({}));
    let score = |round: usize, way: &str| mean(&report, round, way, "best_score");
    let whole = score(0, "ticket");
    assert!(whole > 0.95, "{whole}");
    let (ticket, fresh, elsewhere) = (score(15, "ticket"), score(15, "fresh"), score(15, "elsewhere"));
    assert!(ticket > whole - 0.03, "{ticket}, whole {whole}");
    assert!(ticket > fresh + 0.01 && fresh > elsewhere + 0.05, "{ticket} {fresh} {elsewhere}");
    assert!((score(3, "ticket") - score(3, "elsewhere")).abs() < 0.02);
    let share = mean(&report, 15, "ticket", "share");
    // 0.8^15 of the hidden matrices, 0.9^15 of the last.
    assert!(
        (share - (11_400.0 * 0.8f64.powi(15) + 500.0 * 0.9f64.powi(15)) / 11_900.0).abs() < 1e-3,
        "{share}"
    );
    assert_eq!(mean(&report, 15, "elsewhere", "share"), share);
    assert!(report.headline.as_ref().unwrap().text.ends_with("OF THE WEIGHTS DO AS WELL AS ALL"));
    let smallest = report.extra["smallest"]["does"].as_f64().unwrap();
    assert!(smallest < 0.15, "{smallest}");
}

#[test]
fn any_number_of_threads_and_any_break_gives_the_same_bits_without_repeating_a_training() {
    let small = json!({ "rounds": 3, "length": 60, "look": 20, "seeds": 2, "rewind": 20, "controls": 2 });
    let question = question(small);
    let whole = tempfile::tempdir().unwrap();
    let all = toy::run(&*question, whole.path(), 1, usize::MAX).unwrap();
    assert!(all.is_finished);
    for (threads, cancel_after) in [(2, usize::MAX), (3, 3), (2, 9), (1, 6)] {
        let root = tempfile::tempdir().unwrap();
        toy::run(&*question, root.path(), threads, cancel_after).unwrap();
        toy::run(&*question, root.path(), 2, usize::MAX).unwrap();
        let folder = fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path();
        let text = fs::read_to_string(folder.join("points.jsonl")).unwrap();
        let job =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["job"].as_str().unwrap().to_string();
        let names: Vec<String> = text.lines().map(job).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        assert_eq!(names.len(), all.done);
        assert_eq!(
            toy::report_bytes(root.path()),
            toy::report_bytes(whole.path()),
            "{threads} {cancel_after}"
        );
    }
}

#[test]
fn kernels_numbers_and_all_layers_together_can_be_pruned_too() {
    let network = json!({ "input": [1, 8, 8], "layers": [{ "conv": 4, "kernel": 3 }, { "act": "relu" }, { "flatten": true }, { "dense": 16 }, { "act": "relu" }, { "dense": 10 }] });
    let few = json!({ "network": network, "rounds": 4, "length": 200, "together": true, "controls": 4 });
    let found = report(few);
    let last = found.extra["trainings"]
        .as_array()
        .unwrap()
        .iter()
        .rfind(|one| one["way"] == "ticket")
        .unwrap()
        .clone();
    let left: Vec<u64> = last["left"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    // The last matrix is left whole; of the others together 0.8^4.
    assert_eq!(left[2], 160);
    let first = &found.extra["trainings"].as_array().unwrap()[0]["left"];
    let others = (first[0].as_u64().unwrap() + first[1].as_u64().unwrap()) as f64;
    assert!(((left[0] + left[1]) as f64 - others * 0.8f64.powi(4)).abs() <= 2.0, "{left:?} of {first}");
    // One threshold: the layers lose different shares.
    assert!(
        (left[0] as f64 / first[0].as_f64().unwrap() - left[1] as f64 / first[1].as_f64().unwrap()).abs()
            > 0.02
    );
    let numbers = json!({ "network": "5-16-1", "data": "teacher", "samples": 300, "rounds": 2, "length": 100, "controls": 1 });
    let found = report(numbers);
    assert!(
        found.extra["trainings"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["best_score"].as_f64().unwrap() < 0.0)
    );
}

#[test]
fn impossible_settings_are_refused_with_what_to_change() {
    for (more, told) in [
        (json!({ "rounds": 0 }), "rounds"),
        (json!({ "each": 1.0 }), "each"),
        (json!({ "each_conv": -0.1 }), "each_conv"),
        (json!({ "rewind": 800 }), "rewind"),
        (json!({ "look": 0 }), "look"),
        (json!({ "rate": 0.0 }), "rate"),
        (json!({ "optimizer": "adagrad" }), "optimizer"),
        (json!({ "data": null }), "data"),
        (json!({ "network": "64-16-9" }), "outputs"),
    ] {
        let found = experiments::verb("prune")
            .unwrap()
            .ask(settings(more.clone()))
            .err()
            .expect("refused")
            .to_string();
        assert!(found.contains(told), "{more}: {found}");
    }
}
