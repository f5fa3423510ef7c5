//! What an experiment is, and the table of experiments.
//!
//! To add one: write `experiments/<name>.rs` with a type that implements [`Experiment`], declare the module, and add its
//! line to `experiments!` below. Verb, flags, TOML keys, JSON schema, `carnot new`, progress and resume follow from that.

use std::any::Any;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use carnot_report::report::Report;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::LabError;

pub mod border;
pub mod check;
pub mod ensemble;
pub mod kernel;
pub mod phase;
pub mod predict;
pub mod prune;
pub mod question;
pub mod transfer;
pub mod tune;
use question::Verb;

/// One question Carnot can answer, as pure functions over plain data.
///
/// The specification is flat: one field with one doc comment is a flag (`c_w` → `--c-w`), a TOML key, an entry of the
/// JSON schema, a line of `carnot new` and a row of the book. The doc comment of the specification itself is the
/// command's help; its first line stands in the list of commands. A field `network` is given without a flag.
pub trait Experiment: 'static {
    /// The word on the command line: `predict`.
    const VERB: &'static str;
    /// The heading it stands under in the list of commands.
    const GROUP: Group;
    /// All settings with their defaults.
    type Spec: Serialize + DeserializeOwned + JsonSchema + Default + Send + Sync;

    /// Fills in everything that was left implicit: networks, data and initialisation become plain data. Idempotent.
    ///
    /// # Errors
    /// When a setting is out of its range, or a file that it names cannot be read.
    fn resolve(spec: Self::Spec) -> Result<Self::Spec, LabError>;

    /// What is asked about, in the words of a report's first line: `784-128x50-10, tanh, PyTorch default init`.
    /// It also names the folder of the run.
    fn subject(_spec: &Self::Spec) -> String {
        String::new()
    }

    /// The first jobs in order (see [`Experiment::next`] for more); their number and names depend on the specification alone. Pure.
    ///
    /// # Errors
    /// When the specification asks for something impossible.
    fn plan(spec: &Self::Spec) -> Result<Vec<Job>, LabError>;

    /// Jobs to do beside those done so far, once all of them have landed; none when the answer needs no more. Pure, and so the same
    /// when a run is taken up again: it depends on the specification and the points alone.
    ///
    /// * `points`: of all jobs so far, in their order
    ///
    /// # Errors
    /// When a stored point cannot be read.
    fn next(_spec: &Self::Spec, _points: &[Point]) -> Result<Vec<Job>, LabError> {
        Ok(Vec::new())
    }

    /// What the work will cost, in words: memory and time, said before it starts. `None` where it is a matter of seconds.
    ///
    /// # Errors
    /// When the work cannot be done at all: the reason, with what would fit.
    fn cost(_spec: &Self::Spec) -> Result<Option<String>, LabError> {
        Ok(None)
    }

    /// Files that the jobs write beside their answers. A kept answer whose files are gone is made again.
    fn outputs(_spec: &Self::Spec) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Does one job. Pure: the same specification and job give the same bits, whatever ran before or beside it.
    ///
    /// # Errors
    /// Whatever the instruments below could not do.
    fn run(spec: &Self::Spec, job: &Job, tools: &Tools) -> Result<Value, LabError>;

    /// How good the answer is after `points`, which answer the first jobs of the plan in order.
    ///
    /// When it says done, later jobs are not run and do not enter the report.
    fn progress(_spec: &Self::Spec, _points: &[Point]) -> Progress {
        Progress::default()
    }

    /// The answer from any subset of points, in the order of the plan. Pure.
    ///
    /// # Errors
    /// When a stored point cannot be read, or theory cannot be evaluated.
    fn report(spec: &Self::Spec, points: &[Point]) -> Result<Report, LabError>;
}

/// Headings of the list of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Is it healthy?
    Ask,
    /// From theory.
    Predict,
    /// From samples.
    Simulate,
    /// From a model that exists.
    Measure,
    /// Makes a network.
    Build,
}

impl Group {
    /// As printed.
    pub fn words(self) -> &'static str {
        match self {
            Group::Ask => "ask",
            Group::Predict => "predict",
            Group::Simulate => "simulate",
            Group::Measure => "measure",
            Group::Build => "build",
        }
    }
}

/// A piece of work that can be done anywhere, in any order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Its name, unique in the plan: `members 0-31`.
    pub id: String,
    /// Its coordinates: member range, layer, rate, …
    pub at: Value,
}

