//! The border at one place across, as a process or two edges tell it.

use carnot_math::levelset::border::{Crossing, Edge as Side, crossings};
use carnot_math::levelset::process::Guess;

use super::Across;

/// One place across.
#[derive(Clone, Debug, PartialEq)]
pub struct Ray {
    /// The place.
    pub across: Across,
    /// Heights on the first axis, and the chance that it learns there.
    pub chances: Vec<(f64, f64)>,
    /// Place of the largest chance.
    pub(super) best: usize,
    /// The upper edge, by height.
    pub upper: Option<Crossing>,
    /// The lower edge.
    pub lower: Option<Crossing>,
}

impl Ray {
    /// Read off the process.
    pub(super) fn guessed(across: Across, guesses: &[(f64, Guess)]) -> Ray {
        let chances: Vec<(f64, f64)> =
            guesses.iter().map(|(height, guess)| (*height, guess.above())).collect();
        // By the mean: chances may all be one.
        let better = |a: usize, b: usize| guesses[b].1.mean > guesses[a].1.mean;
        let best = (1..guesses.len()).fold(0, |best, at| if better(best, at) { at } else { best });
        let all = crossings(guesses);
        let top = guesses[best].0;
        let upper = all.iter().find(|c| c.edge == Side::Upper && c.at >= top).copied();
        let lower = all.iter().rev().find(|c| c.edge == Side::Lower && c.at <= top).copied();
        Ray { across, chances, best, upper, lower }
    }

    /// Read off the edges.
    pub(super) fn between(
        across: Across,
        chances: Vec<(f64, f64)>,
        upper: Option<Crossing>,
        lower: Option<Crossing>,
    ) -> Ray {
        let better = |a: usize, b: usize| chances[b].1 > chances[a].1;
        let best = (1..chances.len()).fold(0, |best, at| if better(best, at) { at } else { best });
        let has_good = chances[best].1 > 0.5;
        Ray { across, best, upper: upper.filter(|_| has_good), lower: lower.filter(|_| has_good), chances }
    }

    /// Whether its best place learns.
    pub fn has_good(&self) -> bool {
        self.chances[self.best].1 > 0.5
    }

    /// Whether the edge is known to the tolerance, or that there is none.
    pub(super) fn is_known(&self, edge: Option<&Crossing>, tolerance: f64) -> bool {
        match edge {
            Some(edge) => edge.is_bracketed && edge.high - edge.low <= tolerance,
            None => self.chances.iter().all(|(_, chance)| (chance - 0.5).abs() > 0.34),
        }
    }
}
