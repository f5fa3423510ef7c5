//! S122, S123, R313, T512, T513: faults that the loss shows: inputs, the start, the rate, and weights that do not belong together.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::{ModelEvidence, median};

/// Inputs.
pub const INPUTS: ModelCheck = ModelCheck { page: &OF_INPUTS, run: inputs };
/// The first loss.
pub const START: ModelCheck = ModelCheck { page: &OF_START, run: start };
/// Nothing moves.
pub const RATE: ModelCheck = ModelCheck { page: &OF_RATE, run: rate };
/// The loss rises.
pub const RISES: ModelCheck = ModelCheck { page: &OF_RISES, run: rises };
/// The head does not read what is there.
pub const MISFIT: ModelCheck = ModelCheck { page: &OF_MISFIT, run: misfit };

const OF_INPUTS: CheckPage = CheckPage {
    code: "S122",
    name: "inputs-not-scaled",
    sees: "The mean square of the inputs is above 400 or below 1/400, and the first layer with weights reads them without a norm before it.",
    matters: "Every initialisation assumes inputs of order 1. Larger ones multiply the signal, the gradient of the first weights and the curvature by \
              their mean square; smaller ones drown in the biases.",
    remedy: "Subtract the mean and divide by the standard deviation, or put a norm first.",
    theory: "K at the first layer is C_b + C_W ⟨x²⟩ (PDLT ch. 4). LeCun et al., Efficient BackProp, 1998.",
    ignore: "The first weights were made for inputs of this size.",
};

const OF_START: CheckPage = CheckPage {
    code: "S123",
    name: "starts-above-chance",
    sees: "The loss of the untrained network is more than 2.5 times, and more than 2 nats above, that of equal probabilities, ln K.",
    matters: "The first steps are spent on shrinking outputs that say nothing, with gradients that are all of one size, and a warm-up hides it.",
    remedy: "Start the head smaller: variance 1/fan-in or less, a factor for a head that is tied to embeddings. If the model was trained, say so \
             (trained=True).",
    theory: "Equal probabilities cost ln K; logits of variance s² add about s²/2 for small s.",
    ignore: "The loss is not a cross-entropy of the labels, or it is a sum of several.",
};

const OF_RATE: CheckPage = CheckPage {
    code: "R313",
    name: "nothing-moves",
    sees: "At the last readings no layer's weights change by more than 10⁻⁶ of their size in a step, and the loss has fallen by less than 2 % since the \
           first reading, which was not good already.",
    matters: "At this pace a weight needs a million steps to change by its own size.",
    remedy: "Raise the rate by factors of ten until |ΔW|/|W| is about 10⁻³; look for a schedule that starts at 0, gradients scaled or clipped to nothing.",
    theory: "|ΔW|/|W| of about 10⁻³ a step is usual.",
    ignore: "The training is at its end and the rate has been lowered to nothing.",
};

const OF_RISES: CheckPage = CheckPage {
    code: "T512",
    name: "loss-rises",
    sees: "The loss on the probe at the last reading is more than 1.3 times, and 0.3 above, that of the first reading, and no \
           reading in between was clearly below the first.",
    matters: "The training makes the model worse than it began: it diverges.",
    remedy: "Lower the rate by a factor of ten, warm it up, clip gradients; look whether labels of the probe and of the training are the same.",
    theory: "A rate above 2/λ_max makes the loss of a quadratic grow at every step; catapults come back, this one has not (Lewkowycz et al., arXiv:2003.02218).",
    ignore: "The probe is of other data than the training and the model has begun to memorise.",
};

