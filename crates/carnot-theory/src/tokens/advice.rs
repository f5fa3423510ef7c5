//! How each group of a transformer should start, and how its rate follows width and depth.

use super::pieces::{Group, Matrix};
use super::{Norms, deep_norm};
use crate::error::TheoryError;
use crate::parametrization::{self, TransformerGroup, TransformerSizes, maximal_update, transformer};
use crate::transfer::{Descent, Rule, Skips, depth_rule};

/// The standard deviation with which a matrix should be drawn.
///
/// Tables 1, since a norm comes before anything reads them; the head 1/n, so that outputs start near zero (maximal update,
/// arXiv:2203.03466). With norms in front $1/\sqrt{\text{fan-in}}$ (arXiv:2304.02034, 1.25–1.34, C = 1), and the last matrix of each of 2L
/// branches $1/\sqrt{2L}$ of it, so that the stream doubles at most; with norms behind Xavier's, and values, output and MLP times
/// $\beta = (8L)^{-1/4}$ beside a skip of $\alpha = (2L)^{1/4}$ (DeepNorm, arXiv:2203.00555).
///
/// * `depth`: L ≥ 1
#[must_use]
pub fn deviation(matrix: &Matrix, norms: Norms, depth: usize) -> f64 {
    let (fan_in, fan_out) = (matrix.fan_in as f64, matrix.fan_out as f64);
    let is_last = matches!(matrix.group, Group::Output | Group::MlpOut);
    let is_small = is_last || matches!(matrix.group, Group::Value | Group::MlpIn);
    match (matrix.group, norms) {
        (Group::Word | Group::Position, _) => 1.0,
        (Group::Head, _) => 1.0 / fan_in,
        (_, Norms::Pre) if is_last => (2.0 * depth as f64 * fan_in).powf(-0.5),
        (_, Norms::Pre) => fan_in.powf(-0.5),
        (_, Norms::Post) => {
            let beta = if is_small { deep_norm(depth).1 } else { 1.0 };
            beta * (2.0 / (fan_in + fan_out)).sqrt()
        }
    }
}

/// Factors of Adam's rate of a group for so many times the width, by two families of rules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WidthFactors {
    /// Every layer learns as much as before (arXiv:2203.03466).
    pub maximal_update: f64,
    /// Every layer adds as much to the tangent kernel as before (arXiv:2304.02034, 1.108–1.116).
    pub neural_tangent: f64,
}

/// * `group`: `None` for gains and shifts of norms, and biases; these the second source leaves as they are drawn, and here they follow its
///   tables, vectors of the same size
///
/// # Errors
/// [`TheoryError::OutOfRange`] for a multiplier ≤ 0.
pub fn by_width(group: Option<Group>, width: f64) -> Result<WidthFactors, TheoryError> {
    let place = match group {
        Some(Group::Word | Group::Position) => parametrization::Group::Input,
        Some(Group::Head) => parametrization::Group::Output,
        Some(_) => parametrization::Group::Hidden,
        None => parametrization::Group::Bias,
    };
    let all = maximal_update(place, width)?;
    let row = match group {
        Some(Group::Word) => TransformerGroup::WordEmbedding,
        Some(Group::Position) | None => TransformerGroup::PositionEmbedding,
        Some(Group::Query | Group::Key | Group::Value | Group::Output) => TransformerGroup::Attention,
        Some(Group::MlpIn) => TransformerGroup::MlpIn,
        Some(Group::MlpOut) => TransformerGroup::MlpOut,
        Some(Group::Head) => TransformerGroup::Head,
    };
    let at = |embedding: f64| {
        let sizes = TransformerSizes { embedding, mlp_multiplier: 4.0, patch: 1.0, outputs: 1.0 };
        transformer(row, sizes).adam
    };
    Ok(WidthFactors { maximal_update: all.adam * all.output, neural_tangent: at(width) / at(1.0) })
}

/// Factor of Adam's rate of a group for so many times the blocks, with the factor of [`depth_rule`] on every branch.
///
/// # Errors
/// [`TheoryError::OutOfRange`] for a multiplier ≤ 0.
pub fn by_depth(group: Group, skips: Skips, depth: f64) -> Result<f64, TheoryError> {
    let (_, rate) = depth_rule(Rule::MaximalUpdate, skips, Descent::Adam, depth)?;
    Ok(if matches!(group, Group::Word | Group::Position | Group::Head) { 1.0 } else { rate })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(group: Group, fan_in: usize, fan_out: usize) -> Matrix {
        Matrix { group, block: 1, c: 1.0, c_b: 0.0, fan_in, fan_out }
    }

    /// 12 blocks of width 768: GPT-2's output projections, DeepNorm's values.
    #[test]
    fn deviations_are_those_of_the_designs() {
        let of = |group, fan_in, fan_out, norms| deviation(&matrix(group, fan_in, fan_out), norms, 12);
        assert!((of(Group::MlpIn, 768, 3072, Norms::Pre) - 768f64.powf(-0.5)).abs() < 1e-15);
        assert!((of(Group::Output, 768, 768, Norms::Pre) - (24.0 * 768f64).powf(-0.5)).abs() < 1e-15);
        assert!((of(Group::Query, 768, 768, Norms::Post) - 768f64.powf(-0.5)).abs() < 1e-15);
        let beta = 96f64.powf(-0.25);
        assert!((of(Group::Value, 768, 768, Norms::Post) - beta * 768f64.powf(-0.5)).abs() < 1e-15);
        assert_eq!(of(Group::Head, 768, 50257, Norms::Pre), 1.0 / 768.0);
        assert_eq!(of(Group::Word, 1, 768, Norms::Post), 1.0);
    }

    /// Both families agree on matrices relative to tables: one over the width (but for the head's, of which they differ by its root).
    #[test]
    fn matrices_fall_behind_tables_as_the_width() {
        let of = |group| by_width(Some(group), 4.0).unwrap();
        let table = of(Group::Word);
        assert_eq!((table.maximal_update, table.neural_tangent), (1.0, 0.5));
        for group in [Group::Query, Group::Output, Group::MlpIn, Group::MlpOut] {
            let found = of(group);
            assert_eq!(found.maximal_update, 0.25);
            assert!((found.neural_tangent / table.neural_tangent - 0.25).abs() < 1e-12, "{group:?}");
        }
        assert_eq!((of(Group::Head).maximal_update, of(Group::Head).neural_tangent), (0.25, 0.25));
        assert_eq!(by_depth(Group::Query, Skips::Plain, 4.0).unwrap(), 0.5);
        assert_eq!(by_depth(Group::Query, Skips::Scaled, 4.0).unwrap(), 1.0);
        assert_eq!(by_depth(Group::Head, Skips::Plain, 4.0).unwrap(), 1.0);
        assert!(by_width(None, 0.0).is_err());
    }
}
