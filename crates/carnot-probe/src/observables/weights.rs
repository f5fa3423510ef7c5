//! Numbers of the weights, from what the caller says of them.

use super::{Missing, Observable, fact};
use crate::call::WeightStats;
use crate::seen::Seen;

/// $C_W = \mathrm{fan\_in}\cdot|W|_F^2/\text{parameters}$: mean square of the weights × fan-in. Range: ≥ 0; at initialisation it is
/// what theory calls C_W.
pub const SCALE: Observable = Observable {
    name: "weight_scale",
    symbol: "n⟨W²⟩",
    title: "weight variance × fan-in",
    meaning: "Mean square of the weights times fan-in.",
    of: |seen| {
        let weights = given(seen)?;
        let fan_in = weights.fan_in.ok_or(Missing::NotGiven("the fan-in"))?;
        if weights.parameters == 0 {
            return Err(Missing::NotGiven("weights"));
        }
        finite(weights.norm * weights.norm / weights.parameters as f64 * fan_in as f64)
    },
};

/// $|\partial L/\partial W|/|W|$. Range: ≥ 0.
pub const GRADIENT: Observable = Observable {
    name: "gradient_to_weight",
    symbol: "|∇W|/|W|",
    title: "gradient over weight",
    meaning: "Norm of the gradient of a weight over the norm of the weight.",
    of: |seen| {
        let weights = given(seen)?;
        ratio(weights.gradient.ok_or(Missing::NotGiven("gradients of weights"))?, weights.norm)
    },
};

/// $|\Delta W|/|W|$ per step of training. Range: ≥ 0; about 10⁻³ is usual.
pub const UPDATE: Observable = Observable {
    name: "update_ratio",
    symbol: "|ΔW|/|W|",
    title: "update over weight",
    meaning: "Change of a weight in one step over the norm of the weight.",
    of: |seen| {
        let weights = given(seen)?;
        ratio(weights.update.ok_or(Missing::NotGiven("updates of weights"))?, weights.norm)
    },
};

fn given<'a>(seen: &Seen<'a>) -> Result<&'a WeightStats, Missing> {
    seen.call.weights.as_ref().ok_or(Missing::Kind("calls with weights"))
}

fn ratio(of: f64, norm: f64) -> Result<carnot_math::stats::Estimate, Missing> {
    if norm == 0.0 { Err(Missing::NotGiven("weights that are not all 0")) } else { finite(of / norm) }
}

fn finite(value: f64) -> Result<carnot_math::stats::Estimate, Missing> {
    if value.is_finite() { Ok(fact(value)) } else { Err(Missing::Range) }
}
