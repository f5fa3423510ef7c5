//! T511: classes are no further apart than with shuffled labels.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "T511",
    name: "classes-not-separated",
    sees: "After training, the separation behind the last hidden layer is within four spreads of that of shuffled labels, while a linear reader of \
           the first recorded layer, or the untrained network, does better.",
    matters: "Nothing about the labels has been learned, or it has been lost on the way. The head can at best say the class prior.",
    remedy: "Look at the other findings first: inputs that merge, dead layers, gradients that vanish. If there are none, look whether labels and \
             inputs belong together: a shuffled loader, an offset by one.",
    theory: "For labels without meaning D tends to ln((N−K)/(K−1)) at every depth (spring-block theory, section 11.2).",
    ignore: "The labels given to the probe are not what the model is trained on.",
};

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    if !evidence.run.header.probe.has_labels {
        return Err("needs labels".into());
    }
    if !evidence.is_trained() {
        return Err("needs a step of training".into());
    }
    let Some(stage) = evidence.stages.last() else { return Err("needs a hidden layer".into()) };
    let last = evidence.layer(stage.last);
    let Some(separates) = evidence.separates(last) else {
        return Err("the last hidden layer has no separation".into());
    };
    if separates {
        return Ok(vec![]);
    }
    let (own, shuffled) = (last.value("separation"), last.value("separation_shuffled"));
    let could = evidence.now().layers.iter().find(|layer| evidence.separates(layer) == Some(true));
    let because = match could {
        Some(layer) => format!("they are apart behind {}: what was there is lost on the way", layer.title()),
        None => "they are not apart anywhere: labels and inputs may not belong together".into(),
    };
    Ok(vec![found(
        &PAGE,
        Said {
            level: Level::Blocks,
            at: stage.name.clone(),
            position: Some("last hidden layer".into()),
            saw: format!(
                "separation {} with the labels, {} with shuffled ones, at step {}",
                own.map_or("none".into(), |n| short(n.value)),
                shuffled.map_or("none".into(), |n| short(n.value)),
                evidence.now().step
            ),
            because,
            action:
                "look at the other findings; if there are none, check that labels and inputs belong together"
                    .into(),
            safety: Some(Safety::Safe),
        },
    )])
}
