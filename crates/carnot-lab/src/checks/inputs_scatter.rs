//! S102: nearby inputs are torn apart.

use super::{Check, Evidence, Outcome, at_position, finding, short};
use crate::explain::CheckPage;
use carnot_report::finding::Level;

/// The check.
pub const CHECK: Check = Check { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "S102",
    name: "inputs-scatter",
    sees: "χ⊥ > 1, and over the depth of the network a small distance between two inputs grows more than a \
           thousandfold relative to the signal.",
    matters: "Two almost equal inputs, such as an image and the same image with noise, arrive as unrelated vectors. \
              The network can memorise but not generalise, and gradients explode by the same factor.",
    remedy: "Lower C_W to its critical value.",
    theory: "Chaotic phase: χ⊥ = C_W ⟨σ′²⟩ > 1. Poole et al., arXiv:1606.05340; Schoenholz et al., arXiv:1611.01232.",
    ignore: "Never at initialisation.",
};

fn run(evidence: &Evidence) -> Outcome {
    let deep = evidence.deep();
    let mut growth = 0.0;
    for layer in &evidence.expected[..deep] {
        match &layer.chi_perpendicular {
            Ok(chi) => growth += chi.ln(),
            Err(why) => return Outcome::NotApplicable(format!("χ⊥ is not known: {why}")),
        }
    }
    let kernel = evidence.column("kernel");
    let signal = kernel.first().copied().flatten().zip(kernel.get(deep).copied().flatten());
    let Some((first, last)) = signal else {
        return Outcome::NotApplicable("the signal is not finite".into());
    };
    // Relative to the signal: a network whose signal grows as fast as its distances only rescales.
    let relative = growth - (last / first).ln();
    if relative < 1e3f64.ln() {
        return Outcome::Fine;
    }
    let chi = evidence.expected[deep].chi_perpendicular.clone().unwrap_or(f64::NAN);
    let level = if relative > 1e8f64.ln() { Level::Blocks } else { Level::Costs };
    let saw =
        format!("a small squared distance grows × {} from layer 1 to {}", short(relative.exp()), deep + 1);
    let because = format!("chaotic phase: χ⊥ = {} > 1", short(chi));
    at_position(
        finding(&PAGE, level, evidence.name(deep), saw, because, evidence.remedy()),
        evidence.position(deep),
    )
}