impl Job {
    /// A job named `id` with coordinates `at`.
    pub fn new(id: impl Into<String>, at: impl Serialize) -> Job {
        let at = serde_json::to_value(at).expect("coordinates are plain data with text keys");
        Job { id: id.into(), at }
    }

    /// The coordinates as the type they were made from.
    ///
    /// # Errors
    /// [`LabError::Answer`] when they are of another shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, LabError> {
        read(&self.id, &self.at)
    }
}

/// The answer to one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Name of the job.
    pub job: String,
    /// The answer. Finite numbers keep every bit; others are `null`.
    pub value: Value,
}

impl Point {
    /// The answer as the type it was made from.
    ///
    /// # Errors
    /// [`LabError::Answer`] when it is of another shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, LabError> {
        read(&self.job, &self.value)
    }
}

fn read<T: DeserializeOwned>(job: &str, value: &Value) -> Result<T, LabError> {
    T::deserialize(value).map_err(|error| LabError::Answer { job: job.into(), message: error.to_string() })
}

/// How good the answer is so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The asked precision is reached: no more jobs are needed.
    pub is_done: bool,
    /// The worst estimate, in words: `worst estimate kernel ± 2.3 %, stops at ± 2 %`. May be empty.
    pub words: String,
}

/// What a job may use beside its specification: a place to say how far it is, and a memory shared between jobs.
pub struct Tools<'a> {
    step: &'a (dyn Fn(&Step) + Sync),
    shared: Mutex<HashMap<String, Arc<dyn Any + Send + Sync>>>,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is being counted: `training as it is`.
    pub what: String,
    /// Done so far.
    pub done: u64,
    /// Of how many.
    pub of: u64,
}

impl<'a> Tools<'a> {
    /// Tools that report steps to `step`.
    pub fn new(step: &'a (dyn Fn(&Step) + Sync)) -> Tools<'a> {
        Tools { step, shared: Mutex::default() }
    }

    /// Tools of a worker that nobody watches.
    pub fn silent() -> Tools<'static> {
        Tools::new(&|_| {})
    }

    /// Says how far the job is; cheap enough for every training step.
    pub fn step(&self, what: &str, done: u64, of: u64) {
        (self.step)(&Step { what: what.into(), done, of });
    }

    /// The value kept under `key`, made by `make` when no job has made it yet: a data set, a theory curve.
    ///
    /// Two jobs that ask at the same moment may both make it; the first one kept is used by both.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn shared<T: Any + Send + Sync>(
        &self,
        key: &str,
        make: impl FnOnce() -> Result<T, LabError>,
    ) -> Result<Arc<T>, LabError> {
        if let Some(kept) = self.kept(key) {
            return Ok(kept);
        }
        // Made without holding the lock: a job that waits inside a parallel loop may be given another job to do,
        // which would then wait for the lock that its own thread holds.
        let made: Arc<T> = Arc::new(make()?);
        let mut shared = self.shared.lock().expect("no job panics while it holds this lock");
        let kept = shared.entry(key.into()).or_insert_with(|| made.clone()).clone();
        Ok(kept.downcast().unwrap_or(made))
    }

    fn kept<T: Any + Send + Sync>(&self, key: &str) -> Option<Arc<T>> {
        let shared = self.shared.lock().expect("no job panics while it holds this lock");
        shared.get(key)?.clone().downcast().ok()
    }
}

/// Makes the table of verbs from the list of experiments.
macro_rules! experiments {
    ($( $module:ident :: $experiment:ident ),* $(,)?) => {
        /// Every experiment, in the order of the list of commands.
        pub const VERBS: &[&dyn Verb] = &[ $( &question::Row::<$module::$experiment>::NEW ),* ];
    };
}

experiments! {
    check::Check,
    predict::Predict,
    kernel::Kernel,
    ensemble::Ensemble,
    phase::Phase,
    border::Border,
    transfer::Transfer,
    tune::Tune,
    prune::Prune,
}

/// The experiment of that verb.
///
/// # Errors
/// [`LabError::UnknownVerb`] with the nearest one.
pub fn verb(word: &str) -> Result<&'static dyn Verb, LabError> {
    VERBS.iter().find(|row| row.verb() == word).copied().ok_or_else(|| {
        let known: Vec<&str> = VERBS.iter().map(|row| row.verb()).collect();
        LabError::UnknownVerb { word: word.into(), nearest: crate::spec::nearest(word, &known) }
    })
}
