//! Pages that belong to no run: the report on a file lies beside the file.

use std::fs;
use std::path::{Path, PathBuf};

use super::failed;
use crate::error::LabError;
use crate::measured::Question;

/// Where the page of a file lies: `mlp.carnot` → `mlp.html`, and `mlp.load.html` for its load.
#[must_use]
pub fn beside(path: &Path, question: Question) -> PathBuf {
    path.with_extension(match question {
        Question::Check => "html",
        Question::Load => "load.html",
    })
}

/// Where the page on a log lies: `log.csv` → `log.diagnose.html`, beside it; that of a folder too.
#[must_use]
pub fn beside_log(path: &Path) -> PathBuf {
    let mut name =
        path.file_stem().filter(|_| !path.is_dir()).or(path.file_name()).unwrap_or_default().to_os_string();
    name.push(".diagnose.html");
    path.with_file_name(name)
}

/// Where the page of a model goes that may lie in a folder of somebody else: among the runs, which is made if need be.
///
/// # Errors
/// [`LabError::Store`] when the folder cannot be made.
pub fn among(runs: &Path, model: &Path, question: Question) -> Result<PathBuf, LabError> {
    fs::create_dir_all(runs).map_err(|error| failed("create", runs, error))?;
    Ok(beside(&runs.join(model.file_name().unwrap_or_default()), question))
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
