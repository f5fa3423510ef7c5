//! Gaussian averages over two inputs, and the kernels of two or more inputs through a stack of layers.

use crate::error::{Known, TheoryError, Unknown, check, check_length};
use crate::layer::Stack;
use crate::moments::{kink_places, moments, roughest_kink};
use carnot_math::formula::Formula;
use carnot_math::gauss;

/// Averages over two preactivations with covariance ((a, c), (c, b)).
#[derive(Clone, Debug, PartialEq)]
pub struct PairMoments {
    /// ⟨σ₁σ₂⟩
    pub value: f64,
    /// ⟨σ'₁σ'₂⟩; not known where σ jumps.
    pub slope: Known,
}

/// Variances and covariance of two preactivations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// K₁₁ > 0
    pub first: f64,
    /// K₂₂ > 0
    pub second: f64,
    /// K₁₂, at most √(K₁₁K₂₂) in size
    pub between: f64,
}

impl Pair {
    /// K₁₂/√(K₁₁K₂₂), kept inside [−1, 1].
    pub fn correlation(&self) -> f64 {
        (self.between / (self.first * self.second).sqrt()).clamp(-1.0, 1.0)
    }

    fn check(&self) -> Result<(), TheoryError> {
        check("kernel", self.first, self.first > 0.0, "> 0")?;
        check("kernel", self.second, self.second > 0.0, "> 0")?;
        let limit = (self.first * self.second).sqrt() * (1.0 + 1e-9);
        check(
            "covariance",
            self.between,
            self.between.abs() <= limit,
            "at most the root of the product of variances",
        )
    }
}

/// ⟨σ₁σ₂⟩ and ⟨σ'₁σ'₂⟩ for any activation, by quadrature broken at the kinks.
///
/// * `pair`: variances > 0 and covariance of the two preactivations
///
/// # Errors
/// [`TheoryError::OutOfRange`] when the pair is no covariance; [`TheoryError::NotFinite`] when σ grows too fast.
///
/// Source: PDLT ch. 4.2–4.3. Checked by `tests/golden.rs` against closed forms.
pub fn pair_moments(activation: &Formula, pair: Pair) -> Result<PairMoments, TheoryError> {
    pair.check()?;
    let jumps = match roughest_kink(activation) {
        Some((0, at)) => Some(Unknown::ValueJumps { at }),
        _ => None,
    };
    let (value, slope) = average(activation, pair);
    if !(value.is_finite() && slope.is_finite()) {
        return Err(TheoryError::NotFinite { kernel: pair.first.max(pair.second) });
    }
    Ok(PairMoments { value, slope: jumps.map_or(Ok(slope), Err) })
}

fn average(activation: &Formula, pair: Pair) -> (f64, f64) {
    let rule = gauss::pair_rule(pair.first, pair.second, pair.between, &kink_places(activation));
    let n = rule.w.len();
    let (mut first, mut second) = (vec![0.0; n], vec![0.0; n]);
    let (mut first_slope, mut second_slope) = (vec![0.0; n], vec![0.0; n]);
    activation.values_and_slopes(&rule.z1, &mut first, &mut first_slope);
    activation.values_and_slopes(&rule.z2, &mut second, &mut second_slope);
    let mut sums = (0.0, 0.0);
    for i in 0..n {
        sums.0 += rule.w[i] * first[i] * second[i];
        sums.1 += rule.w[i] * first_slope[i] * second_slope[i];
    }
    sums
}

/// Kernel and frozen tangent kernel of D inputs at one layer, both `[D, D]` row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Grams {
    /// Number of inputs D.
    pub samples: usize,
    /// K_ab
    pub kernel: Vec<f64>,
    /// Θ_ab; not known once σ jumps.
    pub tangent: Result<Vec<f64>, Unknown>,
}

/// Kernels K and Θ at every layer of an infinitely wide stack, for D inputs.
///
/// $$ K' = C_b + C_W \langle\sigma_a\sigma_b\rangle_K,\qquad
///    \Theta' = \lambda_b + \lambda_W \langle\sigma_a\sigma_b\rangle_K + C_W \langle\sigma'_a\sigma'_b\rangle_K\, \Theta $$
///
/// * `input`: x_a·x_b/n₀, `[D, D]` row-major
/// * returns: one [`Grams`] for each layer, the first affine layer first
///
/// # Errors
/// As [`pair_moments`].
///
/// Source: PDLT ch. 4.1 and 8.1. Checked by `tests/golden.rs`.
pub fn grams(stack: &Stack, input: &[f64], samples: usize) -> Result<Vec<Grams>, TheoryError> {
    check_length("input", samples * samples, input.len())?;
    let mut result = Vec::with_capacity(stack.layers.len());
    for (index, scales) in stack.layers.iter().enumerate() {
        let next = match result.last() {
            None => Grams {
                samples,
                kernel: input.iter().map(|x| scales.c_b + scales.c_w * x).collect(),
                tangent: Ok(input.iter().map(|x| scales.lambda_b + scales.lambda_w * x).collect()),
            },
            Some(before) => step(stack, before, index)?,
        };
        result.push(next);
    }
    Ok(result)
}

fn step(stack: &Stack, before: &Grams, index: usize) -> Result<Grams, TheoryError> {
    let (scales, d) = (stack.layers[index], before.samples);
    let mut kernel = vec![0.0; d * d];
    let mut tangent = before.tangent.as_ref().map(|_| vec![0.0; d * d]).map_err(Unknown::clone);
    for a in 0..d {
        for b in a..d {
            let averages = averages(&stack.activation, before, a, b)?;
            kernel[a * d + b] = scales.c_b + scales.c_w * averages.value;
            kernel[b * d + a] = kernel[a * d + b];
            match (&mut tangent, &before.tangent, averages.slope) {
                (Ok(tangent), Ok(old), Ok(slope)) => {
                    let grown = scales.c_w * slope * old[a * d + b];
                    tangent[a * d + b] = scales.lambda_b + scales.lambda_w * averages.value + grown;
                    tangent[b * d + a] = tangent[a * d + b];
                }
                (Ok(_), _, Err(unknown)) => tangent = Err(unknown),
                _ => {}
            }
        }
    }
    Ok(Grams { samples: d, kernel, tangent })
}

fn averages(activation: &Formula, grams: &Grams, a: usize, b: usize) -> Result<PairMoments, TheoryError> {
    let at = |i: usize, j: usize| grams.kernel[i * grams.samples + j];
    if a == b {
        let all = moments(activation, at(a, a))?;
        return Ok(PairMoments { value: all.square, slope: all.slope.map(|s| s.square) });
    }
    pair_moments(activation, Pair { first: at(a, a), second: at(b, b), between: at(a, b) })
}
