//! Every test of the workspace, in release: an unoptimised quadrature takes minutes, and one profile is built once.

use crate::browser;
use crate::python;
use crate::step::{FEATURES, Steps, answers, cargo};

/// All of them.
pub fn all(steps: &mut Steps) {
    if answers(&mut cargo(&["nextest", "--version"])) {
        let nextest = ["nextest", "run", "--release", "--workspace", "--no-fail-fast"];
        steps.run("tests", cargo(&nextest).args(FEATURES));
        let doc = ["test", "--release", "--workspace", "--doc"];
        steps.run("documentation examples", cargo(&doc).args(FEATURES));
    } else {
        let test = ["test", "--release", "--workspace", "--no-fail-fast"];
        steps.run("tests and documentation examples", cargo(&test).args(FEATURES));
    }
    browser::all(steps);
    // Last: the wheel asks for other features of shared crates than the workspace does.
    python::all(steps);
}
