//! Two Gaussian numbers: variances, covariance, distance and angle, each without cancellation.

use std::f64::consts::{FRAC_PI_2, PI};

/// Relative error that variances and distances carry after some layers; twice as much would change nothing but pairs
/// that no distance in double precision tells from parallel ones.
const ROUNDING: f64 = 32.0 * f64::EPSILON;

/// Second moments of a centred Gaussian pair.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    /// Variance of z₁.
    pub(super) a: f64,
    /// Variance of z₂.
    pub(super) b: f64,
    /// Covariance.
    pub(super) c: f64,
    /// E(z₁−z₂)².
    pub(super) distance: f64,
    /// E(z₁+z₂)².
    pub(super) sum: f64,
    /// ab − c², the determinant.
    pub(super) determinant: f64,
    /// √(ab) − c, the covariance lost to the angle.
    pub(super) gap: f64,
    /// Angle in [0, π] with cos θ = c/√(ab).
    pub(super) theta: f64,
    /// π − θ.
    pub(super) supplement: f64,
}

impl Geometry {
    /// From the covariance; exact for nearly orthogonal inputs.
    pub(super) fn from_covariance(a: f64, b: f64, c: f64) -> Geometry {
        let root = geometric_mean(a, b);
        let c = c.clamp(-root, root);
        Geometry::new(a, b, c, (a + b - 2.0 * c).max(0.0), (a + b + 2.0 * c).max(0.0), root - c, root + c)
    }

    /// From the squared distance; exact for nearly equal inputs.
    pub(super) fn from_distance(a: f64, b: f64, distance: f64) -> Geometry {
        let (p, q) = (a.sqrt(), b.sqrt());
        let nearest = if p + q > 0.0 { (a - b) / (p + q) } else { 0.0 };
        let (low, high) = (nearest * nearest, (p + q) * (p + q));
        let distance = distance.clamp(low.min(high), high);
        // A difference that is all rounding would become an angle of half the digits: parallel is parallel.
        let left = |large: f64, small: f64| {
            if large - small <= ROUNDING * small { 0.0 } else { 0.5 * (large - small) }
        };
        let (gap, reach) = (left(distance, low), left(high, distance));
        Geometry::new(a, b, 0.5 * (a + b - distance), distance, 2.0 * (a + b) - distance, gap, reach)
    }

    /// `gap` = √(ab) − c and `reach` = √(ab) + c.
    fn new(a: f64, b: f64, c: f64, distance: f64, sum: f64, gap: f64, reach: f64) -> Geometry {
        let (gap, reach) = (gap.max(0.0), reach.max(0.0));
        // tan(θ/2) = √((1 − cos θ)/(1 + cos θ))
        let theta = if gap + reach > 0.0 { 2.0 * gap.sqrt().atan2(reach.sqrt()) } else { 0.0 };
        let supplement = if gap + reach > 0.0 { 2.0 * reach.sqrt().atan2(gap.sqrt()) } else { PI };
        Geometry { a, b, c, distance, sum, determinant: gap * reach, gap, theta, supplement }
    }

    /// sin θ + (π − θ) cos θ, between 0 (opposite) and π (equal): the arc-cosine kernel of order 1.
    pub(super) fn arc_cosine_1(&self) -> f64 {
        if self.theta > FRAC_PI_2 {
            sine_excess(self.supplement)
        } else {
            self.theta.sin() + self.supplement * self.theta.cos()
        }
    }

    /// 3 sin θ cos θ + (π − θ)(1 + 2 cos² θ), between 0 and 3π: the arc-cosine kernel of order 2.
    pub(super) fn arc_cosine_2(&self) -> f64 {
        if self.theta > FRAC_PI_2 {
            second_excess(self.supplement)
        } else {
            let (sin, cos) = self.theta.sin_cos();
            3.0 * sin * cos + self.supplement * (1.0 + 2.0 * cos * cos)
        }
    }
}

/// √(ab), which is exactly a where b is a.
pub(super) fn geometric_mean(a: f64, b: f64) -> f64 {
    let product = a * b;
    if product.is_normal() { product.sqrt() } else { a.sqrt() * b.sqrt() }
}

/// sin x − x cos x = x³/3 − x⁵/30 + …
pub(super) fn sine_excess(x: f64) -> f64 {
    if x > 0.5 {
        return x.sin() - x * x.cos();
    }
    // Σ_k (−1)^(k+1) 2k/(2k+1)! x^(2k+1)
    odd_series(x, |k| 2.0 * k, -1.0)
}

/// x (1 + 2 cos² x) − 3 sin x cos x = 4x⁵/15 − …
pub(super) fn second_excess(x: f64) -> f64 {
    if x > 0.5 {
        let (sin, cos) = x.sin_cos();
        return x * (1.0 + 2.0 * cos * cos) - 3.0 * sin * cos;
    }
    // With y = 2x: y + y cos(y)/2 − 3 sin(y)/2 = Σ_k (−1)^k [(2k+1)/2 − 3/2] y^(2k+1)/(2k+1)!
    odd_series(2.0 * x, |k| k - 1.0, 1.0)
}

/// sign · Σ_{k ≥ 1} (−1)^k weight(k) x^(2k+1)/(2k+1)!, for |x| ≤ 1.
fn odd_series(x: f64, weight: impl Fn(f64) -> f64, sign: f64) -> f64 {
    let mut term = sign * x;
    let mut sum = 0.0;
    for k in 1..12 {
        let k = f64::from(k);
        term *= -x * x / (2.0 * k * (2.0 * k + 1.0));
        sum += weight(k) * term;
    }
    sum
}
