//! The table of observables: what can be asked of a reading. One file and one row each; theory, ensembles and
//! measured models are all answered by the same function.

pub mod correlation;
pub mod distance;
pub mod gradient;
pub mod kernel;
pub mod separation;
pub mod tangent;

use crate::reading::{Labels, Reading};
use serde::Serialize;

/// Why an observable has no value here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub enum Missing {
    /// The data have no labels.
    #[error("needs labels")]
    Labels,
    /// All samples belong to one class, or each to its own.
    #[error("needs at least two classes and two samples of one class")]
    Classes,
    /// One sample has no pairs.
    #[error("needs at least two samples")]
    Pairs,
    /// The reading does not hold this.
    #[error("not measured")]
    NotMeasured,
    /// The signal is exactly zero.
    #[error("the signal is exactly zero")]
    NoSignal,
}

/// One observable.
pub struct Observable {
    /// Name, as in JSON columns and on the command line.
    pub name: &'static str,
    /// Symbol, as printed.
    pub symbol: &'static str,
    /// One line for people.
    pub meaning: &'static str,
    /// Its value.
    pub of: fn(&Reading, Labels) -> Result<f64, Missing>,
}

/// Every observable.
pub const TABLE: &[Observable] =
    &[kernel::ROW, distance::ROW, correlation::ROW, gradient::ROW, tangent::ROW, separation::ROW];

/// The observable of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Observable> {
    TABLE.iter().find(|observable| observable.name == name)
}
