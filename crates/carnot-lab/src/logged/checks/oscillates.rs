//! T526: the loss swings at constant level.

use carnot_log::curve::oscillation::oscillation;
use carnot_report::finding::{Finding, Level, Safety};

use super::{LogCheck, Said, found, measured, short};
use crate::explain::CheckPage;
use crate::logged::evidence::LogEvidence;

/// The check.
pub const CHECK: LogCheck = LogCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "T526",
    name: "oscillates",
    sees: "In the last third one period of two to eight logged points explains two fifths of the variance about the trend (chance below 10⁻⁴), the swing is above 2 % of the loss, and the level moves by less.",
    matters: "Steps jump from wall to wall of the valley: the run is at the edge of stability and gains nothing by its rate.",
    remedy: "Halve the rate: the loss then drops at once. Or let the rate decay.",
    theory: "Beyond 2/λ a step overshoots by more than it started with; the direction then alternates with period two. Fisher's test of the largest periodogram ordinate.",
    ignore: "The log is written so that every second point is of another data set.",
};

fn run(evidence: &LogEvidence) -> Result<Vec<Finding>, String> {
    if evidence.curve.len() < 96 {
        return Err("needs 96 losses".into());
    }
    let (Some(swing), Some(end)) = (oscillation(&evidence.curve), evidence.end) else { return Ok(vec![]) };
    if swing.amplitude < 0.02 * end.mean.value.abs() {
        return Ok(vec![]);
    }
    let said = Said {
        level: Level::Costs,
        at: evidence.at(end.from),
        saw: format!(
            "about {} the loss swings by ± {} with a period of {} points, {} of its variance",
            measured(end.mean),
            short(swing.amplitude),
            short(swing.period),
            carnot_report::number::percent(swing.share)
        ),
        because: "the rate is at the edge of what the bend of the loss allows".into(),
        action: "halve the rate; the loss drops at once if this is it".into(),
        safety: Safety::Safe,
    };
    Ok(vec![found(&PAGE, said)])
}
