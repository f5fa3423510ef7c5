//! The state of a search, from its points alone: what was seen, where to look next, what the border is so far.

use carnot_math::levelset::border::{Crossing, Edge as Side, crossings, slope};
use carnot_math::levelset::choose::{Place, straddle};
use carnot_math::levelset::process::{Belief, Guess, Process, Seen};
use carnot_math::random::Stream;
use carnot_sim::optimizer::Optimizer;

use super::edges::{Edges, Placed};
use super::foretell::Predicted;
use super::run::{Done, optimizer};
use super::{BorderSpec, Setting};
use crate::error::LabError;
use crate::experiments::Point;

/// Values of the second axis at which theory is asked.
pub const PREDICTED: usize = 5;
/// Values of the second axis at which runs may be made and the border is given.
const ROWS: usize = 12;
/// Places along a ray.
const COLUMNS: usize = 97;
/// Columns of a grid that would find the border by brute force.
pub const GRID_COLUMNS: usize = 24;
/// Decades to either side of the predicted bracket that are searched when no box is given.
const AROUND: f64 = 1.0;
/// Share of the rows whose border must be known for the search to stop.
const ENOUGH: f64 = 0.9;
/// Runs before which the search does not stop.
const LEAST: usize = 10;
/// Length of the second axis in the units of the process, and of a first axis without decades.
const SIDE: f64 = 3.0;
/// Where the first runs stand, in shares of the box, and how far a seed moves them.
const FIRST: f64 = 0.5;
const JITTER: f64 = 0.15;
/// Prior mean of the process without a shape.
const PRIOR: f64 = 0.0;

/// One value of the second axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Ray {
    /// The value.
    pub y: f64,
    /// Heights on the first axis, and the chance that it learns there.
    pub chances: Vec<(f64, f64)>,
    /// Place of the largest chance.
    best: usize,
    /// The upper edge, by height.
    pub upper: Option<Crossing>,
    /// The lower edge.
    pub lower: Option<Crossing>,
}

impl Ray {
    /// Read off the process.
    fn guessed(y: f64, guesses: &[(f64, Guess)]) -> Ray {
        let chances: Vec<(f64, f64)> =
            guesses.iter().map(|(height, guess)| (*height, guess.above())).collect();
        // By the mean: chances may all be one.
        let better = |a: usize, b: usize| guesses[b].1.mean > guesses[a].1.mean;
        let best = (1..guesses.len()).fold(0, |best, at| if better(best, at) { at } else { best });
        let all = crossings(guesses);
        let top = guesses[best].0;
        let upper = all.iter().find(|c| c.edge == Side::Upper && c.at >= top).copied();
        let lower = all.iter().rev().find(|c| c.edge == Side::Lower && c.at <= top).copied();
        Ray { y, chances, best, upper, lower }
    }

    /// Read off the edges.
    fn between(y: f64, chances: Vec<(f64, f64)>, upper: Option<Crossing>, lower: Option<Crossing>) -> Ray {
        let better = |a: usize, b: usize| chances[b].1 > chances[a].1;
        let best = (1..chances.len()).fold(0, |best, at| if better(best, at) { at } else { best });
        let has_good = chances[best].1 > 0.5;
        Ray { y, best, upper: upper.filter(|_| has_good), lower: lower.filter(|_| has_good), chances }
    }

    /// Whether its best place learns.
    pub fn has_good(&self) -> bool {
        self.chances[self.best].1 > 0.5
    }

    /// Whether the edge is known to the tolerance, or that there is none.
    fn is_known(&self, edge: Option<&Crossing>, tolerance: f64) -> bool {
        match edge {
            Some(edge) => edge.is_bracketed && edge.high - edge.low <= tolerance,
            None => self.chances.iter().all(|(_, chance)| (chance - 0.5).abs() > 0.34),
        }
    }
}

/// Why a search ended, or that it has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It goes on.
    No,
    /// The border is known.
    Known,
    /// The runs are spent.
    Spent,
}

