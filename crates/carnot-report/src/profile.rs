//! Numbers per layer, with errors, spreads and a reason for every gap.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One number per layer for several observables, from one source at one step of training.
///
/// A number that is not finite cannot enter: [`Profile::insert`] replaces it by `null` and a reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    /// Where the numbers come from: `theory`, `measured`, `recommended`.
    pub source: String,
    /// Step of training, from 0.
    #[serde(default)]
    pub step: u64,
    /// Paths of the layers, input to output.
    pub layers: Vec<String>,
    columns: BTreeMap<String, Column>,
}

/// One observable along depth. All lists have one entry per layer of the [`Profile`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Column {
    /// As printed: `K`, `χ⊥`.
    pub symbol: String,
    /// Unit, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The value; `null` where it is missing.
    pub value: Vec<Option<f64>>,
    /// Standard error of the value; 0 where it is exact.
    pub error: Vec<Option<f64>>,
    /// Expected deviation of one network from the value (theory: from the 1/n terms).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spread: Vec<Option<f64>>,
    /// Where a healthy network lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<Healthy>,
    /// Spans powers of ten, so distances are ratios.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub logarithmic: bool,
    /// Why values are missing.
    pub missing: Vec<Missing>,
}

/// Range in which an observable is healthy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Healthy {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Why one value is missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// Path of the layer.
    pub layer: String,
    /// In a few words: `needs labels`, `not finite: overflow`.
    pub because: String,
}

impl Profile {
    /// A profile without columns.
    pub fn new(source: &str, step: u64, layers: Vec<String>) -> Profile {
        Profile { source: source.into(), step, layers, columns: BTreeMap::new() }
    }

    /// Adds a column under its code name (`kernel`, `chi_perpendicular`, …), made fit for JSON first.
    ///
    /// What is not finite becomes `None` with a reason; lists are cut or padded to the number of layers, and a
    /// padded value has the reason `not recorded`.
    pub fn insert(&mut self, name: &str, column: Column) {
        let column = column.fitted(&self.layers);
        self.columns.insert(name.into(), column);
    }

    /// The column of that code name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.get(name)
    }

    /// All columns by code name.
    pub fn columns(&self) -> &BTreeMap<String, Column> {
        &self.columns
    }
}

impl Column {
    /// Exact values, such as a theory's.
    pub fn exact(symbol: &str, value: &[f64]) -> Column {
        Column::measured(symbol, value, &vec![0.0; value.len()])
    }

    /// Values with standard errors; a NaN error means that it is not known.
    pub fn measured(symbol: &str, value: &[f64], error: &[f64]) -> Column {
        Column {
            symbol: symbol.into(),
            value: value.iter().copied().map(Some).collect(),
            error: error.iter().map(|&e| e.is_finite().then_some(e)).collect(),
            ..Column::default()
        }
    }

    /// Values of which some are missing. The reasons go into [`Column::missing`].
    pub fn partial(symbol: &str, value: Vec<Option<f64>>, error: Vec<Option<f64>>) -> Column {
        Column { symbol: symbol.into(), value, error, ..Column::default() }
    }

    /// The same column with the expected deviation of one network.
    pub fn with_spread(mut self, spread: &[f64]) -> Column {
        self.spread = spread.iter().copied().map(Some).collect();
        self
    }

    /// The same column with the range of a healthy network.
    pub fn with_healthy(mut self, low: f64, high: f64) -> Column {
        self.healthy = (low.is_finite() && high.is_finite()).then_some(Healthy { low, high });
        self
    }

    /// The same column with distances read as ratios.
    pub fn with_log(mut self) -> Column {
        self.logarithmic = true;
        self
    }

    /// The same column with one reason for a missing value.
    pub fn with_missing(mut self, layer: &str, because: &str) -> Column {
        self.missing.push(Missing { layer: layer.into(), because: because.into() });
        self
    }

    /// Why the value of a layer is missing.
    pub fn reason(&self, layer: &str) -> Option<&str> {
        self.missing.iter().find(|missing| missing.layer == layer).map(|missing| missing.because.as_str())
    }

    fn fitted(mut self, layers: &[String]) -> Column {
        for (layer, value) in layers.iter().zip(&mut self.value) {
            if let Some(number) = value.filter(|number| !number.is_finite()) {
                *value = None;
                push_reason(&mut self.missing, layer, not_finite(number));
            }
        }
        for layer in layers.iter().skip(self.value.len()) {
            push_reason(&mut self.missing, layer, "not recorded");
        }
        self.value.resize(layers.len(), None);
        self.error.resize(layers.len(), None);
        keep_finite(&mut self.error);
        if !self.spread.is_empty() {
            self.spread.resize(layers.len(), None);
            keep_finite(&mut self.spread);
        }
        self.healthy = self.healthy.filter(|range| range.low.is_finite() && range.high.is_finite());
        self
    }
}

fn push_reason(missing: &mut Vec<Missing>, layer: &str, because: &str) {
    if !missing.iter().any(|known| known.layer == layer) {
        missing.push(Missing { layer: layer.into(), because: because.into() });
    }
}

fn not_finite(number: f64) -> &'static str {
    if number.is_nan() { "not a number" } else { "not finite: overflow" }
}

fn keep_finite(list: &mut [Option<f64>]) {
    for entry in list {
        *entry = entry.filter(|number| number.is_finite());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_becomes_a_gap_with_a_reason() {
        let mut profile = Profile::new("measured", 0, vec!["a".into(), "b".into(), "c".into()]);
        profile.insert("kernel", Column::measured("K", &[1.0, f64::INFINITY], &[0.1, f64::NAN]));
        let column = profile.column("kernel").expect("inserted");
        assert_eq!(column.value, [Some(1.0), None, None]);
        assert_eq!(column.error, [Some(0.1), None, None]);
        assert_eq!(column.reason("b"), Some("not finite: overflow"));
        assert_eq!(column.reason("c"), Some("not recorded"));
    }

    #[test]
    fn a_given_reason_is_kept() {
        let mut profile = Profile::new("measured", 0, vec!["a".into()]);
        profile.insert(
            "load",
            Column::partial("load", vec![None], vec![None]).with_missing("a", "needs labels"),
        );
        assert_eq!(profile.column("load").expect("inserted").reason("a"), Some("needs labels"));
    }
}
