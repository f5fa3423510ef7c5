//! `carnot kernel` on small data whose answers are known, and on the data that break other tools.

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
    let spec = spec(settings).expect("resolves");
    let tools = Tools::silent();
    let jobs = Kernel::plan(&spec).expect("plans");
    let run = |job| Kernel::run(&spec, job, &tools).expect("runs");
    let points: Vec<Point> = jobs.iter().map(|job| Point { job: job.id.clone(), value: run(job) }).collect();
    Kernel::report(&spec, &points).expect("reports")
}

/// A table as CSV: inputs, and a class when there is one.
fn table(folder: &Path, name: &str, rows: &[[f64; 3]], labels: &[u32]) -> String {
    let path = folder.join(name);
    let head = if labels.is_empty() { "a,b,c\n" } else { "a,b,c,label\n" };
    let line = |(at, row): (usize, &[f64; 3])| {
        let [a, b, c] = row;
        labels.get(at).map_or(format!("{a:?},{b:?},{c:?}\n"), |y| format!("{a:?},{b:?},{c:?},{y}\n"))
    };
    fs::write(&path, head.to_string() + &rows.iter().enumerate().map(line).collect::<String>()).unwrap();
    path.display().to_string()
}

fn number(report: &Report, path: &str) -> f64 {
    let value = report.extra["kernel"].pointer(path);
    value.and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} in {}", report.extra["kernel"]))
}

const ROWS: [[f64; 3]; 5] =
    [[1.0, -0.5, 0.7], [0.2, 0.9, -1.1], [-0.3, 0.4, 0.8], [1.2, 0.1, -0.6], [0.5, 0.5, 0.5]];

#[test]
fn entries_are_those_of_the_formula() {
    let folder = tempfile::tempdir().unwrap();
    let data = table(folder.path(), "x.csv", &ROWS, &[]);
    let settings = json!({ "network": "3-8-1", "c_w": 2.0, "c_b": 0.1, "data": data, "scaling": "none" });
    let report = kernel(settings);
    for (a, b) in [(0, 0), (0, 1), (2, 4)] {
        // One hidden layer of relu, arc-cosine kernel of Cho and Saul; λ_W = C_W, λ_b = C_b.
        let dot = |i: usize, j: usize| (0..3).map(|k| ROWS[i][k] * ROWS[j][k]).sum::<f64>() / 3.0;
        let first = |i: usize, j: usize| 0.1 + 2.0 * dot(i, j);
        let (va, vb, c) = (first(a, a), first(b, b), first(a, b));
        let angle = (c / (va * vb).sqrt()).clamp(-1.0, 1.0).acos();
        let rest = std::f64::consts::PI - angle;
        let value = (va * vb).sqrt() / (2.0 * std::f64::consts::PI) * (angle.sin() + rest * angle.cos());
        let slope = rest / (2.0 * std::f64::consts::PI);
        let (k, theta) = (0.1 + 2.0 * value, 0.1 + 2.0 * value + 2.0 * slope * c);
        let found = |which: &str| number(&report, &format!("/matrices/{which}/{a}/{b}"));
        assert!((found("nngp") - k).abs() < 1e-14, "{a} {b}: {} {k}", found("nngp"));
        assert!((found("ntk") - theta).abs() < 1e-14, "{a} {b}: {} {theta}", found("ntk"));
    }
}

#[test]
fn a_second_file_is_predicted_and_crosses_are_those_of_one_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let all = table(folder.path(), "all.csv", &ROWS, &[0, 1, 0, 1, 1]);
    let front = table(folder.path(), "front.csv", &ROWS[..3], &[0, 1, 0]);
    let back = table(folder.path(), "back.csv", &ROWS[3..], &[1, 1]);
    let common = |data: &str| json!({ "network": "3-8x2-2", "activation": "erf", "c_w": 1.5, "c_b": 0.2, "data": data, "scaling": "none" });
    let whole = kernel(common(&all));
    let mut settings = common(&front);
    settings["test_data"] = json!(back);
    let parts = kernel(settings);
    for which in ["nngp", "ntk"] {
        for (a, b) in [(0, 0), (2, 1)] {
            let one = number(&whole, &format!("/matrices/{which}/{a}/{}", b + 3));
            let other = number(&parts, &format!("/matrices/{which}_test/{a}/{b}"));
            assert!((one - other).abs() < 1e-15, "{which} {a} {b}");
        }
    }
    assert!(number(&parts, "/nngp/prediction/kept_aside/accuracy/value") >= 0.0);
}

