//! Reading the border off: along rays, where the sign changes, and how sure that is.

use super::process::Guess;
use crate::linalg::large::Cholesky;

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

/// Place, height, and the height's standard error.
type Point<const N: usize> = ([f64; N], f64, f64);

/// A plane through points with errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flat<const N: usize> {
    /// Slope along each axis, and its standard error.
    pub slopes: [(f64, f64); N],
    /// Height where all axes are zero.
    pub height: f64,
}

/// The plane through points by least squares, weighted by their errors.
///
/// The errors of its slopes are the larger of what the errors of the points give and what their scatter gives.
///
/// * `points`: (place, height, standard error of the height > 0)
/// * returns: `None` where the places leave a slope open: fewer than two along an axis, or all of them on one line
#[must_use]
pub fn flat<const N: usize>(points: &[Point<N>]) -> Option<Flat<N>> {
    let weight = |error: f64| 1.0 / (error * error);
    let sum = |of: &dyn Fn(&Point<N>) -> f64| points.iter().map(|p| weight(p.2) * of(p)).sum::<f64>();
    let total = sum(&|_| 1.0);
    let middle: [f64; N] = std::array::from_fn(|a| sum(&|p| p.0[a]) / total);
    let mean = sum(&|p| p.1) / total;
    let spread = |a: usize, b: usize| sum(&|p| (p.0[a] - middle[a]) * (p.0[b] - middle[b]));
    let matrix: Vec<f64> = (0..N * N).map(|at| spread(at / N, at % N)).collect();
    let alone: Vec<f64> = (0..N).map(|a| matrix[a * N + a]).collect();
    if alone.iter().any(|spread| spread.is_nan() || *spread <= 1e-12 * total) {
        return None;
    }
    let factor = Cholesky::of(matrix, N).ok()?;
    // Of the spread along each axis, next to nothing is left beside the others where all places lie on one line.
    if factor.ln_det() < alone.iter().map(|spread| spread.ln()).sum::<f64>() + 1e-9f64.ln() {
        return None;
    }
    let mut slopes: Vec<f64> = (0..N).map(|a| sum(&|p| (p.0[a] - middle[a]) * (p.1 - mean))).collect();
    factor.solve(&mut slopes);
    let at = |place: &[f64; N]| (0..N).map(|a| slopes[a] * (place[a] - middle[a])).sum::<f64>();
    let left = sum(&|p| (p.1 - mean - at(&p.0)).powi(2));
    let free = points.len().saturating_sub(N + 1);
    let scatter = if free > 0 { left / free as f64 } else { 0.0 };
    let inverse = factor.inverse_diagonal();
    Some(Flat {
        slopes: std::array::from_fn(|a| (slopes[a], (scatter.max(1.0) * inverse[a]).sqrt())),
        height: mean + at(&[0.0; N]),
    })
}

/// Slope of a straight line through points with errors, its standard error, and its height at zero: [`flat`] along one axis.
///
/// * `points`: (x, y, standard error of y > 0)
/// * returns: `None` for fewer than two different x
#[must_use]
pub fn slope(points: &[(f64, f64, f64)]) -> Option<(f64, f64, f64)> {
    let points: Vec<Point<1>> = points.iter().map(|&(x, y, error)| ([x], y, error)).collect();
    let flat = flat(&points)?;
    Some((flat.slopes[0].0, flat.slopes[0].1, flat.height))
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

    #[test]
    fn a_plane_is_found_with_the_errors_of_its_points_and_none_through_a_line() {
        let places = (0..12).map(|i| [f64::from(i % 4), f64::from(i / 4)]);
        let points: Vec<_> = places.map(|p| (p, 1.0 - 0.5 * p[0] + 0.25 * p[1], 0.1)).collect();
        let found = flat(&points).unwrap();
        assert!((found.slopes[0].0 + 0.5).abs() < 1e-12 && (found.slopes[1].0 - 0.25).abs() < 1e-12);
        // On a whole grid both axes stand alone: 3 × 5 and 4 × 2 of squares.
        assert!((found.slopes[0].1 - 0.1 / 15f64.sqrt()).abs() < 1e-12, "{found:?}");
        assert!((found.slopes[1].1 - 0.1 / 8f64.sqrt()).abs() < 1e-12, "{found:?}");
        assert!((found.height - 1.0).abs() < 1e-12);
        let line: Vec<_> = (0..5).map(|i| ([f64::from(i), 0.1 + 2.0 * f64::from(i)], 0.3, 0.1)).collect();
        assert_eq!(flat(&line), None);
        assert_eq!(flat::<2>(&[]), None);
    }
}
