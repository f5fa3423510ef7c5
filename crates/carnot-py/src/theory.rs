//! What initialisation an activation wants, which rate a layer, and what a model of PyTorch will do.

use carnot_lab::diagnose::Explain;
use carnot_lab::error::LabError;
use carnot_lab::experiments::predict::beside::{self, Seen};
use carnot_lab::experiments::verb;
use carnot_lab::spec::{self, Given};
use carnot_net::activation::Activation;
use carnot_theory::parametrization::{Group, maximal_update, meta_principled, standard};
use carnot_theory::recommend::{Choice, recommended_init};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::failure::raised;
use crate::report::Report;

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

/// The prediction for a model that was read off PyTorch, beside what one batch shows of it.
///
/// * `name`: what the model is called
/// * `network`: file with its layers and the variances of their weights, as TOML
/// * `settings`: keys of `carnot predict` and their texts
/// * `cosines`: mean cosine of two tokens at the start and behind each block, with its error
/// * `notes`: what was noticed on reading it
#[pyfunction]
pub fn predict_model(
    py: Python<'_>,
    name: String,
    network: String,
    settings: Vec<(String, String)>,
    cosines: Vec<(f64, Option<f64>)>,
    notes: Vec<String>,
) -> PyResult<Report> {
    let seen = Seen { name, cosines, notes };
    let answer = || -> Result<carnot_report::report::Report, LabError> {
        let given = Given { network: Some(network), flags: settings };
        let question = spec::ask(verb("predict")?, &given)?;
        let mut report = question.report(&[])?;
        report.provenance.command = "carnot.predict(model, batch)".into();
        report.provenance.spec = Some(question.spec().clone());
        beside::put(&mut report, &seen);
        Ok(report)
    };
    py.detach(answer).map(Report::new).map_err(|error| raised(py, &error))
}
