//! The parts of the book that the program knows better, and the pages of the book.

use std::process::Command;

use crate::step::{Steps, answers, cargo, root};

/// Writes the made parts, then builds the pages where mdBook is installed.
pub fn all(steps: &mut Steps) {
    let mut write = cargo(&["test", "--release", "--package", "carnot", "--test", "book"]);
    steps.run("made parts of the book", write.env("CARNOT_WRITE_BOOK", "1"));
    if answers(Command::new("mdbook").arg("--version")) {
        steps.run("pages of the book", Command::new("mdbook").args(["build", "book"]).current_dir(root()));
    } else {
        let remedy = "cargo install --locked mdbook; the chapters in book/src read well as they are";
        steps.not_run("pages of the book", "no mdBook", remedy);
    }
}
