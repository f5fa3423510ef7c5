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
                at: stage.name.clone(),
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
    Ok(findings)
}
