//! Knobs moved while networks learn: towards the target, the same bits after a break, honest words, and clear refusals.

#![allow(clippy::result_large_err)]

mod toy;

use carnot_lab::experiments::question::Question;
use carnot_lab::experiments::{self, Point, Tools};
use carnot_report::report::Report;
use serde_json::{Value, json};

const SMALL: &str = r#"{ "values": [0.0, 0.1, 0.4], "depth": 4, "width": 24, "train": 200, "epochs": 20, "every": 4, "seeds": 2 }"#;

fn settings(more: Value) -> Value {
    let mut settings: Value = serde_json::from_str(SMALL).unwrap();
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

fn question(settings: Value) -> Box<dyn Question> {
    experiments::verb("tune").unwrap().ask(settings).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(settings: Value) -> String {
    experiments::verb("tune").unwrap().ask(settings).err().expect("it should be refused").to_string()
}

fn answered(question: &dyn Question) -> Vec<Point> {
    let tools = Tools::silent();
    let one = |job: experiments::Job| Point { value: question.run(&job, &tools).unwrap(), job: job.id };
    question.plan().unwrap().into_iter().map(one).collect()
}

fn report(settings: Value) -> Report {
    let question = question(settings);
    question.report(&answered(&*question)).unwrap()
}

fn headline(report: &Report) -> &str {
    &report.headline.as_ref().unwrap().text
}

/// Digits with 300 labels, from no dropout (work in the deep layers) and from 0.4 (in the shallow ones), four seeds: both end near an
/// even curve and near the same dropout, and both gain.
#[test]
fn dropout_is_moved_until_the_curve_is_even_from_either_side() {
    let report = report(json!({ "values": [0.0, 0.4], "seeds": 4 }));
    let starts = report.extra["starts"].as_array().unwrap();
    let of = |at: usize, key: &str| starts[at][key]["value"].as_f64().unwrap();
    assert!(of(0, "convexity_untouched") < -0.1 && of(1, "convexity_untouched") > 0.06, "{starts:?}");
    for at in [0, 1] {
        assert!(of(at, "convexity_tuned").abs() < 0.03, "{starts:?}");
        assert!((0.1..0.38).contains(&of(at, "knob")), "{starts:?}");
        assert!(of(at, "difference") > 0.015, "{starts:?}");
    }
    assert!(headline(&report).starts_with("TUNING BEATS"), "{}", headline(&report));
    let looks = report.extra["schedule"][0]["looks"].as_array().unwrap();
    assert_eq!((looks.len(), &looks[20]["epoch"]), (21, &json!(100)));
    // Untrained layers separate nothing: nothing is moved before they do.
    assert_eq!(looks[0]["not_moved"], json!(4));
    assert!(looks[20]["knob"]["value"].as_f64() > looks[5]["knob"]["value"].as_f64());
}

#[test]
fn every_knob_moves_the_curve_towards_its_target() {
    for (knob, values, target) in [
        ("layers", json!([0.0, 0.4]), 0.0),
        ("rate", json!([0.0003, 0.001, 0.03]), 0.1),
        ("data", json!([0.0, 0.7]), 0.1),
        ("slope", json!([0.0, 1.0]), 0.1),
    ] {
        let report = report(settings(
            json!({ "knob": knob, "values": values, "target": target, "epochs": 40, "gain": 0.5 }),
        ));
        let start = &report.extra["starts"][usize::from(knob == "rate")];
        let of = |key: &str| start[key]["value"].as_f64().unwrap();
        let (before, after) = (of("convexity_untouched") - target, of("convexity_tuned") - target);
        assert!(after.abs() < before.abs(), "{knob}: {before} → {after}, {start}");
    }
}

#[test]
fn a_comparison_that_was_interrupted_has_the_bits_of_one_that_was_not() {
    let question = question(settings(json!({})));
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
fn a_part_of_the_trainings_is_a_report_too() {
    let question = question(settings(json!({})));
    let points = answered(&*question);
    for known in 0..points.len() {
        let report = question.report(&points[..known]).unwrap();
        assert_eq!(headline(&report) == "NOTHING MEASURED YET", known == 0);
        // Twice the start, then the others: two values, twice; then twice the start again; then the second seed.
        let has_sweep = !report.extra["tuned_less_sweep"].is_null();
        assert_eq!(has_sweep, known >= 6, "{known}");
    }
}

/// A gain of nothing leaves both copies alike: the words must not claim anything.
#[test]
fn equal_trainings_cannot_be_told_apart() {
    let report = report(settings(json!({ "gain": 1e-12, "seeds": 3 })));
    assert_eq!(headline(&report), "TUNING CANNOT BE TOLD FROM THE CONTROL");
    for key in ["tuned_less_control", "tuned_less_sweep"] {
        assert_eq!(report.extra[key]["value"], json!(0.0), "{key}");
    }
    assert!(report.summary[0].text.contains("not distinguishable"), "{:?}", report.summary);
}

#[test]
fn one_seed_tells_nothing() {
    let report = report(settings(json!({ "seeds": 1 })));
    assert_eq!(headline(&report), "ONE SEED CANNOT TELL WHETHER TUNING HELPS");
}

#[test]
fn without_load_nothing_is_moved() {
    let report = report(settings(json!({ "least": 50.0 })));
    assert_eq!(headline(&report), "TOO LITTLE LOAD TO TUNE BY");
    let starts = report.extra["starts"].as_array().unwrap();
    assert!(starts.iter().all(|start| start["knob"]["value"] == start["start"]), "{starts:?}");
    assert!(report.summary.iter().any(|line| line.label == "not moved"));
}

#[test]
fn settings_out_of_range_are_refused_by_their_key() {
    for (settings, word) in [
        (json!({ "values": [0.1, 0.99] }), "values"),
        (json!({ "values": [0.1] }), "values"),
        (json!({ "values": [0.1, 0.2] }), "start"),
        (json!({ "start": 0.15 }), "start"),
        (json!({ "knob": "rate", "values": [0.0, 0.001] }), "values"),
        (json!({ "train": 1797 }), "train"),
        (json!({ "held": 1.0 }), "held"),
        (json!({ "every": 0 }), "every"),
        (json!({ "every": 101 }), "every"),
        (json!({ "gain": 0.0 }), "gain"),
        (json!({ "response": 0.0 }), "response"),
        (json!({ "target": 2.0 }), "target"),
        (json!({ "depth": 1 }), "depth"),
        (json!({ "dropout": 1.0 }), "dropout"),
        (json!({ "side": 0 }), "0 × 0"),
    ] {
        let said = refused(settings.clone());
        assert!(said.contains(word), "{settings}: {said}");
    }
}
