//! A power-law tail by maximum likelihood, and whether it fits at all.
//!
//! Source: Clauset, Shalizi, Newman 2009, *Power-law distributions in empirical data*, SIAM Review 51, 661: eq. 3.1 (exponent), 3.3 (error),
//! section 3.3 (start of the tail), section 4.1 (goodness of fit by synthetic sets).

use std::ops::Range;

use carnot_math::device::wide::{Loop, Real, decay, widest};
use carnot_math::random::Stream;
use serde::{Deserialize, Serialize};

use super::alternatives::{Alternatives, compare};
use super::{Answer, Unknown};

/// Fewest eigenvalues that are fitted.
const FEWEST: usize = 20;

/// Synthetic sets drawn. Their share has a standard error of at most 0.05; at the usual limit of 0.1 it is 0.03.
pub const SETS: usize = 100;

/// Most starts of the tail that are tried on synthetic sets, and on the spectrum itself when it is compared with them.
const STARTS: usize = 256;

/// A fitted tail $p(x) \propto x^{-\alpha}$ for $x \ge x_{min}$.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PowerLaw {
    /// Exponent α, > 1.
    pub alpha: f64,
    /// Standard error of α at this start of the tail, $(\alpha - 1)/\sqrt{n}$.
    pub error: f64,
    /// Where the tail starts, in the unit of eigenvalues.
    pub start: f64,
    /// Eigenvalues in the tail, n.
    pub tail: usize,
    /// Kolmogorov–Smirnov distance between tail and law.
    pub distance: f64,
}

/// A fit with what speaks for and against it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// The law.
    pub law: PowerLaw,
    /// Share of synthetic power-law sets that fit worse: below 0.1 a power law is implausible.
    pub p: f64,
    /// Standard error of that share.
    pub p_error: f64,
    /// Other tails on the same eigenvalues.
    pub alternatives: Alternatives,
}

impl Fit {
    /// What the tail is, as far as the evidence goes.
    #[must_use]
    pub fn shape(&self) -> Shape {
        match () {
            () if self.p < 0.1 => Shape::Implausible,
            () if self.alternatives.lognormal_p < 0.05 => Shape::Lognormal,
            () if self.alternatives.exponential_ratio < 0.0 && self.alternatives.exponential_p < 0.1 => {
                Shape::Exponential
            }
            () => Shape::Plausible,
        }
    }
}

/// What a tail is, as far as the evidence goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// A power law cannot be excluded, and nothing tried fits better.
    Plausible,
    /// The synthetic sets exclude it.
    Implausible,
    /// A lognormal tail fits significantly better.
    Lognormal,
    /// An exponential tail fits significantly better.
    Exponential,
}

impl Shape {
    /// As printed.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Shape::Plausible => "plausible",
            Shape::Implausible => "excluded",
            Shape::Lognormal => "lognormal fits better",
            Shape::Exponential => "exponential fits better",
        }
    }
}

/// Fits the tail of a spectrum and judges the fit.
///
/// * `eigenvalues`: ascending, ≥ 0; zeros are left out
/// * `seed`, `at`: address of the random numbers of the synthetic sets
///
/// # Errors
/// [`Unknown::TooFew`] below 20 eigenvalues that are not zero.
pub fn fit(eigenvalues: &[f64], seed: u64, at: u64) -> Answer<Fit> {
    let (values, logs) = positive(eigenvalues)?;
    let mut ranked = Ranked::of(logs);
    let law = best(&values, &mut ranked, usize::MAX).ok_or(Unknown::TooFew { found: 0, needed: FEWEST })?;
    // The same starts for the spectrum and for the sets it is compared with.
    let own =
        if values.len() >= 2 * STARTS { best(&values, &mut ranked, STARTS).unwrap_or(law) } else { law };
    let logs = ranked.logs;
    let (p, p_error) = goodness(&logs, own, seed, at);
    let tail = &logs[logs.len() - law.tail..];
    Ok(Fit { law, p, p_error, alternatives: compare(&values[values.len() - law.tail..], tail) })
}

