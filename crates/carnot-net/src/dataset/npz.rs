//! NPZ, several numpy arrays in a zip archive, stored or deflated. Inputs and targets are found by name.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::array::{Array, Capped, DEFLATE_RATIO, Source};
use super::assemble::{assemble, choose};
use super::error::DataError;
use super::npy;
use super::options::Options;
use super::set::Dataset;

/// Reads inputs and, if there are any, targets; `options.label` names the array with the targets.
pub fn read(mut file: impl Read + Seek, path: &Path, options: &Options) -> Result<Dataset, DataError> {
    let length = file.seek(SeekFrom::End(0)).map_err(|source| DataError::Io { path: path.into(), source })?;
    if length == 0 {
        return Err(DataError::Empty { path: path.into() });
    }
    let mut archive = ZipArchive::new(file).map_err(|error| failed(path, error))?;
    let members: Vec<String> = (0..archive.len())
        .filter_map(|index| archive.name_for_index(index))
        .map(|name| name.map(|name| name.into_owned()).map_err(|error| failed(path, error)))
        .collect::<Result<_, _>>()?;
    let (indices, names): (Vec<usize>, Vec<String>) = members
        .iter()
        .enumerate()
        .filter_map(|(index, name)| Some((index, name.strip_suffix(".npy")?.to_string())))
        .unzip();
    let (inputs, targets) = choose(path, &names, options.label.as_deref())?;
    let source = match targets {
        Some(targets) => format!("{}, arrays `{}` and `{}`", path.display(), names[inputs], names[targets]),
        None => format!("{}, array `{}`, no targets", path.display(), names[inputs]),
    };
    let mut member =
        |chosen: usize| array(&mut archive, indices[chosen], &names[chosen], length, path, options);
    let inputs = member(inputs)?;
    let targets = targets.map(member).transpose()?;
    assemble(path, inputs, targets, options, source)
}

/// Opens a file.
pub(super) fn open(path: &Path, options: &Options) -> Result<Dataset, DataError> {
    let file = File::open(path).map_err(|source| DataError::Io { path: path.into(), source })?;
    read(std::io::BufReader::new(file), path, options)
}

fn array(
    archive: &mut ZipArchive<impl Read + Seek>,
    index: usize,
    name: &str,
    length: u64,
    path: &Path,
    options: &Options,
) -> Result<Array, DataError> {
    let member = archive.by_index(index).map_err(|error| failed(path, error))?;
    // The directory's own claim about the size counts only where the archive's length allows it.
    let bound = member.size().min(length.saturating_mul(DEFLATE_RATIO)).min(options.limit_bytes);
    let source = Source {
        reader: Box::new(Capped { inner: member, left: options.limit_bytes }),
        path: path.into(),
        bound,
        limit: options.limit_bytes,
    };
    npy::array(source, name)
}

fn failed(path: &Path, error: ZipError) -> DataError {
    match error {
        ZipError::Io(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            DataError::Io { path: path.into(), source }
        }
        source => DataError::Archive { path: path.into(), source },
    }
}
