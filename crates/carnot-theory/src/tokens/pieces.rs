//! A transformer as pieces that theory knows, each with its matrices: what forward and backward averages walk over.

use carnot_math::formula::Formula;
use carnot_net::error::Unknown;
use carnot_net::hyper::LayerInit;
use carnot_net::layers::Layer;
use carnot_net::layers::attention::{Attention, Scaling, Weighting};
use carnot_net::layers::branches::{Branches, Join};
use carnot_net::layers::positional::Positional;
use carnot_net::plan::{Plan, Site};
use serde::{Deserialize, Serialize};

use super::{Blocks, Norms, Start};

/// What a matrix of a transformer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Table of word vectors.
    Word,
    /// Table of position vectors.
    Position,
    /// Queries.
    Query,
    /// Keys.
    Key,
    /// Values.
    Value,
    /// Output of the heads.
    Output,
    /// Into the MLP, its gate too.
    MlpIn,
    /// Out of the MLP.
    MlpOut,
    /// From the last stream to the outputs.
    Head,
}

/// One matrix, as it is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matrix {
    /// What it is for.
    pub group: Group,
    /// Block it belongs to, from 1; 0 outside of blocks.
    pub block: usize,
    /// C: variance of an entry times fan-in, ≥ 0; of a table, the variance of an entry.
    pub c: f64,
    /// Variance of the bias behind it, ≥ 0.
    pub c_b: f64,
    /// Numbers that enter; 1 for a table.
    pub fan_in: usize,
    /// Numbers that leave.
    pub fan_out: usize,
}

impl Matrix {
    /// Standard deviation of an entry.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        (self.c / self.fan_in as f64).sqrt()
    }
}

/// Softmax attention of T tokens.
#[derive(Clone, Debug)]
pub struct Attend {
    /// Queries.
    pub query: Matrix,
    /// Keys.
    pub key: Matrix,
    /// Values.
    pub value: Matrix,
    /// Output of the heads.
    pub out: Matrix,
    /// Heads.
    pub heads: usize,
    /// T.
    pub tokens: usize,
    /// Does a token see only those before it and itself?
    pub is_causal: bool,
    /// Are queries and keys divided by their root mean square?
    pub has_qk_norm: bool,
}

impl Attend {
    /// ℓ: variance of the logits of vectors of that mean square, C_Q C_K q², or 1 with QK-norm.
    #[must_use]
    pub fn logits(&self, size: f64) -> f64 {
        if self.has_qk_norm { 1.0 } else { self.query.c * self.key.c * size * size }
    }
}

/// One step of the stream.
#[derive(Clone, Debug)]
pub enum Piece {
    /// A table of tokens, of which two of a text are the same with the chance `matches`.
    Embedding {
        /// The table.
        matrix: Matrix,
        /// Cosine of two tokens of a text: the chance that they are the same one.
        matches: f64,
        /// Mean square of what else is added in the same place.
        others: f64,
    },
    /// Vectors of the positions, added.
    Positions {
        /// The table.
        matrix: Matrix,
        /// Mean cosine of two of them.
        alike: f64,
    },
    /// A dense layer.
    Linear(Matrix),
    /// An activation, with the name of its layer.
    Bend(Formula, String),
    /// σ(W₁x)·W₃x.
    Gate(Formula, Matrix),
    /// Division by the size of the stream.
    Norm,
    /// γ x + β f(x).
    Skip {
        /// γ
        skip: f64,
        /// β
        branch: f64,
        /// f
        inside: Vec<Piece>,
    },
    /// Attention.
    Attend(Box<Attend>),
    /// Nothing at initialisation.
    Same,
}

/// The pieces of a network of tokens: one for each site of the top level.
///
/// * `init`: one per layer with weights
/// * `matches`: chance that two tokens of a text are the same one
///
/// # Errors
/// [`Unknown`] for layers without a formula.
pub fn of_plan(plan: &Plan, init: &[LayerInit], matches: f64) -> Result<Vec<Piece>, Unknown> {
    let mut builder = Builder { init, matches, halves: 0 };
    let count = plan.sites.len();
    plan.sites.iter().enumerate().map(|(place, site)| builder.piece(site, place + 1 == count)).collect()
}

struct Builder<'a> {
    init: &'a [LayerInit],
    matches: f64,
    /// Branches so far: two make a block.
    halves: usize,
}