/// Fits the tail of a spectrum.
///
/// $$ \hat\alpha = 1 + n \Big[\sum_i \ln \frac{x_i}{x_{min}}\Big]^{-1}, \qquad
///    D = \max_i \Big| 1 - (x_i/x_{min})^{1-\hat\alpha} - \frac{i}{n} \Big|,\; i = 0 \dots n-1 $$
///
/// with $x_{min}$ the eigenvalue at which D is smallest.
///
/// # Errors
/// As [`fit`].
pub fn power_law(eigenvalues: &[f64]) -> Answer<PowerLaw> {
    let (values, logs) = positive(eigenvalues)?;
    best(&values, &mut Ranked::of(logs), usize::MAX).ok_or(Unknown::TooFew { found: 0, needed: FEWEST })
}

/// Eigenvalues above rounding, and their logarithms.
fn positive(eigenvalues: &[f64]) -> Answer<(Vec<f64>, Vec<f64>)> {
    let floor = eigenvalues.last().copied().unwrap_or(0.0) * 1e-13;
    let values: Vec<f64> = eigenvalues.iter().copied().filter(|value| *value > floor).collect();
    if values.len() < FEWEST {
        return Err(Unknown::TooFew { found: values.len(), needed: FEWEST });
    }
    let logs = values.iter().map(|value| value.ln()).collect();
    Ok((values, logs))
}

/// Sums of logarithms from each place to the end, one more than there are logarithms.
fn tail_sums(logs: &[f64], sums: &mut Vec<f64>) {
    sums.clear();
    sums.resize(logs.len() + 1, 0.0);
    (0..logs.len()).rev().for_each(|at| sums[at] = sums[at + 1] + logs[at]);
}

/// Starts of a tail looked at together.
const BLOCK: usize = 32;

/// Logarithms in ascending order, with what the search for a start needs.
#[derive(Default)]
struct Ranked {
    logs: Vec<f64>,
    /// Of the logarithms from each place to the end, `[n + 1]`.
    sums: Vec<f64>,
    /// Gaps between a tail and its law.
    gaps: Vec<f64>,
    /// Where to look first: where the tail that was given up last was too far off, the next one mostly is so too.
    place: usize,
}

impl Ranked {
    fn of(logs: Vec<f64>) -> Ranked {
        let mut ranked = Ranked { logs, ..Ranked::default() };
        ranked.prepare();
        ranked
    }

    /// After the logarithms have changed.
    fn prepare(&mut self) {
        tail_sums(&self.logs, &mut self.sums);
        self.gaps.resize(self.logs.len(), 0.0);
        self.place = 0;
    }

    /// Goes through the starts of tails, at most `most` of them, evenly spaced in rank, from long tails to short ones. `found` is told
    /// start, slope α − 1 of the best law from there and distance of each that is nearer than its last answer; `None` ends the search.
    fn search(&mut self, most: usize, limit: f64, mut found: impl FnMut(usize, f64, f64) -> Option<f64>) {
        let step = self.step(most);
        self.search_in(0..(self.logs.len() - 1).div_ceil(step), step, limit, &mut found);
    }

    /// Whether a tail is nearer to its law than `limit`. Which is asked first changes no answer: those from `likely` on are.
    fn is_near(&mut self, most: usize, limit: f64, likely: usize) -> bool {
        let step = self.step(most);
        let starts = (self.logs.len() - 1).div_ceil(step);
        let middle = starts.min(likely / step);
        let mut is_near = false;
        let mut stop = |_, _, _| {
            is_near = true;
            None
        };
        if self.search_in(middle..starts, step, limit, &mut stop) {
            self.search_in(0..middle, step, limit, &mut stop);
        }
        is_near
    }

    fn step(&self, most: usize) -> usize {
        (self.logs.len() / most.min(self.logs.len())).max(1)
    }

