//! The same two numbers through any network of tokens, layer by layer: whatever the order of its norms and skips.

use std::collections::HashMap;

use carnot_math::formula::Formula;
use carnot_net::error::Unknown;
use carnot_net::hyper::LayerInit;
use carnot_net::plan::Plan;

use super::pieces::{Attend, Matrix, Piece, of_plan};
use super::squeeze::Squeeze;
use super::state::State;
use super::{Mlp, Stream};

/// The stream behind a layer of the top level.
#[derive(Clone, Debug, PartialEq)]
pub struct Behind {
    /// Place in [`Plan::sites`].
    pub site: usize,
    /// Attention layers so far, those inside residual blocks too.
    pub attentions: usize,
    /// The stream; information is I, not divided by that of the start.
    pub stream: Stream,
}

/// What activations do to distances, kept from one walk to the next: it takes longer than a walk.
#[derive(Default)]
pub struct Memory {
    /// By formula, variance and whether there is a gate.
    squeezes: HashMap<(String, u64, bool), Squeeze>,
}

impl Memory {
    /// Of Gaussian numbers of variance `size`.
    pub(super) fn squeeze(
        &mut self,
        formula: &Formula,
        size: f64,
        is_gated: bool,
        layer: &str,
    ) -> Result<&Squeeze, Unknown> {
        let key = (formula.closed_text(), size.to_bits(), is_gated);
        if !self.squeezes.contains_key(&key) {
            let mlp = Mlp { activation: formula.clone(), c_in: size, c_out: 1.0, is_gated };
            let lost = |_| Unknown::Average { activation: layer.to_string(), variance: size };
            self.squeezes.insert(key.clone(), Squeeze::new(&mlp).map_err(lost)?);
        }
        Ok(&self.squeezes[&key])
    }
}

/// Follows two tokens of a text, and one token of two texts, from the embedding to the output, at initialisation.
///
/// With q the mean square of a number, $q(1-\rho)$ and $q\,\delta$ are half the squared distances, and each layer does to both what it does
/// to the kernel: a dense layer $q' = C_W q + C_b$, $q'(1-\rho') = C_W q(1-\rho)$; an activation
/// $\langle(\sigma(x)-\sigma(y))^2\rangle/2$; positions add their own; a norm divides by q; a residual block adds
/// $\gamma^2$ of the skip to $\beta^2$ of the branch; attention as [`super::through`] has it, QK-norm with logits of variance 1.
///
/// * `init`: one per layer with weights
/// * `matches`: chance that two tokens of a text are the same one, 0 ≤ p < 1
/// * returns: one state for each layer of the top level from the embedding on
///
/// # Errors
/// [`Unknown`]: without an embedding, for layers that are not listed, and for activations that cannot be averaged.
///
/// Checked against [`super::through`], and against networks in `carnot-lab/tests/tokens.rs`.
pub fn walk(
    plan: &Plan,
    init: &[LayerInit],
    matches: f64,
    memory: &mut Memory,
) -> Result<Vec<Behind>, Unknown> {
    let pieces = of_plan(plan, init, matches)?;
    let mut state = None;
    let mut all = Vec::new();
    let mut attentions = 0;
    for (site, piece) in pieces.iter().enumerate() {
        let next = behind(piece, state, memory).map_err(|unknown| named(unknown, &plan.sites[site].name))?;
        attentions += count(piece);
        all.push(Behind { site, attentions, stream: next.stream() });
        state = Some(next);
    }
    Ok(all)
}

/// The layer's name where the pieces knew none.
fn named(unknown: Unknown, name: &str) -> Unknown {
    match unknown {
        Unknown::NoFormula { what, layer } if layer.is_empty() => {
            Unknown::NoFormula { what, layer: name.to_string() }
        }
        other => other,
    }
}

fn count(piece: &Piece) -> usize {
    match piece {
        Piece::Attend(_) => 1,
        Piece::Skip { inside, .. } => inside.iter().map(count).sum(),
        _ => 0,
    }
}

/// The state behind one piece.
pub(super) fn behind(piece: &Piece, state: Option<State>, memory: &mut Memory) -> Result<State, Unknown> {
    if let Piece::Embedding { matrix, matches, others } = piece {
        let size = matrix.c + others;
        return Ok(State { size, apart: size * (1.0 - matches), last: size, own: matrix.c });
    }
    let no = || Unknown::NoFormula {
        what: "cosine of tokens in front of an embedding".into(),
        layer: String::new(),
    };
    let state = state.ok_or_else(no)?;
    Ok(match piece {
        Piece::Embedding { .. } | Piece::Same => state,
        // Vectors of different positions differ; a text with another token has the same positions.
        Piece::Positions { matrix, alike } => {
            State { apart: state.apart + matrix.c * (1.0 - alike), ..state.shifted(matrix.c) }
        }
        Piece::Linear(matrix) => dense(state, matrix),
        Piece::Bend(formula, layer) => state.bent(memory.squeeze(formula, state.size, false, layer)?),
        Piece::Gate(formula, matrix) => {
            let inner = dense(state, matrix);
            inner.bent(memory.squeeze(formula, inner.size, true, "a gate")?)
        }
        Piece::Norm if state.size > 0.0 => state.normalised(),
        Piece::Norm => {
            let what = "cosine of tokens".into();
            return Err(Unknown::NoFormula { what, layer: String::new() });
        }
        Piece::Skip { skip, branch, inside } => {
            let mut inner = state;
            for piece in inside {
                inner = behind(piece, Some(inner), memory)?;
            }
            state.times(skip.powi(2)).plus(inner.times(branch.powi(2)))
        }
        Piece::Attend(attend) => attended(attend, state),
    })
}

fn dense(state: State, matrix: &Matrix) -> State {
    state.times(matrix.c).shifted(matrix.c_b)
}

fn attended(attend: &Attend, state: State) -> State {
    if state.size <= 0.0 {
        return state;
    }
    let mixed = state.attended(attend.logits(state.size), attend.tokens, attend.is_causal);
    dense(mixed.times(attend.value.c), &attend.out)
}
