//! Size of the neural tangent kernel.

use super::{Missing, Observable};

/// $\Theta = \frac1N\sum_a\Theta_{aa}$: how fast outputs move under gradient descent. ≥ 0.
///
/// Source: Roberts, Yaida, Hanin, *The Principles of Deep Learning Theory*, ch. 8.
pub const ROW: Observable = Observable {
    name: "tangent",
    symbol: "Θ",
    meaning: "neural tangent kernel of the layer: how fast it moves under gradient descent",
    of: |reading, _| {
        reading.tangent.as_ref().map(super::super::kernel::Gram::mean_variance).ok_or(Missing::NotMeasured)
    },
};
