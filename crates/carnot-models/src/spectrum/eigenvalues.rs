//! Eigenvalues of the Gram matrix, the squares of the singular values, and the ranks that follow from them.

use carnot_math::device::wide::{Loop, widest};
use carnot_math::device::{View, gram};
use carnot_math::linalg::symmetric_eigenvalues;
use serde::{Deserialize, Serialize};

use super::{Answer, Unknown};

/// Largest Gram matrix. Chosen: 2 GiB in double precision; the eigenvalues of one take about 20 minutes on one core.
const LARGEST: usize = 16_384;

/// Rows multiplied at a time: a tall matrix is not held twice, and what is added up in single precision stays short.
const ROWS: usize = 512;

/// Smallest eigenvalue, over their mean, up to which products in single precision are enough.
const LEAST: f64 = 1e-3;

/// The Gram matrix over the shorter side, and whether that side is the rows.
pub struct Gram {
    /// `[n, n]`, row-major: $W W^T$ when the rows are fewer, $W^T W$ otherwise; on and below the diagonal, zeros above.
    pub entries: Vec<f64>,
    /// Its side.
    pub side: usize,
    /// True for $W W^T$.
    pub is_of_rows: bool,
}

impl Gram {
    /// $W W^T$ or $W^T W$, whichever is smaller, in double precision.
    ///
    /// * `values`: `[rows, columns]`, row-major
    ///
    /// # Errors
    /// [`Unknown::TooLarge`].
    pub fn of(values: &[f32], rows: usize, columns: usize) -> Answer<Gram> {
        let side = rows.min(columns);
        if side > LARGEST {
            let gib = 8.0 * (side as f64).powi(2) / f64::from(1 << 30);
            return Err(Unknown::TooLarge { side, gib });
        }
        let is_of_rows = rows <= columns;
        let mut entries = vec![0.0; side * side];
        if is_of_rows {
            let double: Vec<f64> = values.iter().map(|&w| f64::from(w)).collect();
            let view = View::new(&double, rows, columns);
            gram(&mut entries, view, false);
        } else {
            for block in values.chunks(ROWS * columns) {
                let double: Vec<f64> = block.iter().map(|&w| f64::from(w)).collect();
                let view = View::new(&double, block.len() / columns, columns);
                gram(&mut entries, view.transposed(), true);
            }
        }
        Ok(Gram { entries, side, is_of_rows })
    }

    /// As [`Gram::of`] with products in single precision, which takes half the time, added up in double precision every 512 of them.
    ///
    /// Eigenvalues move by less than 1e-6 of their mean (`tests` below), so that those above [`LEAST`] of it keep three digits and mostly six.
    /// `None` where that does not help: a matrix less than twice as long as wide, whose spectrum reaches down to zero, or numbers so
    /// small or large that their squares leave single precision.
    #[must_use]
    pub fn single(values: &[f32], rows: usize, columns: usize) -> Option<Gram> {
        let (side, longer) = (rows.min(columns), rows.max(columns));
        if side > LARGEST || longer < 2 * side || side == 0 {
            return None;
        }
        let (mut entries, mut part) = (vec![0.0; side * side], vec![0f32; side * side]);
        let is_of_rows = rows <= columns;
        let mut add = |view: View<f32>| {
            gram(&mut part, view, false);
            widest(Added { part: &part, side }, &mut entries, &mut [], &mut []);
        };
        if is_of_rows {
            let mut block = Vec::with_capacity(rows * ROWS);
            for first in (0..columns).step_by(ROWS) {
                let width = ROWS.min(columns - first);
                block.clear();
                values.chunks(columns).for_each(|row| block.extend_from_slice(&row[first..first + width]));
                add(View::new(&block, rows, width));
            }
        } else {
            values
                .chunks(ROWS * columns)
                .for_each(|block| add(View::new(block, block.len() / columns, columns).transposed()));
        }
        let squares = (0..side).map(|at| entries[at * (side + 1)]).sum::<f64>() / values.len() as f64;
        if !(1e-20..1e20).contains(&squares) {
            return None;
        }
        Some(Gram { entries, side, is_of_rows })
    }

    /// The Gram matrix and its eigenvalues, products in single precision where that is enough: where [`Gram::single`] has an answer and
    /// its smallest eigenvalue is above [`LEAST`] of their mean.
    ///
    /// # Errors
    /// As [`Gram::of`]; the eigenvalues have [`Unknown::NotConverged`].
    pub fn with_eigenvalues(values: &[f32], rows: usize, columns: usize) -> Answer<(Gram, Answer<Vec<f64>>)> {
        if let Some(gram) = Gram::single(values, rows, columns)
            && let Ok(eigenvalues) = gram.eigenvalues()
        {
            let mean = eigenvalues.iter().sum::<f64>() / gram.side as f64;
            if eigenvalues[0] > LEAST * mean {
                return Ok((gram, Ok(eigenvalues)));
            }
        }
        let gram = Gram::of(values, rows, columns)?;
        let eigenvalues = gram.eigenvalues();
        Ok((gram, eigenvalues))
    }

