//! Run one thing, remember how it ended, sum up at the end.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// Heavy trees that are off by default and on wherever everything is tested. The same in every command: features unify, and
/// another set of them builds the shared crates again.
pub const FEATURES: [&str; 2] = ["--features", "carnot/onnx"];

/// How a step ended.
enum End {
    Passed { seconds: f64 },
    Failed { why: String },
    NotRun { why: String, remedy: String },
}

/// Steps so far, in order.
#[derive(Default)]
pub struct Steps {
    ended: Vec<(String, End)>,
}

impl Steps {
    /// Runs a command to its end, its output shown as it comes.
    pub fn run(&mut self, name: &str, command: &mut Command) {
        println!("\n── {name}: {}", words(command));
        let start = Instant::now();
        let end = match command.status() {
            Ok(status) if status.success() => End::Passed { seconds: start.elapsed().as_secs_f64() },
            Ok(status) => End::Failed { why: format!("{} ended with {status}", words(command)) },
            Err(error) => End::Failed { why: format!("{} did not start: {error}", words(command)) },
        };
        self.ended.push((name.into(), end));
    }

    /// Remembers what could not be run here, and what would make it possible.
    pub fn not_run(&mut self, name: &str, why: impl Into<String>, remedy: impl Into<String>) {
        self.ended.push((name.into(), End::NotRun { why: why.into(), remedy: remedy.into() }));
    }

    /// Remembers a failure that is not a command's.
    pub fn failed(&mut self, name: &str, why: impl Into<String>) {
        self.ended.push((name.into(), End::Failed { why: why.into() }));
    }

    /// Prints every step and how it ended; only a failure is one.
    pub fn sum_up(&self) -> ExitCode {
        println!();
        let (mut passed, mut failed, mut not_run) = (0, 0, 0);
        for (name, end) in &self.ended {
            match end {
                End::Passed { seconds } => {
                    passed += 1;
                    println!("passed   {name} ({seconds:.0} s)");
                }
                End::Failed { why } => {
                    failed += 1;
                    println!("FAILED   {name}: {why}");
                }
                End::NotRun { why, remedy } => {
                    not_run += 1;
                    println!("not run  {name}: {why}\n         {remedy}");
                }
            }
        }
        println!("\n{passed} passed, {failed} failed, {not_run} not run");
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Cargo, in the root of the repository.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// True when a program starts and ends well; what it says is not shown.
pub fn answers(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_path_buf()
}

/// Where cargo builds: this program lies in `TARGET/debug`.
pub fn target() -> PathBuf {
    let own = std::env::current_exe().expect("this program knows where it lies");
    own.ancestors().nth(2).expect("TARGET/PROFILE/xtask").to_path_buf()
}

fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let all = std::iter::once(program).chain(command.get_args());
    all.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
