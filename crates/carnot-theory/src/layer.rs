//! What the recursions need to know of a network: an activation, and the scales of every affine layer.

use crate::error::{TheoryError, check};
use carnot_math::formula::Formula;
use serde::{Deserialize, Serialize};

/// Initial variances and rate factors of one affine layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scales {
    /// Weight variance times fan-in, C_W ≥ 0.
    pub c_w: f64,
    /// Bias variance, C_b ≥ 0.
    pub c_b: f64,
    /// Weight rate times fan-in, λ_W ≥ 0.
    pub lambda_w: f64,
    /// Bias rate, λ_b ≥ 0.
    pub lambda_b: f64,
}

impl Scales {
    /// Initial variances, with λ_W = 1 and λ_b = 0.
    pub fn new(c_w: f64, c_b: f64) -> Self {
        Self { c_w, c_b, lambda_w: 1.0, lambda_b: 0.0 }
    }

    /// The same variances with other rate factors.
    pub fn with_rates(self, lambda_w: f64, lambda_b: f64) -> Self {
        Self { lambda_w, lambda_b, ..self }
    }

    pub(crate) fn check(&self) -> Result<(), TheoryError> {
        check("C_W", self.c_w, self.c_w >= 0.0, "≥ 0")?;
        check("C_b", self.c_b, self.c_b >= 0.0, "≥ 0")?;
        check("lambda_W", self.lambda_w, self.lambda_w >= 0.0, "≥ 0")?;
        check("lambda_b", self.lambda_b, self.lambda_b >= 0.0, "≥ 0")
    }
}

/// A plain stack: affine layer, activation, affine layer, …, affine layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Stack {
    /// The activation between the affine layers.
    pub activation: Formula,
    /// Scales of the affine layers l = 1..=L; layer 1 acts on the input.
    pub layers: Vec<Scales>,
    /// Width ratios r_l = n_l/n_{l−1} for l = 2..=L−1, as `[L − 2]`; empty when all hidden widths are equal.
    pub width_ratios: Vec<f64>,
}

impl Stack {
    /// L equal layers of equal width.
    pub fn uniform(activation: &Formula, depth: usize, scales: Scales) -> Self {
        Self { activation: activation.clone(), layers: vec![scales; depth], width_ratios: Vec::new() }
    }

    /// Layers of the given hidden widths n_1..n_{L−1}.
    ///
    /// # Errors
    /// [`TheoryError::Length`] unless there is one hidden width fewer than layers; [`TheoryError::OutOfRange`] for a width of 0.
    pub fn with_widths(mut self, hidden: &[usize]) -> Result<Self, TheoryError> {
        crate::error::check_length("hidden widths", self.layers.len().saturating_sub(1), hidden.len())?;
        for &width in hidden {
            check("width", width as f64, width > 0, "≥ 1")?;
        }
        self.width_ratios = hidden.windows(2).map(|pair| pair[1] as f64 / pair[0] as f64).collect();
        Ok(self)
    }

    /// r of the step from layer `layer` to the next (layers count from 1).
    pub(crate) fn ratio_after(&self, layer: usize) -> f64 {
        if layer < 2 { 1.0 } else { self.width_ratios.get(layer - 2).copied().unwrap_or(1.0) }
    }

    pub(crate) fn check(&self) -> Result<(), TheoryError> {
        self.layers.iter().try_for_each(Scales::check)?;
        self.width_ratios.iter().try_for_each(|&r| check("width ratio", r, r > 0.0, "> 0"))
    }
}
