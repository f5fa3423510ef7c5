//! How alike the tokens of a transformer become with depth at initialisation, and how much of each is left.
//!
//! Each block mixes tokens (attention) and squeezes them together (the MLP). When the vectors of all tokens are nearly the same, what the
//! head can learn is how frequent tokens are, and nothing else: loss stays at the entropy of the frequencies. Two numbers follow the
//! tokens without a network being made: their cosine ρ, and what is left of a token in its own vector, I.
//!
//! Mean field: widths, heads and the number of tokens large; logits Gaussian and independent; every pair of different tokens alike.

pub mod advice;
pub mod gradients;
pub mod pieces;
pub mod response;
mod softmax;
mod squeeze;
mod state;
pub mod tied;
pub mod walk;

use carnot_math::formula::Formula;
use serde::{Deserialize, Serialize};

use crate::error::{TheoryError, check};
pub use softmax::participation;
use squeeze::Squeeze;
use state::State;

/// Where norms stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norms {
    /// `x + f(norm(x))`.
    Pre,
    /// `norm(α x + f(x))`.
    Post,
}

/// The MLP of a block: `W₂ σ(W₁ x)`, or with a gate `W₂ (σ(W₁ x) · W₃ x)`.
#[derive(Clone, Debug)]
pub struct Mlp {
    /// σ
    pub activation: Formula,
    /// C of W₁ (and W₃): variance of an entry times fan-in, ≥ 0.
    pub c_in: f64,
    /// C of W₂, ≥ 0.
    pub c_out: f64,
    /// Is there a gate?
    pub is_gated: bool,
}

/// Blocks of a transformer at initialisation, all alike.
#[derive(Clone, Debug)]
pub struct Blocks {
    /// Where norms stand.
    pub norms: Norms,
    /// α of the skip path, > 0; 1 but for DeepNorm.
    pub skip: f64,
    /// C_V C_O of values and output: mean square that attention adds to a stream of tokens which are all the same, ≥ 0.
    pub attention: f64,
    /// C_Q C_K: variance of the logits q·k/√n_k of unit vectors, ≥ 0.
    pub logits: f64,
    /// The other half of a block.
    pub mlp: Mlp,
    /// Tokens T ≥ 1 that attend to each other.
    pub tokens: usize,
    /// Does a token see only those before it and itself?
    pub is_causal: bool,
}

/// How the stream begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    /// ρ₀: cosine of two tokens, 0 ≤ ρ₀ < 1.
    pub similarity: f64,
    /// I₀: share of the stream that is the token's own, above 0, at most 1; the rest is its position's.
    pub information: f64,
    /// Mean square of a number of the stream, > 0; 1 behind a norm.
    pub size: f64,
}

/// The stream behind some blocks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// ρ: cosine of different tokens of a text.
    pub similarity: f64,
    /// I: half the squared distance of the vectors at one place when only its own token is another, over the mean square: 1 when a vector
    /// is about its token alone, 0 when nothing of the token is left. Of a token that sees all others; in a causal model the first ones
    /// keep more.
    pub information: f64,
    /// Mean square of a number.
    pub size: f64,
}

