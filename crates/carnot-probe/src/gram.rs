//! Inner products of a fixed choice of rows: spectrum and distances.

use carnot_math::device::{View, gram_into};
use carnot_math::linalg;

use crate::align::Sums;
use crate::observables::Missing;

/// Columns converted at a time; bounds the memory of wide rows.
const BLOCK: usize = 2048;

/// Gram matrix of n centred rows.
#[derive(Clone, Debug)]
pub struct Gram {
    /// Rows n.
    pub n: usize,
    /// Units d of a row.
    pub width: usize,
    /// `[n, n]`: (x_a − m)·(x_b − m).
    pub centred: Vec<f64>,
    /// `[n]`: |x_a|², not centred.
    pub size: Vec<f64>,
    /// For alignment with another.
    pub sums: Sums,
}

impl Gram {
    /// Of `rows` `[n, width]`. Rows are centred before they are multiplied.
    #[must_use]
    pub fn of(rows: &[f32], width: usize) -> Gram {
        let n = rows.len() / width;
        let (mut centred, mut size) = (vec![0.0; n * n], vec![0.0; n]);
        for start in (0..width).step_by(BLOCK) {
            let columns = BLOCK.min(width - start);
            let mut block = vec![0.0; n * columns];
            for (at, row) in block.chunks_mut(columns).enumerate() {
                let from = &rows[at * width + start..][..columns];
                row.iter_mut().zip(from).for_each(|(to, &x)| *to = f64::from(x));
            }
            for (size, row) in size.iter_mut().zip(block.chunks(columns)) {
                *size += row.iter().map(|x| x * x).sum::<f64>();
            }
            let mut mean = vec![0.0; columns];
            for row in block.chunks(columns) {
                mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += x / n as f64);
            }
            for row in block.chunks_mut(columns) {
                row.iter_mut().zip(&mean).for_each(|(x, mean)| *x -= mean);
            }
            gram_into(&mut centred, View::new(&block, n, columns));
        }
        let sums = Sums::of(&centred, n);
        Gram { n, width, centred, size, sums }
    }

    /// The same for some of the rows, centred anew.
    #[must_use]
    pub fn part(&self, keep: &[usize]) -> Gram {
        let n = keep.len();
        let mut centred: Vec<f64> = Vec::with_capacity(n * n);
        for &a in keep {
            let row = &self.centred[a * self.n..][..self.n];
            centred.extend(keep.iter().map(|&b| row[b]));
        }
        centre(&mut centred, n);
        let (sums, size) = (Sums::of(&centred, n), keep.iter().map(|&at| self.size[at]).collect());
        Gram { n, width: self.width, centred, size, sums }
    }

    /// Tr S_B and Tr S_T of some rows in classes: both are sums of inner products, Σ_c |Σ_{i∈c} h_i|²/n_c less |Σ h_i|²/n.
    ///
    /// * `rows`: which; `class`: the class of each, from 0
    #[must_use]
    pub fn scatter(&self, rows: &[usize], class: &[usize]) -> (f64, f64) {
        let classes = class.iter().max().map_or(0, |most| most + 1);
        let (mut sums, mut counts) = (vec![0.0; classes * classes], vec![0.0; classes]);
        let mut squares = 0.0;
        for (&i, &c) in rows.iter().zip(class) {
            counts[c] += 1.0;
            squares += self.centred[i * self.n + i];
            let row = &self.centred[i * self.n..][..self.n];
            let own = &mut sums[c * classes..][..classes];
            rows.iter().zip(class).for_each(|(&j, &d)| own[d] += row[j]);
        }
        let n = rows.len() as f64;
        let mean = sums.iter().sum::<f64>() / n;
        let inside: f64 = counts
            .iter()
            .enumerate()
            .filter(|(_, n)| **n > 0.0)
            .map(|(c, n)| sums[c * classes + c] / n)
            .sum();
        ((inside - mean) / n, (squares - mean) / n)
    }

    /// Sum of the eigenvalues, where the rows differ by more than the rounding of single precision.
    ///
    /// # Errors
    /// [`Missing::Constant`] where all rows are the same.
    pub fn varies(&self) -> Result<f64, Missing> {
        let trace: f64 = (0..self.n).map(|i| self.centred[i * self.n + i]).sum();
        let size: f64 = self.size.iter().sum();
        if trace <= size * 1e-13 || trace <= 0.0 { Err(Missing::Constant) } else { Ok(trace) }
    }

    /// Eigenvalues, only those above rounding, and squared entries of their vectors.
    ///
    /// # Errors
    /// [`Missing::Constant`] where all rows are the same.
    pub fn spectrum(&self) -> Result<Spectrum, Missing> {
        let trace = self.varies()?;
        let eigen = linalg::symmetric_eigen(&self.centred, self.n).map_err(|_| Missing::Range)?;
        let some = eigen.values.iter().filter(|&&value| value > trace * 1e-12).count();
        let mut shares = eigen.vectors;
        shares.drain(..(self.n - some) * self.n);
        shares.iter_mut().for_each(|x| *x *= *x);
        Ok(Spectrum { values: eigen.values[self.n - some..].to_vec(), shares })
    }
}

/// Eigenvalues of a centred Gram matrix.
#[derive(Clone, Debug)]
pub struct Spectrum {
    /// λ_k, ascending, > 0.
    pub values: Vec<f64>,
    /// How much of direction k is row i: squared entries of its eigenvector, `[values, n]`.
    pub shares: Vec<f64>,
}

/// Subtracts the means of rows and columns from a symmetric matrix.
pub(crate) fn centre(matrix: &mut [f64], n: usize) {
    let means: Vec<f64> = matrix.chunks(n).map(|row| row.iter().sum::<f64>() / n as f64).collect();
    let all = means.iter().sum::<f64>() / n as f64;
    for (a, row) in matrix.chunks_mut(n).enumerate() {
        row.iter_mut().zip(&means).for_each(|(x, mean)| *x -= means[a] + mean - all);
    }
}
