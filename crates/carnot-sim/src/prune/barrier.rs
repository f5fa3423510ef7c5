//! How high the error rises on the straight line between two trained networks.

use crate::loss::Loss;
use crate::train::evaluate::score;
use carnot_net::dataset::Dataset;
use carnot_net::plan::Plan;

/// Places on the line, both ends among them.
pub const PLACES: usize = 30;
/// Rise of the error below which two copies of a network count as linearly connected.
pub const STABLE: f64 = 0.02;

/// $\max_\alpha E(\alpha a + (1-\alpha) b) - \tfrac12 (E(a) + E(b))$, E being the share of samples told wrong.
///
/// Running means of batch norms are interpolated like weights, where the source measures them anew: with such layers the barrier is too high.
///
/// * `a`, `b`: `[plan.parameters]`
/// * returns: from about 0 to 1; `None` where the targets are no classes
///
/// Source: arXiv:1912.05671, definition 2.1; 30 places, stable below 2 percentage points.
#[must_use]
pub fn error_barrier(plan: &Plan, a: &[f64], b: &[f64], loss: Loss, data: &Dataset) -> Option<f64> {
    let error = |share: f64| {
        let between: Vec<f64> = a.iter().zip(b).map(|(a, b)| share * a + (1.0 - share) * b).collect();
        score(plan, &between, loss, data).accuracy.map(|accuracy| 1.0 - accuracy)
    };
    let all: Vec<f64> =
        (0..PLACES).map(|at| error(at as f64 / (PLACES - 1) as f64)).collect::<Option<Vec<f64>>>()?;
    let most = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(most - 0.5 * (all[0] + all[PLACES - 1]))
}
