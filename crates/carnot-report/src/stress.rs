//! How far a reading is from where it should be, in standard errors.

use crate::profile::{Column, Healthy, Profile};
use crate::report::Report;

/// Source names a profile of readings may have, best first.
const READINGS: [&str; 3] = ["measured", "recording", "simulated"];

/// One observable of the stress map.
#[derive(Clone, Debug, PartialEq)]
pub struct Stress {
    /// Code name of the column.
    pub name: String,
    /// As printed.
    pub symbol: String,
    /// One distance per layer, in standard errors; `None` where the reading or the yardstick is missing.
    pub distance: Vec<Option<f64>>,
}

/// The profile of readings at a step, or the latest one; `None` when nothing was measured.
pub fn readings(report: &Report, step: Option<u64>) -> Option<&Profile> {
    let of_source = |source: &str| {
        let wanted =
            |profile: &&Profile| profile.source == source && step.is_none_or(|step| profile.step == step);
        report.profiles.iter().filter(wanted).max_by_key(|profile| profile.step)
    };
    READINGS.iter().find_map(|source| of_source(source))
}

/// The steps at which something was measured, ascending.
pub fn steps(report: &Report) -> Vec<u64> {
    let is_reading = |profile: &&Profile| READINGS.contains(&profile.source.as_str());
    let mut steps: Vec<u64> = report.profiles.iter().filter(is_reading).map(|profile| profile.step).collect();
    steps.sort_unstable();
    steps.dedup();
    steps
}

/// The profile that theory predicts.
pub fn theory(report: &Report) -> Option<&Profile> {
    report.profiles.iter().find(|profile| profile.source == "theory")
}

/// Distances of all observables of a profile of readings.
///
/// Where a healthy range is given, it is the yardstick: z = (x − nearest end) / s with
/// s² = error² + (width/4)², that is, the range is read as ± 2 standard errors. Otherwise theory is the yardstick:
/// z = (x − theory) / s with s² = error² + theory's error² + theory's spread², the spread being what one network of
/// this width may deviate. Logarithmic columns are compared by their logarithms.
pub fn map(readings: &Profile, theory: Option<&Profile>) -> Vec<Stress> {
    let mut rows: Vec<Stress> = readings
        .columns()
        .iter()
        .map(|(name, column)| {
            let predicted = theory.and_then(|theory| theory.column(name).map(|column| (theory, column)));
            let distance = (0..readings.layers.len())
                .map(|layer| {
                    distance(column, layer, predicted.and_then(|p| at_layer(p, &readings.layers[layer])))
                })
                .collect();
            Stress { name: name.clone(), symbol: column.symbol.clone(), distance }
        })
        .filter(|stress| stress.distance.iter().any(Option::is_some))
        .collect();
    rows.sort_by_key(|stress| crate::glossary::rank(&stress.name));
    rows
}

/// What is predicted for one layer: value and expected deviation.
#[derive(Clone, Copy)]
struct Predicted {
    value: f64,
    deviation: f64,
}

fn at_layer((profile, column): (&Profile, &Column), layer: &str) -> Option<Predicted> {
    let at = profile.layers.iter().position(|name| name == layer)?;
    let value = column.value[at]?;
    let error = column.error.get(at).copied().flatten().unwrap_or(0.0);
    let spread = column.spread.get(at).copied().flatten().unwrap_or(0.0);
    Some(Predicted { value, deviation: error.hypot(spread) })
}

fn distance(column: &Column, layer: usize, predicted: Option<Predicted>) -> Option<f64> {
    let value = column.value[layer]?;
    let error = column.error[layer].unwrap_or(0.0);
    let z = match (column.healthy, predicted) {
        (Some(healthy), _) => from_range(value, error, healthy, column.logarithmic),
        (None, Some(predicted)) => from_theory(value, error, predicted, column.logarithmic),
        (None, None) => return None,
    }?;
    z.is_finite().then_some(z)
}

fn from_range(value: f64, error: f64, healthy: Healthy, logarithmic: bool) -> Option<f64> {
    let (value, error, low, high) = if logarithmic {
        (log(value)?, error / value, log(healthy.low)?, log(healthy.high)?)
    } else {
        (value, error, healthy.low, healthy.high)
    };
    let outside = if value < low { value - low } else { (value - high).max(0.0) };
    ratio(outside, error.hypot((high - low) / 4.0))
}

fn from_theory(value: f64, error: f64, predicted: Predicted, logarithmic: bool) -> Option<f64> {
    if logarithmic {
        let deviation = (error / value).hypot(predicted.deviation / predicted.value);
        return ratio(log(value)? - log(predicted.value)?, deviation);
    }
    ratio(value - predicted.value, error.hypot(predicted.deviation))
}

fn log(value: f64) -> Option<f64> {
    (value > 0.0).then(|| value.ln())
}

/// Without any deviation there is no yardstick, except for exact agreement.
fn ratio(difference: f64, deviation: f64) -> Option<f64> {
    if difference == 0.0 {
        return Some(0.0);
    }
    (deviation > 0.0).then(|| difference / deviation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(source: &str, column: Column) -> Profile {
        let mut profile = Profile::new(source, 0, vec!["a".into(), "b".into()]);
        profile.insert("kernel", column);
        profile
    }

    #[test]
    fn distance_to_theory_counts_error_and_spread() {
        let measured = profile("measured", Column::measured("K", &[1.5, 1.0], &[0.3, 0.3]));
        let theory = profile("theory", Column::exact("K", &[1.0, 1.0]).with_spread(&[0.4, 0.4]));
        assert_eq!(map(&measured, Some(&theory))[0].distance, [Some(1.0), Some(0.0)]);
    }

    #[test]
    fn distance_to_a_healthy_range_is_zero_inside() {
        let measured =
            profile("measured", Column::measured("K", &[1.5, 4.0], &[0.0, 0.0]).with_healthy(1.0, 3.0));
        assert_eq!(map(&measured, None)[0].distance, [Some(0.0), Some(2.0)]);
    }

    #[test]
    fn a_logarithmic_column_is_compared_by_ratio() {
        let column = Column::measured("g", &[1e-3, 10.0], &[0.0, 0.0]).with_healthy(0.1, 10.0).with_log();
        let z = map(&profile("measured", column), None)[0].distance.clone();
        assert!((z[0].expect("compared") + 4.0).abs() < 1e-12);
        assert_eq!(z[1], Some(0.0));
    }

    #[test]
    fn without_a_yardstick_there_is_no_stress() {
        assert!(map(&profile("measured", Column::measured("K", &[1.0, 2.0], &[0.1, 0.1])), None).is_empty());
    }
}
