//! Borders: found where a grid finds them, the same bits for any number of threads and after a break, and honest where there is none.

#![allow(clippy::result_large_err)]

mod toy;

use std::collections::HashSet;
use std::fs;

use carnot_lab::experiments;
use carnot_lab::experiments::border::run::{Shared, outcome, whole};
use carnot_lab::experiments::border::{Across, Border, BorderSpec};
use carnot_lab::experiments::question::Question;
use carnot_lab::experiments::{Experiment, Point, Tools};
use carnot_report::report::Report;
use carnot_report::section::Section;
use serde_json::{Value, json};

const SMALL: &str = r#"{ "network": "64-16x3-10", "activation": "tanh", "init": "critical", "data": "digits", "optimizer": "sgd",
    "batch": 32, "length": 200, "y_to": 6, "budget": 16 }"#;

fn settings(more: Value) -> Value {
    let mut settings: Value = serde_json::from_str(SMALL).unwrap();
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

fn question(settings: Value) -> Box<dyn Question> {
    experiments::verb("border").unwrap().ask(settings).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(more: Value) -> String {
    experiments::verb("border").unwrap().ask(settings(more)).err().expect("it should be refused").to_string()
}

/// All rounds, one job after another.
fn answered(question: &dyn Question) -> Vec<Point> {
    let (tools, mut points) = (Tools::silent(), Vec::new());
    let mut jobs = question.plan().unwrap();
    while !jobs.is_empty() {
        points.extend(
            jobs.into_iter().map(|job| Point { value: question.run(&job, &tools).unwrap(), job: job.id }),
        );
        jobs = question.next(&points).unwrap();
    }
    points
}

fn report(settings: Value) -> Report {
    let question = question(settings);
    question.report(&answered(&*question)).unwrap()
}

fn headline(report: &Report) -> &str {
    &report.headline.as_ref().unwrap().text
}

/// The largest rate that learns on a grid of full runs at a twelfth of a decade, against the border of 16 short ones.
#[test]
fn the_border_lies_where_a_grid_of_full_runs_has_it() {
    let spec = Border::resolve(serde_json::from_value(settings(json!({}))).unwrap()).unwrap();
    let shared = Shared::of(&spec).unwrap();
    let report = report(settings(json!({})));
    let steps = report.extra["steps"].as_u64().unwrap();
    assert!(steps <= 16 * 40, "{steps}");
    let rows = report.extra["border"].as_array().unwrap();
    assert_eq!(rows.len(), 5);
    for row in rows {
        let y = row["y"].as_f64().unwrap();
        let learns =
            |height: &f64| whole(&spec, &shared, 1, 10f64.powf(*height), y).unwrap().verdict.fate.is_good();
        let heights: Vec<f64> = (-12..=12).map(|i| f64::from(i) / 12.0).collect();
        let truth = heights.iter().rev().find(|height| learns(height)).unwrap();
        let found = row["upper"]["at"].as_f64().unwrap().log10();
        assert!((found - truth).abs() < 0.3, "depth {y}: found {found}, is {truth}");
    }
}

#[test]
fn any_number_of_threads_and_any_break_gives_the_same_bits_without_repeating_a_run() {
    let question = question(settings(json!({ "seeds": 2 })));
    let whole = tempfile::tempdir().unwrap();
    let all = toy::run(&*question, whole.path(), 1, usize::MAX).unwrap();
    assert!(all.is_finished);
    for (threads, cancel_after) in [(2, usize::MAX), (3, 4), (2, 9), (1, 13)] {
        let root = tempfile::tempdir().unwrap();
        let first = toy::run(&*question, root.path(), threads, cancel_after).unwrap();
        let points = || {
            let folder = fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path();
            fs::read_to_string(folder.join("points.jsonl")).unwrap()
        };
        let before = points();
        assert!(before.lines().count() >= first.done.min(cancel_after));
        toy::run(&*question, root.path(), 2, usize::MAX).unwrap();
        let after = points();
        // What had landed stands as it was, and every job has landed once.
        assert!(after.starts_with(&before));
        let job =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["job"].as_str().unwrap().to_string();
        let names: Vec<String> = after.lines().map(job).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        assert_eq!(names.len(), all.done);
        assert_eq!(
            toy::report_bytes(root.path()),
            toy::report_bytes(whole.path()),
            "{threads} {cancel_after}"
        );
    }
}

/// Short verdicts against full ones over a plane of both outcomes: few are wrong, and they cost a fifth at most.
#[test]
fn early_verdicts_agree_with_full_runs() {
    let spec: BorderSpec = serde_json::from_value(settings(json!({ "length": 300 }))).unwrap();
    let spec = Border::resolve(spec).unwrap();
    let shared = Shared::of(&spec).unwrap();
    let (mut wrong, mut good, mut all) = (0, 0, 0);
    for depth in [2.0, 4.0, 6.0] {
        for at in 0..16 {
            let x = 10f64.powf(-1.0 + 2.0 * f64::from(at) / 15.0);
            let short = outcome(&spec, &shared, 1, x, depth, &mut |_, _| {}).unwrap();
            let full = whole(&spec, &shared, 1, x, depth).unwrap();
            assert!(short.verdict.steps <= 60 && full.verdict.steps <= 300);
            wrong += usize::from(short.verdict.fate.is_good() != full.verdict.fate.is_good());
            good += usize::from(full.verdict.fate.is_good());
            all += 1;
        }
    }
    assert!(good > all / 4 && good < 3 * all / 4, "{good} of {all} learn");
    assert!(wrong * 10 <= all, "{wrong} of {all} early verdicts are wrong");
}

#[test]
fn a_box_without_a_border_says_so() {
    let low = report(settings(json!({ "x_from": 0.02, "x_to": 0.2 })));
    assert!(headline(&low).contains("NO BORDER FOUND"), "{}", headline(&low));
    assert!(low.summary.iter().any(|line| line.label == "not found" && line.text.contains("above the box")));
    assert!(low.extra["border"][0]["upper"].is_null());
    let high = report(settings(json!({ "x_from": 50.0, "x_to": 5000.0 })));
    assert_eq!(headline(&high), "NOTHING LEARNS IN THE BOX");
}

#[test]
fn every_pair_of_settings_has_a_border_or_says_why_not() {
    for more in [
        json!({ "y": "width", "y_from": 8, "y_to": 32 }),
        json!({ "y": "c-w", "y_from": 0.5, "y_to": 4.0, "optimizer": "adam" }),
        json!({ "y": "batch", "y_from": 8, "y_to": 128 }),
        json!({ "y": "warm-up", "y_from": 0, "y_to": 30 }),
        json!({ "x": "c-w", "x_from": 0.01, "x_to": 4.0, "y": "depth", "both": true }),
        json!({ "x": "depth", "x_from": 2, "x_to": 12, "y": "c-b", "optimizer": "momentum", "rate": 0.05 }),
    ] {
        let report = report(settings(more.clone()));
        assert!(report.extra["runs"].as_array().unwrap().len() >= 10, "{more}");
        assert!(report.summary.iter().any(|line| line.label == "stopped"), "{more}");
        // A full number of rows, each with an edge or none.
        for row in report.extra["border"].as_array().unwrap() {
            assert!(row["upper"].is_null() || row["upper"]["at"].as_f64().unwrap().is_finite(), "{more}");
        }
    }
}

/// Depth and width at once: at the corners the border lies where full runs have it, and the report has both exponents and a map of each slice.
#[test]
fn a_border_over_three_settings_lies_where_full_runs_have_it() {
    let more = json!({ "y_from": 2, "y_to": 5, "z": "width", "z_from": 8, "z_to": 48, "budget": 30 });
    let spec = Border::resolve(serde_json::from_value(settings(more.clone())).unwrap()).unwrap();
    let shared = Shared::of(&spec).unwrap();
    let report = report(settings(more));
    assert!(headline(&report).contains("PAIRS OF DEPTH AND WIDTH"), "{}", headline(&report));
    let rows = report.extra["border"].as_array().unwrap();
    assert_eq!(rows.len(), 4 * 5);
    for (y, z) in [(2.0, 8.0), (5.0, 8.0), (2.0, 48.0), (5.0, 48.0)] {
        let row = rows.iter().find(|row| row["y"] == y && row["z"] == z).unwrap();
        let at = Across { y, z: Some(z) };
        let learns =
            |height: &f64| whole(&spec, &shared, 1, 10f64.powf(*height), at).unwrap().verdict.fate.is_good();
        let heights: Vec<f64> = (-12..=12).map(|i| f64::from(i) / 12.0).collect();
        let truth = heights.iter().rev().find(|height| learns(height)).unwrap();
        let found = row["upper"]["at"].as_f64().unwrap().log10();
        assert!((found - truth).abs() < 0.3, "depth {y}, width {z}: found {found}, is {truth}");
    }
    assert!(report.extra["exponent"]["error"].as_f64().unwrap() > 0.0);
    assert!(report.extra["exponent_beside"]["error"].as_f64().unwrap() > 0.0);
    let maps = report.sections.iter().filter(|section| matches!(section, Section::Map(_))).count();
    assert_eq!(maps, 3);
    let scales = report.summary.iter().find(|line| line.label == "scales").unwrap();
    assert!(scales.text.contains("depth^") && scales.text.contains("width^"), "{}", scales.text);
}

/// Runs that no single edge explains are read by a process without a shape, over three settings too.
#[test]
fn three_settings_without_one_edge_end_all_the_same() {
    let report = report(settings(
        json!({ "x": "c-w", "x_from": 0.05, "x_to": 40.0, "y_to": 5, "z": "batch", "z_from": 8,
        "z_to": 64, "rate": 0.3, "budget": 20, "length": 100 }),
    ));
    assert!(report.extra["runs"].as_array().unwrap().len() >= 10);
    assert!(report.summary.iter().any(|line| line.label == "stopped"));
}

#[test]
fn numbers_as_targets_have_a_border_too() {
    let spec = json!({ "network": "5-16x3-1", "activation": "tanh", "init": "critical", "data": "teacher", "samples": 400, "optimizer": "sgd",
        "batch": 32, "length": 200, "y_to": 5, "budget": 14 });
    let Ok(question) = experiments::verb("border").unwrap().ask(spec) else {
        panic!("teacher data are targets")
    };
    let report = question.report(&answered(&*question)).unwrap();
    assert!(headline(&report).starts_with("BORDER FOUND"), "{}", headline(&report));
}

#[test]
fn impossible_settings_are_refused_with_what_to_change() {
    for (more, told) in [
        (json!({ "x_from": 1.0, "x_to": 0.1 }), "x_to"),
        (json!({ "y_from": 8, "y_to": 3 }), "y_to"),
        (json!({ "y_from": 1.5 }), "y_from"),
        (json!({ "y": "rate" }), "x"),
        (json!({ "x": "depth", "y": "depth" }), "another setting"),
        (json!({ "z": "depth" }), "another setting"),
        (json!({ "z": "rate" }), "another setting"),
        (json!({ "z": "width", "z_from": 64, "z_to": 8 }), "z_to"),
        (json!({ "z_to": 8 }), "--z width"),
        (json!({ "network": "64-16-10" }), "repeated block"),
        (json!({ "share": 0.0 }), "share"),
        (json!({ "budget": 2 }), "budget"),
        (json!({ "optimizer": "adagrad" }), "optimizer"),
        (json!({ "data": null }), "data"),
        (json!({ "network": "64-16x3-9" }), "outputs"),
    ] {
        let found = refused(more.clone());
        assert!(found.contains(told), "{more}: {found}");
    }
}
