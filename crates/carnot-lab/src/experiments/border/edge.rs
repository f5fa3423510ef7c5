//! The height of an edge over rows, from runs that lie below or above it: a posterior on a lattice, summed exactly.

use std::ops::Range;

/// One run, as an edge sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sign {
    /// Its row.
    pub row: usize,
    /// Its height.
    pub at: f64,
    /// Whether it seems to lie below the edge.
    pub is_below: bool,
    /// Chance that it seems so wrongly, 0 ≤ d ≤ ½.
    pub doubt: f64,
    /// Chance that it fails for another reason than this edge, 0 ≤ q < 1.
    pub other: f64,
}

/// The heights at which an edge may lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// Place of each row on both axes across, from 0 to 1; by the second, then the first.
    pub across: Vec<[f64; 2]>,
    /// Least height.
    pub low: f64,
    /// Height between neighbours of the lattice, > 0.
    pub step: f64,
    /// Places of the lattice.
    pub places: usize,
}

impl Plane {
    fn height(&self, place: usize) -> f64 {
        self.low + self.step * place as f64
    }

    /// The rows as one chain of neighbours: there and back along the first axis across, from value to value of the second.
    fn chain(&self) -> Vec<usize> {
        let mut chain: Vec<usize> = (0..self.across.len()).collect();
        let lines = chain.chunk_by_mut(|&a, &b| self.across[a][1] == self.across[b][1]);
        lines.skip(1).step_by(2).for_each(<[usize]>::reverse);
        chain
    }

    /// Does it reach along the second axis across?
    fn is_wide(&self) -> bool {
        self.across.iter().any(|place| place[1] != self.across[0][1])
    }
}

/// Fall of the edge from the first row to the last, and how far its middle bends, in units of the first axis, and the standard deviations of their
/// prior. Borders of rates fall by half a decade to two over a usual axis.
const SLOPES: [f64; 9] = [-2.0, -1.2, -0.7, -0.3, 0.0, 0.3, 0.7, 1.2, 2.0];
const SLOPE: f64 = 1.0;
/// The same along a second axis across: fewer, as all are tried with all.
const SLOPES_BESIDE: [f64; 7] = [-2.0, -1.0, -0.4, 0.0, 0.4, 1.0, 2.0];
const BENDS: [f64; 3] = [-0.35, 0.0, 0.35];
const BEND: f64 = 0.3;
/// How the fall along one axis changes along the other.
const TWISTS: [f64; 2] = [-0.3, 0.3];
/// Standard deviation by which it wanders off that curve over all rows.
const WANDERS: [f64; 2] = [0.1, 0.3];
/// Widths of the logistic step: drawn networks of one row differ by 0.03 to 0.11 decades, which is 1.8 widths.
const WIDTHS: [f64; 2] = [0.025, 0.06];
/// Share of runs that go as they like.
const LAPSE: f64 = 0.03;
/// Logarithm of a weight that is not worth following.
const NEGLIGIBLE: f64 = 10.0;

/// What is known of an edge.
#[derive(Clone, Debug)]
pub struct Edge {
    plane: Plane,
    /// Of each width, each row: chance of each place.
    chances: Vec<Vec<Vec<f64>>>,
}

/// Chance of a whole run to lie below an edge that is higher by `gap`.
fn step(gap: f64, width: f64) -> f64 {
    1.0 / (1.0 + (-gap / width).exp())
}

/// Chance that a run is seen below the edge.
fn seen(gap: f64, width: f64) -> f64 {
    LAPSE / 2.0 + (1.0 - LAPSE) * step(gap, width)
}

/// A smooth change from row to row.
#[derive(Clone, Copy)]
struct Curve {
    slope: f64,
    bend: f64,
    /// Fall along the second axis across.
    beside: f64,
    /// By how much the fall along one axis changes along the other: height of a corner.
    twist: f64,
    wander: f64,
}

