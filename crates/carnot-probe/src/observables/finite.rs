//! Numbers that are none.

use super::{Missing, Observable, fact};

/// Features that are NaN or infinite, of all features of the call. Range: 0 to 1.
pub const FEATURES: Observable = Observable {
    name: "non_finite",
    symbol: "NaN",
    title: "features that are not finite",
    meaning: "Share of outputs that are NaN or infinite.",
    of: |seen| {
        let elements = &seen.gathered.elements;
        Ok(fact(elements.non_finite as f64 / elements.count as f64))
    },
};

/// Entries of the gradient that are NaN or infinite. Range: 0 to 1.
pub const GRADIENT: Observable = Observable {
    name: "gradient_non_finite",
    symbol: "NaN∇",
    title: "gradients that are not finite",
    meaning: "Share of the gradient's entries that are NaN or infinite.",
    of: |seen| {
        let gradient = seen.gathered.gradient.as_ref().ok_or(Missing::NotGiven("gradients"))?;
        Ok(fact(gradient.non_finite as f64 / gradient.count as f64))
    },
};
