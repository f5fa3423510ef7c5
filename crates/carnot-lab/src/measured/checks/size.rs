//! S117, S118 and S124: weights, the gain of a norm, or a signal of another size than those of their siblings.

use carnot_probe::reading::{LayerReading, StepReading};
use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::{ModelEvidence, groups, lone, median, pattern};

/// Weights.
pub const WEIGHTS: ModelCheck = ModelCheck { page: &OF_WEIGHTS, run: weights };
/// Signals.
pub const SIGNALS: ModelCheck = ModelCheck { page: &OF_SIGNALS, run: signals };
/// Norms.
pub const NORMS: ModelCheck = ModelCheck { page: &OF_NORMS, run: norms };

const OF_WEIGHTS: CheckPage = CheckPage {
    code: "S117",
    name: "weights-of-another-size",
    sees: "Among layers of one kind, shape and place in their blocks (three or more), one has weights whose variance is more than 6 times that of \
           the others or less than a sixth, while the others agree within a factor of 3. In a trained network: 30 times, within a factor of 5.",
    matters: "One layer that starts at another scale drowns, or starves, what its siblings say. Behind a norm the signal looks right, but the layer \
              moves too little (large weights) or too much (small ones) for the same rate.",
    remedy: "Initialise it as its siblings are: look for a second initialisation, a wrong fan-in, a factor that was applied twice.",
    theory: "The update of a weight in front of a norm acts as rate/|W|²: scale is rate (van Laarhoven, arXiv:1706.05350). Without norms K is \
             multiplied by C_W/critical (PDLT ch. 5).",
    ignore: "The layer is scaled on purpose, as the last one of a branch may be; or it was loaded from another model.",
};

const OF_NORMS: CheckPage = CheckPage {
    code: "S118",
    name: "norm-out-of-range",
    sees: "The mean square of what one norm puts out is more than 30 times that of the other norms of the model or less than a thirtieth, while the \
           others agree within a factor of 10; or a layer norm puts out less than a thousandth in all. Vectors that are brought to length 1, as at the \
           end of an embedding model, are not counted.",
    matters: "A norm is there to make its output of order 1. A gain that is 0 or huge cuts what follows off or saturates it; running averages that \
              do not belong to the data do the same in eval mode alone.",
    remedy: "Set the gain to 1; for batch norm let the running averages see data (train mode, momentum above 0).",
    theory: "After a norm K = gain² + bias² by construction (layer norm: Ba, Kiros, Hinton, arXiv:1607.06450; batch norm in eval mode: times the ratio \
             of the variance to its running average).",
    ignore: "The norm is the last one of a large language model, whose gain is learned to be large.",
};

const OF_SIGNALS: CheckPage = CheckPage {
    code: "S124",
    name: "signal-jumps",
    sees: "In a chain of five hidden layers or more without norms the mean square of the signal changes across one layer by a factor that is more than 30 times \
           larger or smaller than across every other, while the others agree within a factor of 10.",
    matters: "Everything behind the jump works at a scale that it was not made for; a signal that is all bias no longer depends on the input.",
    remedy: "Look at the layer's weights and biases: a bias that is not near 0, a second initialisation, a factor in its forward.",
    theory: "K′ = C_b + C_W ⟨σ²⟩ at every layer: with equal layers K changes by one factor (PDLT ch. 4).",
    ignore: "The layer changes units on purpose.",
};

fn signals(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let has_norms = evidence.now().layers.iter().any(|layer| layer.kind.contains("norm"));
    if evidence.has_blocks || has_norms || evidence.stages.len() < 5 {
        return Err("needs a chain of five hidden layers without norms".into());
    }
    for step in [evidence.start(), Some(evidence.now())].into_iter().flatten() {
        let kernel =
            |at: usize| step.layers[at].value("kernel").map(|kernel| kernel.value).filter(|&k| k > 0.0);
        let factor =
            |pair: &[crate::measured::evidence::Stage]| Some(kernel(pair[1].first)? / kernel(pair[0].last)?);
        let Some(factors) = evidence.stages.windows(2).map(factor).collect::<Option<Vec<f64>>>() else {
            continue;
        };
        let Some((place, distance)) = lone(&factors, 10.0, 30.0) else { continue };
        let stage = &evidence.stages[place + 1];
        return Ok(vec![found(
            &OF_SIGNALS,
            Said {
                level: Level::Costs,
                at: stage.name.clone(),
                position: Some(evidence.position(place + 1)),
                saw: format!(
                    "the mean square of the signal is multiplied by {} across it, {} times what the other layers do",
                    short(factors[place]),
                    short(distance.exp())
                ),
                because: "its weights or its biases are of another size than those of its siblings".into(),
                action: "initialise it as its siblings are, biases at 0".into(),
                safety: Some(Safety::Unsafe),
            },
        )]);
    }
    Ok(vec![])
}

