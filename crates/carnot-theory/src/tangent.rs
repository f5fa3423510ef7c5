//! Learning rates from the frozen tangent kernel: factors with which every layer contributes equally, and the largest stable rate.

use crate::criticality::{Class, CriticalPoint};
use crate::error::{TheoryError, check, check_length};
use crate::finite_width::table;
use crate::layer::{Scales, Stack};
use carnot_math::linalg;

/// Rate factors of one layer, λ_W and λ_b.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Weight rate times fan-in.
    pub lambda_w: f64,
    /// Bias rate.
    pub lambda_b: f64,
}

/// Contribution of every layer to the tangent kernel of the last: its own part times all later χ⊥.
///
/// $$ \Theta^{(L)} = \sum_l \big[\lambda_b^{(l)} + \lambda_W^{(l)} \langle\sigma^2\rangle^{(l-1)}\big] \prod_{k=l}^{L-1}\chi_\perp^{(k)} $$
///
/// * `input_square`: |x|²/n₀ > 0
/// * returns: one number for each layer, summing to Θ^(L)
///
/// # Errors
/// As [`table`]; not known where the activation jumps.
///
/// Source: PDLT ch. 9.2.
pub fn contributions(stack: &Stack, input_square: f64) -> Result<Vec<f64>, TheoryError> {
    let shares = shares(stack, input_square)?;
    let own =
        |(scales, share): (&Scales, &Share)| (scales.lambda_b + scales.lambda_w * share.square) * share.reach;
    Ok(stack.layers.iter().zip(&shares).map(own).collect())
}

/// Rate factors for which every layer contributes the same to the last tangent kernel, from the numbers of this very stack.
///
/// $$ \lambda_b^{(l)} = \frac{\tilde\lambda_b}{L \prod_{k\ge l}\chi_\perp^{(k)}},\qquad
///    \lambda_W^{(l)} = \frac{\tilde\lambda_W \langle\sigma^2\rangle^{(L-1)}}{L \langle\sigma^2\rangle^{(l-1)} \prod_{k\ge l}\chi_\perp^{(k)}} $$
///
/// * `total`: λ̃_W and λ̃_b, of order one; then Θ^(L) = λ̃_b + λ̃_W ⟨σ²⟩^(L−1)
///
/// # Errors
/// As [`contributions`].
///
/// Source: PDLT ch. 9.2–9.4; the numerical form is our own.
pub fn equalizing_rates(stack: &Stack, input_square: f64, total: Rates) -> Result<Vec<Rates>, TheoryError> {
    let shares = shares(stack, input_square)?;
    let squares: Vec<f64> = shares.iter().map(|share| share.square).collect();
    let reach: Vec<f64> = shares.iter().map(|share| share.reach).collect();
    Ok(rates_from(&squares, &reach, total))
}

/// Rate factors from ⟨σ²⟩ below each layer and the product of χ⊥ from it to the output, as in [`equalizing_rates`].
///
/// * `squares`: |x|²/n₀ for the first layer, ⟨σ²⟩ of the layer below for the others; `reach`: Π χ⊥, 1 for the last
pub fn rates_from(squares: &[f64], reach: &[f64], total: Rates) -> Vec<Rates> {
    let depth = squares.len() as f64;
    let last = squares.last().copied().unwrap_or(1.0);
    let rates = |(square, reach): (&f64, &f64)| Rates {
        lambda_w: total.lambda_w * last / (depth * square * reach),
        lambda_b: total.lambda_b / (depth * reach),
    };
    squares.iter().zip(reach).map(rates).collect()
}

/// What layer l sees below it, and how much of it reaches the output.
struct Share {
    square: f64,
    reach: f64,
}

fn shares(stack: &Stack, input_square: f64) -> Result<Vec<Share>, TheoryError> {
    check("|x|²/n₀", input_square, input_square > 0.0, "> 0")?;
    let table = table(stack, input_square)?;
    if let Some(error) = table.ended {
        return Err(error);
    }
    let mut result = Vec::with_capacity(table.rows.len());
    let mut reach = 1.0;
    for (index, row) in table.rows.iter().enumerate().rev() {
        let scales = stack.layers[index];
        if index + 1 < table.rows.len() {
            reach *= row.chi_perpendicular.clone()?;
        }
        let square = if index == 0 { input_square } else { (row.kernel - scales.c_b) / scales.c_w };
        result.push(Share { square, reach });
    }
    result.reverse();
    Ok(result)
}

/// Closed-form rate factors at a critical point, as they scale with layer and depth.
///
/// scale-invariant and half-stable: both 1/L; K* = 0: λ_b = l^{−p⊥}L^{p⊥−1}, λ_W = (L/l)^{p⊥−1}; kinked: λ_b = L/l², λ_W = L.
///
/// * `total`: λ̃_W and λ̃_b; `depth`: number L of layers
///
/// Source: PDLT ch. 9.2–9.4; the kinked class is our own derivation.
pub fn critical_rates(point: &CriticalPoint, depth: usize, total: Rates) -> Vec<Rates> {
    let l_max = depth as f64;
    let at = |layer: usize| {
        let l = layer as f64;
        let (weight, bias) = match point.class {
            Class::ScaleInvariant | Class::HalfStable | Class::KernelZeroFlat => (1.0 / l_max, 1.0 / l_max),
            Class::KernelZero => {
                let p = point.p_perpendicular.unwrap_or(1.0);
                ((l_max / l).powf(p - 1.0), l.powf(-p) * l_max.powf(p - 1.0))
            }
            Class::KernelZeroKinked => (l_max, l_max / (l * l)),
        };
        Rates { lambda_w: total.lambda_w * weight, lambda_b: total.lambda_b * bias }
    };
    (1..=depth).map(at).collect()
}

/// How the loss is summed over examples and outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// ½ Σ (z − y)²
    HalfSum,
    /// ½ Σ (z − y)² / number of examples
    HalfMean,
    /// Σ (z − y)² / number of examples
    Mean,
}

/// The largest rate at which full-batch gradient descent on a squared loss is stable while the tangent kernel is frozen.
///
/// $$ \eta < 2/\lambda_{max}(\Theta) $$
///
/// * `tangent`: Θ over the training set, `[N, N]` row-major, symmetric
/// * returns: the rate that multiplies λ_W and λ_b
///
/// # Errors
/// [`TheoryError::Length`] when the matrix is not square; [`TheoryError::Singular`] when it has no positive eigenvalue.
///
/// Source: linear stability.
pub fn largest_stable_rate(tangent: &[f64], samples: usize, sum: Sum) -> Result<f64, TheoryError> {
    check_length("tangent kernel", samples * samples, tangent.len())?;
    let singular = TheoryError::Singular { what: "tangent kernel" };
    let eigen = linalg::symmetric_eigen(tangent, samples).map_err(|_| singular.clone())?;
    let largest = eigen.values.last().copied().filter(|&value| value > 0.0).ok_or(singular)?;
    let rate = 2.0 / largest;
    Ok(match sum {
        Sum::HalfSum => rate,
        Sum::HalfMean => rate * samples as f64,
        Sum::Mean => rate * samples as f64 / 2.0,
    })
}
