//! Averages over one Gaussian number, for any function whose kinks are known.

use super::panels::{Panels, density};
use super::{GaussError, legendre};

/// Half-width of the integration range in standard deviations: what lies outside has weight 1e-38.
const RANGE: f64 = 13.0;
/// Points per panel (sheet 2.2).
const POINTS: usize = 40;
/// Promised accuracy, relative to the average of |f|.
const TOLERANCE: f64 = 1e-10;
/// How often [`average`] halves its panels before it gives up.
const REFINEMENTS: usize = 5;

/// Nodes and weights for averages over one Gaussian number: ⟨f⟩ ≈ Σ w f(z).
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Nodes, ascending.
    pub z: Vec<f64>,
    /// Weights, > 0, summing to 1.
    pub w: Vec<f64>,
}

impl Rule {
    /// Weighted sum of a function over the nodes.
    pub fn sum(&self, f: impl Fn(f64) -> f64) -> f64 {
        self.z.iter().zip(&self.w).map(|(&z, &w)| w * f(z)).sum()
    }
}

/// An average with the error its refinement showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Average {
    /// ⟨f⟩.
    pub value: f64,
    /// Estimated absolute error: the change against the coarser rule, at least the rounding.
    pub error: f64,
}

/// Composite Gauss–Legendre rule for a Gaussian number, split at kinks, so that any piecewise smooth function converges fast.
///
/// * `variance`: K ≥ 0; 0 gives the single node 0
/// * `kinks`: where f or a derivative jumps, in z
/// * returns: about 1000 to 3000 nodes on ±13 standard deviations; none lies on a kink
///
/// Panels are one standard deviation wide, finer near |z| ~ 1 and near kinks when K > 1, where the structure of an
/// activation of scale 1 is narrower than that.
///
/// # Panics
/// When the variance is negative or not finite; [`average()`] returns that as an error.
pub fn rule(variance: f64, kinks: &[f64]) -> Rule {
    assert!(
        variance >= 0.0 && variance.is_finite(),
        "a variance must be finite and at least 0, not {variance}"
    );
    if variance == 0.0 {
        return Rule { z: vec![0.0], w: vec![1.0] };
    }
    from_breaks(panels(variance, kinks).breaks(), variance.sqrt())
}

/// Average of a function of one Gaussian number, with a checked error.
///
/// $$ \langle f(z) \rangle_K = \int \frac{e^{-z^2/2K}}{\sqrt{2\pi K}} f(z)\, dz $$
///
/// * `variance`: K ≥ 0
/// * `kinks`: where f or a derivative jumps, in z; a kink left out costs accuracy, and the error shows it
/// * returns: value and error; the error is below 1e-10 ⟨|f|⟩
///
/// # Errors
/// [`GaussError::NotFinite`] when f is NaN or infinite at a node; [`GaussError::NotConverged`] when refining the panels keeps
/// changing the value, or when f grows so fast that the edge of the range matters; [`GaussError::BadVariance`].
///
/// Source: Carnot effective-theory sheet 2.2.
pub fn average(f: impl Fn(f64) -> f64, variance: f64, kinks: &[f64]) -> Result<Average, GaussError> {
    if !(variance >= 0.0 && variance.is_finite()) {
        return Err(GaussError::BadVariance { variance });
    }
    let deviation = variance.sqrt();
    if deviation == 0.0 {
        let value = f(0.0);
        return if value.is_finite() {
            Ok(Average { value, error: 0.0 })
        } else {
            Err(GaussError::NotFinite { z: 0.0, variance })
        };
    }
    let mut panels = panels(variance, kinks);
    // The first comparison is with fewer points on the same panels, the next ones with halved panels.
    let mut before = integrate(&f, panels.breaks(), deviation, 30)?;
    for _ in 0..=REFINEMENTS {
        let now = integrate(&f, panels.breaks(), deviation, POINTS)?;
        let error = (now.value - before.value).abs().max(now.edge).max(f64::EPSILON * now.magnitude);
        if error <= TOLERANCE * now.magnitude {
            return Ok(Average { value: now.value, error });
        }
        before = now;
        panels.halve();
    }
    let error = before.edge.max(TOLERANCE * before.magnitude);
    Err(GaussError::NotConverged { value: before.value, error, variance })
}

struct Integral {
    value: f64,
    /// ⟨|f|⟩.
    magnitude: f64,
    /// The part of ⟨|f|⟩ beyond 12 standard deviations.
    edge: f64,
}

fn integrate(
    f: &impl Fn(f64) -> f64,
    breaks: &[f64],
    deviation: f64,
    points: usize,
) -> Result<Integral, GaussError> {
    let mut total = Integral { value: 0.0, magnitude: 0.0, edge: 0.0 };
    for pair in breaks.windows(2) {
        let (mut value, mut magnitude) = (0.0, 0.0);
        for (u, w) in panel(pair[0], pair[1], points) {
            let f = f(deviation * u);
            if !f.is_finite() {
                return Err(GaussError::NotFinite { z: deviation * u, variance: deviation * deviation });
            }
            value += w * f;
            magnitude += w * f.abs();
        }
        total.value += value;
        total.magnitude += magnitude;
        if pair[1] <= -RANGE + 1.0 || pair[0] >= RANGE - 1.0 {
            total.edge += magnitude;
        }
    }
    Ok(total)
}

