//! W302: units without weights.

use carnot_models::spectrum::Unknown;
use carnot_report::finding::Level;

use super::{Check, Evidence, Outcome, finding};
use crate::explain::CheckPage;

/// The check.
pub const CHECK: Check = Check { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "W302",
    name: "unused-units",
    sees: "Rows or columns of a weight matrix (channels of a convolution) whose norm is below 10⁻⁴ of the typical one, or a \
           matrix of one value. Below a tenth of the units of every matrix it is a note.",
    matters: "A unit that nothing feeds says the same for every input; one that feeds nothing is not heard. Its width is \
              paid for and not used, and with zero weights on both sides no gradient brings it back.",
    remedy: "Initialise these units again, or remove them.",
    theory: "The gradient of a weight is the product of what enters and of what comes back; where both are zero it stays \
             zero.",
    ignore: "The model was pruned by whole units, its width was padded to a multiple of the hardware's, or the matrix is a \
             fixed transform (a Fourier window has a sine of frequency zero).",
};

/// Share of the units of one matrix from which on the loss counts as a cost; below it is worth knowing. Chosen.
const MANY: f64 = 0.1;

fn run(evidence: &Evidence) -> Outcome {
    let (mut names, mut outputs, mut inputs, mut whole) = (Vec::new(), 0, 0, 0);
    let mut largest = 0.0f64;
    for matrix in evidence.matrices.iter().filter(|matrix| !matrix.is_table()) {
        let found = &matrix.analysis;
        match &found.dead {
            Ok(dead) if dead.outputs + dead.inputs > 0 => {
                outputs += dead.outputs;
                inputs += dead.inputs;
                let share = |dead: usize, all: usize| dead as f64 / all.max(1) as f64;
                let channels = found.columns / found.window.max(1);
                largest = largest.max(share(dead.outputs, found.rows)).max(share(dead.inputs, channels));
                names.push(matrix.weight.name.clone());
            }
            Err(Unknown::Constant { .. }) if found.rows * found.columns > 1 => {
                whole += 1;
                largest = 1.0;
                names.push(matrix.weight.name.clone());
            }
            _ => {}
        }
    }
    if names.is_empty() {
        return Outcome::Fine;
    }
    let mut saw = format!("{outputs} outputs without weights and {inputs} inputs without use");
    if whole > 0 {
        saw = format!("{whole} matrices of one value, {saw}");
    }
    let because = "zero weights on both sides of a unit have no gradient, so that it stays as it is";
    let level = if largest >= MANY { Level::Costs } else { Level::Note };
    finding(&PAGE, level, &names, saw, because, "initialise these units again, or remove them")
}
