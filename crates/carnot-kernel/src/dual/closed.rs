//! Activations whose pair averages have a closed form, as rules on angles.
//!
//! Sources of the formulas: see [`carnot_net::activation::closed`]; here each is written for u = 1 − cos θ.

use super::rule::Rule;
use carnot_math::device::wide::Real;

/// (θ, π − θ) from u and w.
#[inline(always)]
fn angles<S: Real, const FMA: bool>(u: S, w: S) -> (S, S) {
    let (small, is_near) = (u.least(w), u <= w);
    let angle = S::angle::<FMA>(small, S::ONE - small);
    let other = S::HALF_TURN - angle;
    if is_near { (angle, other) } else { (other, angle) }
}

#[inline(always)]
fn number<S: Real>(x: f64) -> S {
    S::from_f64(x)
}

/// m z + h |z|: relu (½, ½), leaky relu, abs (0, 1).
#[derive(Clone, Copy)]
pub(crate) struct Bent<S> {
    /// m²/(m² + h²).
    pub(crate) straight: S,
    /// h²/(m² + h²).
    pub(crate) bent: S,
    /// m².
    pub(crate) straight_square: S,
    /// h².
    pub(crate) bent_square: S,
}

impl<S: Real> Rule<S, 0> for Bent<S> {
    #[inline(always)]
    fn at<const FMA: bool, const SLOPE: bool>(self, _: [S; 0], _: [S; 0], u: S, w: S) -> (S, S, S) {
        let (small, is_near) = (u.least(w), u <= w);
        let cosine = S::ONE - small;
        let angle = S::angle::<FMA>(small, cosine);
        let sine = (u * w).root();
        // ⟨|z||z′|⟩/√(ab) = 1 − [v − (2/π)(sin θ − θ cos θ)] with θ ≤ π/2 the angle between the lines.
        let excess = S::mad::<FMA>(-angle, cosine, sine);
        let lost = S::mad::<FMA>(-S::TWO_OVER_PI, excess, small);
        let after_u = S::mad::<FMA>(self.straight, u, self.bent * lost);
        let after_w = S::mad::<FMA>(self.straight, w, self.bent * (S::TWO - lost));
        if !SLOPE {
            return (after_u, after_w, S::ONE);
        }
        let sign = S::mad::<FMA>(-S::TWO_OVER_PI, angle, S::ONE);
        let sign = if is_near { sign } else { -sign };
        (after_u, after_w, S::mad::<FMA>(self.bent_square, sign, self.straight_square))
    }
}

/// 1 for z > 0, else 0; no slope.
#[derive(Clone, Copy)]
pub(crate) struct Step;

impl<S: Real> Rule<S, 0> for Step {
    #[inline(always)]
    fn at<const FMA: bool, const SLOPE: bool>(self, _: [S; 0], _: [S; 0], u: S, w: S) -> (S, S, S) {
        let (angle, other) = angles::<S, FMA>(u, w);
        let unit = S::HALF * S::TWO_OVER_PI;
        (unit * angle, S::mad::<FMA>(unit, other, S::ONE), S::ZERO)
    }
}

/// sign(z); no slope.
#[derive(Clone, Copy)]
pub(crate) struct Sign;

impl<S: Real> Rule<S, 0> for Sign {
    #[inline(always)]
    fn at<const FMA: bool, const SLOPE: bool>(self, _: [S; 0], _: [S; 0], u: S, w: S) -> (S, S, S) {
        let (angle, other) = angles::<S, FMA>(u, w);
        (S::TWO_OVER_PI * angle, S::TWO_OVER_PI * other, S::ZERO)
    }
}

/// max(z, 0)²; the constant is the standard deviation of z.
#[derive(Clone, Copy)]
pub(crate) struct SquaredRelu;

impl<S: Real> Rule<S, 1> for SquaredRelu {
    #[inline(always)]
    fn at<const FMA: bool, const SLOPE: bool>(self, row: [S; 1], column: [S; 1], u: S, w: S) -> (S, S, S) {
        let (angle, other) = angles::<S, FMA>(u, w);
        let square = u * w;
        let (sine, cosine) = (square.root(), S::HALF * (w - u));
        // 3π − [3 sin θ cos θ + (π − θ)(1 + 2cos²θ)] = 2π sin²θ + θ(3 − 2sin²θ) − 3 sin θ cos θ
        let three = number::<S>(3.0);
        let lost = S::mad::<FMA>(angle, S::mad::<FMA>(-S::TWO, square, three), -(three * sine * cosine));
        let lost = S::mad::<FMA>(S::TWO * S::HALF_TURN, square, lost);
        let after = (lost * number::<S>(1.0 / (3.0 * std::f64::consts::PI))).greatest(S::ZERO);
        if !SLOPE {
            return (after, S::TWO - after, S::ONE);
        }
        let first = S::mad::<FMA>(other, cosine, sine).greatest(S::ZERO);
        (after, S::TWO - after, S::TWO_OVER_PI * (row[0] * column[0]) * first)
    }
}

/// erf(z), with constants r = √(2K/(1+2K)), n = 1/√arcsin r², x = 1/(1+2K), √x.
#[derive(Clone, Copy)]
pub(crate) struct Erf;

impl<S: Real> Rule<S, 4> for Erf {
    #[inline(always)]
    fn at<const FMA: bool, const SLOPE: bool>(self, row: [S; 4], column: [S; 4], u: S, w: S) -> (S, S, S) {
        let both = row[0] * column[0];
        let sine = both * (S::HALF * (w - u));
        let after = S::arcsine::<FMA>(sine) * (row[1] * column[1]);
        let (after_u, after_w) = ((S::ONE - after).greatest(S::ZERO), (S::ONE + after).greatest(S::ZERO));
        if !SLOPE {
            return (after_u, after_w, S::ONE);
        }
        // 1 − sin² as a sum of terms ≥ 0: large variances lose nothing.
        let sum = S::mad::<FMA>(-row[2], column[2], row[2] + column[2]);
        let square = S::mad::<FMA>(both * both, u * w, sum);
        (after_u, after_w, S::TWO * S::TWO_OVER_PI * (row[3] * column[3]) / square.root())
    }
}

/// z Φ(z), with constants √K, K, 1/(1+K), √(K/(1+K)), 1/√⟨σ²⟩.
#[derive(Clone, Copy)]
pub(crate) struct Gelu;

impl<S: Real> Rule<S, 5> for Gelu {
    #[inline(always)]
    fn at<const FMA: bool, const SLOPE: bool>(self, row: [S; 5], column: [S; 5], u: S, w: S) -> (S, S, S) {
        let cosine = S::HALF * (w - u);
        let kernel = (row[0] * column[0]) * cosine;
        let determinant = (row[1] * column[1]) * (u * w);
        let turn = S::HALF * S::HALF * S::TWO_OVER_PI;
        let both = S::mad::<FMA>(turn, S::arcsine::<FMA>((row[3] * column[3]) * cosine), S::HALF * S::HALF);
        let square = (S::ONE + row[1]) + column[1] + determinant;
        let inverse = S::ONE / square.root();
        let density = turn * inverse;
        let weight = kernel * (row[2] + column[2]);
        let value = S::mad::<FMA>(density, S::mad::<FMA>(kernel, weight, determinant), kernel * both);
        let after = value * (row[4] * column[4]);
        let (after_u, after_w) = ((S::ONE - after).greatest(S::ZERO), (S::ONE + after).greatest(S::ZERO));
        let slope = S::mad::<FMA>(density, S::mad::<FMA>(kernel, inverse * inverse, weight), both);
        (after_u, after_w, slope)
    }
}
