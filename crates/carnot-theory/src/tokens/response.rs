//! How far the output of a transformer moves when its matrices move a little: the mean field of small changes.
//!
//! Small changes of the vectors have a mean square and, of two tokens, a mean product: alike tokens change alike, and attention averages
//! only what differs. Changes that come from independent changes of the weights are at right angles to the vectors themselves, so that a
//! norm only divides them.

use carnot_net::error::Unknown;

use super::pieces::{Attend, Group, Matrix, Piece};
use super::state::{State, attention_means};
use super::walk::{Memory, behind};

/// Mean products of two tokens' vectors: a token's with its own, and with another's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Products {
    pub(super) same: f64,
    pub(super) cross: f64,
}

impl Products {
    pub(super) fn times(self, factor: f64) -> Products {
        Products { same: self.same * factor, cross: self.cross * factor }
    }

    pub(super) fn plus(self, other: Products) -> Products {
        Products { same: self.same + other.same, cross: self.cross + other.cross }
    }
}

/// A piece at work: what small changes and gradients need to pass through it.
pub(super) enum Node {
    /// Word and position tables: what enters is added.
    Table(Matrix, f64),
    Linear(Matrix, Entering),
    /// Slopes for a vector with itself and with another; a gate has its matrices inside.
    Bend(Products, Option<(Matrix, Entering)>),
    /// The mean square it divides by.
    Norm(f64),
    Skip {
        skip: f64,
        branch: f64,
        inside: Vec<Node>,
    },
    Attend(Box<Attend>, Entering, Mixing),
    Same,
}

/// The stream in front of a matrix.
#[derive(Clone, Copy)]
pub(super) struct Entering {
    /// q
    pub(super) size: f64,
    /// ρ
    pub(super) similarity: f64,
}

impl Entering {
    fn of(state: State) -> Entering {
        let similarity = if state.size > 0.0 { 1.0 - state.apart / state.size } else { 0.0 };
        Entering { size: state.size, similarity }
    }

    /// Mean products of the vectors.
    pub(super) fn products(self) -> Products {
        Products { same: self.size, cross: self.size * self.similarity }
    }
}

/// Averages over the weights of attention.
#[derive(Clone, Copy)]
pub(super) struct Mixing {
    /// s₂: chance that a token looks twice at the same one.
    pub(super) twice: f64,
    /// s₁: chance that two tokens look at the same one.
    pub(super) both: f64,
    /// J and its like for two tokens.
    pub(super) agility: Products,
    /// ℓ: variance of the logits of vectors of that size.
    pub(super) logits: f64,
}

impl Mixing {
    fn of(attend: &Attend, entering: Entering) -> Mixing {
        let logits = attend.logits(entering.size);
        let variance = logits * (1.0 - entering.similarity);
        let [twice, both, same] = attention_means(variance, attend.tokens, attend.is_causal);
        Mixing {
            twice,
            both,
            agility: Products { same, cross: even(attend.tokens, attend.is_causal) },
            logits,
        }
    }
}

/// $\sum_s p_s p'_s$ less what a common shift of the logits takes, for two tokens that look evenly: mean over pairs of $(1 - 1/t')/t$, t' ≤ t.
fn even(tokens: usize, is_causal: bool) -> f64 {
    let all = tokens as f64;
    if tokens == 1 {
        return 0.0;
    }
    if !is_causal {
        return (1.0 - 1.0 / all) / all;
    }
    let (mut harmonic, mut sum) = (0.0, 0.0);
    for t in 2..=tokens {
        harmonic += 1.0 / (t as f64 - 1.0);
        sum += (t as f64 - 1.0 - harmonic) / t as f64;
    }
    sum / (all * (all - 1.0) / 2.0)
}

