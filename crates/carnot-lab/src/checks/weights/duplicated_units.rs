//! W303: units that do the same twice.

use carnot_models::spectrum::matrix::Analysis;
use carnot_report::finding::Level;

use super::{Check, Evidence, Outcome, finding};
use crate::explain::CheckPage;

/// The check.
pub const CHECK: Check = Check { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "W303",
    name: "duplicated-units",
    sees: "Rows of a weight matrix whose cosine with an earlier row is above 0.999.",
    matters: "Two units with the same incoming weights have the same value for every input, up to a factor: the layer is \
              narrower than it looks.",
    remedy: "Draw one of each pair anew, or remove it and add its outgoing weights to its twin's.",
    theory: "Units that start alike and receive the same gradient stay alike: random initialisation exists to break this \
             symmetry. Between independent rows of fan-in n the cosine is 0 ± 1/√n.",
    ignore: "Weights that are shared on purpose. Matrices of fewer than three inputs and convolutions with one channel a window \
             (depthwise ones, where equal windows look at different channels) are not judged.",
};

/// Are rows of this matrix units with the same inputs, and more than a few of them?
///
/// Windows on one channel may belong to a depthwise convolution, in which every row looks at a channel of its own.
fn is_judged(analysis: &Analysis) -> bool {
    analysis.columns > 2 && (analysis.window == 1 || analysis.window < analysis.columns)
}

fn run(evidence: &Evidence) -> Outcome {
    let mut found: Vec<(&str, usize, usize)> = Vec::new();
    for matrix in evidence.matrices.iter().filter(|matrix| !matrix.is_table() && is_judged(&matrix.analysis))
    {
        if let Ok(duplicated) = &matrix.analysis.duplicated
            && duplicated.units > 0
        {
            found.push((&matrix.weight.name, duplicated.units, matrix.analysis.rows));
        }
    }
    let Some((first, units, rows)) = found.iter().max_by_key(|(_, units, _)| *units).copied() else {
        return Outcome::Fine;
    };
    let mut names = vec![first.to_string()];
    names.extend(found.iter().map(|(name, _, _)| name.to_string()).filter(|name| name != first));
    let total: usize = found.iter().map(|(_, units, _)| units).sum();
    let saw = format!("{total} units repeat another one; {units} of {rows} in {first}");
    let because = "units that start alike and receive the same gradient stay alike";
    finding(&PAGE, Level::Costs, &names, saw, because, "draw one of each pair anew, or remove it")
}
