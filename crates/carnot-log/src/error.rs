//! Everything that can go wrong here, as data.

use std::path::PathBuf;

/// Why a log, or what it is held against, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system refused.
    #[error("{} cannot be read: {error}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is something else.
    #[error("{} is no log of a training: {why}", path.display())]
    NotALog {
        /// The file or folder.
        path: PathBuf,
        /// What speaks against it.
        why: String,
    },
    /// A row of a table with more cells than it has columns.
    #[error("{}, line {line}: {found} cells under {columns} headings", path.display())]
    Cells {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Cells of the row.
        found: usize,
        /// Headings.
        columns: usize,
    },
    /// A line that is no JSON and not the last.
    #[error("{}, line {line}: {message}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What the reader said.
        message: String,
    },
    /// A line, a record or a file that is longer than is read.
    #[error("{}, {place}: more than {most} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// `line 3`, `record 7`, `the file`.
        place: String,
        /// Bytes that are read at most.
        most: u64,
    },
    /// A record of an event file whose checksum does not fit.
    #[error("{} is damaged at record {record} (byte {at}): {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which record, from 1.
        record: u64,
        /// Where it begins.
        at: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// No series looks like a loss.
    #[error("{path} has no series that is named as a loss: {}", listed(names))]
    NoLoss {
        /// The log.
        path: String,
        /// The series it has.
        names: Vec<String>,
    },
    /// A series that was named by the user and is not there.
    #[error("{path} has no series \"{wanted}\": {}", listed(names))]
    NoSeries {
        /// The log.
        path: String,
        /// The flag that names it, without dashes.
        flag: &'static str,
        /// As typed.
        wanted: String,
        /// The series it has.
        names: Vec<String>,
    },
    /// A text or a list of labels from which no entropy follows.
    #[error("{} gives no reference loss: {why}", path.display())]
    NoReference {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// Names in a sentence, the first twelve of them.
fn listed(names: &[String]) -> String {
    let some: Vec<&str> = names.iter().take(12).map(String::as_str).collect();
    match names.len() {
        0 => "it has no numbers at all".into(),
        n if n > some.len() => format!("it has {} and {} more", some.join(", "), n - some.len()),
        _ => format!("it has {}", some.join(", ")),
    }
}
