//! Layer × observable, with errors: the one table in which theory and measurement meet.

use crate::observables::{Missing, TABLE};
use crate::reading::{Labels, Reading};
use carnot_math::stats::Estimate;
use serde::{Deserialize, Serialize};

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Predicted.
    Theory,
    /// Sampled over an ensemble of networks.
    Ensemble,
    /// Measured on one model.
    Model,
}

/// One cell: a number with its error, or the reason why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    /// Known, and how well.
    Known(Estimate),
    /// Not known, because …
    Missing(String),
}

impl Cell {
    /// The number, where known.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        match self {
            Cell::Known(estimate) => Some(estimate.value),
            Cell::Missing(_) => None,
        }
    }

    /// A number that is exact.
    #[must_use]
    pub fn exact(value: f64) -> Cell {
        if value.is_finite() {
            return Cell::Known(Estimate::exact(value));
        }
        Cell::Missing("not finite".to_string())
    }
}

/// One observable for every layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Name of the observable.
    pub name: String,
    /// Symbol, as printed.
    pub symbol: String,
    /// One cell per layer.
    pub cells: Vec<Cell>,
}

/// Readings of all layers, reduced to observables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Who says it.
    pub source: Source,
    /// Training step.
    pub step: u64,
    /// Names of the layers.
    pub layers: Vec<String>,
    /// The columns.
    pub columns: Vec<Column>,
}

impl Profile {
    /// Every observable of every reading. Layers without a reading carry the reason.
    #[must_use]
    pub fn of_readings(
        source: Source,
        step: u64,
        readings: &[(String, Result<Reading, String>)],
        labels: Labels,
    ) -> Profile {
        let cell = |reading: &Result<Reading, String>, of: fn(&Reading, Labels) -> Result<f64, Missing>| {
            match reading.as_ref().map(|reading| of(reading, labels)) {
                Ok(Ok(value)) => Cell::exact(value),
                Ok(Err(missing)) => Cell::Missing(missing.to_string()),
                Err(why) => Cell::Missing(why.clone()),
            }
        };
        let column = |observable: &crate::observables::Observable| Column {
            name: observable.name.to_string(),
            symbol: observable.symbol.to_string(),
            cells: readings.iter().map(|(_, reading)| cell(reading, observable.of)).collect(),
        };
        let layers = readings.iter().map(|(name, _)| name.clone()).collect();
        Profile { source, step, layers, columns: TABLE.iter().map(column).collect() }
    }

    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}
