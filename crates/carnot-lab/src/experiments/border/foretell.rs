//! What is known before any run: the rates between which learning should end, and how deep a signal reaches.

use carnot_net::dataset::{Dataset, Targets};
use carnot_net::hyper::Scheme;
use carnot_net::layers::Layer;
use carnot_net::plan::Plan;
use carnot_sim::critical::{Direction, critical_step_of};
use carnot_sim::curvature::{Lanczos, preconditioned_sharpness, sharpness};
use carnot_sim::edge::Descent;
use carnot_sim::initialise::initialise;
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::train::beyond::Beyond;
use carnot_sim::train::evaluate::gradient;
use carnot_theory::initial::Initial;
use carnot_theory::phases::{correlations, settle};
use serde::{Deserialize, Serialize};

use super::run::{Shared, optimizer, seed};
use super::{Across, BorderSpec};
use crate::error::LabError;
use crate::settings::{InitSettings, variances};

/// What is known before any run, at one place across.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// The place.
    #[serde(flatten)]
    pub across: Across,
    /// The rates between which learning should end; `None` where it is not known.
    pub bracket: Option<(f64, f64)>,
    /// Depth 6 ξ that a signal reaches; `None` where it is infinite or not known.
    pub reach: Option<f64>,
    /// Layers with weights, to compare with it.
    pub layers: usize,
}

/// Networks that are drawn for a prediction: one draw of a critical step is off by a factor of 1.5.
const DRAWS: u64 = 3;
/// The same for texts, where a draw takes seconds.
const DRAWS_OF_TEXT: u64 = 2;
/// Samples of a text over which the mean square of the gradient is taken, and on which the curvature is measured.
const TEXTS: usize = 64;
const CURVED: usize = 32;
/// Least root mean square of a coordinate's gradient, in units of that of its whole tensor: rare tokens have next to none in so few samples.
const RARE: f64 = 0.3;
/// Correlation depths that a network may be deep. Source: arXiv:1611.01232.
const REACH: f64 = 6.0;

/// Where the border lies in units of the critical step beyond the constant answer, of gradient descent: measured over 118 places of ten families and twelve
/// networks of other kinds, a fifth of it, nine in ten between these.
const OF_GRADIENT: (f64, f64) = (1.0 / 12.0, 0.5);
/// The same of Adam along the sign of the gradient, over 28 places.
const OF_SIGN: (f64, f64) = (1.0 / 3.0, 2.0);
/// Where Adam's border lies on texts in units of the rate at which the preconditioned curvature of the start is at the edge of stability: post-norm and
/// DeepNorm, 13 places of two families.
const OF_EDGE: (f64, f64) = (0.25, 2.5);
/// The same where no norm stands between skips, 7 places of one family: there the stream grows with the weights, and what is behind the last norm flattens.
const OF_OPEN_EDGE: (f64, f64) = (1.0, 10.0);

/// Predicts the border at one place across, from the start alone.
///
/// # Errors
/// When the network cannot have that shape.
pub fn predict(spec: &BorderSpec, shared: &Shared, across: impl Into<Across>) -> Result<Predicted, LabError> {
    let across = across.into();
    let cell = spec.cell(spec.rate.unwrap_or(1.0), across)?;
    let plan = Plan::new(cell.network.network())?;
    let initial = cell.init.initial(&plan)?;
    let is_text = matches!(shared.data.targets, Targets::Positions { .. });
    let starts = starts(&cell, &plan, &initial, is_text);
    let draw = |member: u64| {
        let of = |initial: &Initial| {
            let mut parameters = vec![0.0f64; plan.parameters];
            initialise(&plan, &initial.layers, seed(spec, 1), member, &mut parameters);
            bracket_of(&cell, &plan, &parameters, shared)
        };
        starts.iter().filter_map(of).min_by(|a, b| a.1.total_cmp(&b.1))
    };
    let draws = if is_text { DRAWS_OF_TEXT } else { DRAWS };
    let all: Vec<(f64, f64)> = (0..draws).filter_map(draw).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| {
        (all.iter().map(|pair| of(pair).ln()).sum::<f64>() / all.len() as f64).exp()
    };
    let bracket = (!all.is_empty()).then(|| (mean(|pair| pair.0), mean(|pair| pair.1)));
    let (c_w, c_b) = variances(&initial.layers);
    let activation = plan.all().into_iter().find_map(|site| match &site.layer {
        Layer::Activate(act) => Some(act.activation.formula.clone()),
        _ => None,
    });
    let reach = activation.and_then(|formula| {
        let at = settle(&formula, c_w, c_b, 1.0).ok()?;
        let depth = correlations(&formula, c_w, c_b, &at).ok()?.correlation_depth().ok()?;
        Some(REACH * depth).filter(|depth| depth.is_finite())
    });
    Ok(Predicted { across, bracket, reach, layers: plan.weighted })
}

/// The starts of which the tightest bracket counts: the one that is asked for, and the critical one.
///
/// Weights too small for the signal to pass grow until it does before anything is learned, and it is there that the rate must not be too large: from PyTorch's
/// small default the curvature of the start alone promises ten times too much.
fn starts(cell: &BorderSpec, plan: &Plan, initial: &Initial, is_text: bool) -> Vec<Initial> {
    let critical = InitSettings { init: Scheme::Critical, ..InitSettings::default() };
    let other = if is_text { None } else { critical.initial(plan).ok() };
    let is_other = |other: &Initial| cell.init != critical && other.layers != initial.layers;
    [initial.clone()].into_iter().chain(other.filter(is_other)).collect()
}