#[test]
fn repeated_zero_and_single_samples_are_answered_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = ROWS.to_vec();
    rows.push(ROWS[0]);
    rows.push([0.0; 3]);
    let data = table(folder.path(), "repeated.csv", &rows, &[0, 1, 0, 1, 1, 0, 1]);
    let settings = |data: &str, noise: Value| json!({ "network": "3-8x3-2", "c_w": 2.0, "c_b": 0.1, "data": data, "scaling": "none", "noise": noise });
    let report = kernel(settings(&data, json!(0.0)));
    let said: Vec<&str> = report.summary.iter().map(|line| line.text.as_str()).collect();
    assert!(said.iter().any(|text| text.contains("1 of 7 training samples repeat")), "{said:?}");
    assert!(said.iter().any(|text| text.contains("1 training samples are zero")), "{said:?}");
    assert_eq!(number(&report, "/nngp/spectrum/rank"), 6.0);
    // The repeated sample is the same to the last bit in every row of both kernels.
    for which in ["nngp", "ntk"] {
        for b in 0..7 {
            let of = |a: usize| number(&report, &format!("/matrices/{which}/{a}/{b}"));
            assert!((of(0) - of(5)).abs() <= 1e-15, "{which} {b}");
        }
    }
    // Without noise and with contradicting targets there is no answer, and the reason names the pair.
    let data = table(folder.path(), "contradiction.csv", &rows, &[0, 1, 0, 1, 1, 1, 1]);
    let report = kernel(settings(&data, json!(0.0)));
    let because = report.extra["kernel"].pointer("/nngp/because").and_then(Value::as_str).unwrap_or("");
    assert!(because.contains("samples 0 and 5"), "{because}");
    // With noise there is one.
    let report = kernel(settings(&data, json!(0.1)));
    assert!(number(&report, "/nngp/prediction/log_evidence").is_finite());
    // One sample.
    let data = table(folder.path(), "one.csv", &ROWS[..1], &[]);
    let report = kernel(settings(&data, Value::Null));
    assert_eq!(number(&report, "/nngp/spectrum/rank"), 1.0);
}

#[test]
fn a_kernel_that_overflows_says_at_which_layer() {
    let folder = tempfile::tempdir().unwrap();
    let data = table(folder.path(), "x.csv", &ROWS, &[0, 1, 0, 1, 1]);
    let settings = json!({ "network": "3-8x100-2", "activation": "z^2", "c_w": 9.0, "c_b": 0.0, "data": data, "scaling": "none" });
    let spec = spec(settings).expect("resolves");
    let jobs = Kernel::plan(&spec).unwrap();
    let error = Kernel::run(&spec, &jobs[0], &Tools::silent()).unwrap_err();
    assert!(matches!(error, LabError::Kernel(_)), "{error}");
}

#[test]
fn chaotic_networks_that_are_deep_have_finite_kernels() {
    let settings = json!({ "network": "64-64x100-10", "activation": "erf", "c_w": 9.0, "c_b": 0.0, "data": "digits", "train": 40, "test": 20 });
    let report = kernel(settings);
    assert!(number(&report, "/nngp/spectrum/largest").is_finite());
    assert!(number(&report, "/nngp/prediction/log_evidence").is_finite());
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    let spec = spec(json!({ "network": "64-8-10", "data": "digits", "memory": 0.01 })).unwrap();
    let error = Kernel::cost(&spec).unwrap_err();
    let LabError::TooLarge { needed, available, fits, .. } = &error else { panic!("{error}") };
    assert!(needed > available && fits.contains("--train"), "{error}: {fits}");
}

#[test]
fn the_evidence_chooses_settings_that_predict() {
    let report = kernel(json!({
        "network": "64-8-10", "data": "digits", "train": 150, "test": 300, "select": true,
        "depths": [1, 3], "activations": ["relu", "erf"], "c_ws": [0.5, 2.0], "c_bs": [0.05],
    }));
    let rated = report.extra["selection"].as_array().expect("a list");
    assert_eq!(rated.len(), 8);
    let of = |path: &str| -> Vec<f64> {
        rated.iter().map(|r| r.pointer(path).and_then(Value::as_f64).expect("a number")).collect()
    };
    let (evidence, error) = (of("/log_evidence"), of("/kept_aside/error/value"));
    let best = (0..8).max_by(|&a, &b| evidence[a].total_cmp(&evidence[b])).unwrap();
    let least = error.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(error[best] < 1.1 * least, "chosen {}, best {least}", error[best]);
}

#[test]
fn networks_are_trained_beside_the_theory() {
    let report = kernel(json!({
        "network": "64-64-10", "c_w": 1.0, "c_b": 0.05, "data": "digits", "train": 200, "test": 200, "members": 2, "steps": 300,
    }));
    let networks = report.extra["networks"].as_array().expect("a list");
    assert_eq!(networks.len(), 2);
    assert!(networks.iter().all(|n| n["test_accuracy"].as_f64().is_some_and(|a| a > 0.5)), "{networks:?}");
}

