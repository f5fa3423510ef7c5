//! Averages over two correlated Gaussian numbers, for functions whose kinks are known.
//!
//! With ρ the correlation and u, v independent standard normal numbers,
//!
//! $$ z_1 = \sqrt a\, u, \qquad z_2 = \sqrt b\,(\rho u + \sqrt{1 - \rho^2}\, v). $$
//!
//! The outer integral is over u, the inner over v, both composite Gauss–Legendre, cut where z₁ or z₂ meets a kink. The inner
//! integral smooths the kink of z₂ over a width √(1-ρ²) in u; the outer panels are graded down to that width, so inputs that
//! nearly coincide cost a few more panels and no accuracy.
//!
//! Source: Carnot effective-theory sheet 2.2.

use super::average::panel;
use super::panels::Panels;
use super::smooth;

/// Half-width of both integration ranges in standard deviations; what lies outside has weight 1e-23.
const RANGE: f64 = 10.0;
/// Points per outer panel, one standard deviation wide.
const OUTER_POINTS: usize = 20;
/// Points per inner panel, up to 4/3 standard deviations wide.
const INNER_POINTS: usize = 16;
const INNER_STEP: f64 = 4.0 / 3.0;

/// Nodes and weights for two Gaussian numbers: ⟨f⟩ ≈ Σ w f(z₁, z₂).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairRule {
    /// First number at each node.
    pub z1: Vec<f64>,
    /// Second number at each node.
    pub z2: Vec<f64>,
    /// Weights, summing to 1.
    pub w: Vec<f64>,
}

/// The two-variable rule from a covariance. Prefer [`pair_rule_from_distance`] when the inputs may nearly coincide.
///
/// * `a`, `b`: variances ≥ 0; `c`: covariance, |c| ≤ √(ab)
/// * `kinks`: where the function of one variable, or a derivative, jumps
/// * returns: 10⁵ to 10⁶ nodes; [`pair_average`] visits the same nodes without storing them
///
/// # Panics
/// When a variance is negative or not finite.
pub fn pair_rule(a: f64, b: f64, c: f64, kinks: &[f64]) -> PairRule {
    pair_rule_from_distance(a, b, (a - c) + (b - c), kinks)
}

/// The two-variable rule from variances and the squared distance d = ⟨(z₁ - z₂)²⟩ = a + b - 2c.
///
/// * `a`, `b`: variances ≥ 0; `d`: between (√a - √b)² and (√a + √b)², clamped to that
///
/// # Panics
/// When a variance is negative or not finite.
pub fn pair_rule_from_distance(a: f64, b: f64, d: f64, kinks: &[f64]) -> PairRule {
    let mut rule = PairRule::default();
    let pair = Pair::new(a, b, d);
    let mut panels = Panels::default();
    each_first(&pair, kinks, |u, w_u| {
        each_second(&pair, u, kinks, &mut panels, |z2, w_v| {
            rule.z1.push(pair.first * u);
            rule.z2.push(z2);
            rule.w.push(w_u * w_v);
        });
    });
    rule
}

/// Averages M functions of two Gaussian numbers at once, 1e-13 for activations such as tanh and ReLU.
///
/// $$ \langle f(z_1, z_2) \rangle, \quad \langle z_1^2 \rangle = a, \ \langle z_2^2 \rangle = b,
///    \ \langle (z_1 - z_2)^2 \rangle = d $$
///
/// * `a`, `b`: variances ≥ 0; `d`: squared distance, clamped to the possible range
/// * `kinks`: where the functions, or a derivative, jump in z₁ or z₂
/// * returns: the averages; not finite when f is not finite somewhere
///
/// ```
/// use carnot_math::gauss::pair_average;
/// let [product, square] = pair_average(1.0, 2.0, 1.5, &[], |x, y| [x * y, (x - y) * (x - y)]);
/// assert!((product - 0.75).abs() < 1e-13 && (square - 1.5).abs() < 1e-13);
/// ```
///
/// # Panics
/// When a variance is negative or not finite.
pub fn pair_average<const M: usize>(
    a: f64,
    b: f64,
    d: f64,
    kinks: &[f64],
    mut f: impl FnMut(f64, f64) -> [f64; M],
) -> [f64; M] {
    pair_average_split(a, b, d, kinks, |z1| z1, |&z1, z2| f(z1, z2))
}

