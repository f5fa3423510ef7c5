//! `carnot check MODEL.onnx`, as a user sees it.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../carnot-onnx/tests/fixtures").join(name)
}

fn ask(folder: &Path, verb: &str, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::cargo_bin("carnot").unwrap();
    command.current_dir(folder).arg(verb).args(arguments).output().unwrap()
}

#[cfg(feature = "onnx")]
fn check(folder: &Path, arguments: &[&str]) -> std::process::Output {
    ask(folder, "check", arguments)
}

#[cfg(not(feature = "onnx"))]
#[test]
fn without_the_runtime_the_error_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    for verb in ["check", "load"] {
        let output = ask(folder.path(), verb, &[fixture("residual.onnx").to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--features onnx"), "{said}");
    }
}

#[cfg(feature = "onnx")]
mod run {
    use super::*;
    use serde_json::Value;

    fn report(arguments: &[&str]) -> Value {
        let folder = tempfile::tempdir().unwrap();
        let output = check(folder.path(), &[arguments, &["--json", "--fail-on", "never"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn text(name: &str) -> String {
        fixture(name).display().to_string()
    }

    #[test]
    fn a_model_without_a_batch_is_read_on_a_probe_that_is_told() {
        for (name, read) in [("residual", 12), ("convolutional", 7), ("attention", 19), ("recurrent", 2)] {
            let report = report(&[&text(&format!("{name}.onnx"))]);
            assert_eq!(report["coverage"]["read"], read, "{name}");
            assert_eq!(report["coverage"]["of"], read, "{name}");
            let summary = report["summary"].to_string();
            assert!(summary.contains("made up, since there is no --batch"), "{summary}");
            let separation = &report["profiles"][0]["columns"]["separation"];
            assert!(separation.is_null(), "{name} has no labels: {separation}");
            let kernel = report["profiles"][0]["columns"]["kernel"]["value"].as_array().unwrap();
            assert!(kernel.iter().all(|value| value.as_f64().is_some_and(|value| value > 0.0)), "{name}");
        }
    }

    #[test]
    fn a_data_set_gives_labels_and_the_page_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let output = check(
            folder.path(),
            &[&text("residual.onnx"), "--batch", "digits", "--fail-on", "never", "--probe", "300"],
        );
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
        assert!(said.contains("probe 300 inputs, 10 classes"), "{said}");
        let pages: Vec<_> = walk(folder.path()).into_iter().filter(|path| path.ends_with(".html")).collect();
        assert_eq!(pages.len(), 1, "{pages:?}");
    }

    #[test]
    fn its_load_curve_is_read_with_the_same_batch() {
        let folder = tempfile::tempdir().unwrap();
        let model = text("residual.onnx");
        let output = ask(folder.path(), "load", &[&model, "--batch", "digits", "--probe", "300", "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["command"], "load");
        assert_eq!(
            report["provenance"]["command"],
            format!("carnot load {model} --batch digits --probe 300")
        );
        // Without labels nothing can be said, and that is said.
        let bare = ask(folder.path(), "load", &[&model, "--json"]);
        let bare: Value = serde_json::from_slice(&bare.stdout).unwrap();
        assert_eq!(bare["verdict"]["word"], "cannot-tell");
        assert!(bare["verdict"]["why"].as_str().unwrap().contains("need labels"), "{}", bare["verdict"]);
    }

    fn walk(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { found.extend(walk(&path)) } else { found.push(path.display().to_string()) }
        }
        found
    }

    #[test]
    fn what_cannot_be_read_or_fed_is_one_error_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path.display().to_string()
        };
        let whole = std::fs::read(fixture("residual.onnx")).unwrap();
        let cut = write("cut.onnx", &whole[..whole.len() / 2]);
        let empty = write("empty.onnx", b"");
        let text_file = write("text.onnx", b"hello");
        let batch = write("batch.npz", b"PK\x03\x04rest");
        let model = text("residual.onnx");
        let mut nan = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        nan.extend(
            format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 64), }").bytes(),
        );
        let numbers = (0..192).map(|at| if at == 70 { f32::NAN } else { at as f32 });
        nan.extend(numbers.flat_map(f32::to_le_bytes));
        let nan = write("nan.npy", &nan);
        let rows: [(&[&str], &str); 7] = [
            (&[&model, "--batch", &nan], "is NaN at sample 1, number 6"),
            (&[&cut], "bytes"),
            (&[&empty], "it is empty"),
            (&[&text_file], "no ONNX model"),
            (&["missing.onnx"], "no such file"),
            (&[&model, "--batch", &batch], "archive"),
            (&[&model, "--batch", "gone.npz"], "gone.npz"),
        ];
        for (arguments, expect) in rows {
            let output = check(folder.path(), arguments);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
            assert!(said.to_lowercase().contains(&expect.to_lowercase()), "{arguments:?}: {said}");
        }
    }
}
