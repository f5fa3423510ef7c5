//! Everything that can go wrong in an experiment, as data. What to do about it is said in [`crate::diagnose`].

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use carnot_kernel::KernelError;
use carnot_models::error::ModelError;
use carnot_net::activation::ActivationError;
use carnot_net::dataset::DataError;
use carnot_net::error::NetworkError;
use carnot_sim::error::SimError;
use carnot_theory::error::TheoryError;

/// A text file that the user wrote, kept for pointing into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path as the user gave it.
    pub path: String,
    /// All of it.
    pub text: Arc<str>,
}

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line: the flag with its dashes, or `NETWORK`.
    Flag(String),
    /// A file, with the bytes of the key or value.
    File(Source, Range<usize>),
    /// Nobody gave it.
    Default,
}

/// Why a command could not answer.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The chain of blocks cannot be simulated.
    #[error(transparent)]
    Chain(#[from] carnot_theory::spring_block::chain::ChainError),
    /// A recording of a real model that cannot be read.
    #[error(transparent)]
    Recording(#[from] carnot_probe::error::ProbeError),
    /// A log of a training that cannot be read.
    #[error(transparent)]
    Log(#[from] carnot_log::error::LogError),
    /// A recording or a run that keeps no loss curve.
    #[error("{what} has no loss curve: {why}")]
    NoCurve {
        /// The recording, or the folder of the run.
        what: String,
        /// Why.
        why: String,
    },
    /// An ONNX model that cannot be read or run.
    #[error(transparent)]
    Onnx(#[from] carnot_onnx::error::OnnxError),
    /// An ONNX model, and this program was built without the runtime.
    #[error("this carnot was built without the runtime that {} needs", path.display())]
    NoRuntime {
        /// The model.
        path: PathBuf,
    },
    /// A load curve is asked of what does not run.
    #[error("{given} is {what}: a load curve is read from a model that runs on labelled inputs")]
    NothingRuns {
        /// As typed.
        given: String,
        /// What it is: `a description of a network`, `weights alone`.
        what: &'static str,
    },
    /// A word that is no command.
    #[error("there is no command `{word}`")]
    UnknownVerb {
        /// As typed.
        word: String,
        /// The nearest command.
        nearest: Option<String>,
    },
    /// A word about which nothing is written.
    #[error("nothing is written about `{word}`")]
    UnknownWord {
        /// As typed.
        word: String,
        /// The nearest word.
        nearest: Option<String>,
    },
    /// A key that the experiment does not have.
    #[error("no key \"{key}\" in a {verb} file")]
    UnknownKey {
        /// As written.
        key: String,
        /// The experiment.
        verb: &'static str,
        /// The nearest key.
        nearest: Option<String>,
        /// Where.
        origin: Origin,
    },
    /// A value that its key does not take.
    #[error("{key} cannot be {shown}{}", because(message))]
    WrongValue {
        /// The key.
        key: String,
        /// The value as written, shortened.
        shown: String,
        /// Why, in words; empty when it is merely of another kind.
        message: String,
        /// What the key takes, in words.
        accepts: String,
        /// The nearest of the words that it takes.
        nearest: Option<String>,
        /// Where.
        origin: Origin,
    },
    /// A value of the right kind, out of its range or at odds with another one. Raised by `resolve` and `plan`.
    #[error("{key} = {value} is out of range: it must be {range}")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What it may be.
        range: String,
    },
    /// A setting without which the question makes no sense.
    #[error("{verb} needs {key}")]
    MissingKey {
        /// The key.
        key: &'static str,
        /// The experiment.
        verb: &'static str,
    },
    /// A setting of shorthands, given for a network that is written out.
    #[error("{key} only applies to a shorthand such as 784-128x50-10")]
    ShorthandOnly {
        /// The key.
        key: &'static str,
    },
    /// The file belongs to another experiment.
    #[error("this file is for `carnot {found}`, not `carnot {asked}`")]
    OtherExperiment {
        /// What the file says.
        found: String,
        /// The command that was typed.
        asked: &'static str,
        /// Where it says so.
        origin: Origin,
    },
    /// The file is not TOML.
    #[error("{message}")]
    Toml {
        /// What the TOML reader said.
        message: String,
        /// Where.
        origin: Origin,
    },
    /// Settings that do not make a specification, from a run or a job file rather than from a person.
    #[error("the settings are not those of {verb}: {message}")]
    Spec {
        /// The experiment.
        verb: &'static str,
        /// What the reader said.
        message: String,
    },
    /// A file of settings cannot be read.
    #[error("cannot read {path}: {error}")]
    File {
        /// The path.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file of settings that is no text of a sensible length.
    #[error("{path} is no file of settings: {why}")]
    NotSettings {
        /// The path.
        path: String,
        /// What it is instead.
        why: &'static str,
    },
    /// Neither a shorthand nor a file.
    #[error("`{text}` is neither a shorthand such as 784-128x50-10 nor a file")]
    NoNetwork {
        /// As typed.
        text: String,
        /// A file of a similar name.
        nearest: Option<String>,
    },
    /// A network cannot be read or built.
    #[error("{error}")]
    Network {
        /// What is wrong.
        error: NetworkError,
        /// The file that describes it, when there is one.
        file: Option<Source>,
    },
    /// An activation cannot be read.
    #[error(transparent)]
    Activation(#[from] ActivationError),
    /// Data cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A trained model cannot be read.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A sample of another size than the network takes.
    #[error("a sample of {data} has {} numbers, the network takes {}", sample.iter().product::<usize>(), network.iter().product::<usize>())]
    DataShape {
        /// The data.
        data: String,
        /// Shape of one sample.
        sample: Vec<usize>,
        /// Shape that the network takes.
        network: Vec<usize>,
    },
    /// Theory has no answer at all.
    #[error(transparent)]
    Theory(#[from] TheoryError),
    /// The simulation was not started.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// A stored answer or a job is not of the shape that the experiment writes.
    #[error("the answer to job `{job}` cannot be read: {message}")]
    Answer {
        /// The job.
        job: String,
        /// What the reader said.
        message: String,
    },
    /// The folder of runs refuses.
    #[error("cannot {action} {}: {error}", path.display())]
    Store {
        /// `create`, `write`, `read`, `list`, `rename`, `remove`.
        action: &'static str,
        /// What.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A run whose header cannot be read.
    #[error("{} is not a run that can be read: {message}", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// No run of that name.
    #[error("no run starts with `{prefix}` in {}", root.display())]
    NoRun {
        /// As typed.
        prefix: String,
        /// Where was looked.
        root: PathBuf,
        /// How many runs there are.
        runs: usize,
    },
    /// Several runs of that name.
    #[error("{} runs start with `{prefix}`", matches.len())]
    AmbiguousRun {
        /// As typed.
        prefix: String,
        /// Their folders.
        matches: Vec<String>,
    },
    /// A job file that is not one.
    #[error("{path} is not a job: {message}")]
    JobFile {
        /// The path.
        path: String,
        /// What the reader said.
        message: String,
    },
    /// A kernel on data cannot be computed.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Work that does not fit into memory.
    #[error("{what} needs {}, and {} may be used", gib(*needed), gib(*available))]
    TooLarge {
        /// What does not fit.
        what: String,
        /// Bytes it needs.
        needed: f64,
        /// Bytes that may be used.
        available: f64,
        /// What would fit.
        fits: String,
    },
    /// A file of results cannot be written.
    #[error("cannot write {path}: {message}")]
    Output {
        /// The path.
        path: String,
        /// What the system said.
        message: String,
    },
    /// Worker threads cannot be started.
    #[error("cannot start {threads} threads: {message}")]
    Threads {
        /// How many were wanted.
        threads: usize,
        /// What the system said.
        message: String,
    },
}

impl From<NetworkError> for LabError {
    fn from(error: NetworkError) -> LabError {
        LabError::Network { error, file: None }
    }
}

/// Bytes in words: `3.2 GiB`, `850 MiB`.
pub(crate) fn gib(bytes: f64) -> String {
    let significant = carnot_report::number::significant;
    match bytes / crate::memory::GIB {
        gib if gib >= 1024.0 => format!("{} TiB", significant(gib / 1024.0, 3)),
        gib if gib >= 1.0 => format!("{} GiB", significant(gib, 3)),
        gib => format!("{} MiB", significant(gib * 1024.0, 3)),
    }
}

fn because(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
