//! S119 and W215: a residual block that adds far more to the stream than its siblings, or nothing.

use carnot_probe::reading::StepReading;
use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::{ModelEvidence, groups, median, pattern};

/// Far more.
pub const LOUD: ModelCheck = ModelCheck { page: &MORE, run: |evidence| run(evidence, loud) };
/// Nothing.
pub const SILENT: ModelCheck = ModelCheck { page: &NOTHING, run: |evidence| run(evidence, silent) };

const MORE: CheckPage = CheckPage {
    code: "S119",
    name: "block-out-of-scale",
    sees: "What one residual block adds to the stream, over the length of the stream, is more than 4 times that of both neighbours and of the median \
           block of its kind, and more than a third of the stream; in a trained network the first and the last block are left out.",
    matters: "One branch overwrites what the blocks before it wrote. Its siblings' contributions are lost in it, and gradients behind it are its own.",
    remedy: "Give its branch the scale of the others: look for a forgotten 1/√L, a larger initialisation, a missing norm at its beginning.",
    theory: "h ← h + a f(h): the stream keeps what is in it as long as |a f| stays a small share of |h| (Hanin, Rolnick, arXiv:1803.01719; Zhang et al., \
             arXiv:1901.09321).",
    ignore: "The block is meant to start a new stage, as where the width changes.",
};

const NOTHING: CheckPage = CheckPage {
    code: "W215",
    name: "block-adds-nothing",
    sees: "What one residual block adds to the stream is less than a fiftieth of what the median block of its kind adds, which is at least a hundredth \
           of the stream.",
    matters: "The block is the identity: its parameters and time buy nothing. In small models that costs no loss, which is why it goes unnoticed.",
    remedy: "Look at the last layer of its branch: weights at 0, a gain at 0, dead units, a drop-path of 1. If nothing is wrong, remove the block.",
    theory: "Block influence and contribution: Men et al., arXiv:2403.03853. The sheet's transformers with a dead block lost less than 0.012 nats \
             (spring-block theory, 11.5).",
    ignore: "Branches start at 0 on purpose and this one has not been reached yet.",
};

/// Blocks of one kind, in order, with what each adds over the length of the stream.
struct Group<'a> {
    places: Vec<usize>,
    shares: Vec<f64>,
    step: &'a StepReading,
}

type Judge = fn(&ModelEvidence, &Group) -> Option<Finding>;

fn run(evidence: &ModelEvidence, judge: Judge) -> Result<Vec<Finding>, String> {
    let step = evidence.now();
    let has = |at: &usize| step.layers[*at].value("contribution").is_some();
    let blocks: Vec<usize> = evidence.stages.iter().map(|stage| stage.last).filter(has).collect();
    let key = |at: usize| (pattern(&step.layers[at].name), step.layers[at].call);
    let mut all = groups(&blocks, 4, key);
    if all.is_empty() && evidence.has_blocks {
        // Additions at the top of a model have one name and differ by their call.
        all = groups(&blocks, 4, |at| pattern(&step.layers[at].name));
    }
    if all.is_empty() {
        return Err("needs four residual blocks of one kind with their inputs".into());
    }
    let steps: Vec<&StepReading> = [evidence.start(), Some(step)].into_iter().flatten().collect();
    for step in steps.into_iter().rev() {
        for places in &all {
            let share = |at: &usize| step.layers[*at].value("contribution").map(|share| share.value);
            let Some(shares) = places.iter().map(share).collect::<Option<Vec<f64>>>() else { continue };
            if let Some(finding) = judge(evidence, &Group { places: places.clone(), shares, step }) {
                return Ok(vec![finding]);
            }
        }
    }
    Ok(vec![])
}

fn loud(evidence: &ModelEvidence, group: &Group) -> Option<Finding> {
    let (shares, n) = (&group.shares, group.shares.len());
    let usual = median(shares)?;
    let ends = usize::from(evidence.is_trained());
    let is_loud = |&at: &usize| {
        let around = [at.checked_sub(1), Some(at + 1).filter(|&b| b < n)];
        let above = around.into_iter().flatten().all(|b| shares[at] > 4.0 * shares[b]);
        above && shares[at] > 4.0 * usual && shares[at] > 1.0 / 3.0
    };
    let at = (ends..n - ends).find(is_loud).filter(|&at| at > 0 || !evidence.is_trained())?;
    // The first block of a pre-norm stack meets the smallest stream.
    if at == 0 && shares[0] < 20.0 * usual {
        return None;
    }
    Some(say(
        group,
        &MORE,
        at,
        Said {
            level: Level::Costs,
            at: String::new(),
            position: None,
            saw: format!(
                "it adds {} of the stream's length, the median block {}",
                short(shares[at]),
                short(usual)
            ),
            because: "its branch has not the scale of the others".into(),
            action: format!("scale its branch as the others are (here by {})", short(usual / shares[at])),
            safety: Some(Safety::Unsafe),
        },
    ))
}

fn silent(_: &ModelEvidence, group: &Group) -> Option<Finding> {
    let usual = median(&group.shares)?;
    let at = (0..group.shares.len()).find(|&at| usual > 0.01 && group.shares[at] < usual / 50.0)?;
    Some(say(
        group,
        &NOTHING,
        at,
        Said {
            level: Level::Costs,
            at: String::new(),
            position: None,
            saw: format!(
                "it adds {} of the stream's length, the median block {}",
                short(group.shares[at]),
                short(usual)
            ),
            because: "its branch is dead: weights or a gain at 0, or units that are never open".into(),
            action: "initialise the last layer of its branch again, or remove the block".into(),
            safety: Some(Safety::Unsafe),
        },
    ))
}

fn say(group: &Group, page: &'static CheckPage, at: usize, said: Said) -> Finding {
    let layer = &group.step.layers[group.places[at]];
    let position = format!("block {} of {} alike, step {}", at + 1, group.places.len(), group.step.step);
    found(page, Said { at: layer.title(), position: Some(position), ..said })
}