impl Curve {
    fn all(is_wide: bool) -> Vec<Curve> {
        let beside: &[f64] = if is_wide { &SLOPES_BESIDE } else { &[0.0] };
        let mut all = Vec::new();
        for wander in WANDERS {
            for slope in SLOPES {
                for &beside in beside {
                    let plane = Curve { slope, bend: 0.0, beside, twist: 0.0, wander };
                    all.extend(BENDS.map(|bend| Curve { bend, ..plane }));
                    // Both together would be too many: what is left of them is wandering.
                    all.extend(TWISTS.iter().filter(|_| is_wide).map(|&twist| Curve { twist, ..plane }));
                }
            }
        }
        all
    }

    /// Logarithm of its prior weight.
    fn prior(&self) -> f64 {
        let squares = self.slope.powi(2) + self.beside.powi(2);
        -0.5 * (squares / SLOPE.powi(2) + (self.bend / BEND).powi(2) + (self.twist / BEND).powi(2))
    }

    /// How heights of one row are spread over those of the next.
    fn kernels(&self, plane: &Plane, chain: &[usize]) -> Vec<Kernel> {
        let mean = |[t, u]: [f64; 2]| {
            let corner = (2.0 * t - 1.0) * (2.0 * u - 1.0);
            self.slope * t + self.bend * 4.0 * t * (1.0 - t) + self.beside * u + self.twist * corner
        };
        let way = |a: [f64; 2], b: [f64; 2]| (b[0] - a[0]).abs() + (b[1] - a[1]).abs();
        // The way there and back is long, and neighbours across it are near each other all the same: over all of it the edge wanders as over both axes once.
        let whole: f64 = chain.windows(2).map(|pair| way(plane.across[pair[0]], plane.across[pair[1]])).sum();
        let share = if plane.is_wide() { 2.0 / whole } else { 1.0 };
        let of = |pair: &[usize]| {
            let [a, b] = [plane.across[pair[0]], plane.across[pair[1]]];
            let sd = self.wander * (share * way(a, b)).sqrt();
            Kernel::new((mean(b) - mean(a)) / plane.step, sd / plane.step)
        };
        chain.windows(2).map(of).collect()
    }
}

/// A Gaussian on the lattice.
struct Kernel {
    from: isize,
    weights: Vec<f64>,
}

impl Kernel {
    fn new(shift: f64, sd: f64) -> Kernel {
        // Never narrower than the lattice can hold.
        let sd = sd.max(0.4);
        let range: Range<isize> = (shift - 3.5 * sd).floor() as isize..(shift + 3.5 * sd).ceil() as isize + 1;
        let weights: Vec<f64> =
            range.clone().map(|k| (-0.5 * ((k as f64 - shift) / sd).powi(2)).exp()).collect();
        let sum: f64 = weights.iter().sum();
        Kernel { from: range.start, weights: weights.into_iter().map(|w| w / sum).collect() }
    }

    /// What leaves the lattice stays at its end.
    fn pass(&self, now: &[f64]) -> Vec<f64> {
        let mut next = vec![0.0; now.len()];
        let inner = self.inner(now.len());
        for (place, &chance) in now.iter().enumerate().filter(|(_, chance)| **chance > 1e-12) {
            if inner.contains(&place) {
                let first = place.wrapping_add_signed(self.from);
                let reached = &mut next[first..first + self.weights.len()];
                reached.iter_mut().zip(&self.weights).for_each(|(next, weight)| *next += chance * weight);
                continue;
            }
            for (k, &weight) in self.weights.iter().enumerate() {
                next[self.to(place, k, now.len())] += chance * weight;
            }
        }
        next
    }

    /// The chances of what comes later, seen from each height before: the transpose of [`Kernel::pass`], at the ends of the lattice too.
    fn back(&self, later: &[f64]) -> Vec<f64> {
        let mut before = vec![0.0; later.len()];
        let inner = self.inner(later.len());
        // By offset, so that places go side by side.
        for (k, &weight) in self.weights.iter().enumerate() {
            let first = inner.start.wrapping_add_signed(self.from + k as isize);
            let own = &mut before[inner.clone()];
            let reached = later.get(first..).unwrap_or_default();
            own.iter_mut().zip(reached).for_each(|(before, later)| *before += weight * later);
            for place in (0..inner.start).chain(inner.end..later.len()) {
                before[place] += weight * later[self.to(place, k, later.len())];
            }
        }
        before
    }

