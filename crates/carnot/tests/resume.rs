//! A run that is killed or interrupted goes on where it was, and ends with the same bits.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;

/// 200 small jobs: some seconds of work, most of it before the first kill is noticed.
const ASK: &[&str] =
    &["ensemble", "16-32x6-4", "--activation", "tanh", "--members", "5000", "--quiet", "--threads", "2"];

fn start(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(cargo_bin("carnot"));
    command.current_dir(folder).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn run_folder(folder: &Path) -> Option<PathBuf> {
    Some(fs::read_dir(folder.join("runs")).ok()?.next()?.ok()?.path())
}

fn lines(folder: &Path) -> usize {
    let points =
        run_folder(folder).and_then(|run| fs::read(run.join("points.jsonl")).ok()).unwrap_or_default();
    points.iter().filter(|byte| **byte == b'\n').count()
}

/// Waits until some jobs have landed.
fn wait_for(folder: &Path, jobs: usize) {
    let began = Instant::now();
    while lines(folder) < jobs {
        assert!(began.elapsed() < Duration::from_secs(60), "no job landed in a minute");
        std::thread::yield_now();
    }
}

fn report(folder: &Path) -> Vec<u8> {
    fs::read(run_folder(folder).unwrap().join("report.json")).unwrap()
}

#[test]
fn killed_three_times_and_resumed_gives_the_bits_of_an_uninterrupted_run() {
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(start(whole.path(), ASK).wait().unwrap().success());
    for _ in 0..3 {
        let before = lines(killed.path());
        let mut child = start(killed.path(), ASK);
        wait_for(killed.path(), before + 5);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let landed = lines(killed.path());
    assert!(landed < lines(whole.path()), "it was finished before it could be killed");
    let name = run_folder(killed.path()).unwrap().file_name().unwrap().to_string_lossy().into_owned();
    let finished =
        start(killed.path(), &["resume", &name[..6], "--threads", "1"]).wait_with_output().unwrap();
    assert!(finished.status.success(), "{finished:?}");
    assert_eq!(report(killed.path()), report(whole.path()));
}

#[test]
fn control_c_finishes_the_jobs_in_hand_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let child = start(folder.path(), ASK);
    wait_for(folder.path(), 3);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(output.stdout.is_empty() && text.contains("continue: carnot resume "), "{text}");
    let bytes = fs::read(run_folder(folder.path()).unwrap().join("points.jsonl")).unwrap();
    assert_eq!(bytes.last(), Some(&b'\n'), "the last line is whole");
    assert!(!run_folder(folder.path()).unwrap().join("report.json").exists());
}

#[test]
fn jobs_done_one_by_one_elsewhere_make_the_same_report() {
    let ask = ["ensemble", "8-6x2-3", "--members", "100", "--quiet"];
    let (whole, apart) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(start(whole.path(), &ask).wait().unwrap().success());
    assert!(start(apart.path(), &[&ask[..], &["--jobs-to", "jobs"]].concat()).wait().unwrap().success());
    let points = run_folder(apart.path()).unwrap().join("points.jsonl");
    let mut jobs: Vec<PathBuf> =
        fs::read_dir(apart.path().join("jobs")).unwrap().map(|job| job.unwrap().path()).collect();
    // Any order will do.
    jobs.sort_by(|a, b| b.cmp(a));
    for job in jobs {
        let answer = start(apart.path(), &["work", job.to_str().unwrap()]).wait_with_output().unwrap();
        assert!(answer.status.success(), "{answer:?}");
        let mut all = fs::read(&points).unwrap_or_default();
        all.extend(answer.stdout);
        fs::write(&points, all).unwrap();
    }
    assert!(start(apart.path(), &ask).wait().unwrap().success());
    assert_eq!(report(apart.path()), report(whole.path()));
}
