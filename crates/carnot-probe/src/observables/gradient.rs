//! How much of the gradient arrives.

use super::{Missing, Observable, estimate};

/// $g = \sqrt{\frac1N\sum_a |\partial L/\partial z_a|^2}$: norm of the gradient of the loss with respect to the call's output,
/// root mean square over samples. In theory its square is multiplied by χ⊥ at each layer on the way down. Range: ≥ 0.
pub const ROW: Observable = Observable {
    name: "gradient",
    symbol: "∇",
    title: "gradient",
    meaning: "Norm of the gradient of the loss at a layer, root mean square over samples.",
    of: |seen| {
        let gradient = seen.gathered.gradient.as_ref().ok_or(Missing::NotGiven("gradients"))?;
        if gradient.non_finite > 0 {
            return Err(Missing::NotFinite { count: gradient.non_finite });
        }
        let moments = gradient.squares;
        let value = moments.mean().sqrt();
        let error = if value > 0.0 { moments.error() / (2.0 * value) } else { 0.0 };
        Ok(estimate(value, error, seen.frame.samples))
    },
};
