//! S104: the signal leaves the range in which numbers or activations work.

use super::{Check, Evidence, Outcome, at_position, finding, short};
use crate::explain::CheckPage;
use carnot_report::finding::Level;

/// The check.
pub const CHECK: Check = Check { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "S104",
    name: "signal-range",
    sees: "The mean squared preactivation K grows or falls by more than 10⁴ between the first and the last hidden \
           layer, or leaves 10⁻²⁰ … 10²⁰.",
    matters: "Activations saturate or become linear, and single precision overflows near 10³⁸.",
    remedy: "Choose C_W and C_b so that K has a fixed point: the critical values.",
    theory: "K′ = C_b + C_W ⟨σ²⟩_K, PDLT ch. 4 and 5. For scale-invariant activations K is multiplied by C_W A₂.",
    ignore: "Residual networks whose signal grows linearly with depth and meets a norm in the end.",
};

fn run(evidence: &Evidence) -> Outcome {
    let kernel = evidence.column("kernel");
    let deep = evidence.deep();
    let lost = kernel.iter().position(|k| !k.is_some_and(|k| (1e-20..1e20).contains(&k)));
    if let Some(layer) = lost {
        let saw = match kernel[layer] {
            Some(k) => format!("K = {} at layer {}", short(k), layer + 1),
            None => format!("no finite signal at layer {}", layer + 1),
        };
        let because = "the kernel map has no fixed point here".to_string();
        let outcome = finding(&PAGE, Level::Blocks, evidence.name(layer), saw, because, evidence.remedy());
        return at_position(outcome, evidence.position(layer));
    }
    let (Some(first), Some(last)) = (kernel[0], kernel[deep]) else { return Outcome::Fine };
    let ratio = last / first;
    if (1e-4..1e4).contains(&ratio) {
        return Outcome::Fine;
    }
    let saw = format!("K = {} at layer 1, {} at layer {}", short(first), short(last), deep + 1);
    let per_layer = ratio.powf(1.0 / deep.max(1) as f64);
    let because = format!("the signal is multiplied by {} a layer", short(per_layer));
    let outcome = finding(&PAGE, Level::Costs, evidence.name(deep), saw, because, evidence.remedy());
    at_position(outcome, evidence.position(deep))
}