fn weights(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let start = evidence.start();
    let step = start.unwrap_or(evidence.now());
    let (apart, spread) = if start.is_some() { (6.0, 3.0) } else { (30.0, 5.0) };
    let key = |at: usize| {
        let layer = &step.layers[at];
        let weights = layer.weights.unwrap_or_default();
        (pattern(&layer.name), layer.kind.clone(), weights.parameters, weights.fan_in)
    };
    let has_scale =
        |at: &usize| step.layers[*at].value("weight_scale").is_some() && step.layers[*at].call == 0;
    let known: Vec<usize> = evidence.weighted.iter().copied().filter(has_scale).collect();
    let groups = groups(&known, 3, key);
    if groups.is_empty() {
        return Err("needs three layers of one kind and shape".into());
    }
    Ok(groups.iter().filter_map(|group| other_size(step, group, spread, apart)).collect())
}

fn other_size(step: &StepReading, group: &[usize], spread: f64, apart: f64) -> Option<Finding> {
    let scale = |at: usize| step.layers[at].value("weight_scale").map_or(0.0, |scale| scale.value);
    let scales: Vec<f64> = group.iter().map(|&at| scale(at)).collect();
    // Weights that all start at 0 say nothing of one another.
    if median(&scales)? <= 0.0 {
        return None;
    }
    let (place, distance) = lone(&scales, spread, apart)?;
    let layer = &step.layers[group[place]];
    let others: Vec<f64> = (0..scales.len()).filter(|&at| at != place).map(|at| scales[at]).collect();
    Some(found(
        &OF_WEIGHTS,
        Said {
            level: Level::Costs,
            at: layer.title(),
            position: Some(format!("one of {} layers alike", group.len())),
            saw: match scales[place] > 0.0 {
                true => format!(
                    "weight variance × fan-in {}, its siblings' {}: × {}",
                    short(scales[place]),
                    short(median(&others)?),
                    short(distance.exp())
                ),
                false => {
                    format!("all weights 0; its siblings' variance × fan-in {}", short(median(&others)?))
                }
            },
            because: "it was initialised differently, scaled, or loaded from elsewhere".into(),
            action: match scales[place] > 0.0 {
                true => format!(
                    "initialise it as its siblings are, or divide its weights by {}",
                    short((distance / 2.0).exp())
                ),
                false => "initialise it as its siblings are".into(),
            },
            safety: Some(Safety::Unsafe),
        },
    ))
}

/// Is it no norm to order 1, but to length 1, as at the end of an embedding model: no gain, and K = 1/width?
fn is_unit_vector(layer: &LayerReading, kernel: f64) -> bool {
    layer.weights.is_none() && (kernel * layer.width as f64 - 1.0).abs() < 0.01
}

fn norms(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    evidence.normalises()?;
    let now = evidence.now();
    let is_norm = |at: &usize| {
        let layer = &now.layers[*at];
        let kernel = layer.value("kernel");
        layer.kind.contains("norm") && kernel.is_some_and(|kernel| !is_unit_vector(layer, kernel.value))
    };
    let all: Vec<usize> = (0..now.layers.len()).filter(is_norm).collect();
    if all.is_empty() {
        return Err("no norms".into());
    }
    let kernel = |at: usize| now.layers[at].value("kernel").map_or(0.0, |kernel| kernel.value);
    let is_lost = now.loss.zip(evidence.chance()).is_some_and(|(loss, chance)| loss > 0.9 * chance);
    let say = |at: usize, usual: String| {
        let layer = &now.layers[at];
        let because = match layer.kind.contains("batch") {
            true => "its gain is broken, or its running averages are not those of this data",
            false => "its gain is broken",
        };
        found(
            &OF_NORMS,
            Said {
                level: if evidence.is_trained() && is_lost { Level::Blocks } else { Level::Costs },
                at: layer.title(),
                position: None,
                saw: format!("mean square {} behind it, {usual}", short(kernel(at))),
                because: because.into(),
                action: "set its gain to 1; for batch norm let its running averages see data".into(),
                safety: Some(Safety::Unsafe),
            },
        )
    };
    // In eval mode a broken batch norm hands its scale on to those behind it: the first that leaves the range of those before it.
    for end in 2..all.len() {
        let kernels: Vec<f64> = all[..=end].iter().map(|&at| kernel(at)).collect();
        if let Some((place, distance)) =
            lone(&kernels, 10.0, 30.0).filter(|(place, _)| *place == end && evidence.is_trained())
        {
            let usual = format!("behind the {end} norms before it × {}", short((-distance).exp()));
            return Ok(vec![say(all[place], usual)]);
        }
    }
    // Norms of the same place in their blocks first; where there are too few, all of one kind.
    for fewest in [
        groups(&all, 4, |at| pattern(&now.layers[at].name)),
        groups(&all, 4, |at| now.layers[at].kind.clone()),
    ] {
        for group in fewest {
            let kernels: Vec<f64> = group.iter().map(|&at| kernel(at)).collect();
            if let Some((place, distance)) = lone(&kernels, 10.0, 30.0) {
                let usual =
                    format!("behind the other {} norms × {}", group.len() - 1, short((-distance).exp()));
                return Ok(vec![say(group[place], usual)]);
            }
        }
    }
    let is_off = |at: &&usize| now.layers[**at].kind.contains("layer") && kernel(**at) < 1e-3;
    Ok(all.iter().find(is_off).map(|&at| say(at, "where a layer norm gives 1".into())).into_iter().collect())
}
