//! Rates carried from small networks to large ones: as good as the best found there, layers that move alike, the same bits after a break.

#![allow(clippy::result_large_err)]

mod toy;

use carnot_lab::experiments::question::Question;
use carnot_lab::experiments::{self, Point, Tools};
use carnot_report::report::Report;
use serde_json::{Value, json};

const SMALL: &str = r#"{ "network": "64-24x4-10", "activation": "tanh", "init": "critical", "data": "digits",
    "length": 120, "rate_from": 1e-4, "rate_to": 1.0 }"#;

fn settings(more: Value) -> Value {
    let mut settings: Value = serde_json::from_str(SMALL).unwrap();
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

fn question(more: Value) -> Box<dyn Question> {
    let verb = experiments::verb("transfer").unwrap();
    verb.ask(settings(more)).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(more: Value) -> String {
    let verb = experiments::verb("transfer").unwrap();
    verb.ask(settings(more)).err().expect("it should be refused").to_string()
}

fn report(more: Value) -> Report {
    let question = question(more);
    let (tools, mut points) = (Tools::silent(), Vec::new());
    let mut jobs = question.plan().unwrap();
    while !jobs.is_empty() {
        points.extend(
            jobs.into_iter().map(|job| Point { value: question.run(&job, &tools).unwrap(), job: job.id }),
        );
        jobs = question.next(&points).unwrap();
    }
    question.report(&points).unwrap()
}

/// Mean and standard error of the final losses at every rate that was tried of a size by a rule.
fn curve(report: &Report, depth: u64, width: u64, rule: &str) -> Vec<(f64, f64, f64)> {
    let own = |t: &&Value| t["size"]["depth"] == depth && t["size"]["width"] == width && t["rule"] == rule;
    let one = |t: &Value| {
        let losses: Option<Vec<f64>> = t["losses"].as_array().unwrap().iter().map(Value::as_f64).collect();
        let losses = losses?;
        let n = losses.len() as f64;
        let mean = losses.iter().sum::<f64>() / n;
        let variance = losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Some((t["rate"].as_f64().unwrap(), mean, (variance / n).sqrt()))
    };
    report.extra["trained"].as_array().unwrap().iter().filter(own).filter_map(one).collect()
}

fn nearest(curve: &[(f64, f64, f64)], rate: f64) -> (f64, f64, f64) {
    let far = |point: &&(f64, f64, f64)| (point.0 / rate).ln().abs();
    *curve.iter().min_by(|a, b| far(a).total_cmp(&far(b))).unwrap()
}

fn least(curve: &[(f64, f64, f64)]) -> (f64, f64, f64) {
    *curve.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
}

/// From depth 4 to 16: at the rate of the small network the groups of the rule learn as well as at the best of seven rates, one rate for all does not.
#[test]
fn a_rate_tuned_at_four_layers_serves_sixteen() {
    for optimizer in ["adam", "sgd"] {
        let report = report(
            json!({ "to_depth": 16, "verify": true, "optimizer": optimizer, "seeds": 4, "rate_to": 4.0 }),
        );
        let predicted = report.extra["predicted"]["rate"].as_f64().unwrap();
        let ours = curve(&report, 16, 24, "maximal-update");
        let (at, best) = (nearest(&ours, predicted), least(&ours));
        assert!(at.1 <= best.1 + 3.0 * at.2.hypot(best.2) + 0.1, "{optimizer}: {at:?}, best {best:?}");
        let theirs = nearest(&curve(&report, 16, 24, "standard"), predicted);
        assert!(theirs.1 > at.1 + 2.0 * theirs.2.hypot(at.2), "{optimizer}: {theirs:?} and {at:?}");
        // One rate for all is told to fall as the number of layers that there are more of: 15 for 3.
        let one = report.extra["one_rate"].as_f64().unwrap();
        assert!((one / predicted - 0.2).abs() < 1e-12);
    }
}

/// Exponents in the width of how far layers move in four steps: none by the rule, clear growth behind hidden layers with one rate for all.
#[test]
fn layers_move_alike_at_every_width_by_the_rule_alone() {
    let report = report(json!({ "to_width": 192, "seeds": 6 }));
    let exponents = |rule: &str| -> Vec<f64> {
        let rows = report.extra["coordinates"][rule].as_array().unwrap();
        rows.iter().map(|row| row["found"][0].as_f64().unwrap()).collect()
    };
    let (ours, theirs) = (exponents("maximal-update"), exponents("standard"));
    assert_eq!(ours.len(), 5);
    for hidden in 1..4 {
        assert!(ours[hidden].abs() < 0.2, "{ours:?}");
        assert!(theirs[hidden] > ours[hidden] + 0.2, "{theirs:?} and {ours:?}");
    }
}

#[test]
fn the_report_names_groups_rates_and_an_interval() {
    let report = report(json!({ "to_width": 96 }));
    let predicted = &report.extra["predicted"];
    let of = |key: &str| predicted[key].as_f64().unwrap();
    assert!(of("low") < of("rate") && of("rate") < of("high"), "{predicted}");
    assert!(of("high") / of("low") < 6.0, "{predicted}");
    let layers = report.extra["layers"].as_array().unwrap();
    let factors: Vec<f64> = layers.iter().map(|layer| layer["scale"]["weight"].as_f64().unwrap()).collect();
    assert_eq!(factors, [1.0, 0.25, 0.25, 0.25, 0.25]);
    assert_eq!(layers[4]["c_w"], json!(0.25));
    let text = &report.headline.as_ref().unwrap().text;
    assert!(text.contains("AT WIDTH 96, DEPTH 4"), "{text}");
}

#[test]
fn a_break_changes_no_bit_and_repeats_no_training() {
    let question = question(json!({ "to_width": 48, "length": 40, "verify": true, "seeds": 2 }));
    let whole = tempfile::tempdir().unwrap();
    let all = toy::run(&*question, whole.path(), 1, usize::MAX).unwrap();
    assert!(all.is_finished);
    for (threads, after) in [(2, usize::MAX), (2, 3), (3, 17), (1, 30)] {
        let root = tempfile::tempdir().unwrap();
        toy::run(&*question, root.path(), threads, after).unwrap();
        toy::run(&*question, root.path(), 2, usize::MAX).unwrap();
        assert_eq!(toy::report_bytes(root.path()), toy::report_bytes(whole.path()), "{threads} {after}");
    }
}

#[test]
fn a_box_in_which_nothing_trains_is_said_to_be_one() {
    let report = report(
        json!({ "to_width": 48, "rate_from": 300.0, "rate_to": 3000.0, "optimizer": "sgd", "activation": "relu" }),
    );
    let text = &report.headline.as_ref().unwrap().text;
    assert!(text.starts_with("NOT KNOWN"), "{text}");
}

#[test]
fn what_cannot_be_carried_is_refused() {
    for (more, word) in [
        (json!({}), "larger size"),
        (json!({ "to_width": 48, "data": null }), "data"),
        (json!({ "to_width": 0 }), "to_width"),
        (json!({ "to_depth": 8, "network": "64-32-10" }), "to_depth"),
        (json!({ "to_width": 8, "network": "64-10" }), "to_width"),
        (json!({ "to_width": 48, "rate_from": 0.1, "rate_to": 0.2 }), "rate_to"),
        (json!({ "to_width": 48, "rate_from": -1.0 }), "rate_from"),
        (json!({ "to_width": 48, "seeds": 1 }), "seeds"),
        (json!({ "to_width": 48, "optimizer": "adma" }), "optimizer"),
    ] {
        let message = refused(more.clone());
        assert!(message.contains(word), "{more}: {message}");
    }
}
