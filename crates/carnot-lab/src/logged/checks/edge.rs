//! R322: the sharpness stands at the edge of stability.

use super::{LogCheck, Said, found, measured, short};
use crate::explain::CheckPage;
use crate::logged::evidence::LogEvidence;
use carnot_log::curve::Curve;
use carnot_log::curve::level::between;
use carnot_log::curve::robust::median;
use carnot_report::finding::{Finding, Level, Safety};

/// The check.
pub const CHECK: LogCheck = LogCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "R322",
    name: "edge-of-stability",
    sees: "The mean sharpness of the last third lies within a tenth of the threshold of the optimizer, or above it.",
    matters: "The rate, not the loss, decides how sharp the valley is. Training goes on, no longer monotonically; a higher rate or a sharper batch throws it out.",
    remedy: "Nothing, if the loss falls. Otherwise a lower rate, or a warm-up.",
    theory: "2/η for gradient descent, (2+2β)/η heavy ball, (2+2β)/(η(1+2β)) Nesterov (arXiv:2103.00065), of the preconditioned Hessian 2/η RMSProp and (2+2β₁)/((1−β₁)η) Adam (arXiv:2207.14484).",
    ignore: "Sharpness was measured on another batch size than that of the training: with small batches it stays below the threshold.",
};

fn run(evidence: &LogEvidence) -> Result<Vec<Finding>, String> {
    let series = evidence.signals.sharpness.as_ref().ok_or("needs a series of the sharpness")?;
    let descent = evidence.descent.ok_or("needs --optimizer")?;
    let rates = evidence.signals.rate.as_ref().ok_or("needs a series of the rate")?;
    let curve = Curve::of(series).finite();
    let (Some(first), Some(last)) = (curve.steps.first(), curve.steps.last()) else {
        return Err("the sharpness has no finite value".into());
    };
    let from = last - (last - first) / 3.0;
    let rate = median(&rates.between(from, *last).collect::<Vec<_>>());
    let seen = between(&curve, from, *last)
        .filter(|_| rate > 0.0)
        .ok_or("needs rate and sharpness at the same steps")?;
    let threshold = descent.threshold(rate);
    let ratio = super::Measured { value: seen.value / threshold, error: seen.error / threshold };
    if ratio.value + 2.0 * ratio.error < 0.9 {
        return Ok(vec![]);
    }
    let above = ratio.value - 2.0 * ratio.error > 1.1;
    let kind = if descent.is_preconditioned() { "preconditioned sharpness" } else { "sharpness" };
    let said = Said {
        level: if above { Level::Costs } else { Level::Note },
        at: evidence.at(from),
        saw: format!(
            "the {kind} of the last third is {}, {} of the threshold {}",
            measured(seen),
            measured(ratio),
            short(threshold)
        ),
        because: format!(
            "at a rate of {} steps are stable up to there, and training sharpens the loss until it meets it",
            short(rate)
        ),
        action: if above {
            "a lower rate: the step is longer than the bend allows"
        } else {
            "nothing, while the loss falls; else a lower rate"
        }
        .into(),
        safety: Safety::Safe,
    };
    Ok(vec![found(&PAGE, said)])
}
