//! IDX, the format of MNIST and its relatives: two zero bytes, a type, the number of dimensions, the dimensions
//! (u32), the numbers; all most significant byte first. Images and labels are two files, often gzipped.
//!
//! Source: Y. LeCun, C. Cortes, C. Burges, *The MNIST database of handwritten digits*, "file formats".

use std::path::{Path, PathBuf};

use super::array::{Array, Element, Layout, Source};
use super::assemble::assemble;
use super::error::{At, DataError};
use super::options::{Options, Part};
use super::set::{Dataset, Targets};

const FORMAT: &str = "IDX file";

/// Reads images and, if there are any, labels. Images of two dimensions get one channel: `[28, 28, 1]`.
pub fn read(images: Source, labels: Option<Source>, options: &Options) -> Result<Dataset, DataError> {
    let path = images.path.clone();
    let source = match &labels {
        Some(labels) => format!("{} with {}", path.display(), labels.path.display()),
        None => format!("{}, no labels", path.display()),
    };
    let mut inputs = array(images, "")?;
    if inputs.shape.len() == 3 {
        inputs.shape.push(1);
    }
    let labels = labels.map(|labels| {
        let name = labels.path.display().to_string();
        array(labels, &name)
    });
    assemble(&path, inputs, labels.transpose()?, options, source)
}

fn array(mut source: Source, name: &str) -> Result<Array, DataError> {
    let mut magic = [0; 4];
    source.header(&mut magic, FORMAT, &At::Whole)?;
    let element = match magic {
        [0, 0, 0x08, _] => Element::U8,
        [0, 0, 0x09, _] => Element::I8,
        [0, 0, 0x0b, _] => Element::I16,
        [0, 0, 0x0c, _] => Element::I32,
        [0, 0, 0x0d, _] => Element::F32,
        [0, 0, 0x0e, _] => Element::F64,
        _ => {
            let found = magic.to_vec();
            return Err(DataError::Magic { path: source.path, at: At::Whole, format: FORMAT, found });
        }
    };
    let mut dimensions = Vec::new();
    for index in 0..magic[3] {
        let mut side = [0; 4];
        let at = At::Byte(4 + 4 * u64::from(index));
        source.header(&mut side, FORMAT, &at).map_err(|error| cut_header(error, &source.path))?;
        dimensions.push(u64::from(u32::from_be_bytes(side)));
    }
    let layout = Layout { name: name.to_string(), element, is_big_endian: true, dimensions, fortran: false };
    let array = source.array(&layout)?;
    source.finish(&layout)?;
    Ok(array)
}

/// A file that ends within its dimensions has the right magic, so "no IDX file" would be wrong.
fn cut_header(error: DataError, path: &Path) -> DataError {
    match error {
        DataError::Magic { at, .. } => {
            DataError::Header { path: path.into(), at, missing: "all its dimensions" }
        }
        other => other,
    }
}

/// Opens one file of a pair, and the other beside it if it is there.
pub(super) fn open(path: &Path, options: &Options) -> Result<Dataset, DataError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = |name: &str| path.with_file_name(name);
    if options.label.is_none() && name.contains("labels") {
        let images = name.replace("labels", "images").replace("idx1", "idx3");
        let images = with_or_without_gz(&beside(&images))
            .ok_or_else(|| super::open::missing(&beside(images.trim_end_matches(".gz"))))?;
        return open_pair(&images, Some(path), options);
    }
    let labels = match &options.label {
        Some(label) => Some(beside(label)),
        None if name.contains("images") => {
            with_or_without_gz(&beside(&name.replace("images", "labels").replace("idx3", "idx1")))
        }
        None => None,
    };
    open_pair(path, labels.as_deref(), options)
}

/// Opens `train-…` and `t10k-…` of a directory, one after the other.
pub(super) fn open_directory(directory: &Path, options: &Options) -> Result<Dataset, DataError> {
    let prefixes: &[&str] = match options.part {
        Part::All => &["train", "t10k"],
        Part::Train => &["train"],
        Part::Test => &["t10k"],
    };
    let mut whole: Option<Dataset> = None;
    for prefix in prefixes {
        let found = ["-images-idx3-ubyte", "-images.idx3-ubyte"]
            .iter()
            .find_map(|suffix| with_or_without_gz(&directory.join(format!("{prefix}{suffix}"))));
        if let Some(images) = found {
            let next = open(&images, options)?;
            whole = Some(match whole {
                None => next,
                Some(first) => joined(first, next, options)?,
            });
        }
    }
    let expected = "pair such as train-images-idx3-ubyte and train-labels-idx1-ubyte (or .gz)";
    let mut whole =
        whole.ok_or_else(|| DataError::DirectoryWithoutData { path: directory.into(), expected })?;
    if let Some(name) = directory.file_name() {
        whole.name = name.to_string_lossy().into_owned();
    }
    Ok(whole)
}

fn open_pair(images: &Path, labels: Option<&Path>, options: &Options) -> Result<Dataset, DataError> {
    let open = |path: &Path| {
        if path.exists() { Source::open(path, options.limit_bytes) } else { Err(super::open::missing(path)) }
    };
    read(open(images)?, labels.map(open).transpose()?, options)
}

fn joined(mut first: Dataset, second: Dataset, options: &Options) -> Result<Dataset, DataError> {
    let path = PathBuf::from(&second.name);
    if first.shape != second.shape {
        return Err(DataError::Shape { path, expected: first.shape, found: second.shape });
    }
    let needed = (first.inputs.len() as u64 + second.inputs.len() as u64) * 4;
    if needed > options.limit_bytes {
        return Err(DataError::TooLarge { path, at: At::Whole, needed, limit: options.limit_bytes });
    }
    let samples = (first.len(), second.len());
    first.inputs.extend_from_slice(&second.inputs);
    match (&mut first.targets, second.targets) {
        (Targets::None, Targets::None) => {}
        (Targets::Classes { labels, classes }, Targets::Classes { labels: more, classes: others }) => {
            labels.extend(more);
            *classes = others.max(*classes);
        }
        (Targets::Values { values, width }, Targets::Values { values: more, width: same })
            if *width == same =>
        {
            values.extend(more);
        }
        _ => {
            let targets_from = "the labels of the two parts, which differ in kind".into();
            let (inputs, targets) = (samples.0 as u64, samples.1 as u64);
            return Err(DataError::Count { path, inputs, targets, targets_from });
        }
    }
    first.source = format!("{}; {}", first.source, second.source);
    Ok(first)
}

fn with_or_without_gz(path: &Path) -> Option<PathBuf> {
    let text = path.to_string_lossy();
    let bare = text.strip_suffix(".gz").unwrap_or(&text);
    let other = if bare.len() == text.len() { format!("{bare}.gz") } else { bare.to_string() };
    [path.to_path_buf(), PathBuf::from(other)].into_iter().find(|path| path.is_file())
}
