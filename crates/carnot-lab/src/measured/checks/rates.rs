//! R311 and R312: a layer that moves far less, or far more, than its siblings.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::{ModelEvidence, from_neighbours, median};

/// Far less.
pub const STARVED: ModelCheck = ModelCheck { page: &LESS, run: starved };
/// Far more.
pub const OVERDRIVEN: ModelCheck = ModelCheck { page: &MORE, run: overdriven };

const LESS: CheckPage = CheckPage {
    code: "R311",
    name: "starved-layer",
    sees: "The change of a layer's weights in a step, over their size, is less than 1/15 of that of its neighbours and of the median layer, \
           at most of the recorded steps; or it is exactly 0.",
    matters: "The layer keeps its random start, or what it had learned elsewhere. The others work around it. That need not cost accuracy: \
              in small networks a frozen layer was often free.",
    remedy: "Look for requires_grad = False, a parameter missing from the optimizer, a group with a small rate, a gain or a gradient near 0. \
             If it is frozen on purpose, say so.",
    theory: "|ΔW|/|W| of about 10⁻³ a step is usual. The load of a frozen layer dips to about zero with its neighbours raised (spring-block \
             theory, section 8).",
    ignore: "The layer is frozen on purpose, as in fine-tuning.",
};

const MORE: CheckPage = CheckPage {
    code: "R312",
    name: "overdriven-layer",
    sees: "The change of a layer's weights in a step, over their size, is more than 8 times that of its neighbours and of the median layer \
           at most of the early recorded steps.",
    matters: "The layer jumps instead of descending: it undoes what others learn, its weights grow, and its features change between steps.",
    remedy: "Lower its rate to that of its siblings; look for a group with another rate, or a weight that is much smaller than the others.",
    theory: "The stable rate of a layer is bounded by the curvature it sees (about 2/λ_max, Cohen et al., arXiv:2103.00065); a hundredfold rate \
             was found by effective rank and a spike of the load (spring-block theory, sections 8 and 11.4).",
    ignore: "The layer is new and is meant to learn faster than the rest, as a head in fine-tuning.",
};

/// Factor below its siblings from which a layer is named: healthy layers differed by up to 8 at the end of training.
const BELOW: f64 = 15.0;
/// Factor above its siblings: a hundredfold rate of Adam shows as 10 to 16, since the weight grows with it.
const ABOVE: f64 = 8.0;

/// ln |ΔW|/|W| of each weighted call: median over the chosen steps.
fn typical(evidence: &ModelEvidence, is_early: bool) -> Result<Vec<f64>, String> {
    let logs = evidence.update_logs();
    if logs.is_empty() {
        return Err("needs the updates of weights at a step after the start".into());
    }
    if evidence.weighted.len() < 4 {
        return Err("needs at least four layers with weights".into());
    }
    // An overdriven weight grows, so that its ratio falls back to that of the others: the early half tells.
    let steps = if is_early { &logs[..logs.len().div_ceil(2)] } else { &logs[..] };
    Ok((0..evidence.weighted.len())
        .map(|at| median(&steps.iter().map(|step| step[at]).collect::<Vec<_>>()).unwrap_or(f64::NAN))
        .collect())
}

/// Distance of each from its neighbours and from the median of all, whichever is nearer to 0.
fn apart(logs: &[f64]) -> Vec<f64> {
    let usual = median(logs).unwrap_or(0.0);
    let near = |a: f64, b: f64| {
        if a * b <= 0.0 {
            0.0
        } else if a.abs() < b.abs() {
            a
        } else {
            b
        }
    };
    // The neighbour of a layer that stands apart would stand apart from it: the median of both neighbours and all decides.
    from_neighbours(logs).into_iter().zip(logs).map(|(around, log)| near(around, log - usual)).collect()
}

fn starved(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let logs = typical(evidence, false)?;
    let distance = apart(&logs);
    let is_starved = |at: usize| distance[at] < -BELOW.ln();
    let mut findings = Vec::new();
    for (at, &layer) in evidence.weighted.iter().enumerate().filter(|(at, _)| is_starved(*at)) {
        let is_frozen = logs[at] < -60.0;
        let gradient = evidence.layer(layer).value("gradient_to_weight").map(|ratio| ratio.value);
        let because = match gradient {
            Some(0.0) => "no gradient arrives at its weights".to_string(),
            Some(ratio) => format!(
                "a gradient arrives ({} of the weight), so the optimizer does not use it",
                short(ratio)
            ),
            None => "its rate or its gradient is far below that of its siblings".to_string(),
        };
        let saw = match is_frozen {
            true => format!("its weights do not move at all; the median layer moves {} a step", of(&logs)),
            false => {
                format!("its weights move {} a step, the median layer {}", short(logs[at].exp()), of(&logs))
            }
        };
        findings.push(found(
            &LESS,
            Said {
                level: Level::Costs,
                at: evidence.layer(layer).title(),
                position: Some(format!("layer {} of {} with weights", at + 1, evidence.weighted.len())),
                saw,
                because,
                action: "give it the rate of its siblings; if nothing changes, it can be removed".into(),
                safety: Some(Safety::Safe),
            },
        ));
    }
    Ok(findings)
}

fn overdriven(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let logs = typical(evidence, true)?;
    let distance = apart(&logs);
    let mut findings = Vec::new();
    for (at, &layer) in evidence.weighted.iter().enumerate().filter(|(at, _)| distance[*at] > ABOVE.ln()) {
        findings.push(found(
            &MORE,
            Said {
                level: Level::Costs,
                at: evidence.layer(layer).title(),
                position: Some(format!("layer {} of {} with weights", at + 1, evidence.weighted.len())),
                saw: format!(
                    "its weights moved {} a step early in training, the median layer {}",
                    short(logs[at].exp()),
                    of(&logs)
                ),
                because: "its rate is far above that of its siblings, or its weights are far smaller".into(),
                action: "lower its rate to that of its siblings".into(),
                safety: Some(Safety::Safe),
            },
        ));
    }
    Ok(findings)
}

fn of(logs: &[f64]) -> String {
    short(median(logs).unwrap_or(f64::NAN).exp())
}
