//! S111 and G213: numbers that are none.

use carnot_report::finding::{Finding, Level};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// Features.
pub const FEATURES: ModelCheck =
    ModelCheck { page: &PAGE, run: |evidence| first(evidence, &PAGE, "non_finite", "outputs") };
/// Gradients.
pub const GRADIENTS: ModelCheck =
    ModelCheck { page: &OF_GRADIENTS, run: |evidence| last(evidence, &OF_GRADIENTS, "gradient_non_finite") };

const PAGE: CheckPage = CheckPage {
    code: "S111",
    name: "features-not-finite",
    sees: "A layer puts out NaN or infinite numbers on the probe. The first such layer is named, since all behind it inherit them.",
    matters: "Every later layer, the loss and all gradients are NaN from here on; one step of training then destroys every weight.",
    remedy: "Look at the layer's input and weights: an overflow in half precision, a division by a vanishing variance, a logarithm \
             of 0, or weights that have diverged. Lower the rate, clip the gradient, or compute this layer in single precision.",
    theory: "Half precision ends at 65504 and single precision at 3.4·10³⁸; signals grow as ∏ χ∥ (PDLT ch. 5), so a chaotic start \
             or a rate beyond the border leaves that range within tens of layers or steps.",
    ignore: "The layer masks on purpose with −∞ before a softmax, and everything behind it is finite.",
};

const OF_GRADIENTS: CheckPage = CheckPage {
    code: "G213",
    name: "gradients-not-finite",
    sees: "The gradient of the loss holds NaN or infinite numbers while all outputs are finite. The layer nearest to the output that hands such \
           a gradient back is named, at the first reading that shows it.",
    matters: "The next step writes them into the weights, and nothing recovers from that.",
    remedy: "Clip the gradient, lower the rate or the loss scale of half precision, and guard square roots and logarithms at 0: their \
             slope is infinite there.",
    theory: "The gradient is a product of as many Jacobians as there are layers; its size is multiplied by χ⊥ a layer (PDLT ch. 5).",
    ignore: "A dynamic loss scaler is at work and skips such steps by itself.",
};

fn first(evidence: &ModelEvidence, page: &CheckPage, name: &str, what: &str) -> Result<Vec<Finding>, String> {
    // The first reading that shows it: afterwards all weights are lost, and with them the place.
    let has = |step: &carnot_probe::reading::StepReading, at: usize| {
        step.layers[at].value(name).is_some_and(|number| number.value > 0.0)
    };
    let n = evidence.now().layers.len();
    let Some(step) = evidence.steps().iter().find(|step| (0..n).any(|at| has(step, at))) else {
        return Ok(vec![]);
    };
    let layers = &step.layers;
    let Some(at) = (0..n).find(|&at| has(step, at)) else { return Ok(vec![]) };
    if layers[at + 1..].iter().any(|layer| layer.value(name).is_some_and(|n| n.value == 0.0))
        && layers[at].kind.contains("mask")
    {
        return Ok(vec![]);
    }
    let since = format!(", first seen at step {}", step.step);
    let weights = layers[at].weights.filter(|weights| weights.non_finite > 0);
    let is_fed = layers[at].kind == "input";
    let because = match weights {
        Some(weights) => {
            format!("{} of its {} weights are not finite", weights.non_finite, weights.parameters)
        }
        None if is_fed => "they were so when they were fed: what is behind them says nothing".into(),
        None => "its inputs and weights are finite, so the layer itself leaves the range of numbers".into(),
    };
    // Gradients that were not finite at an earlier step, behind finite outputs, are the cause: G213 names their place.
    let is_finite = |step: &carnot_probe::reading::StepReading| {
        step.layers.iter().all(|layer| layer.value("non_finite").is_none_or(|n| n.value == 0.0))
    };
    let came_back = evidence.steps().iter().any(|step| {
        is_finite(step)
            && step.layers.iter().any(|l| l.value("gradient_non_finite").is_some_and(|n| n.value > 0.0))
    });
    let mut finding = one(
        evidence,
        page,
        at,
        &format!(
            "{} % of its {what} are not finite{since}",
            short(100.0 * layers[at].value(name).map_or(0.0, |number| number.value))
        ),
        because,
    );
    if is_fed {
        finding.remedy.text =
            "look for missing values in the batch, and for a division by 0 where it was scaled".into();
    }
    if came_back {
        finding.level = Level::Costs;
    }
    Ok(vec![finding])
}

fn last(evidence: &ModelEvidence, page: &CheckPage, name: &str) -> Result<Vec<Finding>, String> {
    let n = evidence.now().layers.len();
    if (0..n).all(|at| evidence.layer(at).value(name).is_none()) {
        return Err("needs gradients".into());
    }
    // The first reading that shows it: one step later every weight before it is lost, and with it the place.
    let at_step = |step: &carnot_probe::reading::StepReading, at: usize, name: &str| {
        step.layers[at].value(name).map_or(0.0, |number| number.value)
    };
    let has_any =
        |step: &&&carnot_probe::reading::StepReading| (0..n).any(|at| at_step(step, at, name) > 0.0);
    let Some(step) = evidence.steps().iter().find(has_any) else { return Ok(vec![]) };
    let Some(at) = (0..n).rev().find(|&at| at_step(step, at, name) > 0.0) else { return Ok(vec![]) };
    // Behind features that are not finite every gradient is lost too: S111 names their place.
    if (0..n).any(|at| at_step(step, at, "non_finite") > 0.0) {
        return Ok(vec![]);
    }
    let share = short(100.0 * at_step(step, at, name));
    // The gradient behind the next call was finite, so it is that one through which it does not pass.
    let (through, because) = match at + 1 < n {
        true => (
            at + 1,
            "its outputs are finite, but its slope is not: a root, a logarithm or a division at 0, or an overflow",
        ),
        false => (at, "the outputs are finite, but the slope of the loss is not"),
    };
    let saw = format!("{share} % of the gradient that it hands back is not finite, at step {}", step.step);
    Ok(vec![one(evidence, page, through, &saw, because.into())])
}

fn one(evidence: &ModelEvidence, page: &CheckPage, at: usize, saw: &str, because: String) -> Finding {
    found(
        page,
        Said {
            level: Level::Blocks,
            at: evidence.layer(at).title(),
            position: None,
            saw: saw.into(),
            because,
            action: "go back to the last finite step, lower the rate or clip the gradient, and compute this layer in single precision".into(),
            safety: None,
        },
    )
}
