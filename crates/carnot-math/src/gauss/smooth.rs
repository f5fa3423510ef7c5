//! Gauss–Hermite rules: few nodes, for smooth functions of small variance only.

use std::sync::OnceLock;

use super::average::Rule;

/// Highest order of a Gauss–Hermite rule.
pub const MAX_ORDER: usize = 200;

/// Gauss–Hermite rule: exact for polynomials of degree below twice the order.
///
/// * `variance`: K ≥ 0; a smooth activation of scale 1 needs K ≲ 2
/// * `order`: number of nodes, 1 to [`MAX_ORDER`]
///
/// Never for functions with kinks, where it converges only algebraically: use [`rule`](super::rule).
///
/// # Panics
/// When the order is out of range.
pub fn smooth_rule(variance: f64, order: usize) -> Rule {
    let deviation = variance.sqrt();
    let nodes = nodes(order);
    Rule {
        z: nodes.iter().map(|&(u, _)| deviation * u).collect(),
        w: nodes.iter().map(|&(_, w)| w).collect(),
    }
}

/// Nodes and weights for the standard normal law, ascending, computed once per order.
///
/// # Panics
/// When the order is out of range.
pub(super) fn nodes(order: usize) -> &'static [(f64, f64)] {
    static TABLES: [OnceLock<Vec<(f64, f64)>>; MAX_ORDER + 1] = [const { OnceLock::new() }; MAX_ORDER + 1];
    assert!((1..=MAX_ORDER).contains(&order), "a Gauss-Hermite order is 1 to {MAX_ORDER}, not {order}");
    TABLES[order].get_or_init(|| compute(order))
}

/// Bisection between the interlacing roots of the order below, polished by Newton's method.
///
/// The weight is 1/(n he²ₙ₋₁), with normalised polynomials heₖ = Heₖ/√(k!).
fn compute(order: usize) -> Vec<(f64, f64)> {
    let mut roots: Vec<f64> = vec![0.0];
    for n in 2..=order {
        let edge = 2.0 * (n as f64).sqrt();
        let fences: Vec<f64> = [-edge].into_iter().chain(roots).chain([edge]).collect();
        roots = fences.windows(2).map(|pair| root_between(n, pair[0], pair[1])).collect();
    }
    let n = order as f64;
    roots.into_iter().map(|u| (u, 1.0 / (n * polynomials(order, u).1.powi(2)))).collect()
}

fn root_between(n: usize, mut low: f64, mut high: f64) -> f64 {
    let sign_low = polynomials(n, low).0.signum();
    let mut u = 0.5 * (low + high);
    for _ in 0..100 {
        let (value, below) = polynomials(n, u);
        if value.signum() == sign_low {
            low = u;
        } else {
            high = u;
        }
        let newton = u - value / ((n as f64).sqrt() * below);
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if (next - u).abs() <= 1e-15 * (1.0 + u.abs()) {
            return next;
        }
        u = next;
    }
    u
}

/// Normalised Hermite polynomials of degree n and n − 1.
fn polynomials(n: usize, u: f64) -> (f64, f64) {
    let (mut before, mut value) = (0.0, 1.0);
    for k in 0..n {
        let k = k as f64;
        (before, value) = (value, (u * value - k.sqrt() * before) / (k + 1.0).sqrt());
    }
    (value, before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_moments_are_double_factorials() {
        for order in [1, 2, 3, 10, 40, 100, 200] {
            let mut exact = 1.0;
            for power in 0..order.min(20) {
                let rule = smooth_rule(1.0, order);
                let even = rule.sum(|u| u.powi(2 * power as i32));
                assert!((even / exact - 1.0).abs() < 1e-12, "order {order}, power {}: {even}", 2 * power);
                assert!(rule.sum(|u| u.powi(2 * power as i32 + 1)).abs() < 1e-11 * exact * 10.0);
                exact *= 2.0 * power as f64 + 1.0;
            }
        }
    }

    #[test]
    fn nodes_agree_with_published_ones() {
        // Abramowitz and Stegun, table 25.10, n = 20, largest node times sqrt 2.
        let (u, w) = nodes(20)[19];
        assert!((u - 5.387_480_890_011_23 * 2f64.sqrt()).abs() < 1e-13, "{u}");
        assert!((w * std::f64::consts::PI.sqrt() / 2.229_393_645_534e-13 - 1.0).abs() < 1e-11, "{w}");
    }

    #[test]
    fn smooth_functions_converge_fast() {
        let value = smooth_rule(1.0, 100).sum(|z| z.cos());
        assert!((value - (-0.5f64).exp()).abs() < 1e-15);
    }
}
