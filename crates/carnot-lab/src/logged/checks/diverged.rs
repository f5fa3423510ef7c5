//! T522: the loss blew up.

use super::{LogCheck, Said, found, measured, short};
use crate::explain::CheckPage;
use crate::logged::evidence::LogEvidence;
use crate::logged::fate::Fate;
use carnot_log::curve::divergence::Sign;
use carnot_report::finding::{Finding, Level, Safety};

/// The check.
pub const CHECK: LogCheck = LogCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "T522",
    name: "diverged",
    sees: "The loss is no number at the end, or ends, smoothed, a tenth or more above its start, or above ten times its lowest with a tenth of what was learned lost; the last two beyond three standard errors.",
    matters: "Nothing is learned from there on, and what was learned is gone.",
    remedy: "Go back to a checkpoint before it began, with half the rate or less; a warm-up while the loss is sharp, and clipping at the 90th percentile of the gradient norms.",
    theory: "A step is stable while the sharpness is below 2/η (gradient descent), 38/η of the preconditioned Hessian for Adam with β₁ = 0.9 (arXiv:2103.00065, 2207.14484). The rules are those of the trainability literature: L₀ + 10 %, ten times the running minimum.",
    ignore: "The loss is weighed by a schedule that grows, or data were exchanged.",
};

fn run(evidence: &LogEvidence) -> Result<Vec<Finding>, String> {
    let Fate::Diverged(divergence) = &evidence.fate else { return Ok(vec![]) };
    let plain = evidence.at(divergence.plain);
    let end = divergence.end.map_or(String::new(), measured);
    let what = match divergence.sign {
        Sign::NotFinite => format!("the loss is no number from {plain} on"),
        Sign::AboveStart => {
            format!("the loss ends at {end}, above its start by a tenth or more since {plain}")
        }
        Sign::TenfoldMinimum => format!("the loss ends at {end}, above ten times its lowest since {plain}"),
    };
    let saw = format!(
        "{what}; it began to rise at {}, from {}",
        evidence.at(divergence.began),
        short(divergence.before)
    );
    let before = evidence.before(divergence.plain);
    let first = evidence.raw.steps.first().copied().unwrap_or(0.0);
    let is_early = divergence.plain - first < 50.0 && evidence.log.unit == "step";
    let mut because = match is_early {
        true => {
            "within the first steps: the rate is above what the sharpness at the start allows".to_string()
        }
        false => "steps were longer than the bend of the loss allows".into(),
    };
    if !before.is_empty() {
        because += &format!("; before it {}", before.join(", "));
    }
    let action = match is_early {
        true => "a rate three times smaller, or a warm-up; clip the gradient",
        false => {
            "back to a checkpoint before it began, half the rate, clip at the 90th percentile of the gradient norms"
        }
    };
    let at = evidence.at(divergence.began);
    let said = Said { level: Level::Blocks, at, saw, because, action: action.into(), safety: Safety::Safe };
    Ok(vec![found(&PAGE, said)])
}
