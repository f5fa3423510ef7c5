//! Units of a layer: dead ones, whose weights are zero, and duplicated ones, which do the same twice.

use carnot_math::device::{View, product};
use serde::{Deserialize, Serialize};

use super::eigenvalues::Gram;
use super::{Answer, Unknown};

/// A row or column is dead when its norm is below this share of the typical one. Chosen: weight decay alone takes months to get there.
const DEAD: f64 = 1e-4;

/// Two units are the same when the cosine between their incoming weights is above this.
pub const SAME: f64 = 0.999;

/// Most multiplications spent on comparing pairs: a few seconds of one core.
const MOST_WORK: f64 = 1e11;

/// Rows compared with all others at a time.
const ROWS: usize = 256;

/// Dead rows and columns of a matrix `[fan-out, fan-in]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dead {
    /// Outputs that nothing feeds.
    pub outputs: usize,
    /// The first of them.
    pub first_output: Option<usize>,
    /// Inputs that feed nothing.
    pub inputs: usize,
    /// The first of them.
    pub first_input: Option<usize>,
}

/// Units that repeat an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Duplicated {
    /// How many have an earlier twin.
    pub units: usize,
    /// The first pair.
    pub first: Option<(usize, usize)>,
}

/// Rows and columns of (nearly) zero weights.
///
/// * `values`: `[rows, columns]`, row-major, finite
#[must_use]
pub fn dead(values: &[f32], rows: usize, columns: usize) -> Dead {
    let (mut of_rows, mut of_columns) = (vec![0.0f64; rows], vec![0.0f64; columns]);
    for (row, chunk) in values.chunks(columns).enumerate() {
        for (sum, w) in of_columns.iter_mut().zip(chunk) {
            let square = f64::from(*w) * f64::from(*w);
            *sum += square;
            of_rows[row] += square;
        }
    }
    let (outputs, first_output) = far_below(&of_rows);
    let (inputs, first_input) = far_below(&of_columns);
    Dead { outputs, first_output, inputs, first_input }
}

fn far_below(squares: &[f64]) -> (usize, Option<usize>) {
    let mean = squares.iter().sum::<f64>() / squares.len() as f64;
    let is_dead = |square: &f64| *square <= mean * DEAD * DEAD;
    (squares.iter().filter(|square| is_dead(square)).count(), squares.iter().position(is_dead))
}

/// Rows whose cosine with an earlier one is above [`SAME`]; dead rows are left to [`dead`].
///
/// * `values`: `[rows, columns]`, row-major, finite
/// * `gram`: of this matrix; over its rows it holds every cosine already
///
/// # Errors
/// [`Unknown::TooManyPairs`].
pub fn duplicated(values: &[f32], rows: usize, columns: usize, gram: &Gram) -> Answer<Duplicated> {
    // Two numbers have a cosine of ±1: one input says nothing of units.
    if columns < 2 || rows < 2 {
        return Ok(Duplicated::default());
    }
    if gram.is_of_rows {
        let norm = |row: usize| gram.entries[row * rows + row].sqrt();
        let norms: Vec<f64> = (0..rows).map(norm).collect();
        let cosine = |i: usize, j: usize| gram.entries[i * rows + j] / (norms[i] * norms[j]);
        return Ok(count(&mut Duplicated::default(), 0, rows, &norms, cosine));
    }
    if (rows as f64).powi(2) * columns as f64 > MOST_WORK {
        return Err(Unknown::TooManyPairs { units: rows });
    }
    let mut unit = values.to_vec();
    let mut norms = Vec::with_capacity(rows);
    for row in unit.chunks_mut(columns) {
        let norm = row.iter().map(|&w| f64::from(w) * f64::from(w)).sum::<f64>().sqrt();
        norms.push(norm);
        if norm > 0.0 {
            row.iter_mut().for_each(|w| *w = (f64::from(*w) / norm) as f32);
        }
    }
    let mut found = Duplicated::default();
    let mut cosines = vec![0f32; ROWS * rows];
    for first in (0..rows).step_by(ROWS) {
        let block = ROWS.min(rows - first);
        let before = first + block;
        let these = View::new(&unit[first * columns..before * columns], block, columns);
        let all = View::new(&unit[..before * columns], before, columns);
        product(&mut cosines[..block * before], these, all.transposed(), false);
        let cosine = |i: usize, j: usize| f64::from(cosines[(i - first) * before + j]);
        found = count(&mut found, first, before, &norms, cosine);
    }
    Ok(found)
}

fn count(
    found: &mut Duplicated,
    from: usize,
    to: usize,
    norms: &[f64],
    cosine: impl Fn(usize, usize) -> f64,
) -> Duplicated {
    let typical = (norms.iter().map(|norm| norm * norm).sum::<f64>() / norms.len() as f64).sqrt();
    let is_alive = |row: usize| norms[row] > typical * DEAD;
    for row in (from..to).filter(|&row| is_alive(row)) {
        let twin = (0..row).find(|&other| is_alive(other) && cosine(row, other) > SAME);
        if let Some(twin) = twin {
            found.units += 1;
            found.first.get_or_insert((twin, row));
        }
    }
    found.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_math::random::Stream;

    #[test]
    fn planted_units_are_found_whatever_the_shape() {
        for (rows, columns) in [(30, 80), (400, 24), (24, 24)] {
            let mut values = vec![0f32; rows * columns];
            Stream::new(2, "units", &[]).fill_normal(&mut values, 1.0);
            let gram = Gram::of(&values, rows, columns).unwrap();
            assert_eq!(dead(&values, rows, columns), Dead::default());
            assert_eq!(duplicated(&values, rows, columns, &gram), Ok(Duplicated::default()));
            values[5 * columns..6 * columns].fill(0.0);
            let twin: Vec<f32> = values[3 * columns..4 * columns].iter().map(|w| 2.0 * w).collect();
            values[20 * columns..21 * columns].copy_from_slice(&twin);
            (0..rows).for_each(|row| values[row * columns + 7] = 0.0);
            let gram = Gram::of(&values, rows, columns).unwrap();
            let expect = Dead { outputs: 1, first_output: Some(5), inputs: 1, first_input: Some(7) };
            assert_eq!(dead(&values, rows, columns), expect);
            let found = duplicated(&values, rows, columns, &gram).unwrap();
            assert_eq!(found, Duplicated { units: 1, first: Some((3, 20)) }, "{rows} × {columns}");
        }
    }
}
