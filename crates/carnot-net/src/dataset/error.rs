//! Everything that can be wrong with a data set, as data: which file, which place in it, which numbers.

use std::fmt;
use std::path::PathBuf;

/// Where in a file something was found. Lines, columns and rows count from one, bytes from zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The file as a whole.
    Whole,
    /// A byte of the file, from zero.
    Byte(u64),
    /// A line of a text file, from one.
    Line(u64),
    /// A cell of a text file, both from one; the column counts cells, not characters.
    Cell {
        /// Line of the file, from one.
        line: u64,
        /// Cell within the line, from one.
        column: usize,
    },
    /// A named array (a tensor, or a member of an archive).
    Array(String),
    /// One number of a named array.
    Element {
        /// Name of the array; empty where the file holds only one.
        array: String,
        /// Sample (first index of the array), from one.
        row: u64,
        /// Number within the sample, flattened, from one.
        column: u64,
    },
}

impl fmt::Display for At {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Whole => Ok(()),
            At::Byte(byte) => write!(out, ", byte {byte}"),
            At::Line(line) => write!(out, ":{line}"),
            At::Cell { line, column } => write!(out, ":{line}:{column}"),
            At::Array(array) => write!(out, ", array `{array}`"),
            At::Element { array, row, column } => {
                if !array.is_empty() {
                    write!(out, ", array `{array}`")?;
                }
                write!(out, ", row {row}, column {column}")
            }
        }
    }
}

/// What is wrong with a number that should be a class label, a whole number from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LabelFault {
    /// Less than zero.
    Negative(f64),
    /// Not whole.
    Fractional(f64),
    /// At or above the number of classes that Carnot accepts.
    TooLarge {
        /// The label found.
        label: f64,
        /// Labels must be below this.
        limit: u32,
    },
}

impl fmt::Display for LabelFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LabelFault::Negative(label) => write!(out, "the label {label} is negative"),
            LabelFault::Fractional(label) => write!(out, "the label {label} is not a whole number"),
            LabelFault::TooLarge { label, limit } => {
                write!(out, "the label {label} is not below {limit}")
            }
        }
    }
}

