//! The book says what is there: every chapter is listed, every function and test it names exists, and the parts that
//! the program knows better are made by the program.
//!
//! A made part stands between `<!-- made: NAME -->` and `<!-- end -->`. `cargo xtask book` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

use carnot_lab::checks::PAGES;
use carnot_lab::experiments::VERBS;
use carnot_lab::explain::{explain, words};
use carnot_lab::spec::keys::{first_paragraph, keys};
use carnot_report::glossary::ENTRIES;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn source() -> PathBuf {
    root().join("book/src")
}

/// Chapters with their names relative to `book/src`.
fn chapters() -> Vec<(String, String)> {
    let mut found = Vec::new();
    gather(&source(), "", &mut found);
    found.sort();
    found
}

fn gather(folder: &Path, before: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{before}{}", path.file_name().unwrap().to_string_lossy());
        if path.is_dir() {
            gather(&path, &format!("{name}/"), found);
        } else if name.ends_with(".md") {
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Targets of the links of a text, without those that leave the book.
fn links(text: &str) -> Vec<String> {
    let after = text.split("](").skip(1);
    let targets = after.filter_map(|rest| Some(rest.split_once(')')?.0.to_string()));
    targets.filter(|target| !target.contains("://") && !target.starts_with('#')).collect()
}

#[test]
fn every_chapter_is_listed_once_and_every_listed_one_exists() {
    let summary = fs::read_to_string(source().join("SUMMARY.md")).unwrap();
    let mut listed = links(&summary);
    listed.sort();
    let there: Vec<String> =
        chapters().into_iter().map(|(name, _)| name).filter(|name| name != "SUMMARY.md").collect();
    assert_eq!(listed, there);
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut pages: Vec<(PathBuf, String)> =
        chapters().into_iter().map(|(name, text)| (source().join(name), text)).collect();
    for name in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        pages.push((root().join(name), fs::read_to_string(root().join(name)).unwrap()));
    }
    for (page, text) in pages {
        for link in links(&text) {
            let file = link.split('#').next().unwrap_or("");
            if !page.parent().unwrap().join(file).exists() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Everything between single backticks.
fn quoted(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_string));
        }
    }
    found
}

