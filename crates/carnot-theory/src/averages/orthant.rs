//! Averages of monomials times step functions over up to four correlated Gaussian numbers: no quadrature but one line.
//!
//! ⟨z_a G⟩ = Σ_b K_ab ⟨∂_b G⟩ lowers the power; the derivative of a step is a delta, which fixes its number at zero and
//! leaves an average over the others. What remains at the end is the chance that several numbers are positive.

use carnot_math::gauss;
use std::f64::consts::PI;

/// ∏ z_i^{powers_i} θ(z_i if steps_i) averaged.
#[derive(Clone, Debug)]
pub(super) struct Truncated {
    /// `[d, d]`
    pub covariance: Vec<f64>,
    pub powers: Vec<u8>,
    pub steps: Vec<bool>,
}

impl Truncated {
    fn dimension(&self) -> usize {
        self.powers.len()
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        self.covariance[i * self.dimension() + j]
    }

    /// The average, by the recursion.
    pub(super) fn average(mut self) -> f64 {
        self.drop_absent();
        let d = self.dimension();
        if let Some(still) = (0..d).find(|&i| self.at(i, i) == 0.0) {
            return self.without(still);
        }
        let Some(a) = (0..d).find(|&i| self.powers[i] > 0) else { return self.positive() };
        self.powers[a] -= 1;
        let mut sum = 0.0;
        for b in 0..d {
            let k = self.at(a, b);
            if k == 0.0 {
                continue;
            }
            if self.powers[b] > 0 {
                let mut lower = self.clone();
                lower.powers[b] -= 1;
                sum += k * f64::from(self.powers[b]) * lower.average();
            } else if self.steps[b] {
                sum += k * self.at_zero(b);
            }
        }
        sum
    }

    /// A number that is always zero: nothing with a power, positive half of the times.
    fn without(mut self, still: usize) -> f64 {
        if self.powers[still] > 0 {
            return 0.0;
        }
        self.steps[still] = false;
        0.5 * self.average()
    }

    /// ⟨δ(z_b) …⟩ of the others.
    fn at_zero(&self, b: usize) -> f64 {
        let own = self.at(b, b);
        (2.0 * PI * own).powf(-0.5) * self.given_zero(b).average()
    }

    /// The other numbers, given that z_b is 0.
    pub(super) fn given_zero(&self, b: usize) -> Truncated {
        let others: Vec<usize> = (0..self.dimension()).filter(|&i| i != b).collect();
        let own = |i: usize| self.at(i, i) - self.at(i, b) * self.at(i, b) / self.at(b, b);
        // Dependent inputs leave nothing; what rounding leaves must not be divided by.
        let is_still = |i: usize| own(i) <= 1e-13 * self.at(i, i);
        let left = |i: usize, j: usize| {
            let rest = self.at(i, j) - self.at(i, b) * self.at(j, b) / self.at(b, b);
            if is_still(i) || is_still(j) { 0.0 } else { rest }
        };
        Truncated {
            covariance: others
                .iter()
                .flat_map(|&i| others.iter().map(|&j| left(i, j)).collect::<Vec<_>>())
                .collect(),
            powers: others.iter().map(|&i| self.powers[i]).collect(),
            steps: others.iter().map(|&i| self.steps[i]).collect(),
        }
    }

    /// Leaves out numbers that do not occur.
    fn drop_absent(&mut self) {
        let d = self.dimension();
        let here: Vec<usize> = (0..d).filter(|&i| self.powers[i] > 0 || self.steps[i]).collect();
        if here.len() < d {
            let pairs = here.iter().flat_map(|&i| here.iter().map(move |&j| i * d + j));
            self.covariance = pairs.map(|at| self.covariance[at]).collect();
            self.powers = here.iter().map(|&i| self.powers[i]).collect();
            self.steps = here.iter().map(|&i| self.steps[i]).collect();
        }
    }

    /// The chance that all numbers are positive.
    fn positive(&self) -> f64 {
        let d = self.dimension();
        let r =
            |i: usize, j: usize| (self.at(i, j) / (self.at(i, i) * self.at(j, j)).sqrt()).clamp(-1.0, 1.0);
        match d {
            0 => 1.0,
            1 => 0.5,
            2 => 0.25 + r(0, 1).asin() / (2.0 * PI),
            3 => 0.125 + (r(0, 1).asin() + r(0, 2).asin() + r(1, 2).asin()) / (4.0 * PI),
            _ => four([r(0, 1), r(0, 2), r(0, 3), r(1, 2), r(1, 3), r(2, 3)]),
        }
    }
}

/// Panels of the line, ever shorter towards t = 1, where inputs that nearly coincide have a root singularity.
const PANELS: usize = 24;

