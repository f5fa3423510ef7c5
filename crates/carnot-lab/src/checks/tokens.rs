//! S106: the tokens of a transformer become the same vector.

use carnot_report::finding::{Finding, Level, Remedy};
use carnot_report::number::significant;
use carnot_report::report::Word;
use carnot_theory::tokens::{Norms, Start, Stream, deep_norm};
use serde_json::json;

use super::{Outcome, finding};
use crate::explain::CheckPage;

/// Its page.
pub const PAGE: CheckPage = CheckPage {
    code: "S106",
    name: "tokens-merge",
    sees: "Behind the last block of a post-norm transformer at initialisation, two tokens have a cosine above 0.9, or less than a tenth is \
           left of a token in its own vector. Below a thousandth it blocks learning.",
    matters: "Where all tokens have nearly the same vector the head can learn how frequent tokens are, and nothing else: the loss stands at \
              the entropy of their frequencies, for hundreds of steps or for good, whatever the rate.",
    remedy: "Norms in front of the blocks; or norm(α x + f(x)) with α = (2L)^(1/4) and the start of DeepNorm; or fewer blocks; or, where the \
             standard deviation of the weights is fixed, one that falls with the width.",
    theory: "Attention averages the tokens it sees and the MLP brings near vectors nearer; a norm behind each sum leaves the skip a share \
             1/(1 + branch) each time. Rank collapse: Noci et al., arXiv:2206.03126; DeepNorm: Wang et al., arXiv:2203.00555. The \
             recursion is on the page Transformers of the book; the limits come from one family of small models of real text.",
    ignore: "The model is trained already.",
};

/// Cosine above which tokens count as nearly one.
const ALIKE: f64 = 0.9;
/// Share of a token that must be left.
const FAINT: f64 = 0.1;
/// Share below which nothing of it is.
const LOST: f64 = 1e-3;

/// Is enough left of the tokens? With norms in front the limits are not known: such models have been trained with less.
pub fn word(norms: Norms, start: Start, last: &Stream) -> Word {
    let left = last.information / start.information;
    match norms {
        _ if last.similarity <= ALIKE && left >= FAINT => Word::Learns,
        Norms::Pre => Word::CannotTell,
        Norms::Post if left < LOST => Word::WillNotLearn,
        Norms::Post => Word::LearnsAtACost,
    }
}

/// What is wrong with a model of that depth, if anything.
pub fn judge(norms: Norms, start: Start, last: &Stream, depth: usize) -> Option<Finding> {
    let level = match word(norms, start, last) {
        Word::WillNotLearn => Level::Blocks,
        Word::LearnsAtACost => Level::Costs,
        Word::Learns | Word::CannotTell => return None,
    };
    let saw = format!(
        "cosine of two tokens {}, {} of each left",
        significant(last.similarity, 3),
        significant(last.information / start.information, 2)
    );
    let because =
        "each block mixes the tokens and the norm behind it leaves less of what the skip carries".into();
    let (skip, beta) = deep_norm(depth);
    let remedy = Remedy {
        text: format!(
            "norms in front of the blocks; or norm(α x + f(x)) with α = {} and Xavier weights of values, output and MLP times {}",
            significant(skip, 3),
            significant(beta, 3)
        ),
        action: json!({ "norms": "pre", "or": { "skip": skip, "branch_gain": beta } }),
        ..Remedy::default()
    };
    match finding(&PAGE, level, format!("{depth} blocks"), saw, because, remedy) {
        Outcome::Found(found) => Some(*found),
        Outcome::Fine | Outcome::NotApplicable(_) => None,
    }
}