const OF_MISFIT: CheckPage = CheckPage {
    code: "T513",
    name: "weights-do-not-fit",
    sees: "A linear reader of some hidden layer names most labels, but the model's own outputs are wrong more than twice as often as it, in a \
           network that was trained: its loss was far lower at an earlier reading, or is above that of equal probabilities; the first layer across which classes come no closer is named.",
    matters: "The layers were trained, but not for one another: two were exchanged, one was loaded from elsewhere, initialised again or damaged, or the \
              labels of the head are in another order.",
    remedy: "Compare the layer's weights with those of the checkpoint; look at the names and order in which weights were loaded.",
    theory: "In a trained network separation falls at every layer; a layer that was not trained for its input undoes it, and those behind it read what they \
             were not trained on (spring-block theory, section 4: random layers lose separation).",
    ignore: "The model was trained on other labels than those of the probe.",
};

fn inputs(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let layers = &evidence.now().layers;
    let Some(input) = layers.first().filter(|layer| layer.kind == "input") else {
        return Err("needs the inputs as numbers".into());
    };
    let kernel = input.value("kernel").ok_or("needs finite inputs")?.value;
    let is_normed = layers.get(1).is_some_and(|next| next.kind.contains("norm"));
    if is_normed || (1.0 / 400.0..=400.0).contains(&kernel) {
        return Ok(vec![]);
    }
    Ok(vec![found(
        &OF_INPUTS,
        Said {
            level: Level::Costs,
            at: input.title(),
            position: None,
            saw: format!("mean square {} of the inputs", short(kernel)),
            because: "they were not scaled, and nothing scales them before the first weights".into(),
            action: format!(
                "subtract the mean and divide by the standard deviation (about {})",
                short(kernel.sqrt())
            ),
            safety: Some(Safety::Unsafe),
        },
    )])
}

fn start(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let step = evidence.start().ok_or("needs a reading of the untrained network")?;
    let (Some(loss), Some(chance)) = (step.loss, evidence.chance()) else {
        return Err("needs labels and the loss".into());
    };
    let head = step.layers.last().filter(|layer| layer.value("accuracy").is_some());
    let head = head.ok_or("needs outputs with one unit a class")?;
    if loss < 2.5 * chance || loss < chance + 2.0 {
        return Ok(vec![]);
    }
    let size = head.value("kernel").map_or(0.0, |kernel| kernel.value);
    Ok(vec![found(
        &OF_START,
        Said {
            level: Level::Costs,
            at: head.title(),
            position: Some("outputs".into()),
            saw: format!("loss {} before training, {} for equal probabilities; mean square of the outputs {}", short(loss), short(chance), short(size)),
            because: "the outputs are sure of something before anything was learned: the head, or what it reads, starts too large".into(),
            action: format!("divide the head's first weights by {}", short(size.sqrt().max(1.0))),
            safety: Some(Safety::Unsafe),
        },
    )])
}

