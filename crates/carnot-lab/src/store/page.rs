//! Pages that belong to no run: the report on a file lies beside the file.

use std::fs;
use std::path::{Path, PathBuf};

use super::failed;
use crate::error::LabError;

/// Where the page of a file lies: `mlp.carnot` → `mlp.html`.
#[must_use]
pub fn beside(path: &Path) -> PathBuf {
    path.with_extension("html")
}

/// Where the page of a model goes that may lie in a folder of somebody else: among the runs, which is made if need be.
///
/// # Errors
/// [`LabError::Store`] when the folder cannot be made.
pub fn among(runs: &Path, model: &Path) -> Result<PathBuf, LabError> {
    fs::create_dir_all(runs).map_err(|error| failed("create", runs, error))?;
    Ok(runs.join(model.file_name().unwrap_or_default()).with_extension("html"))
}

/// Writes a page, whole or not at all.
///
/// # Errors
/// [`LabError::Store`] when it cannot be written.
pub fn write(path: &Path, page: &str) -> Result<(), LabError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = path.with_file_name(name);
    fs::write(&part, page).map_err(|error| failed("write", &part, error))?;
    fs::rename(&part, path).map_err(|error| failed("write", path, error))
}
