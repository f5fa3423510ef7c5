//! The tensors of a file or folder. Headers are read at once, numbers one tensor at a time.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use carnot_math::device::zeros;
use flate2::read::DeflateDecoder;

use crate::element::Element;
use crate::error::ModelError;
use crate::files::source::Source;
use crate::files::{gguf, npz, safetensors, sharded, torch};

/// Formats of checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// safetensors, one file or several.
    Safetensors,
    /// GGUF, version 2 or 3.
    Gguf,
    /// PyTorch, a zip archive since 1.6 and bare pickles before.
    Torch,
    /// NumPy arrays in a zip archive.
    Npz,
}

impl Format {
    /// As printed.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Format::Safetensors => "safetensors",
            Format::Gguf => "GGUF",
            Format::Torch => "PyTorch",
            Format::Npz => "NPZ",
        }
    }
}

/// One tensor: what its header says.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its path in the model.
    pub name: String,
    /// Sides, slowest first: a weight matrix is `[fan-out, fan-in]`.
    pub shape: Vec<usize>,
    /// How its numbers are stored, or the name of a type that no reader knows.
    pub element: Result<Element, String>,
    pub(crate) place: Place,
    /// Steps in stored numbers for one step along each side; none for numbers that lie in order.
    pub(crate) strides: Option<Vec<usize>>,
}

impl Tensor {
    /// Number of values; no reader makes a tensor whose values no machine counts.
    #[must_use]
    pub fn count(&self) -> usize {
        count(&self.shape)
    }
}

/// Where numbers lie.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    file: usize,
    offset: u64,
    /// Bytes in the file.
    stored: u64,
    /// Bytes to skip, then bytes to take, of the inflated part; `None` for a part that is stored as it is.
    inflated: Option<(u64, u64)>,
}

impl Place {
    /// A part of a file as it is.
    pub(crate) fn plain(file: usize, offset: u64, stored: u64) -> Place {
        Place { file, offset, stored, inflated: None }
    }

    /// A deflated part, of which the first `skip` bytes are a header.
    pub(crate) fn deflated(file: usize, offset: u64, stored: u64, skip: u64, take: u64) -> Place {
        Place { file, offset, stored, inflated: Some((skip, take)) }
    }
}

/// The tensors of a model.
pub struct Checkpoint {
    /// How they are stored.
    pub format: Format,
    /// Every tensor, in the order of the file.
    pub tensors: Vec<Tensor>,
    /// What the file says beside its tensors; long lists are left out.
    pub metadata: BTreeMap<String, String>,
    sources: Vec<Source>,
}

/// Bytes read and decoded at a time: they are still in the processor's cache when they are decoded or added to a checksum.
const PIECE: usize = 1 << 18;

impl Checkpoint {
    /// Opens a file, or the weights of a folder: an index of shards, `model.safetensors`, or the only file of weights.
    ///
    /// # Errors
    /// [`ModelError`], with file and numbers.
    pub fn open(path: &Path) -> Result<Checkpoint, ModelError> {
        let file = if path.is_dir() { weights_of(path)? } else { path.to_path_buf() };
        if file.to_string_lossy().ends_with(".safetensors.index.json") {
            let (sources, tensors) = sharded::open(&file)?;
            let mut checkpoint = Checkpoint::new(Format::Safetensors, tensors, sources);
            checkpoint.tensors.sort_by(|a, b| a.name.cmp(&b.name));
            return Ok(checkpoint);
        }
        Checkpoint::read(Source::open(&file)?)
    }

    /// The tensors of bytes in memory; `path` is for messages and chooses nothing.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn of_bytes(bytes: Vec<u8>, path: &Path) -> Result<Checkpoint, ModelError> {
        Checkpoint::read(Source::of(Box::new(Cursor::new(bytes)), path)?)
    }

    /// By its first bytes: a name may lie.
    fn read(source: Source) -> Result<Checkpoint, ModelError> {
        let start = source.bytes(0, source.length.min(16))?;
        match start[..] {
            [b'G', b'G', b'U', b'F', ..] => {
                let (tensors, metadata) = gguf::tensors(&source)?;
                Ok(Checkpoint { metadata, ..Checkpoint::new(Format::Gguf, tensors, vec![source]) })
            }
            [b'P', b'K', 3 | 5, 4 | 6, ..] if npz::is_one(&source)? => {
                let tensors = npz::tensors(&source)?;
                Ok(Checkpoint::new(Format::Npz, tensors, vec![source]))
            }
            [b'P', b'K', 3 | 5, 4 | 6, ..] => {
                let tensors = torch::zip::tensors(&source)?;
                Ok(Checkpoint::new(Format::Torch, tensors, vec![source]))
            }
            _ if looks_like_pickle(&start, &source) => {
                let tensors = torch::legacy::tensors(&source)?;
                Ok(Checkpoint::new(Format::Torch, tensors, vec![source]))
            }
            _ if looks_like_safetensors(&start, &source) => {
                let tensors = safetensors::tensors(&source, 0)?;
                Ok(Checkpoint::new(Format::Safetensors, tensors, vec![source]))
            }
            _ => Err(ModelError::UnknownFormat {
                path: source.path.clone(),
                start: start[..start.len().min(8)].to_vec(),
            }),
        }
    }

    fn new(format: Format, tensors: Vec<Tensor>, sources: Vec<Source>) -> Checkpoint {
        Checkpoint { format, tensors, metadata: BTreeMap::new(), sources }
    }

    /// Files that hold it.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().map(|source| source.path.as_path())
    }

    /// The tensor of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// The numbers of a tensor in the order of its shape, last side fastest.
    ///
    /// Takes memory for this tensor alone; its header was held against the length of the file before.
    ///
    /// # Errors
    /// [`ModelError::ElementType`] for types that no reader knows, [`ModelError::Io`], [`ModelError::Damaged`].
    pub fn values(&self, tensor: &Tensor) -> Result<Vec<f32>, ModelError> {
        let source = &self.sources[tensor.place.file];
        let element = tensor.element.clone().map_err(|found| ModelError::ElementType {
            path: source.path.clone(),
            tensor: tensor.name.clone(),
            found,
        })?;
        let stored = decode(source, &tensor.place, element)?;
        match &tensor.strides {
            None => Ok(stored),
            Some(strides) => Ok(in_order(&stored, &tensor.shape, strides)),
        }
    }

    /// A checksum of everything in the files, so that a report knows what it is about.
    ///
    /// # Errors
    /// [`ModelError::Io`].
    pub fn fingerprint(&self) -> Result<String, ModelError> {
        let mut hasher = blake3::Hasher::new();
        for source in &self.sources {
            hasher.update(&source.length.to_le_bytes());
            let mut piece = vec![0; source.length.min(PIECE as u64) as usize];
            let mut at = 0;
            while at < source.length {
                let part = piece.len().min((source.length - at) as usize);
                source.fill(at, &mut piece[..part])?;
                hasher.update(&piece[..part]);
                at += part as u64;
            }
        }
        Ok(hasher.finalize().to_hex()[..16].to_string())
    }
}

