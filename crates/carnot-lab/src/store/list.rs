//! The list of runs: a scan of headers.

use std::time::SystemTime;

use super::Store;
use super::run::Run;
use crate::drive;
use crate::error::LabError;

/// One line of the list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The characters that name it.
    pub id: String,
    /// The experiment.
    pub verb: String,
    /// What is asked about.
    pub subject: String,
    /// When it was last written to.
    pub touched: Option<SystemTime>,
    /// Where it stands.
    pub state: State,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Finished, with the first line of its report.
    Finished(String),
    /// So many points are there, of so many that are planned at most.
    Unfinished {
        /// Points that are there.
        done: usize,
        /// Jobs of the plan; `None` when it cannot be made.
        of: Option<usize>,
    },
    /// It cannot be read, and why.
    Damaged(String),
}

impl Store {
    /// All runs, the latest first.
    ///
    /// # Errors
    /// [`LabError::Store`] when the folder cannot be listed.
    pub fn list(&self) -> Result<Vec<Listed>, LabError> {
        let folders = self.folders()?;
        let mut listed: Vec<Listed> =
            folders.iter().filter(|folder| self.is_whole(folder)).map(|f| self.line(f)).collect();
        listed.sort_by(|a, b| b.touched.cmp(&a.touched).then_with(|| a.id.cmp(&b.id)));
        Ok(listed)
    }

    fn line(&self, folder: &str) -> Listed {
        match Run::open(self.root.join(folder)) {
            Ok(run) => Listed {
                id: run.id().into(),
                verb: run.header.verb.clone(),
                subject: run.header.subject.clone(),
                touched: run.touched(),
                state: state(&run),
            },
            Err(error) => {
                let mut parts = folder.splitn(3, '-').map(str::to_string);
                let mut next = || parts.next().unwrap_or_default();
                let (id, verb, subject) = (next(), next(), next());
                Listed { id, verb, subject, touched: None, state: State::Damaged(error.to_string()) }
            }
        }
    }
}

fn state(run: &Run) -> State {
    if let Some(report) = run.report() {
        return State::Finished(report.first_line().map(|(words, _)| words).unwrap_or_default());
    }
    match run.points() {
        Ok(points) => {
            let extent = run.question().and_then(|question| drive::extent(&*question, run));
            State::Unfinished { done: points.len(), of: extent.ok().map(|(_, of)| of) }
        }
        Err(error) => State::Damaged(error.to_string()),
    }
}
