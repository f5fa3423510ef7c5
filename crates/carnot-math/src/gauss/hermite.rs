//! Expansion of a function of a Gaussian number in Hermite polynomials.
//!
//! $$ f(\sqrt K u) = \sum_k a_k\, he_k(u), \qquad a_k = \langle f(\sqrt K u)\, he_k(u) \rangle, \qquad
//!    he_k = \mathrm{He}_k / \sqrt{k!} $$
//!
//! Then ⟨f(z₁) f(z₂)⟩ = Σ aₖ² ρᵏ for two numbers of the same variance and correlation ρ.

use super::average::panel;
use super::panels::Panels;

/// Nodes, weights and polynomials, computed once and used for many functions.
#[derive(Clone, Debug)]
pub struct Hermite {
    u: Vec<f64>,
    w: Vec<f64>,
    /// `[order + 1, nodes]`, each polynomial times the weight.
    table: Vec<f64>,
}

/// Coefficients of an expansion with the mass it leaves out.
#[derive(Clone, Debug, PartialEq)]
pub struct Expansion {
    /// a₀ … a_order, in the unit of f.
    pub coefficients: Vec<f64>,
    /// ⟨f²⟩ - Σ aₖ² ≥ 0: what higher orders hold.
    pub tail: f64,
}

impl Hermite {
    /// Prepares the expansion up to an order.
    ///
    /// * `order`: highest degree; above 1000 the panels would have to be finer than they are
    /// * `breaks`: where the function, or a derivative, jumps, in units of the standard deviation: kink/√K
    ///
    /// For one table that serves a range of variances; above K ~ 10 the structure of an activation is narrower than
    /// the panels, and [`coefficients`] cuts them finer.
    pub fn new(order: usize, breaks: &[f64]) -> Self {
        let mut panels = range(order);
        breaks.iter().for_each(|&at| panels.cut(at));
        Self::on(panels, order)
    }

    fn on(mut panels: Panels, order: usize) -> Self {
        panels.finish();
        let nodes = panels.breaks().windows(2).flat_map(|ends| panel(ends[0], ends[1], 40));
        let (u, w): (Vec<f64>, Vec<f64>) = nodes.unzip();
        let n = u.len();
        let mut table = vec![0.0; (order + 1) * n];
        table[..n].copy_from_slice(&w);
        for k in 0..order {
            let (above, here) = ((k as f64 + 1.0).sqrt(), (k as f64).sqrt());
            let (done, next) = table.split_at_mut((k + 1) * n);
            for j in 0..n {
                let before = if k == 0 { 0.0 } else { done[(k - 1) * n + j] };
                next[j] = (u[j] * done[k * n + j] - here * before) / above;
            }
        }
        Self { u, w, table }
    }

    /// The nodes u in standard deviations: evaluate f at √K u.
    pub fn nodes(&self) -> &[f64] {
        &self.u
    }

    /// a₀ … a_order from the values of the function at √K times the [nodes](Self::nodes).
    ///
    /// # Panics
    /// When there is not one value per node.
    pub fn coefficients(&self, values: &[f64]) -> Vec<f64> {
        assert_eq!(values.len(), self.u.len(), "one value per node");
        let rows = self.table.chunks_exact(self.u.len());
        rows.map(|row| crate::device::cpu::dot(row, values)).collect()
    }

    /// Coefficients and the mass they leave out.
    ///
    /// # Panics
    /// When there is not one value per node.
    pub fn expand(&self, values: &[f64]) -> Expansion {
        let coefficients = self.coefficients(values);
        let mass: f64 = self.w.iter().zip(values).map(|(w, f)| w * f * f).sum();
        let captured: f64 = coefficients.iter().map(|a| a * a).sum();
        Expansion { coefficients, tail: (mass - captured).max(0.0) }
    }
}

/// heₖ² e^{-u²/2} oscillates up to u = 2√k before it decays; beyond 37 the density underflows.
fn range(order: usize) -> Panels {
    let end = (2.0 * (order as f64).sqrt() + 6.0).clamp(13.0, 37.0).ceil();
    let mut panels = Panels::default();
    panels.reset(-end, end, 1.0);
    panels
}

/// Coefficients of one function at one variance.
///
/// * `variance`: K ≥ 0; 0 gives the constant f(0)
/// * `kinks`: where f or a derivative jumps, in z
/// * `order`: highest degree
pub fn coefficients(f: impl Fn(f64) -> f64, variance: f64, kinks: &[f64], order: usize) -> Vec<f64> {
    if variance == 0.0 {
        let mut constant = vec![0.0; order + 1];
        constant[0] = f(0.0);
        return constant;
    }
    let deviation = variance.sqrt();
    let mut panels = range(order);
    for &at in kinks.iter().chain([&0.0]) {
        panels.grade(at / deviation, 1.0 / deviation);
    }
    let hermite = Hermite::on(panels, order);
    let values: Vec<f64> = hermite.nodes().iter().map(|u| f(deviation * u)).collect();
    hermite.coefficients(&values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_orthonormal() {
        let hermite = Hermite::new(60, &[]);
        for (i, j) in [(0, 0), (1, 1), (60, 60), (3, 5), (59, 60), (20, 40)] {
            // he_j at the nodes, from the weighted table.
            let n = hermite.u.len();
            let values: Vec<f64> = (0..n).map(|at| hermite.table[j * n + at] / hermite.w[at]).collect();
            let got = hermite.coefficients(&values)[i];
            let expect = f64::from(i == j);
            assert!((got - expect).abs() < 1e-12, "<he_{i} he_{j}> = {got}");
        }
    }

    #[test]
    fn relu_has_its_known_coefficients() {
        let a = coefficients(|z| z.max(0.0), 1.0, &[0.0], 6);
        let root = (2.0 * std::f64::consts::PI).sqrt();
        // a_k = (-1)^{k/2 - 1} (k - 3)!! / (sqrt(2 pi) sqrt(k!)) for even k > 0.
        let expect = [
            1.0 / root,
            0.5,
            1.0 / (root * 2f64.sqrt()),
            0.0,
            -1.0 / (root * 24f64.sqrt()),
            0.0,
            3.0 / (root * 720f64.sqrt()),
        ];
        for (k, (got, expect)) in a.iter().zip(expect).enumerate() {
            assert!((got - expect).abs() < 1e-14, "a_{k} = {got}, expected {expect}");
        }
    }

    #[test]
    fn the_tail_is_what_the_coefficients_leave_out() {
        let hermite = Hermite::new(3, &[]);
        let values: Vec<f64> = hermite.nodes().iter().map(|u| u.powi(4)).collect();
        let expansion = hermite.expand(&values);
        // u⁴ = He₄ + 6 He₂ + 3, so the tail is 4!.
        assert!((expansion.tail - 24.0).abs() < 1e-11, "{}", expansion.tail);
        assert!((expansion.coefficients[2] - 6.0 * 2f64.sqrt()).abs() < 1e-13);
    }

    #[test]
    fn the_expansion_gives_the_kernel_of_correlated_inputs() {
        let (k, rho) = (0.8f64, 0.6f64);
        let a = coefficients(f64::sin, k, &[], 40);
        let sum: f64 = a.iter().enumerate().map(|(n, a)| a * a * rho.powi(n as i32)).sum();
        let exact = (-k).exp() * (k * rho).sinh();
        assert!((sum - exact).abs() < 1e-14, "{sum}, expected {exact}");
    }
}
