//! L305: the layer at which a run departs from a healthy one.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::{ModelEvidence, median};

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "L305",
    name: "departs-from-reference",
    sees: "With the recording of a healthy run (--reference): across one layer the effective rank changes by a factor that is another than in the \
           healthy run, by more than 1.2 and by more than four times the median difference of the other layers.",
    matters: "Two runs of one architecture differ by seeds at every layer a little; a fault shows as a jump at one.",
    remedy: "Look at this layer first: its rate, its width, its noise, its initialisation.",
    theory: "Change of effective rank against a healthy reference was the sharpest of thirteen fault locators: 23 of 24 planted faults at the exact \
             layer (sheet on the spring-block theory, 11.4). Roy, Vetterli, EUSIPCO 2007 (effective rank).",
    ignore: "The two runs are meant to differ at this layer, or are not trained equally long.",
};

/// ln of the smallest factor that counts: healthy runs that differed by their seed parted by up to 1.14 at one layer.
const SMALLEST: f64 = 0.182;

/// Change of ln(effective rank) across each stage, less that of the reference.
#[must_use]
pub fn departures(evidence: &ModelEvidence, reference: &ModelEvidence) -> Option<Vec<f64>> {
    let of = |evidence: &ModelEvidence| -> Option<Vec<f64>> {
        // A layer of constant vectors has rank 0, below the smallest rank there is.
        let log = |at: Option<f64>| Some(at.map_or(0.1f64.ln(), |rank| rank.max(1e-3).ln()));
        evidence.behind("effective_rank").into_iter().map(log).collect()
    };
    let (own, other) = (of(evidence)?, of(reference)?);
    let apart: Vec<f64> = own.iter().zip(&other).map(|(a, b)| a - b).collect();
    let mut before = 0.0;
    Some(apart.iter().map(|&at| std::mem::replace(&mut before, at) - at).map(|change| -change).collect())
}

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let reference =
        evidence.reference.as_deref().ok_or("needs the recording of a healthy run: --reference")?;
    let changes = departures(evidence, reference).ok_or("needs the effective rank of every layer")?;
    let Some(at) = (0..changes.len()).max_by(|&a, &b| changes[a].abs().total_cmp(&changes[b].abs())) else {
        return Ok(vec![]);
    };
    let others: Vec<f64> = (0..changes.len())
        .filter(|&other| other.abs_diff(at) > 1)
        .map(|other| changes[other].abs())
        .collect();
    let usual = median(&others).unwrap_or(0.0);
    if changes[at].abs() < SMALLEST.max(4.0 * usual) {
        return Ok(vec![]);
    }
    let (own, other) = (evidence.behind("effective_rank")[at], reference.behind("effective_rank")[at]);
    let rank = |rank: Option<f64>| rank.map_or("none".into(), short);
    Ok(vec![found(
        &PAGE,
        Said {
            level: Level::Costs,
            at: evidence.stages[at].name.clone(),
            position: Some(evidence.position(at)),
            saw: format!(
                "effective rank {} behind it, {} in the healthy run; across it the two part by a factor of {}",
                rank(own),
                rank(other),
                short(changes[at].abs().exp())
            ),
            because: format!("the other layers part by {} (median)", short(usual.exp())),
            action: "look at this layer first: rate, width, noise, initialisation".into(),
            safety: Some(Safety::Safe),
        },
    )])
}
