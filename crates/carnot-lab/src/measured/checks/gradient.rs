//! G211 and G212: the gradient changes by powers of ten along depth.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// Towards the input it shrinks.
pub const VANISHES: ModelCheck =
    ModelCheck { page: &VANISHING, run: |evidence| run(evidence, &VANISHING, false) };
/// Towards the input it grows.
pub const EXPLODES: ModelCheck =
    ModelCheck { page: &EXPLODING, run: |evidence| run(evidence, &EXPLODING, true) };

const VANISHING: CheckPage = CheckPage {
    code: "G211",
    name: "gradient-vanishes-here",
    sees: "The norm of the gradient at the first hidden layer is less than 1/1000 of that at the last one. The layer with the largest \
           single loss is named, when it loses more than a factor of 30 by itself; otherwise the whole stack.",
    matters: "A plain optimizer moves the early layers a thousand times less than the late ones; an adaptive one follows their rounding \
              noise once the gradient falls below its ε.",
    remedy: "Critical initialisation, skips or norms against a steady loss; for a single layer look at what blocks it: dead or saturated \
             units, a gain near 0, a weight that has shrunk.",
    theory: "The squared gradient is multiplied by χ⊥ a layer (PDLT ch. 5; Schoenholz et al., arXiv:1611.01232).",
    ignore: "The model is trained to the end, and the loss has nothing left to ask of the early layers.",
};

const EXPLODING: CheckPage = CheckPage {
    code: "G212",
    name: "gradient-explodes-here",
    sees: "The norm of the gradient at the first hidden layer is more than 1000 times that at the last one. The layer with the largest \
           single growth is named, when it grows more than 30-fold by itself; otherwise the whole stack.",
    matters: "The early layers dominate every norm and every clip; a rate that suits the late layers makes the early ones diverge.",
    remedy: "Critical initialisation; a branch scale of 1/√L or norms in residual stacks; clipping hides the symptom alone.",
    theory: "Chaotic phase: χ⊥ > 1 a layer (Poole et al., arXiv:1606.05340). Batch norm without skips explodes by about 1.21 a layer \
             with ReLU (Yang et al., arXiv:1902.08129).",
    ignore: "The probe holds an input far from all training data.",
};

const FAR: f64 = 1e3;
const STEP: f64 = 30.0;

fn run(evidence: &ModelEvidence, page: &CheckPage, explodes: bool) -> Result<Vec<Finding>, String> {
    evidence.normalises()?;
    let gradient: Option<Vec<f64>> = evidence.behind("gradient").into_iter().collect();
    let gradient = gradient.ok_or("needs the gradient at every hidden layer")?;
    let n = gradient.len();
    if n < 2 || gradient[n - 1] == 0.0 {
        return Err("needs two hidden layers and a gradient that is not 0 at the last".into());
    }
    let ratio = gradient[0] / gradient[n - 1];
    if (explodes && ratio < FAR) || (!explodes && ratio > 1.0 / FAR) {
        return Ok(vec![]);
    }
    // From the output to the input: factor of one layer.
    let factor = |at: usize| {
        let (own, behind) = (gradient[at - 1].max(1e-300), gradient[at].max(1e-300));
        if explodes { own / behind } else { behind / own }
    };
    let worst = (1..n).max_by(|&a, &b| factor(a).total_cmp(&factor(b))).unwrap_or(1);
    let mean = if explodes { ratio } else { 1.0 / ratio.max(1e-300) }.powf(1.0 / (n - 1) as f64);
    let word = if explodes { "grows" } else { "shrinks" };
    let is_single = factor(worst) > STEP && factor(worst) > mean * mean;
    let (at, because) = match is_single {
        true => (worst, format!("it {word} × {} across this layer alone", short(factor(worst)))),
        false => (0, format!("it {word} × {} at each of {} layers, steadily", short(mean), n - 1)),
    };
    Ok(vec![found(
        page,
        Said {
            level: if !(1e-6..=1e6).contains(&ratio) { Level::Blocks } else { Level::Costs },
            at: evidence.stages[at].name.clone(),
            position: Some(evidence.position(at)),
            saw: format!("the gradient at the first hidden layer is {} of that at the last", short(ratio)),
            because,
            action: match is_single {
                true => "look at this layer: its weights, its norm's gain, dead or saturated units".into(),
                false => "start with the critical initialisation, or add skips or norms".into(),
            },
            safety: Some(Safety::Unsafe),
        },
    )])
}
