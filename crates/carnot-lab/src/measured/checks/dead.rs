//! S114: units that say the same to every input.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "S114",
    name: "dead-units",
    sees: "More than half of the units behind a layer give the same output for every sample and position of the probe, and more than \
           twice as many as one layer before; or all of them.",
    matters: "Such a unit carries nothing forward. Behind a ReLU that is never open no gradient passes either, so it stays dead. A layer \
              whose units are all dead cuts the network in two.",
    remedy: "Initialise the layer again, biases at 0; lower the rate or warm it up; look for a norm whose gain has gone to 0; take a leaky \
             activation.",
    theory: "A ReLU whose preactivation is negative on all data has gradient 0 (Lu et al., arXiv:1903.06733). The layer's load is then \
             negative or unknown, and a linear reader loses accuracy across it.",
    ignore: "The layer is sparse on purpose and the probe is small, or units serve inputs that the probe does not hold.",
};

const MANY: f64 = 0.5;

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let dead = evidence.behind("dead");
    if dead.iter().all(Option::is_none) {
        return Err("needs finite outputs of at least two samples".into());
    }
    let mut findings = Vec::new();
    let mut before = 0.0;
    for (at, share) in dead.iter().enumerate() {
        let share = share.unwrap_or(0.0);
        let is_new = share > MANY && share > 2.0 * before;
        before = share;
        if !is_new {
            continue;
        }
        let stage = &evidence.stages[at];
        // A norm whose gain has gone to 0 kills what the layer before it said.
        let norm = (stage.first + 1..=stage.last).find(|&call| {
            let layer = evidence.layer(call);
            let is_dead =
                |call: usize| evidence.layer(call).value("dead").is_some_and(|dead| dead.value > MANY);
            layer.kind.contains("norm") && is_dead(call) && !is_dead(call - 1)
        });
        let load = evidence.loads()[at];
        let fall = match load {
            Some(load) if load.value < 0.0 => format!("; it undoes separation, load {}", short(load.value)),
            _ => String::new(),
        };
        let gradient = evidence.behind("gradient")[at].filter(|&gradient| gradient == 0.0);
        let because = match gradient {
            Some(_) => "no gradient passes it, so nothing before it learns",
            None => "units that do not depend on the input cannot be of use to what follows",
        };
        findings.push(found(
            &PAGE,
            Said {
                level: if share > 0.95 { Level::Blocks } else { Level::Costs },
                at: norm.map_or(stage.name.clone(), |norm| evidence.layer(norm).title()),
                position: Some(evidence.position(at)),
                saw: format!(
                    "{} % of its {} units say the same to every input{fall}",
                    short(100.0 * share),
                    stage.width
                ),
                because: because.into(),
                action: "initialise this layer again, with biases at 0, and lower its rate".into(),
                safety: Some(Safety::Unsafe),
            },
        ));
    }
    findings.extend(inside(evidence));
    Ok(findings)
}

/// Inside a branch: units behind an activation that are all dead; the layer before it is named.
fn inside(evidence: &ModelEvidence) -> Option<Finding> {
    let layers = &evidence.now().layers;
    let dead = |at: usize| layers[at].value("dead").map_or(0.0, |dead| dead.value);
    let is_activation = |at: usize| layers[at].weights.is_none() && !layers[at].kind.contains("drop");
    let at = (1..layers.len()).find(|&at| {
        layers[at].role == carnot_probe::call::Role::Inside
            && is_activation(at)
            && dead(at) > 0.95
            && dead(at - 1) < MANY
    })?;
    let before = evidence.weighted.iter().copied().rfind(|&before| before < at)?;
    Some(found(
        &PAGE,
        Said {
            level: Level::Costs,
            at: layers[before].title(),
            position: Some(format!("before {}, inside a branch", layers[at].title())),
            saw: format!(
                "{} % of the {} units behind it say the same to every input",
                short(100.0 * dead(at)),
                layers[at].width
            ),
            because: "the branch adds nothing that depends on the input, and no gradient passes it".into(),
            action: "initialise this layer again, with biases at 0, and lower its rate".into(),
            safety: Some(Safety::Unsafe),
        },
    ))
}
