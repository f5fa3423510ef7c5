//! The reference row: what separation would be if the labels said nothing.

use carnot_math::stats::{Estimate, Moments};

use super::{Missing, Observable, separation};

/// $D$ of the same features with the labels in a random order, mean over a few fixed orders; its error is the standard deviation
/// of *one* order, that is, how far chance moves D. It tends to $\ln\frac{N-K}{K-1}$.
pub const ROW: Observable = Observable {
    name: "separation_shuffled",
    symbol: "D?",
    title: "separation of shuffled labels",
    meaning: "Separation when the labels are put in a random order: where a layer without any separation stands.",
    of: |seen| {
        separation::judged(seen)?;
        let mut moments = Moments::default();
        for traces in seen.shuffled()? {
            if traces.between <= 0.0 || traces.within <= 0.0 {
                return Err(Missing::Collapsed);
            }
            moments.push(traces.separation());
        }
        Ok(Estimate { error: moments.variance().sqrt(), ..moments.estimate() })
    },
};
