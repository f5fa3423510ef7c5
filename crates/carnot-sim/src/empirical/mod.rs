//! Kernels of a real network of finite width: what its features and its gradients make of a set of samples.
//!
//! | module | question |
//! |---|---|
//! | [`tangent`] | the neural tangent kernel of this network, exactly, without storing its gradients |
//! | [`feature`] | the Gram matrix of the features of any layer |
//! | [`drift`] | how far has a kernel moved since the start, and towards what? |
//! | [`average`] | the mean kernel of many networks, with error bars and, from two widths, without its 1/n part |
//!
//! Matrices between two different sets are as welcome as those of one set with itself.

pub mod average;
pub mod drift;
pub mod feature;
mod record;
pub mod tangent;

use crate::error::SimError;
use carnot_net::plan::Plan;

/// A network with the parameters of one member.
#[derive(Clone, Copy, Debug)]
pub struct Network<'a, S> {
    /// Its layers.
    pub plan: &'a Plan,
    /// `[plan.parameters]`
    pub parameters: &'a [S],
}

impl<S> Network<'_, S> {
    /// Number of samples in `inputs`, `[samples, shape]`.
    fn samples(&self, inputs: &[f64]) -> Result<usize, SimError> {
        let size = self.plan.input.len();
        assert_eq!(self.parameters.len(), self.plan.parameters, "the parameters of one member");
        if inputs.is_empty() {
            return Err(SimError::NoSamples);
        }
        if !inputs.len().is_multiple_of(size) {
            return Err(SimError::Input { expected: self.plan.input.clone(), found: inputs.len() });
        }
        Ok(inputs.len() / size)
    }
}

/// A kernel between two sets of samples, one number or a block over outputs for each pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Samples of the first set.
    pub rows: usize,
    /// Samples of the second set.
    pub columns: usize,
    /// Outputs on each side of a block; 1 when a pair has one number.
    pub outputs: usize,
    /// `[rows, columns, outputs, outputs]`, row-major.
    pub values: Vec<f64>,
}

impl Matrix {
    pub(super) fn zeros(rows: usize, columns: usize, outputs: usize) -> Matrix {
        Matrix { rows, columns, outputs, values: vec![0.0; rows * columns * outputs * outputs] }
    }

    /// The entry of samples a, b and outputs i, j.
    #[must_use]
    pub fn at(&self, a: usize, b: usize, i: usize, j: usize) -> f64 {
        let n = self.outputs;
        self.values[((a * self.columns + b) * n + i) * n + j]
    }

    /// Samples and outputs as one index each: `[rows · outputs, columns · outputs]`, samples before outputs.
    #[must_use]
    pub fn flat(&self) -> Vec<f64> {
        let n = self.outputs;
        let wide = self.columns * n;
        (0..self.rows * n * wide)
            .map(|k| {
                let (row, column) = (k / wide, k % wide);
                self.at(row / n, column / n, row % n, column % n)
            })
            .collect()
    }

    /// Copies what lies below the diagonal of blocks to above it.
    fn mirror(&mut self) {
        let n = self.outputs;
        for a in 0..self.rows {
            for b in a + 1..self.columns {
                for k in 0..n * n {
                    let from = ((b * self.columns + a) * n + k % n) * n + k / n;
                    self.values[(a * self.columns + b) * n * n + k] = self.values[from];
                }
            }
        }
    }
}
