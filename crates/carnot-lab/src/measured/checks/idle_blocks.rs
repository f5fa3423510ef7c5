//! W213: blocks that do less and less the deeper they are.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::{ModelEvidence, median};

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "W213",
    name: "deep-blocks-do-nothing",
    sees: "In a residual stack of eight blocks or more the influence of a block (1 − cosine between its input and output) in the last third \
           is less than a tenth of that in the first third and below 0.02, for the most changed vector below 0.2, while the stream grows.",
    matters: "Deep blocks of a pre-norm stack come ever closer to the identity: their parameters and time are spent on little. It is a price, \
              not an illness, and it says where pruning is cheap.",
    remedy: "Scale the output of each norm by 1/√l (and drop a scaled initialisation then), or remove the blocks: measure what they are \
             worth before.",
    theory: "Curse of depth: the variance of a pre-norm stream grows with depth, so equal branches turn it ever less. Sun et al., \
             arXiv:2502.05795; Men et al., arXiv:2403.03853; Gromov et al., arXiv:2403.17887.",
    ignore: "Removing the blocks costs more than it saves: block influence knows nothing of usefulness.",
};

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let influence: Option<Vec<f64>> = evidence.behind("block_influence").into_iter().collect();
    let Some(influence) = influence.filter(|influence| evidence.has_blocks && influence.len() >= 8) else {
        return Err("needs eight residual blocks with their inputs".into());
    };
    if !evidence.is_trained() {
        return Err("needs a trained network".into());
    }
    let n = influence.len();
    let third = n / 3;
    let (early, late) =
        (median(&influence[..third]).unwrap_or(0.0), median(&influence[n - third..]).unwrap_or(0.0));
    let largest =
        evidence.behind("block_influence_max")[n - third..].iter().flatten().fold(0.0f64, |a, &b| a.max(b));
    let signal = evidence.behind("kernel");
    let growth = match (signal[0], signal[n - 1]) {
        (Some(first), Some(last)) if first > 0.0 => last / first,
        _ => return Err("needs the size of the stream".into()),
    };
    if late > 0.1 * early || late > 0.02 || largest > 0.2 || growth < 2.0 {
        return Ok(vec![]);
    }
    Ok(vec![found(
        &PAGE,
        Said {
            level: Level::Note,
            at: evidence.stages[n - third].name.clone(),
            position: Some(format!("last {third} of {n} blocks")),
            saw: format!(
                "block influence {} in the first third, {} in the last; the stream's mean square grows × {}",
                short(early),
                short(late),
                short(growth)
            ),
            because: "the stream grows with depth, so an equal branch turns it ever less".into(),
            action: "scale each norm's output by 1/√l, or measure what removing these blocks costs".into(),
            safety: Some(Safety::Unsafe),
        },
    )])
}
