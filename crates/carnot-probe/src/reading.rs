//! What is kept of a step: numbers with errors, or reasons. No features, no weights.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::call::{Role, WeightStats};

/// A number with its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Pair", into = "Pair")]
pub struct Number {
    /// The value; finite.
    pub value: f64,
    /// Standard error over samples of the probe; `None` where it is not known, 0 where the number is a count of the probe.
    pub error: Option<f64>,
}

/// As written: `[value, error]`, with six digits of the value and two of the error, since a recording has many of them.
#[derive(Serialize, Deserialize)]
struct Pair(f64, Option<f64>);

impl From<Pair> for Number {
    fn from(Pair(value, error): Pair) -> Number {
        Number { value, error }
    }
}

impl From<Number> for Pair {
    fn from(number: Number) -> Pair {
        Pair(rounded(number.value, 7), number.error.map(|error| rounded(error, 3)))
    }
}

/// To so many significant digits: by the decimal text, so that what is written is short.
fn rounded(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits - 1).parse().unwrap_or(value)
}

/// All numbers of one call at one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerReading {
    /// Path in the model.
    pub name: String,
    /// Class of the module.
    pub kind: String,
    /// Which call of the module.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub call: u32,
    /// Where it stands.
    #[serde(default)]
    pub role: Role,
    /// Positions of a sample.
    pub positions: usize,
    /// Units.
    pub width: usize,
    /// What the caller said of its weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightStats>,
    /// Observable → number.
    pub values: BTreeMap<String, Number>,
    /// Reason → observables that are missing for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing: BTreeMap<String, Vec<String>>,
}

fn is_zero(call: &u32) -> bool {
    *call == 0
}

impl LayerReading {
    /// The number of an observable.
    #[must_use]
    pub fn value(&self, observable: &str) -> Option<Number> {
        self.values.get(observable).copied()
    }

    /// Why an observable is missing.
    #[must_use]
    pub fn reason(&self, observable: &str) -> Option<&str> {
        let has = |names: &Vec<String>| names.iter().any(|name| name == observable);
        self.missing.iter().find(|(_, names)| has(names)).map(|(reason, _)| reason.as_str())
    }

    /// Name with the number of the call, where it is not the first: `shared (call 2)`.
    #[must_use]
    pub fn title(&self) -> String {
        match self.call {
            0 => self.name.clone(),
            call => format!("{} (call {})", self.name, call + 1),
        }
    }

    /// Takes in what an observable said.
    pub(crate) fn take(
        &mut self,
        name: &str,
        answer: Result<carnot_math::stats::Estimate, crate::observables::Missing>,
    ) {
        let because = match answer {
            Ok(estimate) if estimate.value.is_finite() => {
                let error = Some(estimate.error).filter(|error| error.is_finite());
                self.values.insert(name.into(), Number { value: estimate.value, error });
                return;
            }
            Ok(_) => crate::observables::Missing::Range.to_string(),
            Err(missing) => missing.to_string(),
        };
        self.missing.entry(because).or_default().push(name.into());
    }
}

/// All calls of one step, in the order in which they happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepReading {
    /// Step of training, from 0 (before any update).
    pub step: u64,
    /// Loss of the training, where known and finite.
    pub loss: Option<f64>,
    /// One entry a call.
    pub layers: Vec<LayerReading>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_short_and_read_back() {
        let number = Number { value: 1.0 / 3.0, error: Some(0.012_345) };
        let text = serde_json::to_string(&number).unwrap();
        assert_eq!(text, "[0.3333333,0.0123]");
        let back: Number = serde_json::from_str(&text).unwrap();
        assert!((back.value - number.value).abs() < 1e-7);
    }
}
