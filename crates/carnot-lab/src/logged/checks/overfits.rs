//! T524: validation rises while training falls.

use carnot_report::finding::{Finding, Level, Safety};

use super::{LogCheck, Said, found, measured};
use crate::explain::CheckPage;
use crate::logged::evidence::LogEvidence;

/// The check.
pub const CHECK: LogCheck = LogCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "T524",
    name: "overfits",
    sees: "The validation loss ends above its minimum by 2 %, four standard errors and three standard deviations of the smoothed curve, while the training loss has fallen since.",
    matters: "From the minimum on, the network learns its training set and not the task. It is no fault of trainability.",
    remedy: "Keep the checkpoint of the minimum; stop there, regularise, or take more data.",
    theory: "No theory: two measured curves. The minimum of noisy numbers is low by chance, which the third condition allows for.",
    ignore: "Accuracy on the validation set still rises: then the loss grows through overconfident errors; or a later fall is known to follow, as in grokking.",
};

fn run(evidence: &LogEvidence) -> Result<Vec<Finding>, String> {
    let validation = evidence.signals.validation.as_ref().ok_or("needs a validation loss")?;
    if validation.values.len() < 6 {
        return Err(format!("needs six validation losses, there are {}", validation.values.len()));
    }
    let Some(overfit) = &evidence.overfit else { return Ok(vec![]) };
    let said = Said {
        level: Level::Costs,
        at: evidence.at(overfit.best_step),
        saw: format!(
            "{} was lowest at {}, {}, and ends at {}: {} lost",
            validation.name,
            evidence.at(overfit.best_step),
            measured(overfit.best),
            measured(overfit.end),
            measured(overfit.lost)
        ),
        because: format!(
            "the training loss moved by {} since: the network learns its training set",
            measured(overfit.train)
        ),
        action: format!(
            "keep the checkpoint of {}; weight decay, dropout or more data",
            evidence.at(overfit.best_step)
        ),
        safety: Safety::Safe,
    };
    Ok(vec![found(&PAGE, said)])
}
