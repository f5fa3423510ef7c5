//! From a tuned network to a larger one: what each group of parameters starts with and how fast it learns.
//!
//! The rules of [`crate::parametrization`] put factors into the forward pass. Here every factor is moved into the initial variance and
//! the rate, so that any trainer with rates by group can use them: a layer's weights $W = m\,w$ with w trained at η are the same as W
//! trained at $m^2\eta$ (gradient descent) or $m\eta$ (Adam, whose steps do not know the size of a gradient).

use carnot_net::layers::{Layer, Role};
use carnot_net::plan::{Plan, Site};
use serde::{Deserialize, Serialize};

use crate::error::{TheoryError, check};
use crate::parametrization::{Group, Multipliers, depth_transfer, maximal_update, standard};

/// By which family of rules a network grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Every layer learns as much as in the small network (arXiv:2011.14522, 2203.03466; with depth 2310.02244).
    #[default]
    MaximalUpdate,
    /// What frameworks do: variances over fan-in, one rate for all.
    Standard,
}

/// How parameters follow gradients, as far as scaling knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Descent {
    /// Steps in proportion to the gradient: with or without velocity.
    Gradient,
    /// Steps of a size that does not depend on the gradient's: Adam.
    Adam,
}

/// Factors of one layer with weights, relative to the tuned network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// What grows around it.
    pub place: Place,
    /// Of $C_W$ (variance times fan-in).
    pub c_w: f64,
    /// Of the rate of weights.
    pub weight: f64,
    /// Of the rate of biases.
    pub bias: f64,
}

/// Which sides of a layer's weights grow with the width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// What leaves: a first layer, an embedding.
    Input,
    /// Both.
    Hidden,
    /// What enters: a head.
    Output,
    /// Neither.
    Fixed,
}

impl Place {
    /// In a table.
    pub fn words(self) -> &'static str {
        match self {
            Place::Input => "input",
            Place::Hidden => "hidden",
            Place::Output => "output",
            Place::Fixed => "fixed",
        }
    }
}

/// Factors of every layer with weights for a network with other widths and depth.
///
/// * `base`: the tuned network at the *target's depth*: the same layers, with the widths that were tuned
/// * `target`: the wanted network
/// * `depth`: blocks of the target over those that were tuned, > 0; without skip paths, the layers between the first and the last
///
/// # Errors
/// [`TheoryError::Length`] when the two have not the same layers, [`TheoryError::OutOfRange`] for a depth ≤ 0.
pub fn scales(
    base: &Plan,
    target: &Plan,
    depth: f64,
    rule: Rule,
    descent: Descent,
) -> Result<Vec<Scale>, TheoryError> {
    check("depth multiplier", depth, depth > 0.0, "> 0")?;
    let (before, after) = (base.weighted_sites(), target.weighted_sites());
    if before.len() != after.len() {
        let (what, expected, found) = ("layers", after.len(), before.len());
        return Err(TheoryError::Length { what, expected, found });
    }
    let inside = in_branches(target);
    let (_, rate) = depth_rule(rule, skips(target), descent, depth)?;
    before
        .iter()
        .zip(&after)
        .map(|(a, b)| scale(a, b, inside.contains(&b.index), rate, rule, descent))
        .collect()
}

fn scale(
    before: &Site,
    after: &Site,
    is_inside: bool,
    deep: f64,
    rule: Rule,
    descent: Descent,
) -> Result<Scale, TheoryError> {
    let (enters, leaves) = growth(before, after);
    let place = match (enters == 1.0, leaves == 1.0) {
        (true, true) => Place::Fixed,
        (true, false) => Place::Input,
        (false, true) => Place::Output,
        (false, false) => Place::Hidden,
    };
    let of = |group: Group, m: f64| match rule {
        Rule::MaximalUpdate => maximal_update(group, m),
        Rule::Standard => standard(group, m),
    };
    let rate = |table: &Multipliers| match descent {
        Descent::Gradient => table.sgd * table.output.powi(2),
        Descent::Adam => table.adam * table.output,
    };
    let weights = match place {
        Place::Input => of(Group::Input, leaves)?,
        Place::Hidden => of(Group::Hidden, enters)?,
        Place::Output => of(Group::Output, enters)?,
        Place::Fixed => standard(Group::Input, 1.0)?,
    };
    // Biases of the size of the width; those of an output are few and stay as they are.
    let vector = if leaves == 1.0 { 1.0 } else { rate(&of(Group::Bias, leaves)?) };
    let own = if is_inside { deep } else { 1.0 };
    // The initial variance relative to 1/fan-in.
    let c_w = weights.variance * enters * weights.output.powi(2);
    Ok(Scale { place, c_w, weight: rate(&weights) * own, bias: vector * own })
}

