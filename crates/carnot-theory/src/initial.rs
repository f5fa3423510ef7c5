//! Initialisation of a whole network from a rule: which activation feeds each layer, and what skips change.

use crate::criticality::Criticality;
use crate::error::TheoryError;
use crate::recommend::{Choice, Init, recommended_init};
use carnot_net::activation::Activation;
use carnot_net::hyper::{Law, LayerInit, Scheme};
use carnot_net::layers::{Layer, LayerRule};
use carnot_net::plan::{Plan, Site};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What a rule gave, and what it is based on.
#[derive(Clone, Debug)]
pub struct Initial {
    /// One per layer with weights.
    pub layers: Vec<LayerInit>,
    /// For each activation of the network, by name: what theory recommends for it.
    pub advice: BTreeMap<String, Result<Init, TheoryError>>,
}

/// The activation that feeds each layer with weights: the last one before it, or for the first layers the first
/// one after; `None` in a network without activations.
#[must_use]
pub fn feeding(plan: &Plan) -> Vec<Option<Activation>> {
    let mut last: Option<Activation> = None;
    let mut feeding: Vec<Option<Activation>> = Vec::new();
    let mut first = None;
    for site in plan.all() {
        if let Layer::Activate(act) = &site.layer {
            first.get_or_insert_with(|| act.activation.clone());
            last = Some(act.activation.clone());
        }
        if site.weighted.is_some() {
            feeding.push(last.clone());
        }
    }
    feeding.into_iter().map(|found| found.or_else(|| first.clone())).collect()
}

/// Every activation of the network, each once, in order of appearance.
#[must_use]
pub fn activations(plan: &Plan) -> Vec<Activation> {
    let mut all: Vec<Activation> = Vec::new();
    for site in plan.all() {
        match &site.layer {
            Layer::Activate(act) if !all.contains(&act.activation) => all.push(act.activation.clone()),
            _ => {}
        }
    }
    all
}

/// Initialises every layer with weights.
///
/// Critical: $C_W, C_b$ of the activation that feeds the layer ([`recommended_init`], with its fall-backs where no
/// critical point exists). The last weights of a residual block $z' = \beta f + \gamma z$ are scaled by
/// $(1-\gamma^2)/\beta^2$, which keeps the block critical; with $\gamma \ge 1$ no choice does, and they are
/// scaled by $1/(R\beta^2)$ for R blocks, so that the signal grows by a factor of order one over all of them
/// (arXiv:2106.10165 appendix B; the second rule is the usual depth scaling).
///
/// * `c_w`, `c_b`: override the rule for every layer that does not say its own ([`carnot_net::layers::Chosen`])
///
/// # Errors
/// [`TheoryError`] when an activation cannot be averaged at all.
pub fn initial(
    plan: &Plan,
    scheme: Scheme,
    c_w: Option<f64>,
    c_b: Option<f64>,
) -> Result<Initial, TheoryError> {
    let advice: BTreeMap<String, Result<Init, TheoryError>> = activations(plan)
        .into_iter()
        .map(|activation| (activation.name.clone(), advice(&activation)))
        .collect();
    let feeding = feeding(plan);
    let scales = block_scales(plan);
    let mut layers = Vec::new();
    for (at, site) in plan.weighted_sites().into_iter().enumerate() {
        let by_rule = match scheme {
            Scheme::Torch => LayerInit::torch(site.fan_in()),
            Scheme::He => LayerInit::normal(2.0, 0.0),
            Scheme::Lecun => LayerInit::normal(1.0, 0.0),
            Scheme::Xavier => {
                let (fan_in, fan_out) = (site.fan_in() as f64, site.output.width() as f64);
                LayerInit::normal(2.0 * fan_in / (fan_in + fan_out), 0.0)
            }
            Scheme::Critical | Scheme::Orthogonal => {
                let init = critical(feeding[at].as_ref(), &advice)?;
                let law = if scheme == Scheme::Critical { Law::Normal } else { Law::Orthogonal };
                LayerInit { c_w: init.c_w * scales[at], c_b: init.c_b * scales[at], law }
            }
        };
        // What a layer says of itself comes first, then what is given for all, then the rule.
        let own = site.layer.chosen();
        let (c_w, c_b) = (own.c_w.or(c_w), own.c_b.or(c_b));
        // Explicit variances are drawn from a Gaussian unless the rule asks for orthogonal matrices.
        let law = match (c_w.or(c_b), by_rule.law) {
            (Some(_), Law::Uniform) => Law::Normal,
            (_, law) => law,
        };
        layers.push(LayerInit { c_w: c_w.unwrap_or(by_rule.c_w), c_b: c_b.unwrap_or(by_rule.c_b), law });
    }
    Ok(Initial { layers, advice })
}

