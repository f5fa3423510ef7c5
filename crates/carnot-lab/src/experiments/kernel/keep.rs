//! Kernels as files: NPY, or safetensors. Written beside their place and renamed, so that nothing half-written is ever there.

use std::io::Write;
use std::path::{Path, PathBuf};

use carnot_kernel::Values;
use safetensors::tensor::{Dtype, TensorView, serialize};

use super::KernelSpec;
use crate::error::LabError;

/// What is kept: K and Θ, and their standard errors when they are sampled.
fn names(spec: &KernelSpec) -> &'static [&'static str] {
    if spec.sampled > 0 {
        &["kernel", "tangent", "kernel-error", "tangent-error"]
    } else {
        &["kernel", "tangent"]
    }
}

/// The files that a specification asks for: matrices apart as NPY, together as safetensors.
pub fn files(spec: &KernelSpec) -> Vec<PathBuf> {
    let Some(path) = &spec.save else { return Vec::new() };
    match path.strip_suffix(".npy") {
        Some(stem) => names(spec).iter().map(|name| PathBuf::from(format!("{stem}-{name}.npy"))).collect(),
        None => vec![PathBuf::from(path)],
    }
}

/// Writes K, Θ and, when they are sampled, their standard errors; returns the paths.
///
/// # Errors
/// [`LabError::Output`].
pub fn keep(spec: &KernelSpec, matrices: &[&Values], shape: [usize; 2]) -> Result<Vec<String>, LabError> {
    let paths = files(spec);
    let named = names(spec).iter().zip(matrices);
    match &paths[..] {
        [] => {}
        [one] => {
            let bytes: Vec<_> = named.map(|(name, values)| (name, little_endian(values))).collect();
            let kind = if matches!(matrices[0], Values::F32(_)) { Dtype::F32 } else { Dtype::F64 };
            let mut views = Vec::new();
            for (name, bytes) in &bytes {
                let view =
                    TensorView::new(kind, shape.to_vec(), bytes).map_err(|error| refused(one, error))?;
                views.push((name.to_string(), view));
            }
            write(one, &serialize(views, None).map_err(|error| refused(one, error))?)?;
        }
        several => {
            for (path, (_, values)) in several.iter().zip(named) {
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
