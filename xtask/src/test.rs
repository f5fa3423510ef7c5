//! Every test of the workspace, in release: an unoptimised quadrature takes minutes, and one profile is built once.

use crate::browser;
use crate::python;
use crate::step::{Steps, answers, cargo};

/// All of them.
pub fn all(steps: &mut Steps) {
    if answers(&mut cargo(&["nextest", "--version"])) {
        steps.run("tests", &mut cargo(&["nextest", "run", "--release", "--workspace", "--no-fail-fast"]));
        steps.run("documentation examples", &mut cargo(&["test", "--release", "--workspace", "--doc"]));
    } else {
        steps.run(
            "tests and documentation examples",
            &mut cargo(&["test", "--release", "--workspace", "--no-fail-fast"]),
        );
    }
    browser::all(steps);
    // Last: the wheel asks for other features of shared crates than the workspace does.
    python::all(steps);
}
