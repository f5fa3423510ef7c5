//! Kernels as files: NPY, or safetensors. Written beside their place and renamed, so that nothing half-written is ever there.

use std::io::Write;
use std::path::{Path, PathBuf};

use carnot_kernel::{Matrices, Values};
use safetensors::tensor::{Dtype, TensorView, serialize};

use super::KernelSpec;
use crate::error::LabError;

/// The files that a specification asks for: K and Θ apart as NPY, together as safetensors.
pub fn files(spec: &KernelSpec) -> Vec<PathBuf> {
    let Some(path) = &spec.save else { return Vec::new() };
    match path.strip_suffix(".npy") {
        Some(stem) => ["kernel", "tangent"].map(|name| PathBuf::from(format!("{stem}-{name}.npy"))).to_vec(),
        None => vec![PathBuf::from(path)],
    }
}

/// Writes them; returns their paths.
///
/// # Errors
/// [`LabError::Output`].
pub fn keep(spec: &KernelSpec, matrices: &Matrices) -> Result<Vec<String>, LabError> {
    let paths = files(spec);
    let tangent = matrices.tangent.as_ref().expect("it was asked for");
    let both = [("kernel", &matrices.kernel), ("tangent", tangent)];
    let shape = vec![matrices.rows, matrices.columns];
    match &paths[..] {
        [] => {}
        [one] => {
            let bytes = both.map(|(name, values)| (name, little_endian(values)));
            let kind = if matches!(matrices.kernel, Values::F32(_)) { Dtype::F32 } else { Dtype::F64 };
            let mut views = Vec::new();
            for (name, bytes) in &bytes {
                let view = TensorView::new(kind, shape.clone(), bytes).map_err(|error| refused(one, error))?;
                views.push((name.to_string(), view));
            }
            write(one, &serialize(views, None).map_err(|error| refused(one, error))?)?;
        }
        several => {
            for (path, (_, values)) in several.iter().zip(both) {
                write(path, &npy(values, &shape))?;
            }
        }
    }
    Ok(paths.iter().map(|path| path.display().to_string()).collect())
}

/// NumPy's format 1.0: magic, length of the header, header padded to 64 bytes, numbers.
fn npy(values: &Values, shape: &[usize]) -> Vec<u8> {
    let kind = if matches!(values, Values::F32(_)) { "<f4" } else { "<f8" };
    let mut header =
        format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({}, {}), }}", shape[0], shape[1]);
    let blanks = (64 - (10 + header.len() + 1) % 64) % 64;
    header += &" ".repeat(blanks);
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(little_endian(values));
    file
}

fn little_endian(values: &Values) -> Vec<u8> {
    match values {
        Values::F32(values) => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Values::F64(values) => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), LabError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| refused(path, error))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(|error| refused(path, error))?;
    file.persist(path).map_err(|error| refused(path, error.error))?;
    Ok(())
}

/// Can the files be written there? Asked before the work.
///
/// # Errors
/// [`LabError::Output`].
pub fn check(spec: &KernelSpec) -> Result<(), LabError> {
    for path in files(spec) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        tempfile::NamedTempFile::new_in(folder).map_err(|error| refused(&path, error))?;
    }
    Ok(())
}

fn refused(path: &Path, error: impl std::fmt::Display) -> LabError {
    LabError::Output { path: path.display().to_string(), message: error.to_string() }
}