impl Builder<'_> {
    fn matrix(&self, site: &Site, group: Group) -> Matrix {
        let init = self.init[site.weighted.expect("a layer with weights")];
        let block = match group {
            Group::Word | Group::Position | Group::Head => 0,
            _ => self.halves.div_ceil(2),
        };
        let fan_in = site.fan_in().max(1);
        Matrix { group, block, c: init.c_w, c_b: init.c_b, fan_in, fan_out: site.output.width() }
    }

    fn piece(&mut self, site: &Site, is_last: bool) -> Result<Piece, Unknown> {
        let no = |what: &str| Unknown::NoFormula { what: what.into(), layer: site.name.clone() };
        Ok(match &site.layer {
            Layer::Embedding(_) => {
                let matrix = self.matrix(site, Group::Word);
                Piece::Embedding { matrix, matches: self.matches, others: 0.0 }
            }
            Layer::Positional(positional) => {
                let alike = alike(positional, site.input.positions());
                Piece::Positions { matrix: self.matrix(site, Group::Position), alike }
            }
            Layer::Dense(_) if is_last => Piece::Linear(self.matrix(site, Group::Head)),
            Layer::Unembedding(head) => {
                let (width, kinds) = (site.input.width(), site.output.width());
                let table = self.init[site.table.expect("the plan found it").weighted].c_w;
                let c = head.c_w(width, table);
                Piece::Linear(Matrix {
                    group: Group::Head,
                    block: 0,
                    c,
                    c_b: 0.0,
                    fan_in: width,
                    fan_out: kinds,
                })
            }
            Layer::Dense(_) => Piece::Linear(self.matrix(site, Group::MlpOut)),
            Layer::Activate(activate) => Piece::Bend(activate.activation.formula.clone(), site.name.clone()),
            Layer::Norm(norm) if norm.axes.is_empty() => Piece::Norm,
            Layer::Dropout(_) => Piece::Same,
            Layer::Residual(residual) => {
                self.halves += 1;
                let pieces: Result<Vec<Piece>, Unknown> =
                    site.inside.iter().map(|inner| self.piece(inner, false)).collect();
                let mut inside = pieces?;
                enters(&mut inside);
                Piece::Skip { skip: residual.skip, branch: residual.branch, inside }
            }
            Layer::Attention(attention) => self.attend(site, attention)?,
            Layer::Branches(branches) => self.gate(site, branches).ok_or_else(|| no("cosine of tokens"))?,
            _ => return Err(no("cosine of tokens")),
        })
    }

    /// σ(W₁x)·W₃x, with the means of both variances.
    fn gate(&self, site: &Site, branches: &Branches) -> Option<Piece> {
        let lengths: Vec<usize> = branches.of.iter().map(Vec::len).collect();
        let [gate, bend, other] = &site.inside[..] else { return None };
        let Layer::Activate(activate) = &bend.layer else { return None };
        let are_dense = [gate, other].iter().all(|site| matches!(site.layer, Layer::Dense(_)));
        if branches.join != Join::Product || lengths != [2, 1] || !are_dense {
            return None;
        }
        let [mut matrix, second] = [gate, other].map(|site| self.matrix(site, Group::MlpIn));
        matrix.c = f64::midpoint(matrix.c, second.c);
        matrix.c_b = f64::midpoint(matrix.c_b, second.c_b);
        Some(Piece::Gate(activate.activation.formula.clone(), matrix))
    }

    fn attend(&mut self, site: &Site, attention: &Attention) -> Result<Piece, Unknown> {
        let no = |what: &str| Unknown::NoFormula { what: what.into(), layer: site.name.clone() };
        let plain = attention.weighting == Weighting::Softmax && attention.scaling == Scaling::Sqrt;
        let [query, key, value, out] = &site.inside[..] else {
            return Err(no("cosine of tokens behind attention of its own positions"));
        };
        if !plain || attention.positions.is_some() {
            return Err(no("cosine of tokens behind such attention"));
        }
        Ok(Piece::Attend(Box::new(Attend {
            query: self.matrix(query, Group::Query),
            key: self.matrix(key, Group::Key),
            value: self.matrix(value, Group::Value),
            out: self.matrix(out, Group::Output),
            heads: attention.heads,
            tokens: site.input.positions(),
            is_causal: attention.causal,
            has_qk_norm: attention.qk_norm,
        })))
    }
}

