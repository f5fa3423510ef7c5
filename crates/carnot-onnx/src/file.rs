//! A model on disk: read whole, held against what it says of itself before anybody computes with it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use carnot_probe::call::WeightStats;

use crate::error::OnnxError;
use crate::graph::Graph;
use crate::model;
use crate::tensor::{self, Tensor};

/// Longest file: protocol buffers end at 2 GiB; larger models keep their weights beside them.
const LONGEST: u64 = 1 << 31;
/// Entries of a weight from which its digest is made.
const DIGESTED: usize = 4096;

/// A model in memory, with where it came from.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path, for messages.
    pub path: PathBuf,
    /// All of it.
    pub bytes: Vec<u8>,
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    /// [`OnnxError::File`], [`OnnxError::NotAModel`] for what is no file, is empty, or begins as something else.
    pub fn open(path: &Path) -> Result<Source, OnnxError> {
        let failed = |source| OnnxError::File { path: path.into(), source };
        let about = std::fs::metadata(path).map_err(failed)?;
        let refuse = |why: &str| OnnxError::NotAModel { path: path.into(), why: why.into() };
        if !about.is_file() {
            return Err(refuse("it is no regular file"));
        }
        if about.len() > LONGEST {
            return Err(refuse("it is longer than 2 GiB, and weights beyond that lie in other files"));
        }
        let mut bytes = Vec::new();
        File::open(path).map_err(failed)?.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
        Source::of(bytes, path)
    }

    /// Takes bytes; `path` is for messages and for weights that lie beside the model.
    ///
    /// # Errors
    /// [`OnnxError::NotAModel`].
    pub fn of(bytes: Vec<u8>, path: &Path) -> Result<Source, OnnxError> {
        let refuse = |why: &str| OnnxError::NotAModel { path: path.into(), why: why.into() };
        match bytes.as_slice() {
            [] => Err(refuse("it is empty")),
            // The first field of what writers write is the version, a number.
            [8, ..] => Ok(Source { path: path.into(), bytes }),
            // Fields may come in any order; letters are no field that a model has.
            [first, ..] if matches!(first & 7, 0 | 2) && *first >> 3 <= 25 && first.is_ascii_control() => {
                Ok(Source { path: path.into(), bytes })
            }
            [b'P', b'K', ..] => Err(refuse("it is an archive")),
            _ => Err(refuse("it does not begin as one")),
        }
    }

    /// The folder of the model.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The graph in order, every weight that lies in another file known to be there.
    ///
    /// # Errors
    /// Whatever is wrong with the model.
    pub fn graph(&self) -> Result<Graph<'_>, OnnxError> {
        let graph = Graph::of(model::read(&self.bytes)?)?;
        for tensor in graph.constants.values() {
            self.external(tensor)?;
        }
        Ok(graph)
    }

    /// Where the numbers of a tensor lie outside of the model: path, first byte, bytes.
    fn external(&self, tensor: &Tensor) -> Result<Option<(PathBuf, u64, u64)>, OnnxError> {
        let Some(external) = tensor.external() else { return Ok(None) };
        let path = external.path(&tensor.name, self.folder())?;
        let wrong = |why: String| OnnxError::External {
            tensor: tensor.name.clone(),
            location: external.location.clone(),
            why,
        };
        let about =
            std::fs::metadata(&path).map_err(|error| wrong(format!("which cannot be read: {error}")))?;
        if !about.is_file() {
            return Err(wrong("which is no regular file".into()));
        }
        let needed = tensor.bytes().ok_or_else(|| wrong("and its type is not known".into()))?;
        if external.length.is_some_and(|length| length != needed) {
            let length = external.length.unwrap_or_default();
            return Err(wrong(format!("{length} bytes of it, and its shape takes {needed}")));
        }
        let end = external.offset.checked_add(needed).filter(|&end| end <= about.len());
        match end {
            Some(_) => Ok(Some((path, external.offset, needed))),
            None => Err(wrong(format!(
                "which has {} bytes, and {needed} from byte {} on are needed",
                about.len(),
                external.offset
            ))),
        }
    }

    /// All real numbers of a weight, in the order of the file; `None` where they are of another type.
    ///
    /// # Errors
    /// [`OnnxError::File`], [`OnnxError::External`].
    pub fn reals(&self, tensor: &Tensor) -> Result<Option<Vec<f64>>, OnnxError> {
        let Some((path, offset, length)) = self.external(tensor)? else {
            return Ok(tensor.reals().map(Iterator::collect));
        };
        let failed = |source| OnnxError::File { path: path.clone(), source };
        let mut file = File::open(&path).map_err(failed)?;
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes).map_err(failed)?;
        Ok(tensor::reals(tensor.element, &bytes).map(Iterator::collect))
    }

    /// Numbers about a weight. Weights of whole numbers, as quantised models have them, are counted and not measured.
    ///
    /// # Errors
    /// As [`Source::reals`].
    pub fn stats(&self, tensor: &Tensor, fan_in: Option<u64>) -> Result<WeightStats, OnnxError> {
        let mut stats = WeightStats { parameters: tensor.count(), fan_in, ..WeightStats::default() };
        let Some(values) = self.reals(tensor)? else { return Ok(stats) };
        let finite = values.iter().filter(|x| x.is_finite());
        stats.norm = finite.map(|x| x * x).sum::<f64>().sqrt();
        stats.non_finite = values.iter().filter(|x| !x.is_finite()).count() as u64;
        let step = values.len().div_ceil(DIGESTED).max(1);
        let seen = values.iter().step_by(step).map(|x| x.to_bits());
        let shape = tensor.shape.iter().copied();
        stats.digest = Some(shape.chain(seen).fold(0xcbf2_9ce4_8422_2325, |hash, part| {
            (hash ^ part).wrapping_mul(0x100_0000_01b3).rotate_left(23)
        }));
        Ok(stats)
    }
}
