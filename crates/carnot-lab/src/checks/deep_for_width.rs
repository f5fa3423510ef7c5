//! W201: too deep for its width.

use super::{Check, Evidence, Outcome, at_position, finding, short};
use crate::explain::CheckPage;
use carnot_report::finding::{Level, Remedy, Safety};
use carnot_report::number::percent;

/// The check.
pub const CHECK: Check = Check { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "W201",
    name: "deep-for-width",
    sees: "With the recommended initialisation, two seeds would differ by more than 40 % in the signal at the last \
           hidden layer.",
    matters: "Every seed is another network: what is tuned on one fails on the next, and theory at infinite width \
              no longer describes any of them.",
    remedy: "Make it wider, or shallower: the spread falls as the root of width over depth.",
    theory: "Var(K)/K² = V/(n K²) ≈ ν L/n with ν = 5 for ReLU, 2/3 for tanh. PDLT ch. 4 and 5.4.",
    ignore: "The best of many seeds is kept, and training one is cheap.",
};

fn run(evidence: &Evidence) -> Outcome {
    let layers = evidence.better;
    let deep = evidence.deep();
    let Some(layer) = layers.get(deep).filter(|_| deep > 0) else {
        return Outcome::NotApplicable("needs at least two hidden layers".into());
    };
    let relative = match (&layer.reading, &layer.vertex) {
        (Ok(reading), Ok(vertex)) => vertex / reading.forward.mean_variance().powi(2),
        (Err(why), _) | (_, Err(why)) => return Outcome::NotApplicable(format!("V is not known: {why}")),
    };
    let width = layer.width;
    let spread = |n: f64, relative: f64| ((2.0 + relative) / n).sqrt();
    let own = spread(width as f64, relative);
    if own < 0.4 {
        return Outcome::Fine;
    }
    let wide = 4 * width;
    let shallow = (deep + 1) * 2 / 5;
    let shallower = layers.get(shallow.saturating_sub(1)).and_then(|layer| {
        let kernel = layer.reading.as_ref().ok()?.forward.mean_variance();
        Some(spread(width as f64, layer.vertex.clone().ok()? / (kernel * kernel)))
    });
    let depth = evidence.depth() - 1;
    let saw = format!(
        "with the remedy, two seeds would differ by {} in signal at layer {}",
        percent(own),
        deep + 1
    );
    let because =
        format!("fluctuations grow as depth/width: V/K² = {} at layer {}", short(relative), deep + 1);
    let mut text = format!("width {wide} ({})", percent(spread(wide as f64, relative)));
    if let Some(spread) = shallower {
        text.push_str(&format!(", or depth {shallow} ({})", percent(spread)));
    }
    let action = serde_json::json!({ "width": wide, "depth": shallow });
    let remedy = Remedy { text, action, command: None, safety: Some(Safety::Safe) };
    let at = format!("L/n = {depth}/{width} = {}", short(depth as f64 / width as f64));
    at_position(finding(&PAGE, Level::Costs, at, saw, because, remedy), String::new())
}