/// Nodes in standard deviations and weights (density included) of one panel.
pub(super) fn panel(low: f64, high: f64, points: usize) -> impl Iterator<Item = (f64, f64)> {
    let (middle, half) = (0.5 * (low + high), 0.5 * (high - low));
    legendre::table(points).iter().map(move |&(x, w)| {
        let u = middle + half * x;
        (u, half * w * density(u))
    })
}

/// Break points in standard deviations for functions of scale 1 in z.
fn panels(variance: f64, kinks: &[f64]) -> Panels {
    let scale = 1.0 / variance.sqrt();
    let mut panels = Panels::default();
    panels.reset(-RANGE, RANGE, 1.0);
    for &kink in kinks {
        panels.grade(kink * scale, scale);
    }
    panels.grade(0.0, scale);
    panels.finish();
    panels
}

/// The rule on given break points.
fn from_breaks(breaks: &[f64], deviation: f64) -> Rule {
    let n = (breaks.len() - 1) * POINTS;
    let mut rule = Rule { z: Vec::with_capacity(n), w: Vec::with_capacity(n) };
    for pair in breaks.windows(2) {
        for (u, w) in panel(pair[0], pair[1], POINTS) {
            rule.z.push(deviation * u);
            rule.w.push(w);
        }
    }
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, f: impl Fn(f64) -> f64, variance: f64, kinks: &[f64], expect: f64) {
        let Average { value, error } = average(f, variance, kinks).expect(name);
        let allowed = 1e-13 * expect.abs().max(1e-2);
        assert!(
            (value - expect).abs() <= allowed,
            "{name}, K = {variance}: {value}, expected {expect} (said {error})"
        );
    }

    #[test]
    fn averages_equal_their_closed_forms_for_all_variances() {
        use std::f64::consts::PI;
        for k in [1e-12, 1e-3, 0.1, 1.0, 2.0, 20.0, 1e3, 1e6] {
            check("one", |_| 1.0, k, &[], 1.0);
            check("z", |z| z / k.sqrt(), k, &[], 0.0);
            check("z^2", |z| z * z / k, k, &[], 1.0);
            check("z^4", |z| z.powi(4) / (k * k), k, &[], 3.0);
            check("relu^2", |z| z.max(0.0).powi(2) / k, k, &[0.0], 0.5);
            check("step", |z| f64::from(z > 0.0), k, &[0.0], 0.5);
            check(
                "shifted step",
                |z| f64::from(z > 0.7),
                k,
                &[0.7],
                0.5 * libm::erfc(0.7 / (2.0 * k).sqrt()),
            );
            check("erf^2", |z| libm::erf(z).powi(2), k, &[], 2.0 / PI * (2.0 * k / (1.0 + 2.0 * k)).asin());
            check("gauss", |z| (-z * z).exp(), k, &[], 1.0 / (1.0 + 2.0 * k).sqrt());
            check("cos", |z| z.cos(), k.min(20.0), &[], (-k.min(20.0) / 2.0).exp());
            check("exp", |z| z.exp(), k.min(2.0), &[], (k.min(2.0) / 2.0).exp());
        }
    }

    #[test]
    fn the_rule_agrees_with_the_checked_average() {
        for k in [0.01, 0.7, 50.0, 1e5] {
            let sum = rule(k, &[]).sum(|z| z.tanh().powi(2));
            let average = average(|z| z.tanh().powi(2), k, &[]).unwrap().value;
            assert!((sum / average - 1.0).abs() < 1e-14, "K = {k}: {sum} and {average}");
        }
    }

    #[test]
    fn structure_much_narrower_than_one_is_found_by_refining() {
        check("narrow", |z| (-(z / 0.01).powi(2)).exp(), 1.0, &[], 1.0 / (1.0 + 2e4f64).sqrt());
    }

    #[test]
    fn what_cannot_be_averaged_is_refused() {
        assert!(matches!(average(|z| (0.4 * z * z).exp(), 1.0, &[]), Err(GaussError::NotConverged { .. })));
        assert!(matches!(average(|z| (z * z * z * z).exp(), 1.0, &[]), Err(GaussError::NotFinite { .. })));
        assert!(matches!(
            average(|z| f64::from(z > 0.1234567), 1.0, &[]),
            Err(GaussError::NotConverged { .. })
        ));
        assert!(matches!(average(|z| z, -1.0, &[]), Err(GaussError::BadVariance { .. })));
        assert!(matches!(average(|_| f64::NAN, 0.0, &[]), Err(GaussError::NotFinite { .. })));
    }

    #[test]
    fn without_variance_the_average_is_the_value_at_zero() {
        assert_eq!(average(|z| z + 3.0, 0.0, &[0.0]).unwrap(), Average { value: 3.0, error: 0.0 });
        assert_eq!(rule(0.0, &[]), Rule { z: vec![0.0], w: vec![1.0] });
    }
}