/// The pieces at work, with the state behind the last.
pub(super) fn nodes(
    pieces: &[Piece],
    state: Option<State>,
    memory: &mut Memory,
) -> Result<(Vec<Node>, Option<State>), Unknown> {
    let mut state = state;
    let mut all = Vec::new();
    for piece in pieces {
        if let (Piece::Skip { skip, branch, inside }, Some(before)) = (piece, state) {
            let (inside, inner) = nodes(inside, state, memory)?;
            let inner = inner.unwrap_or(before).times(branch.powi(2));
            state = Some(before.times(skip.powi(2)).plus(inner));
            all.push(Node::Skip { skip: *skip, branch: *branch, inside });
            continue;
        }
        let next = behind(piece, state, memory)?;
        let before = state.unwrap_or(next);
        let entering = Entering::of(before);
        let apart = 1.0 - entering.similarity;
        all.push(match piece {
            Piece::Embedding { matrix, matches, .. } => Node::Table(*matrix, *matches),
            Piece::Positions { matrix, .. } => Node::Table(*matrix, 0.0),
            Piece::Linear(matrix) => Node::Linear(*matrix, entering),
            Piece::Bend(formula, layer) => {
                let squeeze = memory.squeeze(formula, before.size, false, layer)?;
                let slopes = Products { same: squeeze.slope(0.0), cross: squeeze.slope(apart) };
                Node::Bend(slopes.times(1.0 / before.size), None)
            }
            Piece::Gate(formula, matrix) => {
                let size = matrix.c * before.size + matrix.c_b;
                // Of a change of the stream the gate sees the share that is not its bias.
                let share = matrix.c / size;
                let squeeze = memory.squeeze(formula, size, true, "a gate")?;
                let cross = squeeze.slope(apart * share * before.size);
                let slopes = Products { same: squeeze.slope(0.0), cross };
                Node::Bend(slopes.times(share), Some((*matrix, entering)))
            }
            Piece::Norm => Node::Norm(before.size),
            Piece::Attend(attend) => Node::Attend(attend.clone(), entering, Mixing::of(attend, entering)),
            // A branch has something in front of it, or `behind` refused it.
            Piece::Skip { .. } | Piece::Same => Node::Same,
        });
        state = Some(next);
    }
    Ok((all, state))
}

/// Mean-square change of a number of the stream behind each piece of the top level, over ε², when every matrix of every block changes by
/// a random ε of its own size.
///
/// A stream with mean square q and cosine ρ that changes by V, and by X in common with another token, gains from a dense layer
/// $\varepsilon^2 C(q, q\rho)$; passes an activation times $\langle\sigma'^2\rangle$ and $\langle\sigma'\sigma'\rangle_\rho$, a norm over q,
/// and attention of weights p as
///
/// $$ V' = C_VC_O\big[X + (V-X)s_2 + q(1-\rho)\,J\,w + 2\varepsilon^2 q\,m_s\big], \quad
///    w = \ell\big[\tfrac{V}{q}(1-\rho) + \tfrac{V - X}{q} + 2\varepsilon^2(1-\rho)\big] $$
///
/// with ℓ the variance of the logits, $J = E\sum_s p_s^2(1 - 2p_s + \sum_u p_u^2)$; X' likewise with $s_1$. Skips add.
///
/// * returns: one number per piece; of an output that is norm's, 0 (unmoved) to about 2/ε² (another network's)
///
/// # Errors
/// [`Unknown`] as [`super::walk::walk`].
///
/// Source: the quantity is that of Liu et al., arXiv:2004.08249 (Admin); the recursion is Carnot's own, checked against networks in
/// `carnot-lab/tests/response.rs`.
pub fn amplification(pieces: &[Piece], memory: &mut Memory) -> Result<Vec<f64>, Unknown> {
    let (nodes, _) = nodes(pieces, None, memory)?;
    let mut change = Products::default();
    let mut all = Vec::new();
    for node in &nodes {
        change = changed(node, change);
        all.push(change.same);
    }
    Ok(all)
}

/// A change behind one piece, of ε = 1.
fn changed(node: &Node, change: Products) -> Products {
    match node {
        Node::Table(..) | Node::Same => change,
        Node::Linear(matrix, _) if matrix.group == Group::Head => change.times(matrix.c),
        Node::Linear(matrix, entering) => change.plus(entering.products()).times(matrix.c),
        Node::Bend(slopes, gate) => {
            // Both matrices of a gate change: each direction that leads to it.
            let change = gate.as_ref().map_or(change, |(_, entering)| change.plus(entering.products()));
            Products { same: change.same * slopes.same, cross: change.cross * slopes.cross }
        }
        Node::Norm(size) => change.times(1.0 / size),
        Node::Skip { skip, branch, inside } => {
            let inner = inside.iter().fold(change, |change, node| changed(node, change));
            change.times(skip.powi(2)).plus(inner.times(branch.powi(2)))
        }
        Node::Attend(attend, entering, mixing) => {
            let gain = attend.value.c * attend.out.c;
            attended(*entering, mixing, change).times(gain)
        }
    }
}