/// [`pair_average`] for an integrand whose part in z₁ is dear: `first` runs once for each of about 400 values of z₁, `second`
/// for every node.
///
/// ```
/// use carnot_math::gauss::pair_average_split;
/// let [kernel] = pair_average_split(1.0, 1.0, 0.5, &[], f64::tanh, |first, z| [first * z.tanh()]);
/// assert!(kernel > 0.2 && kernel < 0.4);
/// ```
///
/// # Panics
/// When a variance is negative or not finite.
pub fn pair_average_split<T, const M: usize>(
    a: f64,
    b: f64,
    d: f64,
    kinks: &[f64],
    mut first: impl FnMut(f64) -> T,
    mut second: impl FnMut(&T, f64) -> [f64; M],
) -> [f64; M] {
    let mut sums = [0.0; M];
    let pair = Pair::new(a, b, d);
    let mut panels = Panels::default();
    // Summed line by line: one long sum of 10⁶ terms would lose three digits to rounding.
    each_first(&pair, kinks, |u, w_u| {
        let at = first(pair.first * u);
        let mut line = [0.0; M];
        each_second(&pair, u, kinks, &mut panels, |z2, w_v| add(&mut line, w_v, second(&at, z2)));
        add(&mut sums, w_u, line);
    });
    sums
}

/// Averages M smooth functions of two Gaussian numbers with order² nodes of Gauss–Hermite. Arguments as in [`pair_average`].
///
/// Only for functions without kinks and variances ≲ 2; the accuracy grows with the order (tanh at variance 0.7: order 100 for 1e-10).
///
/// # Panics
/// When a variance is negative or not finite, or the order is not 1 to [`MAX_ORDER`](super::MAX_ORDER).
pub fn smooth_pair_average<const M: usize>(
    a: f64,
    b: f64,
    d: f64,
    order: usize,
    mut f: impl FnMut(f64, f64) -> [f64; M],
) -> [f64; M] {
    let pair = Pair::new(a, b, d);
    let nodes = smooth::nodes(order);
    let alone = [(0.0, 1.0)];
    let inner = if pair.conditional == 0.0 { &alone[..] } else { nodes };
    let mut sums = [0.0; M];
    for &(u, w_u) in nodes {
        let mut line = [0.0; M];
        for &(v, w_v) in inner {
            add(&mut line, w_v, f(pair.first * u, pair.slope * u + pair.conditional * v));
        }
        add(&mut sums, w_u, line);
    }
    sums
}

fn add<const M: usize>(sums: &mut [f64; M], weight: f64, values: [f64; M]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += weight * value;
    }
}

/// z₁ = first u, z₂ = slope u + conditional v.
struct Pair {
    first: f64,
    slope: f64,
    conditional: f64,
}

impl Pair {
    fn new(a: f64, b: f64, d: f64) -> Self {
        for variance in [a, b] {
            let possible = variance >= 0.0 && variance.is_finite();
            assert!(possible, "a variance must be finite and at least 0, not {variance}");
        }
        assert!(!d.is_nan(), "the squared distance is NaN");
        let (root_a, root_b) = (a.sqrt(), b.sqrt());
        if root_a * root_b == 0.0 {
            // One of the numbers is 0: nothing correlates.
            return Self { first: root_a, slope: 0.0, conditional: root_b };
        }
        // 1 - ρ and 1 + ρ, each without subtracting nearly equal numbers where it is small and d is exact.
        let gap = root_difference(a, b).powi(2);
        let below = ((d - gap) / (2.0 * root_a * root_b)).clamp(0.0, 2.0);
        let above = (((root_a + root_b).powi(2) - d) / (2.0 * root_a * root_b)).clamp(0.0, 2.0);
        let rho = if below < above { 1.0 - below } else { above - 1.0 };
        Self { first: root_a, slope: root_b * rho, conditional: root_b * (below * above).sqrt() }
    }
}

/// √a - √b.
fn root_difference(a: f64, b: f64) -> f64 {
    (a - b) / (a.sqrt() + b.sqrt())
}

/// Calls back with (u, weight) at every node of the outer integral.
fn each_first(pair: &Pair, kinks: &[f64], mut visitor: impl FnMut(f64, f64)) {
    if pair.first == 0.0 && pair.slope == 0.0 {
        return visitor(0.0, 1.0);
    }
    for ends in outer_panels(pair, kinks).breaks().windows(2) {
        for (u, w) in panel(ends[0], ends[1], OUTER_POINTS) {
            visitor(u, w);
        }
    }
}