    /// [`Ranked::search`] among some of the starts; false when it was ended.
    fn search_in(
        &mut self,
        starts: Range<usize>,
        step: usize,
        mut limit: f64,
        found: &mut impl FnMut(usize, f64, f64) -> Option<f64>,
    ) -> bool {
        let (mut slopes, mut gaps) = ([0.0; BLOCK], [0.0; BLOCK]);
        let mut next = starts.start;
        while next < starts.end {
            let (first, place) = (next, self.place);
            next = starts.end.min(first + BLOCK);
            self.look(first * step, step, &mut slopes[..next - first], &mut gaps);
            for (number, (slope, gap)) in (first..next).zip(slopes.iter().zip(&gaps)) {
                let at = number * step;
                let is_repeated = at > 0 && self.logs[at] == self.logs[at - 1];
                let is_law = *slope > 0.0 && *slope < f64::INFINITY;
                if is_repeated || !is_law || (place > at && *gap >= limit) {
                    continue;
                }
                if let Some(distance) = self.distance(at, *slope, limit) {
                    match found(at, *slope, distance) {
                        Some(nearer) => limit = nearer,
                        None => return false,
                    }
                }
                // Another place to look first.
                next = number + 1;
                break;
            }
        }
        true
    }

    /// Slopes of the best laws from the starts at `first` and every `step` on, and how far off each is at the place to look first.
    fn look(&self, first: usize, step: usize, slopes: &mut [f64], gaps: &mut [f64]) {
        let (mut logs, mut sums) = ([0.0; BLOCK], [0.0; BLOCK]);
        let (from_logs, from_sums) = (&self.logs[first..], &self.sums[first..]);
        if step == 1 {
            let count = slopes.len();
            logs[..count].copy_from_slice(&from_logs[..count]);
            sums[..count].copy_from_slice(&from_sums[..count]);
        } else {
            for (number, (to_log, to_sum)) in logs.iter_mut().zip(&mut sums).take(slopes.len()).enumerate() {
                (*to_log, *to_sum) = (from_logs[number * step], from_sums[number * step]);
            }
        }
        let look = Look {
            logs: &logs,
            sums: &sums,
            size: (self.logs.len() - first) as f64,
            step: step as f64,
            size_at_place: (self.logs.len() - self.place) as f64,
            log: self.logs[self.place],
        };
        widest(look, slopes, gaps, &mut []);
    }

    /// Kolmogorov–Smirnov distance of the tail from `at` on from the law of slope α − 1; `None` as soon as it is not below `limit`.
    fn distance(&mut self, at: usize, slope: f64, limit: f64) -> Option<f64> {
        let (mut largest, mut seen) = ([0.0; LANES], [0.0]);
        widest(Scan { tail: &self.logs[at..], slope, limit }, &mut self.gaps, &mut largest, &mut seen);
        let largest = largest.iter().fold(0.0f64, |most, gap| most.max(*gap));
        let furthest = self.gaps[..seen[0] as usize].iter().rposition(|gap| *gap == largest);
        self.place = at + furthest.unwrap_or(0);
        (largest < limit).then_some(largest)
    }
}

/// How far the share of a tail below one of its values lies from the law's.
///
/// * `rise`: logarithm of the value over the start of the tail, ≥ 0; `share`: of the tail, below the value
#[inline(always)]
fn gap<const FMA: bool>(rise: f64, slope: f64, share: f64) -> f64 {
    (1.0 - decay::<FMA>(-slope * rise) - share).abs()
}

/// Slopes and gaps of many starts at one place.
struct Look<'a> {
    logs: &'a [f64; BLOCK],
    sums: &'a [f64; BLOCK],
    /// Values in the first tail, and how many fewer are in each after it.
    size: f64,
    step: f64,
    /// Values from the place to the end.
    size_at_place: f64,
    /// The logarithm at the place.
    log: f64,
}

impl Loop<f64> for Look<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, slopes: &mut [f64], gaps: &mut [f64], _: &mut [f64]) {
        let starts = self.logs.iter().zip(self.sums).zip(slopes.iter_mut().zip(gaps));
        for (number, ((log, sum), (slope, there))) in starts.enumerate() {
            let size = self.size - f64::from(number as u32) * self.step;
            *slope = size / (sum - size * log);
            *there = gap::<FMA>(self.log - log, *slope, (size - self.size_at_place) / size);
        }
    }
}

/// Gaps side by side.
const LANES: usize = 8;

/// Points looked at between two comparisons with the limit.
const PIECE: usize = 4 * LANES;

