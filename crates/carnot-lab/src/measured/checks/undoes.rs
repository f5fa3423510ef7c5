//! L303: a layer that mixes classes again.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::{ModelEvidence, median};

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "L303",
    name: "layer-undoes-separation",
    sees: "In a trained network the load of a hidden layer is negative by more than four standard errors and by more than a third of the mean \
           size of all loads, and a linear reader loses there too (the unexplained share rises).",
    matters: "The layer throws away part of what the layers before it had told apart, and the layers behind it must repair that.",
    remedy: "Look at the layer: dead units, a broken norm, a bad start, a bottleneck at it or before it. Initialise it again.",
    theory: "Load d = D before − D behind, D = ln(Tr S_W/Tr S_B). A strongly negative load with a loss for a reader is the picture of dead units, \
             a broken norm or a bad initialisation (spring-block theory, section 8).",
    ignore: "The layer changes what a sample is (pooling, concatenation), so that the two separations are of different things.",
};

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let loads = match evidence.judged_loads() {
        Ok(loads) => loads,
        // Where the end no longer separates, the layer that destroys is what is looked for.
        Err(_) if evidence.is_trained() => {
            evidence.loads().into_iter().collect::<Option<Vec<_>>>().ok_or("some layer has no load")?
        }
        Err(why) => return Err(why),
    };
    let sizes: Vec<f64> = loads.iter().map(|load| load.value.abs()).collect();
    let usual = sizes.iter().sum::<f64>() / sizes.len().max(1) as f64;
    let unexplained = evidence.behind("unexplained");
    let mut findings = Vec::new();
    for (at, load) in loads.iter().enumerate().skip(1) {
        let lost = match (unexplained[at - 1], unexplained[at]) {
            (Some(before), Some(behind)) if before > 0.0 => (behind / before).ln(),
            _ => 0.0,
        };
        let is_clear = load.value < -4.0 * load.error.unwrap_or(0.0) && load.value < -usual / 3.0;
        if !(is_clear && lost > 0.1 && load.value < -0.1) {
            continue;
        }
        findings.push(found(
            &PAGE,
            Said {
                level: Level::Costs,
                at: evidence.stages[at].name.clone(),
                position: Some(evidence.position(at)),
                saw: format!(
                    "load {} ± {} (median layer {}); what a reader cannot explain grows × {}",
                    short(load.value),
                    short(load.error.unwrap_or(0.0)),
                    short(median(&loads.iter().map(|load| load.value).collect::<Vec<_>>()).unwrap_or(0.0)),
                    short(lost.exp())
                ),
                because: "classes that were apart before it are mixed behind it".into(),
                action: "look at its units, its norm and its width, and initialise it again".into(),
                safety: Some(Safety::Unsafe),
            },
        ));
    }
    Ok(findings)
}
