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
           at most of the early recorded steps; or it has grown threefold since the start, three times as much as the median layer and twice as much as \
           any other.",
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

/// ln |ΔW|/|W| of a layer that does not move: what is exactly 0 is written as 1e-30.
const STILL: f64 = -60.0;

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
    let moving: Vec<f64> = logs.iter().copied().filter(|&log| log > STILL).collect();
    let (usual, n) = (median(&moving).map_or("nothing".into(), |log| short(log.exp())), logs.len());
    let mut findings = Vec::new();
    // Layers that stand still beside each other are one finding: one parameter group was left out.
    let is_still = |at: usize| logs[at] < STILL && !moving.is_empty();
    let mut at = 0;
    while at < n {
        let end = (at..n).find(|&next| !is_still(next)).unwrap_or(n);
        if end == at {
            if distance[at] < -BELOW.ln() {
                findings.push(little(evidence, &logs, at, &usual));
            }
            at += 1;
            continue;
        }
        findings.push(still(evidence, at, end, n, &usual));
        at = end;
    }
    Ok(findings)
}

/// Layers `from..to` that do not move at all.
fn still(evidence: &ModelEvidence, from: usize, to: usize, n: usize, usual: &str) -> Finding {
    let layer = evidence.layer(evidence.weighted[from]);
    let last = evidence.layer(evidence.weighted[to - 1]);
    let many = to - from > 1;
    let because = match layer.value("gradient_to_weight").map(|ratio| ratio.value) {
        Some(0.0) => {
            "no gradient arrives at its weights: the way back to them is cut, or a unit behind is dead"
                .to_string()
        }
        Some(ratio) => {
            format!(
                "a gradient arrives ({} of the weight), so the optimizer was not given it, or its rate is 0",
                short(ratio)
            )
        }
        None => "its weights take no gradient: requires_grad is off".to_string(),
    };
    found(
        &LESS,
        Said {
            level: Level::Costs,
            at: layer.title(),
            position: Some(match many {
                true => format!("to {}: layers {} to {to} of {n} with weights", last.title(), from + 1),
                false => format!("layer {to} of {n} with weights"),
            }),
            saw: match many {
                true => format!("the weights of {} layers do not move at all; the median of the others moves {usual} a step", to - from),
                false => format!("its weights do not move at all; the median of the others moves {usual} a step"),
            },
            because,
            action: "give the optimizer its parameters, with the rate of its siblings; if nothing changes, it can be removed".into(),
            safety: Some(Safety::Safe),
        },
    )
}

/// A layer that moves far less than its siblings.
fn little(evidence: &ModelEvidence, logs: &[f64], at: usize, usual: &str) -> Finding {
    let layer = evidence.layer(evidence.weighted[at]);
    let because = match layer.value("gradient_to_weight").map(|ratio| ratio.value) {
        Some(ratio) => format!(
            "a gradient arrives ({} of the weight), so its rate is small, or its weights are large",
            short(ratio)
        ),
        None => "its rate or its gradient is far below that of its siblings".to_string(),
    };
    found(
        &LESS,
        Said {
            level: Level::Costs,
            at: layer.title(),
            position: Some(format!("layer {} of {} with weights", at + 1, logs.len())),
            saw: format!("its weights move {} a step, the median layer {usual}", short(logs[at].exp())),
            because,
            action: "give it the rate of its siblings; if nothing changes, it can be removed".into(),
            safety: Some(Safety::Safe),
        },
    )
}

fn overdriven(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let logs = typical(evidence, true)?;
    // Beside layers that stand still every other one would be overdriven.
    let moving: Vec<usize> = (0..logs.len()).filter(|&at| logs[at] > STILL).collect();
    let distance = apart(&moving.iter().map(|&at| logs[at]).collect::<Vec<_>>());
    let mut findings = Vec::new();
    let fast =
        moving.iter().zip(&distance).filter(|(_, distance)| moving.len() >= 4 && **distance > ABOVE.ln());
    for (&at, _) in fast {
        let layer = evidence.weighted[at];
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
    if findings.is_empty() {
        findings.extend(grown(evidence));
    }
    Ok(findings)
}

/// Growth from which a weight was overdriven, itself and against the others.
const GROWTH: f64 = 3.0;

/// In front of a norm an overdriven weight grows until its ratio is that of the others: then its growth tells.
fn grown(evidence: &ModelEvidence) -> Option<Finding> {
    let start = evidence.start().filter(|start| start.step < evidence.now().step)?;
    let norm = |step: &carnot_probe::reading::StepReading, at: usize| {
        step.layers[at].weights.map(|w| w.norm).filter(|&n| n > 0.0)
    };
    let growth: Option<Vec<f64>> =
        evidence.weighted.iter().map(|&at| Some(norm(evidence.now(), at)? / norm(start, at)?)).collect();
    let growth = growth.filter(|growth| growth.len() >= 4)?;
    let usual = median(&growth)?;
    let at = (0..growth.len()).max_by(|&a, &b| growth[a].total_cmp(&growth[b]))?;
    let next = (0..growth.len()).filter(|&b| b != at).map(|b| growth[b]).fold(0.0, f64::max);
    if growth[at] < GROWTH * usual || growth[at] < GROWTH || growth[at] < 2.0 * next {
        return None;
    }
    let layer = evidence.layer(evidence.weighted[at]);
    Some(found(
        &MORE,
        Said {
            level: Level::Costs,
            at: layer.title(),
            position: Some(format!("layer {} of {} with weights", at + 1, growth.len())),
            saw: format!(
                "its weights grew × {} since the start, the median layer × {}",
                short(growth[at]),
                short(usual)
            ),
            because: "its rate is far above that of its siblings, or its weights started far too small"
                .into(),
            action: "lower its rate to that of its siblings".into(),
            safety: Some(Safety::Safe),
        },
    ))
}

fn of(logs: &[f64]) -> String {
    short(median(logs).unwrap_or(f64::NAN).exp())
}
