//! `carnot kernel --drift` and `--sampled`: kernels of real networks, held against theory and against each other.

use std::fs;
use std::path::Path;

use carnot_lab::error::LabError;
use carnot_lab::experiments::kernel::{Kernel, KernelSpec};
use carnot_lab::experiments::{Experiment, Point, Tools};
use carnot_report::report::Report;
use serde_json::{Value, json};

fn spec(settings: Value) -> Result<KernelSpec, LabError> {
    let mut merged = serde_json::to_value(KernelSpec::default()).expect("plain data");
    for (key, value) in settings.as_object().expect("an object") {
        merged[key] = value.clone();
    }
    Kernel::resolve(serde_json::from_value(merged).expect("a specification"))
}

fn kernel(settings: Value) -> Report {
    let spec = spec(settings).unwrap_or_else(|error| panic!("{error}"));
    let tools = Tools::silent();
    let jobs = Kernel::plan(&spec).expect("plans");
    let run = |job| Kernel::run(&spec, job, &tools).unwrap_or_else(|error| panic!("{error}"));
    let points: Vec<Point> = jobs.iter().map(|job| Point { job: job.id.clone(), value: run(job) }).collect();
    Kernel::report(&spec, &points).expect("reports")
}

fn at<'a>(report: &'a Report, path: &str) -> &'a Value {
    let (key, rest) = path.split_once('/').expect("a path");
    report.extra[key].pointer(&format!("/{rest}")).unwrap_or_else(|| panic!("{path}"))
}

fn number(report: &Report, path: &str) -> f64 {
    at(report, path).as_f64().unwrap_or_else(|| panic!("{path}: {}", at(report, path)))
}

fn list(report: &Report, path: &str) -> Vec<f64> {
    let all = at(report, path).as_array().expect("a list");
    all.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}

fn square(report: &Report, path: &str) -> Vec<f64> {
    let rows = at(report, path).as_array().expect("a matrix");
    rows.iter()
        .flat_map(|row| row.as_array().expect("a row").iter().map(|x| x.as_f64().expect("a number")))
        .collect()
}

const ROWS: [[f64; 3]; 5] =
    [[1.0, -0.5, 0.7], [0.2, 0.9, -1.1], [-0.3, 0.4, 0.8], [1.2, 0.1, -0.6], [0.5, 0.5, 0.5]];

/// The rows as a file without labels.
fn rows(folder: &Path) -> String {
    let path = folder.join("x.csv");
    let line = |[a, b, c]: &[f64; 3]| format!("{a:?},{b:?},{c:?}\n");
    fs::write(&path, "a,b,c\n".to_string() + &ROWS.iter().map(line).collect::<String>()).unwrap();
    path.display().to_string()
}

/// Every entry of two sampled kernels within four standard errors of theory.
fn agrees(what: &str, sampled: &Report, theory: &Report) {
    for which in ["nngp", "ntk"] {
        let found = square(sampled, &format!("kernel/matrices/{which}"));
        let error = square(sampled, &format!("kernel/matrices/{which}_error"));
        let expect = square(theory, &format!("kernel/matrices/{which}"));
        for k in 0..expect.len() {
            let z = (found[k] - expect[k]) / error[k];
            assert!(
                z.abs() < 4.0,
                "{what}, {which} {k}: {} ± {}, theory {}, z {z} (seed 7)",
                found[k],
                error[k],
                expect[k]
            );
            assert!(error[k] < 0.1 * (1.0 + expect[k].abs()), "{what}, {which} {k}: ± {}", error[k]);
        }
    }
}

