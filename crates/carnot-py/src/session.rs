//! Readings of a model while it trains: calls come in as arrays, numbers stay, a recording is written.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Mutex;

use carnot_lab::error::LabError;
use carnot_lab::measured::{self, Question};
use carnot_probe::call::{Call, Role, Told, WeightStats};
use carnot_probe::error::ProbeError;
use carnot_probe::reading::StepReading;
use carnot_probe::recording::{self, Header, Recording, Writer};
use carnot_probe::session::{Pool, Session as Readings, Settings};
use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::de::DeserializeOwned;

use crate::failure::raised;
use crate::report::Report;

/// Numbers that are kept in memory, about 100 bytes each; beyond it every second step is dropped. The file keeps all.
const KEPT: usize = 2_000_000;

type Array<'py> = PyReadonlyArray1<'py, f32>;

/// One call, as its Python object says.
#[derive(FromPyObject)]
struct Given<'py> {
    name: String,
    kind: String,
    index: u32,
    role: String,
    positions: usize,
    width: usize,
    features: Array<'py>,
    input: Option<Array<'py>>,
    gradient: Option<Array<'py>>,
    /// JSON of [`WeightStats`].
    weights: Option<String>,
    classifier: Option<Array<'py>>,
    /// Name, value, error of what only the caller can know.
    told: Vec<(String, f64, Option<f64>)>,
}

impl<'py> Given<'py> {
    fn told(&self) -> Vec<Told<'_>> {
        self.told.iter().map(|(name, value, error)| Told { name, value: *value, error: *error }).collect()
    }

    fn call<'a>(&'a self, told: &'a [Told<'a>]) -> PyResult<Call<'a>> {
        Ok(Call {
            name: &self.name,
            kind: &self.kind,
            index: self.index,
            role: word::<Role>(&self.role)?,
            positions: self.positions,
            width: self.width,
            features: slice(&self.features)?,
            input: self.input.as_ref().map(slice).transpose()?,
            gradient: self.gradient.as_ref().map(slice).transpose()?,
            weights: self.weights.as_deref().map(parsed::<WeightStats>).transpose()?,
            classifier: self.classifier.as_ref().map(slice).transpose()?,
            told,
        })
    }
}

fn slice<'a>(array: &'a Array<'_>) -> PyResult<&'a [f32]> {
    array.as_slice().map_err(|_| PyValueError::new_err("an array of a call is not contiguous"))
}

