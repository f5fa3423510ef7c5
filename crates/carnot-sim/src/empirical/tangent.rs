//! The neural tangent kernel of one network, from products of Gram matrices.

use super::record::{LayerRecord, Record, record};
use super::{Matrix, Network};
use crate::error::SimError;
use carnot_math::device::{View, product, product_into};
use carnot_math::scalar::Scalar;
use carnot_net::hyper::LayerRate;
use rayon::prelude::*;
use std::ops::Range;

/// What is kept of the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// One number for each pair of samples: the mean over outputs of the diagonal of its block.
    TraceMean,
    /// A block over outputs for each pair of samples.
    Full,
}

/// Rows of the matrix that are worked on together; a tile and its columns fit into the second-level cache up to a few thousand columns.
const TILE: usize = 64;
/// Gradients of one layer and output are formed one by one only below this number of them: 1 GiB in `f64`.
const MOST_GRADIENTS: usize = 1 << 27;

/// Neural tangent kernel between two sets of samples (or of one with itself), exactly.
///
/// $$ \hat\Theta_{ij;ab} = \sum_\mu \lambda_\mu\, \partial_\mu z_{ia}\, \partial_\mu z_{jb}
///    = \sum_\ell \sum_{pq} \Big(\tfrac{\lambda_W}{n_{\ell-1}}\, x_{ap}\!\cdot x_{bq} + \lambda_b\Big)\; g_{iap}\!\cdot g_{jbq} $$
///
/// over layers ℓ with weights and positions p, q; x are inputs of the layer and g what output i pulls at its outputs. So
/// two Gram matrices for each layer take the place of as many gradients as there are samples and outputs. Where a layer
/// has many positions and few weights, its gradients are formed instead, whichever needs fewer operations. Gains and shifts of
/// normalisations count as frozen, dropout is off.
///
/// * `rates`: one per layer with weights
/// * `first`, `second`: `[samples, shape]`; without a second set the matrix is symmetric and costs half
/// * returns: `[samples, samples]`, with blocks `[outputs, outputs]` where asked
///
/// Work for N samples, O outputs and layers m → n at one position: N² (m + O n) products for the trace, N² (m + O² n) for
/// blocks; memory N (m + O n) numbers for each layer. Same bits for any number of threads.
///
/// # Errors
/// [`SimError`] when sizes do not fit.
///
/// Source: the definition (PDLT 8.1), rearranged. Checked by `tests/empirical.rs` against gradients and against a public library.
pub fn tangent<S: Scalar>(
    network: Network<S>,
    rates: &[LayerRate],
    first: &[f64],
    second: Option<&[f64]>,
    blocks: Blocks,
) -> Result<Matrix, SimError> {
    if rates.len() != network.plan.weighted {
        return Err(SimError::Rates { expected: network.plan.weighted, found: rates.len() });
    }
    let rows = record(network, rates, first, network.samples(first)?);
    let Some(second) = second else {
        let mut matrix = assemble(&rows, &rows, blocks, true);
        matrix.mirror();
        return Ok(matrix);
    };
    let columns = record(network, rates, second, network.samples(second)?);
    Ok(assemble(&rows, &columns, blocks, false))
}

/// How a pair of outputs contributes: its outputs, its place in a block, its share.
struct Pull {
    left: usize,
    right: usize,
    slot: usize,
    share: f64,
}

fn pulls(outputs: usize, blocks: Blocks) -> Vec<Pull> {
    match blocks {
        Blocks::TraceMean => {
            (0..outputs).map(|i| Pull { left: i, right: i, slot: 0, share: 1.0 / outputs as f64 }).collect()
        }
        Blocks::Full => (0..outputs * outputs)
            .map(|k| Pull { left: k / outputs, right: k % outputs, slot: k, share: 1.0 })
            .collect(),
    }
}

