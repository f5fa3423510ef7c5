//! The network at another width and depth, with the start and the rates that a rule gives it.

use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::layers::Layer;
use carnot_net::network::Named;
use carnot_net::plan::Plan;
use carnot_theory::transfer::{Descent, Rule, Scale, Skips, depth_rule, scales, skips};
use serde::{Deserialize, Serialize};

use super::TransferSpec;
use crate::error::LabError;
use crate::experiments::border::shape;
use crate::spec::network::{NetworkChoice, NetworkSettings};

/// Width and depth; `None` where the network has none to vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Units of the hidden layers.
    pub width: Option<usize>,
    /// Hidden layers, or blocks.
    pub depth: Option<usize>,
}

impl Size {
    /// In words: `width 512, depth 4`.
    pub fn words(self) -> String {
        let part = |name: &str, n: Option<usize>| n.map(|n| format!("{name} {n}"));
        [part("width", self.width), part("depth", self.depth)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// A network ready to be trained, relative to a global rate.
pub struct Sized {
    /// Its layers.
    pub plan: Plan,
    /// How it starts.
    pub init: Vec<LayerInit>,
    /// Rates of its layers over the global one.
    pub rates: Vec<LayerRate>,
    /// The factors behind both.
    pub scales: Vec<Scale>,
    /// Factor on every residual branch.
    pub branch: f64,
}

/// Steps of that optimizer, as scaling knows them.
pub fn descent(spec: &TransferSpec) -> Descent {
    if spec.optimizer.starts_with("adam") { Descent::Adam } else { Descent::Gradient }
}

/// The network as it was given.
pub fn base(spec: &TransferSpec) -> Size {
    Size { width: shape::width(&spec.network), depth: shape::depth(&spec.network) }
}

/// The network that is wanted.
pub fn target(spec: &TransferSpec) -> Size {
    let base = base(spec);
    Size { width: spec.to_width.or(base.width), depth: spec.to_depth.or(base.depth) }
}

/// The network of a size, by a rule.
///
/// Under [`Rule::Standard`] the start is that of the scheme at the new sizes; under the other that of the small network times factors.
///
/// # Errors
/// When the network cannot have that shape.
pub fn sized(spec: &TransferSpec, size: Size, rule: Rule) -> Result<Sized, LabError> {
    let base = base(spec);
    let mut deep = spec.network.clone();
    if size.depth != base.depth {
        shape::deepen(&mut deep, size.depth.unwrap_or(1))?;
    }
    let mut wide = deep.clone();
    if size.width != base.width {
        shape::widen(&mut wide, size.width.unwrap_or(1))?;
    }
    let narrow = Plan::new(deep.network())?;
    let more = match (size.depth, base.depth) {
        (Some(now), Some(then)) if skips(&narrow) != Skips::None => now as f64 / then as f64,
        (Some(_), Some(_)) => between(&narrow) / between(&Plan::new(spec.network.network())?),
        _ => 1.0,
    };
    let (branch, _) = depth_rule(rule, skips(&narrow), descent(spec), more)?;
    let wide = if branch == 1.0 { wide } else { damped(&wide, branch) };
    let plan = Plan::new(wide.network())?;
    let scales = scales(&narrow, &plan, more, rule, descent(spec))?;
    let start = match rule {
        Rule::Standard => spec.init.initial(&plan)?.layers,
        Rule::MaximalUpdate => spec.init.initial(&narrow)?.layers,
    };
    let init =
        start.iter().zip(&scales).map(|(layer, scale)| LayerInit { c_w: layer.c_w * scale.c_w, ..*layer });
    let rate = |(site, scale): (&&carnot_net::plan::Site, &Scale)| LayerRate {
        lambda_w: scale.weight * site.fan_in() as f64,
        lambda_b: scale.bias,
    };
    let rates = plan.weighted_sites().iter().zip(&scales).map(rate).collect();
    Ok(Sized { init: init.collect(), rates, scales, branch, plan })
}

/// The same network with every residual branch multiplied.
fn damped(settings: &NetworkSettings, factor: f64) -> NetworkSettings {
    fn visit(layers: &mut [Named], factor: f64) {
        for named in layers {
            match &mut named.layer {
                Layer::Residual(residual) => residual.branch *= factor,
                Layer::Repeat(repeat) => visit(&mut repeat.block, factor),
                _ => {}
            }
        }
    }
    let mut network = settings.network().clone();
    visit(&mut network.layers, factor);
    NetworkSettings { network: NetworkChoice::Network(network), ..NetworkSettings::default() }
}

/// Layers with weights between the first and the last: those of which a deeper network has more.
fn between(plan: &Plan) -> f64 {
    plan.weighted.saturating_sub(2).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> TransferSpec {
        let network =
            NetworkSettings { network: NetworkChoice::Shorthand(text.into()), ..NetworkSettings::default() };
        TransferSpec { network: network.resolve().unwrap(), ..TransferSpec::default() }
    }

    #[test]
    fn the_given_size_is_the_given_network_under_every_rule() {
        for text in ["64-32x4-10", "pre:2x32", "deepnorm:2x32"] {
            let spec = spec(text);
            let [a, b] =
                [Rule::Standard, Rule::MaximalUpdate].map(|rule| sized(&spec, base(&spec), rule).unwrap());
            assert_eq!(a.init, b.init, "{text}");
            assert_eq!(a.rates, b.rates, "{text}");
            assert_eq!((a.branch, b.branch), (1.0, 1.0), "{text}");
        }
    }

    #[test]
    fn branches_of_a_deeper_stream_are_weaker_unless_the_design_sees_to_it() {
        let deeper = |text: &str| {
            let spec = spec(text);
            let size = Size { depth: Some(8), ..base(&spec) };
            sized(&spec, size, Rule::MaximalUpdate).unwrap()
        };
        assert_eq!(deeper("pre:2x32").branch, 0.5);
        assert_eq!(deeper("deepnorm:2x32").branch, 1.0);
        assert_eq!(deeper("64-32x4-10").branch, 1.0);
    }
}
