//! One look at the loss of a model: how sharply it bends against the step that is made, and how noisy its gradient is.

use carnot_log::noise_scale::noise_scale_of_parts;
use carnot_report::finding::Level;
use carnot_report::number::{position, significant};
use carnot_report::report::{Headline, Line, Provenance, Report, Tone};
use carnot_sim::edge::Descent;
use serde::{Deserialize, Serialize};

use super::checks::edge::{self, Stands};
use super::checks::{Measured, measured, noise, short};

/// A number with its error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Number {
    /// The value.
    pub value: f64,
    /// Its error.
    pub error: f64,
}

impl From<Number> for Measured {
    fn from(number: Number) -> Measured {
        Measured { value: number.value, error: number.error }
    }
}

/// The rule of descent that makes the steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// A word of [`Descent::WORDS`].
    pub word: String,
    /// Momentum, or β₁.
    pub momentum: f64,
    /// Least and largest rate of its groups of parameters.
    pub rates: (f64, f64),
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// What the model is called.
    pub name: String,
    /// Samples of the batch.
    pub samples: usize,
    /// What the loss is.
    pub objective: String,
    /// Its value.
    pub loss: f64,
    /// Largest eigenvalue of the Hessian, with the residual: an eigenvalue lies as near as that. With a rule, of $S H S$ with $S^2 = \eta / P$, so that it has no unit.
    pub sharpness: Number,
    /// Products with the Hessian.
    pub products: usize,
    /// Seed of the first direction.
    pub seed: u64,
    /// The rule, where it is one whose threshold is known.
    pub rule: Option<Rule>,
    /// Why there is none, where one was given.
    pub no_rule: Option<String>,
    /// Samples of each part of the batch.
    pub part: usize,
    /// Of the gradient of each part its square, and its product with the mean of all; none where the batch is too small to be parted.
    pub gradients: Vec<(f64, f64)>,
    /// Samples of a step of the training.
    pub batch: Option<f64>,
}

/// The report on one look.
///
/// The threshold of a rule is [`Descent::threshold`]; the best rate at a batch b is $\eta_{max}/(1 + B/b)$ with the noise scale B.
///
/// Sources: Cohen et al., arXiv:2103.00065, 2207.14484; McCandlish et al., arXiv:1812.06162.
#[must_use]
pub fn report(look: &Look) -> Report {
    let mut report = Report::new("curvature", &format!("{}, {} samples", look.name, look.samples));
    report.provenance = Provenance {
        version: env!("CARGO_PKG_VERSION").into(),
        command: "carnot.curvature(model, batch)".into(),
        seed: Some(look.seed),
        ..Provenance::default()
    };
    let descent =
        look.rule.as_ref().and_then(|rule| Some((rule, Descent::named(&rule.word, rule.momentum)?)));
    report.summary.push(Line::new("loss", format!("{}, {}", short(look.loss), look.objective)));
    let share = descent.map(|(_, descent)| {
        let threshold = descent.threshold(1.0);
        Measured { value: look.sharpness.value / threshold, error: look.sharpness.error / threshold }
    });
    report.headline = Some(headline(look, share));
    report.summary.extend(lines(look, descent, share));
    if let Some((rule, descent)) = descent {
        let (rate, seen) = per_rate(rule, look.sharpness);
        report.findings.extend(edge::judged(seen, descent, rate, ("these weights".into(), "on this batch")));
    }
    let noise = noise_scale_of_parts(look.part as f64, &look.gradients);
    match noise.map(|scale| Measured { value: scale.value, error: scale.error }) {
        Some(scale) => {
            let from = format!("the gradients of {} parts of {} samples", look.gradients.len(), look.part);
            let batch = look.batch.map_or(String::new(), |batch| {
                let best = significant(1.0 / (1.0 + scale.value / batch), 2);
                format!("; at your {} the best rate is {best} of the largest one", position(batch))
            });
            let text = format!("{} samples are a critical batch{batch}", measured(scale));
            report.summary.push(Line::new("noise", text));
            // A note would say no more than the line.
            let finding = noise::judged(scale, &from, look.batch, "these weights");
            report.findings.extend(Some(finding).filter(|finding| finding.level == Level::Costs));
        }
        None => {
            let why = match look.gradients.is_empty() {
                true => "so few samples cannot be parted: pass 32 or more",
                false => "the mean gradient is lost in the noise of these samples: pass more",
            };
            report.summary.push(Line::new("noise", format!("not known, because {why}")));
        }
    }
    let mut extra = serde_json::to_value(look).unwrap_or_default();
    let number = |value: f64, error: f64| serde_json::json!(Number { value, error });
    extra["share_of_threshold"] = share.map(|share| number(share.value, share.error)).into();
    extra["noise_scale"] = noise.map(|noise| number(noise.value, noise.error)).into();
    report.extra.insert("curvature".into(), extra);
    report
}

/// The rate and the sharpness in its units; where groups have different rates, the rate is one and the sharpness that of a step.
fn per_rate(rule: &Rule, step: Number) -> (f64, Measured) {
    let rate = if rule.rates.0 == rule.rates.1 { rule.rates.0 } else { 1.0 };
    (rate, Measured { value: step.value / rate, error: step.error / rate })
}

fn headline(look: &Look, share: Option<Measured>) -> Headline {
    let Some(share) = share else {
        let text = match look.sharpness.value > 2.0 * look.sharpness.error {
            true => {
                format!("GRADIENT DESCENT IS STABLE UP TO A RATE OF {}", short(2.0 / look.sharpness.value))
            }
            false => "NO DIRECTION IN WHICH THE LOSS BENDS UP WAS FOUND".into(),
        };
        return Headline { text, tone: Tone::Plain };
    };
    let (text, tone) = match edge::stands(share) {
        Stands::Below => ("STEPS ARE STABLE HERE", Tone::Good),
        Stands::At => ("AT THE EDGE OF STABILITY", Tone::Plain),
        Stands::Above => ("STEPS ARE LONGER THAN THE LOSS ALLOWS", Tone::Costs),
    };
    Headline { text: text.into(), tone }
}