fn assemble<S: Scalar>(rows: &Record<S>, columns: &Record<S>, blocks: Blocks, symmetric: bool) -> Matrix {
    let pulls = pulls(rows.outputs, blocks);
    let side = if blocks == Blocks::Full { rows.outputs } else { 1 };
    let mut matrix = Matrix::zeros(rows.samples, columns.samples, side);
    let slots = side * side;
    for (left, right) in rows.layers.iter().zip(&columns.layers) {
        let gradients = (cheaper_by_gradients(left, right, &pulls, columns.samples)).then(|| {
            let one = Gradients::of(left);
            let two = (!symmetric).then(|| Gradients::of(right));
            (one, two)
        });
        let tiles = matrix.values.par_chunks_mut(TILE * columns.samples * slots);
        tiles.enumerate().for_each(|(tile, values)| {
            let mine = tile * TILE..(tile * TILE + TILE).min(rows.samples);
            let theirs = if symmetric { 0..mine.end } else { 0..columns.samples };
            let mut target = Target { values, wide: columns.samples, slots, pulls: &pulls };
            match &gradients {
                Some((one, two)) => {
                    target.add_gradients(one, two.as_ref().unwrap_or(one), left, mine, theirs)
                }
                None => target.add_grams(left, right, mine, theirs),
            }
        });
    }
    matrix
}

/// Compares products per pair of samples: P² (m + O n) for Gram matrices, O m n (and their making) for gradients.
fn cheaper_by_gradients<S>(
    layer: &LayerRecord<S>,
    other: &LayerRecord<S>,
    pulls: &[Pull],
    columns: usize,
) -> bool {
    let (positions, weights) = (layer.positions, layer.fan_in * layer.width);
    let samples = other.inputs.len() / (positions * layer.fan_in).max(1);
    let grams = positions * positions * (layer.fan_in + pulls.len() * layer.width);
    let making = 2 * layer.pulls.len() * positions * weights / columns.max(1);
    let fits = samples * layer.pulls.len() * weights <= MOST_GRADIENTS;
    positions > 1 && fits && pulls.len() * weights + making < grams
}

/// Gradients with respect to the weights and biases of one layer, for each output.
struct Gradients<S> {
    /// `[samples, width · fan-in]`
    weights: Vec<Vec<S>>,
    /// `[samples, width]`
    biases: Vec<Vec<S>>,
}

impl<S: Scalar> Gradients<S> {
    fn of(layer: &LayerRecord<S>) -> Gradients<S> {
        let (p, m, n) = (layer.positions, layer.fan_in, layer.width);
        let weights = |pull: &Vec<S>| {
            let mut all = vec![S::default(); pull.len() / (p * n) * n * m];
            let samples =
                all.par_chunks_mut(n * m).zip(pull.par_chunks(p * n).zip(layer.inputs.par_chunks(p * m)));
            samples.for_each(|(to, (g, x))| {
                product(to, View::new(g, p, n).transposed(), View::new(x, p, m), false);
            });
            all
        };
        let biases = |pull: &Vec<S>| {
            let mut all = vec![S::default(); pull.len() / p];
            for (to, g) in all.chunks_exact_mut(n).zip(pull.chunks_exact(p * n)) {
                for row in g.chunks_exact(n) {
                    to.iter_mut().zip(row).for_each(|(t, g)| *t += *g);
                }
            }
            all
        };
        Gradients {
            weights: layer.pulls.iter().map(weights).collect(),
            biases: layer.pulls.iter().map(biases).collect(),
        }
    }
}

/// Some rows of the matrix.
struct Target<'a> {
    values: &'a mut [f64],
    /// Samples of the second set.
    wide: usize,
    /// Numbers in a block.
    slots: usize,
    pulls: &'a [Pull],
}

