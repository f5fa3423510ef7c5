//! Names of tensors → layer and role; which of them are weight matrices, and why others are not.

use serde::{Deserialize, Serialize};

use crate::checkpoint::Tensor;

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A vector for each token, position or segment.
    Embedding,
    /// Queries.
    Query,
    /// Keys.
    Key,
    /// Values.
    Value,
    /// Queries, keys and values in one matrix.
    QueryKeyValue,
    /// Output of attention.
    AttentionOut,
    /// Gate of the feed-forward block.
    Gate,
    /// Into the feed-forward block.
    Up,
    /// Out of the feed-forward block.
    Down,
    /// Gain or shift of a norm.
    Norm,
    /// What stands behind the last block: unembedding, pooler, classifier.
    Head,
    /// A window of a convolution.
    Convolution,
    /// Anything else.
    Other,
}

impl Role {
    /// As printed in a column.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Role::Embedding => "embedding",
            Role::Query => "q",
            Role::Key => "k",
            Role::Value => "v",
            Role::QueryKeyValue => "qkv",
            Role::AttentionOut => "o",
            Role::Gate => "gate",
            Role::Up => "up",
            Role::Down => "down",
            Role::Norm => "norm",
            Role::Head => "head",
            Role::Convolution => "conv",
            Role::Other => "",
        }
    }
}

/// Parts of names, in the order in which they are tried. The names are those of the families in [`super::config`], of GGUF, and of PyTorch's
/// usual vision models.
const PARTS: &[(&str, Role)] = &[
    ("embeddings.norm", Role::Norm),
    ("layernorm", Role::Norm),
    ("layer_norm", Role::Norm),
    ("rmsnorm", Role::Norm),
    ("_norm", Role::Norm),
    (".norm", Role::Norm),
    ("ln_", Role::Norm),
    (".ln", Role::Norm),
    (".bn", Role::Norm),
    ("_bn", Role::Norm),
    ("patch_embed", Role::Convolution),
    ("embed", Role::Embedding),
    ("token_embd", Role::Embedding),
    ("position_embd", Role::Embedding),
    ("wte", Role::Embedding),
    ("wpe", Role::Embedding),
    ("c_attn", Role::QueryKeyValue),
    ("in_proj", Role::QueryKeyValue),
    ("qkv", Role::QueryKeyValue),
    ("query", Role::Query),
    ("q_proj", Role::Query),
    ("q_lin", Role::Query),
    ("attn_q", Role::Query),
    (".key", Role::Key),
    ("k_proj", Role::Key),
    ("k_lin", Role::Key),
    ("attn_k", Role::Key),
    (".value", Role::Value),
    ("v_proj", Role::Value),
    ("v_lin", Role::Value),
    ("attn_v", Role::Value),
    ("attention.output.dense", Role::AttentionOut),
    ("attn.c_proj", Role::AttentionOut),
    ("o_proj", Role::AttentionOut),
    ("out_proj", Role::AttentionOut),
    ("out_lin", Role::AttentionOut),
    ("attn_output", Role::AttentionOut),
    ("attn.proj", Role::AttentionOut),
    ("gate_proj", Role::Gate),
    ("ffn_gate", Role::Gate),
    ("pooler", Role::Head),
    ("lm_head", Role::Head),
    ("classifier", Role::Head),
    ("cls.", Role::Head),
    ("qa_outputs", Role::Head),
    ("score.", Role::Head),
    ("up_proj", Role::Up),
    ("ffn_up", Role::Up),
    ("intermediate.dense", Role::Up),
    ("ffn.lin1", Role::Up),
    ("c_fc", Role::Up),
    ("mlp.fc1", Role::Up),
    ("down_proj", Role::Down),
    ("ffn_down", Role::Down),
    ("output.dense", Role::Down),
    ("ffn.lin2", Role::Down),
    ("mlp.c_proj", Role::Down),
    ("mlp.fc2", Role::Down),
];

/// Roots of what a training loop keeps beside the model.
const BESIDE: &[&str] =
    &["optimizer", "optim", "optimizer_state_dict", "optimizer_states", "scheduler", "scaler", "ema"];

/// A tensor with its place in the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Number of the tensor in its checkpoint.
    pub tensor: usize,
    /// Its name.
    pub name: String,
    /// Number of its block, as in its name.
    pub layer: Option<usize>,
    /// What it is for.
    pub role: Role,
    /// How it is read.
    pub reading: Reading,
}

/// How a tensor is read.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// As a matrix.
    Matrix {
        /// Outputs.
        rows: usize,
        /// Inputs that one output adds up.
        columns: usize,
        /// As in C_W: `columns`, but 1 for an embedding, which adds nothing up.
        fan_in: usize,
        /// Inputs that come from one channel: positions of the window of a convolution, otherwise 1.
        window: usize,
        /// Stored the other way round.
        is_transposed: bool,
    },
    /// A vector, in which only numbers that are not finite are looked for.
    Vector,
    /// Not at all, because.
    Skipped(String),
}

