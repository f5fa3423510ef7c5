//! Pre-norm transformers at initialisation: kernels through attention and MLP blocks, and the growth of gradients.

use crate::error::{TheoryError, Unknown, check, check_length};
use crate::moments::moments;
use carnot_math::formula::Formula;
use carnot_math::gauss;

/// Initial variances (times fan-in) of one attention block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionScales {
    /// Queries.
    pub c_q: f64,
    /// Keys.
    pub c_k: f64,
    /// Values.
    pub c_v: f64,
    /// Output of the heads.
    pub c_u: f64,
}

/// Kernel after layer normalisation: F_tt' = G_tt'/√(G_tt G_t't'), `[T, T]`.
///
/// # Errors
/// [`TheoryError::OutOfRange`] for a variance that is not positive.
///
/// Source: Dinan, Yaida, Zhang arXiv:2304.02034.
pub fn normalized(kernel: &[f64], tokens: usize) -> Result<Vec<f64>, TheoryError> {
    check_length("kernel", tokens * tokens, kernel.len())?;
    let variance = |t: usize| kernel[t * (tokens + 1)];
    (0..tokens).try_for_each(|t| check("kernel", variance(t), variance(t) > 0.0, "> 0"))?;
    let entry = |k: usize| match (k / tokens, k % tokens) {
        (s, t) if s == t => 1.0,
        (s, t) => kernel[k] / (variance(s) * variance(t)).sqrt(),
    };
    Ok((0..tokens * tokens).map(entry).collect())
}

/// Kernel after one bidirectional pre-norm attention block with skip path, over T tokens.
///
/// $$ G'_{t_1t_2} = G_{t_1t_2} + C_U C_V \sum_{t'_1t'_2} E[\Omega_{t_1t'_1}\Omega_{t_2t'_2}]\, F_{t'_1t'_2} $$
///
/// Ω is the softmax of logits that are Gaussian with covariance C_Q C_K F_{t₁t₂} F_{t'₁t'₂} (leading order in 1/channels).
///
/// * `kernel`: G, `[T, T]`; T up to 3 (the integral runs over 2(T − 1) logit differences)
///
/// # Errors
/// [`Unknown::TooManyTokens`] for T > 3; [`TheoryError::OutOfRange`] for scales below 0.
///
/// Source: arXiv:2304.02034 eqs 1.61, 1.65; checked by Monte Carlo.
pub fn attention_block(
    kernel: &[f64],
    tokens: usize,
    scales: AttentionScales,
) -> Result<Vec<f64>, TheoryError> {
    let f = normalized(kernel, tokens)?;
    for value in [scales.c_q, scales.c_k, scales.c_v, scales.c_u] {
        check("attention scale", value, value >= 0.0, "≥ 0")?;
    }
    if tokens > 3 {
        return Err(Unknown::TooManyTokens { tokens, dimensions: 2 * (tokens - 1) }.into());
    }
    let logits = scales.c_q * scales.c_k;
    let mut result = kernel.to_vec();
    for first in 0..tokens {
        for second in 0..tokens {
            let mixed = mixed(&f, tokens, logits, first, second)?;
            result[first * tokens + second] += scales.c_u * scales.c_v * mixed;
        }
    }
    Ok(result)
}

/// Σ E[Ω_{t₁t'₁} Ω_{t₂t'₂}] F_{t'₁t'₂}
fn mixed(f: &[f64], tokens: usize, logits: f64, first: usize, second: usize) -> Result<f64, TheoryError> {
    let d = tokens - 1;
    let at = |s: usize, t: usize| f[s * tokens + t];
    if d == 0 {
        return Ok(at(0, 0));
    }
    // Rows of differences to token 0: one row when both queries are the same token.
    let rows: &[usize] = if first == second { &[first] } else { &[first, second] };
    let n = rows.len() * d;
    let difference = |i: usize, j: usize| at(i, j) - at(i, 0) - at(0, j) + at(0, 0);
    let entry = |k: usize| {
        let (i, j) = (k / n, k % n);
        logits * at(rows[i / d], rows[j / d]) * difference(i % d + 1, j % d + 1)
    };
    let covariance: Vec<f64> = (0..n * n).map(entry).collect();
    let order = if n <= 2 { 140 } else { 28 };
    let grid = gauss::grid(&covariance, order).map_err(|_| TheoryError::Singular { what: "logit" })?;
    let [sum] = grid.average(|z| {
        let left = softmax(&z[..d]);
        let right = softmax(&z[n - d..]);
        [(0..tokens * tokens).map(|k| left[k / tokens] * right[k % tokens] * f[k]).sum()]
    });
    Ok(sum)
}

