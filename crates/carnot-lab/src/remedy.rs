//! What can be done about a network, as data, as code and as a changed network to try.

use carnot_net::activation::Activation;
use carnot_net::hyper::{LayerInit, LayerRate, Scheme};
use carnot_net::layers::Layer;
use carnot_net::network::{Named, Network};
use carnot_net::plan::Plan;
use carnot_theory::finite_width::table;
use carnot_theory::initial::{activations, initial};
use carnot_theory::layer::{Scales, Stack};
use carnot_theory::shape_of::steps;
use carnot_theory::tangent::{Rates, Sum, equalizing_rates, largest_stable_rate};

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
            _ => {}
        }
    }
}

/// Relative rates of all layers, and the largest stable global rate with them.
#[derive(Clone, Debug)]
pub struct Advised {
    /// λ_W and λ_b of each layer with weights.
    pub layers: Vec<LayerRate>,
    /// Largest η of full-batch descent on ½ mean (z − y)² that is stable at the start, for N identical inputs.
    pub largest_stable: f64,
}

/// Rates with which every layer contributes equally to the tangent kernel.
///
/// # Errors
/// In words, why they are not known.
pub fn rates(plan: &Plan, init: &[LayerInit], input_square: f64) -> Result<Advised, String> {
    let steps = steps(plan)
        .map_err(|layer| format!("rates are known for dense stacks, and {layer} is not part of one"))?;
    if steps.steps.iter().any(|step| step.skip != 0.0) {
        return Err("rates are not derived for stacks with skips".into());
    }
    let scales = |lambda_w: &[f64], lambda_b: &[f64]| -> Vec<Scales> {
        let of = |(at, init): (usize, &LayerInit)| {
            Scales::new(init.c_w, init.c_b).with_rates(lambda_w[at], lambda_b[at])
        };
        init.iter().enumerate().map(of).collect()
    };
    let ones = vec![1.0; init.len()];
    let activation = steps.activation.formula.clone();
    let mut stack = Stack { activation, layers: scales(&ones, &ones), width_ratios: Vec::new() };
    let total = Rates { lambda_w: 1.0, lambda_b: 1.0 };
    let rates = equalizing_rates(&stack, input_square, total).map_err(|error| error.to_string())?;
    let (w, b): (Vec<f64>, Vec<f64>) = rates.iter().map(|rate| (rate.lambda_w, rate.lambda_b)).unzip();
    stack.layers = scales(&w, &b);
    let table = table(&stack, input_square).map_err(|error| error.to_string())?;
    let last = table.rows.last().ok_or("the kernel is not finite")?;
    let tangent = last.tangent.as_ref().map_err(ToString::to_string)?.mean;
    // N identical inputs have the one eigenvalue N Θ; any others have smaller ones.
    let largest_stable = largest_stable_rate(&[tangent], 1, Sum::Mean).map_err(|error| error.to_string())?;
    let layers = w.into_iter().zip(b).map(|(lambda_w, lambda_b)| LayerRate { lambda_w, lambda_b }).collect();
    Ok(Advised { layers, largest_stable })
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
