//! Averages one by one, over composite rules broken at the kinks, with a memory.
//!
//! A derivative that is no ordinary function (it contains a delta at a
//! kink) is moved by integration by parts: with G free of it,
//! ⟨σ^(m) (σ^(m−1))^j G⟩ = [⟨∂((σ^(m−1))^{j+1} G)⟩ − ⟨(σ^(m−1))^{j+1} ∂G⟩]/(j+1),
//! and an outer derivative becomes a Hermite weight, ⟨∂_a F⟩ = ⟨F (K⁻¹z)_a⟩.

use super::{Factor, Product, first_like, raise};
use crate::error::{TheoryError, Unknown};
use crate::moments::{kink_places, roughest_kink};
use carnot_math::formula::Formula;
use carnot_math::gauss;
use std::collections::HashMap;

/// All averages at one kernel; each is computed once.
pub(super) struct Quadrature<'a> {
    activation: &'a Formula,
    kernel: &'a [f64],
    samples: usize,
    kinks: Vec<f64>,
    /// Highest derivative that is an ordinary function everywhere that matters.
    ordinary: u8,
    roughest: f64,
    /// For each input the first one that coincides with it.
    same: Vec<u8>,
    grids: HashMap<u64, Grid>,
    memory: HashMap<(Product, Vec<u8>), f64>,
}

impl<'a> Quadrature<'a> {
    pub(super) fn new(activation: &'a Formula, kernel: &'a [f64], samples: usize) -> Self {
        let (ordinary, roughest) =
            roughest_kink(activation).map_or((4, 0.0), |(order, at)| (order.min(4), at));
        Self {
            activation,
            kernel,
            samples,
            kinks: kink_places(activation),
            ordinary,
            roughest,
            same: (0..samples).map(|a| first_like(kernel, samples, a)).collect(),
            grids: HashMap::new(),
            memory: HashMap::new(),
        }
    }

    /// ⟨product⟩; inputs that coincide are one input.
    pub(super) fn mean(&mut self, product: &[Factor]) -> Result<f64, TheoryError> {
        let merged = product.iter().map(|f| Factor { sample: self.same[f.sample as usize], ..*f });
        self.weighted(merged.collect(), Vec::new())
    }

    /// Whether the activation and all its derivatives are ordinary functions.
    pub(super) fn is_smooth(&self) -> bool {
        self.kinks.is_empty()
    }

    /// ⟨∂_{a}∂_{b}… product⟩ of an activation with kinks.
    pub(super) fn derivative(&mut self, product: &[Factor], along: &[usize]) -> Result<f64, TheoryError> {
        self.weighted(product.to_vec(), along.iter().map(|&a| a as u8).collect())
    }

    fn weighted(&mut self, mut product: Product, mut weights: Vec<u8>) -> Result<f64, TheoryError> {
        product.sort_unstable();
        weights.sort_unstable();
        let key = (product, weights);
        if let Some(&known) = self.memory.get(&key) {
            return Ok(known);
        }
        let (product, weights) = &key;
        let singular = product.iter().copied().filter(|f| f.order > self.ordinary).max_by_key(|f| f.order);
        let value = match singular {
            Some(top) => self.by_parts(product, weights, top)?,
            None => self.direct(product, weights)?,
        };
        self.memory.insert(key, value);
        Ok(value)
    }

    fn by_parts(&mut self, product: &[Factor], weights: &[u8], top: Factor) -> Result<f64, TheoryError> {
        let mut rest = product.to_vec();
        rest.remove(rest.iter().position(|&f| f == top).expect("the top factor is one of the product"));
        if top.order < 2 || rest.iter().any(|f| f.sample == top.sample && f.order >= top.order) {
            let at = self.roughest;
            let unknown =
                if self.ordinary == 0 { Unknown::ValueJumps { at } } else { Unknown::SlopeJumps { at } };
            return Err(unknown.into());
        }
        let below = Factor { order: top.order - 1, ..top };
        let (same, others): (Product, Product) = rest.into_iter().partition(|&f| f == below);
        let power = same.len() + 1;
        let with_base = |others: &[Factor]| [vec![below; power], others.to_vec()].concat();
        let outer = [weights, &[top.sample]].concat();
        let mut sum = self.weighted(with_base(&others), outer)?;
        for raised in raise(&others, top.sample) {
            sum -= self.weighted(with_base(&raised), weights.to_vec())?;
        }
        Ok(sum / power as f64)
    }

    fn direct(&mut self, product: &[Factor], weights: &[u8]) -> Result<f64, TheoryError> {
        let mask =
            product.iter().map(|f| f.sample).chain(weights.iter().copied()).fold(0u64, |m, s| m | 1 << s);
        if !self.grids.contains_key(&mask) {
            let grid = self.grid(mask)?;
            self.grids.insert(mask, grid);
        }
        let grid = &self.grids[&mask];
        let value = grid.average(product, weights)?;
        let largest = (0..self.samples).map(|a| self.kernel[a * (self.samples + 1)]).fold(0.0, f64::max);
        if value.is_finite() { Ok(value) } else { Err(TheoryError::NotFinite { kernel: largest }) }
    }

