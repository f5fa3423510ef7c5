//! Units of a layer: dead ones, whose weights are zero, and duplicated ones, which do the same twice.

use carnot_math::device::wide::{Loop, widest};
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
    /// Inputs, or channels of a convolution, that feed nothing.
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
/// * `window`: columns of one channel, side by side; a position that no window looks at is no dead input
#[must_use]
pub fn dead(values: &[f32], rows: usize, columns: usize, window: usize) -> Dead {
    let (of_rows, of_columns) = squares(values, rows, columns);
    let (outputs, first_output) = far_below(&of_rows);
    let channels: Vec<f64> = of_columns.chunks(window.max(1)).map(|channel| channel.iter().sum()).collect();
    let (inputs, first_input) = far_below(&channels);
    Dead { outputs, first_output, inputs, first_input }
}

/// Sums of squares over each row and over each column.
fn squares(values: &[f32], rows: usize, columns: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut of_rows, mut of_columns) = (vec![0.0f64; rows], vec![0.0f64; columns]);
    widest(Squares { values, columns }, &mut of_rows, &mut of_columns, &mut [0.0; LANES]);
    (of_rows, of_columns)
}

/// Sums that run side by side.
const LANES: usize = 16;

/// Sums of squares over each row and over each column.
struct Squares<'a> {
    values: &'a [f32],
    columns: usize,
}

impl Loop<f64> for Squares<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, of_rows: &mut [f64], of_columns: &mut [f64], lanes: &mut [f64]) {
        for (row, of_row) in self.values.chunks(self.columns).zip(of_rows) {
            lanes.fill(0.0);
            for (part, of_columns) in row.chunks(LANES).zip(of_columns.chunks_mut(LANES)) {
                for ((w, sum), of_column) in part.iter().zip(&mut *lanes).zip(of_columns) {
                    let square = f64::from(*w) * f64::from(*w);
                    *sum += square;
                    *of_column += square;
                }
            }
            *of_row = lanes.iter().sum();
        }
    }
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
        let near = |i: usize| {
            let (limit, row) = (SAME * norms[i], &gram.entries[i * rows..][..i]);
            let is_near = move |(product, norm): (&f64, &f64)| *product > limit * norm;
            near_in_pieces(row, &norms[..i], is_near)
        };
        return Ok(count(&mut Duplicated::default(), 0, rows, &norms, near, cosine));
    }
    if (rows as f64).powi(2) * columns as f64 > MOST_WORK {
        return Err(Unknown::TooManyPairs { units: rows });
    }
    let (of_rows, _) = squares(values, rows, columns);
    let norms: Vec<f64> = of_rows.iter().map(|square| square.sqrt()).collect();
    let cosine = |i: usize, j: usize| {
        let of = |row: usize| &values[row * columns..(row + 1) * columns];
        let product: f64 = of(i).iter().zip(of(j)).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        product / (norms[i] * norms[j])
    };
    let near = Near::of(values, columns, &norms);
    let mut found = Duplicated::default();
    let mut products = vec![0f32; ROWS * rows];
    for first in (0..rows).step_by(ROWS) {
        let before = rows.min(first + ROWS);
        near.products(&mut products, first, before);
        let candidates = |row: usize| near.to(row, &products[(row - first) * before..][..row]);
        found = count(&mut found, first, before, &norms, candidates, cosine);
    }
    Ok(found)
}

/// Every so many inputs are looked at first.
const LOOKED_AT: usize = 32;

/// Pairs compared at a time.
const PIECE: usize = 64;

/// A look at a few inputs of every unit that leaves out pairs for certain: two unit vectors of cosine c lie $\sqrt{2 - 2c}$ apart, and over some
/// of their inputs no further.
struct Near {
    /// `[rows, few]`.
    parts: Vec<f32>,
    few: usize,
    /// Squared length of each part.
    squares: Vec<f32>,
}

impl Near {
    fn of(values: &[f32], columns: usize, norms: &[f64]) -> Near {
        let step = columns.div_ceil(LOOKED_AT);
        let mut parts = Vec::with_capacity(norms.len() * columns.div_ceil(step));
        for (row, norm) in values.chunks(columns).zip(norms) {
            let inverse = if *norm > 0.0 { (1.0 / norm) as f32 } else { 0.0 };
            parts.extend(row.iter().step_by(step).map(|w| w * inverse));
        }
        let few = columns.div_ceil(step);
        let squares = parts.chunks(few).map(|part| part.iter().map(|w| w * w).sum()).collect();
        Near { parts, few, squares }
    }

    /// Inner products of the rows from `first` to `before` with all rows before `before`.
    fn products(&self, out: &mut [f32], first: usize, before: usize) {
        let block = before - first;
        let these = View::new(&self.parts[first * self.few..before * self.few], block, self.few);
        let all = View::new(&self.parts[..before * self.few], before, self.few);
        product(&mut out[..block * before], these, all.transposed(), false);
    }

