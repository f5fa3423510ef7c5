//! A training kernel that need not be in memory: rows are read when they are needed.

use std::ops::Range;

use carnot_math::device::View;
use carnot_math::linalg::large;

use super::fault::KernelFault;
use crate::error::{TheoryError, check_length};

/// A symmetric kernel over training samples, wherever it is kept.
///
/// Only [`KernelOperator::samples`] and [`KernelOperator::read_rows`] must be written; a store that keeps each tile of one triangle
/// once should also write [`KernelOperator::apply`], using every tile for both of its sides.
///
/// The same kernel must give the same numbers in every call.
pub trait KernelOperator {
    /// Number of training samples.
    fn samples(&self) -> usize;

    /// Copies rows into `out`, `[rows, samples]`, row-major.
    ///
    /// # Errors
    /// [`KernelFault::Unreadable`].
    fn read_rows(&self, rows: Range<usize>, out: &mut [f64]) -> Result<(), TheoryError>;

    /// Rows that are best read together: a multiple of the height of a tile.
    fn rows_at_once(&self) -> usize {
        512
    }

    /// Kernel of each sample with itself, `[samples]`.
    ///
    /// # Errors
    /// As [`KernelOperator::read_rows`].
    fn diagonal(&self) -> Result<Vec<f64>, TheoryError> {
        let mut diagonal = Vec::with_capacity(self.samples());
        self.each_block(&mut |rows, block| {
            let n = self.samples();
            diagonal.extend(rows.clone().map(|i| block[(i - rows.start) * n + i]));
        })?;
        Ok(diagonal)
    }

    /// Some rows, which are columns too: `[which, samples]`.
    ///
    /// # Errors
    /// As [`KernelOperator::read_rows`].
    fn some_rows(&self, which: &[usize]) -> Result<Vec<f64>, TheoryError> {
        let n = self.samples();
        let mut out = vec![0.0; which.len() * n];
        for (&row, out) in which.iter().zip(out.chunks_mut(n.max(1))) {
            self.read_rows(row..row + 1, out)?;
        }
        Ok(out)
    }

    /// Shows every row once, in blocks, in order.
    ///
    /// # Errors
    /// As [`KernelOperator::read_rows`].
    fn each_block(&self, show: &mut dyn FnMut(Range<usize>, &[f64])) -> Result<(), TheoryError> {
        let (n, height) = (self.samples(), self.rows_at_once().max(1));
        let mut block = vec![0.0; height.min(n) * n];
        for from in (0..n).step_by(height) {
            let rows = from..(from + height).min(n);
            let block = &mut block[..rows.len() * n];
            self.read_rows(rows.clone(), block)?;
            show(rows, block);
        }
        Ok(())
    }

    /// K x for several vectors in one pass over the kernel.
    ///
    /// * `x`, `out`: `[samples, columns]`, row-major
    ///
    /// # Errors
    /// As [`KernelOperator::read_rows`].
    fn apply(&self, x: &[f64], columns: usize, out: &mut [f64]) -> Result<(), TheoryError> {
        let x = View::new(x, self.samples(), columns);
        self.each_block(&mut |rows, block| {
            large::multiply(&mut out[rows.start * columns..rows.end * columns], block, x);
        })
    }
}

/// A kernel in memory.
#[derive(Clone, Copy, Debug)]
pub struct InMemory<'a> {
    matrix: &'a [f64],
    samples: usize,
}

impl<'a> InMemory<'a> {
    /// * `matrix`: `[samples, samples]`, row-major, symmetric
    ///
    /// # Errors
    /// [`TheoryError::Length`]; [`KernelFault::NotFinite`].
    pub fn new(matrix: &'a [f64], samples: usize) -> Result<Self, TheoryError> {
        check_length("kernel", samples * samples, matrix.len())?;
        match matrix.iter().position(|x| !x.is_finite()) {
            Some(at) => {
                let (row, column) = (at / samples, at % samples);
                Err(KernelFault::NotFinite { row, column, value: matrix[at] }.into())
            }
            None => Ok(Self { matrix, samples }),
        }
    }
}

impl KernelOperator for InMemory<'_> {
    fn samples(&self) -> usize {
        self.samples
    }

    fn read_rows(&self, rows: Range<usize>, out: &mut [f64]) -> Result<(), TheoryError> {
        out.copy_from_slice(&self.matrix[rows.start * self.samples..rows.end * self.samples]);
        Ok(())
    }

    fn diagonal(&self) -> Result<Vec<f64>, TheoryError> {
        Ok((0..self.samples).map(|i| self.matrix[i * (self.samples + 1)]).collect())
    }

    fn apply(&self, x: &[f64], columns: usize, out: &mut [f64]) -> Result<(), TheoryError> {
        large::multiply(out, self.matrix, View::new(x, self.samples, columns));
        Ok(())
    }
}

/// The first entry that is not finite, found by reading everything: for when a result shows that there is one.
pub(super) fn not_finite(kernel: &dyn KernelOperator) -> Result<Option<KernelFault>, TheoryError> {
    let (n, mut found) = (kernel.samples(), None);
    kernel.each_block(&mut |rows, block| {
        if let (None, Some(at)) = (&found, block.iter().position(|x| !x.is_finite())) {
            found =
                Some(KernelFault::NotFinite { row: rows.start + at / n, column: at % n, value: block[at] });
        }
    })?;
    Ok(found)
}

/// A kernel plus a ridge on its diagonal, applied to vectors kept as rows.
pub(super) struct Ridged<'a> {
    pub kernel: &'a dyn KernelOperator,
    pub ridge: f64,
}

impl Ridged<'_> {
    /// (K + ridge) v for each row v of `[vectors, samples]`.
    pub fn times_rows(&self, rows: &[f64]) -> Result<Vec<f64>, TheoryError> {
        let n = self.kernel.samples();
        let vectors = rows.len() / n;
        let columns = large::transpose(rows, vectors, n);
        let mut out = vec![0.0; rows.len()];
        self.kernel.apply(&columns, vectors, &mut out)?;
        let mut out = large::transpose(&out, n, vectors);
        out.iter_mut().zip(rows).for_each(|(y, x)| *y += self.ridge * x);
        Ok(out)
    }
}

/// Σ a b in a fixed order.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
