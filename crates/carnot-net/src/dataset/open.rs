//! From what a user types, a name or a path, to a data set.

use std::path::Path;

use super::array::{Source, fill};
use super::error::{DataError, nearest};
use super::options::Options;
use super::scaling::Scaling;
use super::set::{Dataset, Targets};
use super::{TABLE, csv, idx, npy, npz, safetensors, text};

/// Opens a data set: a name of [`TABLE`], or the path of a file or of a directory with a pair of IDX files.
///
/// The format is known by the file's name, else by its first bytes. The inputs are then scaled (see
/// [`Options::scaling`]), and a file with more samples than wanted is cut to a class-balanced random part. Inputs are
/// finite and there is at least one sample of at least one number.
///
/// # Errors
/// [`DataError`], with file, place and numbers.
pub fn open(spec: &str, options: &Options) -> Result<Dataset, DataError> {
    if options.samples == Some(0) {
        return Err(DataError::Parameter { name: "samples", value: 0.0, range: "at least 1" });
    }
    let (mut data, mut scaling) = match TABLE.iter().find(|row| row.name == spec) {
        Some(row) => ((row.make)(options)?, row.scaling),
        None => (open_path(spec, options)?, Scaling::Standard),
    };
    if let Some(samples) = options.samples.filter(|&samples| samples < data.len()) {
        data = data.probe(samples, options.seed);
    }
    scaling = options.scaling.unwrap_or(scaling);
    if matches!(data.targets, Targets::Positions { .. }) {
        // Numbers of tokens are names, not sizes.
        scaling = Scaling::None;
    }
    data.standardize(scaling)?;
    Ok(data)
}

#[derive(Clone, Copy)]
enum Format {
    Idx,
    Npy,
    Npz,
    Csv,
    Safetensors,
    Text,
}

fn open_path(spec: &str, options: &Options) -> Result<Dataset, DataError> {
    let path = Path::new(spec);
    if path.is_dir() {
        return idx::open_directory(path, options);
    }
    if !path.exists() {
        let is_path = spec.contains(['/', '\\', '.']);
        return Err(if is_path { missing(path) } else { unknown(spec) });
    }
    let format = match by_name(path) {
        Some(format) => format,
        None => by_content(path, options)?,
    };
    // Also refuses empty files and devices for every format.
    let source = Source::open(path, options.limit_bytes)?;
    match format {
        Format::Idx => idx::open(path, options),
        Format::Npy => npy::open(path, options),
        Format::Npz => npz::open(path, options),
        Format::Csv => csv::read(source, options),
        Format::Safetensors => safetensors::open(path, options),
        Format::Text => text::read(source, options),
    }
}

fn by_name(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let bare = name.strip_suffix(".gz").unwrap_or(&name);
    let is_zipped = bare.len() < name.len();
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| bare.ends_with(suffix));
    Some(match () {
        () if ends(&["-ubyte", ".idx", ".idx1", ".idx3"]) => Format::Idx,
        () if ends(&[".npy"]) => Format::Npy,
        () if ends(&[".csv", ".tsv"]) => Format::Csv,
        () if ends(&[".txt", ".text"]) => Format::Text,
        () if ends(&[".npz"]) && !is_zipped => Format::Npz,
        () if ends(&[".safetensors"]) && !is_zipped => Format::Safetensors,
        () => return None,
    })
}

fn by_content(path: &Path, options: &Options) -> Result<Format, DataError> {
    let mut source = Source::open(path, options.limit_bytes)?;
    let mut start = [0; 512];
    let found = fill(&mut source.reader, &mut start).map_err(|error| source.failed(error))?;
    let start = &start[..found];
    let is_text = start.iter().all(|&byte| byte >= b' ' || byte.is_ascii_whitespace());
    match start {
        [0, 0, 0x08 | 0x09 | 0x0b..=0x0e, 1..=8, ..] => Ok(Format::Idx),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Ok(Format::Npy),
        [b'P', b'K', 3, 4, ..] if npz_inside(start) => Ok(Format::Npz),
        [_, _, _, _, _, 0, 0, 0, b'{', ..] => Ok(Format::Safetensors),
        [b'{' | b'[' | b'<', ..] => Err(unknown_format(path, start)),
        _ if is_text && start.iter().any(|byte| byte.is_ascii_digit()) => Ok(Format::Csv),
        _ => Err(unknown_format(path, start)),
    }
}

/// The first member of the archive is an array; PyTorch checkpoints and office files are archives too.
fn npz_inside(start: &[u8]) -> bool {
    start.windows(4).any(|window| window == b".npy")
}

fn unknown_format(path: &Path, start: &[u8]) -> DataError {
    DataError::UnknownFormat { path: path.into(), start: start[..start.len().min(8)].to_vec() }
}

fn unknown(name: &str) -> DataError {
    DataError::UnknownName { name: name.into(), nearest: nearest(name, TABLE.iter().map(|row| row.name)) }
}

/// That a file does not exist, with the most similar name in its directory.
pub(super) fn missing(path: &Path) -> DataError {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Chosen: a directory of more files is not worth the wait.
    let names: Vec<String> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .take(10_000)
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    let wanted = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let nearest = nearest(&wanted, names.iter().map(String::as_str));
    DataError::Missing { path: path.into(), nearest }
}