/// With one hidden layer the mean over networks is the limit at any width, so nothing but chance may differ.
#[test]
fn sampled_kernels_agree_with_theory_where_the_width_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let data = rows(folder.path());
    let of = |network: Value, sampled: u64| {
        kernel(json!({ "network": network, "c_w": 2.0, "c_b": 0.1, "data": data, "scaling": "none",
            "sampled": sampled, "precision": 0.0 }))
    };
    let relu = json!("3-64-2");
    let sampled = of(relu.clone(), 600);
    agrees("relu", &sampled, &of(relu, 0));
    assert_eq!(number(&sampled, "kernel/sampled/members"), 600.0);
    for which in [0, 1] {
        let z = number(&sampled, &format!("kernel/sampled/against/{which}/largest_z"));
        assert!(z < 4.0, "{which}: {z}");
        let rms = number(&sampled, &format!("kernel/sampled/against/{which}/root_mean_square_z"));
        assert!(rms < 2.0, "{which}: {rms}");
    }
    // A network that ends with an activation is read at its outputs.
    let last = json!({ "input": [3], "layers": [{ "dense": 8 }, { "act": "tanh" }] });
    agrees("tanh at the end", &of(last.clone(), 2000), &of(last, 0));
}

/// relu and then tanh is a layer that theory has no rule for; as one activation, tanh(relu(z)), it has.
#[test]
fn a_layer_without_theory_gets_the_kernel_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let data = rows(folder.path());
    let settings = |network: Value, activation: Value, sampled: u64| {
        json!({ "network": network, "activation": activation, "c_w": 2.0, "c_b": 0.1, "data": data, "scaling": "none",
            "sampled": sampled, "precision": 0.0 })
    };
    let layers = json!([{ "dense": 64 }, { "act": "relu" }, { "act": "tanh" }, { "dense": 2 }]);
    let two = json!({ "input": [3], "layers": layers });
    let known = spec(settings(two.clone(), Value::Null, 0)).expect("resolves");
    let jobs = Kernel::plan(&known).expect("plans");
    let refused = Kernel::run(&known, &jobs[0], &Tools::silent()).expect_err("theory has no rule");
    let said = carnot_lab::diagnose::Explain::explain(&refused);
    assert!(format!("{said:?}").contains("--sampled 100"), "{said:?}");
    let sampled = kernel(settings(two, Value::Null, 600));
    assert!(at(&sampled, "kernel/sampled/no_theory").as_str().is_some_and(|why| why.contains("not known")));
    agrees("relu, tanh", &sampled, &kernel(settings(json!("3-64-2"), json!("tanh(max(z, 0))"), 0)));
}

#[test]
fn sampling_stops_at_the_precision_and_predicts_like_theory() {
    let settings = |sampled: u64| {
        json!({ "network": "64-128-10", "c_w": 2.0, "c_b": 0.05, "data": "digits", "train": 100, "test": 100,
            "sampled": sampled, "precision": 0.03, "noise": 0.01, "float": "float32" })
    };
    let sampled = kernel(settings(400));
    let members = number(&sampled, "kernel/sampled/members");
    assert!((32.0..400.0).contains(&members), "{members}");
    let errors =
        ["kernel_error", "tangent_error"].map(|of| number(&sampled, &format!("kernel/sampled/{of}")));
    assert!(errors.iter().all(|error| *error <= 0.03), "{errors:?}");
    let theory = kernel(settings(0));
    for side in ["nngp", "ntk"] {
        let of =
            |report: &Report| number(report, &format!("kernel/{side}/prediction/kept_aside/error/value"));
        assert!((of(&sampled) / of(&theory) - 1.0).abs() < 0.1, "{side}: {} {}", of(&sampled), of(&theory));
    }
    let headline = sampled.headline.expect("a headline").text;
    assert!(headline.starts_with("WITH SAMPLED KERNELS"), "{headline}");
}

#[test]
fn kept_kernels_have_their_errors_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = rows(folder.path());
    let save = folder.path().join("k.npy").display().to_string();
    kernel(json!({ "network": "3-8-2", "data": data, "scaling": "none", "sampled": 40, "save": save }));
    for name in ["kernel", "tangent", "kernel-error", "tangent-error"] {
        let path = folder.path().join(format!("k-{name}.npy"));
        assert_eq!(fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}")).len(), 128 + 25 * 8);
    }
}

fn watched(network: &str, more: Value) -> Report {
    let mut settings = json!({ "network": network, "activation": "tanh", "c_w": 1.5, "c_b": 0.05, "data": "digits", "train": 60,
        "test": 60, "probe": 40, "batch": 60 });
    more.as_object().expect("an object").iter().for_each(|(key, value)| settings[key] = value.clone());
    kernel(settings)
}

