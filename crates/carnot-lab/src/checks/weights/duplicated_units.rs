//! W303: units that do the same twice.

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
    ignore: "Fewer than three inputs, or weights that are shared on purpose.",
};

fn run(evidence: &Evidence) -> Outcome {
    let mut found: Vec<(&str, usize, usize)> = Vec::new();
    for matrix in evidence.matrices.iter().filter(|matrix| !matrix.is_table() && matrix.analysis.columns > 2)
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
