//! Recognises the structures for which 1/n theory is known: dense stacks, plain or with skips around layers.

use carnot_net::activation::Activation;
use carnot_net::layers::Layer;
use carnot_net::plan::{Plan, Site};

/// One step to the next read layer: $z' = \beta (b + W\sigma(z)) + \gamma z$; the first one acts on the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Index of its weights among the weighted layers.
    pub weighted: usize,
    /// Width n of what leaves.
    pub width: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// γ, 0 without a skip.
    pub skip: f64,
    /// β, 1 without a skip.
    pub branch: f64,
}

/// A dense stack with one activation.
#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    /// The activation in front of every step but the first.
    pub activation: Activation,
    /// One per read layer.
    pub steps: Vec<Step>,
}

/// Reads a plan as a dense stack.
///
/// # Errors
/// The name of the first layer that does not fit.
pub fn steps(plan: &Plan) -> Result<Steps, String> {
    let mut activation: Option<Activation> = None;
    let mut waiting = false;
    let mut steps: Vec<Step> = Vec::new();
    for site in &plan.sites {
        match &site.layer {
            Layer::Dropout(_) => {}
            Layer::Flatten(_) if steps.is_empty() => {}
            Layer::Activate(act) if !waiting && !steps.is_empty() => {
                same(&mut activation, &act.activation).ok_or_else(|| site.name.clone())?;
                waiting = true;
            }
            Layer::Dense(_) if (waiting || steps.is_empty()) && site.input.positions() == 1 => {
                steps.push(step(site, 0.0, 1.0));
                waiting = false;
            }
            Layer::Residual(residual) if !waiting && !steps.is_empty() => {
                let inner = block(site, &mut activation).ok_or_else(|| site.name.clone())?;
                steps.push(step(inner, residual.skip, residual.branch));
            }
            _ => return Err(site.name.clone()),
        }
    }
    let last = plan.sites.last().expect("a plan is not empty");
    if waiting || steps.is_empty() {
        return Err(last.name.clone());
    }
    // A single dense layer has no activation; any one serves, for nothing is averaged.
    let linear = || Activation::named("linear").expect("linear is in the table");
    Ok(Steps { activation: activation.unwrap_or_else(linear), steps })
}

/// The dense layer of a block `[activation, dense]`.
fn block<'a>(site: &'a Site, activation: &mut Option<Activation>) -> Option<&'a Site> {
    let inside: Vec<&Site> = site.inside.iter().filter(|s| !matches!(s.layer, Layer::Dropout(_))).collect();
    match inside[..] {
        [first, second] => match (&first.layer, &second.layer) {
            (Layer::Activate(act), Layer::Dense(_)) => same(activation, &act.activation).map(|()| second),
            _ => None,
        },
        _ => None,
    }
}

fn same(known: &mut Option<Activation>, new: &Activation) -> Option<()> {
    match known {
        None => {
            *known = Some(new.clone());
            Some(())
        }
        Some(known) => (known == new).then_some(()),
    }
}

fn step(site: &Site, skip: f64, branch: f64) -> Step {
    let Layer::Dense(dense) = &site.layer else { unreachable!("the caller matched a dense layer") };
    let weighted = site.weighted.expect("dense layers are weighted");
    Step { weighted, width: dense.width, bias: dense.bias, skip, branch }
}
