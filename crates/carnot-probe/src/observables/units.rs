//! Units that carry nothing. No labels needed.

use super::{Missing, Observable};
use crate::session::share;

/// A unit varies by no more than this share of the layer's root mean square: it says the same to every input.
const STILL: f64 = 1e-6;

/// Share of units (channels) whose output is the same for every sample and position of the probe. Range: 0 to 1. A ReLU that is
/// never open is such a unit.
///
/// Source: Lu et al., arXiv:1903.06733 (dying ReLU).
pub const DEAD: Observable = Observable {
    name: "dead",
    symbol: "dead",
    title: "dead units",
    meaning: "Share of units that say the same to every input of the probe.",
    of: |seen| {
        let elements = seen.elements()?;
        if seen.frame.samples < 2 {
            return Err(Missing::Few { needed: 2 });
        }
        let size = (elements.squares / elements.count as f64).sqrt();
        let ranges = elements.low.iter().zip(&elements.high);
        let still = ranges.filter(|(low, high)| f64::from(**high) - f64::from(**low) <= STILL * size);
        let mut estimate = share(still.count(), elements.low.len());
        // A count of the probe: other samples may wake a unit, but there is no error bar for that.
        estimate.error = 0.0;
        Ok(estimate)
    },
};

/// Bounded activations and the ends of their range.
const BOUNDED: &[(&str, f64, f64)] = &[
    ("tanh", -1.0, 1.0),
    ("hardtanh", -1.0, 1.0),
    ("softsign", -1.0, 1.0),
    ("sigmoid", 0.0, 1.0),
    ("hardsigmoid", 0.0, 1.0),
    ("erf", -1.0, 1.0),
];

/// Share of outputs of a bounded activation within 1 % of an end of its range, where its slope is nearly 0 (tanh: below 0.04).
/// Range: 0 to 1.
///
/// Source: Glorot, Bengio, AISTATS 2010.
pub const SATURATED: Observable = Observable {
    name: "saturated",
    symbol: "sat",
    title: "saturated units",
    meaning: "Share of outputs at the ends of a bounded activation, where no gradient passes.",
    of: |seen| {
        ends(&seen.call.kind).ok_or(Missing::Kind("bounded activations"))?;
        let elements = seen.elements()?;
        let mut estimate = share(elements.at_ends.unwrap_or(0) as usize, elements.count as usize);
        estimate.error *= (elements.count as f64 / seen.frame.samples as f64).sqrt();
        Ok(estimate)
    },
};

/// Where a bounded activation saturates: below the first, above the second. `None` for kinds without bounds.
#[must_use]
pub fn ends(kind: &str) -> Option<(f64, f64)> {
    let (_, low, high) = BOUNDED.iter().find(|(bounded, ..)| *bounded == kind)?;
    let margin = 0.01 * (high - low) / 2.0;
    Some((low + margin, high - margin))
}
