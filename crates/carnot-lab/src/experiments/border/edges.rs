//! What the runs of a search say about both edges of learning.

use carnot_math::levelset::border::{Crossing, Edge as Side};
use carnot_sim::train::fate::{Fate, Verdict};

use super::edge::{Edge, Plane, Sign};

/// Height beyond both ends of the box that an edge may have, in units of the first axis: then it is not in the box.
const BEYOND: f64 = 0.5;
/// How fast the chance of a lower edge falls with its height over the lower end of the box, in the same units.
const RARE: f64 = 0.4;
/// Passes over both edges, each read with the other as known so far.
const PASSES: usize = 2;
/// Chance that a run whose loss has only just passed the bar at the end of its look falls back before the end of its length, and the power of u with
/// which it goes to none, u being the share of the progress of the best run that is missing. Measured near the upper edge, by sixths of u from the last
/// (`examples/early_verdicts.rs`): 88 of 247, 39 of 265, 17 of 243, 9 of 283, 2 of 257, none of 361 in ten families of gradient descent and Adam.
const FALLS_BACK: (f64, f64) = (0.4, 3.0);
/// The same of descent with a velocity, which goes on gathering speed: 121 of 155, 90 of 163, 90 of 185, 64 of 257, 23 of 290, 1 of 334 in five families.
const FALLS_BACK_WITH_VELOCITY: (f64, f64) = (0.9, 1.5);
/// Least progress below the bar, in shares of the learned loss, by which others are judged.
const PROGRESS: f64 = 0.1;
/// Chance that a run called slow lies below the upper edge. Measured there: 22 of 166 learned in the end, but one in three of the family that is slowest.
const ARRIVES: f64 = 0.25;
/// Chance that a run called stuck learns in the end; it is larger for one that barely missed the bar, and falls off over the next 0.05 of the margin. Measured on
/// fourteen families: of runs nearer than 0.025, 62 of 171 learned, of the next 0.05, 142 of 1974.
const WAKES: f64 = 0.1;
const NEARLY: f64 = 0.4;
const BARELY: f64 = 0.05;
/// Runs that the edges contradict, with this chance at least, before they are given up for a process without a shape.
const REFUTED: usize = 3;
const SURE: f64 = 0.95;

/// One run in its place.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// Its row.
    pub row: usize,
    /// Its height in units of the first axis.
    pub at: f64,
    /// What became of it.
    pub verdict: Verdict,
}

/// Both edges.
pub struct Edges {
    upper: Edge,
    /// With heights turned round.
    lower: Edge,
    ends: (f64, f64),
}

/// Progress of the best run below the bar, in shares of the learned loss.
fn best(runs: &[Placed]) -> f64 {
    let learned = runs.iter().filter(|run| run.verdict.fate == Fate::Learns);
    learned.map(|run| 2.0 * run.verdict.margin - 1.0).fold(PROGRESS, f64::max)
}

/// How a run looks from the upper edge.
fn from_above(run: &Placed, other: f64, best: f64, (most, power): (f64, f64)) -> Sign {
    let Verdict { fate, margin, .. } = run.verdict;
    let doubt = match fate {
        Fate::Learns => most * (1.0 - (2.0 * margin - 1.0) / best).clamp(0.0, 1.0).powf(power),
        Fate::Slow => ARRIVES,
        Fate::Stuck => WAKES + (NEARLY - WAKES) * ((margin + 0.5 + BARELY) / BARELY).clamp(0.0, 1.0),
        Fate::Diverges => 0.0,
    };
    let other = if matches!(fate, Fate::Stuck | Fate::Slow) { other } else { 0.0 };
    // More likely than not to fail: it speaks against the edge.
    let is_below = fate == Fate::Learns && doubt < 0.5;
    let doubt = if fate == Fate::Learns { doubt.min(1.0 - doubt) } else { doubt };
    Sign { row: run.row, at: run.at, is_below, doubt, other }
}

