//! W212: a layer that is there twice.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "W212",
    name: "duplicated-layer",
    sees: "Two layers of different names hold the same weights bit by bit, now or at the first reading, or a layer passes its input on unchanged: likeness (CKA) to the \
           call before above 0.999 and, where labels are there, no load beyond its error.",
    matters: "A copy that was pasted or loaded twice learns the same thing once: half of its parameters are spent on nothing. One that passes \
              its input on costs time and adds nothing.",
    remedy: "Remove one of the two, or initialise it anew; where weights are shared on purpose, tie the parameter so that it is counted once.",
    theory: "Kornblith et al., arXiv:1905.00414 (CKA). Equal weights are compared by a hash of their bits.",
    ignore: "Weights are shared on purpose, or the model was grown by copying layers a moment ago.",
};

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let layers = &evidence.now().layers;
    let digest = |at: usize| layers[at].weights.and_then(|weights| weights.digest);
    // Two copies part with the first step of training: the first reading may still show them.
    let first = &evidence.steps()[0].layers;
    let digest_at_first = |at: usize| first[at].weights.and_then(|weights| weights.digest);
    // Stacks that are made by copying one layer (as PyTorch's encoders) start alike on purpose; one pair alone does not.
    let pairs = evidence.weighted.iter().enumerate();
    let pairs = pairs.map(|(place, &b)| {
        evidence.weighted[..place]
            .iter()
            .filter(|&&a| digest_at_first(a).is_some() && digest_at_first(a) == digest_at_first(b))
            .count()
    });
    let is_one_pair = pairs.sum::<usize>() == 1;
    let is_twin = |a: usize, b: usize| {
        let same = |of: &dyn Fn(usize) -> Option<u64>| of(a).is_some() && of(a) == of(b);
        let is_zero = layers[b].weights.is_some_and(|weights| weights.norm == 0.0)
            || first[b].weights.is_some_and(|weights| weights.norm == 0.0);
        !is_zero
            && (same(&digest) && digest(a) != digest_at_first(a)
                || is_one_pair && same(&digest_at_first)
                || evidence.steps().len() == 1 && is_one_pair && same(&digest))
    };
    let mut findings = Vec::new();
    for (place, &b) in evidence.weighted.iter().enumerate() {
        let twin = evidence.weighted[..place].iter().find(|&&a| {
            layers[a].name != layers[b].name && is_twin(a, b) && layers[a].width == layers[b].width
        });
        let Some(&a) = twin else { continue };
        findings.push(found(
            &PAGE,
            Said {
                level: Level::Costs,
                at: layers[b].title(),
                position: None,
                saw: match digest(a) == digest(b) {
                    true => format!("its weights are those of {}, bit by bit", layers[a].title()),
                    false => format!("it started with the weights of {}, bit by bit", layers[a].title()),
                },
                because: "a layer was copied or loaded twice; the same gradient would keep them alike only if they were tied".into(),
                action: format!("remove it or initialise it anew; to share weights with {}, tie the parameter", layers[a].title()),
                safety: Some(Safety::Unsafe),
            },
        ));
    }
    findings.extend(idle_copy(evidence));
    match findings.is_empty() && evidence.weighted.iter().all(|&at| digest(at).is_none()) {
        true => Err("needs a hash of the weights; no layer passes its input on unchanged".into()),
        false => Ok(findings),
    }
}

/// A stage whose samples are arranged as they were before it.
fn idle_copy(evidence: &ModelEvidence) -> Vec<Finding> {
    if evidence.has_blocks {
        return Vec::new();
    }
    let passes = |stage: &&super::super::evidence::Stage| {
        (stage.first..=stage.last)
            .all(|at| evidence.layer(at).value("cka").is_some_and(|cka| cka.value > 0.9995))
    };
    let say = |stage: &super::super::evidence::Stage| {
        let cka = evidence.layer(stage.last).value("cka").map_or(1.0, |cka| cka.value);
        found(
            &PAGE,
            Said {
                level: Level::Note,
                at: stage.name.clone(),
                position: None,
                saw: format!("likeness to its input {cka:.4}: it passes its input on unchanged"),
                because: "it is the identity up to rotation and scale".into(),
                action: "remove it, and see whether anything changes".into(),
                safety: Some(Safety::Unsafe),
            },
        )
    };
    if !evidence.is_trained() {
        return Vec::new();
    }
    let passing: Vec<_> = evidence.stages.iter().skip(1).filter(passes).collect();
    passing.into_iter().map(say).collect()
}