/// Every tensor with its role and how it is read.
#[must_use]
pub fn weights(tensors: &[Tensor], is_transposed: bool) -> Vec<Weight> {
    tensors.iter().enumerate().map(|(at, tensor)| weight(at, tensor, is_transposed)).collect()
}

fn weight(at: usize, tensor: &Tensor, is_transposed: bool) -> Weight {
    let mut role = role(&tensor.name);
    if tensor.shape.len() > 2 && role == Role::Other {
        role = Role::Convolution;
    }
    let layer = tensor.name.split(['.', '/']).find_map(|part| part.parse().ok());
    let reading = reading(tensor, role, is_transposed);
    Weight { tensor: at, name: tensor.name.clone(), layer, role, reading }
}

/// What a tensor of that name is for.
#[must_use]
pub fn role(name: &str) -> Role {
    let name = format!(".{}", name.to_lowercase());
    // The unembedding of GGUF has the shortest name of all.
    if name == ".output.weight" {
        return Role::Head;
    }
    PARTS.iter().find(|(part, _)| name.contains(part)).map_or(Role::Other, |(_, role)| *role)
}

fn reading(tensor: &Tensor, role: Role, is_transposed: bool) -> Reading {
    let skipped = |because: &str| Reading::Skipped(because.into());
    let root = tensor.name.split('.').next().unwrap_or_default();
    if BESIDE.contains(&root) {
        return Reading::Skipped(format!("it belongs to the {root}, not to the model"));
    }
    match &tensor.element {
        Err(found) => return Reading::Skipped(format!("numbers of type {found} cannot be read")),
        Ok(element) if !element.is_real() => {
            return Reading::Skipped(format!("whole numbers ({})", element.name()));
        }
        Ok(_) => {}
    }
    if tensor.count() == 0 {
        return skipped("it is empty");
    }
    match tensor.shape[..] {
        [] | [_] => Reading::Vector,
        [rows, columns] => {
            let is_table = role == Role::Embedding;
            let is_transposed = is_transposed && !matches!(role, Role::Embedding | Role::Head);
            let (rows, columns) = if is_transposed { (columns, rows) } else { (rows, columns) };
            let fan_in = if is_table { 1 } else { columns };
            Reading::Matrix { rows, columns, fan_in, window: 1, is_transposed }
        }
        // Windows of a convolution: [channels out, channels in, …], PyTorch's order.
        [rows, channels, ..] => {
            let columns = tensor.count() / rows;
            let window = columns / channels;
            Reading::Matrix { rows, columns, fan_in: columns, window, is_transposed: false }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_family_have_their_roles() {
        let rows = [
            ("embeddings.word_embeddings.weight", Role::Embedding),
            ("bert.embeddings.LayerNorm.weight", Role::Norm),
            ("encoder.layer.3.attention.self.query.weight", Role::Query),
            ("encoder.layer.3.attention.self.key.bias", Role::Key),
            ("encoder.layer.3.attention.output.dense.weight", Role::AttentionOut),
            ("encoder.layer.3.attention.output.LayerNorm.weight", Role::Norm),
            ("encoder.layer.3.intermediate.dense.weight", Role::Up),
            ("encoder.layer.3.output.dense.weight", Role::Down),
            ("pooler.dense.weight", Role::Head),
            ("transformer.layer.0.attention.q_lin.weight", Role::Query),
            ("transformer.layer.0.ffn.lin2.weight", Role::Down),
            ("transformer.layer.0.sa_layer_norm.weight", Role::Norm),
            ("h.11.attn.c_attn.weight", Role::QueryKeyValue),
            ("h.11.attn.c_proj.weight", Role::AttentionOut),
            ("h.11.mlp.c_proj.weight", Role::Down),
            ("h.11.ln_1.weight", Role::Norm),
            ("wpe.weight", Role::Embedding),
            ("model.layers.2.self_attn.v_proj.weight", Role::Value),
            ("model.layers.2.mlp.gate_proj.weight", Role::Gate),
            ("model.layers.2.post_attention_layernorm.weight", Role::Norm),
            ("lm_head.weight", Role::Head),
            ("vit.embeddings.patch_embeddings.projection.weight", Role::Convolution),
            ("token_embd.weight", Role::Embedding),
            ("blk.29.attn_norm.weight", Role::Norm),
            ("blk.29.attn_output.weight", Role::AttentionOut),
            ("blk.29.ffn_down.weight", Role::Down),
            ("output.weight", Role::Head),
            ("output_norm.weight", Role::Norm),
            ("fc.weight", Role::Other),
        ];
        for (name, expect) in rows {
            assert_eq!(role(name), expect, "{name}");
        }
    }
}
