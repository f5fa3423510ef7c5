//! A power-law tail by maximum likelihood, and whether it fits at all.
//!
//! Source: Clauset, Shalizi, Newman 2009, *Power-law distributions in empirical data*, SIAM Review 51, 661: eq. 3.1 (exponent), 3.3 (error),
//! section 3.3 (start of the tail), section 4.1 (goodness of fit by synthetic sets).

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
    let law = best(&values, &logs, usize::MAX).ok_or(Unknown::TooFew { found: 0, needed: FEWEST })?;
    // The same starts for the spectrum and for the sets it is compared with.
    let own = if values.len() > STARTS { best(&values, &logs, STARTS).unwrap_or(law) } else { law };
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
    best(&values, &logs, usize::MAX).ok_or(Unknown::TooFew { found: 0, needed: FEWEST })
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

/// Every start of a tail that is tried, with the slope α − 1 of the best law from there: from long tails to short ones.
fn starts<'a>(logs: &'a [f64], sums: &'a [f64], most: usize) -> impl Iterator<Item = (usize, f64)> + 'a {
    let n = logs.len();
    let step = (n / most.min(n)).max(1);
    (0..n - 1).step_by(step).filter_map(move |at| {
        let is_repeated = at > 0 && logs[at] == logs[at - 1];
        let excess = sums[at] - (n - at) as f64 * logs[at];
        (!is_repeated && excess > 0.0).then(|| (at, (n - at) as f64 / excess))
    })
}

/// The start with the smallest distance, among at most `most` of them, evenly spaced in rank. Of equal distances the first counts.
fn best(values: &[f64], logs: &[f64], most: usize) -> Option<PowerLaw> {
    let mut sums = Vec::new();
    tail_sums(logs, &mut sums);
    let (mut best, mut place): (Option<PowerLaw>, usize) = (None, 0);
    for (at, slope) in starts(logs, &sums, most) {
        let limit = best.map_or(f64::INFINITY, |best| best.distance);
        if let Some(distance) = distance(logs, at, slope, limit, &mut place) {
            let tail = logs.len() - at;
            let error = slope / (tail as f64).sqrt();
            best = Some(PowerLaw { alpha: 1.0 + slope, error, start: values[at], tail, distance });
        }
    }
    best
}

/// Points looked at between two comparisons with the limit.
const PIECE: usize = 32;

/// Kolmogorov–Smirnov distance of the tail from `at` on from the law of slope α − 1; `None` as soon as it is not below `limit`.
///
/// * `place`: where to look first, and where the tail that was given up was too far off: the next one mostly is so there too
fn distance(logs: &[f64], at: usize, slope: f64, limit: f64, place: &mut usize) -> Option<f64> {
    let tail = &logs[at..];
    let share = 1.0 / tail.len() as f64;
    let gap = |i: usize| (1.0 - (-slope * (tail[i] - tail[0])).exp() - i as f64 * share).abs();
    if *place > at && gap(*place - at) >= limit {
        return None;
    }
    let mut largest = 0.0f64;
    for first in (0..tail.len()).step_by(PIECE) {
        for i in first..tail.len().min(first + PIECE) {
            let gap = gap(i);
            if gap > largest {
                largest = gap;
                *place = at + i;
            }
        }
        if largest >= limit {
            return None;
        }
    }
    Some(largest)
}

/// Share of synthetic sets that lie further from their own best law than the spectrum does, and its standard error.
///
/// A set has as many values: each from the law with the probability of the tail, otherwise one of the eigenvalues below its start. Only
/// logarithms are drawn, since nothing else enters the distance, and a set is done with at the first start that brings it as near.
fn goodness(logs: &[f64], law: PowerLaw, seed: u64, at: u64) -> (f64, f64) {
    let n = logs.len();
    let body = n - law.tail;
    let (start, slope) = (law.start.ln(), law.alpha - 1.0);
    let (mut set, mut sums) = (vec![0.0; n], Vec::new());
    let worse = (0..SETS as u64).filter(|number| {
        let mut stream = Stream::new(seed, "power-law sets", &[at, *number]);
        set.fill_with(|| {
            if stream.below(n) < body {
                logs[stream.below(body)]
            } else {
                start - (1.0 - stream.uniform()).ln() / slope
            }
        });
        set.sort_unstable_by(f64::total_cmp);
        tail_sums(&set, &mut sums);
        let mut place = 0;
        !starts(&set, &sums, STARTS)
            .any(|(at, slope)| distance(&set, at, slope, law.distance, &mut place).is_some())
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
        let law = best(&values, &logs, 1).unwrap();
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
            let slow = (0..values.len() - 1).filter_map(|at| {
                let tail = &logs[at..];
                let slope = tail.len() as f64 / tail.iter().map(|log| log - tail[0]).sum::<f64>();
                Some((distance(&logs, at, slope, f64::INFINITY, &mut 0)?, at, slope))
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