    /// Places from which nothing leaves the lattice.
    fn inner(&self, places: usize) -> Range<usize> {
        let start = (-self.from).clamp(0, places as isize);
        let end =
            (places as isize - self.from - self.weights.len() as isize + 1).clamp(start, places as isize);
        start as usize..end as usize
    }

    /// Where the offset `k` leads from a place.
    fn to(&self, place: usize, k: usize, places: usize) -> usize {
        (place as isize + self.from + k as isize).clamp(0, places as isize - 1) as usize
    }
}

impl Edge {
    /// The edge after some runs.
    ///
    /// Its height goes from row to row as a Markov chain about a curve, or, over two axes across, about a plane that bends along the first or is twisted; slopes, bend, wandering and the width of the step are summed over, with their
    /// evidence. A run is below the edge with the logistic chance of its distance:
    ///
    /// $$ P(h \mid \text{runs}) \propto \sum_c p(c) \prod_j p(h_{j+1} \mid h_j, c) \prod_i P(\text{run}_i \mid h_{j(i)}) $$
    ///
    /// * `start`: chances of the heights of the chain's first row before any run, `[places]`, sum 1
    ///
    /// Source: forward-backward sums of a hidden Markov chain (Rabiner 1989).
    #[must_use]
    pub fn of(plane: &Plane, start: &[f64], runs: &[Sign]) -> Edge {
        let rows = plane.across.len();
        let (mut kept, mut top) = (Vec::new(), f64::NEG_INFINITY);
        let chain = plane.chain();
        let curves = Curve::all(plane.is_wide());
        for (w, &width) in WIDTHS.iter().enumerate() {
            let all = told(plane, runs, width);
            let told: Vec<Vec<f64>> = chain.iter().map(|&row| all[row].clone()).collect();
            for curve in &curves {
                let kernels = curve.kernels(plane, &chain);
                let Some((ahead, evidence)) = forward(start, &told, &kernels) else { continue };
                let weight = evidence + curve.prior();
                if weight > top - NEGLIGIBLE {
                    top = top.max(weight);
                    kept.push((weight, w, backward(ahead, &told, &kernels)));
                }
            }
        }
        let mut chances = vec![vec![vec![0.0; plane.places]; rows]; WIDTHS.len()];
        let total: f64 = kept.iter().map(|one| (one.0 - top).exp()).sum();
        for (weight, w, marginals) in &kept {
            let share = (weight - top).exp() / total;
            for (&row, own) in chain.iter().zip(marginals) {
                chances[*w][row].iter_mut().zip(own).for_each(|(all, own)| *all += share * own);
            }
        }
        Edge { plane: plane.clone(), chances }
    }

    /// Chance that the edge of a row lies above a height.
    #[must_use]
    pub fn above(&self, row: usize, height: f64) -> f64 {
        self.sum(row, |place, width| step(self.plane.height(place) - height, width))
    }

    /// Height below which the edge lies with this chance.
    #[must_use]
    pub fn quantile(&self, row: usize, share: f64) -> f64 {
        let mut sum = 0.0;
        for place in 0..self.plane.places {
            let own: f64 = self.chances.iter().map(|chances| chances[row][place]).sum();
            if sum + own >= share {
                let inner = if own > 0.0 { (share - sum) / own } else { 0.5 };
                return self.plane.height(place) + self.plane.step * (inner - 0.5);
            }
            sum += own;
        }
        self.plane.height(self.plane.places - 1)
    }

    /// What the outcome of a run there is expected to tell about the edge of its row, in nats.
    #[must_use]
    pub fn worth(&self, row: usize, height: f64) -> f64 {
        let entropy = |p: f64| -p * p.ln() - (1.0 - p) * (1.0 - p).ln();
        let chance = |place: usize, width: f64| seen(self.plane.height(place) - height, width);
        let mean = self.sum(row, chance).clamp(1e-9, 1.0 - 1e-9);
        entropy(mean) - self.sum(row, |place, width| entropy(chance(place, width)))
    }

