//! Whole matrices and tiles, from blocks on all threads.

use super::block::{Pairs, Scratch};
use super::first::Samples;
use super::program::Program;
use super::trace::Trace;
use crate::dual::number::Number;
use crate::engine::Inputs;
use crate::error::KernelError;
use crate::matrices::Matrices;
use carnot_math::device::zeros;
use rayon::prelude::*;
use std::ops::Range;

/// Rows and columns of a block: the products of one block are made in one go, and stay in the second-level cache.
pub(crate) const BLOCK_ROWS: usize = 128;
pub(crate) const BLOCK_COLUMNS: usize = 512;
/// Sides of the squares that are mirrored in one go, small enough for the first-level cache.
const SQUARE: usize = 32;

/// Samples that have been followed through all steps.
pub(crate) struct Ready<'a, S: Number> {
    program: &'a Program,
    rows: (Samples<'a, S>, Trace<S>),
    /// `None`: the same as the rows.
    columns: Option<(Samples<'a, S>, Trace<S>)>,
}

impl<'a, S: Number> Ready<'a, S> {
    /// Follows single samples through all steps.
    ///
    /// # Errors
    /// As [`Trace::new`].
    pub(crate) fn new(
        program: &'a Program,
        first: Inputs<'a>,
        second: Option<Inputs<'a>>,
        width: usize,
        tolerance: f64,
    ) -> Result<Ready<'a, S>, KernelError> {
        let tolerance = tolerance.max(S::FINEST);
        let ready = |inputs: Inputs<'a>| {
            let samples = Samples::new(inputs, width);
            let trace = Trace::new(program, samples.variance.clone(), samples.mean.clone(), tolerance)?;
            Ok((samples, trace))
        };
        Ok(Ready { program, rows: ready(first)?, columns: second.map(ready).transpose()? })
    }

    pub(crate) fn is_symmetric(&self) -> bool {
        self.columns.is_none()
    }

    pub(crate) fn shape(&self) -> (usize, usize) {
        let rows = self.rows.0.count;
        (rows, self.columns.as_ref().map_or(rows, |columns| columns.0.count))
    }

    /// Largest measured error of a tabulated average and its layer; `None` when every form is closed.
    pub(crate) fn tabulated(&self) -> Option<&(f64, String)> {
        let sides = std::iter::once(&self.rows).chain(&self.columns);
        let errors = sides.filter_map(|side| side.1.error.as_ref()).filter(|(error, _)| *error > 0.0);
        errors.max_by(|a, b| a.0.total_cmp(&b.0))
    }

    fn pairs(&self) -> Pairs<'_, S> {
        let rows = (&self.rows.0, &self.rows.1);
        let columns = self.columns.as_ref().map_or(rows, |columns| (&columns.0, &columns.1));
        Pairs { program: self.program, rows, columns, is_symmetric: self.is_symmetric() }
    }

    /// One tile, `[rows, columns]`; both ranges begin at multiples of the block, so that the same entries have the same
    /// bits in every tiling. Runs on all threads.
    ///
    /// # Errors
    /// [`KernelError::NotKnown`].
    pub(crate) fn tile(&self, rows: Range<usize>, columns: Range<usize>) -> Result<Matrices, KernelError> {
        let n = columns.len();
        let mut kernel = zeros::<S>(rows.len() * n);
        let mut tangent = zeros::<S>(if self.program.tangent { kernel.len() } else { 0 });
        let pairs = self.pairs();
        let each = |scratch: &mut Scratch<S>, (strip, (kernel, tangent)): (usize, (&mut [S], &mut [S]))| {
            let start = rows.start + strip * BLOCK_ROWS;
            let strip = start..rows.end.min(start + BLOCK_ROWS);
            for at in columns.clone().step_by(BLOCK_COLUMNS) {
                let end = columns.end.min(at + BLOCK_COLUMNS);
                let at = if self.is_symmetric() { at.max(strip.start) } else { at };
                if at >= end {
                    continue;
                }
                let offset = at - columns.start;
                let tangent = if tangent.is_empty() { &mut [] } else { &mut tangent[offset..] };
                pairs.fill(strip.clone(), at..end, (&mut kernel[offset..], tangent), n, scratch)?;
            }
            Ok(())
        };
        let strips = kernel.par_chunks_mut(BLOCK_ROWS * n).enumerate();
        if self.program.tangent {
            let both = strips.zip(tangent.par_chunks_mut(BLOCK_ROWS * n));
            both.map(|((strip, kernel), tangent)| (strip, (kernel, tangent)))
                .try_for_each_init(Scratch::new, each)?;
        } else {
            strips
                .map(|(strip, kernel)| (strip, (kernel, &mut [][..])))
                .try_for_each_init(Scratch::new, each)?;
        }
        if self.is_symmetric() {
            for values in [&mut kernel, &mut tangent] {
                mirror(values, rows.clone(), columns.clone());
            }
        }
        let (rows, columns) = (rows.len(), n);
        let tangent = self.program.tangent.then(|| S::values(tangent));
        Ok(Matrices { rows, columns, kernel: S::values(kernel), tangent })
    }

    /// The whole matrix.
    ///
    /// # Errors
    /// [`KernelError::NotKnown`].
    pub(crate) fn whole(&self) -> Result<Matrices, KernelError> {
        let (rows, columns) = self.shape();
        self.tile(0..rows, 0..columns)
    }
}

/// Copies what lies above the diagonal of a symmetric matrix to below, within a tile that crosses the diagonal.
fn mirror<S: Number>(values: &mut [S], rows: Range<usize>, columns: Range<usize>) {
    if values.is_empty() {
        return;
    }
    let n = columns.len();
    // Rows and columns that the tile holds both ways round.
    let both = rows.start.max(columns.start)..rows.end.min(columns.end);
    let square = |start: usize| start..both.end.min(start + BLOCK_ROWS);
    for strip in both.clone().step_by(BLOCK_ROWS) {
        let strip = square(strip);
        let (above, below) = values.split_at_mut((strip.start - rows.start) * n);
        let from = |row: usize, column: usize| (row - rows.start) * n + (column - columns.start);
        // Squares are turned in a buffer, so that memory is read and written along rows.
        let groups = below[..strip.len() * n].par_chunks_mut(SQUARE * n);
        groups.enumerate().for_each(|(group, lines)| {
            let first = strip.start + group * SQUARE;
            let rows = lines.len() / n;
            let mut square = [[S::ZERO; SQUARE]; SQUARE];
            for start in (both.start..strip.start).step_by(SQUARE) {
                let width = SQUARE.min(strip.start - start);
                for column in 0..width {
                    let source = &above[from(start + column, first)..][..rows];
                    for (row, value) in source.iter().enumerate() {
                        square[row][column] = *value;
                    }
                }
                for (line, turned) in lines.chunks_mut(n).zip(&square) {
                    line[start - columns.start..][..width].copy_from_slice(&turned[..width]);
                }
            }
        });
        for row in strip.clone() {
            for column in strip.start..row {
                below[from(row, column) - above.len()] = below[from(column, row) - above.len()];
            }
        }
    }
}
