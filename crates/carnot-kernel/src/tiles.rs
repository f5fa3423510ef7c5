//! A kernel in tiles: one after the other in a fixed order, with no more memory than a few tiles.

use crate::engine::{Engine, Inputs, Precision};
use crate::entrywise::matrices::{BLOCK_COLUMNS, Ready};
use crate::error::KernelError;
use crate::matrices::Matrices;
use std::ops::Range;

/// A tile of K and Θ.
#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    /// Samples of the first set.
    pub rows: Range<usize>,
    /// Samples of the second set.
    pub columns: Range<usize>,
    /// Its entries, with the bits that the whole matrix has.
    pub matrices: Matrices,
}

impl Engine {
    /// Calls `sink` with every tile, row after row of tiles.
    ///
    /// * `second`: `None` for the kernel of `first` with itself, of which only tiles on and above the diagonal come
    /// * `tile`: samples on each side, rounded up to a multiple of 512 so that the bits do not depend on it
    ///
    /// # Errors
    /// [`KernelError`] with the reason, or whatever `sink` returns, which ends the work.
    pub fn tiles(
        &self,
        first: Inputs,
        second: Option<Inputs>,
        tile: usize,
        mut sink: impl FnMut(Tile) -> Result<(), KernelError>,
    ) -> Result<(), KernelError> {
        self.check(first)?;
        second.map_or(Ok(()), |second| self.check(second))?;
        let places = places(first.samples, second.map(|second| second.samples), tile);
        let Some(program) = &self.program else {
            return self.tiles_of_samples(first, second, places, sink);
        };
        let (width, tolerance) = (self.plan.input.len(), self.options.tolerance);
        match self.options.precision {
            Precision::F64 => {
                let ready = Ready::<f64>::new(program, first, second, width, tolerance)?;
                places.into_iter().try_for_each(|(rows, columns)| {
                    let matrices = ready.tile(rows.clone(), columns.clone())?;
                    sink(Tile { rows, columns, matrices })
                })
            }
            Precision::F32 => {
                let ready = Ready::<f32>::new(program, first, second, width, tolerance)?;
                places.into_iter().try_for_each(|(rows, columns)| {
                    let matrices = ready.tile(rows.clone(), columns.clone())?;
                    sink(Tile { rows, columns, matrices })
                })
            }
        }
    }

    /// Tiles of the other routes: kernels of some samples with some others.
    fn tiles_of_samples(
        &self,
        first: Inputs,
        second: Option<Inputs>,
        places: Vec<(Range<usize>, Range<usize>)>,
        mut sink: impl FnMut(Tile) -> Result<(), KernelError>,
    ) -> Result<(), KernelError> {
        let width = self.plan.input.len();
        for (rows, columns) in places {
            let some = |range: &Range<usize>| range.start * width..range.end * width;
            let a = Inputs { data: &first.data[some(&rows)], samples: rows.len() };
            let other = second.unwrap_or(first);
            let b = Inputs { data: &other.data[some(&columns)], samples: columns.len() };
            let is_diagonal = second.is_none() && rows == columns;
            let matrices = if is_diagonal { self.gram(a)? } else { self.cross(a, b)? };
            sink(Tile { rows, columns, matrices })?;
        }
        Ok(())
    }
}

/// Rows and columns of every tile, in order.
fn places(rows: usize, columns: Option<usize>, tile: usize) -> Vec<(Range<usize>, Range<usize>)> {
    let side = tile.max(1).next_multiple_of(BLOCK_COLUMNS);
    let cut = |n: usize| (0..n).step_by(side).map(move |start| start..n.min(start + side));
    let above = |row: &Range<usize>, column: &Range<usize>| columns.is_some() || column.start >= row.start;
    let all = cut(rows).flat_map(|row| cut(columns.unwrap_or(rows)).map(move |column| (row.clone(), column)));
    all.filter(|(row, column)| above(row, column)).collect()
}
