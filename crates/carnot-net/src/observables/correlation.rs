//! How alike different inputs have become.

use super::{Missing, Observable};

/// $c = \langle K_{ab}/\sqrt{K_{aa}K_{bb}}\rangle_{a\ne b}$, taken from distances:
/// $1 - c_{ab} = [d_{ab} - (\sqrt{v_a}-\sqrt{v_b})^2] / (2\sqrt{v_a v_b})$. Between −1 and 1.
pub const ROW: Observable = Observable {
    name: "correlation",
    symbol: "c",
    meaning: "mean correlation of two inputs; 1 means they can no longer be told apart",
    of: |reading, _| {
        let gram = &reading.forward;
        if gram.samples < 2 {
            return Err(Missing::Pairs);
        }
        let (mut sum, mut count) = (0.0, 0.0);
        for (a, b) in gram.pairs() {
            let (va, vb) = (gram.variance[a].sqrt(), gram.variance[b].sqrt());
            if va * vb == 0.0 {
                return Err(Missing::NoSignal);
            }
            let d = gram.distance_of(a, b).expect("a pair that is kept");
            sum += 1.0 - (d - (va - vb).powi(2)) / (2.0 * va * vb);
            count += 1.0;
        }
        Ok(sum / count)
    },
};