/// By how much fan-in and fan-out grow.
fn growth(before: &Site, after: &Site) -> (f64, f64) {
    let sizes = |site: &Site| {
        let weights = site.parameters.iter().find(|parameter| parameter.role == Role::Weight);
        weights.map_or((1.0, 1.0), |w| (w.fan_in as f64, (w.len() / w.fan_in.max(1)) as f64))
    };
    let ((in_before, out_before), (in_after, out_after)) = (sizes(before), sizes(after));
    // A table of vectors has fan-in one, and one row for each token whatever the width.
    (in_after / in_before, out_after / out_before)
}

/// How a network's skip paths take part in its depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skips {
    /// There are none.
    None,
    /// The stream is added as it is.
    Plain,
    /// The stream has a factor of its own that follows the depth, as in DeepNorm.
    Scaled,
}

/// The skip paths of a network.
#[must_use]
pub fn skips(plan: &Plan) -> Skips {
    let all: Vec<f64> = plan
        .sites
        .iter()
        .filter_map(|site| match &site.layer {
            Layer::Residual(residual) => Some(residual.skip),
            _ => None,
        })
        .collect();
    match all.iter().any(|skip| *skip != 1.0) {
        _ if all.is_empty() => Skips::None,
        true => Skips::Scaled,
        false => Skips::Plain,
    }
}

/// Factor on every residual branch, and on the rates of what there is more of, for so many times the depth.
///
/// With skip paths branches are multiplied by $m_L^{-1/2}$ so that their sum keeps its size; gradient descent then needs the same rate at
/// every depth, Adam $m_L^{-1/2}$ of it (depth-muP, arXiv:2310.02244). Where the stream has a factor of its own (DeepNorm, arXiv:2203.00555)
/// that keeps updates of the output bounded: 1. Without skip paths, at criticality, every layer adds as much to the tangent
/// kernel as any other, and Adam's steps, of a size of their own, add up likewise: $m_L^{-1}$ (PDLT ch. 9).
///
/// # Errors
/// [`TheoryError::OutOfRange`] for a depth ≤ 0.
pub fn depth_rule(rule: Rule, skips: Skips, descent: Descent, depth: f64) -> Result<(f64, f64), TheoryError> {
    let factors = depth_transfer(1.0, depth, 0.5)?;
    Ok(match (rule, skips, descent) {
        (Rule::Standard, ..) | (_, Skips::Scaled, _) => (1.0, 1.0),
        (_, Skips::Plain, Descent::Gradient) => (factors.branch, 1.0),
        (_, Skips::Plain, Descent::Adam) => (factors.branch, factors.hidden_rate),
        (_, Skips::None, _) => (1.0, 1.0 / depth),
    })
}

/// Layers whose number grows with depth: inside residual blocks, or between the first and the last layer with weights where there are none.
fn in_branches(plan: &Plan) -> Vec<usize> {
    if skips(plan) != Skips::None {
        let blocks = plan.sites.iter().filter(|site| matches!(site.layer, Layer::Residual(_)));
        return blocks.flat_map(indices).collect();
    }
    let weighted: Vec<usize> = plan.weighted_sites().iter().map(|site| site.index).collect();
    weighted.get(1..weighted.len().saturating_sub(1)).unwrap_or_default().to_vec()
}