/// The gaps of one tail, the largest by lanes, and how many were looked at before one reached the limit.
struct Scan<'a> {
    tail: &'a [f64],
    slope: f64,
    limit: f64,
}

impl Loop<f64> for Scan<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, gaps: &mut [f64], largest: &mut [f64], seen: &mut [f64]) {
        let (start, size) = (self.tail[0], self.tail.len() as f64);
        for (tail, gaps) in self.tail.chunks(PIECE).zip(gaps.chunks_mut(PIECE)) {
            let before = seen[0];
            for (at, (log, there)) in tail.iter().zip(&mut *gaps).enumerate() {
                *there = gap::<FMA>(log - start, self.slope, (before + f64::from(at as u32)) / size);
            }
            for chunk in gaps[..tail.len()].chunks(LANES) {
                for (gap, most) in chunk.iter().zip(&mut *largest) {
                    *most = gap.greatest(*most);
                }
            }
            seen[0] = before + tail.len() as f64;
            if largest.iter().any(|most| *most >= self.limit) {
                return;
            }
        }
    }
}

/// The start with the smallest distance, among at most `most` of them, evenly spaced in rank. Of equal distances the first counts.
fn best(values: &[f64], ranked: &mut Ranked, most: usize) -> Option<PowerLaw> {
    let mut best = None;
    let n = values.len();
    ranked.search(most, f64::INFINITY, |at, slope, distance| {
        let tail = n - at;
        let error = slope / (tail as f64).sqrt();
        best = Some(PowerLaw { alpha: 1.0 + slope, error, start: values[at], tail, distance });
        Some(distance)
    });
    best
}