/// Why a data set could not be opened, cut or scaled.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Neither a name in the table nor something that looks like a path.
    #[error("there is no data set named `{name}`{}", meant(nearest.as_deref()))]
    UnknownName {
        /// What was asked for.
        name: String,
        /// The most similar name of the table.
        nearest: Option<String>,
    },
    /// The file does not exist.
    #[error("{} does not exist{}", path.display(), meant(nearest.as_deref()))]
    Missing {
        /// The file asked for.
        path: PathBuf,
        /// The most similar file name in the same directory.
        nearest: Option<String>,
    },
    /// A data set that is read from an installed package, and the package is not there.
    #[error("the data set `{name}` is not installed: looked in {}", list(looked_in.iter().map(|path| path.display())))]
    NotInstalled {
        /// Name in the table.
        name: &'static str,
        /// Directories tried, in order.
        looked_in: Vec<PathBuf>,
        /// The package that brings it, with its kind (Debian, npm).
        package: &'static str,
    },
    /// A device, a pipe or a socket: its length is unknown, so nothing can be checked before reading.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// What was asked for.
        path: PathBuf,
    },
    /// Bytes that are no text in UTF-8, or no catalogue of messages.
    #[error("{}{at}: not the text it should be", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where it stops being text.
        at: At,
    },
    /// A text with less than a window.
    #[error("{} has {found} tokens, a window and the token behind it have {needed}", path.display())]
    TooShort {
        /// The file.
        path: PathBuf,
        /// Tokens it has.
        found: usize,
        /// Tokens it needs.
        needed: usize,
    },
    /// A directory without the files of a data set.
    #[error("{} is a directory and holds no {expected}", path.display())]
    DirectoryWithoutData {
        /// The directory.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// No bytes at all.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Neither the name nor the first bytes belong to a format that is read.
    #[error("{} is in no format that is read here (it starts with {})", path.display(), bytes(start))]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Its first bytes, at most eight.
        start: Vec<u8>,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Compressed bytes that do not decompress.
    #[error("{}: the compressed data are damaged ({source})", path.display())]
    Compression {
        /// The file.
        path: PathBuf,
        /// What the decompressor said.
        source: std::io::Error,
    },
    /// A zip archive that cannot be read.
    #[error("{}: the archive cannot be read ({source})", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What the archive reader said.
        source: zip::result::ZipError,
    },
    /// The first bytes are not those of the format.
    #[error("{}{at} is no {format}: it starts with {}", path.display(), bytes(found))]
    Magic {
        /// The file.
        path: PathBuf,
        /// The array, where the file holds several.
        at: At,
        /// Name of the format.
        format: &'static str,
        /// The bytes found.
        found: Vec<u8>,
    },
    /// A header that does not follow its format.
    #[error("{}{at}: the header does not say {missing}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Where.
        at: At,
        /// What could not be found or understood.
        missing: &'static str,
    },
    /// A safetensors header that is not valid.
    #[error("{}: the safetensors header is not valid ({source})", path.display())]
    TensorHeader {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column inside the header.
        source: serde_json::Error,
    },
    /// An element type that is not read (complex, text, objects, 8-bit floats).
    #[error("{}{at}: numbers of type `{found}` are not read", path.display())]
    ElementType {
        /// The file.
        path: PathBuf,
        /// Which array.
        at: At,
        /// The type as the file writes it.
        found: String,
    },
    /// The product of the dimensions does not fit in 64 bits.
    #[error("{}{at}: the dimensions {dimensions:?} multiply to more than 2^64 bytes", path.display())]
    Overflow {
        /// The file.
        path: PathBuf,
        /// Which array.
        at: At,
        /// The dimensions claimed.
        dimensions: Vec<u64>,
    },
    /// Fewer bytes than the header claims.
    #[error("{}{at} is cut short: its header needs {needed} bytes of data and at most {present} are there", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Which array.
        at: At,
        /// Bytes that the header promises.
        needed: u64,
        /// Bytes that are there (for compressed files, the most that can be).
        present: u64,
    },
    /// More bytes than the header claims.
    #[error("{}{at} goes on after the {needed} bytes that its header announces", path.display())]
    Excess {
        /// The file.
        path: PathBuf,
        /// Which array.
        at: At,
        /// Bytes that the header promises.
        needed: u64,
    },
    /// More memory than the limit allows.
    #[error("{}{at} needs {needed} bytes in memory, above the limit of {limit}", path.display())]
    TooLarge {
        /// The file, or the name of the generator.
        path: PathBuf,
        /// Which array.
        at: At,
        /// Bytes needed (at least).
        needed: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// NaN, an infinity, or a number beyond single precision.
    #[error("{}{at}: {value:?} is not a finite number in single precision", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Which number.
        at: At,
        /// The value found.
        value: f64,
    },
    /// A cell of a text file that should be a number.
    #[error("{}{at}: {text:?} is not a number", path.display())]
    NotNumber {
        /// The file.
        path: PathBuf,
        /// Which cell.
        at: At,
        /// What it holds (the first 40 characters).
        text: String,
    },
    /// A line of a text file with another number of cells than the first.
    #[error("{}:{line} has {found} cells, the lines before it {expected}", path.display())]
    Ragged {
        /// The file.
        path: PathBuf,
        /// The line, from one.
        line: u64,
        /// Cells in the first line.
        expected: usize,
        /// Cells in this one.
        found: usize,
    },
    /// A label that cannot be the number of a class.
    #[error("{}{at}: {fault}", path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// Which label.
        at: At,
        /// What is wrong with it.
        fault: LabelFault,
    },
    /// Inputs and targets of different number.
    #[error("{}: {inputs} inputs but {targets} targets (from {targets_from})", path.display())]
    Count {
        /// The file with the inputs.
        path: PathBuf,
        /// Samples in the inputs.
        inputs: u64,
        /// Samples in the targets.
        targets: u64,
        /// The file or array with the targets.
        targets_from: String,
    },
    /// Two files of one data set whose samples have different shapes.
    #[error("{}: samples of shape {found:?}, the others have {expected:?}", path.display())]
    Shape {
        /// The file, or the name of the data set.
        path: PathBuf,
        /// The shape expected.
        expected: Vec<usize>,
        /// The shape found.
        found: Vec<usize>,
    },
    /// A header without samples, or samples without numbers.
    #[error("{}{at} holds no {what}", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// Which array.
        at: At,
        /// "samples" or "inputs".
        what: &'static str,
    },
    /// No array has one of the names under which inputs or targets are looked for.
    #[error("{} holds no array named {}; it has {}", path.display(), list(wanted), list(present))]
    NoArray {
        /// The file.
        path: PathBuf,
        /// The names looked for.
        wanted: Vec<String>,
        /// The names present (at most twenty).
        present: Vec<String>,
        /// The most similar name present.
        nearest: Option<String>,
    },
    /// The column named as label is not there.
    #[error("{} has no column `{wanted}`{}", path.display(), meant(nearest.as_deref()))]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column asked for.
        wanted: String,
        /// Columns of the file.
        columns: usize,
        /// The most similar column name.
        nearest: Option<String>,
    },
    /// All inputs are equal, so that they cannot be scaled.
    #[error("all inputs of `{name}` equal {value}: they cannot be scaled to unit variance")]
    Constant {
        /// The data set.
        name: String,
        /// The value they all have.
        value: f32,
    },
    /// A sample of zeros cannot be scaled to the sphere.
    #[error("sample {sample} of `{name}` is zero: it cannot be scaled to a given length")]
    ZeroSample {
        /// The data set.
        name: String,
        /// Which sample, from one.
        sample: usize,
    },
    /// Only images can be resized.
    #[error("samples of `{name}` are {shape:?}: no images that could be made {side} × {side}")]
    NotImages {
        /// The data set.
        name: String,
        /// Shape of a sample.
        shape: Vec<usize>,
        /// Pixels asked for along each side.
        side: usize,
    },
    /// A sample that does not exist was asked for.
    #[error("sample {index} was asked for, `{name}` has {samples} (counted from 0)")]
    Index {
        /// The data set.
        name: String,
        /// The index asked for, from zero.
        index: usize,
        /// How many there are.
        samples: usize,
    },
    /// A text that the tokenizer refuses.
    #[error("{path}: no vocabulary of byte pairs can be learned from it: {why}", path = path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What the tokenizer says.
        why: String,
    },
    /// A parameter outside its range.
    #[error("`{name}` is {value}, it must be {range}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
}

/// ", perhaps `x` was meant?" when there is something similar.
fn meant(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; a similar name is `{name}`")).unwrap_or_default()
}

fn list(items: impl IntoIterator<Item = impl fmt::Display>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| format!("`{item}`")).collect();
    if items.is_empty() { "nothing".into() } else { items.join(", ") }
}

fn bytes(found: &[u8]) -> String {
    if found.is_empty() {
        return "nothing".into();
    }
    found.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// The candidate most similar to `wanted`, if any is similar enough to be a typing error.
///
/// At most a third of the letters may differ (Damerau–Levenshtein, case ignored); a looser bound suggests
/// names that nobody meant.
pub(super) fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let wanted = wanted.to_lowercase();
    let allowed = (wanted.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wanted, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name.to_string())
}
