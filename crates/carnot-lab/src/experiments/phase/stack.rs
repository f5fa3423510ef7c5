//! The networks of a diagram: what they are made of, and where they are read.

use carnot_net::hyper::LayerInit;
use carnot_net::layers::Layer;
use carnot_net::layers::activate::Activate;
use carnot_net::layers::batch_norm::BatchNorm;
use carnot_net::layers::conv::Conv;
use carnot_net::layers::dense::Dense;
use carnot_net::layers::dropout::Dropout;
use carnot_net::layers::flatten::Flatten;
use carnot_net::layers::residual::Residual;
use carnot_net::network::{Named, Network};
use carnot_net::plan::Plan;
use carnot_net::shape::Shape;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PhaseSpec;
use crate::error::LabError;

/// What the hidden layers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Model {
    /// Linear map, batch norm, leaky ReLU, dropout.
    #[default]
    Mlp,
    /// Convolution of 3 × 3 pixels, batch norm, leaky ReLU, dropout; all pixels at the end. Images stay images.
    Cnn,
    /// A linear map, then blocks x + f(x), f as in the MLP.
    Residual,
}

impl Model {
    /// As said in a heading.
    pub fn words(self) -> &'static str {
        match self {
            Model::Mlp => "",
            Model::Cnn => "convolutional ",
            Model::Residual => "residual ",
        }
    }
}

/// A formula with a number in the place of every `a` that stands alone.
pub fn with_parameter(family: &str, parameter: f64) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut before = ' ';
    let mut rest = family.chars().peekable();
    while let Some(c) = rest.next() {
        let stands_alone = c == 'a' && !is_word(before) && !rest.peek().is_some_and(|&next| is_word(next));
        match stands_alone {
            true => out += &format!("({parameter})"),
            false => out.push(c),
        }
        before = c;
    }
    out
}

/// The network of a cell.
///
/// * `input`: `[features]`, or `[height, width, channels]` for a CNN
///
/// # Errors
/// When the slope is no number of a formula.
pub fn network(spec: &PhaseSpec, input: &[usize], classes: usize) -> Result<Network, LabError> {
    let (activation, dropout) = (spec.activation()?, spec.dropout);
    let norm = || spec.norm.then(|| Layer::BatchNorm(BatchNorm::usual()));
    let map = || match spec.model {
        Model::Cnn => Layer::Conv(Conv::of_width(spec.width)),
        Model::Mlp | Model::Residual => Layer::Dense(Dense::of_width(spec.width)),
    };
    let hidden = || {
        let mut layers: Vec<Named> = vec![map().into()];
        layers.extend(norm().map(Named::from));
        layers.push(Layer::Activate(Activate { activation: activation.clone() }).into());
        layers.extend((dropout > 0.0).then(|| Layer::Dropout(Dropout { probability: dropout }).into()));
        layers
    };
    let mut layers: Vec<Named> = norm().into_iter().map(Named::from).collect();
    if spec.model == Model::Residual {
        layers.push(map().into());
    }
    for _ in 0..spec.depth {
        match spec.model {
            Model::Residual => {
                let block = Residual { skip: 1.0, branch: 1.0, block: hidden() };
                layers.push(Layer::Residual(block).into());
            }
            Model::Mlp | Model::Cnn => layers.extend(hidden()),
        }
    }
    if spec.model == Model::Cnn {
        layers.push(Layer::Flatten(Flatten { flatten: () }).into());
    }
    layers.push(Layer::Dense(Dense::of_width(classes)).into());
    let Some(input) = Shape::from_sizes(input) else {
        let size = format!("{input:?}, the shape of a sample");
        return Err(LabError::OutOfRange {
            key: "data",
            value: size,
            range: "samples of fewer numbers".into(),
        });
    };
    Ok(Network { input, layers })
}

/// PyTorch's default start of every layer with weights.
pub fn init(plan: &Plan) -> Vec<LayerInit> {
    plan.weighted_sites().iter().map(|site| LayerInit::torch(site.fan_in())).collect()
}

/// Where a network is read, by the number of the site.
pub struct Places {
    /// D_0: behind the input's norm (behind the first map of a residual network); `None` for the inputs themselves.
    pub start: Option<usize>,
    /// Behind each hidden activation, or each sum of a residual block.
    pub after: Vec<usize>,
    /// Before each hidden activation; none for a residual network.
    pub before: Vec<usize>,
    /// Is each sample brought to mean 0 and variance 1 first? The sums of residual blocks grow with depth.
    pub is_normed: bool,
}

/// Where the load curve of a network is read.
pub fn places(plan: &Plan, model: Model) -> Places {
    let sites = &plan.sites;
    if model == Model::Residual {
        let blocks: Vec<usize> =
            (0..sites.len()).filter(|&at| matches!(sites[at].layer, Layer::Residual(_))).collect();
        let start = blocks.first().and_then(|first| first.checked_sub(1)).map(|at| sites[at].index);
        let after = blocks.iter().map(|&at| sites[at].index).collect();
        return Places { start, after, before: Vec::new(), is_normed: true };
    }
    let bends: Vec<usize> =
        (1..sites.len()).filter(|&at| matches!(sites[at].layer, Layer::Activate(_))).collect();
    Places {
        start: matches!(sites[0].layer, Layer::BatchNorm(_)).then(|| sites[0].index),
        after: bends.iter().map(|&at| sites[at].index).collect(),
        before: bends.iter().map(|&at| sites[at - 1].index).collect(),
        is_normed: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_is_replaced_where_it_stands_alone() {
        assert_eq!(with_parameter("max(z, a * z)", 0.2), "max(z, (0.2) * z)");
        assert_eq!(with_parameter("tanh(a*z) + a", -1.0), "tanh((-1)*z) + (-1)");
        assert_eq!(with_parameter("max(z, z)", 2.0), "max(z, z)");
    }
}
