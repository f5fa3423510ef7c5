//! S115: activations at the ends of their range.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "S115",
    name: "saturated-units",
    sees: "More than half of the outputs of a bounded activation (tanh, sigmoid, …) lie within 1 % of an end of its range.",
    matters: "The slope there is nearly 0: little gradient passes to the layers before, and the layer works as a switch.",
    remedy: "Lower the variance of the weights before it, or their rate, or put a norm before the activation.",
    theory: "Glorot, Bengio, AISTATS 2010. For tanh an output of 0.99 has slope 0.02, and χ⊥ = C_W ⟨σ′²⟩ falls with it.",
    ignore: "The activation is a gate of a recurrent layer or an attention mask, where the ends are the point.",
};

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let layers = &evidence.now().layers;
    if layers.iter().all(|layer| layer.value("saturated").is_none()) {
        return Err("no bounded activations".into());
    }
    let mut findings = Vec::new();
    for (at, layer) in layers.iter().enumerate() {
        let before = evidence.weighted.iter().copied().rfind(|&before| before < at);
        let Some(share) = layer.value("saturated").filter(|share| share.value > 0.5) else { continue };
        let scale = layer
            .value("kernel")
            .map_or(String::new(), |k| format!(", mean square of its outputs {}", short(k.value)));
        findings.push(found(
            &PAGE,
            Said {
                level: if share.value > 0.9 { Level::Blocks } else { Level::Costs },
                at: before.map_or(layer.title(), |before| layers[before].title()),
                position: before.map(|_| format!("before {}", layer.title())),
                saw: format!(
                    "{} % of the outputs behind it are at an end of {}{scale}",
                    short(100.0 * share.value),
                    layer.kind
                ),
                because: "its inputs are far larger than the range in which it has a slope".into(),
                action: "lower the variance or the rate of the weights before it, or put a norm before it"
                    .into(),
                safety: Some(Safety::Unsafe),
            },
        ));
    }
    Ok(findings)
}
