//! Gaussian averages of GELU, z Φ(z), by Stein's lemma.

use std::f64::consts::PI;

use super::closed::PairMoments;
use super::geometry::{Geometry, geometric_mean};

/// Nodes and weights of eight-point Gauss–Legendre on [−1, 1], right half.
const LEGENDRE: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_29),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
    (0.960_289_856_497_536_2, 0.101_228_536_290_376_26),
];

/// Mean of f over [low, high]; the functions here are analytic far beyond these short intervals.
fn mean_over(low: f64, width: f64, f: impl Fn(f64) -> f64) -> f64 {
    let at = |x: f64| f(low + 0.5 * width * (1.0 + x));
    LEGENDRE.iter().map(|(x, w)| 0.5 * w * (at(*x) + at(-x))).sum()
}

/// ⟨s₁s₂⟩ and ⟨s₁′s₂′⟩ (sheet 2.1 of the theory chapter).
pub(super) fn pair(a: f64, b: f64, c: f64, determinant: f64) -> PairMoments {
    let root = (1.0 + a + b + determinant).sqrt();
    let g = 1.0 / (1.0 + a) + 1.0 / (1.0 + b);
    let both = 0.25 + c.atan2(root) / (2.0 * PI);
    let q = 1.0 / (2.0 * PI * root);
    let ss = c * both + q * (determinant + c * c * g);
    let pp = both + q * (c * g + c / (root * root));
    PairMoments { ss, pp }
}

/// E(s₁−s₂)² without cancellation.
///
/// Close inputs: 2∫⟨s₁′s₂′⟩dt over the covariance lost to the angle, plus the squared difference along the common
/// direction, ∫∫⟨u²s′(ru)s′(r′u)⟩ dr dr′ between the two standard deviations. Both integrands are positive.
pub(super) fn distance(at: &Geometry) -> f64 {
    let Geometry { a, b, c, distance, determinant, gap, .. } = *at;
    if distance > 1e-3 * (a + b) {
        let single = |k: f64| pair(k, k, k, 0.0).ss;
        return single(a) + single(b) - 2.0 * pair(a, b, c, determinant).ss;
    }
    if a + b == 0.0 {
        return 0.0;
    }
    let root = geometric_mean(a, b);
    let lost = |t: f64| pair(a, b, root - t, t * (2.0 * root - t)).pp;
    let by_angle = 2.0 * gap * mean_over(0.0, gap, lost);
    let (p, q) = (a.sqrt(), b.sqrt());
    let width = (a - b) / (p + q);
    let by_length = width * width * mean_over(q, width, |r| mean_over(q, width, |s| radial(r, s)));
    by_angle + by_length
}

/// ⟨u² s′(ru) s′(tu)⟩ for a standard normal u, with s′ = Φ + zφ.
fn radial(r: f64, t: f64) -> f64 {
    let (one, both) = ((r * r, t * t), 1.0 + r * r + t * t);
    let root = both.sqrt();
    // ⟨φ(ru)φ(tu) u^m⟩ for m = 0, 2, 4.
    let even = |m: u32| [1.0, 1.0 / both, 3.0 / (both * both)][m as usize / 2] / (2.0 * PI * root);
    // ⟨u φ(ru) Φ(tu)⟩ = t/(2π (1+r²) √(1+r²+t²)); ⟨u³ φ(ru) Φ(tu)⟩ follows by Stein's lemma.
    let first = |r2: f64, t: f64| t / (2.0 * PI * (1.0 + r2) * root);
    let third = |r2: f64, t: f64| (2.0 * first(r2, t) + t * even(2)) / (1.0 + r2);
    let shares = 0.25 + (r * t).atan2(root) / (2.0 * PI);
    let curvature = 2.0 * r * t * even(0) - r * one.0 * first(one.0, t) - t * one.1 * first(one.1, r);
    shares + curvature + r * third(one.0, t) + t * third(one.1, r) + r * t * even(4)
}
