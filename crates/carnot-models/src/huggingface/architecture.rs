//! What a transformer is, as plain data.

use carnot_net::layers::norm::Kind;
use serde::{Deserialize, Serialize};

/// Where the norm stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In front of each block, inside its skip.
    Pre,
    /// Behind each sum.
    Post,
}

/// How positions are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    /// A learned vector each.
    Learned,
    /// A fixed vector each.
    Sinusoidal,
    /// Queries and keys are rotated.
    Rotary,
}

/// What enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enters {
    /// Tokens of a vocabulary of that size.
    Tokens(usize),
    /// Patches of an image, so many numbers each.
    Patches(usize),
}

/// A transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// `bert`, `gpt2`, `llama`, …
    pub family: String,
    /// Blocks L.
    pub depth: usize,
    /// Width n of the residual stream.
    pub width: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values, at most `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_width: usize,
    /// Width inside the feed-forward block.
    pub ffn: usize,
    /// Does a gate multiply the feed-forward block?
    pub is_gated: bool,
    /// LayerNorm or RMSNorm.
    pub norm: Kind,
    /// Where it stands.
    pub place: Place,
    /// As the config names it.
    pub activation: String,
    /// How positions are told apart.
    pub positions: Positions,
    /// Most positions.
    pub context: usize,
    /// Are embedding and head one matrix? `None` when nothing says so.
    pub is_tied: Option<bool>,
    /// What enters.
    pub enters: Enters,
    /// Standard deviation of every matrix at initialisation, where it is stated or the library's default.
    pub initial_std: Option<f64>,
    /// Are the last matrices of each block drawn smaller by $1/\sqrt{2L}$?
    pub is_scaled_by_depth: bool,
    /// Have linear layers a bias?
    pub has_bias: bool,
    /// Are matrices stored `[fan-in, fan-out]`?
    pub is_transposed: bool,
    /// Settings that are not understood, each with its value: what follows from the architecture may be wrong because of them.
    pub unknown: Vec<String>,
}

impl Architecture {
    /// Does a token see only those before it? True of the known families with norms in front of their blocks.
    #[must_use]
    pub fn is_causal(&self) -> bool {
        self.place == Place::Pre && matches!(self.enters, Enters::Tokens(_))
    }

    /// Is a vector for each position added to the tokens?
    #[must_use]
    pub fn has_position_vectors(&self) -> bool {
        self.positions != Positions::Rotary
    }

    /// Is a vector added that all tokens of a text share, that of its segment?
    #[must_use]
    pub fn has_segments(&self) -> bool {
        self.place == Place::Post && self.family != "distilbert"
    }

    /// One line: `bert, 6 layers × 384, 12 heads, post-LayerNorm, gelu 1536, learned positions`.
    #[must_use]
    pub fn words(&self) -> String {
        let place = if self.place == Place::Pre { "pre" } else { "post" };
        let norm = if self.norm == Kind::Layer { "LayerNorm" } else { "RMSNorm" };
        let heads = match self.kv_heads == self.heads {
            true => format!("{} heads", self.heads),
            false => format!("{} heads on {} of keys and values", self.heads, self.kv_heads),
        };
        let gate = if self.is_gated { "gated " } else { "" };
        let positions = match self.positions {
            Positions::Learned => "learned positions",
            Positions::Sinusoidal => "sinusoidal positions",
            Positions::Rotary => "rotary positions",
        };
        let tied = if self.is_tied == Some(true) { ", tied head" } else { "" };
        format!(
            "{}, {} layers × {}, {heads}, {place}-{norm}, {gate}{} {}, {positions}{tied}",
            self.family, self.depth, self.width, self.activation, self.ffn
        )
    }
}
