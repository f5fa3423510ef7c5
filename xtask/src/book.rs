//! The parts of the book that the program knows better, the picture of its first report, and the pages of the book.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use crate::step::{Steps, answers, cargo, root, target};

/// The question of the README, without a page and without a kept result.
const QUESTION: &[&str] = &[
    "check",
    "64-128x50-10",
    "--activation",
    "tanh",
    "--data",
    "digits",
    "--try",
    "150",
    "--fail-on",
    "never",
];

/// Writes what is made, then builds the pages where mdBook is installed.
pub fn all(steps: &mut Steps) {
    let mut write = cargo(&["test", "--release", "--package", "carnot", "--test", "book"]);
    steps.run("made parts of the book", write.env("CARNOT_WRITE_BOOK", "1"));
    steps.run(
        "program and example",
        &mut cargo(&["build", "--release", "--package", "carnot", "--example", "picture"]),
    );
    picture(steps);
    if answers(Command::new("mdbook").arg("--version")) {
        steps.run("pages of the book", Command::new("mdbook").args(["build", "book"]).current_dir(root()));
    } else {
        let remedy = "cargo install --locked mdbook; the chapters in book/src read well as they are";
        steps.not_run("pages of the book", "no mdBook", remedy);
    }
}

/// The report of the README as data, through the example `picture`, into the book.
fn picture(steps: &mut Steps) {
    let runs = target().join("pages/picture");
    let mut ask = Command::new(target().join("release/carnot"));
    ask.args(QUESTION).args(["--json", "--quiet", "--no-html", "--fresh", "--runs"]).arg(&runs);
    let file = root().join("book/src/img/check.svg");
    let report = runs.join("report.json");
    let prepared = ask.output().and_then(|output| {
        fs::create_dir_all(&runs)?;
        fs::write(&report, output.stdout)?;
        Ok((File::open(&report)?, File::create(&file)?))
    });
    match prepared {
        Ok((from, to)) => {
            let mut draw = Command::new(target().join("release/examples/picture"));
            steps.run("picture of the first report", draw.stdin(from).stdout(Stdio::from(to)));
        }
        Err(error) => steps.failed("picture of the first report", error.to_string()),
    }
}
