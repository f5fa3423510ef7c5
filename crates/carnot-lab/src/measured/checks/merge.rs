//! S112: different inputs become the same vector, measured.

use carnot_report::finding::{Finding, Level};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "S112",
    name: "inputs-merge-here",
    sees: "From some layer on the mean correlation of two different inputs of the probe exceeds 0.99, or all inputs give the same \
           vector; and, where there are labels, their classes are no further apart there than with shuffled labels. Or the correlation exceeds \
           0.9999 and the model's own outputs do not tell classes apart.",
    matters: "What a layer cannot tell apart, no later layer can. The head then sees one vector for all inputs and learns the class \
              prior at best.",
    remedy: "Raise the variance of the weights up to this layer to its critical value (carnot predict prints it), add skips or norms, \
             or remove what swamps the signal: a bias or a position code much larger than the features.",
    theory: "Ordered phase: the squared distance of two nearby inputs is multiplied by χ⊥ = C_W ⟨σ′²⟩ < 1 at each layer. Schoenholz \
             et al., arXiv:1611.01232; for transformers rank collapse, Dong, Cordonnier, Loukas, arXiv:2103.03404.",
    ignore: "The features have a large common part that is meant to be there, and a norm follows that removes it.",
};

/// Mean correlation above which inputs count as merged.
const MERGED: f64 = 0.99;
/// Above it they count as merged although their classes may be apart, as long as the model does not tell them apart.
const SAME: f64 = 0.9999;

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    evidence.normalises()?;
    let layers = &evidence.now().layers;
    let is_merged = |stage: &super::super::evidence::Stage| {
        let layer = &layers[stage.last];
        let still = layer.reason("effective_rank").is_some_and(|why| why.starts_with("constant"));
        let close = layer.value("correlation").is_some_and(|c| c.value > MERGED);
        // Single precision keeps 1 − c down to about 1e-7, so classes can look apart where nothing of it can be learned.
        let same = layer.value("correlation").is_some_and(|c| c.value > SAME) && !evidence.reads_well();
        ((still || close) && evidence.separates(layer) != Some(true)) || same
    };
    let merged: Vec<bool> = evidence.stages.iter().map(is_merged).collect();
    if merged.is_empty() {
        return Err("needs a hidden layer".into());
    }
    // Merged to the end: a layer that recovers has lost nothing.
    let Some(first) = (0..merged.len()).find(|&at| merged[at..].iter().all(|&is| is)) else {
        return Ok(vec![]);
    };
    let correlations = evidence.behind("correlation");
    let saw = match correlations[first] {
        Some(c) => format!("mean correlation of different inputs {c:.4} behind it"),
        None => "the same vector for every input".into(),
    };
    let before = first.checked_sub(1).and_then(|at| correlations[at]);
    let because = match before {
        Some(before) => {
            format!("it was {before:.3} one layer before; 1 − correlation falls from layer to layer")
        }
        None => "the first hidden layer already merges them: look at its input and its bias".into(),
    };
    let lost = correlations[first].map_or(0.0, |c| 1.0 - c);
    Ok(vec![found(
        &PAGE,
        Said {
            level: Level::Blocks,
            at: evidence.stages[first].name.clone(),
            position: Some(evidence.position(first)),
            saw,
            because,
            action: format!(
                "start again with the critical initialisation, which keeps inputs apart (1 − correlation is {} here)",
                short(lost)
            ),
            safety: Some(carnot_report::finding::Safety::Unsafe),
        },
    )])
}
