//! A file whose length is known, read at any place.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::error::ModelError;

/// What a reader reads from: a file, or bytes in memory.
pub trait Input: Read + Seek + Send {}
impl<T: Read + Seek + Send> Input for T {}

/// A file whose length is known. Shared between threads: one reads at a time.
pub struct Source {
    /// Its path, for messages.
    pub path: PathBuf,
    /// Bytes.
    pub length: u64,
    input: Mutex<Box<dyn Input>>,
}

impl Source {
    /// Opens a regular file of at least one byte.
    ///
    /// # Errors
    /// [`ModelError::Io`], [`ModelError::Missing`], [`ModelError::NotAFile`], [`ModelError::Empty`].
    pub fn open(path: &Path) -> Result<Source, ModelError> {
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => ModelError::Missing { path: path.into() },
            _ => ModelError::Io { path: path.into(), source },
        };
        let about = std::fs::metadata(path).map_err(failed)?;
        // A pipe or a device has no length, and reading one may never end.
        if !about.is_file() {
            return Err(ModelError::NotAFile { path: path.into() });
        }
        let file = std::fs::File::open(path).map_err(failed)?;
        Source::of(Box::new(file), path)
    }

    /// Takes any input; `path` is for messages.
    ///
    /// # Errors
    /// [`ModelError::Io`], [`ModelError::Empty`].
    pub fn of(mut input: Box<dyn Input>, path: &Path) -> Result<Source, ModelError> {
        let length =
            input.seek(SeekFrom::End(0)).map_err(|source| ModelError::Io { path: path.into(), source })?;
        if length == 0 {
            return Err(ModelError::Empty { path: path.into() });
        }
        Ok(Source { path: path.into(), length, input: Mutex::new(input) })
    }

    /// Bytes from `offset` on.
    ///
    /// # Errors
    /// [`ModelError::Truncated`] when the file ends before; [`ModelError::Io`].
    pub fn fill(&self, offset: u64, bytes: &mut [u8]) -> Result<(), ModelError> {
        self.within("the part read", offset, bytes.len() as u64)?;
        let mut input = self.input.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let read = input.seek(SeekFrom::Start(offset)).and_then(|_| input.read_exact(bytes));
        read.map_err(|source| ModelError::Io { path: self.path.clone(), source })
    }

    /// A vector of so many bytes from `offset` on; taken only after the file is known to hold them.
    ///
    /// # Errors
    /// As [`Source::fill`].
    pub fn bytes(&self, offset: u64, length: u64) -> Result<Vec<u8>, ModelError> {
        self.within("the part read", offset, length)?;
        let mut bytes = vec![0; length as usize];
        self.fill(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Refuses a part that reaches beyond the end of the file.
    ///
    /// # Errors
    /// [`ModelError::Truncated`].
    pub fn within(&self, what: &str, offset: u64, length: u64) -> Result<(), ModelError> {
        if offset.checked_add(length).is_some_and(|end| end <= self.length) {
            return Ok(());
        }
        let present = self.length.saturating_sub(offset);
        Err(ModelError::Truncated { path: self.path.clone(), what: what.into(), needed: length, present })
    }

    /// [`ModelError::Damaged`] about this file.
    #[must_use]
    pub fn damaged(&self, what: impl Into<String>) -> ModelError {
        ModelError::Damaged { path: self.path.clone(), what: what.into() }
    }

    /// [`ModelError::TooMuch`] about this file.
    #[must_use]
    pub fn too_much(&self, what: impl Into<String>, found: u64, most: u64) -> ModelError {
        ModelError::TooMuch { path: self.path.clone(), what: what.into(), found, most }
    }

    /// A reader of `length` bytes from `offset` on, for what reads in order.
    pub fn stream(&self, offset: u64, length: u64) -> Stream<'_> {
        Stream { source: self, at: offset, left: length.min(self.length.saturating_sub(offset)) }
    }
}

/// Part of a source, read in order.
pub struct Stream<'a> {
    source: &'a Source,
    at: u64,
    left: u64,
}

impl Stream<'_> {
    /// Place of the next byte in the file.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let wanted = self.left.min(bytes.len() as u64) as usize;
        let mut input = self.source.input.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        input.seek(SeekFrom::Start(self.at))?;
        let read = input.read(&mut bytes[..wanted])?;
        (self.at, self.left) = (self.at + read as u64, self.left - read as u64);
        Ok(read)
    }
}

impl Seek for Stream<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let end = self.at + self.left;
        let wanted = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => end.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        let at = wanted.ok_or(std::io::ErrorKind::InvalidInput)?;
        (self.at, self.left) = (at, end.saturating_sub(at));
        Ok(at)
    }
}