fn rate(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let logs = evidence.update_logs();
    if logs.is_empty() {
        return Err("needs the updates of weights at a step after the start".into());
    }
    let first = evidence.steps()[0].loss;
    let (Some(first), Some(last)) = (first, evidence.now().loss) else { return Err("needs the loss".into()) };
    let fastest = logs.iter().map(|step| step.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    let fastest = median(&fastest.collect::<Vec<_>>()).unwrap_or(0.0);
    if fastest > 1e-6f64.ln() || last < 0.98 * first || evidence.reads_well() {
        return Ok(vec![]);
    }
    Ok(vec![found(
        &OF_RATE,
        Said {
            level: Level::Blocks,
            at: evidence.layer(evidence.weighted[0]).title(),
            position: Some(format!("all {} layers with weights", evidence.weighted.len())),
            saw: format!(
                "the fastest weights move {} a step; loss {} → {}",
                short(fastest.exp()),
                short(first),
                short(last)
            ),
            because: "the rate is far too small, or gradients are scaled or clipped to nothing".into(),
            action: "raise the rate until weights move about 10⁻³ a step".into(),
            safety: Some(Safety::Safe),
        },
    )])
}

fn rises(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let steps = evidence.steps();
    let (Some(first), Some(last)) = (steps[0].loss, evidence.now().loss) else {
        return Err("needs the loss of two readings".into());
    };
    // A loss that was lower in between was lost by something that happened, not by the rate alone.
    let lowest = steps.iter().filter_map(|step| step.loss).fold(f64::INFINITY, f64::min);
    if steps.len() < 2 || last < 1.3 * first || last < first + 0.3 || lowest < 0.8 * first {
        return Ok(vec![]);
    }
    let logs = evidence.update_logs();
    let middle = logs.iter().filter_map(|step| median(step)).fold(f64::NEG_INFINITY, f64::max);
    Ok(vec![found(
        &OF_RISES,
        Said {
            level: Level::Blocks,
            at: evidence.layer(evidence.weighted.first().copied().unwrap_or(0)).title(),
            position: Some("the whole model".into()),
            saw: format!(
                "loss {} → {} between steps {} and {}",
                short(first),
                short(last),
                steps[0].step,
                evidence.now().step
            ),
            because: match middle > 0.03f64.ln() {
                true => format!(
                    "weights moved up to {} of their size a step (median layer): the rate is too large",
                    short(middle.exp())
                ),
                false => "the training goes the wrong way, or the probe is not of its data".into(),
            },
            action: "lower the rate by ten, warm it up, clip gradients".into(),
            safety: Some(Safety::Safe),
        },
    )])
}

fn misfit(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    if !evidence.is_trained() {
        return Err("needs a trained network".into());
    }
    let (Some(loss), Some(chance)) = (evidence.now().loss, evidence.chance()) else {
        return Err("needs labels and the loss".into());
    };
    let accuracy = evidence.now().layers.last().and_then(|layer| layer.value("accuracy"));
    let own = accuracy.ok_or("needs outputs with one unit a class")?.value;
    let readers: Vec<f64> = evidence.behind("reader_accuracy").into_iter().flatten().collect();
    let best = readers.iter().copied().fold(0.0, f64::max);
    let before = evidence.steps().iter().filter_map(|step| step.loss).fold(f64::INFINITY, f64::min);
    // A loss that was low before and is not now, or one that no training leaves: above equal probabilities.
    let was_good = before < 0.7 * chance && loss > 2.0 * before + 0.3;
    let is_lost = was_good || (!evidence.run.header.starts_untrained && loss > 1.15 * chance);
    let is_misread = best > 0.5 && 1.0 - own > 2.0 * (1.0 - best) && own < 0.7 * best;
    if !(is_lost && is_misread) {
        return Ok(vec![]);
    }
    let loads: Vec<f64> =
        evidence.loads().into_iter().map(|load| load.map_or(0.0, |load| load.value)).collect();
    let at = first_idle(&loads);
    let stage = at.map(|at| (&evidence.stages[at], evidence.position(at)));
    let (name, position) = match stage {
        Some((stage, position)) => (stage.name.clone(), position),
        None => (evidence.now().layers.last().map_or(String::new(), |layer| layer.title()), "outputs".into()),
    };
    Ok(vec![found(
        &OF_MISFIT,
        Said {
            level: Level::Blocks,
            at: name,
            position: Some(position),
            saw: format!(
                "a linear reader of the hidden layers names {} % of the labels, the model's outputs {} %; loss {}",
                short(100.0 * best),
                short(100.0 * own),
                short(loss)
            ),
            because: match at {
                Some(at) => format!("classes come no closer from here on (load {}): its weights are not those it was trained with", short(loads[at])),
                None => "every hidden layer separates classes; the head is not the one that was trained with them".into(),
            },
            action: "compare its weights with the checkpoint: exchanged, loaded from elsewhere, or initialised again".into(),
            safety: None,
        },
    )])
}

/// The first stage behind which separation no longer falls, where it fell before.
fn first_idle(loads: &[f64]) -> Option<usize> {
    let n = loads.len();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let total: f64 = loads.iter().map(|load| load.max(0.0)).sum();
    // The first layer may cost separation in a healthy network too: its norm or activation meets raw inputs.
    (1..n).find(|&at| {
        loads[at] < 0.02 * total && mean(&loads[at..]) < 0.3 * mean(&loads[1..at.max(2)]).max(0.02 * total)
    })
}
