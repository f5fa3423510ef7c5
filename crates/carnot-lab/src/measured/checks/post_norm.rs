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
    sees: "The stream of a residual stack of twelve blocks or more has the same size behind every block (within 20 %, a norm behind each \
           addition), and the gradient changes by a steady factor from block to block, tenfold or more in all.",
    matters: "A norm behind the addition divides what the skip carries by √(1 + branch²) at every block: the skip is no longer a skip, and \
              gradients at the first and last blocks differ by the product. Such stacks need long warm-ups and often fail to train.",
    remedy: "Move the norm to the beginning of each branch (pre-norm), or keep it and scale the skip (DeepNorm).",
    theory: "Xiong et al., arXiv:2002.04745; Wang et al. (DeepNorm), arXiv:2203.00555. With a branch as large as the stream the gradient \
             loses √2 a block.",
    ignore: "Training is past its warm-up and the loss falls as it should.",
};

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let signal: Option<Vec<f64>> = evidence.behind("kernel").into_iter().collect();
    let gradient: Option<Vec<f64>> = evidence.behind("gradient").into_iter().collect();
    let n = evidence.stages.len();
    if !evidence.has_blocks || n < 12 {
        return Err("needs twelve residual blocks".into());
    }
    let (Some(signal), Some(gradient)) = (signal, gradient) else {
        return Err("needs signal and gradient of every block".into());
    };
    let (low, high) =
        signal.iter().fold((f64::INFINITY, 0.0f64), |(low, high), &k| (low.min(k), high.max(k)));
    let logs: Vec<f64> = gradient.iter().map(|g| g.max(1e-300).ln()).collect();
    let total = logs[n - 1] - logs[0];
    let with_sign = logs.windows(2).filter(|pair| (pair[1] - pair[0]) * total > 0.0).count();
    if high > 1.2 * low || total.abs() < 10f64.ln() || with_sign * 4 < (n - 1) * 3 {
        return Ok(vec![]);
    }
    let factor = (total.abs() / (n - 1) as f64).exp();
    Ok(vec![found(
        &PAGE,
        Said {
            level: if total.abs() > 100f64.ln() { Level::Blocks } else { Level::Costs },
            at: evidence.stages[0].name.clone(),
            position: Some(format!("{n} blocks")),
            saw: format!(
                "the stream's mean square stays at {} – {}, and the gradient at the first block is {} of that at the last",
                short(low),
                short(high),
                short((-total).exp())
            ),
            because: format!("a norm behind each addition: the gradient changes × {} a block", short(factor)),
            action: "put the norm at the beginning of each branch, or scale the skip as DeepNorm does".into(),
            safety: Some(Safety::Unsafe),
        },
    )])
}