#[test]
fn a_given_time_is_between_the_start_and_convergence() {
    let error = |time: Value| {
        let report = kernel(json!({
            "network": "64-8-10", "c_w": 1.0, "c_b": 0.05, "data": "digits", "train": 100, "test": 100, "time": time, "noise": 0.0,
        }));
        number(&report, "/ntk/prediction/kept_aside/error/value")
    };
    let (early, middle, late) = (error(json!(1e-6)), error(json!(0.05)), error(Value::Null));
    assert!(early > middle && middle > late, "{early} {middle} {late}");
    assert!(
        (early - 0.09).abs() < 1e-3,
        "centred one-hot targets of ten classes have variance 0.09: {early}"
    );
}

#[test]
fn kept_kernels_come_back_and_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let data = table(folder.path(), "x.csv", &ROWS, &[]);
    let at = |name: &str| folder.path().join(name).display().to_string();
    let settings = |save: String| json!({ "network": "3-8-1", "c_w": 2.0, "c_b": 0.1, "data": data, "scaling": "none", "save": save });
    let report = kernel(settings(at("k.npy")));
    let options = carnot_net::dataset::Options {
        scaling: Some(carnot_net::dataset::Scaling::None),
        ..Default::default()
    };
    let read = carnot_net::dataset::open(&at("k-tangent.npy"), &options).unwrap();
    assert_eq!((read.len(), read.width()), (5, 5));
    for (at, value) in read.exact_inputs().into_iter().enumerate() {
        assert_eq!(value, number(&report, &format!("/matrices/ntk/{}/{}", at / 5, at % 5)));
    }
    kernel(settings(at("k.safetensors")));
    let bytes = fs::read(at("k.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("kernel").unwrap().shape(), [5, 5]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4, "no temporary file is left");
}

#[test]
fn scaling_none_is_a_word_and_not_the_absence_of_one() {
    let flags = [("data", "digits"), ("scaling", "none")].map(|(key, text)| (key.into(), text.into()));
    let given = carnot_lab::spec::Given { network: Some("64-8-10".into()), flags: flags.to_vec() };
    let verb = carnot_lab::experiments::verb("kernel").unwrap();
    assert_eq!(carnot_lab::spec::ask(verb, &given).unwrap().spec()["scaling"], json!("none"));
}

#[test]
fn the_one_over_n_correction_moves_theory_towards_real_networks() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).display().to_string()
    };
    let data = write(
        "learn.csv",
        "a,b,c,y\n1.0,-0.5,0.7,1.5\n0.2,0.9,-1.1,-1.0\n-0.8,0.4,0.9,1.2\n0.5,1.2,0.3,-1.4\n",
    );
    let test = write("ask.csv", "a,b,c,y\n0.9,0.3,-0.4,0.0\n-0.3,-0.7,1.2,0.5\n");
    let report = kernel(json!({
        "network": "3-64x2-1", "activation": "tanh", "c_w": 1.3, "c_b": 0.05, "parametrization": "unit", "data": data,
        "test_data": test, "scaling": "none", "widths": [128], "members": 100,
    }));
    let lines = report.extra["finite_width"].as_array().expect("a list");
    assert_eq!(lines.len(), 7);
    let of = |what: &str, key: &str| {
        let line = lines.iter().find(|line| line["what"] == what).expect("there");
        line[key].as_f64().expect("a number")
    };
    // Infinite width is refuted, the correction is not.
    assert!(of("trained mean, sample 0", "z_infinite") < -4.0);
    assert!(of("trained mean, sample 0", "z_corrected").abs() < 4.0);
    for line in lines {
        let z = |key: &str| line[key].as_f64().expect("a number").abs();
        assert!(z("z_corrected") < z("z_infinite").max(4.0), "{line}");
    }
}

#[test]
fn what_does_not_fit_is_solved_from_disk_with_the_same_answer() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("k.npy").display().to_string();
    let settings = |memory: Value| {
        json!({ "network": "64-8-10", "c_w": 2.0, "c_b": 0.1, "data": "digits", "train": 1200, "test": 300, "noise": 0.01,
            "save": at, "memory": memory })
    };
    let dense = kernel(settings(Value::Null));
    // Five matrices of 1200² numbers are 58 MB; the tiles and vectors of the other way are bounded but not small.
    let before = fs::read(folder.path().join("k-kernel.npy")).unwrap();
    fs::remove_file(folder.path().join("k-kernel.npy")).unwrap();
    let needed = carnot_lab::memory::GIB;
    let large = kernel(settings(json!(0.9 * 5.0 * 8.0 * 1200.0 * 1200.0 / needed)));
    assert_eq!(before, fs::read(folder.path().join("k-kernel.npy")).unwrap(), "the same bits by tiles");
    for side in ["nngp", "ntk"] {
        let of = |report: &Report| number(report, &format!("/{side}/prediction/kept_aside/error/value"));
        assert!((of(&dense) - of(&large)).abs() < 1e-6, "{side}: {} {}", of(&dense), of(&large));
    }
    let evidence = |report: &Report| number(report, "/nngp/prediction/log_evidence");
    assert!(
        (evidence(&dense) / evidence(&large) - 1.0).abs() < 0.1,
        "{} {}",
        evidence(&dense),
        evidence(&large)
    );
}
