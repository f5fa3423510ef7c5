//! G215: a layer through which no gradient goes back.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "G215",
    name: "gradient-stops-here",
    sees: "From some call on to the output gradients arrive, and at every call before it none does (or exactly 0 at all weights), although there are \
           layers with weights.",
    matters: "Everything before that place keeps its random start. The rest learns what can be learned from random features, so the loss still falls.",
    remedy: "Look for detach(), .data, no_grad, a conversion to NumPy, an argmax or a rounding between the two calls.",
    theory: "The chain rule: a factor that is 0 or missing ends the product.",
    ignore: "The layers before it are frozen on purpose, as in fine-tuning a head.",
};

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let layers = &evidence.now().layers;
    let arrives = |at: usize| layers[at].value("gradient").is_some_and(|gradient| gradient.value > 0.0);
    let Some(first) = (0..layers.len()).find(|&at| arrives(at)) else {
        return Err("needs gradients".into());
    };
    let is_known =
        |at: usize| layers[at].reason("gradient").is_some_and(|why| why.starts_with("needs gradients"));
    let before = evidence.weighted.iter().filter(|&&at| at < first).count();
    let behind = evidence.weighted.iter().filter(|&&at| at >= first).count();
    // Weights that are looked up take no gradient at their input, but give one at their output.
    let is_cut = before > 0 && behind > 0 && (0..first).all(|at| is_known(at) || !arrives(at));
    let zero = |at: &&usize| layers[**at].value("gradient_to_weight").is_none_or(|ratio| ratio.value == 0.0);
    if !is_cut || !evidence.weighted.iter().filter(|&&at| at < first).all(|at| zero(&at)) {
        return Ok(vec![]);
    }
    // A layer of dead units passes an exact 0: that is another fault, with its own name.
    if (0..first).any(|at| layers[at].value("gradient").is_some()) {
        return Ok(vec![]);
    }
    Ok(vec![found(
        &PAGE,
        Said {
            level: Level::Costs,
            at: layers[first].title(),
            position: Some(format!("{before} of {} layers with weights lie before it", before + behind)),
            saw: format!(
                "no gradient goes back through it: {} and all before it get none",
                layers[first - 1].title()
            ),
            because: "the graph is cut between the two calls".into(),
            action: "look for detach(), .data, no_grad or an operation without a slope between the two"
                .into(),
            safety: Some(Safety::Safe),
        },
    )])
}
