//! W305: a matrix that uses few of its directions.

use carnot_models::huggingface::roles::Role;
use carnot_report::finding::Level;

use super::{Check, Evidence, Outcome, finding};
use crate::checks::short;
use crate::explain::CheckPage;

/// The check.
pub const CHECK: Check = Check { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "W305",
    name: "collapsed-rank",
    sees: "A matrix inside the network whose effective rank, the exponential of the entropy of its singular values, is \
           below a tenth of its shorter side.",
    matters: "Whatever enters leaves through a few directions; what differs in the others is lost behind this layer.",
    remedy: "Look at weight decay and rate of this layer, or make it narrower: it is already a bottleneck.",
    theory: "Effective rank of Roy and Vetterli 2007. A large square Gaussian matrix has 0.81 of its side, an orthogonal one \
             all of it; one huge direction beside a healthy bulk, as trained layers often have, takes little away.",
    ignore: "Heads, embeddings, and matrices that are meant to be of low rank (adapters).",
};

/// Share of the shorter side. Chosen by hand, not calibrated.
const SHARE: f64 = 0.1;

/// Smallest side judged: of fewer directions a few are many.
const NARROWEST: usize = 32;

fn run(evidence: &Evidence) -> Outcome {
    let mut found: Vec<(&str, f64, usize)> = Vec::new();
    for matrix in evidence.matrices {
        let is_inside = !matches!(matrix.weight.role, Role::Embedding | Role::Head);
        if let (Ok(ranks), true) = (&matrix.analysis.ranks, is_inside)
            && ranks.full >= NARROWEST
            && ranks.effective < SHARE * ranks.full as f64
        {
            found.push((&matrix.weight.name, ranks.effective, ranks.full));
        }
    }
    found.sort_by(|a, b| (a.1 / a.2 as f64).total_cmp(&(b.1 / b.2 as f64)));
    let Some((worst, effective, full)) = found.first().copied() else { return Outcome::Fine };
    let names: Vec<String> = found.iter().map(|(name, _, _)| name.to_string()).collect();
    let saw = format!("effective rank {} of {full} in {worst}", short(effective));
    let because = "its spectrum is that of a few directions";
    finding(
        &PAGE,
        Level::Costs,
        &names,
        saw,
        because,
        "look at weight decay and rate of this layer, or make it narrower",
    )
}
