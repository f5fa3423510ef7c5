//! S101: different inputs become the same vector.

use super::{Check, Evidence, Outcome, at_position, finding, short};
use crate::explain::CheckPage;
use carnot_report::finding::Level;

/// The check.
pub const CHECK: Check = Check { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "S101",
    name: "inputs-merge",
    sees: "The mean correlation of two different inputs exceeds 0.99 from some layer on, and 1 − correlation at the \
           last hidden layer is below 10⁻². It blocks learning below 5·10⁻¹⁴ with an adaptive optimizer, below \
           5·10⁻⁴ with a plain one.",
    matters: "What a layer cannot tell apart, no later layer can. The head then sees one vector for all inputs and \
              learns the class prior at best.",
    remedy: "Raise C_W to its critical value (carnot predict prints it), or add skips or norms, or use fewer layers: \
             a few correlation depths.",
    theory: "Ordered phase: the squared distance of two nearby inputs is multiplied by χ⊥ = C_W ⟨σ′²⟩ < 1 at each \
             layer, so 1 − c falls as exp(−ℓ/ξ) with ξ = −1/ln χ⊥. Schoenholz et al., arXiv:1611.01232; Roberts, \
             Yaida, Hanin, PDLT ch. 5.",
    ignore: "The network is trained already, and inputs of one class are meant to merge.",
};

/// Above this correlation, inputs count as merging.
const MERGED: f64 = 0.01;
fn run(evidence: &Evidence) -> Outcome {
    let apart = evidence.apart();
    let Some(last) = apart.get(evidence.deep()).copied().flatten() else {
        return Outcome::NotApplicable("needs at least two inputs and a finite signal".into());
    };
    let Some(first) = apart[..=evidence.deep()].iter().position(|x| x.is_some_and(|x| x < MERGED)) else {
        return Outcome::Fine;
    };
    if last >= MERGED {
        return Outcome::Fine;
    }
    let level = if last < evidence.lost_apart() { Level::Blocks } else { Level::Costs };
    let chi = evidence.expected[evidence.inner()].chi_perpendicular.clone();
    let same = apart.iter().position(|x| x.is_some_and(|x| x < 5e-4)).filter(|&layer| layer > first);
    let further = same.map_or(String::new(), |layer| format!("; 1.000 from layer {} on", layer + 1));
    let saw =
        format!("mean correlation of different inputs {:.3}{further}", 1.0 - apart[first].unwrap_or(0.0));
    let because = match chi {
        Ok(chi) if chi < 0.999 => {
            format!(
                "ordered phase: χ⊥ = {} < 1, distances shrink × {} a layer",
                short(chi),
                short(chi.sqrt())
            )
        }
        Ok(chi) => {
            format!("χ⊥ = {}, but the correlation of distant inputs still rises with depth", short(chi))
        }
        Err(why) => format!("measured; theory does not say why ({why})"),
    };
    let outcome = finding(&PAGE, level, evidence.name(first), saw, because, evidence.remedy());
    at_position(outcome, evidence.position(first))
}
