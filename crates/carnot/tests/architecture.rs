//! The architecture, held: arrows between crates point down, and each crate knows only what it may.
//!
//! The levels are those of the book's chapter "Architecture". A new crate is refused until it has been given one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Each crate and its level. A crate may depend on crates of lower levels only, in its tests too.
const LEVELS: &[(&str, u8)] = &[
    ("carnot-math", 0),
    ("carnot-report", 0),
    ("carnot-log", 0),
    ("carnot-net", 1),
    ("carnot-theory", 2),
    ("carnot-kernel", 2),
    ("carnot-sim", 2),
    ("carnot-probe", 2),
    ("carnot-models", 2),
    ("carnot-onnx", 3),
    ("carnot-lab", 4),
    ("carnot", 5),
    ("carnot-py", 5),
];

/// Crates of the workspace that are tools, not parts.
const TOOLS: &[&str] = &["xtask"];

/// Everything that theory is made of: nothing here reads clocks or opens files, and nothing draws numbers but for the places
/// of [`DRAWS_IN_THEORY`]. Threads (rayon) share out independent averages; they change no bit.
const THEORY_IS_MADE_OF: &[&str] = &["carnot-math", "carnot-net", "serde", "thiserror", "rayon"];

/// Where theory draws numbers, each with its reason.
const DRAWS_IN_THEORY: &[(&str, &str)] = &[(
    "crates/carnot-theory/src/spring_block/noise.rs",
    "noise is part of the chain's model; its draws are keyed by a seed that the caller gives: same input, same bits",
)];

/// What the program itself may know of ours: experiments and reports, no mathematics.
const PROGRAM_KNOWS: &[&str] = &["carnot-lab", "carnot-report"];

/// Longest file, in lines. Past 600, look for the second reason to exist.
const LONGEST: usize = 700;

/// Files that may be longer, each with its reason.
const LONG_FOR_A_REASON: &[(&str, &str)] = &[];

/// Where files are opened, each with its reason.
const OPENS_FILES: &[(&str, &str)] = &[
    ("crates/carnot-net/src/dataset/", "data sets are read from files"),
    ("crates/carnot-models/src/files/source.rs", "weights of trained models are files"),
    ("crates/carnot-models/src/checkpoint.rs", "which file of a model's folder holds its weights"),
    ("crates/carnot-onnx/src/file.rs", "models are files"),
    ("crates/carnot-onnx/src/arrays.rs", "batches are files, read a chunk at a time"),
    ("crates/carnot-kernel/src/stream/", "kernels that do not fit into memory go to disk"),
    ("crates/carnot-probe/src/recording/", "recordings are files"),
    ("crates/carnot-log/src/read/", "logs are files"),
    ("crates/carnot-log/src/reference.rs", "texts and labels are files"),
    ("crates/carnot-lab/src/store/", "runs are files"),
    ("crates/carnot-lab/src/spec/", "settings and networks are read from files"),
    (
        "crates/carnot-lab/src/experiments/kernel/",
        "kernels are kept as files, and read back when they do not fit into memory",
    ),
    ("crates/carnot-lab/src/memory.rs", "what is free is told by files of the system"),
    ("crates/carnot-lab/src/jobs/worker.rs", "a job is a file, so that a cluster can carry it"),
];

/// Where clocks are read, each with its reason.
const READS_CLOCKS: &[(&str, &str)] = &[
    ("crates/carnot-kernel/src/estimate.rs", "how long a kernel takes is measured on its first samples"),
    ("crates/carnot-lab/src/store/", "a run says when it was worked on"),
    ("crates/carnot-lab/src/drive.rs", "progress and the log of a run"),
    ("crates/carnot/src/", "progress"),
    ("crates/carnot-py/src/ask.rs", "how often a running question looks for Ctrl-C"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Our crates with the names and kinds of what they depend on.
fn dependencies() -> BTreeMap<String, Vec<(String, String)>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or("normal").to_string();
    let needs = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap();
        all.iter().map(|needed| (text(&needed["name"]), text(&needed["kind"]))).collect()
    };
    packages.iter().map(|package| (text(&package["name"]), needs(package))).collect()
}

fn level(name: &str) -> Option<u8> {
    LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
}

fn normal(of: &str) -> Vec<String> {
    let all = dependencies().remove(of).unwrap_or_else(|| panic!("no crate {of}"));
    all.into_iter().filter(|(_, kind)| kind == "normal").map(|(name, _)| name).collect()
}

