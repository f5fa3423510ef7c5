//! Experiments without their type: what the driver and the command line hold in their hands.

use std::marker::PhantomData;
use std::path::PathBuf;

use carnot_report::report::Report;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Experiment, Group, Job, Point, Progress, Tools};
use crate::error::LabError;

/// One row of the table of experiments.
pub trait Verb: Sync {
    /// The word on the command line.
    fn verb(&self) -> &'static str;
    /// The heading it stands under.
    fn group(&self) -> Group;
    /// JSON schema of its specification.
    fn schema(&self) -> Value;
    /// The specification when nothing is given.
    fn defaults(&self) -> Value;
    /// Its keys in the order of its fields, which a JSON object does not keep.
    fn order(&self) -> Vec<String>;
    /// Can these settings be read? The message is serde's.
    ///
    /// # Errors
    /// The message of the reader.
    fn accepts(&self, settings: &Value) -> Result<(), String>;
    /// The question that these settings ask, with everything resolved.
    ///
    /// # Errors
    /// When the settings are not a specification, or cannot be resolved.
    fn ask(&self, settings: Value) -> Result<Box<dyn Question>, LabError>;
}

/// An experiment with its resolved specification.
pub trait Question: Send + Sync {
    /// The word on the command line.
    fn verb(&self) -> &'static str;
    /// The resolved specification.
    fn spec(&self) -> &Value;
    /// What is asked about, in words.
    fn subject(&self) -> String;
    /// See [`Experiment::plan`].
    ///
    /// # Errors
    /// See [`Experiment::plan`].
    fn plan(&self) -> Result<Vec<Job>, LabError>;
    /// See [`Experiment::next`].
    ///
    /// # Errors
    /// See [`Experiment::next`].
    fn next(&self, points: &[Point]) -> Result<Vec<Job>, LabError>;
    /// See [`Experiment::cost`].
    ///
    /// # Errors
    /// See [`Experiment::cost`].
    fn cost(&self) -> Result<Option<String>, LabError>;
    /// See [`Experiment::outputs`].
    fn outputs(&self) -> Vec<PathBuf>;
    /// See [`Experiment::run`].
    ///
    /// # Errors
    /// See [`Experiment::run`].
    fn run(&self, job: &Job, tools: &Tools) -> Result<Value, LabError>;
    /// See [`Experiment::progress`].
    fn progress(&self, points: &[Point]) -> Progress;
    /// See [`Experiment::report`].
    ///
    /// # Errors
    /// See [`Experiment::report`].
    fn report(&self, points: &[Point]) -> Result<Report, LabError>;
}

/// The row of the experiment `E`.
pub struct Row<E>(PhantomData<fn() -> E>);

impl<E> Row<E> {
    /// The row; it holds no data.
    pub const NEW: Row<E> = Row(PhantomData);
}

impl<E: Experiment> Verb for Row<E> {
    fn verb(&self) -> &'static str {
        E::VERB
    }

    fn group(&self) -> Group {
        E::GROUP
    }

    fn schema(&self) -> Value {
        schemars::schema_for!(E::Spec).to_value()
    }

    fn defaults(&self) -> Value {
        serde_json::to_value(E::Spec::default()).expect("a specification is plain data with text keys")
    }

    fn order(&self) -> Vec<String> {
        let text = serde_json::to_string(&E::Spec::default());
        let text = text.expect("a specification is plain data with text keys");
        serde_json::from_str::<Order>(&text).expect("a specification is a table").0
    }

    fn accepts(&self, settings: &Value) -> Result<(), String> {
        serde_json::from_value::<E::Spec>(settings.clone()).map(|_| ()).map_err(|error| error.to_string())
    }

    fn ask(&self, settings: Value) -> Result<Box<dyn Question>, LabError> {
        let spec: E::Spec = serde_json::from_value(settings)
            .map_err(|error| LabError::Spec { verb: E::VERB, message: error.to_string() })?;
        let spec = E::resolve(spec)?;
        let value = serde_json::to_value(&spec).expect("a specification is plain data with text keys");
        Ok(Box::new(Asked::<E> { spec, value }))
    }
}

/// The keys of a JSON object as they stand in its text.
struct Order(Vec<String>);

impl<'de> Deserialize<'de> for Order {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Order, D::Error> {
        deserializer.deserialize_map(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Order;

    fn expecting(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.write_str("a table")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Order, M::Error> {
        let mut keys = Vec::new();
        while let Some((key, _)) = map.next_entry::<String, IgnoredAny>()? {
            keys.push(key);
        }
        Ok(Order(keys))
    }
}

struct Asked<E: Experiment> {
    spec: E::Spec,
    value: Value,
}

impl<E: Experiment> Question for Asked<E> {
    fn verb(&self) -> &'static str {
        E::VERB
    }

    fn spec(&self) -> &Value {
        &self.value
    }

    fn subject(&self) -> String {
        E::subject(&self.spec)
    }

    fn plan(&self) -> Result<Vec<Job>, LabError> {
        E::plan(&self.spec)
    }

    fn next(&self, points: &[Point]) -> Result<Vec<Job>, LabError> {
        E::next(&self.spec, points)
    }

    fn cost(&self) -> Result<Option<String>, LabError> {
        E::cost(&self.spec)
    }

    fn outputs(&self) -> Vec<PathBuf> {
        E::outputs(&self.spec)
    }

    fn run(&self, job: &Job, tools: &Tools) -> Result<Value, LabError> {
        E::run(&self.spec, job, tools)
    }

    fn progress(&self, points: &[Point]) -> Progress {
        E::progress(&self.spec, points)
    }

    fn report(&self, points: &[Point]) -> Result<Report, LabError> {
        E::report(&self.spec, points)
    }
}
