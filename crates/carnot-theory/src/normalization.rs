//! Batch normalisation at initialisation: gradients explode, and by how much per layer.

use crate::error::{Known, TheoryError};
use crate::moments::moments;
use carnot_math::formula::Formula;

/// Growth of the squared gradient norm per layer with batch normalisation before the activation, large batch.
///
/// $$ \frac{\langle\sigma'^2\rangle_1}{\langle\sigma^2\rangle_1-\langle\sigma\rangle_1^2} $$
///
/// At least 1 for every activation, and no choice of C_W or C_b changes it. Small batches explode faster.
///
/// # Errors
/// Not known where the activation jumps.
///
/// Source: Yang et al. arXiv:1902.08129; checked by Monte Carlo at batch 128.
pub fn batch_norm_growth(activation: &Formula) -> Result<f64, TheoryError> {
    let all = moments(activation, 1.0)?;
    let slope: Known = all.slope.map(|s| s.square);
    Ok(slope? / (all.square - all.mean.powi(2)))
}