fn indices(site: &Site) -> Vec<usize> {
    site.inside.iter().flat_map(|inner| std::iter::once(inner.index).chain(indices(inner))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_net::activation::Activation;
    use carnot_net::shorthand::{self, Style};

    fn plan(text: &str) -> Plan {
        let style = Style { activation: Activation::named("relu").unwrap(), residual: None, norm: None };
        Plan::new(&shorthand::parse(text, &style).unwrap()).unwrap()
    }

    #[test]
    fn maximal_update_without_factors_in_the_forward_pass() {
        let (base, target) = (plan("20-64x3-10"), plan("20-512x3-10"));
        let adam = scales(&base, &target, 1.0, Rule::MaximalUpdate, Descent::Adam).unwrap();
        let places: Vec<Place> = adam.iter().map(|s| s.place).collect();
        assert_eq!(places, [Place::Input, Place::Hidden, Place::Hidden, Place::Output]);
        let of = |of: fn(&Scale) -> f64| adam.iter().map(of).collect::<Vec<_>>();
        assert_eq!(of(|s| s.weight), [1.0, 1.0 / 8.0, 1.0 / 8.0, 1.0 / 8.0]);
        assert_eq!(of(|s| s.bias), [1.0; 4]);
        // The head's variance falls as 1/fan-in², C_W as 1/m.
        assert_eq!(of(|s| s.c_w), [1.0, 1.0, 1.0, 1.0 / 8.0]);
        let sgd = scales(&base, &target, 1.0, Rule::MaximalUpdate, Descent::Gradient).unwrap();
        assert_eq!(sgd.iter().map(|s| s.weight).collect::<Vec<_>>(), [8.0, 1.0, 1.0, 1.0 / 8.0]);
        assert_eq!(sgd.iter().map(|s| s.bias).collect::<Vec<_>>(), [8.0, 8.0, 8.0, 1.0]);
    }

    #[test]
    fn the_standard_rule_changes_nothing() {
        let (base, target) = (plan("20-64x3-10"), plan("20-512x3-10"));
        for descent in [Descent::Adam, Descent::Gradient] {
            for scale in scales(&base, &target, 6.0, Rule::Standard, descent).unwrap() {
                assert_eq!((scale.c_w, scale.weight, scale.bias), (1.0, 1.0, 1.0));
            }
        }
        assert!(scales(&plan("20-64x2-10"), &target, 1.0, Rule::Standard, Descent::Adam).is_err());
        assert!(scales(&base, &target, 0.0, Rule::Standard, Descent::Adam).is_err());
    }

    #[test]
    fn depth_acts_on_what_there_is_more_of() {
        let (base, target) = (plan("20-64x6-10"), plan("20-64x6-10"));
        let found = scales(&base, &target, 2.0, Rule::MaximalUpdate, Descent::Adam).unwrap();
        let weights: Vec<f64> = found.iter().map(|s| s.weight).collect();
        assert_eq!(weights, [1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 1.0]);
        let (branch, rate) = depth_rule(Rule::MaximalUpdate, Skips::Plain, Descent::Adam, 4.0).unwrap();
        assert_eq!((branch, rate), (0.5, 0.5));
        assert_eq!(
            depth_rule(Rule::MaximalUpdate, Skips::Plain, Descent::Gradient, 4.0).unwrap(),
            (0.5, 1.0)
        );
    }

    #[test]
    fn a_transformer_has_all_places() {
        let (base, target) = (plan("pre:3x16,heads=2"), plan("pre:3x64,heads=8"));
        let found = scales(&base, &target, 1.5, Rule::MaximalUpdate, Descent::Adam).unwrap();
        let places: Vec<Place> = found.iter().map(|s| s.place).collect();
        assert_eq!(places[..2], [Place::Input; 2]);
        assert_eq!(places[places.len() - 1], Place::Output);
        assert!(places[2..places.len() - 1].iter().all(|place| *place == Place::Hidden), "{places:?}");
        let inner = 1.5f64.powf(-0.5) / 4.0;
        assert!(found[2..found.len() - 1].iter().all(|s| (s.weight - inner).abs() < 1e-12));
    }
}
