//! One folder of `runs/`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use carnot_report::report::Report;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::failed;
use super::points;
use crate::error::LabError;
use crate::experiments::question::Question;
use crate::experiments::{Point, verb};
use crate::spec::canonical;

/// Name of the file with the specification.
pub const HEADER: &str = "spec.json";

/// What was asked, as kept in `spec.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the meaning of specifications.
    pub schema: String,
    /// BLAKE3 of version, verb and canonical specification.
    pub identity: String,
    /// The experiment.
    pub verb: String,
    /// What is asked about, in words.
    pub subject: String,
    /// The command that asked first.
    pub command: String,
    /// Version of Carnot that asked first.
    pub version: String,
    /// The resolved specification.
    pub spec: Value,
}

impl Header {
    /// The header of a question.
    pub fn new(question: &dyn Question, identity: &str, command: &str) -> Header {
        Header {
            schema: canonical::VERSION.into(),
            identity: identity.into(),
            verb: question.verb().into(),
            subject: question.subject(),
            command: command.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            spec: question.spec().clone(),
        }
    }
}

/// A run and its folder.
#[derive(Clone, Debug)]
pub struct Run {
    folder: PathBuf,
    /// Made by this process, and the folder of runs with it?
    is_new: bool,
    is_first: bool,
    /// What was asked.
    pub header: Header,
}

impl Run {
    /// Creates the folder with its header.
    pub(super) fn create(folder: PathBuf, header: Header) -> Result<Run, LabError> {
        let is_first = !folder.parent().is_some_and(Path::exists);
        fs::create_dir_all(&folder).map_err(|error| failed("create", &folder, error))?;
        let run = Run { folder, is_new: true, is_first, header };
        let mut text =
            serde_json::to_string_pretty(&run.header).expect("a header is plain data with text keys");
        text.push('\n');
        let written = run.replace(HEADER, text.as_bytes());
        if written.is_err() {
            run.remove_empty();
        }
        written.map(|()| run)
    }

    /// Opens the folder of a run.
    ///
    /// # Errors
    /// [`LabError::Store`] when the header cannot be read, [`LabError::Damaged`] when it is not one.
    pub(super) fn open(folder: PathBuf) -> Result<Run, LabError> {
        let path = folder.join(HEADER);
        let text = fs::read_to_string(&path).map_err(|error| failed("read", &path, error))?;
        let damaged = |message| LabError::Damaged { path: folder.clone(), message };
        let header: Header = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if header.schema != canonical::VERSION {
            return Err(damaged(format!(
                "it is of version {}, this program reads {}",
                header.schema,
                canonical::VERSION
            )));
        }
        if canonical::identity(&header.verb, &header.spec) != header.identity {
            return Err(damaged(
                "its specification was changed by hand and is no longer what the run computed".into(),
            ));
        }
        Ok(Run { folder, is_new: false, is_first: false, header })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The characters that name it: `3f9c2a`.
    pub fn id(&self) -> &str {
        let name = self.folder.file_name().and_then(|name| name.to_str()).unwrap_or("");
        name.split('-').next().unwrap_or("")
    }

    /// The question it answers.
    ///
    /// # Errors
    /// When this program does not know the experiment, or its specification has changed.
    pub fn question(&self) -> Result<Box<dyn Question>, LabError> {
        verb(&self.header.verb)?.ask(self.header.spec.clone())
    }

    /// Where the page lies.
    pub fn page(&self) -> PathBuf {
        self.folder.join("report.html")
    }

    /// The points that are there, each job once.
    ///
    /// # Errors
    /// [`LabError::Store`] when they cannot be read.
    pub fn points(&self) -> Result<Vec<Point>, LabError> {
        points::read(&self.folder.join(points::FILE))
    }

    /// Adds points from now on.
    ///
    /// # Errors
    /// [`LabError::Store`] when the file cannot be opened for writing.
    pub fn append(&self) -> Result<points::Appender, LabError> {
        points::Appender::open(self.folder.join(points::FILE))
    }

    /// The finished report, if it is there and readable.
    pub fn report(&self) -> Option<Report> {
        let text = fs::read_to_string(self.folder.join("report.json")).ok()?;
        carnot_report::json::from_str(&text).ok()
    }

    /// Keeps the finished report, as data and as a page.
    ///
    /// # Errors
    /// [`LabError::Store`].
    pub fn keep(&self, report: &Report, page: Option<&str>) -> Result<(), LabError> {
        if let Some(page) = page {
            self.replace("report.html", page.as_bytes())?;
        }
        // Last, since its being there says that the run is finished.
        self.replace("report.json", carnot_report::json::to_string(report).as_bytes())
    }

    /// Forgets points and report, so that everything is done again.
    ///
    /// # Errors
    /// [`LabError::Store`].
    pub fn clear(&self) -> Result<(), LabError> {
        for name in ["report.json", "report.html", points::FILE] {
            let path = self.folder.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed("remove", &path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes a run that this process made and in which nothing has landed, so that an error leaves nothing behind.
    pub fn abandon(&self) {
        let is_empty = self.points().is_ok_and(|points| points.is_empty());
        if self.is_new && is_empty {
            for name in [points::FILE, "log.jsonl", HEADER] {
                let _ = fs::remove_file(self.folder.join(name));
            }
            self.remove_empty();
        }
    }

    /// Folders go only when they are empty, so that nothing of anybody else's is lost.
    fn remove_empty(&self) {
        let _ = fs::remove_dir(&self.folder);
        if let Some(root) = self.folder.parent().filter(|_| self.is_first) {
            let _ = fs::remove_dir(root);
        }
    }

    /// Notes when it was worked on. Losing the note loses nothing, so a failure is not an error.
    pub fn log(&self, note: &Value) {
        let file = OpenOptions::new().append(true).create(true).open(self.folder.join("log.jsonl"));
        if let Ok(mut file) = file {
            let _ = file.write_all(format!("{note}\n").as_bytes());
        }
    }

    /// When it was last written to.
    pub fn touched(&self) -> Option<SystemTime> {
        let names = [HEADER, points::FILE, "report.json"];
        let times =
            names.iter().filter_map(|name| fs::metadata(self.folder.join(name)).ok()?.modified().ok());
        times.max()
    }

    /// Writes a file under another name in the same folder, then renames it: a reader sees the old or the new one whole.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), LabError> {
        let path = self.folder.join(name);
        let wrong = |error: std::io::Error| failed("write", &path, error);
        // It removes itself when anything fails before the rename.
        let mut file = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .permissions_if_unix()
            .tempfile_in(&self.folder)
            .map_err(wrong)?;
        file.write_all(bytes).map_err(wrong)?;
        file.persist(&path).map_err(|error| wrong(error.error))?;
        Ok(())
    }
}

/// Readable by others as any file that a person writes; the default of temporary files is the owner only.
trait Permissions {
    fn permissions_if_unix(&mut self) -> &mut Self;
}

impl Permissions for tempfile::Builder<'_, '_> {
    #[cfg(unix)]
    fn permissions_if_unix(&mut self) -> &mut Self {
        use std::os::unix::fs::PermissionsExt;
        self.permissions(fs::Permissions::from_mode(0o644))
    }

    #[cfg(not(unix))]
    fn permissions_if_unix(&mut self) -> &mut Self {
        self
    }
}
