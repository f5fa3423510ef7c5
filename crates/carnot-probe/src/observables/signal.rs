//! Signal size.

use super::Observable;

/// $K = \frac{1}{N}\sum_a |z_a|^2/n$ over all samples, positions and units. Range: > 0; theory's `kernel`.
///
/// Source: Roberts, Yaida, Hanin, *The Principles of Deep Learning Theory*, ch. 4.
pub const ROW: Observable = Observable {
    name: "kernel",
    symbol: "K",
    title: "signal",
    meaning: "Mean square of a layer's outputs: how strong the signal is.",
    of: |seen| Ok(seen.elements()?.signal.estimate()),
};
