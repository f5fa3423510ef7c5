//! What "the" tangent kernel means: the relative rates of the layers, by the name of the parametrisation.

use crate::hyper::{LayerInit, LayerRate};
use crate::plan::Plan;
use serde::{Deserialize, Serialize};

/// Which factors λ_W, λ_b stand in $\Theta' = \lambda_b + \lambda_W K + C_W \Theta$.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Parametrization {
    /// Weights $\sqrt{C_W/\text{fan-in}}\,w$ and biases $\sqrt{C_b}\,\beta$ with w, β ~ N(0, 1) trained: λ_W = C_W, λ_b = C_b.
    #[default]
    Ntk,
    /// The weights themselves are trained, all with one rate, as frameworks do: λ_W = fan-in, λ_b = 1. Grows with width.
    Standard,
    /// Rates in proportion to 1/fan-in: λ_W = λ_b = 1 (arXiv:2106.10165, ch. 8).
    Unit,
}

impl Parametrization {
    /// λ_W and λ_b of every layer with weights.
    ///
    /// * `init`: one per layer with weights, in the order of the plan
    #[must_use]
    pub fn rates(self, plan: &Plan, init: &[LayerInit]) -> Vec<LayerRate> {
        let sites = plan.weighted_sites();
        let rate = |(fan_in, init): (usize, &LayerInit)| match self {
            Parametrization::Ntk => LayerRate { lambda_w: init.c_w, lambda_b: init.c_b },
            Parametrization::Standard => LayerRate::uniform(fan_in),
            Parametrization::Unit => LayerRate { lambda_w: 1.0, lambda_b: 1.0 },
        };
        sites.iter().map(|site| site.fan_in()).zip(init).map(rate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;

    #[test]
    fn every_parametrization_gives_one_rate_per_layer_with_weights() {
        let network = "input = [5]\nlayers = [{ dense = 64 }, { act = 'relu' }, { dense = 1 }]";
        let plan = Plan::new(&Network::from_toml(network).unwrap()).unwrap();
        let init = [LayerInit::normal(2.0, 0.1), LayerInit::normal(1.5, 0.3)];
        let check = |of: Parametrization, expect: [(f64, f64); 2]| {
            let found: Vec<_> =
                of.rates(&plan, &init).iter().map(|rate| (rate.lambda_w, rate.lambda_b)).collect();
            assert_eq!(found, expect, "{of:?}");
        };
        check(Parametrization::Ntk, [(2.0, 0.1), (1.5, 0.3)]);
        check(Parametrization::Standard, [(5.0, 1.0), (64.0, 1.0)]);
        check(Parametrization::Unit, [(1.0, 1.0); 2]);
    }
}