fn decode(source: &Source, place: &Place, element: Element) -> Result<Vec<f32>, ModelError> {
    let (numbers, bytes) = element.block();
    let take = place.inflated.map_or(place.stored, |(_, take)| take);
    // In large pages, where there are any: the first writing of a large tensor takes longer than its reading.
    let mut values = zeros::<f32>(take as usize / bytes * numbers);
    values.clear();
    let stream = source.stream(place.offset, place.stored);
    let mut reader: Box<dyn Read> = match place.inflated {
        None => Box::new(stream),
        Some((skip, _)) => {
            let mut inflated = DeflateDecoder::new(std::io::BufReader::new(stream));
            let skipped = std::io::copy(&mut (&mut inflated).take(skip), &mut std::io::sink());
            skipped.map_err(|error| source.damaged(format!("an array cannot be inflated: {error}")))?;
            Box::new(inflated)
        }
    };
    let mut piece = vec![0; (PIECE / bytes * bytes).min(take as usize)];
    let mut left = take as usize;
    while left > 0 {
        let part = left.min(piece.len());
        let read = reader.read_exact(&mut piece[..part]);
        read.map_err(|error| source.damaged(format!("the numbers of a tensor end early: {error}")))?;
        element.decode(&piece[..part], &mut values);
        left -= part;
    }
    Ok(values)
}

/// Number of values of a shape. A side of zero first: what the others would make together no reader has looked at.
fn count(shape: &[usize]) -> usize {
    if shape.contains(&0) { 0 } else { shape.iter().product() }
}

/// Numbers in the order of `shape`; the reader has held shape and strides against the number of values stored.
fn in_order(stored: &[f32], shape: &[usize], strides: &[usize]) -> Vec<f32> {
    let mut values = Vec::with_capacity(stored.len());
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    for _ in 0..count(shape) {
        values.push(stored[at]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    values
}

fn looks_like_safetensors(start: &[u8], source: &Source) -> bool {
    let is_named = source.path.extension().is_some_and(|ending| ending == "safetensors");
    is_named || start.get(8) == Some(&b'{')
}

/// Pickles of protocol 2 and later say so; older ones begin with any opcode, so their name decides.
fn looks_like_pickle(start: &[u8], source: &Source) -> bool {
    let is_named = source.path.extension().is_some_and(|ending| PICKLED.iter().any(|known| ending == *known));
    is_named || matches!(start, [0x80, 2..=5, ..])
}

/// Endings of files that PyTorch writes.
const PICKLED: &[&str] = &["pt", "pth", "ckpt", "pkl", "bin"];

/// Endings of files with weights, best first.
const ENDINGS: &[&str] = &["safetensors", "gguf", "pt", "pth", "bin", "ckpt", "npz"];

/// The file of a folder that stands for its weights.
fn weights_of(folder: &Path) -> Result<PathBuf, ModelError> {
    let failed = |source| ModelError::Io { path: folder.into(), source };
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let mut names: Vec<String> = Vec::new();
    // Chosen: a folder of more files is not that of one model.
    for entry in entries.take(10_000) {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let index = names.iter().find(|name| name.ends_with(".safetensors.index.json"));
    let usual = names.iter().find(|name| *name == "model.safetensors");
    let by_ending = ENDINGS.iter().find_map(|ending| {
        names.iter().find(|name| name.rsplit_once('.').is_some_and(|(_, found)| found == *ending))
    });
    let chosen = index.or(usual).or(by_ending);
    chosen.map(|name| folder.join(name)).ok_or_else(|| ModelError::NoWeights { path: folder.into() })
}
