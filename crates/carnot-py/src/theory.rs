//! What initialisation an activation wants, and which rate a layer.

use carnot_lab::diagnose::Explain;
use carnot_net::activation::Activation;
use carnot_theory::parametrization::{Group, maximal_update, meta_principled, standard};
use carnot_theory::recommend::{Choice, recommended_init};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::failure::raised;

/// The variances that keep signals and distances, for an activation: (C_W, C_b, words, is critical).
///
/// * `activation`: a name of the table or a formula in z
/// * C_W: weight variance × fan-in; `None` where no variances give a stable signal
#[pyfunction]
pub fn critical(py: Python<'_>, activation: &str) -> PyResult<(Option<f64>, Option<f64>, String, bool)> {
    let refuse = |error: &dyn Explain| raised(py, error);
    let activation = Activation::parse(activation).map_err(|error| refuse(&error))?;
    let init = py.detach(|| recommended_init(&activation.formula)).map_err(|error| refuse(&error))?;
    let words = match &init.choice {
        Choice::Critical(class) => format!("critical point ({class:?})"),
        Choice::EdgeOfChaos { kernel, .. } => format!("no critical point; edge of chaos at K = {kernel:.3}"),
        Choice::LeastOrdered { chi_perpendicular, .. } => {
            format!("no critical point; least ordered, distances shrink × {chi_perpendicular:.3} a layer")
        }
        Choice::Nothing { .. } => "no variances give a stable signal".into(),
    };
    Ok((init.c_w, init.c_b, words, matches!(init.choice, Choice::Critical(_))))
}

/// Factor on the rate of one parameter relative to the base network, without multipliers in the forward pass.
///
/// A parametrization with output multiplier a and variance v is the same function as one without it and with a²v; its SGD
/// rate is then × a², its Adam rate × a.
///
/// * `scaling`: maximal-update, neural-tangent, standard
/// * `group`: input, hidden, output, bias
/// * `optimizer`: sgd, adam
/// * `width`: n/n_base > 0
///
/// Source: as [`maximal_update`]; the shift is that of arXiv:2011.14522.
#[pyfunction]
pub fn rate_factor(py: Python<'_>, scaling: &str, group: &str, optimizer: &str, width: f64) -> PyResult<f64> {
    let unknown = |what: &str, word: &str| PyValueError::new_err(format!("no {what} \"{word}\""));
    let group = match group {
        "input" => Group::Input,
        "hidden" => Group::Hidden,
        "output" => Group::Output,
        "bias" => Group::Bias,
        other => return Err(unknown("group", other)),
    };
    let factors = match scaling {
        "maximal-update" => maximal_update(group, width),
        "neural-tangent" => meta_principled(group, width, 0.0),
        "standard" => standard(group, width),
        other => return Err(unknown("scaling", other)),
    };
    let factors = factors.map_err(|error| raised(py, &error))?;
    match optimizer {
        "sgd" => Ok(factors.sgd * factors.output * factors.output),
        "adam" => Ok(factors.adam * factors.output),
        other => Err(unknown("optimizer", other)),
    }
}
