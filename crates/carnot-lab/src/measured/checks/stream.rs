//! S116: a residual stream that grows by a factor a block.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found, short};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "S116",
    name: "stream-grows-by-a-factor",
    sees: "In a residual network the mean square of the stream grows by a factor (1.5 or more) at most blocks, more than a thousandfold in \
           all, instead of by a constant amount.",
    matters: "Growth by a factor means that every branch adds as much as the whole stream before it: early blocks are drowned, gradients \
              grow by the same factor on the way back, and single precision ends.",
    remedy: "Scale each branch by 1/√L (or initialise its last layer at 0), or put a norm at the beginning of each branch.",
    theory: "h ← h + a f(h): K grows by 1 + a² χ a block, so a² must fall as 1/L for K to stay of order 1. Hanin, Rolnick, \
             arXiv:1803.01719; Zhang et al. (Fixup), arXiv:1901.09321.",
    ignore: "The growth is wanted and a final norm removes it; check the gradient of the first blocks then.",
};

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    if !evidence.has_blocks {
        return Err("needs residual blocks".into());
    }
    let signal: Option<Vec<f64>> = evidence.behind("kernel").into_iter().collect();
    let signal = signal.ok_or("some block has no finite signal")?;
    let n = signal.len();
    if n < 6 {
        return Err(format!("needs at least six blocks, there are {n}"));
    }
    let grows = signal.windows(2).filter(|pair| pair[1] > 1.5 * pair[0]).count();
    let total = signal[n - 1] / signal[0].max(f64::MIN_POSITIVE);
    if total < 1e3 || grows * 3 < (n - 1) * 2 {
        return Ok(vec![]);
    }
    let factor = total.powf(1.0 / (n - 1) as f64);
    let at = (0..n - 1).find(|&at| signal[at + 1] > 1.5 * signal[at]).unwrap_or(0);
    Ok(vec![found(
        &PAGE,
        Said {
            level: if total > 1e8 { Level::Blocks } else { Level::Costs },
            at: evidence.stages[at].name.clone(),
            position: Some(format!("and {} blocks behind it", n - 1 - at)),
            saw: format!("the stream's mean square grows × {} a block, {} → {}", short(factor), short(signal[0]), short(signal[n - 1])),
            because: "each branch adds in proportion to the stream: no scale on the branch, no norm at its beginning".into(),
            action: format!("multiply each branch by {} (1/√{n}), or begin it with a norm", short(1.0 / (n as f64).sqrt())),
            safety: Some(if evidence.is_trained() { Safety::Unsafe } else { Safety::Safe }),
        },
    )])
}
