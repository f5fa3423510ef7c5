//! What a random matrix of the same shape and bulk would show: the law of Marchenko and Pastur, and how far its largest eigenvalue strays.
//!
//! For independent entries of variance σ², with n the longer side, m the shorter and $q = m/n$, the eigenvalues of the Gram matrix lie
//! between $\sigma^2(\sqrt n \mp \sqrt m)^2$; the largest strays from the edge by $\sigma^2(\sqrt{n-1} + \sqrt m)\,(1/\sqrt{n-1} + 1/\sqrt m)^{1/3}$
//! times a number of the law of Tracy and Widom.
//!
//! Source: Marchenko, Pastur 1967; Johnstone 2001, Annals of Statistics 29, 295, theorem 1.1; Gavish, Donoho 2014, IEEE IT 60, 5040 (the median).

use carnot_math::solve::root;
use serde::{Deserialize, Serialize};

use super::{Answer, Unknown};

/// Fewest eigenvalues whose median says something of the bulk.
const FEWEST: usize = 20;

/// 99 % of the largest eigenvalues of random matrices lie below this: quantile of the Tracy–Widom law for real matrices.
const TRACY_WIDOM_99: f64 = 2.0234;

/// A spectrum held against that of a random matrix.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Random {
    /// σ of the entries of a random matrix with the same median eigenvalue.
    pub bulk_std: f64,
    /// Upper edge of its spectrum.
    pub edge: f64,
    /// Where 99 % of such matrices end.
    pub limit: f64,
    /// Eigenvalues beyond that.
    pub outliers: usize,
    /// Their share of the sum of all eigenvalues.
    pub outlier_share: f64,
    /// Kolmogorov–Smirnov distance between the eigenvalues and the law, outliers counted as lying at its end.
    pub distance: f64,
}

impl Random {
    /// True when nothing tells the spectrum from that of a random matrix. Eigenvalues repel each other, so that the distance of a random
    /// matrix is far below that of independent numbers: of 200 Gaussian matrices each of 60 × 90, 100 × 100 and 200 × 800 none reached 6/m.
    #[must_use]
    pub fn is_random(&self, eigenvalues: usize) -> bool {
        self.outliers == 0 && self.distance < 6.0 / eigenvalues as f64
    }
}

/// Holds a spectrum against that of a random matrix whose variance is fitted to the median.
///
/// * `eigenvalues`: of the Gram matrix, ascending, as many as the shorter side
/// * `longer`: the longer side
///
/// # Errors
/// [`Unknown::TooFew`] below 20 eigenvalues, [`Unknown::NoBulk`] when the median is zero.
pub fn random(eigenvalues: &[f64], longer: usize) -> Answer<Random> {
    let shorter = eigenvalues.len();
    if shorter < FEWEST {
        return Err(Unknown::TooFew { found: shorter, needed: FEWEST });
    }
    let (n, m) = (longer as f64, shorter as f64);
    let middle = f64::midpoint(eigenvalues[(shorter - 1) / 2], eigenvalues[shorter / 2]);
    let largest = eigenvalues[shorter - 1];
    if middle <= largest * 1e-13 {
        return Err(Unknown::NoBulk);
    }
    let law = Law::new(m / n);
    let variance = middle / (n * law.median());
    let edge = variance * (n.sqrt() + m.sqrt()).powi(2);
    let (long, short) = ((n - 1.0).max(1.0).sqrt(), m.sqrt());
    let centre = variance * (long + short).powi(2);
    let scale = variance * (long + short) * (1.0 / long + 1.0 / short).cbrt();
    let limit = centre + TRACY_WIDOM_99 * scale;
    let beyond: Vec<f64> = eigenvalues.iter().copied().filter(|value| *value > limit).collect();
    let total: f64 = eigenvalues.iter().sum();
    let gap = |(at, value): (usize, &f64)| {
        let below = law.below(value / (variance * n));
        (below - at as f64 / m).abs().max((below - (at + 1) as f64 / m).abs())
    };
    Ok(Random {
        bulk_std: variance.sqrt(),
        edge,
        limit,
        outliers: beyond.len(),
        outlier_share: beyond.iter().fold(0.0, |sum, value| sum + value) / total,
        distance: eigenvalues.iter().enumerate().map(gap).fold(0.0, f64::max),
    })
}

/// The law of $x = \lambda/(n\sigma^2)$ for the shape q = m/n ≤ 1.
struct Law {
    q: f64,
}

impl Law {
    fn new(q: f64) -> Law {
        Law { q }
    }

    /// Share of eigenvalues below x.
    ///
    /// With $x = 1 + q + 2\sqrt q \cos\theta$ the density integrates to
    /// $F = 1 - \frac{2}{\pi}\Big[\frac{(1+q)\theta}{4q} - \frac{\sin\theta}{2\sqrt q} - \frac{1-q}{2q}\arctan\Big(\frac{1-\sqrt q}{1+\sqrt q}\tan\frac\theta2\Big)\Big]$.
    fn below(&self, x: f64) -> f64 {
        let q = self.q;
        let cosine = (x - 1.0 - q) / (2.0 * q.sqrt());
        if cosine <= -1.0 {
            return 0.0;
        }
        if cosine >= 1.0 {
            return 1.0;
        }
        let theta = cosine.acos();
        let root = q.sqrt();
        let inner = (1.0 - root) / (1.0 + root) * (theta / 2.0).tan();
        let area =
            (1.0 + q) * theta / (4.0 * q) - theta.sin() / (2.0 * root) - (1.0 - q) / (2.0 * q) * inner.atan();
        (1.0 - area * std::f64::consts::FRAC_2_PI).clamp(0.0, 1.0)
    }

