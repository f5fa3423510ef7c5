//! How initial variances and rates scale with width and depth: one table for each published family.

use crate::error::{TheoryError, check};

/// Where a parameter sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Weights from a fixed-size input into the width.
    Input,
    /// Weights from width to width.
    Hidden,
    /// Weights from the width to a fixed-size output.
    Output,
    /// Biases and other vectors of the size of the width.
    Bias,
}

/// Factors of one group relative to a tuned base network, at width multiplier m.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Multipliers {
    /// Initial variance.
    pub variance: f64,
    /// Rate under SGD.
    pub sgd: f64,
    /// Rate under Adam.
    pub adam: f64,
    /// Factor on the output of the layer in the forward pass.
    pub output: f64,
}

/// Maximal update parametrization, in the form with a multiplier on the logits.
///
/// * `width`: multiplier m = n/n_base > 0
///
/// # Errors
/// [`TheoryError::OutOfRange`] for m ≤ 0.
///
/// Source: Yang & Hu arXiv:2011.14522; Yang et al. arXiv:2203.03466, tables 3, 8.
pub fn maximal_update(group: Group, width: f64) -> Result<Multipliers, TheoryError> {
    check("width multiplier", width, width > 0.0, "> 0")?;
    let m = width;
    Ok(match group {
        Group::Input | Group::Bias => Multipliers { variance: 1.0, sgd: m, adam: 1.0, output: 1.0 },
        Group::Hidden => Multipliers { variance: 1.0 / m, sgd: 1.0, adam: 1.0 / m, output: 1.0 },
        Group::Output => Multipliers { variance: 1.0, sgd: m, adam: 1.0, output: 1.0 / m },
    })
}

/// Standard parametrization: 1/fan-in variances, the same rate everywhere.
///
/// # Errors
/// [`TheoryError::OutOfRange`] for m ≤ 0.
pub fn standard(group: Group, width: f64) -> Result<Multipliers, TheoryError> {
    check("width multiplier", width, width > 0.0, "> 0")?;
    let variance = if matches!(group, Group::Hidden | Group::Output) { 1.0 / width } else { 1.0 };
    Ok(Multipliers { variance, sgd: 1.0, adam: 1.0, output: 1.0 })
}

/// The one-parameter family between neural-tangent (s = 0) and maximal-update (s = 1) scaling, relative to a base width.
///
/// Output variance n^{−1−s}; SGD rates of all but the output × n^s on top of the neural-tangent 1/fan-in, Adam × n^{s/2}.
///
/// * `meta`: s in [0, 1]; `width`: n/n_base
///
/// # Errors
/// [`TheoryError::OutOfRange`] for s or the width.
///
/// Source: Yaida arXiv:2210.04909; arXiv:2304.02034 eq. 1.34.
pub fn meta_principled(group: Group, width: f64, meta: f64) -> Result<Multipliers, TheoryError> {
    check("width multiplier", width, width > 0.0, "> 0")?;
    check("s", meta, (0.0..=1.0).contains(&meta), "in [0, 1]")?;
    let tangent = neural_tangent(group, width);
    let (sgd, adam, variance) = match group {
        Group::Output => (1.0, 1.0, width.powf(-meta)),
        _ => (width.powf(meta), width.powf(meta / 2.0), 1.0),
    };
    Ok(Multipliers {
        variance: tangent.variance * variance,
        sgd: tangent.sgd * sgd,
        adam: tangent.adam * adam,
        output: tangent.output,
    })
}

fn neural_tangent(group: Group, m: f64) -> Multipliers {
    let per_fan_in = |sgd: f64| Multipliers { variance: sgd, sgd, adam: sgd / m.sqrt(), output: 1.0 };
    match group {
        Group::Input => Multipliers { variance: 1.0, sgd: 1.0, adam: 1.0 / m.sqrt(), output: 1.0 },
        Group::Bias => Multipliers { variance: 1.0, sgd: 1.0, adam: 1.0 / m.sqrt(), output: 1.0 },
        Group::Hidden => per_fan_in(1.0 / m),
        Group::Output => Multipliers { variance: 1.0 / m, sgd: 1.0 / m, adam: 1.0 / m, output: 1.0 },
    }
}

/// Strength of representation learning of the family: γ = L/n^{1−s}. Keep it fixed when scaling up.
pub fn learning_scale(depth: f64, width: f64, meta: f64) -> f64 {
    depth / width.powf(1.0 - meta)
}

/// Exponents of width: W = n^{−a} w, w ~ N(0, n^{−2b}), rate η n^{−c}.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponents {
    /// Multiplier exponent a.
    pub multiplier: f64,
    /// Initial-deviation exponent b.
    pub deviation: f64,
    /// Rate exponent c.
    pub rate: f64,
}

impl Exponents {
    /// An equivalent parametrization under SGD: a + θ, b − θ, c − 2θ.
    pub fn shifted(self, theta: f64) -> Self {
        Self {
            multiplier: self.multiplier + theta,
            deviation: self.deviation - theta,
            rate: self.rate - 2.0 * theta,
        }
    }
}

