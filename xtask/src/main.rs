//! The tasks of a developer. `cargo xtask test` sets up what the tests need, runs them all, and says what it could not
//! run and why.
//!
//! | module | one job |
//! |---|---|
//! | [`step`] | run one thing, remember how it ended, sum up |
//! | [`lint`] | format, clippy, licences |
//! | [`test`] | tests and documentation examples of the workspace |
//! | [`browser`] | reports, opened in a real browser |
//! | [`python`] | the Python package, built and tested |
//! | [`book`] | the parts of the book that the program writes, and its pages |

mod book;
mod browser;
mod lint;
mod python;
mod step;
mod test;

use std::process::ExitCode;

use step::{Steps, cargo};

const USAGE: &str = "cargo xtask TASK

  test     set up what the tests need, run them all, say what could not run and why
  lint     formatting, clippy with warnings denied, licences
  ci       lint, then test
  browser  the browser tests alone, with what was built for the tests
  python   the Python package alone
  bench    the benches; arguments are passed on
  book     write the parts of the book that the program knows, then build its pages
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let mut steps = Steps::default();
    match (task.as_str(), rest.is_empty()) {
        ("test", true) => test::all(&mut steps),
        ("lint", true) => lint::all(&mut steps),
        ("ci", true) => {
            lint::all(&mut steps);
            test::all(&mut steps);
        }
        ("browser", true) => browser::all(&mut steps),
        ("python", true) => python::all(&mut steps),
        ("book", true) => book::all(&mut steps),
        ("bench", _) => steps.run("benches", cargo(&["bench", "--workspace", "--bench", "*"]).args(rest)),
        ("" | "help" | "--help" | "-h", true) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("no task \"{}\"\n\n{USAGE}", [&[task], rest.as_slice()].concat().join(" "));
            return ExitCode::from(2);
        }
    }
    steps.sum_up()
}
