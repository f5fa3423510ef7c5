//! The state of a search, from its points alone: what was seen, where to look next, what the border is so far.

use carnot_math::levelset::border::{Crossing, flat};
use carnot_math::levelset::choose::{Place, straddle};
use carnot_math::levelset::process::{Belief, Process, Seen};
use carnot_math::random::Stream;
use carnot_sim::optimizer::Optimizer;

use super::edges::{Edges, Placed};
use super::foretell::Predicted;
use super::ray::Ray;
use super::run::{Done, optimizer};
use super::{Across, BorderSpec, Setting};
use crate::error::LabError;
use crate::experiments::Point;

/// Values of the second axis at which theory is asked; of the second and of the third, where there is one.
const PREDICTED: usize = 5;
const PREDICTED_OF_THREE: usize = 3;
/// Values of the second axis at which runs may be made and the border is given; of the second and of the third, where there is one.
const ROWS: usize = 12;
const ROWS_OF_THREE: (usize, usize) = (6, 5);
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
/// Length of the axes across in the units of the process, and of a first axis without decades.
const SIDE: f64 = 3.0;
/// Where the first runs stand, in shares of the box, and how far a seed moves them.
const FIRST: f64 = 0.5;
const JITTER: f64 = 0.15;
/// Prior mean of the process without a shape.
const PRIOR: f64 = 0.0;

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

/// Places across at which runs may be made, by the third axis, then the second.
pub fn rows(spec: &BorderSpec) -> Vec<Across> {
    places(spec, ROWS, ROWS_OF_THREE)
}

/// Places across at which theory is asked.
pub fn foretold(spec: &BorderSpec) -> Vec<Across> {
    places(spec, PREDICTED, (PREDICTED_OF_THREE, PREDICTED_OF_THREE))
}