    fn sum(&self, row: usize, of: impl Fn(usize, f64) -> f64) -> f64 {
        let mut sum = 0.0;
        for (chances, &width) in self.chances.iter().zip(&WIDTHS) {
            let known = chances[row].iter().enumerate().filter(|(_, chance)| **chance > 1e-9);
            sum += known.map(|(place, chance)| chance * of(place, width)).sum::<f64>();
        }
        sum
    }
}

/// Likelihood of the runs of each row at each place.
fn told(plane: &Plane, runs: &[Sign], width: f64) -> Vec<Vec<f64>> {
    let mut told = vec![vec![1.0; plane.places]; plane.across.len()];
    for run in runs {
        for (place, told) in told[run.row].iter_mut().enumerate() {
            let p = seen(plane.height(place) - run.at, width) * (1.0 - run.other);
            let p = p * (1.0 - 2.0 * run.doubt) + run.doubt;
            *told *= if run.is_below { p } else { 1.0 - p };
        }
    }
    told
}

/// Chances of each row given the rows up to it, and the logarithm of the evidence.
fn forward(start: &[f64], told: &[Vec<f64>], kernels: &[Kernel]) -> Option<(Vec<Vec<f64>>, f64)> {
    let (mut ahead, mut evidence, mut now) = (Vec::with_capacity(told.len()), 0.0, start.to_vec());
    for (row, told) in told.iter().enumerate() {
        if row > 0 {
            now = kernels[row - 1].pass(&now);
        }
        now.iter_mut().zip(told).for_each(|(now, told)| *now *= told);
        let sum: f64 = now.iter().sum();
        if sum.is_nan() || sum <= 0.0 {
            return None;
        }
        now.iter_mut().for_each(|now| *now /= sum);
        evidence += sum.ln();
        ahead.push(now.clone());
    }
    Some((ahead, evidence))
}

