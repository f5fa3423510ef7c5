//! Reading the golden file and comparing with it.

use carnot_math::formula::Formula;
use carnot_net::activation::Activation;
use serde_json::Value;

/// One reference entry.
pub struct Entry {
    pub id: String,
    pub section: String,
    pub inputs: Value,
    pub value: Value,
    pub rtol: f64,
    pub atol: f64,
}

/// All entries of the file.
pub fn entries() -> Vec<Entry> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/effective-theory.json");
    let text = std::fs::read_to_string(path).expect("the golden file is in the repository");
    let file: Value = serde_json::from_str(&text).expect("the golden file is JSON");
    let entry = |value: &Value| Entry {
        id: value["id"].as_str().expect("an id").to_owned(),
        section: value["section"].as_str().expect("a section").to_owned(),
        inputs: value["inputs"].clone(),
        value: value["value"].clone(),
        rtol: value["rtol"].as_f64().unwrap_or(1e-7),
        atol: value["atol"].as_f64().unwrap_or(1e-10),
    };
    file["entries"].as_array().expect("entries").iter().map(entry).collect()
}

/// The entry with this id.
pub fn named(id: &str) -> Entry {
    entries().into_iter().find(|entry| entry.id == id).expect("the entry exists")
}

impl Entry {
    pub fn number(&self, key: &str) -> f64 {
        self.inputs[key].as_f64().unwrap_or_else(|| panic!("{}: no number `{key}`", self.id))
    }

    pub fn number_or(&self, key: &str, default: f64) -> f64 {
        self.inputs[key].as_f64().unwrap_or(default)
    }

    pub fn count(&self, key: &str) -> usize {
        self.inputs[key].as_u64().unwrap_or_else(|| panic!("{}: no count `{key}`", self.id)) as usize
    }

    pub fn numbers(&self, key: &str) -> Vec<f64> {
        flat(&self.inputs[key])
    }

    pub fn activation(&self) -> Formula {
        let name = self.inputs.get("activation").or(self.inputs.get("act")).and_then(Value::as_str);
        activation(name.expect("an activation"))
    }

    /// Disagreements between the stored value and ours, in every key of the stored one.
    pub fn compare(&self, ours: Value) -> Vec<String> {
        let mut failures = Vec::new();
        compare(&self.value, &ours, (self.rtol, self.atol), "", &mut failures);
        failures
    }
}

pub fn activation(name: &str) -> Formula {
    Activation::parse(name).unwrap_or_else(|error| panic!("{name}: {error}")).formula
}

/// All numbers in a nested list, row-major.
pub fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        other => vec![other.as_f64().expect("a number")],
    }
}

pub fn compare(want: &Value, have: &Value, tolerance: (f64, f64), path: &str, failures: &mut Vec<String>) {
    match (want, have) {
        (Value::Object(want), _) => {
            for (key, value) in want {
                compare(value, &have[key], tolerance, &format!("{path}.{key}"), failures);
            }
        }
        (Value::Array(want), Value::Array(have)) if want.len() == have.len() => {
            for (i, (want, have)) in want.iter().zip(have).enumerate() {
                compare(want, have, tolerance, &format!("{path}[{i}]"), failures);
            }
        }
        (Value::Number(_), Value::Number(_)) => {
            let (want, have) = (want.as_f64().expect("f64"), have.as_f64().expect("f64"));
            let allowed = tolerance.1 + tolerance.0 * want.abs();
            if (have - want).abs() > allowed || have.is_nan() {
                failures.push(format!(
                    "{path}: {have} instead of {want} ({:.1e} off, {allowed:.1e} allowed)",
                    (have - want).abs()
                ));
            }
        }
        _ if want == have => {}
        _ => failures.push(format!("{path}: {have} instead of {want}")),
    }
}

/// A measured number against theory: four standard errors plus an allowance for the next order in 1/n.
pub fn agree(what: &str, measured: f64, error: f64, theory: f64, next_order: f64) -> Vec<String> {
    let allowed = 4.0 * error + next_order;
    if (measured - theory).abs() <= allowed {
        return Vec::new();
    }
    vec![format!(
        "{what}: measured {measured} ± {error}, theory {theory}, z = {:.1}",
        (measured - theory) / error
    )]
}

/// Disagreements between stored theory and ours at explicit tolerances.
pub fn matches(want: &Value, have: Value, rtol: f64, atol: f64) -> Vec<String> {
    let mut failures = Vec::new();
    compare(want, &have, (rtol, atol), "", &mut failures);
    failures
}
