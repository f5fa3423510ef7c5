//! L301: a layer that adds nothing to the separation.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "L301",
    name: "idle-layer",
    sees: "The load of a hidden layer is zero within two standard errors, or below a tenth of the mean load, while both neighbours carry at \
           least four times more, each beyond four standard errors.",
    matters: "The layer is under-used. It is not sick for that: freezing one layer of seven changed accuracy by −0.6 to +0.1 points. It tells \
              where a rate is wrong, or where a layer can be removed.",
    remedy: "Raise its rate and see whether the load returns; if nothing changes, remove it.",
    theory: "A single dip with its neighbours slightly raised is the picture of a layer that does not learn (frozen, or a rate too small) or of \
             one that is redundant. Spring-block theory of load: Shi, Pan, Dokmanić, arXiv:2407.19353.",
    ignore: "The network is fast enough and accurate enough as it is.",
};

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let loads = evidence.judged_loads()?;
    let mean = loads.iter().map(|load| load.value).sum::<f64>() / loads.len() as f64;
    let mut findings = Vec::new();
    for at in 1..loads.len() - 1 {
        let (own, error) = (loads[at].value, loads[at].error.unwrap_or(0.0));
        let is_idle = own.abs() < (2.0 * error).max(0.1 * mean);
        let carries = |load: &carnot_probe::reading::Number| {
            load.value > 4.0 * own.max(0.05 * mean) && load.value > 4.0 * load.error.unwrap_or(0.0)
        };
        if !(is_idle && carries(&loads[at - 1]) && carries(&loads[at + 1])) {
            continue;
        }
        findings.push(found(
            &PAGE,
            Said {
                level: Level::Note,
                at: evidence.stages[at].name.clone(),
                position: Some(evidence.position(at)),
                saw: format!(
                    "load {} ± {} between {} and {}",
                    short(own),
                    short(error),
                    short(loads[at - 1].value),
                    short(loads[at + 1].value)
                ),
                because: "it does not learn, or what it could do is done by its neighbours".into(),
                action: "raise its rate; if its load stays at zero, remove it".into(),
                safety: Some(Safety::Safe),
            },
        ));
    }
    Ok(findings)
}
