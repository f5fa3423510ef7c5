//! Ensembles of real networks against theory, at widths n and 2n, and where they stop agreeing.

use carnot_lab::experiments::ensemble::{Ensemble, EnsembleSpec};
use carnot_lab::experiments::{Experiment, Point, Tools};
use carnot_report::report::Report;
use rayon::prelude::*;
use serde_json::{Value, json};

fn ensemble(settings: Value) -> Report {
    let mut merged = serde_json::to_value(EnsembleSpec::default()).expect("plain data");
    for (key, value) in settings.as_object().expect("an object") {
        merged[key] = value.clone();
    }
    let spec = Ensemble::resolve(serde_json::from_value(merged).expect("a specification")).expect("resolves");
    let tools = Tools::silent();
    let jobs = Ensemble::plan(&spec).expect("plans");
    let run = |job| Ensemble::run(&spec, job, &tools).expect("runs");
    let points: Vec<Point> =
        jobs.par_iter().map(|job| Point { job: job.id.clone(), value: run(job) }).collect();
    Ensemble::report(&spec, &points).expect("reports")
}

fn numbers(report: &Report, key: &str) -> Vec<Option<f64>> {
    let list = report.extra["agreement"][key].as_array().expect("a list");
    list.iter().map(Value::as_f64).collect()
}

/// Every |z| < 4, all layers together likely, and fluctuations within 4 standard errors where theory knows them.
fn agrees(settings: Value, fluctuations: bool) {
    let report = ensemble(settings.clone());
    let agreement = &report.extra["agreement"];
    assert_eq!(agreement["agrees"], json!(true), "{settings}: {agreement}");
    let (value, error) = (numbers(&report, "fluctuation"), numbers(&report, "fluctuation_error"));
    for ((theory, value), error) in numbers(&report, "fluctuation_theory").iter().zip(&value).zip(&error) {
        let Some(theory) = theory else { continue };
        let (value, error) = (value.expect("measured"), error.expect("measured"));
        if fluctuations {
            let z = (value - theory) / error;
            assert!(z.abs() < 4.0, "{settings}: n var/K² = {value} ± {error}, theory {theory}");
        }
    }
}

#[test]
fn activations_agree_at_two_widths() {
    for activation in ["tanh", "relu", "gelu", "sin", "z*tanh(softplus(z))"] {
        for n in [48, 96] {
            // ReLU-like signals are log-normal in depth: leading-order V is tested where V/(nK²) is small.
            let depth = if ["tanh", "sin"].contains(&activation) { 6 } else { 4 };
            let network = format!("32-{n}x{depth}-{n}");
            let settings =
                json!({ "network": network, "activation": activation, "init": "critical", "members": 400 });
            agrees(settings, n == 96);
        }
    }
}

#[test]
fn norms_and_skips_agree_at_two_widths() {
    for n in [48, 96] {
        let network = format!("32-{n}x5-{n}");
        agrees(
            json!({ "network": network, "activation": "relu", "norm": "layer", "init": "he", "members": 400 }),
            false,
        );
        for (activation, skip) in [("tanh", 0.8), ("relu", 0.5)] {
            let settings = json!({ "network": network, "activation": activation, "residual": skip, "init": "critical", "members": 400 });
            agrees(settings, n == 96);
        }
    }
}

#[test]
fn a_convolutional_network_agrees_at_two_widths() {
    for n in [12, 24] {
        let layers = json!([
            { "conv": n }, { "act": "tanh" }, { "pool": 2 }, { "conv": n }, { "act": "relu" }, { "flatten": true }, { "dense": n }
        ]);
        let network = json!({ "input": [6, 6, 1], "layers": layers });
        agrees(json!({ "network": network, "init": "critical", "members": 400, "probe": 2 }), false);
    }
}

#[test]
fn the_shift_of_order_one_over_n_is_seen_at_small_width() {
    let report = ensemble(
        json!({ "network": "32-16x8-16", "activation": "tanh", "init": "critical", "members": 4000 }),
    );
    let theory = &report.profiles[0];
    let measured = report.profiles[1].column("kernel").expect("measured");
    let (limit, shift) =
        (theory.column("kernel").expect("known"), theory.column("kernel_shift").expect("known"));
    let at = 8;
    let value = |column: &carnot_report::profile::Column| column.value[at].expect("known");
    let error = measured.error[at].expect("measured");
    let from_limit = (value(measured) - value(limit)) / error;
    let corrected = value(limit) + value(shift) / 16.0;
    assert!(from_limit < -5.0, "the mean should fall short of the limit: z = {from_limit}");
    let left = (value(measured) - corrected).abs();
    let whole = (value(measured) - value(limit)).abs();
    assert!(
        left < 0.4 * whole + 3.0 * error,
        "1/n theory should explain most of it: {left} of {whole} ± {error}"
    );
}