/// Chances of each row given all rows.
fn backward(mut ahead: Vec<Vec<f64>>, told: &[Vec<f64>], kernels: &[Kernel]) -> Vec<Vec<f64>> {
    let mut later = vec![1.0; told[0].len()];
    for row in (0..told.len()).rev() {
        let sum: f64 = ahead[row].iter().zip(&later).map(|(ahead, later)| ahead * later).sum();
        ahead[row].iter_mut().zip(&later).for_each(|(ahead, later)| *ahead *= later / sum);
        if row > 0 {
            let own: Vec<f64> = later.iter().zip(&told[row]).map(|(later, told)| later * told).collect();
            later = kernels[row - 1].back(&own);
            let most = later.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
            later.iter_mut().for_each(|later| *later /= most);
        }
    }
    ahead
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane() -> Plane {
        let across = (0..6).map(|row| [f64::from(row) / 5.0, 0.0]).collect();
        Plane { across, low: -2.0, step: 0.04, places: 101 }
    }

    fn edge(f: impl Fn(usize) -> f64, count: usize) -> (Edge, Vec<Sign>) {
        let (plane, mut runs) = (plane(), Vec::new());
        let start = vec![1.0 / 101.0; 101];
        loop {
            let edge = Edge::of(&plane, &start, &runs);
            if runs.len() == count {
                return (edge, runs);
            }
            let places = (0..6).flat_map(|row| (0..101).map(move |at| (row, -2.0 + 0.04 * f64::from(at))));
            let worth = |place: &(usize, f64)| edge.worth(place.0, place.1);
            let (row, at) = places.max_by(|a, b| worth(a).total_cmp(&worth(b))).unwrap();
            runs.push(Sign { row, at, is_below: at < f(row), doubt: 0.0, other: 0.0 });
        }
    }

    #[test]
    fn twenty_runs_find_a_smooth_edge_to_a_tenth_and_its_interval_holds_it() {
        let curves: [&dyn Fn(usize) -> f64; 3] =
            [&|row| 0.3 - 0.25 * row as f64, &|_| 0.77, &|row| -0.4 + 0.05 * (row as f64 - 2.5).powi(2)];
        for f in curves {
            let (edge, _) = edge(f, 20);
            for row in 0..6 {
                let found = edge.quantile(row, 0.5);
                assert!((found - f(row)).abs() < 0.1, "row {row}: {found}, is {}", f(row));
                let interval = edge.quantile(row, 0.025)..edge.quantile(row, 0.975);
                assert!(interval.contains(&f(row)), "row {row}: {interval:?}, is {}", f(row));
            }
        }
    }

    /// Over two axes across, four rows by three: forty runs find a surface that falls along one, rises along the other and is no plane.
    #[test]
    fn forty_runs_find_a_smooth_surface_and_its_interval_holds_it() {
        let across = (0..12).map(|row| [f64::from(row % 4) / 3.0, f64::from(row / 4) / 2.0]).collect();
        let plane = Plane { across, ..plane() };
        assert_eq!(plane.chain(), [0, 1, 2, 3, 7, 6, 5, 4, 8, 9, 10, 11]);
        let f = |row: usize| {
            let [t, u] = plane.across[row];
            0.3 - 0.9 * t + 0.6 * u + 0.2 * t * u
        };
        let (start, mut runs) = (vec![1.0 / 101.0; 101], Vec::new());
        while runs.len() < 40 {
            let edge = Edge::of(&plane, &start, &runs);
            let places = (0..12).flat_map(|row| (0..101).map(move |at| (row, -2.0 + 0.04 * f64::from(at))));
            let worth = |place: &(usize, f64)| edge.worth(place.0, place.1);
            let (row, at) = places.max_by(|a, b| worth(a).total_cmp(&worth(b))).unwrap();
            runs.push(Sign { row, at, is_below: at < f(row), doubt: 0.0, other: 0.0 });
        }
        let edge = Edge::of(&plane, &start, &runs);
        for row in 0..12 {
            let found = edge.quantile(row, 0.5);
            assert!((found - f(row)).abs() < 0.1, "row {row}: {found}, is {}", f(row));
            let interval = edge.quantile(row, 0.025)..edge.quantile(row, 0.975);
            assert!(interval.contains(&f(row)), "row {row}: {interval:?}, is {}", f(row));
        }
    }

    /// Runs that all learn leave every row's edge above them, wherever in the lattice that is.
    #[test]
    fn an_edge_beyond_the_lattice_is_no_edge_below_it() {
        let start = vec![1.0 / 101.0; 101];
        let sign = |row: usize| Sign { row, at: 1.9, is_below: true, doubt: 0.02, other: 0.0 };
        let runs: Vec<Sign> = [0, 0, 0, 2, 2, 2, 2, 5, 5].map(sign).to_vec();
        let edge = Edge::of(&plane(), &start, &runs);
        for row in 0..6 {
            assert!(edge.above(row, 1.0) > 0.9, "row {row}: {}", edge.above(row, 1.0));
            let all: f64 = edge.chances.iter().map(|chances| chances[row].iter().sum::<f64>()).sum();
            assert!((all - 1.0).abs() < 1e-6, "row {row}: {all}");
        }
    }

    #[test]
    fn a_run_that_may_have_failed_for_another_reason_says_less() {
        let start = vec![1.0 / 101.0; 101];
        let of = |other: f64, doubt: f64| {
            let run = Sign { row: 2, at: 0.0, is_below: false, doubt, other };
            Edge::of(&plane(), &start, &[run]).above(2, 0.0)
        };
        assert!((of(0.0, 0.0) - 0.0).abs() < 0.1 && of(0.5, 0.0) > of(0.0, 0.0) + 0.1);
        // Without any news the chance is that of the start.
        assert!((of(0.0, 0.5) - 0.5).abs() < 0.1, "{}", of(0.0, 0.5));
    }
}