fn attended(entering: Entering, mixing: &Mixing, change: Products) -> Products {
    let Entering { size, similarity } = entering;
    if size <= 0.0 {
        return Products::default();
    }
    let apart = 1.0 - similarity;
    // What all tokens share passes, what differs is averaged.
    let mixed = |of: Products| {
        let differs = of.same - of.cross;
        Products { same: of.cross + differs * mixing.twice, cross: of.cross + differs * mixing.both }
    };
    let differs = (change.same - change.cross) / size;
    // Queries see the change of one token, keys that of all others.
    let moved = Products {
        same: mixing.logits * (change.same / size * apart + differs + 2.0 * apart),
        cross: mixing.logits * (change.cross / size * apart + (differs + 2.0 * apart) * similarity),
    };
    let turned = Products {
        same: size * apart * mixing.agility.same * moved.same,
        cross: size * apart * mixing.agility.cross * moved.cross,
    };
    mixed(change).plus(mixed(entering.products()).times(2.0)).plus(turned)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use carnot_math::formula::Formula;
    use carnot_net::activation::Activation;
    use carnot_net::hyper::{LayerInit, Scheme};
    use carnot_net::plan::Plan;
    use carnot_net::shorthand::{Style, parse};

    pub fn pieces(text: &str) -> Vec<Piece> {
        let activation = Activation::parse("relu").unwrap();
        let plan =
            Plan::new(&parse(text, &Style { activation, residual: None, norm: None }).unwrap()).unwrap();
        let init: Vec<LayerInit> = crate::initial::initial(&plan, Scheme::Xavier, None, None).unwrap().layers;
        super::super::pieces::of_plan(&plan, &init, 0.046).unwrap()
    }

    /// A number of the sheet.
    pub fn golden(what: &str, design: &str) -> f64 {
        let all: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/golden/groups.json")).unwrap();
        all[what][design].as_f64().unwrap()
    }

    fn last(text: &str) -> f64 {
        let all = amplification(&pieces(text), &mut Memory::default()).unwrap();
        all[all.len() - 2]
    }

    /// Of one post-norm MLP on a stream without attention: two matrices, each ε² f of 1 + f.
    #[test]
    fn two_matrices_of_an_mlp_move_it_by_their_share() {
        let all = pieces("post:1x64,tokens=24");
        let mlp: Vec<Piece> = [&all[..1], &all[4..6]].concat();
        let found = amplification(&mlp, &mut Memory::default()).unwrap();
        assert!((found[2] - 2.0 * 0.32 / 1.32).abs() < 1e-3, "{found:?}");
    }

    /// σ = z: the product of two maps doubles every change.
    #[test]
    fn a_gate_has_two_matrices() {
        let all = pieces("post:1x64,tokens=24");
        let Piece::Linear(into) = (match &all[4] {
            Piece::Skip { inside, .. } => inside[0].clone(),
            other => panic!("{other:?}"),
        }) else {
            panic!("an MLP begins with a dense layer")
        };
        let gate = Piece::Gate(Formula::parse("z").unwrap(), into);
        let found = amplification(&[all[0].clone(), gate], &mut Memory::default()).unwrap();
        assert!((found[1] / (2.0 * into.c * into.c) - 1.0).abs() < 1e-3, "{found:?}");
    }

    /// Exponents of depth, 2 to 24 blocks, of networks of width 64 on random tokens (sheet of trainability, section 2.2, four seeds): 0.54
    /// with norms in front, −0.52 for DeepNorm. Behind, the sheet's 1.22 is of few seeds with long tails: networks of
    /// `carnot-lab/tests/response.rs` agree with theory.
    #[test]
    fn only_norms_behind_amplify_with_depth() {
        let exponent = |design: &str| {
            let at = |depth: usize| last(&format!("{design}:{depth}x64")).ln();
            (at(24) - at(2)) / 12f64.ln()
        };
        for (design, close) in [("post", 0.17), ("pre", 0.05), ("deepnorm", 0.05)] {
            let measured = golden("amplification", design);
            let found = exponent(design);
            assert!((found - measured).abs() < close, "{design}: {found}, measured {measured}");
        }
        // In front, growth slows down; behind, it does not.
        let slope = |design: &str, few: usize, many: usize| {
            (last(&format!("{design}:{many}x64")) / last(&format!("{design}:{few}x64"))).ln()
                / (many as f64 / few as f64).ln()
        };
        assert!(slope("pre", 32, 64) < 0.5 * slope("pre", 2, 4));
        assert!(slope("post", 32, 64) > 0.95);
    }
}