/// Exponents of maximal-update scaling under SGD.
///
/// Source: arXiv:2011.14522.
pub fn maximal_update_exponents(group: Group) -> Exponents {
    let multiplier = match group {
        Group::Input | Group::Bias => -0.5,
        Group::Hidden => 0.0,
        Group::Output => 0.5,
    };
    Exponents { multiplier, deviation: 0.5, rate: 0.0 }
}

/// Exponents of neural-tangent scaling under SGD.
///
/// Source: arXiv:2011.14522.
pub fn neural_tangent_exponents(group: Group) -> Exponents {
    let multiplier = if matches!(group, Group::Input | Group::Bias) { 0.0 } else { 0.5 };
    Exponents { multiplier, deviation: 0.0, rate: 0.0 }
}

/// Factors of a transformer whose residual branches are multiplied by L^{−α}, relative to a base width and depth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DepthMultipliers {
    /// Factor on every residual branch, m_L^{−α}.
    pub branch: f64,
    /// Hidden-weight initial variance, 1/m_N.
    pub hidden_variance: f64,
    /// Hidden-weight AdamW rate, m_N^{−1} m_L^{α−1}.
    pub hidden_rate: f64,
    /// Hidden-bias and layer-norm AdamW rate, m_L^{α−1}.
    pub vector_rate: f64,
    /// Hidden AdamW weight decay, m_N.
    pub hidden_decay: f64,
    /// AdamW ε, m_N^{−1} m_L^{−α}.
    pub adam_epsilon: f64,
    /// Factor on the output logits, 1/m_N.
    pub logits: f64,
}

/// Depth-muP (α = 1/2) and CompleteP (α = 1).
///
/// * `width`: m_N > 0; `depth`: m_L > 0; `alpha`: α in [1/2, 1]
///
/// # Errors
/// [`TheoryError::OutOfRange`].
///
/// Source: arXiv:2310.02244; Dey et al. arXiv:2505.01618.
pub fn depth_transfer(width: f64, depth: f64, alpha: f64) -> Result<DepthMultipliers, TheoryError> {
    check("width multiplier", width, width > 0.0, "> 0")?;
    check("depth multiplier", depth, depth > 0.0, "> 0")?;
    check("alpha", alpha, (0.5..=1.0).contains(&alpha), "in [1/2, 1]")?;
    let rate = depth.powf(alpha - 1.0);
    Ok(DepthMultipliers {
        branch: depth.powf(-alpha),
        hidden_variance: 1.0 / width,
        hidden_rate: rate / width,
        vector_rate: rate,
        hidden_decay: width,
        adam_epsilon: depth.powf(-alpha) / width,
        logits: 1.0 / width,
    })
}

/// Parameter groups of a pre-norm transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransformerGroup {
    /// Linear embedding of patches.
    PatchEmbedding,
    /// Table of word vectors.
    WordEmbedding,
    /// Table of position vectors.
    PositionEmbedding,
    /// Q, K, V, U.
    Attention,
    /// Into the MLP, W.
    MlpIn,
    /// Out of the MLP, X.
    MlpOut,
    /// Head weights.
    Head,
    /// Head bias.
    HeadBias,
}

/// Sizes of a transformer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransformerSizes {
    /// Embedding n.
    pub embedding: f64,
    /// MLP multiplier M.
    pub mlp_multiplier: f64,
    /// Patch size n_patch.
    pub patch: f64,
    /// Number of outputs.
    pub outputs: f64,
}

/// Factors of one transformer group (neural-tangent, s = 0): initial variance per unit C, SGD and AdamW rate factors.
///
/// Source: Dinan, Yaida, Zhang arXiv:2304.02034 (1.25–1.34, 1.99–1.107, 1.108–1.116).
pub fn transformer(group: TransformerGroup, sizes: TransformerSizes) -> Multipliers {
    let TransformerSizes { embedding: n, mlp_multiplier: m, patch, outputs } = sizes;
    let row = |variance: f64, sgd: f64, adam: f64| Multipliers { variance, sgd, adam, output: 1.0 };
    match group {
        TransformerGroup::PatchEmbedding => row(1.0 / patch, 1.0 / patch, 1.0 / (patch * n.sqrt())),
        TransformerGroup::WordEmbedding | TransformerGroup::PositionEmbedding => {
            row(1.0, 1.0, 1.0 / n.sqrt())
        }
        TransformerGroup::Attention => row(1.0 / n, 1.0 / n, 1.0 / (n * n.sqrt())),
        TransformerGroup::MlpIn => row(1.0 / n, 1.0 / n, 1.0 / (n * (m * n).sqrt())),
        TransformerGroup::MlpOut => row(1.0 / (m * n), 1.0 / (m * n), 1.0 / (m * n * n.sqrt())),
        TransformerGroup::Head => row(1.0 / n, 1.0 / n, 1.0 / (n * outputs.sqrt())),
        TransformerGroup::HeadBias => row(0.0, 1.0, 1.0 / outputs.sqrt()),
    }
}
