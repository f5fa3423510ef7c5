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
           activation behind it, with no norm between them, and the signal, or the gradient on its way back, shrinks or grows more than tenfold over the \
           hidden layers; or one layer alone is off by more than a factor of three. \
           Less than a hundredfold in all, or in a network that has learned, is only noted.",
    matters: "Signals and gradients are multiplied by about C_W/critical a layer; the product over all layers decides how much of either \
              arrives. PyTorch's default, C_W = 1/3, is too small for every common activation.",
    remedy: "Initialise with the critical variance: 2/fan-in for ReLU, 1/fan-in for tanh and linear layers (carnot predict prints others; \
             carnot.init_(model) sets all of them).",
    theory: "Criticality: χ∥ = χ⊥ = 1. Roberts, Yaida, Hanin, PDLT ch. 5; He et al., arXiv:1502.01852. Critical values by \
             carnot_theory::criticality.",
    ignore: "A norm or a skip keeps the signal, or weights are scaled at run time.",
};

/// Critical C_W by kind of activation; GELU and SiLU as carnot_theory::criticality finds them (PDLT ch. 5). A sigmoid has slope 1/4 at 0
/// and no critical point with a bias of mean 0: 16 is what keeps distances of small signals, and any network far below it merges them.
/// ELU is near its value for unit signals; a leaky ReLU of slope 0.01 needs 1.9998.
const CRITICAL: &[(&str, f64)] = &[
    ("relu", 2.0),
    ("tanh", 1.0),
    ("gelu", 1.983),
    ("silu", 1.988),
    ("swish", 1.988),
    ("identity", 1.0),
    ("sin", 1.0),
    ("erf", std::f64::consts::FRAC_PI_4),
    ("sigmoid", 16.0),
    ("elu", 1.26),
    ("softsign", 1.0),
    ("leakyrelu", 2.0),
    ("leaky_relu", 2.0),
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
    // A bounded activation holds the signal whatever the weights are: there the gradient tells.
    let gradient = evidence.behind_at(start, "gradient");
    let passed = match (gradient.first().copied().flatten(), gradient.last().copied().flatten()) {
        (Some(first), Some(last)) if first > 0.0 && last > 0.0 => first / last,
        _ => 1.0,
    };
    let drift = match (signal.first().copied().flatten(), signal.last().copied().flatten()) {
        (Some(first), Some(last)) if first > 0.0 => last / first,
        _ => return Err("needs the signal of the first and the last hidden layer".into()),
    };
    // One layer that differs from all others is named whatever the rest of the network makes of it.
    let is_alone = wrong.len() == 1 && evidence.stages.len() >= 4;
    let is_far = |scale: f64, critical: f64| !(0.3..=3.0).contains(&(scale / critical));
    let has_drifted = |factor: f64, by: f64| !(1.0 / by..=by).contains(&factor);
    let matters = has_drifted(drift, DRIFT) || has_drifted(passed, DRIFT);
    let Some(&(stage, kind, scale, critical)) = wrong.first() else { return Ok(vec![]) };
    if !(matters || (is_alone && is_far(scale, critical))) {
        return Ok(vec![]);
    }
    let names: Vec<String> = wrong.iter().map(|(stage, ..)| stage.name.clone()).collect();
    let has_by = |by: f64| has_drifted(drift, by) || has_drifted(passed, by);
    // Few layers of a default that is too small train all the same: then it is worth knowing, and no more.
    let has_learned = evidence.is_trained() && evidence.reads_well();
    let is_one = is_alone && is_far(scale, critical);
    let loss = match (has_by(1e4), has_learned) {
        (true, false) => Level::Blocks,
        (true, true) => Level::Costs,
        (false, true) if !is_one => Level::Note,
        (false, false) if !is_one && !has_by(1e2) => Level::Note,
        _ => Level::Costs,
    };
    Ok(vec![found(
        &PAGE,
        Said {
            level: loss,
            at: stage.name.clone(),
            position: (wrong.len() > 1).then(|| span(&names)),
            saw: format!(
                "C_W = {} before {kind}, whose critical value is {}; over the hidden layers the signal is multiplied by {}, the gradient on its way back by {}",
                short(scale),
                short(critical),
                short(drift),
                short(passed)
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
