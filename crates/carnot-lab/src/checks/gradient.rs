//! G201 and G202: the gradient does not arrive, or arrives too large.

use super::{Check, Evidence, Outcome, at_position, finding, short};
use crate::explain::CheckPage;
use carnot_report::finding::Level;

/// The gradient vanishes.
pub const VANISHES: Check = Check { page: &VANISHING, run: vanishes };
/// The gradient explodes.
pub const EXPLODES: Check = Check { page: &EXPLODING, run: explodes };

const VANISHING: CheckPage = CheckPage {
    code: "G201",
    name: "gradient-vanishes",
    sees: "The gradient at the first layer is less than 10⁻² of that at the output. It blocks learning below 10⁻⁸ \
           (Adam's ε) with an adaptive optimizer, below 10⁻³ with a plain one.",
    matters: "The first layers do not move. Adaptive optimizers hide this until the gradient falls below their ε \
              (10⁻⁸) or the rounding of the type.",
    remedy: "Raise C_W to its critical value, or add skips.",
    theory: "The expected squared gradient is multiplied by χ⊥ at each layer on the way down. PDLT ch. 9; \
             arXiv:1611.01232.",
    ignore: "The first layers are meant to stay as they are.",
};

const EXPLODING: CheckPage = CheckPage {
    code: "G202",
    name: "gradient-explodes",
    sees: "The gradient at the first layer is more than 10² times that at the output.",
    matters: "A rate that the last layers need destroys the first ones; the loss jumps or becomes NaN.",
    remedy: "Lower C_W to its critical value.",
    theory: "χ⊥ > 1: the expected squared gradient is multiplied by it at each layer. PDLT ch. 9; arXiv:1611.01232.",
    ignore: "Gradients are clipped or normalised per layer, and the network is shallow.",
};

/// Ratio of gradient norms above which single precision has no step left that serves both ends.
const EXPLODED: f64 = 1e8;

fn ratio(evidence: &Evidence) -> Option<f64> {
    evidence.column("gradient").first().copied().flatten()
}

fn per_layer(evidence: &Evidence, ratio: f64) -> String {
    let steps = evidence.depth().saturating_sub(1).max(1) as f64;
    short(ratio.powf(1.0 / steps))
}

fn vanishes(evidence: &Evidence) -> Outcome {
    let Some(ratio) = ratio(evidence) else {
        return Outcome::NotApplicable("the gradient is not known at the first layer".into());
    };
    if ratio >= 1e-2 {
        return Outcome::Fine;
    }
    let level = if ratio < evidence.lost_gradient() { Level::Blocks } else { Level::Costs };
    let saw = format!("the gradient at layer 1 is {} of that at the output", short(ratio));
    let because = format!("it is multiplied by {} a layer on the way down", per_layer(evidence, ratio));
    at_position(
        finding(&VANISHING, level, evidence.name(0), saw, because, evidence.remedy()),
        evidence.position(0),
    )
}

fn explodes(evidence: &Evidence) -> Outcome {
    let Some(ratio) = ratio(evidence) else {
        return Outcome::NotApplicable("the gradient is not known at the first layer".into());
    };
    if ratio <= 1e2 {
        return Outcome::Fine;
    }
    let level = if ratio > EXPLODED { Level::Blocks } else { Level::Costs };
    let saw = format!("the gradient at layer 1 is {} times that at the output", short(ratio));
    let because = format!("it is multiplied by {} a layer on the way down", per_layer(evidence, ratio));
    at_position(
        finding(&EXPLODING, level, evidence.name(0), saw, because, evidence.remedy()),
        evidence.position(0),
    )
}