#[test]
fn every_arrow_points_down() {
    let mut wrong = Vec::new();
    let all = dependencies();
    for (name, needs) in all.iter().filter(|(name, _)| !TOOLS.contains(&name.as_str())) {
        let Some(own) = level(name) else {
            wrong.push(format!(
                "{name} has no level: add it to LEVELS and to the book's chapter Architecture"
            ));
            continue;
        };
        for (needed, kind) in needs.iter().filter(|(needed, _)| all.contains_key(needed)) {
            if level(needed).is_none_or(|below| below >= own) {
                wrong.push(format!("{name} (level {own}) → {needed} (level {:?}, {kind})", level(needed)));
            }
        }
    }
    let gone = LEVELS.iter().filter(|(name, _)| !all.contains_key(*name));
    wrong.extend(gone.map(|(name, _)| format!("{name} is in LEVELS but not in the workspace")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn theory_is_made_of_nothing_that_draws_reads_or_opens_but_for_the_noise_of_the_chain() {
    let foreign: Vec<String> = normal("carnot-theory")
        .into_iter()
        .filter(|name| !THEORY_IS_MADE_OF.contains(&name.as_str()))
        .collect();
    assert!(foreign.is_empty(), "carnot-theory depends on {foreign:?}");
    let drawn = outside("crates/carnot-theory/src", DRAWS_IN_THEORY, |line| {
        has_any(line, &["carnot_math::random", "random::Stream"])
    });
    assert!(drawn.is_empty(), "{}", drawn.join("\n"));
}

#[test]
fn the_program_knows_experiments_and_reports_and_no_mathematics() {
    let ours: Vec<String> = normal("carnot").into_iter().filter(|name| name.starts_with("carnot-")).collect();
    assert!(ours.iter().all(|name| PROGRAM_KNOWS.contains(&name.as_str())), "carnot depends on {ours:?}");
}

#[test]
fn only_the_device_module_is_unsafe() {
    let words =
        ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait", "allow(unsafe_code)"];
    let found = outside("crates", &[("crates/carnot-math/src/device/", "")], |line| has_any(line, &words));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn files_are_opened_in_few_places() {
    let found = outside("crates", OPENS_FILES, |line| {
        has_any(line, &["std::fs", "File::open", "File::create", "fs::read"])
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn clocks_are_read_in_few_places() {
    let found =
        outside("crates", READS_CLOCKS, |line| has_any(line, &["std::time", "Instant::now", "SystemTime"]));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn libraries_do_not_print() {
    let found = outside("crates", &[("crates/carnot/src/", "")], |line| {
        has_any(line, &["println!(", "eprintln!(", "print!(", "eprint!(", "dbg!("])
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_file_is_longer_than_it_may_be() {
    let mut files = Vec::new();
    for folder in ["crates", "python", "xtask", "fuzz", "tests", ".ci"] {
        collect(&root().join(folder), &["rs", "js", "mjs", "ts", "css", "py", "sh", "run"], &mut files);
    }
    let mut long = Vec::new();
    for file in files {
        let name = relative(&file);
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        let is_excused = LONG_FOR_A_REASON.iter().any(|(excused, _)| *excused == name);
        if lines > LONGEST && !is_excused {
            long.push(format!("{name}: {lines} lines"));
        }
        assert!(!is_excused || lines > LONGEST, "{name} is short enough: take it off the list");
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn code_is_told_from_comments_texts_and_tests() {
    let text = "//! std::fs\nlet a = 1; // std::fs\nlet b = \"std::fs\";\nstd::fs::read(p);\n#[cfg(test)]\nmod tests {\nstd::fs::read(p);\n}";
    let found: Vec<usize> =
        code(text).into_iter().filter(|(_, line)| line.contains("std::fs")).map(|(at, _)| at).collect();
    assert_eq!(found, [4]);
}

fn has_any(line: &str, words: &[&str]) -> bool {
    words.iter().any(|word| line.contains(word))
}

/// Lines of library code below `folder` that `is_bad` holds for, except in the places allowed.
fn outside(folder: &str, allowed: &[(&str, &str)], is_bad: impl Fn(&str) -> bool) -> Vec<String> {
    let all = lines_with(folder, is_bad);
    all.into_iter().filter(|found| !allowed.iter().any(|(place, _)| found.starts_with(place))).collect()
}

/// `file:line: code` for every line of library code (no tests, benches, examples, build scripts) that `is_bad` holds for.
fn lines_with(folder: &str, is_bad: impl Fn(&str) -> bool) -> Vec<String> {
    let mut files = Vec::new();
    collect(&root().join(folder), &["rs"], &mut files);
    let mut found = Vec::new();
    for file in files {
        let name = relative(&file);
        let parts: Vec<&str> = name.split('/').collect();
        let is_library = parts.contains(&"src") && !parts.contains(&"tests") && !name.ends_with("tests.rs");
        if !is_library {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let bad = code(&text).into_iter().filter(|(_, line)| is_bad(line));
        found.extend(bad.map(|(at, line)| format!("{name}:{at}: {}", line.trim())));
    }
    found
}

/// Numbered lines without comments, without what stands between quotes, up to the tests at the end of the file.
fn code(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.starts_with("#[cfg(test)]") {
            break;
        }
        let mut kept = String::new();
        for (piece, between) in line.split('"').zip([false, true].into_iter().cycle()) {
            if !between {
                kept.push_str(piece);
            }
        }
        let end = kept.find("//").unwrap_or(kept.len());
        kept.truncate(end);
        lines.push((at + 1, kept));
    }
    lines
}

fn relative(file: &Path) -> String {
    file.strip_prefix(root()).unwrap().display().to_string().replace('\\', "/")
}

/// Files with one of these endings (or names), without what is built or fetched.
fn collect(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "node_modules", "corpus", "artifacts", "shots"].contains(&name.as_str()) {
                collect(&path, endings, found);
            }
        } else if endings.contains(&name.rsplit('.').next().unwrap_or("")) {
            found.push(path);
        }
    }
}
