//! T523: nothing moves.

use super::{LogCheck, Said, found, measured, short};
use crate::explain::CheckPage;
use crate::logged::evidence::LogEvidence;
use crate::logged::fate::Fate;
use carnot_report::finding::{Finding, Level, Safety};

/// The check.
pub const CHECK: LogCheck = LogCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "T523",
    name: "dead-run",
    sees: "The loss is the same to its last digit over the last smoothing window and ten points or more, or the gradient norm is exactly zero; and the loss is not near zero.",
    matters: "Real losses of different batches differ. A constant one depends on no input and no parameter that is trained.",
    remedy: "Look at the rate, at requires_grad and at the optimizer's list of parameters; at a loss taken of a constant; at units that are all dead.",
    theory: "No theory: exact equality of measured numbers does not happen by chance.",
    ignore: "The log repeats the last value where nothing was measured, or writes too few digits.",
};

fn run(evidence: &LogEvidence) -> Result<Vec<Finding>, String> {
    let Fate::Dead(dead) = &evidence.fate else { return Ok(vec![]) };
    let since = evidence.at(dead.since);
    let saw = match dead.is_gradient {
        true => format!("the gradient norm is exactly 0 from {since} on, at a loss of {}", short(dead.loss)),
        false => format!("the loss is {} to its last digit from {since} on", dead.loss),
    };
    let rate = evidence.signals.rate.as_ref().and_then(|rate| rate.values.last().copied());
    let because = match (rate, evidence.start) {
        (Some(0.0), _) => "the rate is 0".to_string(),
        _ if dead.is_gradient => {
            "no gradient reaches any parameter: dead units, a saturated loss, or a graph that is cut".into()
        }
        (_, Some(start)) if start.value == dead.loss => {
            "no parameter that the loss depends on is trained".into()
        }
        _ => "what was trained has stopped answering: all units of a layer dead, or a loss that is clamped"
            .into(),
    };
    let said = Said {
        level: Level::Blocks,
        at: since,
        saw: format!(
            "{saw}{}",
            match evidence.accuracy() {
                Some(accuracy) => format!("; accuracy {}", measured(accuracy)),
                None => String::new(),
            }
        ),
        because,
        action: "look at the rate, at what the optimizer was given, and at what is frozen; overfit one batch"
            .into(),
        safety: Safety::Safe,
    };
    Ok(vec![found(&PAGE, said)])
}
