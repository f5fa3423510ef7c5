//! Data sets and their files.

use std::io::ErrorKind;
use std::path::Path;

use carnot_net::dataset::{At, DataError, LabelFault};
use carnot_report::diagnostic::{Diagnostic, Place};

use super::{Explain, at, flag, meant, told};

const DIGITS: &str = "--data digits   is in the program";
const DAMAGED: &str = "write or download the file again";

impl Explain for DataError {
    fn explain(&self) -> Diagnostic {
        let place = place(self);
        let (code, cause, remedy) = words(self);
        at(place, told(code, self.to_string(), cause, remedy))
    }
}

/// The cell of a text file, where there is one; the flag otherwise.
fn place(error: &DataError) -> Place {
    let (path, line, column) = match error {
        DataError::NotFinite { path, at: At::Cell { line, column }, .. }
        | DataError::NotNumber { path, at: At::Cell { line, column }, .. }
        | DataError::Label { path, at: At::Cell { line, column }, .. } => (path, *line, *column),
        DataError::Ragged { path, line, .. } => (path, *line, 1),
        // Both are said by the network.
        DataError::Parameter { name: "vocabulary" | "context", .. } => return flag("NETWORK"),
        DataError::Parameter { name, .. } => return flag(format!("--{name}")),
        _ => return flag("--data"),
    };
    let path = path.display().to_string();
    Place::File { file: path, line: line as usize, column, source: String::new(), length: 0 }
}

