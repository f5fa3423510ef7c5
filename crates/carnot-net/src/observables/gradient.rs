//! How much of the gradient arrives.

use super::{Missing, Observable};

/// $g_\ell = |\partial L/\partial z^{(\ell)}| / |\partial L/\partial z^{(L)}|$, root mean square over samples. ≥ 0.
///
/// In theory its square is multiplied by $\chi_\perp$ at each layer on the way down.
pub const ROW: Observable = Observable {
    name: "gradient",
    symbol: "g",
    meaning: "size of the gradient, relative to the output layer",
    of: |reading, _| {
        if reading.gradient.is_empty() {
            return Err(Missing::NotMeasured);
        }
        Ok((reading.gradient.iter().sum::<f64>() / reading.gradient.len() as f64).sqrt())
    },
};
