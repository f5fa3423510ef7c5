//! Writing a kernel to disk while it is computed.

use super::format::{Place, npy_header, safetensors_header};
use crate::engine::{Engine, Inputs};
use crate::error::KernelError;
use crate::matrices::Values;
use crate::tiles::Tile;
use std::fs::{File, remove_file, rename};
use std::io::{Error, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file under a temporary name; gone unless it is finished.
struct Unfinished {
    file: File,
    path: PathBuf,
    temporary: PathBuf,
    is_finished: bool,
}

impl Unfinished {
    fn create(path: &Path, header: &[u8], length: u64) -> Result<Unfinished, KernelError> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.part", std::process::id()));
        let temporary = path.with_file_name(name);
        let file = File::create(&temporary).map_err(|error| told(path, &error))?;
        let mut unfinished = Unfinished { file, path: path.to_path_buf(), temporary, is_finished: false };
        unfinished.write(0, header)?;
        unfinished.file.set_len(length).map_err(|error| told(path, &error))?;
        Ok(unfinished)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), KernelError> {
        let mut write = || {
            self.file.seek(SeekFrom::Start(at))?;
            self.file.write_all(bytes)
        };
        write().map_err(|error| told(&self.path, &error))
    }

    fn finish(mut self) -> Result<(), KernelError> {
        let done = self.file.sync_all().and_then(|()| rename(&self.temporary, &self.path));
        self.is_finished = done.is_ok();
        done.map_err(|error| told(&self.path, &error))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_finished {
            // Nothing more can be done about a file that cannot be removed.
            let _ = remove_file(&self.temporary);
        }
    }
}

pub(super) fn told(path: &Path, error: &Error) -> KernelError {
    KernelError::File { path: path.display().to_string(), why: error.to_string() }
}

impl Engine {
    /// Writes K, and Θ where the engine was asked for it, as NPY files while they are computed, tile by tile.
    ///
    /// * `tangent`: path of Θ; needed exactly when the engine was asked for it
    ///
    /// # Errors
    /// [`KernelError`]; then neither file is there.
    pub fn stream_npy(
        &self,
        first: Inputs,
        second: Option<Inputs>,
        tile: usize,
        kernel: &Path,
        tangent: Option<&Path>,
    ) -> Result<(), KernelError> {
        if tangent.is_some() != self.options.tangent {
            let why = "a path for Θ is needed exactly when Θ is computed".to_string();
            return Err(KernelError::File { path: kernel.display().to_string(), why });
        }
        let (rows, columns) = (first.samples, second.map_or(first.samples, |second| second.samples));
        let precision = self.options.precision;
        let header = npy_header(rows, columns, precision);
        let place = Place { offset: header.len() as u64, rows, columns, precision };
        let create = |path: &Path| Unfinished::create(path, &header, place.end());
        let mut kernel = create(kernel)?;
        let mut tangent = tangent.map(create).transpose()?;
        self.tiles(first, second, tile, |tile| {
            put(&mut kernel, place, &tile, &tile.matrices.kernel, second.is_none())?;
            match (&mut tangent, &tile.matrices.tangent) {
                (Some(file), Some(values)) => put(file, place, &tile, values, second.is_none()),
                _ => Ok(()),
            }
        })?;
        if let Some(tangent) = tangent {
            tangent.finish()?;
        }
        kernel.finish()
    }

    /// Writes K and Θ as the tensors `kernel` and `tangent` of one safetensors file while they are computed.
    ///
    /// # Errors
    /// [`KernelError`]; then the file is not there.
    pub fn stream_safetensors(
        &self,
        first: Inputs,
        second: Option<Inputs>,
        tile: usize,
        path: &Path,
    ) -> Result<(), KernelError> {
        let (rows, columns) = (first.samples, second.map_or(first.samples, |second| second.samples));
        let precision = self.options.precision;
        let header = safetensors_header(rows, columns, precision, self.options.tangent);
        let kernel = Place { offset: header.len() as u64, rows, columns, precision };
        let tangent = Place { offset: kernel.end(), ..kernel };
        let end = if self.options.tangent { tangent.end() } else { kernel.end() };
        let mut file = Unfinished::create(path, &header, end)?;
        self.tiles(first, second, tile, |tile| {
            put(&mut file, kernel, &tile, &tile.matrices.kernel, second.is_none())?;
            match &tile.matrices.tangent {
                Some(values) => put(&mut file, tangent, &tile, values, second.is_none()),
                None => Ok(()),
            }
        })?;
        file.finish()
    }
}

/// Writes one matrix of a tile, and its mirror image where the kernel is symmetric.
fn put(
    file: &mut Unfinished,
    place: Place,
    tile: &Tile,
    values: &Values,
    is_symmetric: bool,
) -> Result<(), KernelError> {
    let (rows, columns) = (tile.rows.len(), tile.columns.len());
    for row in 0..rows {
        let line = (0..columns).map(|column| row * columns + column);
        file.write(place.at(tile.rows.start + row, tile.columns.start), &bytes(values, line))?;
    }
    if is_symmetric && tile.rows != tile.columns {
        for column in 0..columns {
            let line = (0..rows).map(|row| row * columns + column);
            file.write(place.at(tile.columns.start + column, tile.rows.start), &bytes(values, line))?;
        }
    }
    Ok(())
}

fn bytes(values: &Values, line: impl Iterator<Item = usize>) -> Vec<u8> {
    match values {
        Values::F32(values) => line.flat_map(|at| values[at].to_le_bytes()).collect(),
        Values::F64(values) => line.flat_map(|at| values[at].to_le_bytes()).collect(),
    }
}