impl Target<'_> {
    fn add_grams<S: Scalar>(
        &mut self,
        left: &LayerRecord<S>,
        right: &LayerRecord<S>,
        mine: Range<usize>,
        theirs: Range<usize>,
    ) {
        let p = left.positions;
        let (rows, columns) = (mine.len() * p, theirs.len() * p);
        let mut inputs = vec![S::default(); rows * columns];
        let rate = S::from_f64(left.weight_rate);
        between(&mut inputs, &left.inputs, &right.inputs, left.fan_in, p, &mine, &theirs, rate);
        if left.bias_rate != 0.0 {
            let rate = S::from_f64(left.bias_rate);
            inputs.iter_mut().for_each(|x| *x += rate);
        }
        let mut grams = vec![S::default(); rows * columns];
        for at in 0..self.pulls.len() {
            let Pull { left: i, right: j, slot, share } = self.pulls[at];
            let share_of = S::from_f64(share);
            between(&mut grams, &left.pulls[i], &right.pulls[j], left.width, p, &mine, &theirs, share_of);
            self.add_products(&inputs, &grams, p, theirs.len(), slot);
        }
    }

    /// Adds the entry by entry product of two matrices, summed over positions.
    fn add_products<S: Scalar>(&mut self, x: &[S], g: &[S], positions: usize, columns: usize, slot: usize) {
        let wide = columns * positions;
        for (row, (x, g)) in x.chunks_exact(wide).zip(g.chunks_exact(wide)).enumerate() {
            let start = row / positions * self.wide * self.slots;
            let target = &mut self.values[start..start + columns * self.slots];
            if self.slots == 1 && positions == 1 {
                for (to, (x, g)) in target.iter_mut().zip(x.iter().zip(g)) {
                    *to += (*x * *g).to_f64();
                }
                continue;
            }
            let pairs = x.chunks_exact(positions).zip(g.chunks_exact(positions));
            for (to, (x, g)) in target.iter_mut().skip(slot).step_by(self.slots).zip(pairs) {
                *to += x.iter().zip(g).map(|(x, g)| (*x * *g).to_f64()).sum::<f64>();
            }
        }
    }

    fn add_gradients<S: Scalar>(
        &mut self,
        one: &Gradients<S>,
        two: &Gradients<S>,
        layer: &LayerRecord<S>,
        mine: Range<usize>,
        theirs: Range<usize>,
    ) {
        let mut sums = vec![S::default(); mine.len() * theirs.len()];
        let weights = layer.fan_in * layer.width;
        let parts = [
            (&one.weights, &two.weights, weights, layer.weight_rate),
            (&one.biases, &two.biases, layer.width, layer.bias_rate),
        ];
        for at in 0..self.pulls.len() {
            let Pull { left: i, right: j, slot, share } = self.pulls[at];
            for (left, right, size, rate) in parts {
                if rate != 0.0 {
                    between(
                        &mut sums,
                        &left[i],
                        &right[j],
                        size,
                        1,
                        &mine,
                        &theirs,
                        S::from_f64(rate * share),
                    );
                    for (row, sums) in sums.chunks_exact(theirs.len()).enumerate() {
                        let target = &mut self.values[row * self.wide * self.slots..];
                        for (to, sum) in target.iter_mut().skip(slot).step_by(self.slots).zip(sums) {
                            *to += sum.to_f64();
                        }
                    }
                }
            }
        }
    }
}

/// factor × (rows of `a` of some samples) · (rows of `b` of others)ᵀ, rows of `size` numbers, `positions` of them a sample.
#[allow(clippy::too_many_arguments)] // two operands with their ranges
fn between<S: Scalar>(
    out: &mut [S],
    a: &[S],
    b: &[S],
    size: usize,
    positions: usize,
    mine: &Range<usize>,
    theirs: &Range<usize>,
    factor: S,
) {
    let stride = size * positions;
    let a = View::new(&a[mine.start * stride..mine.end * stride], mine.len() * positions, size);
    let b = View::new(&b[theirs.start * stride..theirs.end * stride], theirs.len() * positions, size);
    product_into(out, a, b.transposed(), factor, false);
}
