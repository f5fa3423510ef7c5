//! How large the gradient of every matrix of a transformer is at initialisation, and how fast attention logits grow with Adam's first step.
//!
//! Gradients go backwards through the same averages as small changes go forwards. Two tokens' gradients have a mean product of their own,
//! since the errors of two predictions that are alike are alike.

use std::f64::consts::PI;

use carnot_net::error::Unknown;
use serde::Serialize;

use super::pieces::{Attend, Group, Matrix, Piece};
use super::response::{Entering, Mixing, Node, Products, nodes};
use super::softmax::participation;
use super::walk::Memory;

/// The gradient of one matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// The matrix.
    pub matrix: Matrix,
    /// $E\lVert\partial\,\text{loss}/\partial W\rVert_F^2$.
    pub square: f64,
}

impl Slope {
    /// What Adam's first step, of η for every entry, gains of the loss, over η: $\sum|\partial W| = \sqrt{2N/\pi}\,\lVert\partial W\rVert_F$ for
    /// N Gaussian entries.
    ///
    /// * `tokens`: T, of which each reaches one row of a table
    #[must_use]
    pub fn first_step(&self, tokens: usize) -> f64 {
        let rows = match self.matrix.group {
            Group::Word | Group::Position => tokens,
            _ => self.matrix.fan_in,
        };
        ((rows * self.matrix.fan_out) as f64 * self.square * 2.0 / PI).sqrt()
    }
}

/// The logits of one attention layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Logits {
    /// Block, from 1.
    pub block: usize,
    /// Standard deviation, over the tokens that are looked at, at initialisation.
    pub deviation: f64,
    /// Root mean square of their change in Adam's first step of queries and keys, over the rate.
    pub growth: f64,
}

/// All gradients of a network, in the order of its layers.
#[derive(Clone, Debug, Default)]
pub struct Gradients {
    /// Of each matrix.
    pub matrices: Vec<Slope>,
    /// Of each attention layer.
    pub logits: Vec<Logits>,
}

impl Gradients {
    /// Of a group in a block; gates count with what they multiply.
    #[must_use]
    pub fn of(&self, group: Group, block: usize) -> Option<&Slope> {
        self.matrices.iter().find(|slope| slope.matrix.group == group && slope.matrix.block == block)
    }
}

/// Gradients of the mean cross-entropy over the T tokens of one text, each with a target of its own.
///
/// With Γ the square of a token's gradient, summed over its numbers, and Γₓ the product of two tokens': the head starts with
/// $\Gamma = (1 - 2/V + s_2)/T^2$, $s_2 = E\sum_v p_v^2$ of its softmax; a dense layer gives C times both, an activation
/// $\langle\sigma'^2\rangle\Gamma$ and $\langle\sigma'\sigma'\rangle_\rho\Gamma_x$, a norm $1/q$, a sum its factors squared; attention
///
/// $$ \Gamma' = C_VC_O\big\{ s_2\Gamma + (T-1)s_1\Gamma_x + \ell(1-\rho)^2 J\Gamma + \ell(1-\rho)[J\Gamma + (T-1)\rho J_x\Gamma_x]\big\}, $$
///
/// through values, queries and keys. A dense layer's matrix then has
///
/// $$ E\lVert\partial W\rVert^2 = T\,n\,q\,[\Gamma + (T-1)\rho\,\Gamma_x], \qquad
///    E\lVert\partial W_Q\rVert^2 = T\,n\,q\,\frac{\ell C_VC_O}{C_Q}(1-\rho)^2[J\Gamma + (T-1)\rho J_x\Gamma_x]: $$
///
/// queries and keys learn from how much tokens differ, values from what they share too.
///
/// Adam's first step is a sign, $-\eta\,\mathrm{sign}(\partial W)$, whose product with what entered adds up over all n numbers; with
/// $\lambda = 1 + (T-1)\rho$, and $D_1$, $D_\perp$ the part of the logits' gradients that tokens share and the rest,
///
/// $$ \frac{\delta g}{\eta} = n\sqrt{n_k}\,\sqrt{\tfrac2\pi(1-\rho)}\,\big(\sqrt{\ell/C_Q} + \sqrt{\ell/C_K}\big)\,
///    \Big[\frac{(1-\rho)^2D_\perp + \lambda^2D_1}{N\,[(1-\rho)D_\perp + \lambda D_1]}\Big]^{1/2} $$
///
/// over the N pairs of tokens that see each other: with the width n and the root of that of a head, unless logits are divided by the
/// head's width and not its root. Keys of few numbers are alike by chance, which adds $1 + N/(T n_k)$ to the square.
///
/// * `matches`: chance that two targets of a text are the same
///
/// # Errors
/// [`Unknown`] as [`super::walk::walk`].
///
/// Source: Carnot's own mean field, after Xiong et al., arXiv:2002.04745, and Noci et al., arXiv:2206.03126; checked against networks in
/// `carnot-lab/tests/response.rs`.
pub fn gradients(pieces: &[Piece], matches: f64, memory: &mut Memory) -> Result<Gradients, Unknown> {
    let tokens = pieces.iter().find_map(tokens).unwrap_or(1);
    let (nodes, _) = nodes(pieces, None, memory)?;
    let mut back = Backward { tokens: tokens as f64, matches, found: Gradients::default() };
    let mut slope = Products::default();
    for node in nodes.iter().rev() {
        if let Node::Linear(matrix, entering) = node
            && matrix.group == Group::Head
        {
            slope = back.errors(matrix, *entering);
        }
        slope = back.through(node, slope);
    }
    back.found.matrices.reverse();
    back.found.logits.reverse();
    Ok(back.found)
}

