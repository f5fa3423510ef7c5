//! `carnot load`, as a user sees it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use assert_cmd::cargo::cargo_bin;
use carnot_probe::call::WeightStats;
use carnot_probe::reading::{LayerReading, Number, StepReading};
use carnot_probe::recording::{Header, Probe, Writer};
use serde_json::Value;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/digits.carnot")
}

/// A folder with the recording of a network trained on digits; a page is written beside it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(fixture(), folder.path().join("digits.carnot")).unwrap();
    folder
}

fn carnot(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(cargo_bin("carnot"));
    command.current_dir(folder).env("COLUMNS", "80").env("LANG", "C.UTF-8");
    command.args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_recording_has_a_curve_a_shape_a_twin_and_a_history() {
    let folder = folder();
    let output = carnot(folder.path(), &["load", "digits.carnot"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stderr.is_empty());
    let said = text(&output.stdout);
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    insta::assert_snapshot!("load_80", said);
}

#[test]
fn the_page_has_the_curve_with_the_chain_and_the_other_forms_of_the_separation() {
    let folder = folder();
    let with = ["load", "digits.carnot", "--reference", "digits.carnot"];
    assert!(carnot(folder.path(), &with).status.success());
    let page = std::fs::read_to_string(folder.path().join("digits.load.html")).unwrap();
    for word in [
        "load curve: separation",
        "chain",
        "shuffled labels",
        "untrained",
        "healthy run",
        "D_u",
        "κ over the steps",
    ] {
        assert!(page.contains(word), "{word}");
    }
    assert!(!page.contains("src=\"http") && page.contains("carnot load digits.carnot"), "one file");
    // `check` keeps its own page.
    carnot(folder.path(), &["check", "digits.carnot"]);
    assert!(folder.path().join("digits.html").exists());
}

#[test]
fn json_is_the_curve_with_errors_and_what_the_recording_says() {
    let folder = folder();
    let output = carnot(folder.path(), &["load", "digits.carnot", "--json", "--no-html"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["schema"], &report["command"]),
        (&Value::from("carnot.report/1"), &Value::from("load"))
    );
    assert_eq!(report["provenance"]["command"], "carnot load digits.carnot");
    assert!(!folder.path().join("digits.load.html").exists());
    let curve = &report["load"]["curves"][0];
    let stages = curve["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 7);
    let number = |value: &Value| value["value"].as_f64().unwrap();
    let loads: f64 = stages.iter().map(|stage| number(&stage["load"])).sum();
    let (zero, last) = (number(&curve["depth_zero"]["separation"]), number(&stages[6]["separation"]));
    assert!(
        (loads - (zero - last)).abs() < 1e-12 && (loads - number(&curve["shape"]["total"])).abs() < 1e-12
    );
    let shares: f64 = stages.iter().map(|stage| stage["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-12);
    assert_eq!(curve["steps"].as_array().unwrap().len(), 5);
    assert_eq!(curve["depth_zero"]["call"], "input");
    for stage in stages {
        assert!(stage["separation_pinv"]["error"].as_f64().unwrap() > 0.0);
        // The corrected separation takes away what chance adds between classes.
        assert!(number(&stage["separation_corrected"]) > number(&stage["separation"]));
    }
}

#[test]
fn what_is_no_measured_model_is_one_error() {
    let folder = folder();
    let whole = std::fs::read_to_string(fixture()).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("notes.txt", "hello\n");
    write("damaged.carnot", &format!("{}\n{}x\n{}\n", lines[0], lines[1], lines[2]));
    let rows: [(&[&str], &str); 8] = [
        (&["load", "784-100x7-10"], "load/nothing-runs"),
        (&["load", "network.toml"], "load/nothing-runs"),
        (&["load", "model.safetensors"], "load/nothing-runs"),
        (&["load", "gone.carnot"], "recording/file"),
        (&["load", "notes.txt"], "recording/unknown"),
        (&["load", "damaged.carnot"], "recording/damaged"),
        (&["load"], "command/missing-argument"),
        (&["load", "digits.carnot", "--steps", "3"], "command/unknown-flag"),
    ];
    for (arguments, code) in rows {
        let output = carnot(folder.path(), arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.starts_with(&format!("error {code}")), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
}

/// A trained chain with that curve, as a file; classes are what the labels of its probe tell, 0 without labels.
fn write(path: &Path, curve: &[f64], classes: usize) {
    let number = |value: f64, error: f64| Number { value, error: Some(error) };
    let layer = |at: usize| {
        let mut layer = LayerReading { positions: 1, width: 8, ..LayerReading::default() };
        (layer.name, layer.kind) = match at {
            0 => ("input".into(), "input".into()),
            _ => (format!("fc{at}"), "linear".into()),
        };
        layer.weights = (at > 0).then(WeightStats::default);
        if classes > 0 {
            layer.values.insert("separation".into(), number(curve[at], 0.02));
            layer.values.insert("separation_shuffled".into(), number(3.0, 0.05));
        }
        if classes > 0 && at > 0 {
            layer.values.insert("load".into(), number(curve[at - 1] - curve[at], 0.01));
        }
        layer
    };
    let mut layers: Vec<LayerReading> = (0..curve.len()).map(layer).collect();
    let head =
        LayerReading { name: "head".into(), weights: Some(WeightStats::default()), ..layers[1].clone() };
    layers.push(LayerReading { values: Default::default(), ..head });
    let probe = Probe { samples: 500, classes, has_labels: classes > 0 };
    let mut writer = Writer::create(path, &Header::new("made", probe)).unwrap();
    writer.write(&StepReading { step: 10, loss: None, layers }).unwrap();
}

#[test]
fn without_labels_the_report_says_what_to_do() {
    let folder = folder();
    write(&folder.path().join("bare.carnot"), &[3.0, 2.0, 1.0, 0.0, -1.0], 0);
    let output = carnot(folder.path(), &["load", "bare.carnot", "--fail-on", "note"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("CANNOT TELL") && said.contains("need labels"), "{said}");
    assert!(said.contains("carnot.watch(model, probe=(inputs, labels))"), "{said}");
}

#[test]
fn an_idle_layer_is_named_and_ends_the_command_as_asked() {
    let folder = folder();
    write(&folder.path().join("idle.carnot"), &[3.0, 2.4, 1.8, 1.8, 1.1, 0.5, -0.2], 10);
    let ended = |level: &str| carnot(folder.path(), &["load", "idle.carnot", "--fail-on", level]);
    let said = text(&ended("blocks").stdout);
    assert!(said.starts_with("LAYER 3 IS NEARLY IDLE"), "{said}");
    let row = said.lines().position(|line| line.contains("fc3")).unwrap();
    assert!(said.lines().skip(row).take(2).any(|line| line.contains("L301 idle-layer")), "{said}");
    let codes = ["never", "blocks", "costs", "note"].map(|level| ended(level).status.code());
    assert_eq!(codes, [Some(0), Some(0), Some(0), Some(1)]);
}