/// The stream at the start and behind each of `depth` blocks.
///
/// For unit vectors with cosine ρ, attention weights $p$ of logits with variance $v = C_Q C_K (1-\rho)$, and
/// $s_2 = E\sum_i p_i^2$, $s_1$ = chance that two tokens look at the same one at random:
///
/// $$ m_s = \rho + (1-\rho)s_2, \quad m_x = \rho + (1-\rho)s_1, \quad
///    1-\rho' = \frac{\alpha^2(1-\rho) + a\,(1-\rho)(s_2-s_1)}{\alpha^2 + a\,m_s}, \quad
///    1-\rho'' = \frac{\alpha^2(1-\rho') + f(1) - f(\rho')}{\alpha^2 + f(1)} $$
///
/// with $f(\rho) = C_2\langle\sigma\sigma\rangle_{C_1,\,C_1\rho}$; a pre-norm stream keeps its size and adds. The distance δ of the vectors of
/// two texts that differ in one token obeys the same with
///
/// $$ m_s - m_\delta = \delta\,[(1-\rho)(s_2 - 1/t) + c/t], \quad c = 1/t + (1-\delta)(s_2 - 1/t), $$
///
/// t tokens being seen: the common part of two softmaxes is taken to fall evenly with their distance.
///
/// * returns: `depth + 1` states
///
/// # Errors
/// [`TheoryError::OutOfRange`] and [`TheoryError::NotFinite`], for an activation that grows too fast.
///
/// Source: rank collapse with skip paths, Noci et al., arXiv:2206.03126; the mean field of attention, Hron et al., arXiv:2006.10540. The
/// recursion of I is Carnot's own. Both are checked against networks in `carnot-lab/tests/tokens.rs`.
pub fn through(blocks: &Blocks, start: Start, depth: usize) -> Result<Vec<Stream>, TheoryError> {
    check("cosine of tokens", start.similarity, (0.0..1.0).contains(&start.similarity), "0 ≤ ρ < 1")?;
    let own = start.information;
    check("share of the token", own, own > 0.0 && own <= 1.0, "above 0, at most 1")?;
    check("size of the stream", start.size, start.size > 0.0, "> 0")?;
    check("skip", blocks.skip, blocks.skip > 0.0, "> 0")?;
    check("number of tokens", blocks.tokens as f64, blocks.tokens >= 1, "≥ 1")?;
    for (what, value) in [
        ("attention scale", blocks.attention),
        ("logit variance", blocks.logits),
        ("weight variance", blocks.mlp.c_in),
        ("weight variance", blocks.mlp.c_out),
    ] {
        check(what, value, value >= 0.0, "≥ 0")?;
    }
    let squeeze = Squeeze::new(&blocks.mlp)?;
    let mut state =
        State { size: 1.0, apart: 1.0 - start.similarity, last: 1.0, own }.times(match blocks.norms {
            Norms::Pre => start.size,
            Norms::Post => 1.0,
        });
    let mut streams = vec![Stream { size: start.size, ..state.stream() }];
    let add = |state: State, branch: &dyn Fn(State) -> State| match blocks.norms {
        Norms::Pre => state.plus(branch(state.normalised())),
        Norms::Post => state.times(blocks.skip * blocks.skip).plus(branch(state)).normalised(),
    };
    for _ in 0..depth {
        state = add(state, &|state| {
            state.attended(blocks.logits, blocks.tokens, blocks.is_causal).times(blocks.attention)
        });
        state = add(state, &|state| state.bent(&squeeze));
        streams.push(state.stream());
    }
    Ok(streams)
}

