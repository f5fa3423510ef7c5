//! S121: attention that looks at one key, or whose logits leave their range.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "S121",
    name: "attention-saturated",
    sees: "The entropy of the attention weights, mean over queries and heads, is below 0.1 of that of equal weights while the largest logit exceeds 20; or \
           a logit exceeds 100 in a network that is not trained.",
    matters: "A softmax at its end passes no gradient to queries and keys: the layer looks at what it looks at by chance. Logits that grow without bound \
              precede divergence in large transformers.",
    remedy: "Divide by √(units of a head), start queries and keys smaller, or put a norm on both (query-key norm).",
    theory: "Logits of variance s² over n keys leave the entropy near ln n only for s² ≪ 2 ln n. Zhai et al., arXiv:2303.06296; Dehghani et al., \
             arXiv:2302.05442.",
    ignore: "The heads copy: looking at one token is what they are for, and the model is trained.",
};

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let layers = &evidence.now().layers;
    let known: Vec<_> = layers
        .iter()
        .filter_map(|layer| Some((layer, layer.value("attention_entropy")?, layer.value("attention_logit")?)))
        .collect();
    if known.is_empty() {
        return Err("no queries and keys were seen".into());
    }
    let start = evidence.start().map(|step| &step.layers);
    let mut findings = Vec::new();
    for (layer, entropy, logit) in known {
        // At the start nothing can have been learned that looks at one key.
        let first = start.and_then(|layers| layers.iter().find(|first| first.title() == layer.title()));
        let at_start = first.and_then(|first| {
            Some((first.value("attention_entropy")?.value, first.value("attention_logit")?.value))
        });
        let is_stuck = |entropy: f64, logit: f64| (entropy < 0.1 && logit > 20.0) || logit > 100.0;
        let began = at_start.is_some_and(|(entropy, logit)| is_stuck(entropy, logit));
        let is_now = entropy.value < 0.1 && logit.value > 20.0;
        if !(began || is_now) {
            continue;
        }
        let (entropy, logit) = if began {
            at_start.unwrap_or((entropy.value, logit.value))
        } else {
            (entropy.value, logit.value)
        };
        findings.push(found(
            &PAGE,
            Said {
                level: if began { Level::Costs } else { Level::Note },
                at: layer.title(),
                position: None,
                saw: format!(
                    "attention entropy {} of its largest, largest logit {}{}",
                    short(entropy),
                    short(logit),
                    if began { ", before training" } else { "" }
                ),
                because: "queries and keys are too large for their softmax, or the division by √(units of a head) is missing".into(),
                action: "start queries and keys smaller, divide by √(units of a head), or put a norm on both".into(),
                safety: Some(Safety::Unsafe),
            },
        ));
    }
    Ok(findings)
}
