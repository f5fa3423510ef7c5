//! T501: a copy of the network was trained and did not learn.

use super::{Check, Evidence, Outcome, finding, short};
use crate::explain::CheckPage;
use carnot_report::finding::Level;

/// The check.
pub const CHECK: Check = Check { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "T501",
    name: "did-not-learn",
    sees: "A copy of the network, trained for the steps of --try at several rates, did not get its loss a tenth \
           below what the class frequencies alone give.",
    matters: "This is the experiment itself. If the copy with the remedy learned on the same batches, nothing else \
              can be blamed.",
    remedy: "The remedy of the other findings; without any, more steps or another rate.",
    theory: "No theory: a measurement. The plateau of an untrained classifier is the entropy of its class \
             frequencies, ln 10 = 2.303 for ten balanced classes.",
    ignore: "The steps were too few for this task: the copy with the remedy did not learn either.",
};

fn run(evidence: &Evidence) -> Outcome {
    let Some(tries) = evidence.tries else {
        return Outcome::NotApplicable("needs --try".into());
    };
    let (Some(own), Some(plateau)) = (tries.best_as_is(), tries.plateau) else {
        return Outcome::NotApplicable("no training has finished".into());
    };
    if tries.learned(own.loss) {
        return Outcome::Fine;
    }
    let end = own.loss.map_or("not a number".to_string(), short);
    let saw = format!(
        "after {} steps the loss is {end}; class frequencies alone give {}",
        tries.steps,
        short(plateau)
    );
    let better = tries.best_remedied();
    let (level, because) = match better {
        Some(better) if tries.learned(better.loss) => (
            Level::Blocks,
            format!(
                "the copy with the remedy reached {} on the same batches",
                better.loss.map_or("–".into(), short)
            ),
        ),
        _ => (Level::Costs, "no copy learned in these steps, so they may be too few".to_string()),
    };
    finding(&PAGE, level, "the whole network".into(), saw, because, evidence.remedy())
}
