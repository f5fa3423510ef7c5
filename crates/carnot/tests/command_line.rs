//! The program from outside: help, lists, slips, exit codes, streams.

use std::path::Path;
use std::process::Output;
use std::time::Instant;

use assert_cmd::Command;
use serde_json::Value;

fn carnot(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("carnot").unwrap();
    command.current_dir(folder).env_remove("NO_COLOR").env("LANG", "C.UTF-8").env("COLUMNS", "100");
    command.args(arguments).output().unwrap()
}

fn here(arguments: &[&str]) -> Output {
    carnot(tempfile::tempdir().unwrap().path(), arguments)
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn bare_carnot_lists_commands_by_question() {
    let output = here(&[]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(text.starts_with("carnot — will this network learn?\n"), "{text}");
    for word in
        ["predict NETWORK", "load MODEL", "runs", "resume ID", "explain WORD", "carnot predict 784-128x50-10"]
    {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn the_version_and_help_are_results() {
    assert_eq!(stdout(&here(&["--version"])), format!("carnot {}\n", env!("CARGO_PKG_VERSION")));
    let help = here(&["predict", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(stdout(&help).contains("--activation") && stderr(&help).is_empty());
}

#[test]
fn a_slip_gets_the_nearest_and_exit_code_2() {
    let rows: &[(&[&str], &str, &str)] = &[
        (&["predct"], "command/unknown", "carnot predict"),
        (&["predict", "8-4-2", "--actvation", "tanh"], "command/unknown-flag", "--activation"),
        (&["predict", "8-4-2", "more"], "command/argument", "carnot predict --help"),
        (&["predict", "8-4-2", "--activation"], "command/missing-value", "carnot predict --help"),
        (&["predict", "8-4-2", "--fail-on", "bad"], "command/wrong-value", "blocks"),
        (&["predict", "8-4-2", "--threads", "0"], "command/wrong-value", "1"),
        (&["predict", "8-4-2", "--c-w", "1", "--c-w", "2"], "command/conflict", "once"),
        (&["predict"], "config/missing", "carnot predict 784-128x50-10"),
        (&["predict", "8-4-2", "--c-w", "much"], "config/wrong-value", "carnot explain c_w"),
        (&["predict", "8-4-2", "--activation", "thanh"], "activation/unknown-name", "--activation tanh"),
        (&["new", "predikt"], "command/unknown", "carnot predict"),
        (&["explain", "chi_perp"], "explain/unknown-word", "carnot explain"),
        (&["load"], "command/missing-argument", "carnot load --help"),
        (&["laod"], "command/unknown", "carnot load"),
        (&["show"], "command/missing-argument", "carnot show --help"),
        (&["show", "abc123"], "store/no-run", "carnot predict"),
        (&["resume", "abc123"], "store/no-run", "carnot predict"),
        (&["work", "nothing.json"], "config/missing-file", "ls -l nothing.json"),
        (&["schema", "predikt"], "command/unknown", "carnot predict"),
    ];
    for (arguments, code, remedy) in rows {
        let output = here(arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}\n{text}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(text.starts_with(&format!("error {code}")), "{arguments:?}\n{text}");
        assert!(text.contains(remedy), "{arguments:?}\n{text}");
        assert!(text.contains("problem") && text.contains("cause") && text.contains("remedy"), "{text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[test]
fn an_error_is_also_data() {
    let output = here(&["predict", "8-x-2", "--json"]);
    let error: Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!(error["error"]["code"], "network/shorthand");
    assert_eq!(error["error"]["place"]["column"], 3);
    assert!(output.stdout.is_empty());
}

#[test]
fn every_command_explains_itself_and_its_file_asks_its_question() {
    let list = stdout(&here(&["explain"]));
    for verb in
        ["predict", "ensemble", "check"].into_iter().filter(|verb| list.lines().any(|line| line == *verb))
    {
        let folder = tempfile::tempdir().unwrap();
        assert!(stdout(&here(&["explain", verb])).contains(verb));
        let schema: Value = serde_json::from_str(&stdout(&here(&["schema", verb]))).unwrap();
        let file = stdout(&here(&["new", verb]));
        for key in schema["properties"].as_object().unwrap().keys() {
            assert!(
                file.contains(&format!("\n{key} =")) || file.contains(&format!("\n# {key} =")),
                "{key} in {file}"
            );
        }
        std::fs::write(folder.path().join("new.toml"), file).unwrap();
        let jobs = carnot(folder.path(), &[verb, "new.toml", "--jobs-to", "jobs"]);
        assert_eq!(jobs.status.code(), Some(0), "{}", stderr(&jobs));
    }
}

#[test]
fn the_same_command_twice_is_one_run_and_one_answer() {
    let folder = tempfile::tempdir().unwrap();
    let ask = || carnot(folder.path(), &["predict", "8-4x3-2", "--activation", "tanh"]);
    let (first, second) = (ask(), ask());
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    assert!(stderr(&first).is_empty());
    assert_eq!(first.stdout, second.stdout);
    let runs: Value = serde_json::from_str(&stdout(&carnot(folder.path(), &["runs", "--json"]))).unwrap();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1);
    let id = runs["runs"][0]["id"].as_str().unwrap();
    assert_eq!(stdout(&carnot(folder.path(), &["show", &id[..4]])), stdout(&first));
    assert!(stdout(&carnot(folder.path(), &["runs"])).contains(id));
    carnot(folder.path(), &["predict", "8-4x3-2", "--activation", "relu"]);
    assert_eq!(stdout(&carnot(folder.path(), &["runs"])).lines().count(), 2);
}

#[test]
fn json_is_the_report_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let output = carnot(folder.path(), &["predict", "8-4x3-2", "--json"]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["schema"], "carnot.report/1");
    assert_eq!(report["provenance"]["command"], "carnot predict 8-4x3-2");
    let kept = std::fs::read_dir(folder.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let kept = std::fs::read_to_string(kept.join("report.json")).unwrap();
    assert!(!kept.contains(&folder.path().display().to_string()), "no absolute path in {kept}");
}

#[test]
fn colour_is_off_in_a_pipe_and_on_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let ask = |color: &str| stdout(&carnot(folder.path(), &["predict", "8-4x3-2", "--color", color]));
    assert!(
        !ask("auto").contains('\u{1b}')
            && !ask("never").contains('\u{1b}')
            && ask("always").contains('\u{1b}')
    );
}

#[test]
#[cfg(unix)]
fn a_reader_who_goes_away_is_no_error() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("carnot"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut few = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut few).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.stderr.is_empty() && output.status.code() == Some(0), "{output:?}");
}

#[test]
fn it_starts_in_under_50_ms() {
    here(&["--version"]);
    let quickest = (0..10).map(|_| {
        let began = Instant::now();
        here(&["explain", "kernel"]);
        began.elapsed().as_secs_f64()
    });
    let quickest = quickest.fold(f64::INFINITY, f64::min);
    assert!(quickest < 0.05, "{quickest} s");
}
