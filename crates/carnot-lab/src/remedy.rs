//! What can be done about a network, as data, as code and as a changed network to try.

use carnot_net::activation::Activation;
use carnot_net::hyper::{LayerInit, LayerRate, Scheme};
use carnot_net::layers::Layer;
use carnot_net::network::{Named, Network};
use carnot_net::plan::Plan;
use carnot_theory::forecast::LayerForecast;
use carnot_theory::initial::{activations, initial};
use carnot_theory::shape_of::steps;
use carnot_theory::tangent::{Rates, rates_from};

use crate::error::LabError;

/// A changed network that should learn.
#[derive(Clone, Debug)]
pub struct Remedied {
    /// The network, with another activation where its own has no usable initialisation.
    pub network: Network,
    /// Its initialisation.
    pub layers: Vec<LayerInit>,
    /// The activation that was put in, if one was.
    pub activation: Option<String>,
}

/// The network with the initialisation theory recommends; where an activation has no critical point, tanh takes
/// its place, which is the same function up to scale and shift for sigmoids and keeps signals for all others.
///
/// # Errors
/// When theory cannot average an activation.
pub fn remedied(network: &Network) -> Result<Remedied, LabError> {
    let plan = Plan::new(network)?;
    let own = initial(&plan, Scheme::Critical, None, None)?;
    if carnot_theory::initial::is_critical(&own) {
        return Ok(Remedied { network: network.clone(), layers: own.layers, activation: None });
    }
    let tanh = Activation::named("tanh").expect("tanh is in the table");
    let mut changed = network.clone();
    replace(&mut changed.layers, &tanh);
    let layers = initial(&Plan::new(&changed)?, Scheme::Critical, None, None)?.layers;
    Ok(Remedied { network: changed, layers, activation: Some(tanh.name) })
}

fn replace(layers: &mut [Named], by: &Activation) {
    for named in layers {
        match &mut named.layer {
            Layer::Activate(act) => act.activation = by.clone(),
            Layer::Residual(block) => replace(&mut block.block, by),
            Layer::Repeat(block) => replace(&mut block.block, by),
            Layer::Branches(branches) => branches.of.iter_mut().for_each(|chain| replace(chain, by)),
            _ => {}
        }
    }
}

/// Relative rates of all layers, and the largest stable global rate with them.
#[derive(Clone, Debug)]
pub struct Advised {
    /// λ_W and λ_b of each layer with weights.
    pub layers: Vec<LayerRate>,
    /// Largest η of full-batch descent on ½ mean (z − y)² that is stable at the start, whatever the inputs: for N
    /// identical ones the largest eigenvalue of Θ/N is Θ itself.
    pub largest_stable: f64,
}

/// Rates with which every layer contributes equally to the tangent kernel, from the forecast of a dense stack.
///
/// # Errors
/// In words, why they are not known.
pub fn rates(plan: &Plan, init: &[LayerInit], layers: &[LayerForecast]) -> Result<Advised, String> {
    let steps = steps(plan)
        .map_err(|layer| format!("rates are known for dense stacks, and {layer} is not part of one"))?;
    if steps.steps.iter().any(|step| step.skip != 0.0) {
        return Err("rates are not derived for stacks with skips".into());
    }
    let (mut squares, mut reach) = (Vec::new(), Vec::new());
    for (layer, init) in layers.iter().zip(init) {
        let reading = layer.reading.as_ref().map_err(ToString::to_string)?;
        if init.c_w == 0.0 {
            return Err(format!("{} has weights of variance zero", layer.name));
        }
        // K = C_b + C_W × what the layer sees.
        squares.push((reading.forward.mean_variance() - init.c_b) / init.c_w);
        reach.push(*reading.gradient.first().ok_or("the gradient is not known")?);
    }
    let rates = rates_from(&squares, &reach, Rates { lambda_w: 1.0, lambda_b: 1.0 });
    let tangent = 1.0 + squares.last().expect("one square per layer");
    let layers =
        rates.iter().map(|rate| LayerRate { lambda_w: rate.lambda_w, lambda_b: rate.lambda_b }).collect();
    Ok(Advised { layers, largest_stable: 2.0 / tangent })
}

/// PyTorch code that starts every linear and convolution layer with these variances.
pub fn torch_code(c_w: f64, c_b: f64) -> String {
    let bias = if c_b == 0.0 {
        "torch.nn.init.zeros_(m.bias)".to_string()
    } else {
        format!("torch.nn.init.normal_(m.bias, std={:.6})", c_b.sqrt())
    };
    format!(
        "for m in model.modules():\n    if isinstance(m, (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d)):\n        \
         fan_in = m.weight[0].numel()\n        torch.nn.init.normal_(m.weight, std=({c_w:.6} / fan_in) ** 0.5)\n        \
         if m.bias is not None:\n            {bias}"
    )
}

/// Names of the activations of a network.
pub fn activation_names(plan: &Plan) -> Vec<String> {
    activations(plan).into_iter().map(|activation| activation.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_net::kernel::{Gram, Kernel};
    use carnot_net::plan::Theory;
    use carnot_net::shorthand::{Style, parse};
    use carnot_theory::forecast::forecast;
    use carnot_theory::layer::{Scales, Stack};
    use carnot_theory::tangent::equalizing_rates;

    #[test]
    fn rates_from_a_forecast_are_those_of_the_recursion() {
        let activation = Activation::named("tanh").expect("in the table");
        let style = Style { activation: activation.clone(), residual: None, norm: None };
        let plan = Plan::new(&parse("20-30x9-30", &style).expect("a shorthand")).expect("a plan");
        let init = vec![LayerInit::normal(1.2, 0.05); 10];
        let mut gram = Gram::zeros(1, 1, plan.positions());
        gram.variance[0] = 0.8;
        let layers = forecast(&plan, &Theory::new(&init, &[]), &Kernel::of_gram(gram, false));
        let own = rates(&plan, &init, &layers).expect("a dense stack").layers;
        let stack = Stack::uniform(&activation.formula, 10, Scales::new(1.2, 0.05));
        let expect = equalizing_rates(&stack, 0.8, Rates { lambda_w: 1.0, lambda_b: 1.0 }).expect("known");
        for (own, expect) in own.iter().zip(&expect) {
            assert!((own.lambda_w / expect.lambda_w - 1.0).abs() < 1e-9, "{own:?} against {expect:?}");
            assert!((own.lambda_b / expect.lambda_b - 1.0).abs() < 1e-9, "{own:?} against {expect:?}");
        }
    }

    #[test]
    fn an_activation_without_critical_point_is_replaced() {
        let style =
            Style { activation: Activation::named("sigmoid").expect("known"), residual: None, norm: None };
        let network = parse("8-16x5-3", &style).expect("a shorthand");
        let remedied = remedied(&network).expect("theory answers");
        assert_eq!(remedied.activation.as_deref(), Some("tanh"));
        assert!(remedied.layers.iter().all(|init| init.c_w == 1.0 && init.c_b == 0.0));
    }
}