/// Breaks in u: where z₁ meets a kink, and, graded, where the mean of z₂ given u does.
fn outer_panels(pair: &Pair, kinks: &[f64]) -> Panels {
    let mut panels = Panels::default();
    panels.reset(-RANGE, RANGE, 1.0);
    for &at in kinks.iter().chain([&0.0]) {
        if pair.first > 0.0 {
            panels.grade(at / pair.first, 1.0 / pair.first);
        }
        if pair.slope != 0.0 {
            // Structure of z₂ in u: a kink, smoothed over the conditional deviation; otherwise of size 1 in z₂.
            let smoothed = pair.conditional / pair.slope.abs();
            panels.grade(
                at / pair.slope,
                if at == 0.0 && kinks.is_empty() { 1.0 / pair.slope.abs() } else { smoothed },
            );
        }
    }
    panels.finish();
    panels
}

/// Calls back with (z₂, weight) at every node of the inner integral.
fn each_second(pair: &Pair, u: f64, kinks: &[f64], panels: &mut Panels, mut visitor: impl FnMut(f64, f64)) {
    let mean = pair.slope * u;
    if pair.conditional == 0.0 {
        return visitor(mean, 1.0);
    }
    panels.reset(-RANGE, RANGE, INNER_STEP);
    let scale = 1.0 / pair.conditional;
    for &kink in kinks {
        panels.grade((kink - mean) * scale, scale);
    }
    panels.grade(-mean * scale, scale);
    for ends in panels.finish().windows(2) {
        for (v, w) in panel(ends[0], ends[1], INNER_POINTS) {
            visitor(mean + pair.conditional * v, w);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    fn relu(z: f64) -> f64 {
        z.max(0.0)
    }

    /// Angle between the inputs from 1 - ρ, exact for small angles.
    fn angle(below: f64) -> f64 {
        2.0 * (0.5 * below).sqrt().asin()
    }

    /// (a, b, 1 - ρ): equal and unequal variances, near coincidence, orthogonal, opposite.
    const PAIRS: [(f64, f64, f64); 12] = [
        (1.0, 1.0, 1.0),
        (1.0, 1.0, 0.3),
        (0.5, 2.0, 0.01),
        (1.0, 1.0, 1e-6),
        (1.0, 1.0, 1e-12),
        (2.0, 2.0, 0.0),
        (1.0, 3.0, 1.7),
        (1.0, 1.0, 2.0 - 1e-9),
        (1.0, 1.0, 2.0),
        (40.0, 10.0, 0.2),
        (500.0, 400.0, 1e-8),
        (0.01, 0.3, 0.9),
    ];

    fn distance(a: f64, b: f64, below: f64) -> f64 {
        root_difference(a, b).powi(2) + 2.0 * (a * b).sqrt() * below
    }

    fn check(name: &str, got: f64, expect: f64, scale: f64, at: (f64, f64, f64)) {
        assert!(
            (got - expect).abs() <= 1e-13 * scale,
            "{name} at (a, b, 1 - rho) = {at:?}: {got}, expected {expect}, off by {:e} of {scale}",
            got - expect
        );
    }

    #[test]
    fn relu_and_step_match_the_arccosine_kernels() {
        for at @ (a, b, below) in PAIRS {
            let got = pair_average(a, b, distance(a, b, below), &[0.0], |x, y| {
                [relu(x) * relu(y), f64::from(x > 0.0 && y > 0.0), 1.0]
            });
            let theta = angle(below);
            let root = (a * b).sqrt();
            let first = root / (2.0 * PI) * (theta.sin() + (PI - theta) * theta.cos());
            check("relu", got[0], first, root, at);
            check("step", got[1], (PI - theta) / (2.0 * PI), 1.0, at);
            check("one", got[2], 1.0, 1.0, at);
        }
    }

    #[test]
    fn a_shifted_kink_is_cut_too() {
        // ⟨step(z₁ - k) step(z₂ - k)⟩ at ρ = 1 is the tail; at ρ = 0 its square.
        let tail = |k: f64| 0.5 * libm::erfc(k / 2f64.sqrt());
        let both = |d| pair_average(1.0, 1.0, d, &[0.7], |x, y| [f64::from(x > 0.7 && y > 0.7)])[0];
        check("coincident", both(0.0), tail(0.7), 1.0, (1.0, 1.0, 0.0));
        check("independent", both(2.0), tail(0.7).powi(2), 1.0, (1.0, 1.0, 1.0));
    }

    #[test]
    fn erf_matches_the_arcsine_kernel() {
        for at @ (a, b, below) in PAIRS {
            let [got] = pair_average(a, b, distance(a, b, below), &[], |x, y| [libm::erf(x) * libm::erf(y)]);
            let c = (a * b).sqrt() * (1.0 - below);
            let expect = 2.0 / PI * (2.0 * c / ((1.0 + 2.0 * a) * (1.0 + 2.0 * b)).sqrt()).asin();
            check("erf", got, expect, 1.0, at);
        }
    }

    #[test]
    fn sine_and_powers_match_their_closed_forms() {
        for at @ (a, b, below) in PAIRS {
            let c = (a * b).sqrt() * (1.0 - below);
            let d = distance(a, b, below);
            let [sine, square, difference] =
                pair_average(a, b, d, &[], |x, y| [x.sin() * y.sin(), x * x * y * y, (x - y).powi(2)]);
            if a.max(b) < 50.0 {
                let expect = 0.5 * ((-0.5 * d).exp() - (c - 0.5 * (a + b) - 2.0 * c).exp());
                check("sin", sine, expect, 1.0, at);
            }
            check("square", square, a * b + 2.0 * c * c, 3.0 * a * b, at);
            check("distance", difference, d, a + b, at);
        }
    }

    #[test]
    fn exchanging_the_inputs_changes_nothing() {
        // The two integrals are cut differently, so this checks functions without a closed form.
        let elu = |z: f64| if z > 0.0 { 1.05 * z } else { 1.76 * z.exp_m1() };
        let hat = |z: f64| (1.0 - (z - 0.7).abs()).max(0.0);
        let (none, origin, three) = (vec![], vec![0.0], vec![-0.3, 0.7, 1.7]);
        type Case<'a> = (&'static str, &'a [f64], &'a dyn Fn(f64) -> f64);
        let slope = |z: f64| z.cosh().powi(-2);
        let cases: [Case; 4] = [
            ("tanh", &none, &f64::tanh),
            ("slope", &none, &slope),
            ("elu", &origin, &elu),
            ("hat", &three, &hat),
        ];
        for (name, kinks, f) in cases {
            for at @ (a, b, below) in PAIRS {
                let d = distance(a, b, below);
                let [here, square] =
                    pair_average(a, b, d, kinks, |x, y| [f(x) * f(y), f(x) * f(x) + f(y) * f(y)]);
                let [there] = pair_average(b, a, d, kinks, |x, y| [f(x) * f(y)]);
                check(name, here, there, square, at);
            }
        }
    }

    #[test]
    fn hermite_grids_agree_for_smooth_functions() {
        for (a, b, d) in [(1.0, 0.5, 0.4), (0.3, 0.3, 0.0), (0.0, 1.0, 1.0)] {
            let f = |x: f64, y: f64| [x.sin() * y.cos() + x.tanh() * y.tanh()];
            let (fast, exact) = (smooth_pair_average(a, b, d, 120, f)[0], pair_average(a, b, d, &[], f)[0]);
            assert!((fast - exact).abs() < 1e-10, "({a}, {b}, {d}): {fast} and {exact}");
        }
    }

    #[test]
    fn a_number_without_variance_stays_at_zero() {
        let f = |x: f64, y: f64| [(x + 1.0) * y * y];
        assert!((pair_average(0.0, 2.0, 2.0, &[0.0], f)[0] - 2.0).abs() < 1e-13);
        assert_eq!(pair_average(2.0, 0.0, 2.0, &[0.0], f)[0], 0.0);
        assert_eq!(pair_average(0.0, 0.0, 0.0, &[], |x, y| [x + y + 1.0])[0], 1.0);
    }

    #[test]
    fn the_stored_rule_visits_the_same_nodes() {
        let rule = pair_rule(1.0, 1.0, 0.5, &[0.0]);
        let sum: f64 = (0..rule.w.len()).map(|i| rule.w[i] * relu(rule.z1[i]) * relu(rule.z2[i])).sum();
        let [average] = pair_average(1.0, 1.0, 1.0, &[0.0], |x, y| [relu(x) * relu(y)]);
        assert!((sum - average).abs() < 1e-13, "{sum} and {average}");
        assert!(rule.w.len() < 1_000_000, "{} nodes", rule.w.len());
    }
}
