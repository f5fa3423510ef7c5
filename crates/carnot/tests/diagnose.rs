//! `carnot diagnose`, as a user sees it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;

const FIXTURES: [&str; 4] = ["plateau.csv", "labels.txt", "overfit.jsonl", "events.out.tfevents.spike"];

/// A folder with the logs; pages are written beside them.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in FIXTURES.iter().chain(&["digits.carnot"]) {
        fs::copy(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name),
            folder.path().join(name),
        )
        .unwrap();
    }
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
fn a_plateau_is_named_in_the_terminal_on_the_page_and_in_json() {
    let folder = folder();
    let ask = ["diagnose", "plateau.csv", "--labels", "labels.txt"];
    let output = carnot(folder.path(), &ask);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    insta::assert_snapshot!("plateau_80", said);
    let page = fs::read_to_string(folder.path().join("plateau.diagnose.html")).unwrap();
    for word in ["T521", "frequencies alone", "loss over the steps", "gradient norm", "What happened when"] {
        assert!(page.contains(word), "{word}");
    }
    let output = carnot(folder.path(), &[&ask[..], &["--json", "--no-html"]].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"]["word"], "will-not-learn");
    assert_eq!(report["diagnosis"]["at"][0]["kind"], "unigram");
    assert_eq!(report["provenance"]["command"], "carnot diagnose plateau.csv --labels labels.txt");
}

#[test]
fn event_files_json_lines_and_recordings_are_read() {
    let folder = folder();
    let spike = carnot(folder.path(), &["diagnose", "events.out.tfevents.spike", "--classes", "10"]);
    assert_eq!(spike.status.code(), Some(0), "{}", text(&spike.stderr));
    insta::assert_snapshot!("spike_80", text(&spike.stdout));
    // The folder says the same as its only event file.
    let whole = text(&carnot(folder.path(), &["diagnose", ".", "--classes", "10", "--no-html"]).stdout);
    assert!(whole.starts_with("LEARNS, AT A COST") && whole.contains("T525"), "{whole}");
    let overfit = text(&carnot(folder.path(), &["diagnose", "overfit.jsonl"]).stdout);
    assert!(overfit.contains("T524 overfits") && overfit.contains("eval_loss"), "{overfit}");
    // A recording has few losses, and says of which task.
    let recording = carnot(folder.path(), &["diagnose", "digits.carnot", "--json"]);
    let report: Value = serde_json::from_slice(&recording.stdout).unwrap();
    assert_eq!(report["diagnosis"]["references"][0]["from"], "ln 10", "{}", text(&recording.stderr));
}

#[test]
fn a_run_is_read_by_its_name_and_by_its_folder() {
    let folder = folder();
    let try_it = ["check", "64-32x2-10", "--data", "digits", "--try", "60", "--json", "--no-html"];
    let report: Value = serde_json::from_slice(&carnot(folder.path(), &try_it).stdout).unwrap();
    let id = report["id"].as_str().unwrap().to_string();
    let by_name = carnot(folder.path(), &["diagnose", &id, "--classes", "10", "--no-html"]);
    assert!(matches!(by_name.status.code(), Some(0 | 1)), "{}", text(&by_name.stderr));
    assert!(text(&by_name.stdout).contains("outcome"), "all trainings of the run: {}", text(&by_name.stdout));
    let run = fs::read_dir(folder.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let by_folder =
        carnot(folder.path(), &["diagnose", run.to_str().unwrap(), "--classes", "10", "--no-html"]);
    assert_eq!(text(&by_name.stdout), text(&by_folder.stdout));
}

#[test]
fn bad_logs_get_one_error_with_a_place_and_a_remedy() {
    let folder = folder();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("empty.csv", b"");
    write("prose.txt", b"It was a dark and stormy night\nand nothing converged.\n");
    write("none.csv", b"step,speed\n1,2\n2,3\n");
    write("wide.csv", b"step,loss\n1,2\n2,3,4\n3,4\n");
    write("words.csv", b"step,loss\n1,high\n2,low\n");
    write("middle.jsonl", b"{\"step\": 1, \"loss\": 2}\n{\"step\": 2, \"lo\n{\"step\": 3, \"loss\": 2}\n");
    write("zeros.bin", &[0; 400]);
    let mut damaged = fs::read(folder.path().join("events.out.tfevents.spike")).unwrap();
    damaged[500] ^= 1;
    fs::create_dir(folder.path().join("damaged")).unwrap();
    write("damaged/events.out.tfevents.1", &damaged);
    let rows: &[(&[&str], &str, &str)] = &[
        (&["nowhere.csv"], "log/file", "carnot runs"),
        (&["empty.csv"], "log/unknown", "empty"),
        (&["prose.txt"], "log/unknown", "headings"),
        (&["zeros.bin"], "log/unknown", "neither text"),
        (&["none.csv"], "log/no-loss", "--loss \"speed\""),
        (&["wide.csv"], "log/cells", "wide.csv:3"),
        (&["words.csv"], "log/unknown", "line 2"),
        (&["middle.jsonl"], "log/json", "middle.jsonl:2"),
        (&["damaged"], "log/damaged", "record"),
        (&["plateau.csv", "--loss", "los"], "log/no-series", "--loss \"loss\""),
        (&["plateau.csv", "--step", "stpe"], "log/no-series", "--step \"step\""),
        (&["plateau.csv", "--labels", "nowhere"], "log/file", "nowhere"),
        (&["plateau.csv", "--data", "zeros.bin"], "log/no-reference", "400 symbols"),
        (&["plateau.csv", "--classes", "1"], "", "2 or more"),
        (&["plateau.csv", "--unigram", "-1"], "", "above 0"),
        (&["plateau.csv", "--clip", "nan"], "", "above 0"),
        (&["plateau.csv", "--optimizer", "lion"], "", "adamw"),
        (&["plateau.csv", "--optimizer", "adam", "--momentum", "2"], "", "below 1"),
    ];
    for (arguments, code, part) in rows {
        let output = carnot(folder.path(), &[&["diagnose"], *arguments].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}\n{said}");
        assert!(output.stdout.is_empty() && said.contains(&format!("error {code}")), "{arguments:?}\n{said}");
        assert!(said.contains("remedy") && said.contains(part), "{arguments:?}\n{said}");
        assert!(!said.contains("panicked"), "{arguments:?}\n{said}");
    }
}

/// Every prefix and many flips of every log: an answer or one error, never a panic.
#[test]
fn no_damage_makes_it_panic() {
    let folder = folder();
    for name in ["plateau.csv", "overfit.jsonl", "events.out.tfevents.spike"] {
        let whole = fs::read(folder.path().join(name)).unwrap();
        for at in (0..40).map(|part| part * whole.len() / 40) {
            let mut changed = whole[..at.max(1)].to_vec();
            if at % 2 == 0 && at > 30 {
                changed[at - 17] ^= 0x55;
            }
            fs::write(folder.path().join(format!("cut.{name}")), &changed).unwrap();
            let output = carnot(folder.path(), &["diagnose", &format!("cut.{name}"), "--no-html", "--all"]);
            assert!(output.status.code().is_some_and(|code| code <= 2), "{name} at {at}");
            assert!(!text(&output.stderr).contains("panicked"), "{name} at {at}: {}", text(&output.stderr));
        }
    }
}
