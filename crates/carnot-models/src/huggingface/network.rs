//! Architecture → a network of the layer set, initialised as the config states.
//!
//! Left out, and said in [`left_out`]: rotary and sinusoidal positions, sharing of keys and values between heads, dropout, the head.

use carnot_net::activation::{Activation, ActivationError};
use carnot_net::layers::Layer;
use carnot_net::layers::activate::Activate;
use carnot_net::layers::attention::{Attention, Scaling, Weighting};
use carnot_net::layers::branches::{Branches, Join};
use carnot_net::layers::dense::Dense;
use carnot_net::layers::embedding::Embedding;
use carnot_net::layers::norm::Norm;
use carnot_net::layers::positional::Positional;
use carnot_net::layers::residual::Residual;
use carnot_net::network::{Named, Network};
use carnot_net::shape::Shape;

use super::architecture::{Architecture, Enters, Place, Positions};

/// What the network does not have and the model does.
#[must_use]
pub fn left_out(architecture: &Architecture) -> Vec<String> {
    let mut left = Vec::new();
    if architecture.positions != Positions::Learned {
        left.push("its positions".to_string());
    }
    if architecture.kv_heads != architecture.heads {
        left.push(format!("sharing of {} heads of keys and values", architecture.kv_heads));
    }
    left.extend(architecture.unknown.iter().cloned());
    left
}

/// The network on sequences of `tokens` positions, without its head. Matrices are drawn with the standard deviation that the config states,
/// so that $C_W = \sigma^2 \cdot$ fan-in; embeddings with $C_W = \sigma^2$.
///
/// # Errors
/// [`ActivationError`] for an activation that is not in the table.
pub fn network(architecture: &Architecture, std: f64, tokens: usize) -> Result<Network, ActivationError> {
    let blocks = Blocks {
        of: architecture,
        variance: std * std,
        activation: Activation::parse(&architecture.activation)?,
    };
    let (input, first) = match architecture.enters {
        Enters::Tokens(vocabulary) => {
            let embedding = Embedding { width: architecture.width, vocabulary, c_w: Some(blocks.variance) };
            (Shape::new(&[tokens], 1), Layer::Embedding(embedding))
        }
        Enters::Patches(numbers) => {
            (Shape::new(&[tokens], numbers), blocks.dense(architecture.width, numbers, 1.0))
        }
    };
    let mut layers = vec![named("embedding", first)];
    if architecture.positions == Positions::Learned {
        let positional = Positional { positional: (), decay: None, c_w: Some(blocks.variance) };
        layers.push(named("positions", Layer::Positional(positional)));
    }
    if architecture.place == Place::Post {
        layers.push(named("embedding.norm", blocks.norm()));
    }
    for layer in 0..architecture.depth {
        layers.extend(blocks.block(layer));
    }
    if architecture.place == Place::Pre {
        layers.push(named("norm", blocks.norm()));
    }
    Ok(Network { input, layers })
}

fn named(name: &str, layer: Layer) -> Named {
    Named { name: Some(name.into()), layer }
}

struct Blocks<'a> {
    of: &'a Architecture,
    variance: f64,
    activation: Activation,
}

impl Blocks<'_> {
    fn dense(&self, width: usize, fan_in: usize, factor: f64) -> Layer {
        let c_w = Some(self.variance * factor * fan_in as f64);
        Layer::Dense(Dense { width, bias: self.of.has_bias, c_w, c_b: Some(0.0) })
    }

    fn norm(&self) -> Layer {
        Layer::Norm(Norm { kind: self.of.norm, epsilon: 1e-5, axes: Vec::new(), affine: true })
    }

    fn block(&self, layer: usize) -> Vec<Named> {
        let last = if self.of.is_scaled_by_depth { 1.0 / (2.0 * self.of.depth as f64) } else { 1.0 };
        let c_w = self.variance * self.of.width as f64;
        let attention = Attention {
            width: self.of.width,
            heads: self.of.heads,
            key: Some(self.of.head_width),
            value: None,
            weighting: Weighting::Softmax,
            scaling: Scaling::Sqrt,
            bias: self.of.has_bias,
            positions: None,
            c_w: Some(c_w),
            c_query: None,
            c_key: None,
            c_value: None,
            c_out: Some(self.variance * last * (self.of.heads * self.of.head_width) as f64),
            c_b: Some(0.0),
        };
        let act = || Layer::Activate(Activate { activation: self.activation.clone() });
        let up = || self.dense(self.of.ffn, self.of.width, 1.0);
        let mut inner: Vec<Layer> = match self.of.is_gated {
            false => vec![up(), act()],
            true => {
                let chains = vec![vec![Named::from(up()), Named::from(act())], vec![Named::from(up())]];
                vec![Layer::Branches(Branches { join: Join::Product, of: chains })]
            }
        };
        inner.push(self.dense(self.of.width, self.of.ffn, last));
        let mut layers = self.skip(&format!("layer.{layer}.attention"), vec![Layer::Attention(attention)]);
        layers.extend(self.skip(&format!("layer.{layer}.ffn"), inner));
        layers
    }

    /// A block with its skip and its norm.
    fn skip(&self, name: &str, mut inner: Vec<Layer>) -> Vec<Named> {
        if self.of.place == Place::Pre {
            inner.insert(0, self.norm());
        }
        let block = inner.into_iter().map(Named::from).collect();
        let mut layers = vec![named(name, Layer::Residual(Residual { skip: 1.0, branch: 1.0, block }))];
        if self.of.place == Place::Post {
            layers.push(named(&format!("{name}.norm"), self.norm()));
        }
        layers
    }
}