fn tokens(piece: &Piece) -> Option<usize> {
    match piece {
        Piece::Attend(attend) => Some(attend.tokens),
        Piece::Skip { inside, .. } => inside.iter().find_map(tokens),
        _ => None,
    }
}

struct Backward {
    /// T
    tokens: f64,
    matches: f64,
    found: Gradients,
}

impl Backward {
    /// p − y over T, of a softmax over V outputs.
    fn errors(&self, head: &Matrix, entering: Entering) -> Products {
        let outputs = head.fan_out as f64;
        let chance = 1.0 / outputs;
        let twice = participation(head.c * entering.size, &[head.fan_out])[0];
        let both = chance + entering.similarity.max(0.0) * (twice - chance);
        Products { same: 1.0 - 2.0 * chance + twice, cross: both - 2.0 * chance + self.matches }
            .times(1.0 / self.tokens.powi(2))
    }

    /// Γ + (T − 1) Γₓ x, for vectors of mean square 1 and mean product x.
    fn over_tokens(&self, slope: Products, cross: f64) -> f64 {
        slope.same + (self.tokens - 1.0) * cross * slope.cross
    }

    fn learn(&mut self, matrix: Matrix, square: f64) {
        self.found.matrices.push(Slope { matrix, square });
    }

    fn through(&mut self, node: &Node, slope: Products) -> Products {
        match node {
            Node::Table(matrix, alike) => {
                let square = self.tokens * self.over_tokens(slope, *alike);
                self.learn(*matrix, square);
                slope
            }
            Node::Linear(matrix, entering) => {
                let n = self.tokens * matrix.fan_in as f64 * entering.size;
                let square = n * self.over_tokens(slope, entering.similarity);
                self.learn(*matrix, square);
                slope.times(matrix.c)
            }
            Node::Bend(slopes, gate) => {
                let slope = Products { same: slope.same * slopes.same, cross: slope.cross * slopes.cross };
                if let Some((matrix, entering)) = gate {
                    let n = self.tokens * matrix.fan_in as f64 * entering.size / matrix.c;
                    let square = n * self.over_tokens(slope, entering.similarity);
                    self.learn(*matrix, square);
                }
                slope
            }
            Node::Norm(size) => slope.times(1.0 / size),
            Node::Skip { skip, branch, inside } => {
                let behind = slope.times(branch.powi(2));
                let inner = inside.iter().rev().fold(behind, |slope, node| self.through(node, slope));
                slope.times(skip.powi(2)).plus(inner)
            }
            Node::Attend(attend, entering, mixing) => self.attended(attend, *entering, mixing, slope),
            Node::Same => slope,
        }
    }

    fn attended(
        &mut self,
        attend: &Attend,
        entering: Entering,
        mixing: &Mixing,
        slope: Products,
    ) -> Products {
        let Entering { size, similarity } = entering;
        let apart = 1.0 - similarity;
        let others = self.tokens - 1.0;
        let gain = attend.value.c * attend.out.c;
        let mixed =
            Products { same: similarity + apart * mixing.twice, cross: similarity + apart * mixing.both };
        let values = slope.same * mixed.same + others * slope.cross * mixed.cross;
        let n = |matrix: &Matrix| self.tokens * matrix.fan_in as f64 * size;
        let (out, value) =
            (n(&attend.out) * attend.value.c * values, n(&attend.value) * attend.out.c * values);
        // What the logits' gradients of one token have, and of two in common.
        let turned =
            Products { same: slope.same * mixing.agility.same, cross: slope.cross * mixing.agility.cross };
        let shared = self.over_tokens(turned, similarity);
        // ℓ/C_Q and ℓ/C_K, whatever the two are.
        let over = |own: &Matrix, other: &Matrix| match attend.has_qk_norm {
            true => 1.0 / (own.c * size),
            false => other.c * size,
        };
        let (by_query, by_key) = (over(&attend.query, &attend.key), over(&attend.key, &attend.query));
        let (query, key) = (
            n(&attend.query) * by_query * gain * size * apart * apart * shared,
            n(&attend.key) * by_key * gain * size * apart * apart * shared,
        );
        let logits = self.logits(attend, entering, mixing, turned, [by_query, by_key]);
        self.found.logits.push(logits);
        for (matrix, square) in
            [(attend.out, out), (attend.value, value), (attend.key, key), (attend.query, query)]
        {
            self.learn(matrix, square);
        }
        // Through values: what all tokens send adds up to what all receive.
        let same = mixing.twice * slope.same + others * mixing.both * slope.cross;
        let of_others = |total: f64, same: f64| if others > 0.0 { (total - same) / others } else { 0.0 };
        let from_values = Products { same, cross: of_others(slope.same + others * slope.cross, same) };
        let from_queries = turned.times(mixing.logits * apart * apart);
        let same = mixing.logits * apart * shared;
        let from_keys = Products { same, cross: of_others(0.0, same) };
        from_values.plus(from_queries).plus(from_keys).times(gain)
    }

