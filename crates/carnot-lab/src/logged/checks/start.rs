//! T527: the first loss is far above that of uniform answers.

use carnot_log::reference::Kind;
use carnot_report::finding::{Finding, Level, Safety};

use super::{LogCheck, Said, found, measured, short};
use crate::explain::CheckPage;
use crate::logged::evidence::LogEvidence;

/// The check.
pub const CHECK: LogCheck = LogCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "T527",
    name: "starts-too-high",
    sees: "The losses of the first two points of the log are both more than half a nat above ln V.",
    matters: "The first steps are spent on forgetting the initialisation, at the highest gradients of the whole run.",
    remedy: "Start the output layer at zero or small, its bias at the log of the frequencies.",
    theory: "For logits of variance s² the expected loss is ln V + s²/2 (Gaussian logits, independent of the labels).",
    ignore: "The log begins with a model that was trained on something else.",
};

/// Excess in nats from which on it costs: logits of standard deviation one.
const EXCESS: f64 = 0.5;

fn run(evidence: &LogEvidence) -> Result<Vec<Finding>, String> {
    let uniform =
        evidence.reference(Kind::Uniform).ok_or("needs --classes, --vocabulary, --labels or --data")?;
    let (Some(start), Some(first)) = (evidence.start, evidence.curve.steps.first()) else {
        return Err("needs a loss".into());
    };
    if *first > 2.0 {
        return Err(format!("the log begins at {}: the untrained loss is not in it", evidence.at(*first)));
    }
    // One wild batch is no start: the second loss must say the same.
    let second = evidence.curve.values.get(1).copied().unwrap_or(start.value);
    let excess = start.value.min(second) - uniform.value;
    if excess < EXCESS || excess < 3.0 * start.error {
        return Ok(vec![]);
    }
    let said = Said {
        level: Level::Costs,
        at: evidence.at(*first),
        saw: format!(
            "the first loss is {}, {} above {} = {}",
            measured(start),
            short(excess),
            uniform.from,
            short(uniform.value)
        ),
        because: format!(
            "logits start with a standard deviation of about {}: s²/2 is the excess",
            short((2.0 * excess).sqrt())
        ),
        action: "start the output layer at zero or small, its bias at the log of the frequencies".into(),
        safety: Safety::Safe,
    };
    Ok(vec![found(&PAGE, said)])
}