/// Softmax of (0, differences).
fn softmax(differences: &[f64]) -> Vec<f64> {
    let largest = differences.iter().copied().fold(0.0, f64::max);
    let mut weights: Vec<f64> =
        std::iter::once(&0.0).chain(differences).map(|x| (x - largest).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= total);
    weights
}

/// Initial variances (times fan-in) of one MLP block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MlpScales {
    /// Into the block, C_W.
    pub c_w: f64,
    /// Out of the block, C_X.
    pub c_x: f64,
}

/// Kernel after one pre-norm MLP block with skip path: G' = G + C_X ⟨σσ⟩ at C_W F.
///
/// # Errors
/// As [`crate::pair::pair_moments`].
///
/// Source: arXiv:2304.02034 eq. 1.77.
pub fn mlp_block(
    kernel: &[f64],
    tokens: usize,
    activation: &Formula,
    scales: MlpScales,
) -> Result<Vec<f64>, TheoryError> {
    let f = normalized(kernel, tokens)?;
    let alone = moments(activation, scales.c_w)?.square;
    let mut result = kernel.to_vec();
    for s in 0..tokens {
        result[s * (tokens + 1)] += scales.c_x * alone;
        for t in 0..s {
            let pair = crate::pair::Pair {
                first: scales.c_w,
                second: scales.c_w,
                between: scales.c_w * f[s * tokens + t],
            };
            let value = scales.c_x * crate::pair::pair_moments(activation, pair)?.value;
            result[s * tokens + t] += value;
            result[t * tokens + s] += value;
        }
    }
    Ok(result)
}

/// Variance and squared Jacobian of a stack of pre-norm MLP blocks, one token.
#[derive(Clone, Debug, PartialEq)]
pub struct PreNormStack {
    /// G before each block and after the last, `[blocks + 1]`: linear in depth.
    pub kernel: Vec<f64>,
    /// (1/n)‖dz^(k)/dz^(0)‖² after k = 1.. blocks, `[blocks]`: a power of depth, never exponential.
    pub jacobian: Vec<f64>,
}

/// Pre-norm MLP blocks z ← z + X σ(W LN z).
///
/// $$ G_{k+1} = G_k + C_X\langle\sigma^2\rangle_{C_W},\qquad J_k = \prod_{j<k}\Big[1 + C_X C_W \langle\sigma'^2\rangle_{C_W}/G_j\Big] $$
///
/// * `start`: G of the first block's input, > 0
///
/// # Errors
/// Not known where the activation jumps.
///
/// Source: arXiv:2304.02034; checked by Monte Carlo.
pub fn pre_norm_stack(
    activation: &Formula,
    scales: MlpScales,
    start: f64,
    blocks: usize,
) -> Result<PreNormStack, TheoryError> {
    check("kernel", start, start > 0.0, "> 0")?;
    let all = moments(activation, scales.c_w)?;
    let slope = scales.c_x * scales.c_w * all.slope?.square;
    let kernel: Vec<f64> = (0..=blocks).map(|k| start + k as f64 * scales.c_x * all.square).collect();
    let grown = kernel[..blocks].iter().scan(1.0, |product, g| {
        *product *= 1.0 + slope / g;
        Some(*product)
    });
    let jacobian = grown.collect();
    Ok(PreNormStack { kernel, jacobian })
}
