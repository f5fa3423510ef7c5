//! Reading the border off: along rays, where the sign changes, and how sure that is.

use super::process::Guess;

/// Which way the sign changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// From below to above zero.
    Lower,
    /// From above to below zero.
    Upper,
}

/// One change of sign along a ray.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crossing {
    /// Which way.
    pub edge: Edge,
    /// Where the mean is zero.
    pub at: f64,
    /// Below this the sign is sure at 95 %: |mean| > 1.96 sd.
    pub low: f64,
    /// Above this it is.
    pub high: f64,
    /// Whether both ends lie inside the ray, and not at its end for want of a sure value.
    pub is_bracketed: bool,
}

/// Standard deviations from zero at which a sign is sure.
const SURE: f64 = 1.96;

/// All changes of sign along a ray, in order.
///
/// * `ray`: places in increasing order with what is guessed there, at least 2
#[must_use]
pub fn crossings(ray: &[(f64, Guess)]) -> Vec<Crossing> {
    let mut found = Vec::new();
    for at in 1..ray.len() {
        let ((x0, a), (x1, b)) = (ray[at - 1], ray[at]);
        if (a.mean > 0.0) == (b.mean > 0.0) {
            continue;
        }
        let edge = if a.mean > 0.0 { Edge::Upper } else { Edge::Lower };
        let is_sure =
            |guess: &Guess, sign: bool| guess.mean.abs() > SURE * guess.sd && (guess.mean > 0.0) == sign;
        let below = (0..at).rev().find(|&i| is_sure(&ray[i].1, edge == Edge::Upper));
        let above = (at..ray.len()).find(|&i| is_sure(&ray[i].1, edge == Edge::Lower));
        found.push(Crossing {
            edge,
            at: x0 + (x1 - x0) * a.mean / (a.mean - b.mean),
            low: below.map_or(ray[0].0, |i| ray[i].0),
            high: above.map_or(ray[ray.len() - 1].0, |i| ray[i].0),
            is_bracketed: below.is_some() && above.is_some(),
        });
    }
    found
}

/// Slope of a straight line through points with errors, its standard error, and its height at zero.
///
/// The error is the larger of what the errors of the points give and what their scatter gives.
///
/// * `points`: (x, y, standard error of y > 0)
/// * returns: `None` for fewer than two different x
#[must_use]
pub fn slope(points: &[(f64, f64, f64)]) -> Option<(f64, f64, f64)> {
    let weight = |error: f64| 1.0 / (error * error);
    let sum = |of: &dyn Fn(&(f64, f64, f64)) -> f64| points.iter().map(|p| weight(p.2) * of(p)).sum::<f64>();
    let total = sum(&|_| 1.0);
    let (x, y) = (sum(&|p| p.0) / total, sum(&|p| p.1) / total);
    let spread = sum(&|p| (p.0 - x).powi(2));
    if spread.is_nan() || spread <= 1e-12 * total {
        return None;
    }
    let slope = sum(&|p| (p.0 - x) * (p.1 - y)) / spread;
    let left = sum(&|p| (p.1 - y - slope * (p.0 - x)).powi(2));
    let scatter = if points.len() > 2 { left / (points.len() - 2) as f64 } else { 0.0 };
    Some((slope, (scatter.max(1.0) / spread).sqrt(), y - slope * x))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ray(mean: impl Fn(f64) -> f64, sd: f64) -> Vec<(f64, Guess)> {
        (0..=100).map(|i| f64::from(i) * 0.03).map(|x| (x, Guess { mean: mean(x), sd })).collect()
    }

    #[test]
    fn every_change_of_sign_is_found_with_its_interval() {
        let found = crossings(&ray(|x| (2.0 * x - 1.0).sin(), 0.1));
        assert_eq!(found.iter().map(|c| c.edge).collect::<Vec<_>>(), [Edge::Lower, Edge::Upper]);
        for (crossing, expect) in found.iter().zip([0.5, (1.0 + std::f64::consts::PI) / 2.0]) {
            assert!((crossing.at - expect).abs() < 1e-3, "{crossing:?}");
            // sin 2d = 1.96 · 0.1 at d = 0.099; the lattice adds up to 0.03.
            assert!((crossing.at - crossing.low - 0.099).abs() < 0.031, "{crossing:?}");
            assert!((crossing.high - crossing.at - 0.099).abs() < 0.031, "{crossing:?}");
            assert!(crossing.is_bracketed);
        }
    }

    #[test]
    fn an_unsure_ray_has_no_bracket_and_a_ray_of_one_sign_no_crossing() {
        assert!(!crossings(&ray(|x| 1.0 - x, 5.0))[0].is_bracketed);
        assert!(crossings(&ray(|_| 1.0, 0.1)).is_empty());
    }

    #[test]
    fn a_line_is_found_with_the_error_of_its_points() {
        let points: Vec<_> = (0..5).map(|i| (f64::from(i), 2.0 - 1.5 * f64::from(i), 0.1)).collect();
        let (slope_found, error, height) = slope(&points).unwrap();
        assert!((slope_found + 1.5).abs() < 1e-12 && (height - 2.0).abs() < 1e-12);
        assert!((error - 0.1 / 10f64.sqrt()).abs() < 1e-12, "{error}");
        assert_eq!(slope(&[(1.0, 2.0, 0.1), (1.0, 3.0, 0.1)]), None);
    }
}