/// Lazy training: with these rates the kernels of a network of width n move in proportion to 1/n. Corrections of the next
/// order make the slope flatter, by 0.15 below width 512.
#[test]
fn kernels_of_wide_networks_move_as_one_over_the_width() {
    let of = |width: usize| watched(&format!("64-{width}-10"), json!({ "drift": [300], "members": 12 }));
    let (narrow, wide) = (of(512), of(2048));
    for what in ["tangent_change", "features_change"] {
        let last = |report: &Report| list(report, &format!("drift/columns/{what}"))[1];
        let error = |report: &Report| list(report, &format!("drift/columns/{what}_error"))[1] / last(report);
        let slope = (last(&wide) / last(&narrow)).ln() / 4f64.ln();
        let sigma = error(&wide).hypot(error(&narrow)) / 4f64.ln();
        println!("{what}: {slope:.3} ± {sigma:.3}");
        assert!((slope + 1.0).abs() < 4.0 * sigma + 0.06, "{what}: slope {slope} ± {sigma} (seed 7)");
    }
    // Before training the distance from infinite width falls like a fluctuation, as 1/√n.
    let start = |report: &Report| list(report, "drift/columns/tangent_from_infinite_width")[0];
    let error =
        |report: &Report| list(report, "drift/columns/tangent_from_infinite_width_error")[0] / start(report);
    let slope = (start(&wide) / start(&narrow)).ln() / 4f64.ln();
    let sigma = error(&wide).hypot(error(&narrow)) / 4f64.ln();
    println!("from infinite width: {slope:.3} ± {sigma:.3}");
    assert!((slope + 0.5).abs() < 4.0 * sigma + 0.05, "slope {slope} ± {sigma} (seed 7)");
}

#[test]
fn a_network_without_a_hidden_layer_has_a_kernel_that_never_moves() {
    let report = watched("64-10", json!({ "drift": [1, 50], "members": 2 }));
    assert_eq!(list(&report, "drift/columns/tangent_change"), [0.0; 3]);
    assert!(
        list(&report, "drift/columns/features_change").iter().all(|x| x.is_nan()),
        "there are no features"
    );
    // Its kernel is the one of infinite width, whatever the weights.
    assert!(list(&report, "drift/columns/tangent_from_infinite_width").iter().all(|x| *x < 1e-6));
    let loss = list(&report, "drift/columns/training_loss");
    assert!(loss[2] < 0.8 * loss[0], "{loss:?}");
}

#[test]
fn networks_that_are_watched_are_those_that_are_trained_beside_theory() {
    let watched = watched("64-32-10", json!({ "drift": [20, 80], "members": 2, "seed": 3 }));
    let trained = self::watched("64-32-10", json!({ "steps": 80, "members": 2, "seed": 3 }));
    for member in 0..2 {
        let seen = number(&watched, &format!("drift/networks/{member}/moments/2/loss"));
        let expect = trained.extra["networks"][member]["loss"].as_f64().expect("a loss");
        assert_eq!(seen, expect, "member {member}");
    }
}

#[test]
fn four_networks_are_watched_when_nobody_says_how_many_and_steps_are_sorted() {
    let spec =
        spec(json!({ "network": "64-8-10", "data": "digits", "drift": [100, 10, 100] })).expect("resolves");
    assert_eq!((spec.members, spec.drift.clone()), (4, vec![10, 100]));
    assert_eq!(Kernel::plan(&spec).expect("plans").len(), 5);
    let cost = Kernel::cost(&spec).expect("costs").expect("is said");
    assert!(cost.contains("4 networks trained for 100 steps"), "{cost}");
}

#[test]
fn threads_change_no_bit_of_measured_kernels() {
    let of = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let drift = watched("64-32x2-10", json!({ "drift": [5, 20], "members": 3 }));
            let sampled =
                watched("64-32x2-10", json!({ "sampled": 40, "float": "float32", "precision": 0.0 }));
            (drift.extra, sampled.extra)
        })
    };
    assert_eq!(of(1), of(2));
}
