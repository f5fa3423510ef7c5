//! S103: the initialisation does not fit the activation.

use super::{Check, Evidence, Outcome, finding, names, short};
use crate::explain::CheckPage;
use carnot_report::finding::Level;
use carnot_theory::recommend::{Choice, Init};

/// The check.
pub const CHECK: Check = Check { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "S103",
    name: "init-mismatch",
    sees: "C_W of a layer differs from the critical value of the activation that feeds it so much that, over all \
           layers, gradients change by more than a factor e.",
    matters: "The mismatch of one layer is harmless; its product over the depth is not.",
    remedy: "Initialise with the critical C_W and C_b.",
    theory: "The gradient norm is multiplied by χ⊥ per layer; at the critical point χ⊥ → 1. PDLT ch. 5. PyTorch's \
             default, kaiming_uniform(a=√5), is C_W = 1/3.",
    ignore: "A norm in front of every activation fixes the scale of the signal, whatever C_W is.",
};

fn run(evidence: &Evidence) -> Outcome {
    if evidence.plan.all().iter().any(|site| site.layer.kind() == "norm") {
        return Outcome::NotApplicable("norms fix the scale of the signal, whatever C_W is".into());
    }
    let mut total = 0.0;
    let mut wrong = Vec::new();
    let mut example = None;
    for (at, site) in evidence.plan.weighted_sites().iter().enumerate() {
        let Some(activation) = &evidence.feeding[at] else { continue };
        let Some(Ok(Init { choice: Choice::Critical(_), .. })) =
            evidence.initial.advice.get(&activation.name)
        else {
            continue;
        };
        let (own, best) = (evidence.initial.layers[at].c_w, evidence.remedied.layers[at].c_w);
        let off = (own / best).ln();
        if off.abs() > 0.05 {
            total += off;
            wrong.push(site.name.clone());
            example.get_or_insert((own, best, activation.name.clone()));
        }
    }
    let Some((own, best, activation)) = example else { return Outcome::Fine };
    if total.abs() < 1.0 {
        return Outcome::Fine;
    }
    let level = if total.abs() > -2.0 * evidence.lost_gradient().ln() { Level::Blocks } else { Level::Costs };
    let saw = format!("{} before {activation}", evidence.init_words);
    let size = if total < 0.0 { "too small" } else { "too large" };
    let because =
        format!("weights start {size} for {activation}: C_W = {}, critical is {}", short(own), short(best));
    finding(&PAGE, level, names(&wrong), saw, because, evidence.remedy())
}
