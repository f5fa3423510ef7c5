//! The Python package: built as a wheel into an environment of its own, tested by `python/tests`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::step::{Steps, answers, root, target};

const NAME: &str = "python tests";

/// Interpreters that are tried, unless CARNOT_PYTHON names one.
const INTERPRETERS: &[&str] = &["python3", "python"];

/// Oldest Python that the wheel runs on.
const OLDEST: &str = "import sys; sys.exit(sys.version_info < (3, 10))";

/// Has it a PyTorch that the hooks work with?
const TORCH: &str = "import torch, sys; sys.exit(tuple(map(int, torch.__version__.split('.')[:2])) < (2, 1))";

/// Longest time that an installation of PyTorch may take: with its CUDA libraries it is some gigabytes.
const PATIENCE: Duration = Duration::from_secs(240);

/// Where CPU wheels of PyTorch lie; a machine that cannot reach it takes the usual index.
const CPU_WHEELS: &str = "https://download.pytorch.org/whl/cpu";

/// Builds the wheel, installs it, and runs what can be run.
pub fn all(steps: &mut Steps) {
    let Some(python) = interpreter() else {
        return steps.not_run(NAME, "no Python of at least 3.10", "install one, or name it in CARNOT_PYTHON");
    };
    let Some(own) = environment(&python) else {
        let remedy = "with a network: python3 -m venv, then pip install maturin pytest numpy pandas";
        return steps.not_run(NAME, "no environment with maturin and pytest could be made", remedy);
    };
    // The same target folder and profile as the tests, so that only what Python needs is built.
    let mut install = Command::new(own.join("bin/pip"));
    install
        .args(["install", "--quiet", "--no-build-isolation", "--no-deps", "--force-reinstall", "."])
        .env("CARGO_TARGET_DIR", target())
        .env("PATH", with_first(&own.join("bin")))
        .current_dir(root());
    steps.run("python package", &mut install);
    let has_torch = torch(&own);
    let mut tests = Command::new(own.join("bin/python"));
    tests.args(["-m", "pytest"]).current_dir(root());
    steps.run(NAME, &mut tests);
    if !has_torch {
        let remedy = "pip install torch, in the Python that CARNOT_PYTHON names or in target/python";
        steps.not_run("python tests with PyTorch", "no PyTorch could be installed in four minutes", remedy);
    }
}

fn interpreter() -> Option<PathBuf> {
    let named = std::env::var_os("CARNOT_PYTHON").map(PathBuf::from);
    let known = INTERPRETERS.iter().map(PathBuf::from);
    named.into_iter().chain(known).find(|python| answers(Command::new(python).args(["-c", OLDEST])))
}

/// An environment that sees the packages of its interpreter, with what the tests need; kept between runs.
fn environment(python: &Path) -> Option<PathBuf> {
    let own = target().join("python");
    let is_whole = |own: &Path| {
        answers(Command::new(own.join("bin/python")).args(["-c", "import maturin, numpy, pandas, pytest"]))
    };
    if is_whole(&own) {
        return Some(own);
    }
    let made = answers(Command::new(python).args(["-m", "venv", "--system-site-packages"]).arg(&own));
    let pip = |packages: &[&str]| {
        answers(Command::new(own.join("bin/pip")).args(["install", "--quiet"]).args(packages))
    };
    (made && pip(&["maturin>=1.9.4,<2", "pytest>=8", "numpy", "pandas"]) && is_whole(&own)).then_some(own)
}

/// Is PyTorch there, or could it be installed in time?
fn torch(own: &Path) -> bool {
    let is_there = || answers(Command::new(own.join("bin/python")).args(["-c", TORCH]));
    let pip = |more: &[&str]| {
        let mut command = Command::new(own.join("bin/pip"));
        command.args(["install", "--quiet", "--retries", "0", "torch"]).args(more);
        in_time(&mut command)
    };
    is_there() || pip(&["--index-url", CPU_WHEELS]) && is_there() || pip(&[]) && is_there()
}

/// Runs a command for at most [`PATIENCE`]; true when it ended well.
fn in_time(command: &mut Command) -> bool {
    let Ok(mut child) = command.spawn() else { return false };
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(200)),
            Err(_) => return false,
        }
    }
    // Ended already, or ended now: either way it is not waited for.
    let _ = child.kill();
    let _ = child.wait();
    false
}

fn with_first(folder: &Path) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&path));
    std::env::join_paths(all).unwrap_or(path)
}
