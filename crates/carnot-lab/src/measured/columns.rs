//! Readings → columns of the report, each with the range in which a healthy network lies, where there is one.

use carnot_probe::observables::{OF_STEPS, TABLE};
use carnot_probe::reading::StepReading;
use carnot_report::profile::{Column, Profile};

use super::evidence::median;

/// Recorded steps that a report holds; the recording keeps all of them.
const STEPS: usize = 40;

/// How the healthy range of a column is set.
enum Range {
    /// The same for every network.
    Fixed(f64, f64),
    /// The same, as a ratio.
    FixedLog(f64, f64),
    /// A factor around the median layer, as a ratio.
    Around(f64),
    /// From and to so many times the mean over layers, where that is positive.
    OfMean(f64, f64),
    /// No range: the number says nothing by itself.
    None,
}

/// Ranges by name of the observable. They are where the checks begin to look, not where they judge.
fn range(name: &str) -> Range {
    match name {
        "kernel" => Range::FixedLog(0.02, 50.0),
        "correlation" => Range::Fixed(-0.2, 0.95),
        "gradient" | "gradient_to_weight" => Range::Around(30.0),
        "update_ratio" => Range::Around(15.0),
        "effective_rank" => Range::Around(2.5),
        "load" | "load_reader" => Range::OfMean(0.1, 3.0),
        "dead" | "saturated" => Range::Fixed(0.0, 0.5),
        "non_finite" | "gradient_non_finite" => Range::Fixed(0.0, 1e-6),
        _ => Range::None,
    }
}

/// The profile of one step.
#[must_use]
pub fn profile(step: &StepReading) -> Profile {
    let names: Vec<String> = step.layers.iter().map(carnot_probe::reading::LayerReading::title).collect();
    let mut profile = Profile::new("recording", step.step, names);
    let rows = TABLE
        .iter()
        .map(|row| (row.name, row.symbol))
        .chain(OF_STEPS.iter().map(|row| (row.name, row.symbol)));
    for (name, symbol) in rows {
        if step.layers.iter().any(|layer| layer.values.contains_key(name)) {
            profile.insert(name, column(step, name, symbol));
        }
    }
    profile
}

fn column(step: &StepReading, name: &str, symbol: &str) -> Column {
    let numbers: Vec<_> = step.layers.iter().map(|layer| layer.value(name)).collect();
    let value: Vec<Option<f64>> = numbers.iter().map(|number| number.map(|number| number.value)).collect();
    let error = numbers.iter().map(|number| number.and_then(|number| number.error)).collect();
    let mut column = Column::partial(symbol, value.clone(), error);
    for layer in step.layers.iter().filter(|layer| !layer.values.contains_key(name)) {
        column = column.with_missing(&layer.title(), layer.reason(name).unwrap_or("not recorded"));
    }
    let known: Vec<f64> = value.into_iter().flatten().collect();
    let positive: Vec<f64> = known.iter().copied().filter(|&x| x > 0.0).collect();
    match (range(name), median(&positive)) {
        (Range::Fixed(low, high), _) => column.with_healthy(low, high),
        (Range::FixedLog(low, high), _) => column.with_healthy(low, high).with_log(),
        (Range::Around(factor), Some(middle)) => {
            column.with_healthy(middle / factor, middle * factor).with_log()
        }
        (Range::OfMean(low, high), _) => {
            // Calls that carry weights share the load; the zeros of others would make the mean too small.
            let mean = known.iter().sum::<f64>() / positive.len().max(1) as f64;
            if mean > 0.0 { column.with_healthy((low - 1.0).min(-0.5) * mean, high * mean) } else { column }
        }
        (Range::Around(_), None) | (Range::None, _) => column,
    }
}

/// Profiles of the steps, evenly thinned, the first and the last always among them.
#[must_use]
pub fn profiles(steps: &[&StepReading]) -> Vec<Profile> {
    let n = steps.len();
    let chosen: Vec<usize> = match n {
        0..=STEPS => (0..n).collect(),
        _ => (0..STEPS).map(|at| at * (n - 1) / (STEPS - 1)).collect(),
    };
    chosen.into_iter().map(|at| profile(steps[at])).collect()
}