/// A search so far.
pub struct Search<'a> {
    spec: &'a BorderSpec,
    predicted: Vec<Predicted>,
    runs: Vec<Done>,
    /// The box on the first axis, by height.
    ends: (f64, f64),
    rays: Vec<Ray>,
    /// Both edges, where the runs have one of each; otherwise a process without a shape reads them.
    edges: Option<Edges>,
}

/// Values of the second axis at which runs may be made.
pub fn rows(spec: &BorderSpec) -> Vec<f64> {
    spec.y.values(spec.y_ends(), ROWS)
}

impl<'a> Search<'a> {
    /// The search after some points.
    ///
    /// # Errors
    /// When a stored point cannot be read.
    pub fn of(spec: &'a BorderSpec, points: &[Point]) -> Result<Search<'a>, LabError> {
        let (mut predicted, mut runs) = (Vec::new(), Vec::new());
        for point in points {
            match point.job.starts_with("theory") {
                true => predicted.push(point.read::<Predicted>()?),
                false => runs.push(point.read::<Done>()?),
            }
        }
        let mut search = Search { spec, predicted, runs, ends: (0.0, 1.0), rays: Vec::new(), edges: None };
        search.ends = search.find_ends();
        search.edges = search.find_edges();
        search.rays = search.find_rays();
        Ok(search)
    }

    /// Its settings.
    pub fn spec(&self) -> &BorderSpec {
        self.spec
    }

    /// The runs, in order.
    pub fn runs(&self) -> &[Done] {
        &self.runs
    }

    /// What theory said.
    pub fn predicted(&self) -> &[Predicted] {
        &self.predicted
    }

    /// The border, and the probabilities around it; empty before the first run.
    pub fn rays(&self) -> &[Ray] {
        &self.rays
    }

    /// The box on the first axis, by height.
    pub fn ends(&self) -> (f64, f64) {
        self.ends
    }

    /// Runs to make beside those made; none when the search has ended.
    pub fn next(&self) -> Vec<(f64, f64)> {
        if self.runs.is_empty() {
            return self.first();
        }
        if self.stop() != Stop::No {
            return Vec::new();
        }
        let count = self.spec.together.min(self.spec.budget - self.runs.len());
        match &self.edges {
            Some(edges) => self.telling(edges, count),
            None => self.straddled(count),
        }
    }

    /// Was a run made there with the only seed?
    fn is_old(&self, height: f64, y: f64) -> bool {
        self.spec.seeds == 1 && self.runs.iter().any(|run| run.y == y && run.x == self.spec.x.value(height))
    }

    /// The places whose outcome is expected to tell most about the edges of their rows, a third of the rows apart.
    fn telling(&self, edges: &Edges, count: usize) -> Vec<(f64, f64)> {
        let mut all = Vec::new();
        for (row, ray) in self.rays.iter().enumerate() {
            for &(height, _) in &ray.chances {
                if !self.is_old(height, ray.y) {
                    all.push((edges.worth(row, height / self.unit(), self.spec.both), row, height));
                }
            }
        }
        // Stable: of equals the first.
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut chosen: Vec<(usize, f64)> = Vec::new();
        let mut apart = self.rays.len().div_ceil(3);
        while chosen.len() < count {
            let is_free = |row: usize| chosen.iter().all(|(other, _)| row.abs_diff(*other) >= apart);
            match all.iter().find(|(_, row, height)| is_free(*row) && !chosen.contains(&(*row, *height))) {
                Some(&(_, row, height)) => chosen.push((row, height)),
                None if apart == 0 => break,
                None => apart /= 2,
            }
        }
        chosen.into_iter().map(|(row, height)| (self.spec.x.value(height), self.rays[row].y)).collect()
    }

    /// The places at which the sign of the process is least sure.
    fn straddled(&self, count: usize) -> Vec<(f64, f64)> {
        let places: Vec<(f64, f64)> =
            self.rays.iter().flat_map(|ray| ray.chances.iter().map(|(height, _)| (*height, ray.y))).collect();
        let of = |&(height, y): &(f64, f64)| Place { at: self.at(height, y), prior: PRIOR };
        let candidates: Vec<Place> = places.iter().map(of).collect();
        let admits = |index: usize| {
            let ray = &self.rays[index / COLUMNS];
            let is_asked = self.spec.both || !ray.has_good() || index % COLUMNS >= ray.best;
            is_asked && !self.is_old(places[index].0, ray.y)
        };
        let chosen = straddle(&self.seen(), &candidates, &self.belief(), count, &admits);
        chosen.into_iter().map(|index| (self.spec.x.value(places[index].0), places[index].1)).collect()
    }

    /// Whether it has ended, and why.
    pub fn stop(&self) -> Stop {
        if self.runs.len() >= LEAST && self.known() >= ENOUGH {
            Stop::Known
        } else if self.runs.len() >= self.spec.budget {
            Stop::Spent
        } else {
            Stop::No
        }
    }

    /// Share of the rows whose border is known to the tolerance.
    pub fn known(&self) -> f64 {
        let tolerance = self.spec.tolerance * self.unit();
        let is_known = |ray: &&Ray| {
            ray.is_known(ray.upper.as_ref(), tolerance)
                && (!self.spec.both || ray.is_known(ray.lower.as_ref(), tolerance))
        };
        self.rays.iter().filter(is_known).count() as f64 / self.rays.len().max(1) as f64
    }

    /// Height of one unit of the first axis: a decade, or a third of the box.
    pub fn unit(&self) -> f64 {
        if self.spec.x.is_log() { 1.0 } else { (self.ends.1 - self.ends.0) / SIDE }
    }

    /// The predicted border at a value of the second axis, by height: a straight line through the middles of the brackets, which scatter from one
    /// drawn network to the next more than the border does.
    pub fn centre(&self, y: f64) -> Option<f64> {
        let of = |p: &Predicted| {
            p.bracket.map(|(a, b)| (self.spec.y.height(p.y), 0.5 * (a.log10() + b.log10()), 1.0))
        };
        let known: Vec<(f64, f64, f64)> = self.predicted.iter().filter_map(of).collect();
        let mean = known.iter().map(|point| point.1).sum::<f64>() / known.len() as f64;
        match slope(&known) {
            Some((slope, _, height)) => Some(height + slope * self.spec.y.height(y)),
            None => (!known.is_empty()).then_some(mean),
        }
    }

    /// Half the width of a bracket, in decades.
    fn half(&self) -> f64 {
        let all: Vec<f64> = self
            .predicted
            .iter()
            .filter_map(|p| p.bracket.map(|(a, b)| 0.5 * (b.log10() - a.log10())))
            .collect();
        all.iter().sum::<f64>() / all.len().max(1) as f64
    }

    fn find_ends(&self) -> (f64, f64) {
        let spec = self.spec;
        let middles = || rows(spec).into_iter().filter_map(|y| self.centre(y));
        let usual = Setting::Rate.usual();
        let (mut low, mut high) = (usual.0.log10(), usual.1.log10());
        if middles().next().is_some() {
            low = middles().fold(f64::INFINITY, f64::min) - self.half() - AROUND;
            high = middles().fold(f64::NEG_INFINITY, f64::max) + self.half() + AROUND;
        }
        let low = spec.x_from.map_or(low, |value| spec.x.height(value));
        let high = spec.x_to.map_or(high, |value| spec.x.height(value));
        // An end that was given may lie beyond the one that was not.
        match (spec.x_from.is_some(), high > low) {
            (_, true) => (low, high),
            (true, false) => (low, low + 3.0 * AROUND),
            (false, false) => (high - 3.0 * AROUND, high),
        }
    }

    /// In the units of the process.
    fn at(&self, height: f64, y: f64) -> [f64; 2] {
        let (low, high) = self.spec.y_ends();
        let (low, high) = (self.spec.y.height(low), self.spec.y.height(high));
        let across = SIDE * (self.spec.y.height(y) - low) / (high - low);
        [(height - self.ends.0) / self.unit(), across]
    }

    fn belief(&self) -> Belief {
        // Outcomes jump at the border: a short length along the first axis is allowed. Along the second the border is smooth, as deep and
        // wide networks differ from their neighbours by little.
        // Seeds differ in where learning ends; so do networks of one seed that are deeper by one layer.
        Belief { lengths: [(0.4, 2.5), (1.5, 9.0)], noise: (0.1, 0.5), size: 0.8 }
    }

    fn seen(&self) -> Vec<Seen> {
        let of = |run: &Done| {
            let height = self.spec.x.height(run.x);
            Seen { at: self.at(height, run.y), value: run.verdict.margin, prior: PRIOR }
        };
        self.runs.iter().map(of).collect()
    }

    /// Both edges, unless the runs contradict them.
    fn find_edges(&self) -> Option<Edges> {
        let (rows, unit, y) = (rows(self.spec), self.unit(), self.spec.y);
        let (first, last) = (y.height(*rows.first()?), y.height(*rows.last()?));
        let across: Vec<f64> = rows.iter().map(|&row| (y.height(row) - first) / (last - first)).collect();
        let of = |run: &Done| {
            let row = rows.iter().position(|&row| row == run.y)?;
            Some(Placed { row, at: self.spec.x.height(run.x) / unit, verdict: run.verdict })
        };
        let runs: Vec<Placed> = self.runs.iter().filter_map(of).collect();
        let ends = (self.ends.0 / unit, self.ends.1 / unit);
        let step = (ends.1 - ends.0) / (COLUMNS - 1) as f64;
        let is_shaped = !runs.is_empty() && rows.len() > 1 && runs.len() == self.runs.len();
        let has_velocity = matches!(optimizer(self.spec), Optimizer::Momentum(_));
        let edges = is_shaped.then(|| Edges::of(&across, ends, step, &runs, has_velocity))?;
        (!edges.is_refuted(&runs)).then_some(edges)
    }

    fn find_rays(&self) -> Vec<Ray> {
        if self.runs.is_empty() {
            return Vec::new();
        }
        let heights = self.lattice();
        if let Some(edges) = &self.edges {
            let unit = self.unit();
            let scaled = |edge: Crossing| Crossing {
                at: edge.at * unit,
                low: edge.low * unit,
                high: edge.high * unit,
                ..edge
            };
            let ray = |(row, y): (usize, f64)| {
                let chances =
                    heights.iter().map(|&height| (height, edges.learns(row, height / unit))).collect();
                Ray::between(y, chances, edges.upper(row).map(scaled), edges.lower(row).map(scaled))
            };
            return rows(self.spec).into_iter().enumerate().map(ray).collect();
        }
        let Some(process) = Process::fit(&self.seen(), &self.belief()) else { return Vec::new() };
        let ray = |y: f64| {
            let guess = |&height: &f64| (height, process.guess(self.at(height, y), PRIOR));
            Ray::guessed(y, &heights.iter().map(guess).collect::<Vec<_>>())
        };
        rows(self.spec).into_iter().map(ray).collect()
    }

    /// Places along a ray, by height; whole values where only whole ones make sense.
    fn lattice(&self) -> Vec<f64> {
        let (low, high) = self.ends;
        let of = |i: usize| low + (high - low) * i as f64 / (COLUMNS - 1) as f64;
        let whole = |height: f64| match self.spec.x.is_whole() {
            true => self.spec.x.height(self.spec.x.value(height).round()),
            false => height,
        };
        (0..COLUMNS).map(|i| whole(of(i))).collect()
    }

    /// The first runs: near the middle of the box, at two values of the second axis.
    fn first(&self) -> Vec<(f64, f64)> {
        let (rows, lattice) = (rows(self.spec), self.lattice());
        let mut of: Vec<f64> = [rows.len() / 4, rows.len() - 1 - rows.len() / 4].map(|at| rows[at]).to_vec();
        of.dedup();
        let mut stream = Stream::new(self.spec.search_seed, "first runs", &[]);
        let mut place = |y: f64| {
            let share = FIRST + JITTER * (2.0 * stream.uniform() - 1.0);
            let height = self.ends.0 + (self.ends.1 - self.ends.0) * share;
            let near = |a: &&f64, b: &&f64| (*a - height).abs().total_cmp(&(*b - height).abs());
            (self.spec.x.value(*lattice.iter().min_by(near).expect("a lattice has places")), y)
        };
        of.into_iter().map(&mut place).collect()
    }
}
