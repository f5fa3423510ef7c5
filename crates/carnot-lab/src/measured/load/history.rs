//! The load curve over the recorded steps.

use serde::Serialize;

use super::curve::{LoadCurve, Measure};
use super::shape::{Shaped, with_errors};
use crate::measured::evidence::ModelEvidence;

/// Steps that a report holds at most; the recording keeps all of them.
const STEPS: usize = 40;

/// The curve of one step, where it has one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct At {
    /// Step of training.
    pub step: u64,
    /// Loss there.
    pub loss: Option<f64>,
    /// D_l, `[M+1]`.
    pub curve: Vec<f64>,
    /// Shape with standard errors, without intervals; `None` for a curve without a shape.
    pub shape: Option<Shaped>,
}

/// Curves of the steps that have one, evenly thinned, the first and the last always among them.
#[must_use]
pub fn of(evidence: &ModelEvidence, measure: &'static Measure) -> Vec<At> {
    let at = |place: usize| {
        let step = evidence.steps()[place];
        let curve = LoadCurve::of(evidence, step, measure).ok()?;
        Some(At { step: step.step, loss: step.loss, curve: curve.values(), shape: with_errors(&curve).ok() })
    };
    thinned(evidence.steps().len(), STEPS).into_iter().filter_map(at).collect()
}

/// At most `most` places of n, evenly, with both ends.
#[must_use]
pub fn thinned(n: usize, most: usize) -> Vec<usize> {
    if n <= most { (0..n).collect() } else { (0..most).map(|at| at * (n - 1) / (most - 1)).collect() }
}