/// Skip α and factor β of the standard deviations of values, output and both MLP matrices for L blocks, with which the update of a
/// post-norm model stays bounded: $\alpha = (2L)^{1/4}$, $\beta = (8L)^{-1/4}$.
///
/// Source: Wang et al., arXiv:2203.00555, table of encoder-only and decoder-only models.
pub fn deep_norm(depth: usize) -> (f64, f64) {
    let l = depth as f64;
    ((2.0 * l).powf(0.25), (8.0 * l).powf(-0.25))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xavier(norms: Norms, skip: f64, beta: f64) -> Blocks {
        let (d, f) = (64.0, 256.0);
        let variance = 2.0 / (d + f);
        Blocks {
            norms,
            skip,
            attention: beta.powi(4),
            logits: 1.0,
            mlp: Mlp {
                activation: Formula::parse("max(z, 0)").unwrap(),
                c_in: beta * beta * d * variance,
                c_out: beta * beta * f * variance,
                is_gated: false,
            },
            tokens: 24,
            is_causal: true,
        }
    }

    const START: Start = Start { similarity: 0.046, information: 1.0, size: 1.0 };

    fn last(blocks: &Blocks, depth: usize) -> Stream {
        *through(blocks, START, depth).unwrap().last().unwrap()
    }

    /// Measured on networks of width 64 with 24 tokens of real text (sheet of trainability, section 7): post-norm loses its tokens, pre-norm
    /// slowly, DeepNorm not at all. Finite width and depth leave a difference of a tenth at most.
    #[test]
    fn designs_lose_their_tokens_as_networks_do() {
        for (depth, rho, information) in
            [(2, 0.27, 0.80), (4, 0.63, 0.34), (6, 0.86, 0.10), (8, 0.94, 0.029), (16, 0.996, 0.00018)]
        {
            let post = last(&xavier(Norms::Post, 1.0, 1.0), depth);
            assert!((post.similarity - rho).abs() < 0.1, "{depth}: {post:?}, measured {rho}");
            assert!(
                post.information < 3.0 * information && post.information > information / 3.0,
                "{depth}: {post:?}, measured {information}"
            );
        }
        for (depth, rho) in [(8, 0.60), (16, 0.75)] {
            let pre = last(&xavier(Norms::Pre, 1.0, 1.0), depth);
            assert!((pre.similarity - rho).abs() < 0.1 && pre.information > 0.1, "{depth}: {pre:?}");
        }
        for depth in [8, 16] {
            let (skip, beta) = deep_norm(depth);
            let deep = last(&xavier(Norms::Post, skip, beta), depth);
            assert!((deep.similarity - 0.05).abs() < 0.02 && deep.information > 0.9, "{depth}: {deep:?}");
        }
    }

    /// Depths at which BERT's usual start, N(0, 0.02²) with F = 4d, brings tokens of 128 to a cosine of 0.9: wider models sooner. Logits are
    /// taken as even.
    #[test]
    fn wide_models_of_one_standard_deviation_lose_their_tokens_sooner() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/golden/tokens.json")).unwrap();
        for (width, depths) in golden["depths"].as_object().unwrap() {
            let width: f64 = width.parse().unwrap();
            let c = width * 0.02f64.powi(2);
            let activation = Formula::parse("max(z, 0)").unwrap();
            let blocks = Blocks {
                norms: Norms::Post,
                skip: 1.0,
                attention: c * c,
                logits: 0.0,
                mlp: Mlp { activation, c_in: c, c_out: 4.0 * c, is_gated: false },
                tokens: 128,
                is_causal: false,
            };
            for (similarity, depth) in [0.02, 0.34].into_iter().zip(depths.as_array().unwrap()) {
                let streams = through(&blocks, Start { similarity, ..START }, 300).unwrap();
                let found = streams.iter().position(|stream| stream.similarity > 0.9);
                assert_eq!(
                    found.map(|depth| depth as u64),
                    depth.as_u64(),
                    "width {width}, from {similarity}"
                );
            }
        }
    }

    /// The bound on the update that DeepNorm is made for: 2L sublayers, each with (v² + w²)/α², sum to 1 for v = w = β.
    #[test]
    fn deep_norm_bounds_the_update() {
        for depth in [1, 6, 100] {
            let (skip, beta) = deep_norm(depth);
            assert!((4.0 * depth as f64 * beta * beta / (skip * skip) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let blocks = xavier(Norms::Post, 1.0, 1.0);
        for start in [
            Start { similarity: 1.0, ..START },
            Start { similarity: f64::NAN, ..START },
            Start { size: 0.0, ..START },
            Start { information: 0.0, ..START },
        ] {
            assert!(through(&blocks, start, 1).is_err());
        }
        let one =
            through(&Blocks { tokens: 1, ..blocks.clone() }, Start { similarity: 0.0, ..START }, 3).unwrap();
        assert!(one.iter().all(|stream| stream.information.is_finite()), "{one:?}");
        assert!(through(&Blocks { skip: 0.0, ..blocks }, Start { similarity: 0.0, ..START }, 1).is_err());
    }
}
