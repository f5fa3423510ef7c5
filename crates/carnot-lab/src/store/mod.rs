//! `runs/`: plain files, one folder a run, named by what was asked.
//!
//! ```text
//! runs/3f9c2a-ensemble-784-128x50-10-tanh/
//!   spec.json       the resolved specification, its identity, and the command that asked first
//!   points.jsonl    one line a finished job, append-only
//!   log.jsonl       when it was worked on and for how long; nothing of it enters a report
//!   report.json     written when the last point is there, by rename
//!   report.html     made from report.json alone
//! ```
//!
//! Nothing is ever locked or rewritten. A line of points is one write with a checksum; lines that are torn, foreign or
//! repeated are passed over. So two processes may work on one run, and a run killed at any moment goes on from its last
//! whole line.

pub mod list;
pub mod page;
pub mod points;
pub mod run;

use std::io;
use std::path::{Path, PathBuf};

use crate::error::LabError;
use crate::experiments::question::Question;
use crate::spec::canonical;
use run::{Header, Run};

/// Characters of an identity that name a run, unless two runs share them.
const SHORT: usize = 6;

/// The folder of runs.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store in `root`, which is created when the first run is.
    pub fn new(root: impl Into<PathBuf>) -> Store {
        Store { root: root.into() }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The run of a question, created if it is not there; `command` is kept with a new one.
    ///
    /// # Errors
    /// [`LabError::Store`] when the folder refuses.
    pub fn open(&self, question: &dyn Question, command: &str) -> Result<Run, LabError> {
        let identity = canonical::identity(question.verb(), question.spec());
        if let Some(run) = self.known(&identity)? {
            return Ok(run);
        }
        let header = Header::new(question, &identity, command);
        let id = self.free_id(&identity)?;
        let folder = format!("{id}-{}{}", header.verb, slug(&header.subject));
        Run::create(self.root.join(folder), header)
    }

    /// A run that can be read by the whole identity.
    fn known(&self, identity: &str) -> Result<Option<Run>, LabError> {
        for folder in self.folders()? {
            if starts_alike(&folder, identity)
                && let Ok(run) = Run::open(self.root.join(&folder))
                && run.header.identity == identity
            {
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    /// The shortest start of the identity that names no other run.
    fn free_id(&self, identity: &str) -> Result<String, LabError> {
        let folders = self.folders()?;
        let is_free = |length: &usize| {
            let start = format!("{}-", &identity[..*length]);
            !folders.iter().any(|folder| folder.starts_with(&start) && self.is_whole(folder))
        };
        let length = (SHORT..identity.len()).find(is_free).unwrap_or(identity.len());
        Ok(identity[..length].to_string())
    }

    /// A folder without a header was left by a process that died in creating it, and is taken over.
    fn is_whole(&self, folder: &str) -> bool {
        self.root.join(folder).join(run::HEADER).exists()
    }

    /// The run whose folder starts with `prefix`.
    ///
    /// # Errors
    /// [`LabError::NoRun`], [`LabError::AmbiguousRun`], or what opening it says.
    pub fn find(&self, prefix: &str) -> Result<Run, LabError> {
        let folders = self.folders()?;
        // Also a pasted path, with or without the file at its end.
        let prefix =
            prefix.trim_end_matches("/report.html").trim_end_matches("/report.json").trim_end_matches('/');
        let prefix = prefix.rsplit('/').next().unwrap_or(prefix);
        let is_run =
            |folder: &&String| !prefix.is_empty() && folder.starts_with(prefix) && self.is_whole(folder);
        let exact = folders.iter().find(|folder| folder.as_str() == prefix);
        let matches: Vec<&String> = match exact {
            Some(exact) => vec![exact],
            None => folders.iter().filter(is_run).collect(),
        };
        match matches[..] {
            [only] => Run::open(self.root.join(only)),
            [] => {
                let runs = folders.iter().filter(|folder| self.is_whole(folder)).count();
                Err(LabError::NoRun { prefix: prefix.into(), root: self.root.clone(), runs })
            }
            _ => {
                let matches = matches.into_iter().cloned().collect();
                Err(LabError::AmbiguousRun { prefix: prefix.into(), matches })
            }
        }
    }

    /// Names of the folders that look like runs, sorted.
    fn folders(&self) -> Result<Vec<String>, LabError> {
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("list", &self.root, error)),
        };
        let name = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
        let mut names: Vec<String> = entries.filter_map(name).filter(|name| looks_like_run(name)).collect();
        names.sort();
        Ok(names)
    }
}

fn looks_like_run(name: &str) -> bool {
    let id = name.split('-').next().unwrap_or("");
    id.len() >= SHORT && id.len() < name.len() && id.chars().all(|c| c.is_ascii_hexdigit())
}

fn starts_alike(folder: &str, identity: &str) -> bool {
    folder.split('-').next().is_some_and(|id| identity.starts_with(id))
}

/// `-784-128x50-10-tanh` from a subject: what a folder name may hold everywhere, at most 40 characters.
fn slug(subject: &str) -> String {
    let mut slug = String::new();
    for c in subject.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let cut: String = slug.trim_matches('-').chars().take(40).collect();
    let cut = cut.trim_end_matches('-');
    if cut.is_empty() { String::new() } else { format!("-{cut}") }
}

pub(crate) fn failed(action: &'static str, path: &Path, error: io::Error) -> LabError {
    LabError::Store { action, path: path.into(), error }
}