fn words(error: &DataError) -> (&'static str, String, String) {
    let say = |code, cause: &str, remedy: &str| (code, cause.to_string(), remedy.to_string());
    match error {
        DataError::UnknownName { nearest, .. } => (
            "data/unknown-name",
            meant(nearest.as_deref(), "it is no name in the table, and no file"),
            nearest.as_ref().map_or(DIGITS.into(), |nearest| format!("--data {nearest}")),
        ),
        DataError::Missing { path, nearest } => (
            "data/missing",
            meant(nearest.as_deref(), "no file of a similar name lies beside it"),
            nearest.as_ref().map_or(format!("{DIGITS}; ls {}", folder(path)), |name| {
                format!("--data {}", beside(path, name))
            }),
        ),
        DataError::NotInstalled { package, .. } => (
            "data/not-installed",
            "it is too large to be embedded, and is read from where a package puts it".into(),
            format!("install {package}, or {DIGITS}"),
        ),
        DataError::NotAFile { .. } => {
            say("data/not-a-file", "its length cannot be known before reading", "save it as a file first")
        }
        DataError::NotText { .. } => say(
            "data/not-text",
            "characters are read as UTF-8",
            "convert the file to UTF-8, or read it as --text-tokens bytes",
        ),
        DataError::Tokenizer { .. } => say(
            "data/tokenizer",
            "pairs of bytes are counted over the whole text",
            "--text-tokens characters",
        ),
        DataError::TooShort { needed, .. } => (
            "data/too-short",
            "a text is cut into windows, and every token of a window is followed by another".into(),
            format!(
                "a longer text, or a network of fewer tokens: post:2x32,tokens={}",
                needed.saturating_sub(2).clamp(1, 8)
            ),
        ),
        DataError::DirectoryWithoutData { expected, .. } => (
            "data/no-files",
            format!("a folder is read when it holds {expected}"),
            "name the file itself".into(),
        ),
        DataError::Empty { .. } => {
            say("data/empty", "the file has no bytes, as after a download that failed", DAMAGED)
        }
        DataError::UnknownFormat { .. } => say(
            "data/unknown-format",
            "IDX, NPY, NPZ, safetensors and CSV are read, also with .gz",
            "numpy.savez(\"data.npz\", x=inputs, y=labels)   writes one that is",
        ),
        DataError::Io { source, path } => (
            if source.kind() == ErrorKind::PermissionDenied { "data/refused" } else { "data/io" },
            "the system did not give the file".into(),
            format!("ls -l {}", path.display()),
        ),
        DataError::Compression { .. } => {
            say("data/damaged", "the file was cut or changed after it was compressed", DAMAGED)
        }
        DataError::Archive { .. } => say("data/damaged", "the archive was cut or changed", DAMAGED),
        DataError::Magic { format, .. } => (
            "data/format",
            format!("its name promises {format}"),
            "give it the ending of its true format".into(),
        ),
        DataError::Header { .. } => say(
            "data/header",
            "the file was cut, or written by a program that does not follow the format",
            DAMAGED,
        ),
        DataError::TensorHeader { .. } => {
            say("data/header", "the file was cut, or is no safetensors file", DAMAGED)
        }
        DataError::ElementType { .. } => say(
            "data/element-type",
            "whole and real numbers of 8 to 64 bits are read",
            "array.astype(\"float32\")   before saving",
        ),
        DataError::Overflow { .. } => say("data/header", "the header is damaged, or made to harm", DAMAGED),
        DataError::Truncated { .. } => {
            say("data/truncated", "the file was cut, as after a download that was interrupted", DAMAGED)
        }
        DataError::Excess { .. } => {
            say("data/excess", "two files were joined, or the header is damaged", DAMAGED)
        }
        DataError::TooLarge { .. } => say(
            "data/too-large",
            "inputs are held in memory in single precision",
            "fewer samples: --samples 10000",
        ),
        DataError::NotFinite { .. } => say(
            "data/not-finite",
            "a missing value, or a number that overflowed",
            "remove the sample, or put a number in its place: numpy.nan_to_num(x)",
        ),
        DataError::NotNumber { .. } => say(
            "data/not-a-number",
            "inputs are numbers; only the first line and the column of labels may hold words",
            "name the column of labels with --label, remove other columns of words",
        ),
        DataError::Ragged { expected, .. } => (
            "data/ragged",
            "every line is one sample, with the same number of cells".into(),
            format!("give that line {expected} cells"),
        ),
        DataError::Label { fault, .. } => label(fault),
        DataError::Count { .. } => say(
            "data/count",
            "inputs and targets belong to different parts or were cut differently",
            "name the right file or array of targets with --label",
        ),
        DataError::Shape { expected, .. } => (
            "data/shape",
            "all samples of a data set have one shape".into(),
            format!("samples of shape {expected:?} in every file"),
        ),
        DataError::Nothing { .. } => say("data/nothing", "the file has a header and no numbers", DIGITS),
        DataError::NoArray { nearest, .. } => (
            "data/no-array",
            meant(
                nearest.as_deref(),
                "inputs are looked for as x, inputs or data; targets as y, labels or targets",
            ),
            nearest.as_ref().map_or("numpy.savez(\"data.npz\", x=inputs, y=labels)".into(), |name| {
                format!("--label {name}")
            }),
        ),
        DataError::NoColumn { nearest, columns, .. } => (
            "data/no-column",
            meant(nearest.as_deref(), "no column has a similar name"),
            nearest
                .as_ref()
                .map_or(format!("a number from 1 to {columns}"), |name| format!("--label {name}")),
        ),
        DataError::Constant { .. } => {
            say("data/constant", "every sample is the same, so there is nothing to tell apart", DIGITS)
        }
        DataError::ZeroSample { .. } => say(
            "data/zero-sample",
            "a sample of zeros has no direction",
            "--scaling standard, or remove the sample",
        ),
        DataError::NotImages { .. } => (
            "data/no-images",
            "an image is [height, width], [height, width, channels], or a row of a square number of pixels"
                .into(),
            "leave --side out, or take images".into(),
        ),
        DataError::Index { samples, .. } => {
            ("data/index", "samples are counted from 0".into(), format!("a number below {samples}"))
        }
        DataError::Parameter { name, range, .. } => (
            "config/out-of-range",
            "the number means nothing there".into(),
            format!("{name} must be {range}"),
        ),
    }
}

fn label(fault: &LabelFault) -> (&'static str, String, String) {
    let cause = match fault {
        LabelFault::Negative(_) => "classes are counted from 0",
        LabelFault::Fractional(_) => {
            "classes are whole numbers; a number with a fraction is a value to be reached"
        }
        LabelFault::TooLarge { .. } => {
            "this is more classes than are counted, so it is perhaps a value to be reached"
        }
    };
    (
        "data/label",
        cause.into(),
        "number the classes 0, 1, 2, …, or name the column of labels with --label".into(),
    )
}

fn folder(path: &Path) -> String {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
        .display()
        .to_string()
}

fn beside(path: &Path, name: &str) -> String {
    path.with_file_name(name).display().to_string()
}
