//! L306: the lens and the reader of the next token disagree on a block.

use carnot_report::finding::{Finding, Level};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "L306",
    name: "basis-drift",
    sees: "In a language model a block that is not the first changes the loss through the model's own head by more than a third of what the whole stack \
           gains, beyond four standard errors, while a linear reader finds less than a tenth of its whole gain there, or the opposite sign.",
    matters: "The block turns the stream into, or out of, the basis that the head reads. Loads in nats praise or blame it for the turn, not for what it knows; \
              a block that only turns is damaged, or frozen at a random start.",
    remedy: "Trust the reader's load there; look at the block's weights, rate and contribution. A tuned lens (a linear translator per block) removes the drift.",
    theory: "Two measures for next-token models, lens loss and ln(1 − R²), side by side, disagreement reported (spring-block theory, sections 8 and 11.5). \
             Belrose et al., arXiv:2303.08112 (tuned lens).",
    ignore: "The model was not trained with its head on this stream, as with an adapter.",
};

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    if !evidence.is_trained() {
        return Err("needs a trained network".into());
    }
    let layers = &evidence.now().layers;
    let known: Vec<_> = evidence
        .stages
        .iter()
        .filter_map(|stage| {
            let layer = &layers[stage.last];
            Some((stage, layer.value("load_lens")?, layer.value("load_token")?))
        })
        .collect();
    if known.len() < 3 {
        return Err("needs the lens and the reader of the next token behind three blocks".into());
    }
    let total = |of: &dyn Fn(usize) -> f64| (0..known.len()).map(of).sum::<f64>();
    let (lens, token) = (total(&|at| known[at].1.value), total(&|at| known[at].2.value));
    if lens <= 0.0 || token <= 0.0 {
        return Err("cannot tell: the stack gains nothing yet".into());
    }
    let mut findings = Vec::new();
    for (stage, own, reader) in known.iter().skip(1) {
        let is_clear = own.value.abs() > 4.0 * own.error.unwrap_or(0.0);
        let is_large = own.value.abs() > lens / 3.0;
        let disagrees = reader.value < 0.1 * token && (own.value > 0.0)
            || (own.value < 0.0 && reader.value > -0.1 * token);
        if !(is_clear && is_large && disagrees) {
            continue;
        }
        findings.push(found(
            &PAGE,
            Said {
                level: Level::Costs,
                at: stage.name.clone(),
                position: None,
                saw: format!(
                    "basis drift near this block: {} nats through the head (of {}), {} for a linear reader (of {})",
                    short(own.value),
                    short(lens),
                    short(reader.value),
                    short(token)
                ),
                because: "it turns the stream into, or out of, the basis of the head without adding to what can be read".into(),
                action: "look at its weights, its rate and what it adds to the stream; trust the reader's load here".into(),
                safety: None,
            },
        ));
    }
    Ok(findings)
}
