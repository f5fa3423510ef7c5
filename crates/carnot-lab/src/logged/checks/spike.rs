//! T525: the loss jumped.

use carnot_report::finding::{Finding, Level, Safety};

use super::{LogCheck, Said, found, measured, short};
use crate::explain::CheckPage;
use crate::logged::evidence::LogEvidence;

/// The check.
pub const CHECK: LogCheck = LogCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "T525",
    name: "loss-spike",
    sees: "The loss rises at once by more than six standard deviations above its median of the 200 steps before, and by more than a twentieth of all that was learned; in a log of every step three points in a row. Or it is no number at single steps.",
    matters: "A spike costs the steps until the loss is back. One that never comes back has cost what was learned. Spikes become more frequent before a run diverges.",
    remedy: "β₂ = 0.95 in place of 0.999, clipping, a lower rate; skip the batch if it is always the same one; QK-norm and z-loss where logits grow.",
    theory: "Adam's running square lags behind a gradient that has become smaller and then grows: its update norm doubles before the loss does (arXiv:2506.04805; early warning: 1.5 times the median of 200 steps).",
    ignore: "The schedule restarts the rate there, or data of another kind begin.",
};

fn run(evidence: &LogEvidence) -> Result<Vec<Finding>, String> {
    if evidence.curve.len() < 20 {
        return Err("needs 20 losses".into());
    }
    let mut all: Vec<Finding> = evidence.spikes.iter().map(|spike| one(evidence, spike)).collect();
    let gaps = carnot_log::curve::divergence::gaps(&evidence.raw);
    let diverged = matches!(evidence.fate, crate::logged::fate::Fate::Diverged(_));
    if let (Some(first), false) = (gaps.first(), diverged) {
        let said = Said {
            level: Level::Costs,
            at: evidence.at(*first),
            saw: format!(
                "the loss is no number at {} of {} points, the first at {}, and comes back",
                gaps.len(),
                evidence.raw.len(),
                evidence.at(*first)
            ),
            because: "half precision overflows, or a batch holds no target".into(),
            action: "look at the loss scale and at what is in these batches".into(),
            safety: Safety::Safe,
        };
        all.push(found(&PAGE, said));
    }
    Ok(all)
}

fn one(evidence: &LogEvidence, spike: &carnot_log::curve::spike::Spike) -> Finding {
    let before = carnot_log::curve::level::Measured { value: spike.before, error: spike.noise };
    let rise = format!(
        "the loss rises from {} (spread of single points) to {} at {}",
        measured(before),
        short(spike.height),
        evidence.at(spike.top)
    );
    let saw = match spike.back {
        Some(back) => {
            format!("{rise} and is back at {}, {} later", evidence.at(back), evidence.many(back - spike.from))
        }
        None => format!("{rise} and does not come back"),
    };
    let what = evidence.before(spike.from);
    let is_schedule = what.iter().any(|said| said.contains("had risen"));
    let because = match what.is_empty() {
        true => "the log holds no norms and no rate: what came before cannot be told".to_string(),
        false => format!("before it {}", what.join(", ")),
    };
    let level = match (spike.back, is_schedule) {
        // A rate that rises shakes the loss; it should not lose all that was learned.
        (Some(_), true) if spike.height < evidence.curve.values[0] => Level::Note,
        _ => Level::Costs,
    };
    let action = match spike.back {
        Some(_) => "β₂ = 0.95, clipping, or a lower rate; nothing, if it is the only one",
        None => "go back to a checkpoint 100 steps before it and skip its batches, or halve the rate",
    };
    found(
        &PAGE,
        Said {
            level,
            at: evidence.at(spike.from),
            saw,
            because,
            action: action.into(),
            safety: Safety::Safe,
        },
    )
}
