//! Numbers that say how sure they are: running moments, standard errors, and the tests that compare with a prediction.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF, StudentsT};

/// A measured or predicted number with its uncertainty.
///
/// Theory has `error` 0 (or its quadrature error), `n` 0, and a `spread` from the 1/n terms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Best value, in the unit of the quantity.
    pub value: f64,
    /// Standard error of the value, ≥ 0, same unit.
    pub error: f64,
    /// Standard deviation between members (networks, samples), ≥ 0, same unit.
    pub spread: f64,
    /// Number of members that were averaged; 0 when nothing was sampled.
    pub n: u64,
}

impl Estimate {
    /// A number that is known exactly.
    pub fn exact(value: f64) -> Self {
        Self { value, ..Self::default() }
    }
}

/// Running count, mean and central moment sums up to the fourth.
///
/// Stable for means far larger than the spread. Merging the same parts in the same order gives the same bits.
///
/// $$ M_k = \sum_i (x_i - \bar x)^k $$
///
/// Source: Chan, Golub, LeVeque 1983; Pébay 2008, SAND2008-6212, eq. 2.1 and 3.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    n: u64,
    mean: f64,
    m2: f64,
    m3: f64,
    m4: f64,
}

impl Moments {
    /// Moments of all values of a slice.
    pub fn of(values: &[f64]) -> Self {
        let mut moments = Self::default();
        values.iter().for_each(|&value| moments.push(value));
        moments
    }

    /// Adds one value.
    pub fn push(&mut self, value: f64) {
        self.merge(&Self { n: 1, mean: value, ..Self::default() });
    }

    /// Adds all values of another set.
    pub fn merge(&mut self, other: &Self) {
        if other.n == 0 {
            return;
        }
        if self.n == 0 {
            *self = *other;
            return;
        }
        let (a, b) = (self.n as f64, other.n as f64);
        let n = a + b;
        let delta = other.mean - self.mean;
        let step = delta / n;
        let product = delta * step * a * b; // δ² ab / n
        self.m4 += other.m4
            + product * step * step * (a * a - a * b + b * b)
            + 6.0 * step * step * (a * a * other.m2 + b * b * self.m2)
            + 4.0 * step * (a * other.m3 - b * self.m3);
        self.m3 += other.m3 + product * step * (a - b) + 3.0 * step * (a * other.m2 - b * self.m2);
        self.m2 += other.m2 + product;
        self.mean += step * b;
        self.n += other.n;
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.n
    }

    /// Mean; 0 before the first value.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Unbiased variance between values; NaN below two values.
    pub fn variance(&self) -> f64 {
        if self.n < 2 { f64::NAN } else { self.m2 / (self.n - 1) as f64 }
    }

    /// Standard error of the mean; NaN below two values.
    pub fn error(&self) -> f64 {
        (self.variance() / self.n as f64).sqrt()
    }

    /// Standard error of the variance, from the fourth moment, so that heavy tails are not underestimated.
    ///
    /// $$ \mathrm{Var}(s^2) = \frac1n \left( \mu_4 - \frac{n-3}{n-1} s^4 \right) $$
    ///
    /// NaN below four values.
    pub fn variance_error(&self) -> f64 {
        if self.n < 4 {
            return f64::NAN;
        }
        let n = self.n as f64;
        ((self.m4 / n - (n - 3.0) / (n - 1.0) * self.variance().powi(2)) / n).max(0.0).sqrt()
    }

    /// Skewness, 0 for a symmetric law.
    pub fn skewness(&self) -> f64 {
        (self.n as f64).sqrt() * self.m3 / self.m2.powf(1.5)
    }

    /// Excess kurtosis, 0 for a normal law.
    pub fn excess_kurtosis(&self) -> f64 {
        self.n as f64 * self.m4 / (self.m2 * self.m2) - 3.0
    }

    /// The mean as an estimate: value, standard error, spread between values.
    pub fn estimate(&self) -> Estimate {
        Estimate { value: self.mean, error: self.error(), spread: self.variance().sqrt(), n: self.n }
    }