/// The rates between which learning should end, of one drawn network; `None` where that is not known.
///
/// * Cross-entropy, gradient descent: a twelfth to half of the critical step along the gradient, of the loss beyond the constant answer ([`Beyond`]).
///   The whole loss will not do: with activations that have a mean its sharpest direction moves all answers alike, which does no harm.
///   A velocity of share β lengthens every step by 1/(1 − β).
/// * Cross-entropy, Adam: a third to twice the critical step along the sign of the gradient, of the same loss. On a text the head alone goes on lowering the
///   loss at any such step; there it is a quarter to 2.5 times (pre-norm: one to ten times) the rate at which the preconditioned Hessian is at the edge of stability,
///   $(2 + 2\beta_1)/[(1-\beta_1)\lambda]$, with $P = \sqrt{E g^2}$ over batches.
/// * Squared loss: 2/λ to 4/λ, or 12/λ where the activation has a kink at zero, (2 + 2β)/λ for 2/λ with a velocity.
///
/// Sources: critical steps arXiv:2601.16979; edge of stability 2103.00065, 2207.14484; catapults 2003.02218. The factors are measured: see the book.
fn bracket_of(cell: &BorderSpec, plan: &Plan, parameters: &[f64], shared: &Shared) -> Option<(f64, f64)> {
    let is_text = matches!(shared.data.targets, Targets::Positions { .. });
    let scaled = |by: (f64, f64)| move |step: f64| (by.0 * step, by.1 * step);
    let beyond = |direction| {
        let slope = Beyond::new(plan, shared.loss, &shared.first).gradient(parameters);
        let fresh = Beyond::new(plan, shared.loss, &shared.fresh);
        critical_step_of(plan, parameters, direction, slope, &|at| fresh.value(at))
    };
    let velocity = match optimizer(cell) {
        Optimizer::Sgd(_) => 0.0,
        Optimizer::Momentum(rule) => rule.beta,
        Optimizer::Adam(rule) if is_text => return edge(cell, plan, parameters, shared, rule.beta1),
        Optimizer::AdamW(rule) if is_text => return edge(cell, plan, parameters, shared, rule.beta1),
        Optimizer::Adam(_) | Optimizer::AdamW(_) => return beyond(Direction::Sign).map(scaled(OF_SIGN)),
    };
    match shared.loss {
        // Not measured.
        Loss::CrossEntropy if is_text => None,
        Loss::CrossEntropy => {
            let (low, high) = OF_GRADIENT;
            let by = (low * (1.0 - velocity), high * (1.0 - velocity));
            beyond(Direction::Gradient).map(scaled(by))
        }
        Loss::Squared => {
            let effort = Lanczos { products: 24, tolerance: 0.05, seed: 1 };
            let found = sharpness(plan, parameters, shared.loss, &shared.first, effort)?;
            let stable = Descent::HeavyBall(velocity).threshold(1.0) / found.value;
            let kinked = plan.all().into_iter().any(|site| match &site.layer {
                Layer::Activate(act) => !act.activation.formula.kinks().is_empty(),
                _ => false,
            });
            (found.value > 0.0).then_some((stable, stable * if kinked { 6.0 } else { 2.0 }))
        }
    }
}

/// About the rate at which Adam's first steps are at the edge of stability.
fn edge(
    cell: &BorderSpec,
    plan: &Plan,
    parameters: &[f64],
    shared: &Shared,
    beta: f64,
) -> Option<(f64, f64)> {
    let of = |samples: &[usize]| -> Option<Dataset> { shared.first.subset(samples).ok() };
    let samples: Vec<usize> = (0..shared.first.len().min(TEXTS)).collect();
    let mut square = vec![0.0; parameters.len()];
    let parts = samples.chunks(cell.batch.clamp(1, samples.len()));
    let count = parts.len() as f64;
    for part in parts {
        let slope = gradient(plan, parameters, shared.loss, &of(part)?);
        square.iter_mut().zip(&slope).for_each(|(square, g)| *square += g * g / count);
    }
    let mut preconditioner = vec![0.0; parameters.len()];
    for site in plan.all() {
        let mut start = site.offset;
        for parameter in &site.parameters {
            let range = start..start + parameter.len();
            let mean = square[range.clone()].iter().sum::<f64>() / parameter.len().max(1) as f64;
            for at in range {
                preconditioner[at] = (square[at] + RARE * RARE * mean).sqrt() + 1e-8;
            }
            start += parameter.len();
        }
    }
    let few = of(&samples[..samples.len().min(CURVED)])?;
    let effort = Lanczos { products: 12, tolerance: 0.1, seed: 1 };
    let found = preconditioned_sharpness(plan, parameters, shared.loss, &few, &preconditioner, effort)?;
    let rate = Descent::Adam(beta).threshold(1.0) / found.value;
    let (low, high) = if is_open(plan) { OF_OPEN_EDGE } else { OF_EDGE };
    (found.value > 0.0).then_some((low * rate, high * rate))
}

/// Does a stream run from skip to skip without a norm (pre-norm)?
fn is_open(plan: &Plan) -> bool {
    plan.sites.windows(2).any(|pair| pair.iter().all(|site| matches!(site.layer, Layer::Residual(_))))
}
