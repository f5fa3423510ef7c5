//! Resume, early stop, failure and the same bits every time, seen from outside with a made-up experiment.

#![allow(clippy::result_large_err)]

mod toy;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use carnot_lab::drive::look;
use carnot_lab::error::LabError;
use carnot_lab::store::Store;
use carnot_lab::store::list::State;
use serde_json::json;

const NEVER: usize = usize::MAX;

fn folder(root: &Path) -> PathBuf {
    fs::read_dir(root).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let question = toy::question(json!({ "members": 50 }));
    let bytes = [1, 2, 7].map(|threads| {
        let root = tempfile::tempdir().unwrap();
        assert!(toy::run(&*question, root.path(), threads, NEVER).unwrap().is_finished);
        toy::report_bytes(root.path())
    });
    assert_eq!(bytes[0], bytes[1]);
    assert_eq!(bytes[0], bytes[2]);
}

#[test]
fn interrupted_and_resumed_gives_the_same_bits_as_uninterrupted() {
    let question = toy::question(json!({ "members": 40 }));
    let whole = tempfile::tempdir().unwrap();
    toy::run(&*question, whole.path(), 2, NEVER).unwrap();
    for cancel_after in [1, 5, 17, 39] {
        let root = tempfile::tempdir().unwrap();
        let first = toy::run(&*question, root.path(), 2, cancel_after).unwrap();
        assert!(first.done >= cancel_after);
        if !first.is_finished {
            assert!(!folder(root.path()).join("report.json").exists());
            assert_eq!(first.report.next[0].label, "continue");
        }
        let second = toy::run(&*question, root.path(), 3, NEVER).unwrap();
        assert!(second.is_finished);
        assert_eq!(toy::report_bytes(root.path()), toy::report_bytes(whole.path()), "after {cancel_after}");
    }
}

#[test]
fn a_torn_last_line_costs_one_job_and_nothing_else() {
    let question = toy::question(json!({ "members": 12 }));
    let whole = tempfile::tempdir().unwrap();
    toy::run(&*question, whole.path(), 2, NEVER).unwrap();
    let root = tempfile::tempdir().unwrap();
    let landed = toy::run(&*question, root.path(), 1, 6).unwrap().done;
    let points = folder(root.path()).join("points.jsonl");
    let bytes = fs::read(&points).unwrap();
    fs::write(&points, &bytes[..bytes.len() - 20]).unwrap();
    let run = Store::new(root.path()).open(&*question, "").unwrap();
    assert_eq!(look(&*question, &run).unwrap().done, landed - 1);
    toy::run(&*question, root.path(), 2, NEVER).unwrap();
    assert_eq!(toy::report_bytes(root.path()), toy::report_bytes(whole.path()));
}

#[test]
fn foreign_lines_and_files_do_not_matter() {
    let question = toy::question(json!({ "members": 6 }));
    let root = tempfile::tempdir().unwrap();
    toy::run(&*question, root.path(), 1, 3).unwrap();
    let mut points =
        fs::OpenOptions::new().append(true).open(folder(root.path()).join("points.jsonl")).unwrap();
    points.write_all(b"{\"job\":\"member 5\",\"value\":{\"mean\":1e9}}\n\xff\xfe\n").unwrap();
    fs::write(root.path().join("notes.txt"), "mine").unwrap();
    fs::create_dir(root.path().join("abcdef-foreign")).unwrap();
    toy::run(&*question, root.path(), 1, NEVER).unwrap();
    assert_eq!(Store::new(root.path()).list().unwrap().len(), 1);
    let report = Store::new(root.path()).list().unwrap()[0].state.clone();
    assert_eq!(report, State::Finished(String::new()));
}

#[test]
fn the_early_stop_does_not_depend_on_timing() {
    let question = toy::question(json!({ "members": 1000, "until": 0.05 }));
    let bytes = [1, 2, 8].map(|threads| {
        let root = tempfile::tempdir().unwrap();
        let answer = toy::run(&*question, root.path(), threads, NEVER).unwrap();
        assert!(answer.is_finished && answer.done < 1000);
        assert_eq!(answer.report.extra["points"], 20);
        toy::report_bytes(root.path())
    });
    assert_eq!(bytes[0], bytes[1]);
    assert_eq!(bytes[0], bytes[2]);
}

#[test]
fn a_finished_question_is_answered_without_work() {
    let question = toy::question(json!({ "members": 5, "seed": 99 }));
    let root = tempfile::tempdir().unwrap();
    let first = toy::run(&*question, root.path(), 2, NEVER).unwrap();
    let points = fs::metadata(folder(root.path()).join("points.jsonl")).unwrap().len();
    let second = toy::run(&*question, root.path(), 2, NEVER).unwrap();
    assert_eq!(first.report, second.report);
    assert_eq!(fs::metadata(folder(root.path()).join("points.jsonl")).unwrap().len(), points);
    assert_eq!(
        fs::read_to_string(folder(root.path()).join("report.html")).unwrap(),
        format!("<p>{}</p>", first.report.id)
    );
}

#[test]
fn changed_settings_are_another_run() {
    let root = tempfile::tempdir().unwrap();
    for seed in [1, 2] {
        toy::run(&*toy::question(json!({ "members": 2, "seed": seed })), root.path(), 1, NEVER).unwrap();
    }
    let store = Store::new(root.path());
    assert_eq!(store.list().unwrap().len(), 2);
    let Err(LabError::AmbiguousRun { .. } | LabError::NoRun { .. }) = store.find("") else { panic!() };
}

#[test]
fn the_first_failing_job_is_the_error_and_what_landed_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let question = toy::question(json!({ "members": 9, "fails": 4 }));
    let Err(LabError::OutOfRange { key: "fails", .. }) = toy::run(&*question, root.path(), 2, NEVER) else {
        panic!()
    };
    let run = Store::new(root.path()).open(&*question, "").unwrap();
    assert!(look(&*question, &run).unwrap().done >= 4);
    assert!(!folder(root.path()).join("report.json").exists());
}

#[test]
fn a_failure_beyond_the_stop_does_not_count() {
    let question = toy::question(json!({ "members": 9, "until": 0.5, "fails": 2 }));
    for threads in [1, 4] {
        let root = tempfile::tempdir().unwrap();
        assert!(toy::run(&*question, root.path(), threads, NEVER).unwrap().is_finished);
    }
}

#[test]
fn two_workers_on_one_run_agree() {
    let question = toy::question(json!({ "members": 60 }));
    let (one, both) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    toy::run(&*question, one.path(), 1, NEVER).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| toy::run(&*question, both.path(), 1, NEVER).unwrap());
        }
    });
    assert_eq!(toy::report_bytes(one.path()), toy::report_bytes(both.path()));
}

#[test]
fn a_run_whose_specification_was_edited_is_refused() {
    let question = toy::question(json!({ "members": 2 }));
    let root = tempfile::tempdir().unwrap();
    let id = toy::run(&*question, root.path(), 1, NEVER).unwrap().report.id;
    let header = folder(root.path()).join("spec.json");
    fs::write(&header, fs::read_to_string(&header).unwrap().replace("\"seed\": 7", "\"seed\": 8")).unwrap();
    let Err(LabError::Damaged { .. }) = Store::new(root.path()).find(&id) else { panic!() };
    let State::Damaged(_) = Store::new(root.path()).list().unwrap()[0].state else { panic!() };
}
