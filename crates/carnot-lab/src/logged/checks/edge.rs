//! R322: the sharpness stands at the edge of stability.

use super::{LogCheck, Measured, Said, found, measured, short};
use crate::explain::CheckPage;
use crate::logged::evidence::LogEvidence;
use carnot_log::curve::Curve;
use carnot_log::curve::level::between;
use carnot_log::curve::robust::median;
use carnot_report::finding::{Finding, Level, Safety};
use carnot_sim::edge::Descent;

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
    Ok(judged(seen, descent, rate, (evidence.at(from), "of the last third")).into_iter().collect())
}

/// Where a sharpness stands against the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// Below nine tenths of it.
    Below,
    /// At it.
    At,
    /// A tenth above it.
    Above,
}

/// Where a share of the threshold stands, by two of its errors.
#[must_use]
pub fn stands(share: Measured) -> Stands {
    if share.value + 2.0 * share.error < 0.9 {
        Stands::Below
    } else if share.value - 2.0 * share.error > 1.1 {
        Stands::Above
    } else {
        Stands::At
    }
}

/// The finding of a sharpness that is not below its threshold.
///
/// * `place`: where in the training, and of what the sharpness is
#[must_use]
pub fn judged(seen: Measured, descent: Descent, rate: f64, place: (String, &str)) -> Option<Finding> {
    let threshold = descent.threshold(rate);
    let ratio = Measured { value: seen.value / threshold, error: seen.error / threshold };
    let above = match stands(ratio) {
        Stands::Below => return None,
        Stands::At => false,
        Stands::Above => true,
    };
    let kind = if descent.is_preconditioned() { "preconditioned sharpness" } else { "sharpness" };
    let said = Said {
        level: if above { Level::Costs } else { Level::Note },
        at: place.0,
        saw: format!(
            "the {kind} {} is {}, {} of the threshold {}",
            place.1,
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
    Some(found(&PAGE, said))
}
