//! How much of the gradient arrives.

use carnot_math::stats::Moments;

use super::{Missing, Observable, estimate};

/// $g = \sqrt{\frac1N\sum_a |\partial L/\partial z_a|^2}$: norm of the gradient of the loss with respect to the call's output,
/// root mean square over samples. In theory its square is multiplied by χ⊥ at each layer on the way down. Range: ≥ 0.
pub const ROW: Observable = Observable {
    name: "gradient",
    symbol: "∇",
    title: "gradient",
    meaning: "Norm of the gradient of the loss at a layer, root mean square over samples.",
    of: |seen| {
        let gradient = seen.call.gradient.ok_or(Missing::NotGiven("gradients"))?;
        let count = gradient.iter().filter(|x| !x.is_finite()).count() as u64;
        if count > 0 {
            return Err(Missing::NotFinite { count });
        }
        let mut moments = Moments::default();
        for sample in gradient.chunks_exact(gradient.len() / seen.samples) {
            moments.push(sample.iter().map(|&x| f64::from(x) * f64::from(x)).sum());
        }
        let value = moments.mean().sqrt();
        let error = if value > 0.0 { moments.error() / (2.0 * value) } else { 0.0 };
        Ok(estimate(value, error, seen.samples))
    },
};
