//! Reports, opened in a real browser as a reader would: `tests/browser/test.mjs`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Steps, answers, root, target};

const NAME: &str = "browser tests";

/// Oldest Node that the browser driver runs on (`engines` in tests/browser/package.json).
const NODE: u32 = 20;

/// Names under which Chromium is installed.
const CHROMIUM: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Real reports: one of each command that writes one, small enough to take seconds.
const QUESTIONS: &[(&str, &[&str])] = &[
    ("real-predict", &["predict", "64-128x30-10", "--activation", "tanh"]),
    (
        "real-ensemble",
        &["ensemble", "16-32x6-8", "--activation", "relu", "--init", "critical", "--members", "200"],
    ),
    (
        "real-check",
        &[
            "check",
            "64-64x20-10",
            "--activation",
            "tanh",
            "--data",
            "digits",
            "--try",
            "40",
            "--fail-on",
            "never",
        ],
    ),
    (
        "real-phase",
        &[
            "phase",
            "--noises",
            "0,0.1,0.2,0.3",
            "--slopes",
            "0,0.5,1",
            "--depth",
            "4",
            "--width",
            "20",
            "--epochs",
            "10",
            "--seeds",
            "2",
        ],
    ),
];

/// A recording, whose load curve is a page too.
const RECORDING: &str = "crates/carnot/tests/fixtures/digits.carnot";

/// Writes reports with the program that was just built, and looks at each.
pub fn all(steps: &mut Steps) {
    let Some(version) = node_version() else {
        return steps.not_run(NAME, "no Node.js", format!("install Node {NODE} or later, with npm"));
    };
    if version < NODE {
        return steps.not_run(
            NAME,
            format!("Node {version} is too old"),
            format!("install Node {NODE} or later"),
        );
    }
    let Some(chromium) = chromium() else {
        let remedy = "install one (Debian: apt-get install chromium), or name it in the variable CHROMIUM";
        return steps.not_run(NAME, "no Chromium found", remedy);
    };
    let folder = root().join("tests/browser");
    if !folder.join("node_modules/playwright-core").is_dir() && !answers(npm_ci(&folder).arg("--silent")) {
        let remedy = "with a network: cd tests/browser && npm ci";
        return steps.not_run(NAME, "npm could not fetch the browser driver", remedy);
    }
    match reports() {
        Err(why) => steps.failed(NAME, why),
        Ok(pages) => {
            let mut look = Command::new("node");
            look.arg("test.mjs").args(pages).current_dir(folder).env("CHROMIUM", chromium);
            look.env("SHOTS", target().join("shots"));
            steps.run(NAME, &mut look);
        }
    }
}

fn npm_ci(folder: &Path) -> Command {
    let mut command = Command::new("npm");
    command.args(["ci", "--no-audit", "--no-fund"]).current_dir(folder);
    command
}

fn node_version() -> Option<u32> {
    let output = Command::new("node").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim().trim_start_matches('v').split('.').next()?.parse().ok()
}

fn chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mac = PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome");
    let all = CHROMIUM.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.chain([mac]).find(|program| program.is_file())
}

/// The example reports, which hold what real ones seldom do, and one real report of each command.
fn reports() -> Result<Vec<PathBuf>, String> {
    let folder = target().join("pages");
    let failed = |what: &str, error: io::Error| format!("{what}: {error}");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| failed("making a folder for reports", error))?;
    let examples = target().join("release/examples/write_reports");
    run(Command::new(examples).arg(&folder))?;
    for (name, question) in QUESTIONS {
        let runs = folder.join(name);
        run(Command::new(target().join("release/carnot"))
            .args(*question)
            .arg("--quiet")
            .arg("--runs")
            .arg(&runs))?;
        let page =
            only_page(&runs).ok_or_else(|| format!("carnot {} wrote no report.html", question.join(" ")))?;
        fs::copy(page, folder.join(format!("{name}.html")))
            .map_err(|error| failed("copying a report", error))?;
    }
    let recording = folder.join("digits.carnot");
    fs::copy(root().join(RECORDING), &recording).map_err(|error| failed("copying a recording", error))?;
    run(Command::new(target().join("release/carnot")).arg("load").arg(&recording))?;
    let entries = fs::read_dir(&folder).map_err(|error| failed("listing reports", error))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut pages: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|end| end == "html")).collect();
    pages.sort();
    Ok(pages)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?} ended with {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}

fn only_page(runs: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(runs).ok()?;
    entries.filter_map(|entry| Some(entry.ok()?.path().join("report.html"))).find(|page| page.is_file())
}
