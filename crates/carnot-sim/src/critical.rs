//! How large a first step may be: the critical step along the optimizer's own direction, from forward passes alone.

use carnot_net::dataset::Dataset;
use carnot_net::plan::Plan;

use crate::curvature::trained;
use crate::loss::Loss;
use crate::train::evaluate::{gradient, score};

/// The direction of the first step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The gradient: gradient descent and momentum.
    Gradient,
    /// The sign of the gradient: Adam.
    Sign,
}

/// Times that the step is doubled or halved before giving up.
const DOUBLINGS: usize = 60;
/// Halvings of the bracket: to 2^(1/16), 4 %.
const HALVINGS: usize = 4;

/// Critical step $\eta_c = \min\{\eta : L(\theta - \eta u) > L(\theta)\}$: the first one by which the loss of another batch is higher than before.
///
/// The gradient is taken on one batch and the loss on another: on the same one the step looks better than it is. 2/η_c is the "critical sharpness".
///
/// * `parameters`: `[plan.parameters]`
/// * `first`: batch of the gradient; `fresh`: batch of the loss
/// * returns: `None` when no step of any size raises the loss, or one is not finite
///
/// Source: arXiv:2601.16979.
#[must_use]
pub fn critical_step(
    plan: &Plan,
    parameters: &[f64],
    loss: Loss,
    direction: Direction,
    first: &Dataset,
    fresh: &Dataset,
) -> Option<f64> {
    let slope = gradient(plan, parameters, loss, first);
    critical_step_of(plan, parameters, direction, slope, &|at| score(plan, at, loss, fresh).loss)
}

/// The same of any function of the parameters, such as the loss [beyond the constant](crate::train::beyond).
///
/// * `slope`: its gradient on one batch, `[plan.parameters]`
/// * `value`: the function on another batch; `None` where it is not finite
#[must_use]
pub fn critical_step_of(
    plan: &Plan,
    parameters: &[f64],
    direction: Direction,
    slope: Vec<f64>,
    value: &dyn Fn(&[f64]) -> Option<f64>,
) -> Option<f64> {
    let mut step = slope;
    for (step, is_trained) in step.iter_mut().zip(trained(plan)) {
        *step = match (is_trained, direction) {
            (false, _) => 0.0,
            (true, Direction::Gradient) => *step,
            (true, Direction::Sign) if *step == 0.0 => 0.0,
            (true, Direction::Sign) => step.signum(),
        };
    }
    if step.iter().all(|s| *s == 0.0) || step.iter().any(|s| !s.is_finite()) {
        return None;
    }
    let before = value(parameters)?;
    let is_over = |rate: f64| {
        let moved: Vec<f64> = parameters.iter().zip(&step).map(|(w, u)| w - rate * u).collect();
        value(&moved).is_none_or(|after| after > before)
    };
    let norm = step.iter().map(|u| u * u).sum::<f64>().sqrt();
    let size = parameters.iter().map(|w| w * w).sum::<f64>().sqrt();
    let mut rate = 0.1 * size.max(1e-3) / norm;
    let started_over = is_over(rate);
    for _ in 0..DOUBLINGS {
        let next = if started_over { rate / 2.0 } else { rate * 2.0 };
        if is_over(next) != started_over {
            let (mut low, mut high) = (rate.min(next), rate.max(next));
            for _ in 0..HALVINGS {
                let middle = (low * high).sqrt();
                if is_over(middle) { high = middle } else { low = middle }
            }
            return Some((low * high).sqrt());
        }
        rate = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_net::dataset::Targets;
    use carnot_net::network::Network;

    /// Of a parabola the loss is back at its height at twice the step to its floor: η_c = 2/λ along the gradient.
    #[test]
    fn the_critical_step_of_a_parabola_is_two_over_its_curvature() {
        let network = "input = [1]\nlayers = [{ dense = 1, bias = false }]";
        let plan = Plan::new(&Network::from_toml(network).unwrap()).unwrap();
        let data = Dataset {
            name: "line".into(),
            shape: vec![1],
            inputs: vec![2.0, -2.0],
            targets: Targets::Values { values: vec![6.0, -6.0], width: 1 },
            exact: Default::default(),
            source: String::new(),
        };
        // λ = mean x² = 4, minimum at w = 3.
        let of = |direction| critical_step(&plan, &[1.0], Loss::Squared, direction, &data, &data).unwrap();
        assert!((of(Direction::Gradient) / 0.5 - 1.0).abs() < 0.05, "{}", of(Direction::Gradient));
        // From 1 to 5, the same height: a step of 4 along the sign.
        assert!((of(Direction::Sign) / 4.0 - 1.0).abs() < 0.05, "{}", of(Direction::Sign));
        assert_eq!(critical_step(&plan, &[3.0], Loss::Squared, Direction::Sign, &data, &data), None);
    }
}