    /// Earlier rows that may be twins of `row`.
    fn to<'a>(&'a self, row: usize, products: &'a [f32]) -> impl Iterator<Item = usize> + 'a {
        // A margin for the rounding of single precision.
        let limit = 2.0 * (1.0 - SAME as f32) + 1e-5 - self.squares[row];
        let is_near = move |(square, product): (&f32, &f32)| square - 2.0 * product <= limit;
        near_in_pieces(&self.squares[..row], products, is_near)
    }
}

/// Places of the pairs that are near; almost no piece has one, which is seen without a branch for each pair.
fn near_in_pieces<'a, T>(
    left: &'a [T],
    right: &'a [T],
    is_near: impl Fn((&'a T, &'a T)) -> bool + Copy + 'a,
) -> impl Iterator<Item = usize> + 'a {
    left.chunks(PIECE).zip(right.chunks(PIECE)).enumerate().flat_map(move |(piece, (left, right))| {
        let any = left.iter().zip(right).fold(false, |any, pair| any | is_near(pair));
        let here = if any { left.len() } else { 0 };
        let near = left[..here].iter().zip(right).enumerate().filter(move |(_, pair)| is_near(*pair));
        near.map(move |(at, _)| piece * PIECE + at)
    })
}

fn count<C: Iterator<Item = usize>>(
    found: &mut Duplicated,
    from: usize,
    to: usize,
    norms: &[f64],
    candidates: impl Fn(usize) -> C,
    cosine: impl Fn(usize, usize) -> f64,
) -> Duplicated {
    let typical = (norms.iter().map(|norm| norm * norm).sum::<f64>() / norms.len() as f64).sqrt();
    let is_alive = |row: usize| norms[row] > typical * DEAD;
    for row in (from..to).filter(|&row| is_alive(row)) {
        let twin = candidates(row).find(|&other| is_alive(other) && cosine(row, other) > SAME);
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
            assert_eq!(dead(&values, rows, columns, 1), Dead::default());
            assert_eq!(duplicated(&values, rows, columns, &gram), Ok(Duplicated::default()));
            values[5 * columns..6 * columns].fill(0.0);
            let twin: Vec<f32> = values[3 * columns..4 * columns].iter().map(|w| 2.0 * w).collect();
            values[20 * columns..21 * columns].copy_from_slice(&twin);
            (0..rows).for_each(|row| values[row * columns + 7] = 0.0);
            let gram = Gram::of(&values, rows, columns).unwrap();
            let expect = Dead { outputs: 1, first_output: Some(5), inputs: 1, first_input: Some(7) };
            assert_eq!(dead(&values, rows, columns, 1), expect);
            // Column 7 is one of four positions of the second channel.
            assert_eq!(dead(&values, rows, columns, 4).inputs, 0);
            let found = duplicated(&values, rows, columns, &gram).unwrap();
            assert_eq!(found, Duplicated { units: 1, first: Some((3, 20)) }, "{rows} × {columns}");
        }
    }

    #[test]
    fn a_first_look_leaves_out_no_pair() {
        // Few of the inputs carry most of the length, so that the first look mostly decides nothing; every fourth row leans on an earlier one.
        let (rows, columns) = (600, 100);
        let mut values = vec![0f32; rows * columns];
        let mut stream = Stream::new(4, "twins", &[]);
        stream.fill_normal(&mut values, 1.0);
        values.chunks_mut(columns).for_each(|row| row[1..9].iter_mut().for_each(|w| *w = 30.0 + 3.0 * *w));
        for row in (4..rows).step_by(4) {
            let (other, angle) = (stream.below(row), 0.2 * stream.uniform());
            for column in 0..columns {
                let lean = values[other * columns + column];
                let own = &mut values[row * columns + column];
                *own = lean + angle as f32 * *own;
            }
        }
        let of = |row: usize| &values[row * columns..(row + 1) * columns];
        let dot = |i: usize, j: usize| -> f64 {
            of(i).iter().zip(of(j)).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let is_twin = |i: usize, j: usize| dot(i, j) > SAME * (dot(i, i) * dot(j, j)).sqrt();
        let twins: Vec<(usize, usize)> =
            (0..rows).filter_map(|row| Some(((0..row).find(|&other| is_twin(row, other))?, row))).collect();
        let gram = Gram::of(&values, rows, columns).unwrap();
        let found = duplicated(&values, rows, columns, &gram).unwrap();
        assert!((20..rows - 20).contains(&twins.len()), "{} twins", twins.len());
        assert_eq!(found, Duplicated { units: twins.len(), first: twins.first().copied() });
    }
}
