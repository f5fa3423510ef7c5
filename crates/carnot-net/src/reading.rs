//! What is known of one layer on a probe batch, whoever says it: theory, a simulated member or a real model.

use crate::kernel::{Gram, Positions};
use serde::{Deserialize, Serialize};

/// Second moments of a layer's vectors over the probe, and the gradients that reach it.
///
/// Layers with several positions are read as the concatenation of their positions: the Gram is the mean over
/// equal positions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Index of the site in its plan.
    pub index: usize,
    /// Name of the layer.
    pub layer: String,
    /// Number of features n.
    pub width: usize,
    /// Kernel K: variances `[N]` and squared distances `[N, N]`.
    pub forward: Gram,
    /// Neural tangent kernel Θ, where known.
    pub tangent: Option<Gram>,
    /// `[N]`: squared norm of the gradient with respect to this layer's output, over that at the network's
    /// output (dimensionless); empty where not known.
    pub gradient: Vec<f64>,
}

/// What a reading is judged with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Labels<'a> {
    /// Class of each probe sample; empty without labels.
    pub classes: &'a [u32],
}

impl Reading {
    /// Reading of vectors `[samples, positions, width]`.
    #[must_use]
    pub fn of_vectors(index: usize, layer: &str, data: &[f64], samples: usize, positions: usize) -> Reading {
        let width = data.len() / (samples * positions).max(1);
        // Positions side by side are one long vector, and |·|²/n becomes the mean over positions.
        let forward = Gram::of_vectors(data, samples, 1, Positions::Full);
        Reading { index, layer: layer.to_string(), width, forward, tangent: None, gradient: Vec::new() }
    }
}

/// Mean over equal positions of a Gram with positions: what a [`Reading`] of such a layer holds.
#[must_use]
pub fn merge_positions(gram: &Gram) -> Gram {
    if gram.positions == 1 {
        return Gram { keep: Positions::Full, ..gram.clone() };
    }
    let (samples, positions) = (gram.samples, gram.positions);
    let mut out = Gram::zeros(samples, 1, Positions::Full);
    let p = positions as f64;
    for a in 0..samples {
        out.variance[a] = gram.variance[a * positions..(a + 1) * positions].iter().sum::<f64>() / p;
    }
    out.fill_pairs(|a, b| {
        let at =
            |q| gram.distance_of(a * positions + q, b * positions + q).expect("equal positions are kept");
        (0..positions).map(at).sum::<f64>() / p
    });
    out
}