#[test]
fn every_function_file_and_test_that_a_chapter_names_exists() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (name, text) in chapters() {
        for word in quoted(&text) {
            let is_path =
                word.starts_with("crates/") || word.starts_with("tests/") || word.starts_with("fuzz/");
            let answer = if word.starts_with("carnot_") && word.contains("::") {
                item(&word)
            } else if is_path && !word.contains(['<', '*', ' ']) {
                file_or_test(&word)
            } else {
                continue;
            };
            count += 1;
            wrong.extend(answer.err().map(|why| format!("{name}: `{word}`: {why}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 50, "only {count} names were looked up: has the way of writing them changed?");
}

/// `carnot_theory::criticality::chi_parallel`: a module, then items named in its file.
fn item(path: &str) -> Result<(), String> {
    let mut parts = path.split("::");
    let krate = parts.next().unwrap_or_default().replace('_', "-");
    let mut folder = root().join("crates").join(&krate).join("src");
    let mut file = folder.join("lib.rs");
    let mut is_module = true;
    for part in parts {
        let inside = [folder.join(format!("{part}.rs")), folder.join(part).join("mod.rs")];
        if is_module && let Some(found) = inside.into_iter().find(|path| path.exists()) {
            file = found;
            folder = folder.join(part);
            continue;
        }
        is_module = false;
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let starts = ["fn ", "struct ", "enum ", "trait ", "const ", "macro_rules! ", "type ", "mod "];
        let is_named = starts.iter().any(|start| has_word(&text, &format!("{start}{part}")));
        let is_inside = has_word(&text, &format!("{part}:")) || has_word(&text, &format!("    {part}"));
        if !is_named && !is_inside {
            return Err(format!("{} has no {part}", file.display()));
        }
    }
    Ok(())
}

/// `crates/…/x.rs`, or `crates/…/x.rs::a_test`.
fn file_or_test(path: &str) -> Result<(), String> {
    let (file, test) = path.split_once("::").unwrap_or((path, ""));
    let full = root().join(file);
    if !full.exists() {
        return Err("there is no such file".into());
    }
    if test.is_empty() {
        return Ok(());
    }
    let text = fs::read_to_string(full).map_err(|error| error.to_string())?;
    // Tests made by a macro stand in its list.
    let is_there = has_word(&text, &format!("fn {test}")) || has_word(&text, &format!("    {test}"));
    if is_there { Ok(()) } else { Err(format!("{file} has no test {test}")) }
}

/// True when `word` stands in `text` and no name goes on behind it.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let next = text[at + word.len()..].chars().next();
        word.ends_with(':') || !next.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[test]
fn made_parts_are_what_the_program_says() {
    let is_writing = std::env::var_os("CARNOT_WRITE_BOOK").is_some();
    let mut stale = Vec::new();
    for (name, text) in chapters() {
        let fresh = remade(&text);
        if fresh == text {
            continue;
        }
        if is_writing {
            fs::write(source().join(&name), fresh).unwrap();
        } else {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "{} differ from the program: cargo xtask book", stale.join(", "));
}

/// The text with every made part made anew.
fn remade(text: &str) -> String {
    let mut fresh = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!-- made: ") {
        let (name, after) = after.split_once(" -->\n").expect("a made part has a name");
        let (_, after) = after.split_once("<!-- end -->").expect("a made part has an end");
        fresh += &format!("{before}<!-- made: {name} -->\n{}\n<!-- end -->", made(name).trim_end());
        rest = after;
    }
    fresh + rest
}

fn made(name: &str) -> String {
    match name {
        "checks" => checks(),
        "experiments" => experiments(),
        "glossary" => glossary(),
        "activations" => table("activation", &["is", "formula", "with", "also"]),
        "data sets" => table("data set", &["is", "use"]),
        other => panic!("nobody makes {other}"),
    }
}

fn checks() -> String {
    let one = |page: &&carnot_lab::explain::CheckPage| {
        format!(
            "## {} {}\n\n**What it sees.** {}\n\n**Why it matters.** {}\n\n**What to do.** {}\n\n**Theory.** {}\n\n\
             **When to ignore it.** {}\n\n",
            page.code, page.name, page.sees, page.matters, page.remedy, page.theory, page.ignore
        )
    };
    PAGES.iter().map(one).collect()
}

fn experiments() -> String {
    let mut text = String::new();
    for verb in VERBS {
        let schema = verb.schema();
        let doc = schema["description"].as_str().unwrap_or("");
        text += &format!("## {}\n\n", verb.verb());
        for paragraph in doc.split("\n\n") {
            text += &format!("{}\n\n", first_paragraph(paragraph));
        }
        text += "| flag | key in TOML | takes | default | meaning |\n|---|---|---|---|---|\n";
        for key in keys(*verb) {
            let flag = if key.is_positional() { key.flag() } else { format!("`{}`", key.flag()) };
            let default = match key.default.as_str() {
                _ if key.is_positional() || key.default.is_null() => String::new(),
                Some(word) => word.to_string(),
                None => key.default.to_string(),
            };
            let meaning = key.doc.split("\n\n").map(first_paragraph).collect::<Vec<_>>().join(" ");
            text += &format!(
                "| {flag} | `{}` | {} | {} | {} |\n",
                key.name,
                cell(&key.accepts()),
                cell(&default),
                cell(&meaning)
            );
        }
        text += "\n";
    }
    text
}

fn glossary() -> String {
    let mut text = String::from("| symbol | in JSON and code | name | meaning |\n|---|---|---|---|\n");
    for entry in ENTRIES {
        text +=
            &format!("| {} | `{}` | {} | {} |\n", entry.symbol, entry.name, entry.title, cell(entry.meaning));
    }
    text
}

/// Every word that `carnot explain` calls a `kind`, with what it says under these labels.
fn table(kind: &str, labels: &[&str]) -> String {
    let mut text = format!("| {kind} | {} |\n|---|{}\n", labels.join(" | "), "---|".repeat(labels.len()));
    for word in words() {
        let report = explain(&word).unwrap();
        if report.subject != kind {
            continue;
        }
        let said = |label: &&str| {
            report.summary.iter().find(|line| line.label == *label).map_or("", |line| &line.text)
        };
        let cells: Vec<String> = labels.iter().map(|label| code(label, said(label))).collect();
        text += &format!("| `{word}` | {} |\n", cells.join(" | "));
    }
    text
}

fn code(label: &str, text: &str) -> String {
    let is_code = matches!(label, "formula" | "use") && !text.is_empty();
    if is_code { format!("`{}`", cell(text)) } else { cell(text) }
}

/// A text in a cell of a table. What looks like a link or markup to Markdown is kept as it is.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[test]
fn a_name_is_found_whole_or_not_at_all() {
    assert!(has_word("pub fn table(a: u8)", "fn table"));
    assert!(!has_word("pub fn tables(a: u8)", "fn table"));
    assert!(item("carnot_theory::criticality::chi_parallel").is_ok());
    assert!(item("carnot_theory::criticality::chi_parallels").is_err());
    assert!(file_or_test("crates/carnot/tests/book.rs::a_name_is_found_whole_or_not_at_all").is_ok());
    assert!(file_or_test("crates/carnot/tests/book.rs::a_name_is_found").is_err());
}
