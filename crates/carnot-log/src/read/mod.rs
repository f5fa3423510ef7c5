//! Files → log. What strangers wrote: every length is bounded before it is believed.
//!
//! | module | one job |
//! |---|---|
//! | [`table`] | CSV and its relatives |
//! | [`lines`] | one JSON object a line, and whole JSON files: `trainer_state.json`, lists, columns |
//! | [`json`] | one JSON value → numbers; NaN and Infinity are numbers here |
//! | [`events`] | TensorBoard event files: which records, which tags |
//! | [`record`] | the framing of event files, with its checksums |
//! | [`wire`] | fields of a protobuf message |

pub mod events;
pub mod json;
pub mod lines;
pub mod record;
pub mod table;
pub mod wire;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::LogError;
use crate::log::Log;

/// Longest line and longest record that are read.
pub const LONGEST: u64 = 64 << 20;
/// Folders below the one given in which event files are looked for.
const DEEPEST: usize = 4;
/// Event files that are read of one folder.
const MOST_FILES: usize = 10_000;

/// The log in a file, or in a folder with event files or a `trainer_state.json`.
///
/// * `step`: name of the column that counts steps; without it, guessed
///
/// # Errors
/// [`LogError`] for what cannot be read, is no log, or is damaged elsewhere than at its end.
pub fn read(path: &Path, step: Option<&str>) -> Result<Log, LogError> {
    let about = fs::metadata(path).map_err(|error| failed(path, error))?;
    if about.is_dir() {
        return folder(path);
    }
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(64 << 10).read_to_end(&mut start))
        .map_err(|error| failed(path, error))?;
    let refuse = |why: &str| Err(LogError::NotALog { path: path.into(), why: why.into() });
    if start.is_empty() {
        return refuse("it is empty");
    }
    if record::begins_a_file(&start) || is_events(path) {
        return events::read(path, &[(String::new(), path.into())]);
    }
    if start.contains(&0) {
        return refuse("it is neither text nor a TensorBoard event file");
    }
    let open = || File::open(path).map(BufReader::new).map_err(|error| failed(path, error));
    match start.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => lines::read(path, open()?, step),
        // Text before the first object, as programs print it.
        Some(_) if looks_like_lines(&start) => lines::read(path, open()?, step),
        Some(_) => table::read(path, open()?, step),
        None => refuse("it holds only blanks"),
    }
}

pub(crate) fn failed(path: &Path, error: std::io::Error) -> LogError {
    LogError::File { path: path.into(), error }
}

/// Does some line of the start begin an object, and none with several cells come before it?
fn looks_like_lines(start: &[u8]) -> bool {
    start.split(|&byte| byte == b'\n').skip(1).any(|line| line.starts_with(b"{\""))
}

fn is_events(path: &Path) -> bool {
    // The page of an earlier diagnosis lies beside its log and has its name.
    let is = |name: &str| name.contains("tfevents") && !name.ends_with(".html") && !name.ends_with(".part");
    path.file_name().is_some_and(|name| is(&name.to_string_lossy()))
}

fn folder(path: &Path) -> Result<Log, LogError> {
    let mut found = Vec::new();
    gather(path, "", 0, &mut found)?;
    if !found.is_empty() {
        found.sort();
        // One folder needs no name; several are told apart by theirs, as `train/` and `validation/`.
        if found.iter().all(|(folder, _)| *folder == found[0].0) {
            found.iter_mut().for_each(|(folder, _)| folder.clear());
        }
        return events::read(path, &found);
    }
    let state = path.join("trainer_state.json");
    if state.is_file() {
        return read(&state, None);
    }
    let why = "a folder without event files (events.out.tfevents.*) and without trainer_state.json".into();
    Err(LogError::NotALog { path: path.into(), why })
}

/// Event files of a folder with the folder that they lie in: `train/`.
fn gather(
    folder: &Path,
    name: &str,
    depth: usize,
    found: &mut Vec<(String, PathBuf)>,
) -> Result<(), LogError> {
    let entries = fs::read_dir(folder).map_err(|error| failed(folder, error))?;
    for entry in entries {
        let path = entry.map_err(|error| failed(folder, error))?.path();
        let kind = fs::symlink_metadata(&path).map_err(|error| failed(&path, error))?;
        if found.len() >= MOST_FILES {
            return Ok(());
        }
        if kind.is_dir() && depth < DEEPEST {
            let own = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            gather(&path, &format!("{name}{own}/"), depth + 1, found)?;
        } else if is_events(&path) && path.is_file() {
            found.push((name.into(), path));
        }
    }
    Ok(())
}

/// The next line without its end, and whether it had one; `None` at the end of the file.
pub(crate) fn line(
    source: &mut impl BufRead,
    path: &Path,
    number: u64,
) -> Result<Option<(Vec<u8>, bool)>, LogError> {
    let mut line = Vec::new();
    source.by_ref().take(LONGEST + 1).read_until(b'\n', &mut line).map_err(|error| failed(path, error))?;
    if line.is_empty() {
        return Ok(None);
    }
    let has_end = line.last() == Some(&b'\n');
    if !has_end && line.len() as u64 > LONGEST {
        return Err(LogError::TooLong { path: path.into(), place: format!("line {number}"), most: LONGEST });
    }
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    Ok(Some((line, has_end)))
}

/// A number as logs write it: `2.31`, `1e-3`, `NaN`, `-inf`, `Infinity`; percent signs and quotes are no numbers.
#[must_use]
pub(crate) fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    // Rust reads nan, inf and infinity in any case, and hexadecimal never.
    text.parse().ok()
}
