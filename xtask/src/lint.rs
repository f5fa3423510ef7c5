//! Format, clippy with warnings denied, licences of what we depend on.

use crate::step::{FEATURES, Steps, answers, cargo};

/// All of it.
pub fn all(steps: &mut Steps) {
    steps.run("format", &mut cargo(&["fmt", "--all", "--check"]));
    // In release, so that build scripts and procedural macros are shared with the tests.
    let clippy = ["clippy", "--release", "--workspace", "--all-targets"];
    steps.run("clippy", cargo(&clippy).args(FEATURES).args(["--", "-D", "warnings"]));
    if answers(&mut cargo(&["deny", "--version"])) {
        steps.run("licences", &mut cargo(&["deny", "--offline", "check", "licenses", "bans", "sources"]));
    } else {
        steps.not_run("licences", "no cargo-deny", "cargo install --locked cargo-deny");
    }
}
