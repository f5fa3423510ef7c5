//! Signal size.

use carnot_math::stats::Moments;

use super::Observable;

/// $K = \frac{1}{N}\sum_a |z_a|^2/n$ over all samples, positions and units. Range: > 0; theory's `kernel`.
///
/// Source: Roberts, Yaida, Hanin, *The Principles of Deep Learning Theory*, ch. 4.
pub const ROW: Observable = Observable {
    name: "kernel",
    symbol: "K",
    title: "signal",
    meaning: "Mean square of a layer's outputs: how strong the signal is.",
    of: |seen| {
        let features = seen.features()?;
        let per_sample = features.len() / seen.samples;
        let mut moments = Moments::default();
        for sample in features.chunks_exact(per_sample) {
            let sum: f64 = sample.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            moments.push(sum / per_sample as f64);
        }
        Ok(moments.estimate())
    },
};