    /// The variance as an estimate. Its `spread` is that of one squared deviation.
    pub fn variance_estimate(&self) -> Estimate {
        let error = self.variance_error();
        Estimate { value: self.variance(), error, spread: error * (self.n as f64).sqrt(), n: self.n }
    }
}

/// How many combined standard errors lie between two numbers, signed (measured − predicted).
///
/// Equal numbers without error give 0; different numbers without error give ±∞.
pub fn z_score(measured: Estimate, predicted: Estimate) -> f64 {
    let difference = measured.value - predicted.value;
    if difference == 0.0 { 0.0 } else { difference / measured.error.hypot(predicted.error) }
}

/// Probability that χ² with `dof` degrees of freedom (> 0) exceeds `chi2`; NaN outside the range.
pub fn chi_squared_tail(chi2: f64, dof: f64) -> f64 {
    match ChiSquared::new(dof) {
        Ok(law) if chi2 >= 0.0 => law.sf(chi2),
        _ => f64::NAN,
    }
}

/// Whether several means agree with predicted ones when the numbers are correlated (Hotelling's test).
///
/// $$ T^2 = N (\bar x - \mu)^T S^{-1} (\bar x - \mu), \qquad \frac{N-p}{p(N-1)} T^2 \sim F(p, N-p) $$
///
/// * `samples`: N independent vectors of p numbers, nearly Gaussian; N > p + 1
/// * `predicted`: p numbers
/// * returns: T² and the probability of a larger one; `None` when there are too few samples, or their covariance is
///   singular
pub fn hotelling(samples: &[Vec<f64>], predicted: &[f64]) -> Option<(f64, f64)> {
    use statrs::distribution::{ContinuousCDF, FisherSnedecor};
    let (count, p) = (samples.len(), predicted.len());
    if p == 0 || count < p + 2 || samples.iter().any(|sample| sample.len() != p) {
        return None;
    }
    let n = count as f64;
    let mean: Vec<f64> = (0..p).map(|i| samples.iter().map(|s| s[i]).sum::<f64>() / n).collect();
    let scale: Vec<f64> = (0..p)
        .map(|i| (samples.iter().map(|s| (s[i] - mean[i]).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
        .collect();
    // Correlations instead of covariances: layers may differ in size by many orders.
    let mut correlation = vec![0.0; p * p];
    for i in 0..p {
        for j in 0..p {
            let product = |s: &Vec<f64>| (s[i] - mean[i]) * (s[j] - mean[j]);
            correlation[i * p + j] =
                samples.iter().map(product).sum::<f64>() / (n - 1.0) / (scale[i] * scale[j]);
        }
    }
    let off: Vec<f64> = (0..p).map(|i| (mean[i] - predicted[i]) / scale[i]).collect();
    let solved = crate::linalg::solve_spd(&correlation, p, &off).ok()?;
    let t2 = n * off.iter().zip(&solved).map(|(a, b)| a * b).sum::<f64>();
    let law = FisherSnedecor::new(p as f64, n - p as f64).ok()?;
    let f = (n - p as f64) / (p as f64 * (n - 1.0)) * t2;
    f.is_finite().then(|| (t2, law.sf(f.max(0.0))))
}

/// Probability that a standard normal number is further from 0 than `z` (two-sided), accurate in the far tail.
///
/// $$ p = \mathrm{erfc}(|z| / \sqrt 2) $$
pub fn normal_tail(z: f64) -> f64 {
    libm::erfc(z.abs() * std::f64::consts::FRAC_1_SQRT_2)
}

/// ln Φ(x), the logarithm of the normal distribution function, accurate in both tails.
pub fn ln_normal_cdf(x: f64) -> f64 {
    use std::f64::consts::{FRAC_1_SQRT_2, TAU};
    if x > 0.0 {
        (-0.5 * libm::erfc(x * FRAC_1_SQRT_2)).ln_1p()
    } else if x > -30.0 {
        (0.5 * libm::erfc(-x * FRAC_1_SQRT_2)).ln()
    } else {
        // Φ(x) |x| / φ(x) by its asymptotic series; the first term left out is below 2e-12.
        let y = 1.0 / (x * x);
        let series = 1.0 - y * (1.0 - 3.0 * y * (1.0 - 5.0 * y * (1.0 - 7.0 * y)));
        -0.5 * (x * x + TAU.ln()) - (-x).ln() + series.ln()
    }
}

/// Quantile of Student's t: half the width of an interval of a mean of few numbers, in standard errors.
///
/// * `share`: 0 to 1, exclusive; 0.975 for a two-sided interval of 95 %
/// * `dof`: degrees of freedom, > 0; NaN otherwise
#[must_use]
pub fn student_quantile(share: f64, dof: f64) -> f64 {
    StudentsT::new(0.0, 1.0, dof).map_or(f64::NAN, |law| law.inverse_cdf(share))
}

/// How well samples agree with a predicted mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// What the samples gave.
    pub measured: Estimate,
    /// What was predicted.
    pub predicted: f64,
    /// Signed distance in standard errors.
    pub z: f64,
    /// Probability of a distance this large if the prediction is right (two-sided, normal).
    pub p: f64,
}

/// Compares the mean of samples with a prediction.
pub fn agreement(samples: &[f64], predicted: f64) -> Agreement {
    let measured = Moments::of(samples).estimate();
    let z = z_score(measured, Estimate::exact(predicted));
    Agreement { measured, predicted, z, p: normal_tail(z) }
}

/// Pearson's correlation of some pairs. Range: −1 to 1; `None` when one side is constant, or there are no pairs.
///
/// Source: Pearson 1895.
#[must_use]
pub fn pearson(pairs: &[(f64, f64)]) -> Option<f64> {
    let n = pairs.len() as f64;
    let (a, b) = pairs.iter().fold((0.0, 0.0), |(a, b), pair| (a + pair.0, b + pair.1));
    let (a, b) = (a / n, b / n);
    let sum = |of: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|pair| of(pair.0 - a, pair.1 - b)).sum::<f64>();
    let (x, y) = (sum(&|x, _| x * x), sum(&|_, y| y * y));
    // What rounding of the mean leaves of equal numbers is no spread.
    let has_spread = |square: f64, mean: f64| square > n * (1e-14 * mean).powi(2);
    let is_known = has_spread(x, a) && has_spread(y, b) && (x * y).is_finite();
    is_known.then(|| (sum(&|x, y| x * y) / (x.sqrt() * y.sqrt())).clamp(-1.0, 1.0))
}

/// Spearman's rank correlation of some pairs, ties at their mean rank. Range: −1 to 1; `None` when one side is constant.
///
/// Source: Spearman 1904.
#[must_use]
pub fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let a = ranks(&pairs.iter().map(|pair| pair.0).collect::<Vec<_>>());
    let b = ranks(&pairs.iter().map(|pair| pair.1).collect::<Vec<_>>());
    pearson(&a.into_iter().zip(b).collect::<Vec<_>>())
}

