//! Reading a kernel from disk in blocks of rows.

use super::format::{Place, parse_npy, parse_safetensors};
use super::write::told;
use crate::engine::Precision;
use crate::error::KernelError;
use crate::matrices::{Matrices, Values};
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Headers are shorter than this.
const HEADER: u64 = 4096;
/// Bytes read in one go: they stay in the second-level cache until they are numbers.
const BUFFER: usize = 1 << 18;

/// A kernel on disk, of which only the rows asked for are in memory.
#[derive(Debug)]
pub struct KernelFile {
    file: File,
    path: PathBuf,
    kernel: Place,
    tangent: Option<Place>,
    buffer: Vec<u8>,
}

impl KernelFile {
    /// Opens an NPY file of one matrix, or a safetensors file with the tensors `kernel` and maybe `tangent`.
    ///
    /// # Errors
    /// [`KernelError::File`] when it cannot be read or is not such a file.
    pub fn open(path: &Path) -> Result<KernelFile, KernelError> {
        let fail = |error: &Error| told(path, error);
        let mut file = File::open(path).map_err(|error| fail(&error))?;
        let mut start = Vec::new();
        (&mut file).take(HEADER).read_to_end(&mut start).map_err(|error| fail(&error))?;
        let places = if start.starts_with(b"\x93NUMPY") {
            parse_npy(&start).map(|kernel| (kernel, None))
        } else {
            parse_safetensors(&start)
        };
        let wrong = || fail(&Error::new(ErrorKind::InvalidData, "not a kernel matrix in NPY or safetensors"));
        let (kernel, tangent) = places.ok_or_else(wrong)?;
        let length = file.metadata().map_err(|error| fail(&error))?.len();
        if length < tangent.unwrap_or(kernel).end() {
            return Err(fail(&Error::new(ErrorKind::UnexpectedEof, "the file ends before the matrix does")));
        }
        Ok(KernelFile { file, path: path.to_path_buf(), kernel, tangent, buffer: Vec::new() })
    }

    /// Rows and columns.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.kernel.rows, self.kernel.columns)
    }

    /// Some rows of K (and Θ where the file holds both).
    ///
    /// # Errors
    /// [`KernelError::File`] when reading fails.
    ///
    /// # Panics
    /// When the range goes beyond the rows.
    pub fn rows(&mut self, range: Range<usize>) -> Result<Matrices, KernelError> {
        assert!(range.end <= self.kernel.rows, "{range:?} of {} rows", self.kernel.rows);
        let kernel = self.read(self.kernel, &range)?;
        let tangent = self.tangent.map(|tangent| self.read(tangent, &range)).transpose()?;
        Ok(Matrices { rows: range.len(), columns: self.kernel.columns, kernel, tangent })
    }

    /// Some rows of K, or of Θ where `tangent` is set and the file holds both, as f64 into `out`, `[rows, columns]`, with no
    /// other memory than a small buffer: for those who read a kernel many times.
    ///
    /// # Errors
    /// [`KernelError::File`] when reading fails.
    ///
    /// # Panics
    /// When the range goes beyond the rows, or `out` has another size.
    pub fn read_rows(
        &mut self,
        range: Range<usize>,
        tangent: bool,
        out: &mut [f64],
    ) -> Result<(), KernelError> {
        let place = self.tangent.filter(|_| tangent).unwrap_or(self.kernel);
        assert!(range.end <= place.rows, "{range:?} of {} rows", place.rows);
        assert_eq!(out.len(), range.len() * place.columns, "room for {range:?} of {} columns", place.columns);
        self.buffer.resize(BUFFER, 0);
        let start = self.file.seek(SeekFrom::Start(place.at(range.start, 0)));
        start.map_err(|error| told(&self.path, &error))?;
        for part in out.chunks_mut(BUFFER / place.size()) {
            let bytes = &mut self.buffer[..part.len() * place.size()];
            self.file.read_exact(bytes).map_err(|error| told(&self.path, &error))?;
            match place.precision {
                Precision::F32 => convert(bytes, part, |bytes| f64::from(f32::from_le_bytes(bytes))),
                Precision::F64 => convert(bytes, part, f64::from_le_bytes),
            }
        }
        Ok(())
    }

    fn read(&mut self, place: Place, range: &Range<usize>) -> Result<Values, KernelError> {
        let mut bytes = vec![0; range.len() * place.columns * place.size()];
        let start = self.file.seek(SeekFrom::Start(place.at(range.start, 0)));
        start.and_then(|_| self.file.read_exact(&mut bytes)).map_err(|error| told(&self.path, &error))?;
        Ok(match place.precision {
            Precision::F32 => Values::F32(numbers(&bytes, f32::from_le_bytes)),
            Precision::F64 => Values::F64(numbers(&bytes, f64::from_le_bytes)),
        })
    }
}

fn numbers<const SIZE: usize, T>(bytes: &[u8], number: fn([u8; SIZE]) -> T) -> Vec<T> {
    bytes.chunks_exact(SIZE).map(|chunk| number(chunk.try_into().expect("chunks of that size"))).collect()
}

fn convert<const SIZE: usize>(bytes: &[u8], out: &mut [f64], number: impl Fn([u8; SIZE]) -> f64) {
    let (chunks, _) = bytes.as_chunks::<SIZE>();
    out.iter_mut().zip(chunks).for_each(|(x, chunk)| *x = number(*chunk));
}
