//! Gaussian averages of whole powers, by counting pairings (Isserlis).

use super::closed::{PairMoments, SingleMoments};
use super::geometry::Geometry;

/// Beyond this exponent the factorials leave double precision.
pub(super) const LARGEST: u32 = 20;

fn factorial(n: u32) -> f64 {
    (1..=n).map(f64::from).product()
}

/// (n − 1)!!, the n-th moment of a standard normal number, for even n.
fn pairings(n: u32) -> f64 {
    (1..n).step_by(2).map(f64::from).product()
}

fn choose(n: u32, k: u32) -> f64 {
    factorial(n) / (factorial(k) * factorial(n - k))
}

/// ⟨x^m y^n⟩ for variances `xx`, `yy` and covariance `xy`; m + n even.
fn moment(m: u32, n: u32, xx: f64, yy: f64, xy: f64) -> f64 {
    (m % 2..=m.min(n))
        .step_by(2)
        .map(|j| {
            let ways = choose(m, j) * choose(n, j) * factorial(j) * pairings(m - j) * pairings(n - j);
            ways * xy.powi(j as i32) * xx.powi((m - j) as i32 / 2) * yy.powi((n - j) as i32 / 2)
        })
        .sum()
}

pub(super) fn single(p: u32, k: f64) -> SingleMoments {
    let mean = if p.is_multiple_of(2) { pairings(p) * k.powi(p as i32 / 2) } else { 0.0 };
    let ss = pairings(2 * p) * k.powi(p as i32);
    let pp = f64::from(p * p) * pairings(2 * p - 2) * k.powi(p as i32 - 1);
    SingleMoments { mean, ss, pp }
}

pub(super) fn pair(p: u32, a: f64, b: f64, c: f64) -> PairMoments {
    PairMoments { ss: moment(p, p, a, b, c), pp: f64::from(p * p) * moment(p - 1, p - 1, a, b, c) }
}

/// E(z₁^p − z₂^p)² as a sum of positive terms in u = z₁ − z₂ and v = z₁ + z₂: z₁^p − z₂^p = 2^(1−p) Σ_{k odd} C(p,k) u^k v^(p−k).
pub(super) fn distance(p: u32, at: &Geometry) -> f64 {
    let covariance = at.a - at.b;
    let mut sum = 0.0;
    for k in (1..=p).step_by(2) {
        for l in (1..=p).step_by(2) {
            let average = moment(k + l, 2 * p - k - l, at.distance, at.sum, covariance);
            sum += choose(p, k) * choose(p, l) * average;
        }
    }
    sum * 0.25f64.powi(p as i32 - 1)
}
