//! Averages of products of activations and their derivatives over several inputs.
//!
//! A product is a list of factors σ^(k)(z_a). At most four inputs meet in one, however many there are: so averages are made
//! one set of inputs after another, all that a set needs at once, and looked up afterwards.
//!
//! | activation | two to four inputs | one input, and the rest |
//! |---|---|---|
//! | smooth | [`lattice`]: trapezoids in each direction | [`quadrature`] |
//! | a straight line on each side of zero | [`straight`]: closed forms over [`orthant`] | [`quadrature`] |
//! | other kinks | pairs only, by [`quadrature`] | [`quadrature`] |

mod jets;
mod lattice;
mod orthant;
mod quadrature;
mod straight;

use crate::error::TheoryError;
use crate::tensors::Wanted;
use carnot_math::formula::Formula;
use lattice::Lattice;
use quadrature::Quadrature;
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::Mutex;
use straight::Straight;

/// One factor σ^(order)(z_sample).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Factor {
    pub sample: u8,
    pub order: u8,
}

/// σ^(order)(z_sample)
pub(crate) fn factor(sample: usize, order: u8) -> Factor {
    Factor { sample: sample as u8, order }
}

type Product = Vec<Factor>;

/// All averages at one kernel, for any number of threads at once.
pub(crate) struct Averages<'a> {
    /// For each input the first one that coincides with it.
    same: Vec<u8>,
    smooth: bool,
    straight: Option<Straight<'a>>,
    /// What was made beforehand.
    table: HashMap<u64, f64>,
    /// What is made when it is asked for.
    rest: Mutex<Quadrature<'a>>,
}

impl<'a> Averages<'a> {
    /// Makes whatever `wanted` needs of sets of two to four inputs.
    pub(crate) fn new(
        activation: &'a Formula,
        kernel: &'a [f64],
        samples: usize,
        wanted: Wanted,
    ) -> Result<Self, TheoryError> {
        let rest = Quadrature::new(activation, kernel, samples);
        let same: Vec<u8> = (0..samples).map(|a| first_like(kernel, samples, a)).collect();
        let smooth = rest.is_smooth();
        let straight = Straight::new(activation, kernel, samples);
        let mut table = HashMap::new();
        if smooth {
            let distinct: Vec<usize> = (0..samples).filter(|&a| same[a] as usize == a).collect();
            let lattice = Lattice::new(activation, kernel, samples, distinct.len().min(4))?;
            let parts: Vec<Vec<(u64, f64)>> =
                sets(&distinct).par_iter().map(|set| lattice.all(set, wanted)).collect();
            table.extend(parts.into_iter().flatten());
        }
        if let Some(straight) = &straight {
            let distinct: Vec<usize> = (0..samples).filter(|&a| same[a] as usize == a).collect();
            let values = |set: &Vec<usize>| straight.all(set, wanted.min(Wanted::Tangent));
            let parts: Vec<Vec<(u64, f64)>> = sets(&distinct).par_iter().map(values).collect();
            table.extend(parts.into_iter().flatten());
        }
        Ok(Self { same, smooth, straight, table, rest: Mutex::new(rest) })
    }

    /// ⟨product⟩; inputs that coincide are one input.
    pub(crate) fn mean(&self, product: &[Factor]) -> Result<f64, TheoryError> {
        let mut merged = [Factor { sample: u8::MAX, order: 0 }; 4];
        for (to, from) in merged.iter_mut().zip(product) {
            *to = Factor { sample: self.same[from.sample as usize], ..*from };
        }
        let merged = &mut merged[..product.len()];
        merged.sort_unstable();
        if let Some(&known) = self.table.get(&key(merged)) {
            return Ok(known);
        }
        match &self.straight {
            Some(straight) if straight.knows(merged) => straight.mean(merged),
            _ => self.rest.lock().expect("no thread stops while it averages").mean(merged),
        }
    }

    /// ⟨∂_{a}∂_{b}… product⟩
    pub(crate) fn derivative(&self, product: &[Factor], along: &[usize]) -> Result<f64, TheoryError> {
        let touches = |a: &usize| product.iter().any(|f| f.sample as usize == *a);
        if !along.iter().all(touches) {
            return Ok(0.0);
        }
        let one = product.iter().all(|f| f.sample == product[0].sample);
        if !self.smooth && (one || self.straight.is_none()) {
            return self.rest.lock().expect("no thread stops while it averages").derivative(product, along);
        }
        let Some((&first, rest)) = along.split_first() else { return self.mean(product) };
        let mut sum = 0.0;
        for raised in raise(product, first as u8) {
            sum += self.derivative(&raised, rest)?;
        }
        Ok(sum)
    }
}

/// A product of up to five factors as one number; factors must be sorted.
fn key(product: &[Factor]) -> u64 {
    product.iter().fold(1, |key, f| key << 12 | u64::from(f.sample) << 4 | u64::from(f.order))
}

/// All sets of two, three and four of the given inputs.
fn sets(inputs: &[usize]) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = Vec::new();
    let mut shorter: Vec<Vec<usize>> = inputs.iter().map(|&a| vec![a]).collect();
    for _ in 2..=4 {
        let mut longer = Vec::new();
        for set in &shorter {
            let last = set[set.len() - 1];
            longer.extend(inputs.iter().filter(|&&b| b > last).map(|&b| [&set[..], &[b]].concat()));
        }
        all.extend_from_slice(&longer);
        shorter = longer;
    }
    all
}

/// The first input that coincides with input `a` under a kernel.
pub(crate) fn first_like(kernel: &[f64], samples: usize, a: usize) -> u8 {
    let at = |i: usize, j: usize| kernel[i * samples + j];
    let coincide = |b: &usize| (at(a, a) + at(*b, *b) - 2.0 * at(a, *b)).abs() <= 1e-13 * at(a, a);
    (0..a).find(coincide).unwrap_or(a) as u8
}

/// All ways of differentiating one factor of the product that belongs to `sample`.
fn raise(product: &[Factor], sample: u8) -> Vec<Product> {
    let raised = |i: usize| {
        let mut next = product.to_vec();
        next[i].order += 1;
        next
    };
    (0..product.len()).filter(|&i| product[i].sample == sample).map(raised).collect()
}
