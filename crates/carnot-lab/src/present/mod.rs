//! From forecasts and measurements to the report's plain data. The report crate knows none of our types, so they
//! are turned into its columns, charts and sparklines here, once for all experiments.

pub mod charts;

use carnot_net::profile::{Cell, Profile as Measured};
use carnot_net::reading::Labels;
use carnot_report::profile::{Column, Missing, Profile};
use carnot_theory::forecast::{Answer, LayerForecast, observe};

/// What a forecast says of every layer, as the report's columns.
pub fn forecast_profile(source: &str, layers: &[LayerForecast], labels: Labels) -> Profile {
    let names: Vec<String> = layers.iter().map(|layer| layer.name.clone()).collect();
    let mut profile = Profile::new(source, 0, names);
    for observable in carnot_net::observables::TABLE {
        if observable.name == "separation" && labels.classes.is_empty() {
            continue;
        }
        let answers = layers.iter().map(|layer| observe(layer, observable.name, labels)).collect();
        profile.insert(observable.name, column(observable.symbol, layers, answers));
    }
    type Of = fn(&LayerForecast) -> Answer;
    let own: [(&str, &str, Of); 5] = [
        ("chi_parallel", "χ∥", |layer| layer.chi_parallel.clone()),
        ("chi_perpendicular", "χ⊥", |layer| layer.chi_perpendicular.clone()),
        ("vertex", "V", |layer| layer.vertex.clone()),
        ("kernel_shift", "G₁", |layer| layer.kernel_shift.clone()),
        ("tangent_variance", "(A+2B)/Θ²", |layer| layer.tangent_variance.clone()),
    ];
    for (name, symbol, of) in own {
        profile.insert(name, column(symbol, layers, layers.iter().map(of).collect()));
    }
    profile
}

/// One column of answers; a layer without one carries its reason.
pub fn column(symbol: &str, layers: &[LayerForecast], answers: Vec<Answer>) -> Column {
    let missing = layers.iter().zip(&answers).filter_map(|(layer, answer)| {
        answer.as_ref().err().map(|why| Missing { layer: layer.name.clone(), because: why.to_string() })
    });
    let missing: Vec<Missing> = missing.collect();
    let value: Vec<Option<f64>> = answers.into_iter().map(Result::ok).collect();
    let error = value.iter().map(|value| value.map(|_| 0.0)).collect();
    Column { missing, ..Column::partial(symbol, value, error) }
}

/// A measured profile as the report's columns.
pub fn measured_profile(source: &str, measured: &Measured) -> Profile {
    let mut profile = Profile::new(source, measured.step, measured.layers.clone());
    for column in &measured.columns {
        if column.cells.iter().all(|cell| matches!(cell, Cell::Missing(_))) {
            continue;
        }
        let known = |cell: &Cell, of: fn(&carnot_math::stats::Estimate) -> f64| match cell {
            Cell::Known(estimate) => Some(of(estimate)),
            Cell::Missing(_) => None,
        };
        let value = column.cells.iter().map(|cell| known(cell, |e| e.value)).collect();
        let error = column.cells.iter().map(|cell| known(cell, |e| e.error)).collect();
        let missing = measured.layers.iter().zip(&column.cells).filter_map(|(layer, cell)| match cell {
            Cell::Missing(because) => Some(Missing { layer: layer.clone(), because: because.clone() }),
            Cell::Known(_) => None,
        });
        let missing = missing.collect();
        let spread = match column.cells.iter().any(|cell| known(cell, |e| e.spread).is_some_and(|s| s > 0.0))
        {
            true => column.cells.iter().map(|cell| known(cell, |e| e.spread)).collect(),
            false => Vec::new(),
        };
        let new = Column { missing, spread, ..Column::partial(&column.symbol, value, error) };
        // An ensemble is judged against theory; one network against what trains.
        let judged = if source == "measured" { with_range(&column.name, new) } else { new };
        profile.insert(&column.name, judged);
    }
    profile
}

/// The range in which a network of any depth trains well; the stress map shows the distance from it.
fn with_range(name: &str, column: Column) -> Column {
    match name {
        "kernel" => column.with_healthy(1e-3, 1e3).with_log(),
        "gradient" => column.with_healthy(1e-2, 1e2).with_log(),
        "correlation" => column.with_healthy(0.0, 0.6),
        _ => column,
    }
}

/// Value of a column where known.
pub fn values(profile: &Profile, name: &str) -> Vec<Option<f64>> {
    profile.column(name).map(|column| column.value.clone()).unwrap_or_default()
}
