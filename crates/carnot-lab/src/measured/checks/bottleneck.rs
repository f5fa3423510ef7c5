//! W211: a layer through which less fits than its neighbours carry.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::{ModelEvidence, median};

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "W211",
    name: "bottleneck",
    sees: "The effective rank behind a hidden layer is less than 0.4 of that of each neighbour (and of the median layer), and the layer \
           either has a quarter of its neighbours' units or less, or its load stands out: a spike followed by a fall.",
    matters: "What does not fit through k directions is lost for all layers behind. They work with what is left.",
    remedy: "Widen the layer to its neighbours' width; where the width is right, look for a low-rank weight (a factorised or pruned matrix).",
    theory: "Behind a linear map of rank k no features have more than k directions; the sheet's fault study found bottlenecks by effective \
             rank, with a load that spikes at the layer and turns at the next (spring-block theory, section 8).",
    ignore: "It is the code of an autoencoder or another bottleneck that is meant to be there.",
};

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    if evidence.has_blocks {
        return Err("the skip carries what a block does not".into());
    }
    let rank: Option<Vec<f64>> = evidence.behind("effective_rank").into_iter().collect();
    let rank = rank.ok_or("needs the effective rank of every hidden layer")?;
    let n = rank.len();
    if n < 3 {
        return Err("needs at least three hidden layers".into());
    }
    let usual = median(&rank).unwrap_or(0.0);
    let loads = evidence.judged_loads().ok();
    let mut findings = Vec::new();
    for at in 1..n - 1 {
        let stage = &evidence.stages[at];
        let narrowest = evidence.stages[at - 1].width.min(evidence.stages[at + 1].width);
        let is_narrow = stage.width * 4 <= narrowest;
        let dips = rank[at] < 0.4 * rank[at - 1] && rank[at] < 0.4 * rank[at + 1].max(usual);
        let turn = loads.as_ref().map(|loads| loads[at].value - loads[at + 1].value);
        let spikes = loads.as_ref().is_some_and(|loads| loads[at].value > 0.0 && loads[at + 1].value < 0.0);
        let is_used = rank[at] > 0.3 * stage.width as f64;
        if !((dips && (is_narrow || spikes)) || (is_narrow && is_used && rank[at] < 0.5 * rank[at - 1])) {
            continue;
        }
        let turn = match turn {
            Some(turn) if spikes => {
                format!("; the load falls by {} behind it and turns negative", short(turn))
            }
            _ => String::new(),
        };
        findings.push(found(
            &PAGE,
            Said {
                level: Level::Costs,
                at: stage.name.clone(),
                position: Some(evidence.position(at)),
                saw: format!(
                    "effective rank {} between {} and {}{turn}",
                    short(rank[at]),
                    short(rank[at - 1]),
                    short(rank[at + 1])
                ),
                because: match is_narrow {
                    true => format!("it has {} units, its neighbours {narrowest} or more", stage.width),
                    false => "its weight or what precedes it leaves few directions".into(),
                },
                action: format!("widen it to {narrowest} units"),
                safety: Some(Safety::Unsafe),
            },
        ));
    }
    Ok(findings)
}