fn critical(
    activation: Option<&Activation>,
    advice: &BTreeMap<String, Result<Init, TheoryError>>,
) -> Result<LayerInit, TheoryError> {
    let Some(activation) = activation else {
        return Ok(LayerInit::normal(1.0, 0.0));
    };
    let init = advice[&activation.name].clone()?;
    // Where nothing can be recommended the report says so; variance-preserving weights stand in.
    Ok(LayerInit::normal(init.c_w.unwrap_or(1.0), init.c_b.unwrap_or(0.0)))
}

/// True when every activation of the network has a critical point.
#[must_use]
pub fn is_critical(initial: &Initial) -> bool {
    initial.advice.values().all(|advice| matches!(advice, Ok(Init { choice: Choice::Critical(_), .. })))
}

/// The critical point of one activation, or why there is none.
///
/// # Errors
/// As [`crate::criticality::criticality`].
pub fn critical_point(activation: &Activation) -> Result<Criticality, TheoryError> {
    static KNOWN: Known<Criticality> = Mutex::new(BTreeMap::new());
    remembered(&KNOWN, activation, || crate::criticality::criticality(&activation.formula))
}

fn advice(activation: &Activation) -> Result<Init, TheoryError> {
    static KNOWN: Known<Init> = Mutex::new(BTreeMap::new());
    remembered(&KNOWN, activation, || recommended_init(&activation.formula))
}

/// Answers about activations that were asked for before, by formula.
type Known<T> = Mutex<BTreeMap<String, Result<T, TheoryError>>>;

/// One command asks the same thing of the same activation several times, and a search over kernels takes up to a
/// tenth of a second. A function of its argument stays one when it remembers.
fn remembered<T: Clone>(
    known: &Known<T>,
    activation: &Activation,
    answer: impl FnOnce() -> Result<T, TheoryError>,
) -> Result<T, TheoryError> {
    let key = activation.formula.closed_text();
    if let Some(found) = known.lock().expect("nobody panics while holding this lock").get(&key) {
        return found.clone();
    }
    let new = answer();
    known.lock().expect("nobody panics while holding this lock").insert(key, new.clone());
    new
}

/// Factor of the variances of each weighted layer that residual blocks ask for.
fn block_scales(plan: &Plan) -> Vec<f64> {
    let blocks = plan.all().iter().filter(|site| matches!(site.layer, Layer::Residual(_))).count();
    let mut scales = vec![1.0; plan.weighted];
    for site in plan.all() {
        let Layer::Residual(residual) = &site.layer else { continue };
        let Some(last) = last_weighted(&site.inside) else { continue };
        let (gamma, beta) = (residual.skip.powi(2), residual.branch.powi(2));
        let share = if gamma < 1.0 { 1.0 - gamma } else { 1.0 / blocks as f64 };
        scales[last] = if beta > 0.0 { share / beta } else { 1.0 };
    }
    scales
}

fn last_weighted(sites: &[Site]) -> Option<usize> {
    sites.iter().rev().find_map(|site| site.weighted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_net::network::Network;

    #[test]
    fn what_a_layer_says_of_itself_comes_before_flags_and_schemes() {
        let network = "input = [4, 2]\nlayers = [{ conv = 3, c_w = 1.7 }, { act = 'relu' }, { flatten = true }, { dense = 5, c_b = 0.2 }]";
        let plan = Plan::new(&Network::from_toml(network).unwrap()).unwrap();
        let check = |scheme, c_w, expect: [(f64, f64); 2]| {
            let initial = initial(&plan, scheme, c_w, None).unwrap();
            let found: Vec<_> = initial.layers.iter().map(|layer| (layer.c_w, layer.c_b)).collect();
            assert_eq!(found, expect, "{scheme:?} {c_w:?}");
        };
        check(Scheme::He, None, [(1.7, 0.0), (2.0, 0.2)]);
        check(Scheme::He, Some(1.1), [(1.7, 0.0), (1.1, 0.2)]);
        let torch = initial(&plan, Scheme::Torch, None, None).unwrap().layers;
        assert_eq!((torch[0].law, torch[1].law), (Law::Normal, Law::Normal));
    }

    #[test]
    fn a_variance_below_zero_is_refused() {
        let network = Network::from_toml("input = [4]\nlayers = [{ dense = 5, c_w = -1.0 }]").unwrap();
        assert!(Plan::new(&network).is_err());
    }
}
