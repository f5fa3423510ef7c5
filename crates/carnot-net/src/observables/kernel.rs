//! Signal size.

use super::Observable;

/// $K = \frac1N\sum_a |z_a|^2/n$: mean squared preactivation. Dimensionless, > 0.
///
/// Source: Roberts, Yaida, Hanin, *The Principles of Deep Learning Theory*, ch. 4.
pub const ROW: Observable = Observable {
    name: "kernel",
    symbol: "K",
    meaning: "signal: mean squared preactivation",
    of: |reading, _| Ok(reading.forward.mean_variance()),
};