fn places(spec: &BorderSpec, of_two: usize, of_three: (usize, usize)) -> Vec<Across> {
    match spec.third() {
        None => Across::all(&spec.y.values(spec.y_ends(), of_two), None),
        Some((z, ends)) => {
            Across::all(&spec.y.values(spec.y_ends(), of_three.0), Some(&z.values(ends, of_three.1)))
        }
    }
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
    pub fn next(&self) -> Vec<(f64, Across)> {
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
    fn is_old(&self, height: f64, across: Across) -> bool {
        let is_there = |run: &Done| run.across == across && run.x == self.spec.x.value(height);
        self.spec.seeds == 1 && self.runs.iter().any(is_there)
    }

    /// The places whose outcome is expected to tell most about the edges of their rows, a third of the rows apart.
    fn telling(&self, edges: &Edges, count: usize) -> Vec<(f64, Across)> {
        let mut all = Vec::new();
        for (row, ray) in self.rays.iter().enumerate() {
            for &(height, _) in &ray.chances {
                if !self.is_old(height, ray.across) {
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
        chosen.into_iter().map(|(row, height)| (self.spec.x.value(height), self.rays[row].across)).collect()
    }

    /// The places at which the sign of the process is least sure.
    fn straddled(&self, count: usize) -> Vec<(f64, Across)> {
        let along = |ray: &Ray| -> Vec<(f64, Across)> {
            ray.chances.iter().map(|(height, _)| (*height, ray.across)).collect()
        };
        let places: Vec<(f64, Across)> = self.rays.iter().flat_map(along).collect();
        let of = |&(height, across): &(f64, Across)| Place { at: self.at(height, across), prior: PRIOR };
        let candidates: Vec<Place> = places.iter().map(of).collect();
        let admits = |index: usize| {
            let ray = &self.rays[index / COLUMNS];
            let is_asked = self.spec.both || !ray.has_good() || index % COLUMNS >= ray.best;
            is_asked && !self.is_old(places[index].0, ray.across)
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

    /// The predicted border at a place across, by height: a straight line, or a plane, through the middles of the brackets, which scatter from one
    /// drawn network to the next more than the border does.
    pub fn centre(&self, across: Across) -> Option<f64> {
        let of = |p: &Predicted| p.bracket.map(|(a, b)| (p.across, 0.5 * (a.log10() + b.log10()), 1.0));
        let known: Vec<(Across, f64, f64)> = self.predicted.iter().filter_map(of).collect();
        let mean = known.iter().map(|point| point.1).sum::<f64>() / known.len() as f64;
        let there = self.heights(across);
        let level = self.level(&known).map(|(slopes, height)| {
            height + slopes.iter().zip(there).map(|((slope, _), at)| slope * at).sum::<f64>()
        });
        level.or((!known.is_empty()).then_some(mean))
    }

    /// Heights of a place across on its axes, of a missing one 0.
    fn heights(&self, across: Across) -> [f64; 2] {
        let third = self.spec.z.zip(across.z).map(|(z, value)| z.height(value));
        [self.spec.y.height(across.y), third.unwrap_or(0.0)]
    }

    /// Slopes of heights along the axes across, with their errors, and the height where both axes are zero; `None` where the places leave them open.
    pub fn level(&self, known: &[(Across, f64, f64)]) -> Option<(Vec<(f64, f64)>, f64)> {
        if self.spec.z.is_some() {
            let points: Vec<_> =
                known.iter().map(|&(across, at, error)| (self.heights(across), at, error)).collect();
            return flat(&points).map(|flat| (flat.slopes.to_vec(), flat.height));
        }
        let points: Vec<_> =
            known.iter().map(|&(across, at, error)| ([self.heights(across)[0]], at, error)).collect();
        flat(&points).map(|flat| (flat.slopes.to_vec(), flat.height))
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
        let middles = || rows(spec).into_iter().filter_map(|across| self.centre(across));
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
    fn at(&self, height: f64, across: Across) -> [f64; 3] {
        let [y, z] = self.shares(across);
        [(height - self.ends.0) / self.unit(), SIDE * y, SIDE * z]
    }

    /// Place across in shares of its axes.
    pub fn shares(&self, across: Across) -> [f64; 2] {
        let share = |setting: Setting, value: f64, (low, high): (f64, f64)| {
            (setting.height(value) - setting.height(low)) / (setting.height(high) - setting.height(low))
        };
        let third = self.spec.third().zip(across.z).map(|((z, ends), value)| share(z, value, ends));
        [share(self.spec.y, across.y, self.spec.y_ends()), third.unwrap_or(0.0)]
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
            Seen { at: self.at(height, run.across), value: run.verdict.margin, prior: PRIOR }
        };
        self.runs.iter().map(of).collect()
    }

    /// Both edges, unless the runs contradict them.
    fn find_edges(&self) -> Option<Edges> {
        let (rows, unit) = (rows(self.spec), self.unit());
        let across: Vec<[f64; 2]> = rows.iter().map(|&row| self.shares(row)).collect();
        let of = |run: &Done| {
            let row = rows.iter().position(|&row| row == run.across)?;
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
            let ray = |(row, across): (usize, Across)| {
                let chances =
                    heights.iter().map(|&height| (height, edges.learns(row, height / unit))).collect();
                Ray::between(across, chances, edges.upper(row).map(scaled), edges.lower(row).map(scaled))
            };
            return rows(self.spec).into_iter().enumerate().map(ray).collect();
        }
        let Some(process) = Process::fit(&self.seen(), &self.belief()) else { return Vec::new() };
        let ray = |across: Across| {
            let guess = |&height: &f64| (height, process.guess(self.at(height, across), PRIOR));
            Ray::guessed(across, &heights.iter().map(guess).collect::<Vec<_>>())
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

    /// The first runs: near the middle of the box, at two places across.
    fn first(&self) -> Vec<(f64, Across)> {
        let (rows, lattice) = (rows(self.spec), self.lattice());
        let mut of: Vec<Across> =
            [rows.len() / 4, rows.len() - 1 - rows.len() / 4].map(|at| rows[at]).to_vec();
        of.dedup();
        let mut stream = Stream::new(self.spec.search_seed, "first runs", &[]);
        let mut place = |across: Across| {
            let share = FIRST + JITTER * (2.0 * stream.uniform() - 1.0);
            let height = self.ends.0 + (self.ends.1 - self.ends.0) * share;
            let near = |a: &&f64, b: &&f64| (*a - height).abs().total_cmp(&(*b - height).abs());
            (self.spec.x.value(*lattice.iter().min_by(near).expect("a lattice has places")), across)
        };
        of.into_iter().map(&mut place).collect()
    }
}
