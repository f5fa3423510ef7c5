//! G214: norms behind the additions of a deep residual stack.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "G214",
    name: "post-norm-at-depth",
    sees: "The stream of a residual stack of twelve additions or more has the same size behind every one (a norm behind each), and the \
           gradient changes by a steady factor from one to the next, tenfold or more in all, at the start or now; or there are twenty or more \
           such additions. A stack that was trained before the recording began, and whose loss is low, is only noted.",
    matters: "A norm behind the addition divides what the skip carries by √(1 + branch²) at every block: the skip is no longer a skip, and \
              gradients at the first and last blocks differ by the product. Such stacks need long warm-ups and often fail to train.",
    remedy: "Move the norm to the beginning of each branch (pre-norm), or keep it and scale the skip (DeepNorm).",
    theory: "Xiong et al., arXiv:2002.04745; Wang et al. (DeepNorm), arXiv:2203.00555. With a branch as large as the stream the gradient \
             loses √2 a block.",
    ignore: "Training is past its warm-up and the loss falls as it should.",
};

/// Additions with a norm behind each from which the arrangement alone is named: BERT's twelve layers have 24.
const DEEP: usize = 20;

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let n = evidence.stages.len();
    if !evidence.has_blocks || n < 12 {
        return Err("needs twelve residual blocks".into());
    }
    // At the start, or now: adaptive optimizers repair gradients that the start did not pass, and warm-ups hide them.
    let steps = [evidence.start(), Some(evidence.now())];
    let profiles: Vec<(f64, f64, f64)> =
        steps.into_iter().flatten().filter_map(|step| profile(evidence, step)).collect();
    let Some(&(low, high, _)) = profiles.last() else {
        return Err("needs signal and gradient of every block".into());
    };
    let total = profiles
        .iter()
        .map(|(.., total)| *total)
        .fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
    let drifts = total.abs() >= 10f64.ln();
    let is_norm = |stage: &crate::measured::evidence::Stage| evidence.layer(stage.last).kind.contains("norm");
    let is_post_norm = evidence.stages.iter().filter(|stage| is_norm(stage)).count() * 10 >= n * 9;
    if high > 1.2 * low && !is_post_norm {
        return Ok(vec![]);
    }
    if !(drifts || (is_post_norm && n >= DEEP)) {
        return Ok(vec![]);
    }
    let factor = (total.abs() / (n - 1) as f64).exp();
    let has_learned = evidence.start().is_none() && evidence.reads_well();
    let level = match (has_learned, total.abs() > 100f64.ln()) {
        (true, _) => Level::Note,
        (false, true) if !evidence.reads_well() => Level::Blocks,
        _ => Level::Costs,
    };
    Ok(vec![found(
        &PAGE,
        Said {
            level,
            at: evidence.stages[0].name.clone(),
            position: Some(format!("{n} additions")),
            saw: format!(
                "a norm behind each of {n} additions: the stream's mean square stays at {} – {}, and the gradient at the first is {} of that at the last",
                short(low),
                short(high),
                short((-total).exp())
            ),
            because: match drifts {
                true => format!("what the skip carries is divided at every addition: the gradient changes × {} each", short(factor)),
                false => "what the skip carries is divided at every addition; such stacks need a warm-up".into(),
            },
            action: "put the norm at the beginning of each branch, or scale the skip as DeepNorm does; at least warm the rate up".into(),
            safety: Some(Safety::Unsafe),
        },
    )])
}

/// Smallest and largest stream, and ln of the gradient at the last block over that at the first, where it changes steadily (else 0).
fn profile(evidence: &ModelEvidence, step: &carnot_probe::reading::StepReading) -> Option<(f64, f64, f64)> {
    let signal: Option<Vec<f64>> = evidence.behind_at(step, "kernel").into_iter().collect();
    let gradient: Option<Vec<f64>> = evidence.behind_at(step, "gradient").into_iter().collect();
    let (signal, gradient) = (signal?, gradient?);
    let n = gradient.len();
    let (low, high) =
        signal.iter().fold((f64::INFINITY, 0.0f64), |(low, high), &k| (low.min(k), high.max(k)));
    let logs: Vec<f64> = gradient.iter().map(|g| g.max(1e-300).ln()).collect();
    let total = logs[n - 1] - logs[0];
    // Over four steps at a time: attention and feed-forward halves alternate.
    let with_sign = logs.windows(5).filter(|part| (part[4] - part[0]) * total > 0.0).count();
    let is_steady = with_sign * 4 >= (n - 4) * 3;
    Some((low, high, if is_steady { total } else { 0.0 }))
}
