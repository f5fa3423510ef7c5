//! W301: weights that are no numbers.

use carnot_models::spectrum::Unknown;
use carnot_report::finding::Level;

use super::{Check, Evidence, Outcome, finding};
use crate::explain::CheckPage;

/// The check.
pub const CHECK: Check = Check { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "W301",
    name: "weights-not-finite",
    sees: "Weights that are NaN or infinite, in matrices or vectors.",
    matters: "One NaN reaches every output behind it, and every gradient before it.",
    remedy: "Go back to the last checkpoint without them, and look at the loss and the gradient norm just after it.",
    theory: "NaN is kept by every sum and product (IEEE 754). Half precision overflows above 65504.",
    ignore: "The tensor is never used, such as the head of another task.",
};

fn run(evidence: &Evidence) -> Outcome {
    let mut found: Vec<(String, u64, u64)> = evidence
        .bad_vectors
        .iter()
        .map(|vector| (vector.name.clone(), vector.nan, vector.infinite))
        .collect();
    for matrix in evidence.matrices {
        if let Err(Unknown::NotFinite { nan, infinite }) = &matrix.analysis.entries {
            found.push((matrix.weight.name.clone(), *nan, *infinite));
        }
    }
    if found.is_empty() {
        return Outcome::Fine;
    }
    let (nan, infinite) = found.iter().fold((0, 0), |(nan, infinite), one| (nan + one.1, infinite + one.2));
    let names: Vec<String> = found.into_iter().map(|(name, _, _)| name).collect();
    let saw = format!("{nan} NaN and {infinite} infinite weights in {} tensors", names.len());
    let because = "every output that uses one of them is NaN too";
    finding(&PAGE, Level::Blocks, &names, saw, because, "go back to the last checkpoint without them")
}