    /// Eigenvalues, ascending, none below zero.
    ///
    /// # Errors
    /// [`Unknown::NotConverged`].
    pub fn eigenvalues(&self) -> Answer<Vec<f64>> {
        let values = symmetric_eigenvalues(&self.entries, self.side).map_err(|_| Unknown::NotConverged)?;
        Ok(values.into_iter().map(|value| value.max(0.0)).collect())
    }
}

/// Adds the lower triangle of a matrix in single precision.
struct Added<'a> {
    part: &'a [f32],
    side: usize,
}

impl Loop<f64> for Added<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, entries: &mut [f64], _: &mut [f64], _: &mut [f64]) {
        for (row, (to, from)) in entries.chunks_mut(self.side).zip(self.part.chunks(self.side)).enumerate() {
            for (to, from) in to[..=row].iter_mut().zip(from) {
                *to += f64::from(*from);
            }
        }
    }
}

/// How many directions a matrix uses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranks {
    /// Largest singular value.
    pub spectral_norm: f64,
    /// $\sum \lambda / \lambda_{max}$, from 1 to the shorter side.
    pub stable: f64,
    /// $e^{H}$ with H the entropy of $\sigma/\sum\sigma$ over the singular values, from 1 to the shorter side.
    pub effective: f64,
    /// $(\sum \lambda)^2 / \sum \lambda^2$, from 1 to the shorter side.
    pub participation: f64,
    /// Eigenvalues that are not zero at single precision.
    pub numerical: usize,
    /// The shorter side.
    pub full: usize,
}

