//! S113: weights that start with a variance that is not for their activation.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short, span};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "S113",
    name: "init-for-another-activation",
    sees: "In the untrained network the variance of a layer's weights × fan-in lies outside 0.6 to 1.6 times the critical C_W of the \
           activation behind it, with no norm between them, and the signal shrinks or grows more than tenfold over the hidden layers.",
    matters: "Signals and gradients are multiplied by about C_W/critical a layer; the product over all layers decides how much of either \
              arrives. PyTorch's default, C_W = 1/3, is too small for every common activation.",
    remedy: "Initialise with the critical variance: 2/fan-in for ReLU, 1/fan-in for tanh and linear layers (carnot predict prints others; \
             carnot.init_(model) sets all of them).",
    theory: "Criticality: χ∥ = χ⊥ = 1. Roberts, Yaida, Hanin, PDLT ch. 5; He et al., arXiv:1502.01852. Critical values by \
             carnot_theory::criticality.",
    ignore: "A norm or a skip keeps the signal, or weights are scaled at run time.",
};

/// Critical C_W by kind of activation; GELU and SiLU as carnot_theory::criticality finds them (PDLT ch. 5).
const CRITICAL: &[(&str, f64)] = &[
    ("relu", 2.0),
    ("tanh", 1.0),
    ("gelu", 1.983),
    ("silu", 1.988),
    ("swish", 1.988),
    ("identity", 1.0),
    ("sin", 1.0),
    ("erf", std::f64::consts::FRAC_PI_4),
];
/// Outside this range of C_W/critical a layer is named.
const RANGE: [f64; 2] = [0.6, 1.6];
/// Growth or decay of the signal over the hidden layers from which it matters.
const DRIFT: f64 = 10.0;

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let start = evidence.start().ok_or("needs a reading of the untrained network")?;
    let mut wrong = Vec::new();
    let mut is_judged = false;
    for stage in &evidence.stages {
        let Some(scale) = start.layers[stage.first].value("weight_scale") else { continue };
        let between = &start.layers[stage.first + 1..=stage.last];
        if between.iter().any(|layer| layer.kind.contains("norm")) || evidence.has_blocks {
            continue;
        }
        let activation =
            between.iter().find_map(|layer| CRITICAL.iter().find(|(kind, _)| *kind == layer.kind));
        let Some((kind, critical)) = activation else { continue };
        is_judged = true;
        let ratio = scale.value / critical;
        if !(RANGE[0]..=RANGE[1]).contains(&ratio) {
            wrong.push((stage, *kind, scale.value, *critical));
        }
    }
    if !is_judged {
        return Err("needs layers with weights, fan-in and a known activation, without norms".into());
    }
    let signal = evidence.behind_at(start, "kernel");
    let drift = match (signal.first().copied().flatten(), signal.last().copied().flatten()) {
        (Some(first), Some(last)) if first > 0.0 => last / first,
        _ => return Err("needs the signal of the first and the last hidden layer".into()),
    };
    // One layer that differs from all others is named whatever the rest of the network makes of it.
    let is_alone = wrong.len() == 1 && evidence.stages.len() >= 4;
    let is_far = |scale: f64, critical: f64| !(0.3..=3.0).contains(&(scale / critical));
    let matters = !(1.0 / DRIFT..=DRIFT).contains(&drift);
    let Some(&(stage, kind, scale, critical)) = wrong.first() else { return Ok(vec![]) };
    if !(matters || (is_alone && is_far(scale, critical))) {
        return Ok(vec![]);
    }
    let names: Vec<String> = wrong.iter().map(|(stage, ..)| stage.name.clone()).collect();
    let loss = if !(1e-4..=1e4).contains(&drift) { Level::Blocks } else { Level::Costs };
    Ok(vec![found(
        &PAGE,
        Said {
            level: loss,
            at: stage.name.clone(),
            position: (wrong.len() > 1).then(|| span(&names)),
            saw: format!(
                "C_W = {} before {kind}, whose critical value is {}; the signal is multiplied by {} over the hidden layers",
                short(scale),
                short(critical),
                short(drift)
            ),
            because: format!(
                "each such layer multiplies signal and squared gradient by about {}",
                short(scale / critical)
            ),
            action: format!("initialise {} with weight variance {}/fan-in", span(&names), short(critical)),
            safety: Some(if evidence.is_trained() { Safety::Unsafe } else { Safety::Safe }),
        },
    )])
}
