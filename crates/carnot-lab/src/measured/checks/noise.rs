//! L304: noise, or dropout, at one layer.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "L304",
    name: "noise-at-one-layer",
    sees: "Loads are high up to a layer and nearly zero behind it: the largest fall of the load from one layer to the next is more than 0.6 of \
           the mean load before it and 2.5 times the next largest fall, and the mean load behind is below a quarter of that before. Or: the load \
           rises up to a layer and falls behind it by a third of it or more, at once, three times the next largest fall, to a mean below half of that before. Or: one hidden layer alone has dropout or noise, and the effective rank falls more behind it than anywhere else, by a fifth or more; or it \
           drops half of its outputs (before the head: two thirds) and more than twice as many as any other layer.",
    matters: "Strong noise or dropout at one layer makes the layers before it do the separating, against the noise, and leaves nothing to those \
              behind.",
    remedy: "Lower the noise or the dropout at this layer, or spread it over all layers.",
    theory: "Noise acts as friction that pushes load to the layers before it: a step of the load curve after the noisy layer (Shi, Pan, Dokmanić, \
             arXiv:2407.19353; found by the largest fall d_k − d_{k+1} in the fault study of the sheet, 11.4).",
    ignore: "The layers behind are there for something else than classes.",
};

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    if let Some(finding) = lone_noise(evidence).or_else(|| strong_dropout(evidence)) {
        return Ok(vec![finding]);
    }
    if evidence.has_blocks {
        return Err("loads of residual blocks fall off with depth in healthy networks too".into());
    }
    let loads = evidence.judged_loads()?;
    let n = loads.len();
    if n < 5 {
        return Err("needs at least five hidden layers".into());
    }
    let mut falls: Vec<(f64, usize)> =
        (0..n - 1).map(|at| (loads[at].value - loads[at + 1].value, at)).collect();
    falls.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (fall, at) = falls[0];
    // The first layers of a healthy curve may fall steeply too.
    if at == 0 {
        return Ok(vec![]);
    }
    let mean = |part: &[carnot_probe::reading::Number]| {
        part.iter().map(|load| load.value).sum::<f64>() / part.len() as f64
    };
    let (before, behind) = (mean(&loads[..=at]), mean(&loads[at + 1..]));
    let error = loads[at].error.unwrap_or(0.0).hypot(loads[at + 1].error.unwrap_or(0.0));
    let next = falls[1].0.max(0.0);
    let is_step = at + 2 < n && fall > 0.6 * before && fall > 2.5 * next && behind < 0.25 * before;
    // A peak from which the load falls at once: what follows the noise has less to do than what leads to it.
    let is_peak = loads[at].value > PEAK * loads[at - 1].value
        && fall > DROP * loads[at].value
        && fall > 3.0 * next
        && loads[at + 1].value > 0.0
        && behind < LEFT * before;
    if !((is_step || is_peak) && fall > 4.0 * error) {
        return Ok(vec![]);
    }
    Ok(vec![found(
        &PAGE,
        Said {
            level: Level::Costs,
            at: evidence.stages[at].name.clone(),
            position: Some(evidence.position(at)),
            saw: format!("the mean load is {} up to it and {} behind it", short(before), short(behind)),
            because: "strong noise or dropout here makes the layers before it do the work and leaves nothing to those behind".into(),
            action: "lower the noise or dropout at this layer, or spread it over all layers".into(),
            safety: Some(Safety::Safe),
        },
    )])
}

/// A layer is a peak of the load when it carries so many times what the one before it does, …
const PEAK: f64 = 1.1;
/// … and the next one carries less by this share of it.
const DROP: f64 = 0.35;
/// … and what follows all together carries less than this share a layer of what leads to it.
const LEFT: f64 = 0.5;

/// A dropout that drops more than twice as much as any other, as its module says.
fn strong_dropout(evidence: &ModelEvidence) -> Option<Finding> {
    let modules = &evidence.run.header.modules;
    let drop = |at: usize| {
        let module = modules.iter().find(|module| module.name == evidence.layer(at).name)?;
        module.drop.filter(|&drop| drop > 0.0)
    };
    let mut all: Vec<(f64, usize)> =
        (0..evidence.now().layers.len()).filter_map(|at| Some((drop(at)?, at))).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let &(strongest, at) = all.first()?;
    let next = all.get(1).map_or(0.0, |(drop, _)| *drop);
    let place = evidence.stages.iter().position(|stage| (stage.first..=stage.last).contains(&at));
    // Half of the units before the head is a common choice.
    let is_last = place.is_none_or(|place| place + 1 == evidence.stages.len());
    if strongest < 2.0 * next || strongest < if is_last { 0.65 } else { 0.5 } {
        return None;
    }
    let name = place.map_or(evidence.layer(at).title(), |place| evidence.stages[place].name.clone());
    Some(found(
        &PAGE,
        Said {
            level: Level::Costs,
            at: name,
            position: place.map(|place| evidence.position(place)),
            saw: format!(
                "{} % of what it says is dropped in training; elsewhere at most {} %",
                short(100.0 * strongest),
                short(100.0 * next)
            ),
            because: "the layers before it do the work, against the noise, and leave little to those behind"
                .into(),
            action: "lower the dropout at this layer, or spread it over all layers".into(),
            safety: Some(Safety::Safe),
        },
    ))
}

/// ln of the fall of the effective rank from which it counts: healthy networks without noise stayed below 0.20.
const FALL: f64 = 0.22;

/// The one stage with a dropout or noise call, where the effective rank falls most behind it.
fn lone_noise(evidence: &ModelEvidence) -> Option<Finding> {
    let is_noisy = |stage: &&crate::measured::evidence::Stage| {
        (stage.first..=stage.last).any(|at| {
            let kind = &evidence.layer(at).kind;
            kind.contains("drop") || kind.contains("noise")
        })
    };
    let mut noisy = evidence.stages.iter().filter(is_noisy);
    let (stage, None) = (noisy.next()?, noisy.next()) else { return None };
    let at = evidence.stages.iter().position(|other| other.first == stage.first)?;
    let rank: Vec<f64> = evidence.behind("effective_rank").into_iter().collect::<Option<_>>()?;
    let fall = |at: usize| (rank[at] / rank[at + 1]).ln();
    let is_largest =
        at + 1 < rank.len() && (0..rank.len() - 1).all(|other| other == at || fall(other) < fall(at));
    if !is_largest || !evidence.is_trained() || fall(at) < FALL || rank.len() < 4 {
        return None;
    }
    Some(found(
        &PAGE,
        Said {
            level: Level::Costs,
            at: stage.name.clone(),
            position: Some(evidence.position(at)),
            saw: format!(
                "dropout at this layer alone; the effective rank falls from {} to {} behind it",
                short(rank[at]),
                short(rank[at + 1])
            ),
            because:
                "the layer behind it keeps only what survives the noise; the layers before it do the work"
                    .into(),
            action: "lower the dropout at this layer, or spread it over all layers".into(),
            safety: Some(Safety::Safe),
        },
    ))
}