impl Ranks {
    /// The ranks of a matrix from the eigenvalues of its Gram matrix.
    ///
    /// Source: Rudelson and Vershynin 2007 (stable rank); Roy and Vetterli 2007 (effective rank, as in recordings). One huge singular value
    /// takes the stable rank down to 1; the effective rank falls only when the others are small among each other too.
    ///
    /// # Errors
    /// [`Unknown::Constant`] when all are zero, [`Unknown::TooFew`] when there are none.
    pub fn of(eigenvalues: &[f64]) -> Answer<Ranks> {
        let Some(&largest) = eigenvalues.last() else { return Err(Unknown::TooFew { found: 0, needed: 1 }) };
        if largest <= 0.0 {
            return Err(Unknown::Constant { value: 0.0 });
        }
        let total: f64 = eigenvalues.iter().sum();
        let squares: f64 = eigenvalues.iter().map(|value| value * value).sum();
        let singular: f64 = eigenvalues.iter().map(|value| value.sqrt()).sum();
        let shares = eigenvalues.iter().map(|value| value.sqrt() / singular).filter(|share| *share > 0.0);
        let entropy: f64 = -shares.map(|share| share * share.ln()).sum::<f64>();
        // Rounding of the entries themselves moves singular values by about ε √n of the largest.
        let floor = largest * f64::from(f32::EPSILON).powi(2) * eigenvalues.len() as f64;
        Ok(Ranks {
            spectral_norm: largest.sqrt(),
            stable: total / largest,
            effective: entropy.exp(),
            participation: total * total / squares,
            numerical: eigenvalues.iter().filter(|value| **value > floor).count(),
            full: eigenvalues.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_math::linalg::{orthogonal, singular_values};
    use carnot_math::random::Stream;

    #[test]
    fn eigenvalues_are_squares_of_singular_values_whichever_side_is_longer() {
        for (rows, columns) in [(7, 5), (5, 7), (600, 3), (1, 4)] {
            let mut values = vec![0f32; rows * columns];
            Stream::new(3, "gram", &[]).fill_normal(&mut values, 1.0);
            let double: Vec<f64> = values.iter().map(|&w| f64::from(w)).collect();
            let expect = singular_values(&double, rows, columns).unwrap();
            let got = Gram::of(&values, rows, columns).unwrap().eigenvalues().unwrap();
            for (value, singular) in got.iter().rev().zip(&expect) {
                assert!((value.sqrt() - singular).abs() < 1e-12 * expect[0], "{value} against {singular}²");
            }
        }
    }

    #[test]
    fn products_in_single_precision_move_no_eigenvalue_by_a_millionth_of_the_mean() {
        for (rows, columns, seed) in [(600, 300, 1), (100, 3000, 2), (5000, 64, 3), (64, 128, 4)] {
            let mut values = vec![0f32; rows * columns];
            let mut stream = Stream::new(seed, "single", &[]);
            stream.fill_normal(&mut values, 0.03);
            // Columns and rows of many lengths, and one direction far above the others.
            let lengths: Vec<f32> =
                (0..columns).map(|_| (1.0 - stream.uniform()).powf(-0.4) as f32).collect();
            for (row, chunk) in values.chunks_mut(columns).enumerate() {
                chunk.iter_mut().zip(&lengths).for_each(|(w, length)| *w = *w * length + 0.01);
                chunk[0] += 0.3 * (row % 3) as f32;
            }
            let exact = Gram::of(&values, rows, columns).unwrap().eigenvalues().unwrap();
            let single = Gram::single(&values, rows, columns).unwrap().eigenvalues().unwrap();
            let mean = exact.iter().sum::<f64>() / exact.len() as f64;
            for (single, exact) in single.iter().zip(&exact) {
                let error = (single - exact).abs() / mean.max(*exact);
                assert!(error < 1e-6, "{rows} × {columns}: {single}, exactly {exact}, mean {mean}");
            }
        }
    }

    #[test]
    fn products_in_single_precision_are_left_where_they_are_not_enough() {
        let (rows, columns) = (200, 50);
        let mut values = vec![0f32; rows * columns];
        Stream::new(6, "double", &[]).fill_normal(&mut values, 1.0);
        let same = |values: &[f32]| {
            let (_, got) = Gram::with_eigenvalues(values, rows, columns).unwrap();
            got == Gram::of(values, rows, columns).unwrap().eigenvalues()
        };
        assert!(!same(&values), "a Gaussian matrix goes the fast way");
        let tiny: Vec<f32> = values.iter().map(|w| 1e-12 * w).collect();
        assert!(same(&tiny) && Gram::single(&tiny, rows, columns).is_none());
        // Two columns that differ by a ten-thousandth: an eigenvalue that single precision would get wrong.
        values.chunks_mut(columns).for_each(|row| row[1] = row[0] * 1.0001 + 1e-4 * row[2]);
        assert!(same(&values));
        assert!(Gram::single(&values[..columns * columns], columns, columns).is_none());
    }

    #[test]
    fn an_orthogonal_matrix_uses_every_direction_and_an_outer_product_one() {
        let n = 12;
        let q: Vec<f32> = orthogonal(n, n, &mut Stream::new(1, "q", &[])).iter().map(|&x| x as f32).collect();
        let ranks = Ranks::of(&Gram::of(&q, n, n).unwrap().eigenvalues().unwrap()).unwrap();
        for rank in [ranks.stable, ranks.effective, ranks.participation] {
            assert!((rank - n as f64).abs() < 1e-4, "{ranks:?}");
        }
        let outer: Vec<f32> = (0..n * n).map(|at| ((at / n + 1) * (at % n + 2)) as f32).collect();
        let ranks = Ranks::of(&Gram::of(&outer, n, n).unwrap().eigenvalues().unwrap()).unwrap();
        assert_eq!(ranks.numerical, 1);
        assert!((ranks.stable - 1.0).abs() < 1e-9 && ranks.effective < 1.0 + 1e-4, "{ranks:?}");
    }

    #[test]
    fn ranks_of_two_eigenvalues_follow_their_formulas() {
        let ranks = Ranks::of(&[1.0, 9.0]).unwrap();
        let entropy = -(0.25f64 * 0.25f64.ln() + 0.75 * 0.75f64.ln());
        assert_eq!((ranks.stable, ranks.participation, ranks.spectral_norm), (10.0 / 9.0, 100.0 / 82.0, 3.0));
        assert!((ranks.effective - entropy.exp()).abs() < 1e-15);
    }

    #[test]
    fn gaussian_matrices_use_the_share_of_their_directions_that_theory_says() {
        // A square one has singular values on a quarter circle, p(x) = √(4 − x²)/π: share exp(−⟨x/m ln(x/m)⟩) with m = ⟨x⟩ = 8/(3π).
        let (mut mean, mut entropy, steps) = (0.0, 0.0, 100_000);
        let density = |x: f64| (4.0 - x * x).sqrt() / std::f64::consts::PI;
        let points = || (0..steps).map(|at| 2.0 * (f64::from(at) + 0.5) / f64::from(steps));
        points().for_each(|x| mean += x * density(x) * 2.0 / f64::from(steps));
        points().for_each(|x| entropy += x / mean * (x / mean).ln() * density(x) * 2.0 / f64::from(steps));
        let side = 300;
        let mut values = vec![0f32; side * side];
        Stream::new(5, "square", &[]).fill_normal(&mut values, 0.1);
        let ranks = Ranks::of(&Gram::of(&values, side, side).unwrap().eigenvalues().unwrap()).unwrap();
        let (got, expect) = (ranks.effective / side as f64, (-entropy).exp());
        assert!((got / expect - 1.0).abs() < 0.01, "{got} of the side, theory {expect}");
    }
}