    fn logits(
        &self,
        attend: &Attend,
        entering: Entering,
        mixing: &Mixing,
        turned: Products,
        [by_query, by_key]: [f64; 2],
    ) -> Logits {
        let apart = 1.0 - entering.similarity;
        let t = self.tokens;
        let together = turned.same + (t - 1.0) * turned.cross;
        let rest = (t - 1.0) * (turned.same - turned.cross);
        let most = 1.0 + (t - 1.0) * entering.similarity;
        let pairs = if attend.is_causal { t * (t + 1.0) / 2.0 } else { t * t };
        let above = apart * apart * rest + most * most * together;
        let below = apart * rest + most * together;
        let share = if below > 0.0 { above / below / pairs } else { 0.0 };
        let (n, head) = (attend.query.fan_in as f64, (attend.query.fan_out / attend.heads) as f64);
        let chance = 1.0 + pairs / t / head;
        let factors = (by_query * entering.size).sqrt() + (by_key * entering.size).sqrt();
        Logits {
            block: attend.query.block,
            deviation: (mixing.logits * apart).sqrt(),
            growth: n * (head * 2.0 / PI * apart * share * chance).sqrt() * factors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::response::tests::{golden, pieces};

    fn of(text: &str) -> Gradients {
        gradients(&pieces(text), 1.0 / 64.0, &mut Memory::default()).unwrap()
    }

    fn norm(found: &Gradients, group: Group, block: usize) -> f64 {
        found.of(group, block).unwrap().square.sqrt()
    }

    /// Exponents of depth, 2 to 24 blocks, of the gradient of the last W₂ in networks of width 64 (sheet of trainability, section 2.1, four
    /// seeds): −0.38 with norms in front, −0.49 for DeepNorm; and first over last at 8 blocks, 2.5 in front and 1.0 for DeepNorm (section
    /// 7). Where tokens are alike the sheet's lie 0.05 and, with norms behind, 0.12 above those of one text, which agree with networks
    /// (`carnot-lab/tests/response.rs`): perhaps since the errors of a batch are alike then.
    #[test]
    fn the_last_gradient_falls_with_depth_but_for_norms_behind() {
        for (design, close) in [("post", 0.13), ("pre", 0.06), ("deepnorm", 0.02)] {
            let measured = golden("gradient", design);
            let at = |depth: usize| norm(&of(&format!("{design}:{depth}x64")), Group::MlpOut, depth).ln();
            let found = (at(24) - at(2)) / 12f64.ln();
            assert!((found - measured).abs() < close, "{design}: {found}, measured {measured}");
        }
        for design in ["pre", "deepnorm"] {
            let measured = golden("first_over_last", design);
            let all = of(&format!("{design}:8x64"));
            let found = norm(&all, Group::MlpOut, 1) / norm(&all, Group::MlpOut, 8);
            assert!((found / measured - 1.0).abs() < 0.1, "{design}: {found}, measured {measured}");
        }
    }

    /// Behind norms, queries stop learning as tokens merge; the share of values stays.
    #[test]
    fn queries_learn_from_what_differs() {
        let ratio = |text: &str, block: usize| {
            let all = of(text);
            norm(&all, Group::Query, block) / norm(&all, Group::Value, block)
        };
        let blocks: Vec<f64> = (1..=16).map(|block| ratio("post:16x64", block)).collect();
        assert!(blocks.windows(2).all(|pair| pair[1] < pair[0]), "{blocks:?}");
        assert!(blocks[15] < 1e-3 && blocks[0] > 0.3, "{blocks:?}");
        assert!(ratio("deepnorm:16x64", 16) > 0.1);
        // Both have the same size where they are drawn alike.
        let all = of("pre:3x64");
        assert!((norm(&all, Group::Query, 2) - norm(&all, Group::Key, 2)).abs() < 1e-12);
    }

    /// At one head of a share of the width, n√n_k; with heads of one size, n.
    #[test]
    fn logits_grow_with_the_width() {
        let growth = |text: &str| of(text).logits[0].growth;
        let few = |width: usize| growth(&format!("pre:2x{width},heads=1,tokens=2"));
        assert!((few(8192) / few(4096) - 2f64.powf(1.5)).abs() < 0.01);
        let same = |width: usize| growth(&format!("pre:2x{width},heads={}", width / 64));
        // What tokens share depends a little on the head's start.
        assert!((same(1024) / same(256) - 4.0).abs() < 0.05);
        assert_eq!(growth("pre:1x64,tokens=1"), 0.0);
    }
}