    fn median(&self) -> f64 {
        let (low, high) = ((1.0 - self.q.sqrt()).powi(2), (1.0 + self.q.sqrt()).powi(2));
        root(|x| self.below(x) - 0.5, low, high, 1e-12)
            .expect("the share rises from 0 to 1 between the edges")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrum::eigenvalues::Gram;
    use carnot_math::random::Stream;

    fn gaussian(rows: usize, columns: usize, seed: u64, std: f64) -> Vec<f32> {
        let mut values = vec![0f32; rows * columns];
        Stream::new(seed, "gaussian", &[]).fill_normal(&mut values, std);
        values
    }

    #[test]
    fn the_law_integrates_its_density() {
        // Midpoint rule on dF/dθ = 2 sin²θ / (π (1 + q + 2√q cos θ)).
        for q in [0.01, 0.25, 0.5, 0.9, 1.0] {
            let law = Law::new(q);
            let (mut area, steps) = (0.0, 20_000);
            for at in 0..steps {
                let theta = std::f64::consts::PI * (1.0 - (f64::from(at) + 0.5) / f64::from(steps));
                let weight = 2.0 * theta.sin().powi(2) / (1.0 + q + 2.0 * q.sqrt() * theta.cos());
                area += weight / f64::from(steps);
                if at % 2000 == 1999 {
                    let end = std::f64::consts::PI * (1.0 - f64::from(at + 1) / f64::from(steps));
                    let got = law.below(1.0 + q + 2.0 * q.sqrt() * end.cos());
                    assert!((got - area).abs() < 1e-6, "q = {q}: {got}, expected {area}");
                }
            }
        }
    }

    #[test]
    fn medians_are_those_of_the_table() {
        // Gavish and Donoho 2014, table IV: ω(β) = λ*(β)/√median(β), with λ* of their eq. 11.
        for (q, omega) in [(0.05f64, 1.5194), (0.25, 1.8371), (0.5, 2.1711), (1.0, 2.8582)] {
            let threshold = (2.0 * (q + 1.0) + 8.0 * q / (q + 1.0 + (q * q + 14.0 * q + 1.0).sqrt())).sqrt();
            let got = threshold / Law::new(q).median().sqrt();
            assert!((got / omega - 1.0).abs() < 1e-3, "q = {q}: ω = {got}, the table has {omega}");
        }
    }

    #[test]
    fn a_gaussian_matrix_has_outliers_as_often_as_it_may() {
        // One in a hundred; 200 matrices of each shape, and a fitted variance adds a little to the spread.
        for (rows, columns) in [(60, 90), (100, 100), (200, 800)] {
            let (mut with, mut furthest) = (0.0, 0.0f64);
            for seed in 0..200 {
                let values = gaussian(rows, columns, seed, 0.02);
                let eigenvalues = Gram::of(&values, rows, columns).unwrap().eigenvalues().unwrap();
                let found = random(&eigenvalues, rows.max(columns)).unwrap();
                with += f64::from(u8::from(found.outliers > 0));
                furthest = furthest.max(found.distance * rows as f64);
                assert!((found.bulk_std / 0.02 - 1.0).abs() < 0.1, "{found:?}");
            }
            let z = (with / 200.0 - 0.01) / (0.0099f64 / 200.0).sqrt();
            assert!(
                z < 4.0,
                "{with} of 200 matrices of {rows} × {columns} have outliers, z = {z} (seeds 0 … 199)"
            );
            assert!(furthest < 6.0, "{rows} × {columns}: m D reaches {furthest}");
        }
    }

    #[test]
    fn a_planted_direction_is_the_only_outlier() {
        // Above the threshold of Baik, Ben Arous and Péché a spike of strength s leaves the bulk: s > (n m)^(1/4) σ.
        let (rows, columns) = (100, 200);
        let mut values = gaussian(rows, columns, 4, 1.0);
        for (row, chunk) in values.chunks_mut(columns).enumerate() {
            let left = if row % 2 == 0 { 1.0 } else { -1.0 };
            chunk.iter_mut().for_each(|w| *w += left * 30.0 / ((rows * columns) as f32).sqrt());
        }
        let eigenvalues = Gram::of(&values, rows, columns).unwrap().eigenvalues().unwrap();
        let found = random(&eigenvalues, columns).unwrap();
        assert_eq!(found.outliers, 1, "{found:?}");
        // σ²(s² + n)(s² + m)/s² for s = 30.
        let expect = 1100.0 * 1000.0 / 900.0;
        assert!(
            (eigenvalues[rows - 1] / expect - 1.0).abs() < 0.1,
            "{} against {expect}",
            eigenvalues[rows - 1]
        );
    }
}
