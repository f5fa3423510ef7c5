//! T521: the loss stays at what frequencies, pairs or uniform answers give.

use super::{LogCheck, Said, found, measured, short};
use crate::explain::CheckPage;
use crate::logged::evidence::LogEvidence;
use crate::logged::fate::{Fate, Stuck, words};
use carnot_log::reference::Kind;
use carnot_report::finding::{Finding, Level, Safety};

/// The check.
pub const CHECK: LogCheck = LogCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "T521",
    name: "stuck-at-plateau",
    sees: "The loss, smoothed over max(20, T/20) steps, ends no more than 0.1 nat or 3 % (whichever is smaller) below the entropy of the frequencies, or below ln V where that is not known, and does not fall fast enough to pass it in as many steps again. Or it has come to rest at the entropy of pairs.",
    matters: "A plateau has a name. At ln V not even the output bias learns; at the entropy of the frequencies the output bias learns and the body does not; at that of pairs each answer depends on the last symbol alone.",
    remedy: "At ln V: look for a rate of zero, frozen parameters, labels that do not belong to the inputs. At the frequencies: residual scaling, norms in front of the branches, less depth, or a smaller gain; carnot predict says before training which. At pairs: look whether attention and positions are connected. Overfit one batch first: what cannot do that has a fault, not a hyperparameter.",
    theory: "Cross-entropy of the best answer that ignores the input is the entropy of the marginal, of the best that knows the symbol before that of the conditional (Shannon 1951). Deep post-norm transformers stop at the first because tokens merge: S106, S117.",
    ignore: "The loss is not a cross-entropy in nats, or a longer training of the same kind is known to leave the plateau: its length grows with depth.",
};

fn run(evidence: &LogEvidence) -> Result<Vec<Finding>, String> {
    match &evidence.fate {
        Fate::Stuck(stuck) => Ok(vec![blocked(evidence, stuck)]),
        Fate::Learned => Ok(at_pairs(evidence).into_iter().collect()),
        Fate::Slow(_) => Err("the loss still falls: more steps would decide".into()),
        Fate::Unknown(why) => Err(why.clone()),
        Fate::Diverged(_) | Fate::Dead(_) => Ok(vec![]),
    }
}

fn blocked(evidence: &LogEvidence, stuck: &Stuck) -> Finding {
    let stands = format!("the loss stands at {}", measured(stuck.level));
    let since = stuck.plateau.map_or(String::new(), |plateau| {
        format!(" for {} (since {})", evidence.many(plateau.steps()), evidence.at(plateau.from))
    });
    let equals: Vec<String> = stuck
        .at
        .iter()
        .map(|reference| {
            format!("{} of {} ({})", short(reference.value), words(reference.kind), reference.from)
        })
        .collect();
    let mut saw = match equals.is_empty() {
        true => format!("{stands}{since}, above {} of {}", short(stuck.limit.value), words(stuck.limit.kind)),
        false => format!("{stands}{since}, which is the {}", equals.join(" and the ")),
    };
    let accuracy = evidence.accuracy();
    if let Some(accuracy) = accuracy {
        saw += &format!("; accuracy {}", measured(accuracy));
        if let Some(chance) = evidence.asked.classes.map(|classes| 1.0 / classes as f64)
            && (accuracy.value - chance).abs() < 0.02 + 3.0 * accuracy.error
        {
            saw += &format!(", chance is {}", short(chance));
        }
    }
    let kind = stuck.at.first().map(|reference| reference.kind);
    let (because, action) = match kind {
        Some(Kind::Unigram) => (
            "the output bias has learned how often each answer comes, and the rest of the network nothing: tokens or inputs merge on the way, or the gradient does not come back",
            "carnot check or carnot predict on the network names the layer; then residual scaling, norms in front, fewer layers, or smaller branch gains",
        ),
        Some(Kind::Uniform) => (
            "not even the output bias has learned: the gradient does not reach it, the rate is next to nothing, or labels do not belong to inputs",
            "look at the rate and at what is frozen, then overfit one batch; it must go to zero",
        ),
        Some(Kind::Bigram) => (
            "each answer depends on the last symbol alone: what mixes positions has learned nothing",
            "look at attention, positions and masks",
        ),
        Some(Kind::Start) => (
            "the run has not left the loss it began with",
            "give --data, --labels or --classes to name the plateau; look at the rate, and overfit one batch",
        ),
        None => (
            "the run learned less than the frequencies and stopped",
            "a higher rate or more steps first; then overfit one batch",
        ),
    };
    let at = stuck.plateau.map_or("the whole run".into(), |plateau| evidence.at(plateau.from));
    let said = Said {
        level: Level::Blocks,
        at,
        saw,
        because: because.into(),
        action: action.into(),
        safety: Safety::Safe,
    };
    found(&PAGE, said)
}

/// A run that rests at the entropy of pairs.
fn at_pairs(evidence: &LogEvidence) -> Option<Finding> {
    let (pairs, end) = (evidence.reference(Kind::Bigram)?, evidence.end?);
    let plateau = carnot_log::curve::plateau::at_end(
        &evidence.curve,
        pairs.value,
        pairs.delta().max(3.0 * end.mean.error),
    )?;
    let span = end.to - evidence.curve.steps[0];
    let is_flat = -end.slope.value * span < pairs.delta() || end.slope.value > -4.0 * end.slope.error;
    let said = Said {
        level: Level::Costs,
        at: evidence.at(plateau.from),
        saw: format!(
            "the loss stands at {} for {}, which is the {} of pairs ({})",
            measured(end.mean),
            evidence.many(plateau.steps()),
            short(pairs.value),
            pairs.from
        ),
        because: "each answer depends on the last symbol alone: what mixes positions has learned nothing yet"
            .into(),
        action: "look at attention, positions and masks; more steps, if nothing is wrong there".into(),
        safety: Safety::Safe,
    };
    (is_flat && plateau.steps() > 0.2 * span).then(|| found(&PAGE, said))
}