fn lines(look: &Look, descent: Option<(&Rule, Descent)>, share: Option<Measured>) -> Vec<Line> {
    let with = format!("by {} products with the Hessian", look.products);
    let (Some((rule, descent)), Some(share)) = (descent, share) else {
        let mut lines = vec![Line::new("sharpness", format!("{}, {with}", measured(look.sharpness.into())))];
        if let Some(why) = &look.no_rule {
            lines.push(Line::new("threshold", format!("not known, because {why}")));
        }
        return lines;
    };
    let (rate, seen) = per_rate(rule, look.sharpness);
    let kind = if descent.is_preconditioned() { "of the preconditioned Hessian" } else { "of the Hessian" };
    let unit = if rule.rates.0 == rule.rates.1 { "" } else { " times the rates, which differ by group" };
    let mut lines = vec![Line::new("sharpness", format!("{} {kind}{unit}, {with}", measured(seen)))];
    let of = format!(
        "{} of {}, the largest at which {} is stable",
        measured(share),
        short(descent.threshold(rate)),
        rule.word
    );
    lines.push(Line::new("threshold", of));
    if share.value > 2.0 * share.error {
        let words = match rule.rates.0 == rule.rates.1 {
            true => {
                format!("stable up to {} at these weights; it is {}", short(rate / share.value), short(rate))
            }
            false => format!("stable up to {} times the rates at these weights", short(1.0 / share.value)),
        };
        lines.push(Line::new("rate", words));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(step: f64, rule: Option<Rule>) -> Look {
        Look {
            name: "net".into(),
            samples: 64,
            objective: "cross-entropy".into(),
            loss: 0.7,
            sharpness: Number { value: step, error: 0.001 },
            products: 9,
            seed: 1,
            rule,
            no_rule: None,
            part: 4,
            // 16 parts: of each |g|² 10 or 11, and 2 along the mean.
            gradients: (0..16).map(|i| (10.0 + f64::from(i % 2), 2.0)).collect(),
            batch: Some(10.0),
        }
    }

    fn rule(word: &str, momentum: f64, rates: (f64, f64)) -> Option<Rule> {
        Some(Rule { word: word.into(), momentum, rates })
    }

    #[test]
    fn a_step_is_held_against_the_threshold_of_its_rule() {
        for (step, word, momentum, expect) in [
            (1.0, "sgd", 0.0, "STEPS ARE STABLE HERE"),
            (2.0, "sgd", 0.0, "AT THE EDGE OF STABILITY"),
            (2.0, "momentum", 0.9, "STEPS ARE STABLE HERE"),
            (3.8, "momentum", 0.9, "AT THE EDGE OF STABILITY"),
            (38.0, "adam", 0.9, "AT THE EDGE OF STABILITY"),
            (50.0, "adamw", 0.9, "STEPS ARE LONGER THAN THE LOSS ALLOWS"),
        ] {
            let found = report(&look(step, rule(word, momentum, (0.1, 0.1))));
            assert_eq!(found.headline.unwrap().text, expect, "{step} {word}");
            let codes: Vec<&str> = found.findings.iter().map(|finding| finding.code.as_str()).collect();
            let edge = !expect.contains("STABLE");
            assert_eq!(codes.contains(&"R322"), edge, "{step} {word}: {codes:?}");
            assert!(!codes.contains(&"R323"), "10 samples are no tenth of 25");
        }
    }

    #[test]
    fn words_have_the_units_of_the_rate() {
        let found = report(&look(1.0, rule("sgd", 0.0, (0.1, 0.1))));
        let line = |label: &str| found.summary.iter().find(|line| line.label == label).unwrap().text.clone();
        assert!(line("sharpness").starts_with("10.00 ± 0.01 of the Hessian"), "{}", line("sharpness"));
        assert!(line("rate").starts_with("stable up to 0.2"), "{}", line("rate"));
        // S = 4/15 · (16 · 10.5 − 16 · 2) = 36.3, |G|² = 2 − S/64 = 1.43.
        assert!(line("noise").starts_with("25") && line("noise").contains("at your 10"), "{}", line("noise"));
        let found = report(&look(1.0, rule("sgd", 0.0, (0.1, 0.3))));
        assert!(found.summary.iter().any(|line| line.text.contains("differ by group")));
    }

    #[test]
    fn a_batch_far_below_the_noise_scale_costs() {
        let found = report(&Look { batch: Some(1.0), ..look(1.0, None) });
        assert_eq!(found.findings.len(), 1);
        assert_eq!((found.findings[0].code.as_str(), found.findings[0].level), ("R323", Level::Costs));
    }

    #[test]
    fn without_a_rule_the_rate_of_gradient_descent_is_told() {
        let found = report(&look(8.0, None));
        assert_eq!(found.headline.unwrap().text, "GRADIENT DESCENT IS STABLE UP TO A RATE OF 0.250");
        let flat = report(&look(-0.1, None));
        assert!(flat.headline.unwrap().text.starts_with("NO DIRECTION"));
        let mut of = look(8.0, None);
        (of.gradients, of.no_rule) = (Vec::new(), Some("LBFGS".into()));
        let text: Vec<String> = report(&of).summary.into_iter().map(|line| line.text).collect();
        assert!(text.iter().filter(|text| text.starts_with("not known, because")).count() == 2, "{text:?}");
    }
}