/// What is left of the correlation of x and y when both are cleared of z: $(r_{xy} - r_{xz} r_{yz})/\sqrt{(1 - r_{xz}^2)(1 - r_{yz}^2)}$.
/// `None` when z tells x or y exactly.
///
/// Source: Yule 1907.
#[must_use]
pub fn partial_correlation(xy: f64, xz: f64, yz: f64) -> Option<f64> {
    let left = (1.0 - xz * xz) * (1.0 - yz * yz);
    (left > 1e-12).then(|| ((xy - xz * yz) / left.sqrt()).clamp(-1.0, 1.0))
}

/// Ranks from 0, ties at the mean of their places.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let equal = order[start..].iter().take_while(|&&at| values[at] == values[order[start]]).count();
        let mean = start as f64 + (equal as f64 - 1.0) / 2.0;
        order[start..start + equal].iter().for_each(|&at| ranks[at] = mean);
        start += equal;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Abramowitz and Stegun, table 26.10.
    #[test]
    fn quantiles_of_student_are_those_of_the_tables() {
        for (share, dof, expect) in [(0.975, 1.0, 12.706), (0.975, 9.0, 2.262), (0.95, 5.0, 2.015)] {
            let found = student_quantile(share, dof);
            assert!((found - expect).abs() < 1e-3, "{share} {dof}: {found}");
        }
        assert!(student_quantile(0.975, 0.0).is_nan());
    }
    use crate::random::Stream;

    #[test]
    fn correlations_are_those_of_the_definition() {
        let line: Vec<(f64, f64)> = (0..9).map(|x| (f64::from(x), 3.0 - 0.1 * f64::from(x))).collect();
        assert!((pearson(&line).unwrap() + 1.0).abs() < 1e-14);
        // Anscombe's first set, 1973: 0.81642 to five digits.
        let x = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0];
        let y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68];
        let set: Vec<(f64, f64)> = x.into_iter().zip(y).collect();
        assert!((pearson(&set).unwrap() - 0.81642).abs() < 5e-6);
        for constant in [0.0, 1.0, 0.1, -1e9] {
            let pairs: Vec<(f64, f64)> = (0..9).map(|x| (f64::from(x), constant)).collect();
            assert_eq!(pearson(&pairs), None, "{constant}");
        }
        assert_eq!(pearson(&[]), None);
    }

    /// Of three numbers with that correlation matrix, the residuals of the regressions on the third.
    #[test]
    fn a_partial_correlation_is_that_of_what_the_third_does_not_tell() {
        let mut stream = Stream::new(4, "three numbers", &[]);
        let triples: Vec<[f64; 3]> = (0..5000)
            .map(|_| {
                let (z, a, b): (f64, f64, f64) = (stream.normal(), stream.normal(), stream.normal());
                [z + a, 0.5 * z + a + b, z]
            })
            .collect();
        let of =
            |i: usize, j: usize| pearson(&triples.iter().map(|t| (t[i], t[j])).collect::<Vec<_>>()).unwrap();
        let slope = |i: usize| {
            let (up, down) = triples.iter().fold((0.0, 0.0), |(u, d), t| (u + t[i] * t[2], d + t[2] * t[2]));
            up / down
        };
        let (s, t) = (slope(0), slope(1));
        let left: Vec<(f64, f64)> = triples.iter().map(|x| (x[0] - s * x[2], x[1] - t * x[2])).collect();
        let found = partial_correlation(of(0, 1), of(0, 2), of(1, 2)).unwrap();
        assert!((found - pearson(&left).unwrap()).abs() < 1e-3, "{found}");
        assert!((found - 0.5f64.sqrt()).abs() < 4.0 * 0.5 / 5000f64.sqrt(), "{found}");
        assert_eq!(partial_correlation(0.5, 1.0, 0.5), None);
    }

    fn direct(values: &[f64]) -> [f64; 4] {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let sum = |k| values.iter().map(|x| (x - mean).powi(k)).sum::<f64>();
        [mean, sum(2), sum(3), sum(4)]
    }

    #[test]
    fn merged_moments_equal_the_sums_by_definition() {
        let mut values = vec![0f64; 1000];
        Stream::new(1, "moments", &[]).fill_uniform(&mut values, 0.0, 1.0);
        values.iter_mut().for_each(|x| *x = x.powi(3));
        let [mean, m2, m3, m4] = direct(&values);
        for cut in [0, 1, 17, 500, 1000] {
            let mut moments = Moments::of(&values[..cut]);
            moments.merge(&Moments::of(&values[cut..]));
            for (got, expect) in [(moments.mean, mean), (moments.m2, m2), (moments.m3, m3), (moments.m4, m4)]
            {
                assert!((got / expect - 1.0).abs() < 1e-12, "cut {cut}: {got}, expected {expect}");
            }
        }
    }

    #[test]
    fn a_large_mean_does_not_drown_the_variance() {
        let values: Vec<f64> = (0..1000).map(|i| 1e9 + f64::from(i % 2)).collect();
        let variance = Moments::of(&values).variance();
        assert!((variance - 0.25 * 1000.0 / 999.0).abs() < 1e-9, "{variance}");
    }

    #[test]
    fn errors_cover_the_truth_as_often_as_they_should() {
        // 400 experiments of 200 normal draws: z of mean and of variance must have unit variance.
        let (mut of_mean, mut of_variance) = (Moments::default(), Moments::default());
        for experiment in 0..400 {
            let mut values = vec![0f64; 200];
            Stream::new(8, "cover", &[experiment]).fill_normal(&mut values, 2.0);
            let moments = Moments::of(&values);
            of_mean.push(moments.mean() / moments.error());
            of_variance.push((moments.variance() - 4.0) / moments.variance_error());
        }
        for z in [of_mean, of_variance] {
            let score = (z.variance() - 1.0) / z.variance_error();
            assert!(score.abs() < 4.0, "variance of z is {} (seed 8), {score} errors from 1", z.variance());
        }
    }

    #[test]
    fn tails_match_tables() {
        assert!((normal_tail(1.959963984540054) - 0.05).abs() < 1e-15);
        assert!((normal_tail(-10.0) / 1.523970604832105e-23 - 1.0).abs() < 1e-10);
        assert!((chi_squared_tail(3.841458820694124, 1.0) - 0.05).abs() < 1e-10);
        assert!((chi_squared_tail(18.307038053275146, 10.0) - 0.05).abs() < 1e-10);
        assert!(chi_squared_tail(-1.0, 3.0).is_nan() && chi_squared_tail(1.0, 0.0).is_nan());
    }

    #[test]
    fn logarithms_of_the_normal_law_match_tables_and_join() {
        // From 40-digit arithmetic.
        let table = [
            (0.0, -std::f64::consts::LN_2),
            (1.0, -0.1727537790234499),
            (-1.0, -1.8410216450092636),
            (8.0, -6.220960574271786e-16),
            (-10.0, -53.23128515051247),
            (-40.0, -804.6084420137538),
        ];
        for (x, expect) in table {
            let got = ln_normal_cdf(x);
            assert!((got / expect - 1.0).abs() < 1e-13, "{x}: {got}, expected {expect}");
        }
        let join = ln_normal_cdf(-30.0 + 1e-9) - ln_normal_cdf(-30.0);
        assert!((join - 30.03e-9).abs() < 1e-10, "{join}");
    }

    #[test]
    fn z_score_combines_both_errors() {
        let measured = Estimate { value: 2.0, error: 0.3, spread: 1.0, n: 10 };
        let predicted = Estimate { value: 1.0, error: 0.4, spread: 0.0, n: 0 };
        assert!((z_score(measured, predicted) - 2.0).abs() < 1e-15);
        assert_eq!(z_score(Estimate::exact(1.0), Estimate::exact(1.0)), 0.0);
        assert_eq!(z_score(Estimate::exact(1.0), Estimate::exact(2.0)), f64::NEG_INFINITY);
    }

    #[test]
    fn agreement_reports_distance_and_probability() {
        let agreement = agreement(&[0.9, 1.0, 1.1, 1.0], 1.0);
        assert!(agreement.z.abs() < 1e-9 && agreement.p > 0.99);
    }

    #[test]
    fn hotelling_knows_the_correlation_of_its_numbers() {
        // Two numbers of correlation 0.95 whose means are right: the plain sum of z² would be far too wide.
        let mut tails = Vec::new();
        for trial in 0..200 {
            let mut stream = crate::random::Stream::new(3, "hotelling", &[trial]);
            let sample = |_: usize| -> Vec<f64> {
                let (a, b): (f64, f64) = (stream.normal(), stream.normal());
                vec![a, 0.95 * a + (1.0f64 - 0.95 * 0.95).sqrt() * b]
            };
            let samples: Vec<Vec<f64>> = (0..30).map(sample).collect();
            tails.push(hotelling(&samples, &[0.0, 0.0]).expect("enough samples").1);
        }
        let below = tails.iter().filter(|&&tail| tail < 0.1).count() as f64 / 200.0;
        // A tail is uniform: 10 % ± 2.1 % lie below 0.1.
        assert!((below - 0.1).abs() < 4.0 * 0.0212, "{below}");
        let off = hotelling(
            &(0..30).map(|i| vec![f64::from(i % 3), f64::from(i % 5)]).collect::<Vec<_>>(),
            &[1.0, 4.0],
        );
        assert!(off.expect("enough samples").1 < 1e-6);
    }
}
