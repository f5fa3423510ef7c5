//! R323: the gradient is mostly noise at this batch.

use carnot_log::noise_scale::{Measured as Scale, noise_scale};
use carnot_report::finding::{Finding, Level, Safety};

use super::{LogCheck, Measured, Said, found, measured, short};
use crate::explain::CheckPage;
use crate::logged::evidence::LogEvidence;

/// The check.
pub const CHECK: LogCheck = LogCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "R323",
    name: "gradient-noise",
    sees: "Gradient norms at two batch sizes (series such as grad_norm_32 and grad_norm_1024) give the noise scale; the batch of the training is a tenth of it or less.",
    matters: "Below the noise scale the usable rate shrinks with the batch, and each step follows its samples more than the loss.",
    remedy: "A larger batch, or accumulated gradients, up to the noise scale; beyond it more samples a step save no steps.",
    theory: "B = tr Σ/|G|², unbiased from two batch sizes (McCandlish et al., arXiv:1812.06162, appendix A.1); the best rate is η_max/(1 + B/batch).",
    ignore: "Samples are what is scarce, not steps.",
};

/// The noise scale of the last third of the log.
#[must_use]
pub fn scale(evidence: &LogEvidence) -> Option<(Scale, f64, f64)> {
    let all = &evidence.signals.at_batch;
    let ((small, a), (large, b)) = (all.first()?, all.last()?);
    let last = *a.steps.last()?;
    let from = last - (last - a.steps.first()?) / 3.0;
    let norm_at = |step: f64| b.steps.iter().position(|&other| other == step).map(|at| b.values[at]);
    let pairs: Vec<(f64, f64)> = a
        .steps
        .iter()
        .zip(&a.values)
        .filter(|(step, _)| **step >= from)
        .filter_map(|(step, small)| Some((*small, norm_at(*step)?)))
        .collect();
    noise_scale(*small, *large, &pairs).map(|scale| (scale, *small, *large))
}

fn run(evidence: &LogEvidence) -> Result<Vec<Finding>, String> {
    let (scale, small, large) = scale(evidence)
        .ok_or("needs gradient norms at two batch sizes, such as grad_norm_32 and grad_norm_1024")?;
    let from = format!("norms at batches of {} and {}", short(small), short(large));
    let batch = evidence.asked.batch.or(evidence.signals.batch);
    let number = Measured { value: scale.value, error: scale.error };
    Ok(vec![judged(number, &from, batch, "the last third")])
}

/// The finding of a noise scale.
///
/// * `from`: what it was read from
#[must_use]
pub fn judged(scale: Measured, from: &str, batch: Option<f64>, at: &str) -> Finding {
    let is_small = batch.is_some_and(|batch| batch < 0.1 * (scale.value - 2.0 * scale.error));
    let said = Said {
        level: if is_small { Level::Costs } else { Level::Note },
        at: at.into(),
        saw: format!(
            "the gradient noise scale is {} samples, from {from}{}",
            measured(scale),
            batch.map_or(String::new(), |batch| format!("; the batch is {}", short(batch)))
        ),
        because: match batch {
            Some(batch) => format!(
                "the best rate at this batch is {} of the largest one",
                short(1.0 / (1.0 + scale.value / batch))
            ),
            None => "up to this batch more samples a step save as many steps; --batch compares it with yours"
                .into(),
        },
        action: match is_small {
            true => format!(
                "a batch, or accumulation, towards {} samples; the rate may grow with it",
                short(scale.value)
            ),
            false => "nothing: this is the critical batch size".into(),
        },
        safety: Safety::Safe,
    };
    found(&PAGE, said)
}
