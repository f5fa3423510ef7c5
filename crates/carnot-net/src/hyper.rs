//! What is chosen beside the architecture: initialisation and how learning rates scale.

use serde::{Deserialize, Serialize};

/// Shape of the distribution weights are drawn from; its variance is set by [`LayerInit::c_w`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    /// Gaussian; the formulas of theory are exact at their order.
    Normal,
    /// Uniform on a symmetric interval of the same variance.
    Uniform,
    /// (Semi-)orthogonal matrix with entries of the same variance.
    Orthogonal,
}

/// Initialisation of one layer with weights.
///
/// Weights have variance $C_W/\text{fan-in}$, biases $C_b$, all independent with mean zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LayerInit {
    /// Rescaled weight variance $C_W \ge 0$.
    pub c_w: f64,
    /// Bias variance $C_b \ge 0$.
    pub c_b: f64,
    /// Distribution.
    pub law: Law,
}

impl LayerInit {
    /// Gaussian weights and biases.
    #[must_use]
    pub fn normal(c_w: f64, c_b: f64) -> LayerInit {
        LayerInit { c_w, c_b, law: Law::Normal }
    }

    /// What PyTorch does by itself for linear and convolution layers: weights and biases uniform on
    /// $\pm 1/\sqrt{\text{fan-in}}$ (`kaiming_uniform(a=√5)`), hence $C_W = 1/3$ and $C_b = 1/(3\,\text{fan-in})$.
    #[must_use]
    pub fn torch(fan_in: usize) -> LayerInit {
        LayerInit { c_w: 1.0 / 3.0, c_b: 1.0 / (3.0 * fan_in as f64), law: Law::Uniform }
    }
}

/// Relative learning rates of one layer with weights, in the convention of tangent-kernel theory:
/// the update of weights is scaled by $\lambda_W/\text{fan-in}$, of biases by $\lambda_b$.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LayerRate {
    /// λ_W.
    pub lambda_w: f64,
    /// λ_b.
    pub lambda_b: f64,
}

impl LayerRate {
    /// One rate for every parameter, as optimisers do by default: λ_W = fan-in, λ_b = 1.
    #[must_use]
    pub fn uniform(fan_in: usize) -> LayerRate {
        LayerRate { lambda_w: fan_in as f64, lambda_b: 1.0 }
    }

    /// Multiplier of the global rate for weights.
    #[must_use]
    pub fn weight(&self, fan_in: usize) -> f64 {
        self.lambda_w / fan_in as f64
    }
}

/// A rule by which every layer with weights is initialised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// PyTorch's default of linear and convolution layers: uniform, C_W = 1/3, C_b = 1/(3 fan-in).
    #[default]
    Torch,
    /// The critical point of the activation, where signals and gradients keep their size with depth.
    Critical,
    /// Normal, C_W = 2, no biases (He).
    He,
    /// Normal, C_W = 2 fan-in/(fan-in + fan-out), no biases (Glorot).
    Xavier,
    /// Normal, C_W = 1, no biases (LeCun).
    Lecun,
    /// Orthogonal matrices with the variances of the critical point.
    Orthogonal,
}

impl Scheme {
    /// In a sentence: `PyTorch default init`.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Scheme::Torch => "PyTorch default init",
            Scheme::Critical => "critical init",
            Scheme::He => "He init",
            Scheme::Xavier => "Xavier init",
            Scheme::Lecun => "LeCun init",
            Scheme::Orthogonal => "orthogonal init",
        }
    }
}