/// Chance that four numbers with correlations (12, 13, 14, 23, 24, 34) are positive.
///
/// With all correlations scaled by t, dP/dt = Σ_{i<j} r_ij ⟨δ(z_i) δ(z_j) θ(z_k) θ(z_l)⟩ and the average over the other two is an arc sine.
///
/// Source: Plackett 1954, *A reduction formula for normal multivariate integrals*.
fn four(r: [f64; 6]) -> f64 {
    // Each pair with the one that is left, and the correlations between them.
    const SPLITS: [[usize; 6]; 6] = [
        // ij, kl, ik, il, jk, jl
        [0, 5, 1, 2, 3, 4],
        [1, 4, 0, 2, 3, 5],
        [2, 3, 0, 1, 4, 5],
        [3, 2, 0, 4, 1, 5],
        [4, 1, 0, 3, 2, 5],
        [5, 0, 1, 3, 2, 4],
    ];
    let slope = |t: f64| -> f64 {
        let term = |split: &[usize; 6]| {
            let [ij, kl, ik, il, jk, jl] = split.map(|at| t * r[at]);
            let left = (1.0 - ij * ij).max(1e-300);
            // Covariances of k and l given that i and j are 0.
            let var = |a: f64, b: f64| (1.0 - (a * a + b * b - 2.0 * ij * a * b) / left).max(0.0);
            let cov = kl - (ik * il + jk * jl - ij * (ik * jl + jk * il)) / left;
            let size = (var(ik, jk) * var(il, jl)).sqrt();
            let angle = if size > 0.0 { (cov / size).clamp(-1.0, 1.0).asin() } else { 0.0 };
            r[split[0]] / (2.0 * PI * left.sqrt()) * (0.25 + angle / (2.0 * PI))
        };
        SPLITS.iter().map(term).sum()
    };
    let nodes = gauss::legendre(20);
    let mut sum = 1.0 / 16.0;
    let mut start = 0.0;
    for panel in 1..=PANELS {
        let end = if panel == PANELS { 1.0 } else { 1.0 - 0.25f64.powi(panel as i32) };
        let (middle, half) = (0.5 * (start + end), 0.5 * (end - start));
        sum += nodes.iter().map(|&(x, w)| half * w * slope(middle + half * x)).sum::<f64>();
        start = end;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truncated(covariance: &[f64], powers: &[u8], steps: &[bool]) -> f64 {
        Truncated { covariance: covariance.to_vec(), powers: powers.to_vec(), steps: steps.to_vec() }
            .average()
    }

    #[test]
    fn four_equal_correlations_of_one_half_are_positive_once_in_five() {
        // Numbers x_i − x_0 of five independent ones: all positive when x_0 is the least.
        let k: Vec<f64> = (0..16).map(|at| if at % 5 == 0 { 1.0 } else { 0.5 }).collect();
        assert!((truncated(&k, &[0; 4], &[true; 4]) - 0.2).abs() < 1e-13);
    }

    #[test]
    fn independent_numbers_factor_and_equal_ones_are_one() {
        let k: Vec<f64> = (0..16).map(|at| if at % 5 == 0 { 2.0 } else { 0.0 }).collect();
        let half = 2f64.sqrt() / (2.0 * PI).sqrt();
        assert!((truncated(&k, &[1; 4], &[true; 4]) - half.powi(4)).abs() < 1e-14);
        // Twins: θ(z)θ(z) = θ(z).
        let r = 1.0 - 1e-12;
        let twins = [1.0, r, 0.2, 0.1, r, 1.0, 0.2, 0.1, 0.2, 0.2, 1.0, 0.3, 0.1, 0.1, 0.3, 1.0];
        let three = [1.0, 0.2, 0.1, 0.2, 1.0, 0.3, 0.1, 0.3, 1.0];
        let (found, expect) =
            (truncated(&twins, &[0; 4], &[true; 4]), truncated(&three, &[0; 3], &[true; 3]));
        assert!((found - expect).abs() < 1e-6, "{found}, {expect}");
    }

    #[test]
    fn pairs_have_the_arc_cosine_kernels() {
        let (a, b, c) = (1.3f64, 0.7f64, -0.4f64);
        let theta = (c / (a * b).sqrt()).acos();
        let expect = (a * b).sqrt() / (2.0 * PI) * (theta.sin() + (PI - theta) * theta.cos());
        let found = truncated(&[a, c, c, b], &[1, 1], &[true, true]);
        assert!((found - expect).abs() < 1e-14, "{found}, {expect}");
        let square = (a * b) / (2.0 * PI)
            * (3.0 * theta.sin() * theta.cos() + (PI - theta) * (1.0 + 2.0 * theta.cos().powi(2)));
        let found = truncated(&[a, c, c, b], &[2, 2], &[true, true]);
        assert!((found - square).abs() < 1e-14, "{found}, {square}");
    }
}
