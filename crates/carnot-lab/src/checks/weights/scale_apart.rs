//! W304: a matrix whose scale is far from that of its siblings.

use std::collections::BTreeMap;

use carnot_models::huggingface::roles::Role;
use carnot_report::finding::Level;

use super::{Check, Evidence, Matrix, Outcome, finding};
use crate::checks::short;
use crate::explain::CheckPage;

/// The check.
pub const CHECK: Check = Check { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "W304",
    name: "scale-apart",
    sees: "A matrix whose C_W is more than 4 times larger or smaller than the median of the same role in the other layers, \
           and further from it than 6 times their usual spread. At the first or last of them, and below 16 times, it is a note.",
    matters: "One layer that starts or ends at another scale than its siblings was initialised, frozen or trained \
              differently: it passes on too much or too little of signal and gradient.",
    remedy: "Look at how this layer is initialised, and whether its rate and weight decay are those of the others.",
    theory: "The signal is multiplied by C_W ⟨σ²⟩ in each layer (PDLT ch. 5), so that layers of one role need one C_W. The \
             spread is the median of distances from the median, in ln C_W, times 1.4826.",
    ignore: "The first or last layers were meant to differ, as in schemes that scale by depth.",
};

/// Factor in C_W: two in the standard deviation. Chosen by hand, not calibrated.
const FACTOR: f64 = 4.0;

/// Up to this factor the ends of a healthy model may differ: the first block of SmolLM2-135M lies 6.8 below the others.
const AT_THE_ENDS: f64 = 16.0;

/// Fewest siblings whose spread says something.
const FEWEST: usize = 4;

/// Matrices that ought to be alike: role, rows, columns.
type Kind = (Role, usize, usize);

fn run(evidence: &Evidence) -> Outcome {
    let mut groups: BTreeMap<Kind, Vec<(&Matrix, f64)>> = BTreeMap::new();
    for matrix in evidence.matrices {
        let is_one_of_many = matrix.weight.layer.is_some() && matrix.weight.role != Role::Other;
        let c_w = matrix.analysis.c_w.filter(|c_w| is_one_of_many && *c_w > 0.0);
        if let Some(c_w) = c_w {
            let key = (matrix.weight.role, matrix.analysis.rows, matrix.analysis.columns);
            groups.entry(key).or_default().push((matrix, c_w.ln()));
        }
    }
    if groups.values().all(|group| group.len() < FEWEST) {
        return Outcome::NotApplicable(format!("no role stands in {FEWEST} layers"));
    }
    let mut found: Vec<(&Matrix, f64, f64)> = Vec::new();
    let mut level = Level::Note;
    for group in groups.values().filter(|group| group.len() >= FEWEST) {
        let layers = || group.iter().filter_map(|(matrix, _)| matrix.weight.layer);
        let ends = [layers().min(), layers().max()];
        let middle = median(group.iter().map(|(_, ln)| *ln).collect());
        let spread = 1.4826 * median(group.iter().map(|(_, ln)| (ln - middle).abs()).collect());
        let limit = FACTOR.ln().max(6.0 * spread);
        for (matrix, ln) in group.iter().filter(|(_, ln)| (ln - middle).abs() > limit) {
            let may_differ = ends.contains(&matrix.weight.layer) && (ln - middle).abs() < AT_THE_ENDS.ln();
            if !may_differ {
                level = Level::Costs;
            }
            found.push((*matrix, *ln, middle));
        }
    }
    found.sort_by(|a, b| (b.1 - b.2).abs().total_cmp(&(a.1 - a.2).abs()));
    let Some((worst, own, middle)) = found.first() else { return Outcome::Fine };
    let names: Vec<String> = found.iter().map(|(matrix, _, _)| matrix.weight.name.clone()).collect();
    let saw = format!(
        "C_W = {} in {}, where its siblings have {}",
        short(own.exp()),
        worst.weight.name,
        short(middle.exp())
    );
    let because = "layers of one role pass on signal and gradient by their C_W";
    let remedy = "compare the initialisation, rate and weight decay of this layer with the others'";
    finding(&PAGE, level, &names, saw, because, remedy)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    f64::midpoint(values[(n - 1) / 2], values[n / 2])
}
