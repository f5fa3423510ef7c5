//! How the global learning rate is shared out over the parameters.

use crate::error::SimError;
use carnot_net::hyper::LayerRate;
use carnot_net::layers::Role;
use carnot_net::plan::Plan;
use std::ops::Range;

/// A run of a member's parameter vector that moves at one rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Place in the parameter vector.
    pub at: Range<usize>,
    /// Factor of the global rate, ≥ 0.
    pub multiplier: f64,
    /// Running means: what stands in place of their gradient is subtracted as it is, whatever the optimizer.
    pub follows: bool,
}

/// Groups of parameters with equal rates, in the order of memory; neighbours with the same rate are one group.
///
/// Weights move at $\eta\lambda_W/\text{fan-in}$, biases at $\eta\lambda_b$, gains and shifts at η.
///
/// * `rates`: one per layer with weights, or none for one rate everywhere
///
/// # Errors
/// [`SimError::Rates`], [`SimError::Range`].
pub fn groups(plan: &Plan, rates: &[LayerRate]) -> Result<Vec<Group>, SimError> {
    if !rates.is_empty() && rates.len() != plan.weighted {
        return Err(SimError::Rates { expected: plan.weighted, found: rates.len() });
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut sites = plan.all();
    sites.sort_by_key(|site| site.offset);
    for site in sites {
        let mut start = site.offset;
        for parameter in &site.parameters {
            let rate = site.weighted.and_then(|at| rates.get(at));
            let multiplier = match (parameter.role, rate) {
                (Role::Weight, Some(rate)) => rate.weight(parameter.fan_in),
                (Role::Bias, Some(rate)) => rate.lambda_b,
                _ => 1.0,
            };
            if !(multiplier.is_finite() && multiplier >= 0.0) {
                let range = "a finite number ≥ 0";
                return Err(SimError::Range { name: "rate multiplier", value: multiplier, range });
            }
            let end = start + parameter.len();
            let follows = parameter.role.follows();
            match groups.last_mut() {
                Some(last)
                    if last.multiplier == multiplier && last.follows == follows && last.at.end == start =>
                {
                    last.at.end = end;
                }
                _ => groups.push(Group { at: start..end, multiplier, follows }),
            }
            start = end;
        }
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_net::layers::Layer;
    use carnot_net::layers::dense::Dense;
    use carnot_net::network::Network;
    use carnot_net::shape::Shape;

    fn plan() -> Plan {
        let layer = || Layer::Dense(Dense::of_width(3)).into();
        Plan::new(&Network { input: Shape::features(2), layers: vec![layer(), layer()] }).unwrap()
    }

    #[test]
    fn one_rate_is_one_group() {
        assert_eq!(groups(&plan(), &[]).unwrap(), [Group { at: 0..21, multiplier: 1.0, follows: false }]);
    }

    #[test]
    fn weights_and_biases_move_at_their_own_rates() {
        let rates = [LayerRate { lambda_w: 4.0, lambda_b: 0.5 }, LayerRate::uniform(3)];
        let found = groups(&plan(), &rates).unwrap();
        let expect = [(0..6, 2.0), (6..9, 0.5), (9..21, 1.0)];
        assert_eq!(found, expect.map(|(at, multiplier)| Group { at, multiplier, follows: false }));
        assert_eq!(groups(&plan(), &rates[..1]), Err(SimError::Rates { expected: 2, found: 1 }));
    }
}
