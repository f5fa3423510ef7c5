//! Averages of activations that are a straight line on each side of zero (ReLU, leaky ReLU, |z|), in closed form.

use super::lattice::products;
use super::orthant::Truncated;
use super::{Factor, key};
use crate::error::{TheoryError, Unknown};
use crate::origin::straight_slopes;
use crate::tensors::Wanted;
use carnot_math::formula::Formula;
use std::f64::consts::PI;

/// σ = a₋ z + (a₊ − a₋) z θ(z), at one kernel.
pub(super) struct Straight<'a> {
    plus: f64,
    minus: f64,
    kernel: &'a [f64],
    samples: usize,
}

impl<'a> Straight<'a> {
    /// None when the activation has another shape, or no kink at all.
    pub(super) fn new(activation: &Formula, kernel: &'a [f64], samples: usize) -> Option<Self> {
        let slopes = straight_slopes(activation)?;
        (slopes.plus != slopes.minus).then_some(Self {
            plus: slopes.plus,
            minus: slopes.minus,
            kernel,
            samples,
        })
    }

    /// Everything but one input alone, and curvatures among more than two factors of two inputs.
    pub(super) fn knows(&self, product: &[Factor]) -> bool {
        let labels = 1 + product.windows(2).filter(|pair| pair[0].sample != pair[1].sample).count();
        labels > 2 || labels == 2 && (product.len() == 2 || product.iter().all(|f| f.order < 2))
    }

    /// All averages of values and slopes that `wanted` needs of a set of distinct inputs, each with its [`key`].
    pub(super) fn all(&self, set: &[usize], wanted: Wanted) -> Vec<(u64, f64)> {
        let ordinary = |product: &Vec<Factor>| product.iter().all(|f| f.order < 2);
        let covariance: Vec<f64> =
            set.iter().flat_map(|&a| set.iter().map(move |&b| self.kernel[a * self.samples + b])).collect();
        let all = products(set, wanted).into_iter().filter(ordinary);
        all.map(|product| (key(&product), self.ordinary(&product, set, &covariance))).collect()
    }

    /// ⟨product⟩ of factors on two to four inputs, sorted by input.
    pub(super) fn mean(&self, product: &[Factor]) -> Result<f64, TheoryError> {
        let labels: Vec<usize> = {
            let mut all: Vec<usize> = product.iter().map(|f| f.sample as usize).collect();
            all.dedup();
            all
        };
        let covariance: Vec<f64> = labels
            .iter()
            .flat_map(|&a| labels.iter().map(move |&b| self.kernel[a * self.samples + b]))
            .collect();
        if product.iter().all(|f| f.order < 2) {
            return Ok(self.ordinary(product, &labels, &covariance));
        }
        match product {
            [one, two] => Ok(self.pair([one.order, two.order], &covariance)),
            _ => Err(Unknown::KinkWithManyInputs { at: 0.0, samples: labels.len() }.into()),
        }
    }

    /// Values and slopes only: on each input z^p (a₋^k + (a₊^k − a₋^k) θ) for k factors, p of them values.
    fn ordinary(&self, product: &[Factor], labels: &[usize], covariance: &[f64]) -> f64 {
        let mut powers = vec![0u8; labels.len()];
        let mut always = vec![0.0; labels.len()];
        let mut above = vec![0.0; labels.len()];
        for (i, &label) in labels.iter().enumerate() {
            let mine = product.iter().filter(|f| f.sample as usize == label);
            let count = mine.clone().count() as i32;
            powers[i] = mine.filter(|f| f.order == 0).count() as u8;
            always[i] = self.minus.powi(count);
            above[i] = self.plus.powi(count) - always[i];
        }
        let mut sum = 0.0;
        for which in 0..1usize << labels.len() {
            let steps: Vec<bool> = (0..labels.len()).map(|i| which >> i & 1 == 1).collect();
            let weight: f64 = steps
                .iter()
                .zip(always.iter().zip(&above))
                .map(|(&s, (a, b))| if s { b } else { a })
                .product();
            if weight != 0.0 {
                let (covariance, powers) = (covariance.to_vec(), powers.clone());
                sum += weight * Truncated { covariance, powers, steps }.average();
            }
        }
        sum
    }

    /// ⟨σ^(j)(z₁) σ^(k)(z₂)⟩ with curvature somewhere: σ^(k) = (a₊ − a₋) δ^(k−2).
    fn pair(&self, orders: [u8; 2], covariance: &[f64]) -> f64 {
        let [a, c, b] = [covariance[0], covariance[1], covariance[3]];
        match orders {
            [j, k] if j >= 2 => self.delta(j - 2, k, a, b, c),
            [j, k] => self.delta(k - 2, j, b, a, c),
        }
    }

    /// (a₊ − a₋) ⟨δ^(m)(z₁) σ^(k)(z₂)⟩ with variances a, b and covariance c.
    ///
    /// ⟨z₁ δ^(m) f⟩ = −m ⟨δ^(m−1) f⟩ = a ⟨δ^(m+1) f⟩ + c ⟨δ^(m) f'⟩.
    fn delta(&self, m: u8, k: u8, a: f64, b: f64, c: f64) -> f64 {
        if m == 0 {
            return (self.plus - self.minus) / (2.0 * PI * a).sqrt() * self.alone(k, b - c * c / a);
        }
        let lower = if m >= 2 { f64::from(m - 1) * self.delta(m - 2, k, a, b, c) } else { 0.0 };
        (-lower - c * self.delta(m - 1, k + 1, a, b, c)) / a
    }

    /// ⟨σ^(k)⟩ of one number of variance s².
    fn alone(&self, k: u8, square: f64) -> f64 {
        let (sum, difference) = (self.plus + self.minus, self.plus - self.minus);
        match k {
            0 => difference * (square / (2.0 * PI)).sqrt(),
            1 => sum / 2.0,
            // ⟨δ^(q)⟩: zero for odd q, else (−1)^{q/2} (q − 1)!! / s^q times the density at 0.
            _ if k % 2 == 1 => 0.0,
            _ => {
                let half = i32::from(k - 2) / 2;
                let factorial: f64 = (1..=half).map(|i| f64::from(2 * i - 1)).product();
                difference * (-1f64).powi(half) * factorial / square.powi(half) / (2.0 * PI * square).sqrt()
            }
        }
    }
}