/// Share of synthetic sets that lie further from their own best law than the spectrum does, and its standard error.
///
/// A set has as many values: each from the law with the probability of the tail, otherwise one of the eigenvalues below its start. Only
/// logarithms are drawn, since nothing else enters the distance, and a set is done with at the first start that brings it as near.
fn goodness(logs: &[f64], law: PowerLaw, seed: u64, at: u64) -> (f64, f64) {
    let n = logs.len();
    let (body, _) = logs.split_at(n - law.tail);
    let (start, slope) = (law.start.ln(), law.alpha - 1.0);
    let (mut set, mut counts, mut tail) = (Ranked::default(), vec![0usize; body.len()], Vec::new());
    let worse = (0..SETS as u64).filter(|number| {
        let mut stream = Stream::new(seed, "power-law sets", &[at, *number]);
        for _ in 0..n {
            if stream.below(n) < body.len() {
                counts[stream.below(body.len())] += 1;
            } else {
                tail.push(start - (1.0 - stream.uniform()).ln() / slope);
            }
        }
        // In order already, but for the draws from the law, which lie above the others.
        tail.sort_unstable_by(f64::total_cmp);
        set.logs.clear();
        for (log, count) in body.iter().zip(&mut counts) {
            set.logs.extend(std::iter::repeat_n(*log, std::mem::take(count)));
        }
        let drawn = set.logs.len();
        set.logs.append(&mut tail);
        set.prepare();
        !set.is_near(STARTS, law.distance, drawn)
    });
    let p = worse.count() as f64 / SETS as f64;
    // One set more than counted, on either side, keeps the error above zero.
    let smoothed = (p * SETS as f64 + 1.0) / (SETS as f64 + 2.0);
    (p, (smoothed * (1.0 - smoothed) / SETS as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_math::stats::Moments;

    /// `n` draws from $p \propto x^{-\alpha}$ above 1, ascending.
    fn draws(alpha: f64, n: usize, seed: u64) -> Vec<f64> {
        let mut stream = Stream::new(seed, "draws", &[]);
        let mut draws: Vec<f64> =
            (0..n).map(|_| (1.0 - stream.uniform()).powf(-1.0 / (alpha - 1.0))).collect();
        draws.sort_by(f64::total_cmp);
        draws
    }

    #[test]
    fn the_exponent_at_a_known_start_is_that_of_the_formula() {
        // x = e^(i/10), i = 0 … 99: mean logarithm 4.95, so α = 1 + 1/4.95 where the whole set is the tail.
        let values: Vec<f64> = (0..100).map(|i| (f64::from(i) / 10.0).exp()).collect();
        let logs: Vec<f64> = values.iter().map(|x| x.ln()).collect();
        let law = best(&values, &mut Ranked::of(logs), 1).unwrap();
        assert!((law.alpha - (1.0 + 1.0 / 4.95)).abs() < 1e-12 && law.tail == 100);
        assert!((law.error - 0.1 / 4.95).abs() < 1e-12);
    }

    #[test]
    fn exponents_of_true_power_laws_are_within_their_errors() {
        // The start is fitted too, which biases by less than an error; means of 60 sets, in standard errors of that mean.
        for alpha in [2.0, 2.5, 3.5] {
            let mut pulls = Moments::default();
            for seed in 0..60 {
                let law = power_law(&draws(alpha, 500, seed)).unwrap();
                pulls.push((law.alpha - alpha) / law.error);
            }
            let (mean, spread) = (pulls.mean(), pulls.variance().sqrt());
            assert!(mean.abs() < 0.8 && spread < 2.0, "α = {alpha}: pulls {mean} ± {spread} (seeds 0 … 59)");
        }
    }

    #[test]
    fn a_start_above_a_body_is_found() {
        // 300 uniform numbers below 1, 300 of a power law above.
        let mut values = draws(3.0, 300, 1);
        let mut stream = Stream::new(1, "body", &[]);
        values.extend((0..300).map(|_| stream.uniform()));
        values.sort_by(f64::total_cmp);
        let law = power_law(&values).unwrap();
        assert!((law.start - 1.0).abs() < 0.25, "{law:?}");
        assert!((law.alpha - 3.0).abs() < 4.0 * law.error, "{law:?}");
    }

    #[test]
    fn the_goodness_of_fit_is_uniform_on_power_laws_and_small_on_others() {
        let small =
            (0..40).filter(|&seed| fit(&draws(2.5, 200, seed), seed, 0).unwrap().p < 0.1).count() as f64;
        let z = (small / 40.0 - 0.1) / (0.09f64 / 40.0).sqrt();
        assert!(z.abs() < 4.0, "{small} of 40 power laws have p < 0.1 (seeds 0 … 39), z = {z}");
        // All of an exponential's 2000 values cannot pass for a power law's tail unless it is cut short.
        let mut stream = Stream::new(3, "exponential", &[]);
        let mut values: Vec<f64> = (0..2000).map(|_| 1.0 - (1.0 - stream.uniform()).ln()).collect();
        values.sort_by(f64::total_cmp);
        let found = fit(&values, 3, 0).unwrap();
        assert!(found.shape() != Shape::Plausible || found.law.tail < 400, "{found:?}");
    }

    #[test]
    fn an_early_stop_changes_nothing() {
        for seed in 0..10 {
            let values = draws(1.8, 150, seed);
            let logs: Vec<f64> = values.iter().map(|x| x.ln()).collect();
            let slow = (0..values.len() - 1).map(|at| {
                let tail = &logs[at..];
                let slope = tail.len() as f64 / tail.iter().map(|log| log - tail[0]).sum::<f64>();
                let gap = |(i, log): (usize, &f64)| {
                    (1.0 - (-slope * (log - tail[0])).exp() - i as f64 / tail.len() as f64).abs()
                };
                (tail.iter().enumerate().map(gap).fold(0.0, f64::max), at, slope)
            });
            let (expect, at, slope) = slow.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            let law = power_law(&values).unwrap();
            assert!(
                (law.distance - expect).abs() < 1e-12
                    && law.tail == 150 - at
                    && (law.alpha - 1.0 - slope).abs() < 1e-9
            );
        }
    }

    #[test]
    fn the_same_address_gives_the_same_bits() {
        let values = draws(2.2, 300, 8);
        assert_eq!(fit(&values, 7, 3), fit(&values, 7, 3));
        assert_ne!(fit(&values, 7, 3).unwrap().p.to_bits(), f64::NAN.to_bits());
        assert_eq!(power_law(&[1.0; 5]), Err(Unknown::TooFew { found: 5, needed: 20 }));
    }
}
