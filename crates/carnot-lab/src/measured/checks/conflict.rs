//! T514: labels that contradict what the inputs say.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::{ModelEvidence, median};

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "T514",
    name: "labels-in-conflict",
    sees: "Either a linear reader that has not seen a sample's label is sure of another one for 5 % of the samples or more (median over the layers), and \
           that is a seventh or more of all it gets wrong; or the model names at least 12 % more of the probe's labels than a reader of any of its \
           layers does on unseen samples, beyond four standard errors: it has memorised them; or 15 % or more of a trained model's answers are \
           wrong and are spread over the other classes as evenly as redrawn labels are, to 2.2 standard errors of $\\chi^2/\\nu$. Needs twelve samples a class, and of a trained model that it answers with these classes: that \
           it names at least half as many as a reader.",
    matters: "Some labels are wrong, or classes overlap where nothing in the input tells them apart. A network that fits them learns the samples by heart, \
              and every number that is measured against these labels has a ceiling.",
    remedy: "Look at samples whose label a reader contradicts; correct them, smooth the labels, stop early, or take a loss that bears wrong ones.",
    theory: "Hard samples leave a reader unsure, wrong labels make it sure of another class (Northcutt, Jiang, Chuang, arXiv:1911.00068); networks memorise wrong \
             labels after they have learned right ones (Arpit et al., arXiv:1706.05394). With a fifth of the labels redrawn it was found in 6 of 6 runs, none of \
             14 clean ones was named. Wrong answers of a network that learns right labels have a pattern, since some classes look alike: on digits $\\chi^2/\\nu$ \
             was 1.8 or more in every clean run with 40 wrong answers or more of 256, and 1.0 ± 0.2 where 40 % of the labels were redrawn.",
    ignore: "The labels are soft by nature, as ratings are, or several of them are right.",
};

const SURE: f64 = 0.05;
const SHARE: f64 = 1.0 / 7.0;
const GAP: f64 = 0.12;
/// Of what a reader names, what a model that was trained for the labels names itself.
const ANSWERS: f64 = 0.5;
/// Share of wrong answers, and standard errors of their evenness.
const WRONG: f64 = 0.15;
const EVEN: f64 = 2.2;

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let probe = &evidence.run.header.probe;
    if !probe.has_labels || probe.classes < 2 {
        return Err("needs labels".into());
    }
    if probe.samples < 12 * probe.classes {
        return Err("needs twelve samples a class".into());
    }
    let layers = &evidence.now().layers;
    let all = |name: &str| -> Vec<f64> {
        layers.iter().filter_map(|layer| layer.value(name)).map(|number| number.value).collect()
    };
    let (conflict, right) = (all("conflict"), all("reader_accuracy"));
    let (Some(sure), Some(usual)) = (median(&conflict), median(&right)) else {
        return Err("needs a linear reader of the layers".into());
    };
    let own = layers.last().and_then(|layer| layer.value("accuracy"));
    let best = layers
        .iter()
        .filter_map(|layer| layer.value("reader_accuracy"))
        .max_by(|a, b| a.value.total_cmp(&b.value));
    let own = own.filter(|own| best.is_none_or(|best| own.value >= ANSWERS * best.value));
    if evidence.is_trained() && own.is_none() {
        return Err("the model was not trained for these labels: it does not answer with them".into());
    }
    let head = layers.last().map_or(String::new(), carnot_probe::reading::LayerReading::title);
    let say = |saw: String, because: &str| {
        found(
            &PAGE,
            Said {
                level: Level::Costs,
                at: head.clone(),
                position: Some("labels".into()),
                saw,
                because: because.into(),
                action: "look at the samples whose label a reader contradicts".into(),
                safety: Some(Safety::Safe),
            },
        )
    };
    if conflict.len() >= 3 && sure >= SURE && sure >= SHARE * (1.0 - usual) {
        let saw = format!(
            "a linear reader is sure of another label for {} % of the samples, of the {} % that it gets wrong",
            short(100.0 * sure),
            short(100.0 * (1.0 - usual))
        );
        return Ok(vec![say(
            saw,
            "labels are wrong, or classes overlap: hard samples would leave it unsure",
        )]);
    }
    let (Some(own), Some(best), true) = (own, best, evidence.is_trained()) else { return Ok(vec![]) };
    let error = own.error.unwrap_or(0.0).hypot(best.error.unwrap_or(0.0));
    let gap = own.value - best.value;
    if own.value < 0.7 || gap < GAP || gap < 4.0 * error {
        let knows = own.value - 1.0 / probe.classes as f64 > 5.0 * own.error.unwrap_or(0.0);
        let confusion = layers.last().and_then(|layer| layer.value("confusion")).filter(|_| knows);
        let even = confusion.filter(|found| found.value <= 1.0 + EVEN * found.error.unwrap_or(0.0));
        let Some(even) = even.filter(|_| 1.0 - own.value >= WRONG) else { return Ok(vec![]) };
        let saw = format!(
            "{} % of the answers are wrong, spread evenly over the other classes: χ²/ν = {} ± {}",
            short(100.0 * (1.0 - own.value)),
            short(even.value),
            short(even.error.unwrap_or(0.0))
        );
        let because = "answers that are wrong for a reason go to classes that look alike; these go anywhere, as redrawn labels do";
        return Ok(vec![say(saw, because)]);
    }
    let saw = format!(
        "the model names {} % of the labels, a reader of its layers at best {} % of those that it has not seen",
        short(100.0 * own.value),
        short(100.0 * best.value)
    );
    Ok(vec![say(
        saw,
        "it knows labels by heart that its features do not explain: they are noisy, or too few",
    )])
}
