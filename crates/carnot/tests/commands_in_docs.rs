//! Every command line in README and book runs, and ends as it is documented.
//!
//! Looked at are blocks fenced as `console`, lines that begin with `$ carnot` (or `$ cargo run --release --`, which is
//! the same program). The commands of one page run in one folder, in order, by a shell; the recordings of `tests/fixtures` lie in it. One must exit with 1 when the
//! line below it says WILL NOT LEARN, and with 0 otherwise.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::cargo::cargo_bin;

struct Documented {
    line: usize,
    command: String,
    is_bad_news: bool,
}

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
}

fn commands(text: &str) -> Vec<Documented> {
    let mut found: Vec<Documented> = Vec::new();
    let mut is_console = false;
    for (at, line) in text.lines().enumerate() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            is_console = language.trim() == "console";
        } else if is_console && line.trim_start().starts_with("$ ") {
            let command = line.trim_start()[2..].replacen("cargo run --release --", "carnot", 1);
            if command.starts_with("carnot") {
                found.push(Documented { line: at + 1, command, is_bad_news: false });
            }
        } else if is_console
            && line.starts_with("WILL NOT LEARN")
            && let Some(last) = found.last_mut()
        {
            last.is_bad_news = true;
        }
    }
    found
}

#[test]
fn every_documented_command_ends_as_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = vec![root.join("README.md")];
    pages(&root.join("book/src"), &mut found);
    found.sort();
    let bin = cargo_bin("carnot");
    let path = format!("{}:{}", bin.parent().unwrap().display(), std::env::var("PATH").unwrap_or_default());
    let (mut wrong, mut count) = (Vec::new(), 0);
    for page in found {
        let Ok(text) = fs::read_to_string(&page) else { continue };
        let folder = tempfile::tempdir().unwrap();
        for fixture in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")).unwrap() {
            let fixture = fixture.unwrap();
            fs::copy(fixture.path(), folder.path().join(fixture.file_name())).unwrap();
        }
        for documented in commands(&text) {
            count += 1;
            let mut shell = Command::new("sh");
            shell.args(["-c", &documented.command]).current_dir(folder.path()).env("PATH", &path);
            let output = shell.output().unwrap();
            if output.status.code() != Some(i32::from(documented.is_bad_news)) {
                let name = page.strip_prefix(&root).unwrap_or(&page).display().to_string();
                let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
                wrong.push(format!(
                    "{name}:{}: {} → {:?}\n{stderr}",
                    documented.line, documented.command, output.status
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count} commands:\n{}", wrong.len(), wrong.join("\n"));
    println!("{count} commands run");
}

#[test]
fn commands_are_found_where_they_stand() {
    let text = "```console\n$ carnot predict 8-2 --json | head\nWILL NOT LEARN\n$ cargo xtask test\n$ cargo run --release -- runs\n```\n```sh\n$ carnot no\n```";
    let found = commands(text);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].line, found[0].is_bad_news), (2, true));
    assert_eq!((found[1].command.as_str(), found[1].is_bad_news), ("carnot runs", false));
}
