//! L302: one layer does the work of several.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "L302",
    name: "overloaded-layer",
    sees: "A hidden layer that is neither the first nor the last carries at least three times the mean load and three times that of each \
           neighbour, beyond four standard errors of the differences. Residual blocks differ that much in healthy networks: there it is only noted.",
    matters: "One layer does the separating and its neighbours follow it. It learns too fast for its siblings, or they are held back.",
    remedy: "Lower its rate, or look why the layers around it do not learn.",
    theory: "A single spike of the load is the picture of a layer that learns too fast (spring-block theory, section 8); stress = load/mean − 1.",
    ignore: "The layer is where classes are meant to be told apart, such as a pooling over positions.",
};

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let loads = evidence.judged_loads()?;
    let mean = loads.iter().map(|load| load.value).sum::<f64>() / loads.len() as f64;
    let mut findings = Vec::new();
    for at in 1..loads.len() - 1 {
        let own = loads[at];
        let error = |b: usize| own.error.unwrap_or(0.0).hypot(loads[b].error.unwrap_or(0.0));
        let above =
            |b: usize| own.value > 3.0 * loads[b].value && own.value - loads[b].value > 4.0 * error(b);
        if !(own.value > 3.0 * mean && above(at - 1) && above(at + 1)) {
            continue;
        }
        findings.push(found(
            &PAGE,
            Said {
                level: if evidence.has_blocks { Level::Note } else { Level::Costs },
                at: evidence.stages[at].name.clone(),
                position: Some(evidence.position(at)),
                saw: format!(
                    "load {} between {} and {}; stress {}",
                    short(own.value),
                    short(loads[at - 1].value),
                    short(loads[at + 1].value),
                    short(own.value / mean - 1.0)
                ),
                because: "it learns faster than its neighbours, or they are held back".into(),
                action: "lower its rate to that of its siblings".into(),
                safety: Some(Safety::Safe),
            },
        ));
    }
    Ok(findings)
}