fn parsed<T: DeserializeOwned>(text: &str) -> PyResult<T> {
    serde_json::from_str(text).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// A value that is one word in JSON.
fn word<T: DeserializeOwned>(text: &str) -> PyResult<T> {
    let value = serde_json::Value::from_str(&format!("{text:?}"));
    value.and_then(serde_json::from_value).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// The readings of one model on one probe.
#[pyclass(frozen, module = "carnot._native")]
pub struct Session {
    inside: Mutex<Inside>,
}

struct Inside {
    readings: Readings,
    run: Recording,
    writer: Option<Writer>,
}

#[pymethods]
impl Session {
    /// * `header`: JSON of a recording's first line
    /// * `labels`: class of each sample, or of each position of each sample
    /// * `path`: where the recording is written; `None` writes none
    /// * `pool`: mean, first or flatten
    #[new]
    #[pyo3(signature = (header, samples, labels=None, path=None, pool="mean"))]
    fn new(
        py: Python<'_>,
        header: &str,
        samples: usize,
        labels: Option<Vec<u32>>,
        path: Option<PathBuf>,
        pool: &str,
    ) -> PyResult<Session> {
        let header: Header = parsed(header)?;
        let settings = Settings { pool: word::<Pool>(pool)?, ..Settings::default() };
        let refuse = |error: ProbeError| raised(py, &LabError::from(error));
        let readings = Readings::new(labels, samples, settings).map_err(refuse)?;
        let writer = path.map(|path| Writer::create(&path, &header)).transpose().map_err(refuse)?;
        let run = Recording { header, steps: Vec::new(), thinned: 1, is_torn: false };
        Ok(Session { inside: Mutex::new(Inside { readings, run, writer }) })
    }

    /// Reads the calls of one step at once; a call that does not fit its shape is an error.
    #[pyo3(signature = (step, loss, calls))]
    fn read(&self, py: Python<'_>, step: u64, loss: Option<f64>, calls: Vec<Given<'_>>) -> PyResult<()> {
        let told: Vec<Vec<Told>> = calls.iter().map(Given::told).collect();
        let pairs = calls.iter().zip(&told);
        let calls: Vec<Call> = pairs.map(|(given, told)| given.call(told)).collect::<PyResult<_>>()?;
        let read = || -> Result<(), ProbeError> {
            let mut inside = self.inside.lock().expect("no reading panics while it holds this lock");
            let reading = inside.readings.read(step, loss, &calls)?;
            let written = inside.writer.as_mut().map_or(Ok(()), |writer| writer.write(&reading));
            inside.keep(reading);
            written
        };
        py.detach(read).map_err(|error| raised(py, &LabError::from(error)))
    }

    /// Everything that is kept, as JSON: one entry a step.
    fn readings(&self, py: Python<'_>) -> String {
        py.detach(|| serde_json::to_string(&self.lock().run.steps).expect("readings are plain data"))
    }

    /// What the readings say of the model; against the recording of a healthy one, where that is given.
    ///
    /// * `word`: `check` for which layer is the problem, `load` for which layers carry the load
    #[pyo3(signature = (reference=None, word="check"))]
    fn report(&self, py: Python<'_>, reference: Option<PathBuf>, word: &str) -> PyResult<Report> {
        let question = asked(word)?;
        let write = || -> Result<Report, ProbeError> {
            let reference = reference.as_deref().map(recording::read).transpose()?;
            Ok(Report::new(question.report(&self.lock().run, reference.as_ref(), "carnot.watch(…)")))
        };
        py.detach(write).map_err(|error| raised(py, &LabError::from(error)))
    }

    /// Writes what is kept as a recording of its own.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let write = || -> Result<(), ProbeError> {
            let inside = self.lock();
            let mut writer = Writer::create(&path, &inside.run.header)?;
            inside.run.steps.iter().try_for_each(|reading| writer.write(reading))
        };
        py.detach(write).map_err(|error| raised(py, &LabError::from(error)))
    }
}

impl Session {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.inside.lock().expect("no reading panics while it holds this lock")
    }
}

impl Inside {
    fn keep(&mut self, reading: StepReading) {
        let numbers = |step: &StepReading| step.layers.iter().map(|layer| layer.values.len()).sum::<usize>();
        self.run.steps.push(reading);
        let total: usize = self.run.steps.iter().map(numbers).sum();
        if total > KEPT && self.run.steps.len() > 2 {
            let last = self.run.steps.pop();
            let mut at = 0;
            self.run.steps.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.run.steps.extend(last);
            self.run.thinned *= 2;
        }
    }
}

/// The report of a recording, against that of a healthy run where one is given.
///
/// * `word`: as for [`Session::report`]
#[pyfunction]
#[pyo3(signature = (path, reference=None, word="check"))]
pub fn recording_report(
    py: Python<'_>,
    path: PathBuf,
    reference: Option<PathBuf>,
    word: &str,
) -> PyResult<Report> {
    let question = asked(word)?;
    let against = reference.as_ref().map_or(String::new(), |path| format!(" --reference {}", path.display()));
    let command = format!("carnot {word} {}{against}", path.display());
    let report = py.detach(|| measured::ask(question, &path, reference.as_deref(), &command));
    report.map(Report::new).map_err(|error| raised(py, &error))
}

fn asked(word: &str) -> PyResult<Question> {
    let known = [Question::Check, Question::Load].into_iter().find(|question| question.word() == word);
    known.ok_or_else(|| pyo3::exceptions::PyValueError::new_err(format!("no question is called {word}")))
}
