//! S105: the activation has no critical point.

use super::{Check, Evidence, Outcome, finding};
use crate::explain::CheckPage;
use carnot_report::finding::Level;
use carnot_theory::recommend::Choice;

/// The check.
pub const CHECK: Check = Check { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "S105",
    name: "no-critical-point",
    sees: "An activation for which no C_W, C_b gives χ∥ = χ⊥ = 1, in a network deep enough for that to matter.",
    matters: "No initialisation keeps both the size of the signal and the distances of inputs; depth costs signal \
              or gradient, whatever the weights.",
    remedy: "Take a related activation that has one (tanh for sigmoid), or add skips or norms.",
    theory: "A critical point needs ⟨σ σ″⟩_K = 0 at some K with C_b ≥ 0, or σ(0) = 0 with a curvature that shrinks \
             K. PDLT ch. 5.3.",
    ignore: "Networks of a few layers.",
};

fn run(evidence: &Evidence) -> Outcome {
    let has = |kind: &str| evidence.plan.all().iter().any(|site| site.layer.kind() == kind);
    if has("norm") && has("residual") {
        return Outcome::NotApplicable("skips with norms are critical for any activation".into());
    }
    for (name, advice) in &evidence.initial.advice {
        let because = match advice {
            Ok(init) => match &init.choice {
                Choice::Critical(_) => continue,
                Choice::EdgeOfChaos { because, .. }
                | Choice::LeastOrdered { because, .. }
                | Choice::Nothing { because } => because.to_string(),
            },
            Err(error) => error.to_string(),
        };
        let acts = evidence.plan.all().into_iter().filter(|site| match &site.layer {
            carnot_net::layers::Layer::Activate(act) => act.activation.name == *name,
            _ => false,
        });
        let sites: Vec<String> = acts.map(|site| site.name.clone()).collect();
        if sites.len() < 4 {
            return Outcome::Fine;
        }
        let saw = format!("{name} has no critical initialisation");
        return finding(&PAGE, Level::Costs, super::names(&sites), saw, because, evidence.remedy());
    }
    Outcome::Fine
}