    fn grid(&self, mask: u64) -> Result<Grid, TheoryError> {
        let labels: Vec<usize> = (0..self.samples).filter(|&a| mask & (1 << a) != 0).collect();
        let d = labels.len();
        let mut covariance = vec![0.0; d * d];
        for (i, &a) in labels.iter().enumerate() {
            for (j, &b) in labels.iter().enumerate() {
                covariance[i * d + j] = self.kernel[a * self.samples + b];
            }
        }
        Grid::new(self.activation, &self.kinks, labels, covariance)
    }
}

/// Nodes for one set of inputs.
struct Grid {
    labels: Vec<usize>,
    largest: f64,
    weight: Vec<f64>,
    /// Derivatives at the nodes, for each label.
    jets: Vec<Vec<[f64; 5]>>,
    /// K⁻¹ of the labels, and (K⁻¹z) at the nodes; absent when two inputs coincide.
    dual: Option<Dual>,
}

struct Dual {
    inverse: Vec<f64>,
    /// Smallest share of a variance that the other inputs do not explain.
    alone: f64,
    scores: Vec<Vec<f64>>,
}

impl Grid {
    fn new(
        activation: &Formula,
        kinks: &[f64],
        labels: Vec<usize>,
        covariance: Vec<f64>,
    ) -> Result<Self, TheoryError> {
        let d = labels.len();
        let largest = (0..d).map(|i| covariance[i * (d + 1)]).fold(0.0, f64::max);
        let (places, weight) = places(kinks, &covariance, d)?;
        let jets: Vec<Vec<[f64; 5]>> =
            places.iter().map(|z| z.iter().map(|&z| activation.jet(z)).collect()).collect();
        let dual = Dual::new(&covariance, d, &places);
        let grid = Self { labels, largest, weight, jets, dual };
        Ok(grid)
    }

    fn axis(&self, sample: u8) -> usize {
        self.labels
            .iter()
            .position(|&a| a == sample as usize)
            .expect("the grid has every label of the product")
    }

    fn average(&self, product: &[Factor], weights: &[u8]) -> Result<f64, TheoryError> {
        let mut terms: Vec<f64> = self.weight.clone();
        for f in product {
            let order = f.order as usize;
            for (term, jet) in terms.iter_mut().zip(&self.jets[self.axis(f.sample)]) {
                *term *= jet[order];
            }
        }
        if weights.is_empty() {
            return Ok(terms.iter().sum());
        }
        let Some(dual) = &self.dual else { return Err(TheoryError::Singular { what: "kernel" }) };
        // Each weight divides by the small distance and cancels as much again.
        let error = f64::EPSILON * dual.alone.powf(-0.5 * weights.len() as f64);
        if error > 1e-6 {
            let (samples, kernel) = (self.labels.len(), self.largest);
            return Err(TheoryError::NotResolved { samples, kernel, error });
        }
        let axes: Vec<usize> = weights.iter().map(|&a| self.axis(a)).collect();
        Ok(terms.iter().enumerate().map(|(node, term)| term * dual.hermite(&axes, node)).sum())
    }
}

impl Dual {
    fn new(covariance: &[f64], d: usize, places: &[Vec<f64>]) -> Option<Self> {
        let inverse = crate::matrix::inverse(covariance, d, "kernel").ok()?;
        let score = |i: usize, node: usize| (0..d).map(|j| inverse[i * d + j] * places[j][node]).sum();
        let scores = (0..d).map(|i| (0..places[0].len()).map(|node| score(i, node)).collect()).collect();
        let alone =
            (0..d).map(|i| 1.0 / (inverse[i * (d + 1)] * covariance[i * (d + 1)])).fold(1.0, f64::min);
        Some(Self { inverse, alone, scores })
    }

    /// The Hermite weight that stands for derivatives along the given axes.
    fn hermite(&self, axes: &[usize], node: usize) -> f64 {
        let Some((&first, rest)) = axes.split_first() else { return 1.0 };
        let d = self.scores.len();
        let mut value = self.scores[first][node] * self.hermite(rest, node);
        for skip in 0..rest.len() {
            let others: Vec<usize> =
                rest.iter().enumerate().filter(|&(i, _)| i != skip).map(|(_, &a)| a).collect();
            value -= self.inverse[first * d + rest[skip]] * self.hermite(&others, node);
        }
        value
    }
}

/// Nodes `[d][n]` and weights `[n]` for a Gaussian vector.
fn places(kinks: &[f64], covariance: &[f64], d: usize) -> Result<(Vec<Vec<f64>>, Vec<f64>), TheoryError> {
    if d == 1 {
        let rule = gauss::rule(covariance[0], kinks);
        return Ok((vec![rule.z], rule.w));
    }
    if d == 2 {
        let rule = gauss::pair_rule(covariance[0], covariance[3], covariance[1], kinks);
        return Ok((vec![rule.z1, rule.z2], rule.w));
    }
    Err(Unknown::KinkWithManyInputs { at: kinks.first().copied().unwrap_or(0.0), samples: d }.into())
}