/// Every dense layer of a branch but the last leads into the MLP.
fn enters(branch: &mut [Piece]) {
    let mut behind = false;
    for piece in branch.iter_mut().rev() {
        if let Piece::Linear(matrix) = piece {
            if behind {
                matrix.group = Group::MlpIn;
            }
            behind = true;
        }
    }
}

/// Mean over pairs of positions of $e^{-|p - q|^2/s}$, 0 for independent vectors.
fn alike(positional: &Positional, tokens: usize) -> f64 {
    let Some(decay) = positional.decay else { return 0.0 };
    let t = tokens;
    let sum: f64 = (1..t).map(|gap| 2.0 * (t - gap) as f64 * (-(gap as f64).powi(2) / decay).exp()).sum();
    sum / ((t * t.saturating_sub(1)).max(1)) as f64
}

/// Sizes that averages of a stream do not need, but matrices do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizes {
    /// Width n of the stream.
    pub width: usize,
    /// Numbers of all heads together.
    pub heads_width: usize,
    /// Heads.
    pub heads: usize,
    /// Width inside the MLP.
    pub ffn: usize,
    /// Variance of an entry of the table of tokens: a share I₀ of the size with which the stream starts, where no norm comes first.
    pub embedding: f64,
    /// Rows of the head.
    pub vocabulary: usize,
    /// C of the head.
    pub c_head: f64,
    /// Variance of queries and of keys times fan-in: C_Q C_K is their product.
    pub c_query: f64,
    /// C_V; C_O is what is left of the strength of attention.
    pub c_value: f64,
}

/// The pieces of `depth` equal blocks behind a stream that is as `start` says; the last is the head.
pub fn of_blocks(blocks: &Blocks, start: Start, depth: usize, sizes: Sizes) -> Vec<Piece> {
    let Sizes { width: n, ffn, .. } = sizes;
    let of = |group, block, c: f64, fan_in, fan_out| Matrix { group, block, c, c_b: 0.0, fan_in, fan_out };
    let word = of(Group::Word, 0, sizes.embedding, 1, n);
    let whole = sizes.embedding / start.information;
    let mut pieces =
        vec![Piece::Embedding { matrix: word, matches: start.similarity, others: whole - sizes.embedding }];
    if start.size != whole {
        pieces.push(Piece::Norm);
    }
    let half = |branch: Vec<Piece>| {
        let around = |inside| Piece::Skip { skip: blocks.skip, branch: 1.0, inside };
        match blocks.norms {
            Norms::Post => vec![around(branch), Piece::Norm],
            Norms::Pre => vec![around(std::iter::once(Piece::Norm).chain(branch).collect())],
        }
    };
    for block in 1..=depth {
        let all = sizes.heads_width;
        let c_key = if sizes.c_query > 0.0 { blocks.logits / sizes.c_query } else { 0.0 };
        let c_out = if sizes.c_value > 0.0 { blocks.attention / sizes.c_value } else { 0.0 };
        pieces.extend(half(vec![Piece::Attend(Box::new(Attend {
            query: of(Group::Query, block, sizes.c_query, n, all),
            key: of(Group::Key, block, c_key, n, all),
            value: of(Group::Value, block, sizes.c_value, n, all),
            out: of(Group::Output, block, c_out, all, n),
            heads: sizes.heads,
            tokens: blocks.tokens,
            is_causal: blocks.is_causal,
            has_qk_norm: false,
        }))]));
        let into = of(Group::MlpIn, block, blocks.mlp.c_in, n, ffn);
        let formula = blocks.mlp.activation.clone();
        let mut mlp = match blocks.mlp.is_gated {
            true => vec![Piece::Gate(formula, into)],
            false => vec![Piece::Linear(into), Piece::Bend(formula, "the MLP".into())],
        };
        mlp.push(Piece::Linear(of(Group::MlpOut, block, blocks.mlp.c_out, ffn, n)));
        pieces.extend(half(mlp));
    }
    if blocks.norms == Norms::Pre {
        pieces.push(Piece::Norm);
    }
    pieces.push(Piece::Linear(of(Group::Head, 0, sizes.c_head, n, sizes.vocabulary)));
    pieces
}