impl Edges {
    /// Both edges after some runs.
    ///
    /// * `across`: places of the rows on both axes across, 0 to 1
    /// * `ends`: the box, in units of the first axis; `step`: of its lattice
    /// * `has_velocity`: whether descent gathers speed, so that a run that has learned well is more often lost later
    #[must_use]
    pub fn of(
        across: &[[f64; 2]],
        ends: (f64, f64),
        step: f64,
        runs: &[Placed],
        has_velocity: bool,
    ) -> Edges {
        let falls = if has_velocity { FALLS_BACK_WITH_VELOCITY } else { FALLS_BACK };
        let pad = (BEYOND / step).ceil();
        let places = ((ends.1 - ends.0) / step).round() as usize + 1 + 2 * pad as usize;
        let plane = Plane { across: across.to_vec(), low: ends.0 - pad * step, step, places };
        let mirror = Plane { low: -(ends.1 + pad * step), ..plane.clone() };
        let even = vec![1.0 / places as f64; places];
        let mut rare: Vec<f64> =
            (0..places).map(|place| (-((places - 1 - place) as f64) * step / RARE).exp()).collect();
        let sum: f64 = rare.iter().sum();
        rare.iter_mut().for_each(|chance| *chance /= sum);
        // Runs that blew up tell nothing about the lower edge; without stuck ones there is nothing to tell apart.
        let is_open = runs.iter().any(|run| matches!(run.verdict.fate, Fate::Stuck | Fate::Slow));
        let best = best(runs);
        let mut lower = Edge::of(&mirror, &rare, &[]);
        let mut pass = 0;
        loop {
            let signs: Vec<Sign> = runs
                .iter()
                .map(|run| from_above(run, (1.0 - lower.above(run.row, -run.at)).min(0.98), best, falls))
                .collect();
            let upper = Edge::of(&plane, &even, &signs);
            if pass == PASSES || !is_open {
                return Edges { upper, lower, ends };
            }
            pass += 1;
            let quiet = runs.iter().filter(|run| run.verdict.fate != Fate::Diverges);
            let of = |run: &Placed| {
                let is_below = run.verdict.fate.is_good();
                let other = if is_below { 0.0 } else { (1.0 - upper.above(run.row, run.at)).min(0.98) };
                Sign { row: run.row, at: -run.at, is_below, doubt: 0.0, other }
            };
            lower = Edge::of(&mirror, &rare, &quiet.map(of).collect::<Vec<_>>());
        }
    }

    /// Chance that a whole run there learns.
    #[must_use]
    pub fn learns(&self, row: usize, at: f64) -> f64 {
        self.upper.above(row, at) * self.lower.above(row, -at)
    }

    /// What a run there is expected to tell, in nats: of the upper edge, and of the lower one where it is asked for.
    #[must_use]
    pub fn worth(&self, row: usize, at: f64, both: bool) -> f64 {
        let upper = self.upper.worth(row, at) * self.lower.above(row, -at);
        if both { upper.max(self.lower.worth(row, -at) * self.upper.above(row, at)) } else { upper }
    }

    /// The upper edge of a row, where it lies in the box; the interval is one of 95 %.
    #[must_use]
    pub fn upper(&self, row: usize) -> Option<Crossing> {
        let of = |share: f64| self.upper.quantile(row, share);
        self.crossing(Side::Upper, [of(0.025), of(0.5), of(0.975)])
    }

    /// The lower edge, likewise.
    #[must_use]
    pub fn lower(&self, row: usize) -> Option<Crossing> {
        let of = |share: f64| -self.lower.quantile(row, share);
        self.crossing(Side::Lower, [of(0.975), of(0.5), of(0.025)])
    }

    fn crossing(&self, edge: Side, [low, at, high]: [f64; 3]) -> Option<Crossing> {
        let (from, to) = self.ends;
        let is_bracketed = low >= from && high <= to;
        (from..=to).contains(&at).then(|| Crossing {
            edge,
            at,
            low: low.max(from),
            high: high.min(to),
            is_bracketed,
        })
    }

    /// Whether several runs contradict one upper and one lower edge: islands, or borders that turn back.
    #[must_use]
    pub fn is_refuted(&self, runs: &[Placed]) -> bool {
        let best = best(runs);
        let contradicts = |run: &&Placed| {
            let chance = self.learns(run.row, run.at);
            match run.verdict.fate {
                Fate::Learns => 2.0 * run.verdict.margin - 1.0 > 0.8 * best && chance < 1.0 - SURE,
                Fate::Slow => false,
                Fate::Stuck | Fate::Diverges => chance > SURE,
            }
        };
        runs.iter().filter(contradicts).count() >= REFUTED.max(runs.len() / 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(learns: impl Fn(f64) -> bool, is_loud: bool) -> Vec<Placed> {
        let of = |i: usize| {
            let at = -1.9 + 0.2 * (i / 2) as f64;
            let fate = match (learns(at), is_loud) {
                (true, _) => Fate::Learns,
                (false, true) => Fate::Diverges,
                (false, false) => Fate::Stuck,
            };
            let margin = if fate == Fate::Learns { 1.0 } else { -0.6 };
            Placed { row: i % 2, at, verdict: Verdict { fate, margin, steps: 9, loss: None } }
        };
        (0..40).map(of).collect()
    }

    fn edges(runs: &[Placed]) -> Edges {
        Edges::of(&[[0.0, 0.0], [1.0, 0.0]], (-2.0, 2.0), 0.04, runs, false)
    }

    #[test]
    fn both_edges_of_a_band_are_told_apart_though_runs_fail_alike_beyond_them() {
        let runs = runs(|at| (-1.0..0.6).contains(&at), false);
        let found = edges(&runs);
        for row in 0..2 {
            assert!((found.upper(row).unwrap().at - 0.6).abs() < 0.12, "{:?}", found.upper(row));
            assert!((found.lower(row).unwrap().at + 1.0).abs() < 0.2, "{:?}", found.lower(row));
        }
        assert!(!found.is_refuted(&runs));
    }

    #[test]
    fn an_island_refutes_the_edges() {
        let runs = runs(|at| at < -0.9 || (0.5..1.5).contains(&at), true);
        assert!(edges(&runs).is_refuted(&runs));
    }
}
