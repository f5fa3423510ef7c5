//! The state of a search, from its points alone: what was seen, where to look next, what the border is so far.

use carnot_math::levelset::border::{Crossing, Edge, crossings, slope};
use carnot_math::levelset::choose::{Place, straddle};
use carnot_math::levelset::process::{Belief, Guess, Process, Seen};
use carnot_math::random::Stream;

use super::run::{Done, Predicted};
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
/// Prior mean. That of a predicted border cost more runs than it saved, in five of six families measured: what theory gives is the box.
const PRIOR: f64 = 0.0;
/// Where the first two runs of a row stand, in shares of the box, and how far a seed moves them.
const FIRST: [f64; 2] = [0.3, 0.75];
const JITTER: f64 = 0.15;

/// One value of the second axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Ray {
    /// The value.
    pub y: f64,
    /// Heights on the first axis, and what is guessed there.
    pub guesses: Vec<(f64, Guess)>,
    /// Place of the largest mean.
    best: usize,
    /// The upper edge, by height.
    pub upper: Option<Crossing>,
    /// The lower edge.
    pub lower: Option<Crossing>,
}

impl Ray {
    fn new(y: f64, guesses: Vec<(f64, Guess)>) -> Ray {
        let better = |a: usize, b: usize| guesses[b].1.mean > guesses[a].1.mean;
        let best = (1..guesses.len()).fold(0, |best, at| if better(best, at) { at } else { best });
        let all = crossings(&guesses);
        let top = guesses[best].0;
        let upper = all.iter().find(|c| c.edge == Edge::Upper && c.at >= top).copied();
        let lower = all.iter().rev().find(|c| c.edge == Edge::Lower && c.at <= top).copied();
        Ray { y, guesses, best, upper, lower }
    }

    /// Whether its best place learns.
    pub fn has_good(&self) -> bool {
        self.guesses[self.best].1.mean > 0.0
    }

    /// Whether the edge is known to the tolerance, or that there is none.
    fn is_known(&self, edge: Option<&Crossing>, tolerance: f64) -> bool {
        match edge {
            Some(edge) => edge.is_bracketed && edge.high - edge.low <= tolerance,
            None => self.guesses.iter().all(|(_, guess)| guess.mean.abs() > guess.sd),
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
        let mut search = Search { spec, predicted, runs, ends: (0.0, 1.0), rays: Vec::new() };
        search.ends = search.find_ends();
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
        let places: Vec<(f64, f64)> =
            self.rays.iter().flat_map(|ray| ray.guesses.iter().map(|(height, _)| (*height, ray.y))).collect();
        let of = |&(height, y): &(f64, f64)| Place { at: self.at(height, y), prior: PRIOR };
        let candidates: Vec<Place> = places.iter().map(of).collect();
        let admits = |index: usize| {
            let ray = &self.rays[index / COLUMNS];
            let is_old = self.spec.seeds == 1
                && self.runs.iter().any(|run| run.y == ray.y && run.x == self.spec.x.value(places[index].0));
            let is_asked = self.spec.both || !ray.has_good() || index % COLUMNS >= ray.best;
            is_asked && !is_old
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

    fn find_rays(&self) -> Vec<Ray> {
        if self.runs.is_empty() {
            return Vec::new();
        }
        let Some(process) = Process::fit(&self.seen(), &self.belief()) else { return Vec::new() };
        let heights = self.lattice();
        let ray = |y: f64| {
            let guess = |&height: &f64| (height, process.guess(self.at(height, y), PRIOR));
            Ray::new(y, heights.iter().map(guess).collect())
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

    /// The first runs: two to both sides of the middle of the box, at three values of the second axis.
    fn first(&self) -> Vec<(f64, f64)> {
        let rows = rows(self.spec);
        let mut of: Vec<f64> = [0, rows.len() - 1, rows.len() / 2].iter().map(|&at| rows[at]).collect();
        of.dedup();
        let mut stream = Stream::new(self.spec.search_seed, "first runs", &[]);
        let mut places = Vec::new();
        for y in of {
            for share in FIRST {
                let moved = JITTER * (2.0 * stream.uniform() - 1.0);
                let height = self.ends.0 + (self.ends.1 - self.ends.0) * (share + moved);
                let lattice = self.lattice();
                let near = |a: &f64, b: &f64| (a - height).abs().total_cmp(&(b - height).abs());
                let height = lattice.into_iter().min_by(near).expect("a lattice has places");
                places.push((self.spec.x.value(height), y));
            }
        }
        places.dedup();
        places.truncate(self.spec.budget);
        places
    }
}
