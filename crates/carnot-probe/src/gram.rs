//! Inner products of a fixed choice of rows: spectrum, distances, alignment.

use carnot_math::device::{View, product_into};
use carnot_math::linalg;

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
            let view = View::new(&block, n, columns);
            product_into(&mut centred, view, view.transposed(), 1.0, true);
        }
        Gram { n, width, centred, size }
    }

    /// |x_a − x_b|².
    #[must_use]
    pub fn squared_distance(&self, a: usize, b: usize) -> f64 {
        let at = |i: usize, j: usize| self.centred[i * self.n + j];
        (at(a, a) + at(b, b) - 2.0 * at(a, b)).max(0.0)
    }

    /// Correlation c_ab = x_a·x_b / (|x_a| |x_b|), from the distance, so that 1 − c keeps its digits.
    #[must_use]
    pub fn correlation(&self, a: usize, b: usize) -> Option<f64> {
        let (va, vb) = (self.size[a].sqrt(), self.size[b].sqrt());
        let size = va * vb;
        (size > 0.0).then(|| 1.0 - (self.squared_distance(a, b) - (va - vb).powi(2)) / (2.0 * size))
    }

    /// The same for some of the rows, centred anew.
    #[must_use]
    pub fn part(&self, keep: &[usize]) -> Vec<f64> {
        let n = keep.len();
        let mut part: Vec<f64> = Vec::with_capacity(n * n);
        for &a in keep {
            part.extend(keep.iter().map(|&b| self.centred[a * self.n + b]));
        }
        centre(&mut part, n);
        part
    }

    /// Eigenvalues (descending, only those above rounding) and squared entries of their vectors, `[n]` each.
    ///
    /// # Errors
    /// [`Missing::Constant`] where all rows are the same.
    pub fn spectrum(&self) -> Result<Spectrum, Missing> {
        let trace: f64 = (0..self.n).map(|i| self.centred[i * self.n + i]).sum();
        let size: f64 = self.size.iter().sum();
        // Rows in single precision that differ by rounding alone.
        if trace <= size * 1e-13 || trace <= 0.0 {
            return Err(Missing::Constant);
        }
        let eigen = linalg::symmetric_eigen(&self.centred, self.n).map_err(|_| Missing::Range)?;
        let mut spectrum = Spectrum { values: Vec::new(), shares: Vec::new() };
        for (value, vector) in eigen.values.iter().zip(eigen.vectors.chunks(self.n)).rev() {
            if *value > trace * 1e-12 {
                spectrum.values.push(*value);
                spectrum.shares.push(vector.iter().map(|x| x * x).collect());
            }
        }
        Ok(spectrum)
    }
}

/// Eigenvalues of a centred Gram matrix.
#[derive(Clone, Debug)]
pub struct Spectrum {
    /// λ_k, descending, > 0.
    pub values: Vec<f64>,
    /// How much of direction k is row i: squared entries of its eigenvector.
    pub shares: Vec<Vec<f64>>,
}

/// Subtracts the means of rows and columns from a symmetric matrix.
fn centre(matrix: &mut [f64], n: usize) {
    let means: Vec<f64> = matrix.chunks(n).map(|row| row.iter().sum::<f64>() / n as f64).collect();
    let all = means.iter().sum::<f64>() / n as f64;
    for (a, row) in matrix.chunks_mut(n).enumerate() {
        row.iter_mut().zip(&means).for_each(|(x, mean)| *x -= means[a] + mean - all);
    }
}

/// Linear CKA of two Gram matrices of the same rows, from the unbiased estimates of their dependence.
///
/// $$ \mathrm{HSIC} = \frac{1}{n(n-3)}\Big[\mathrm{tr}(\tilde K\tilde L) + \frac{1^\top\tilde K 1\,1^\top\tilde L 1}{(n-1)(n-2)}
/// - \frac{2}{n-2}1^\top\tilde K\tilde L 1\Big] $$
///
/// with the diagonals of K and L set to zero; CKA = HSIC(K, L)/√(HSIC(K, K) HSIC(L, L)). The plain estimate tends to 1 for any
/// two layers that are wider than there are samples.
///
/// * returns: between about 0 and 1; `None` below four rows, or where one of the two has no structure
///
/// Source: Song et al., JMLR 13 (2012), eq. 5; Kornblith et al., arXiv:1905.00414; Nguyen et al., arXiv:2010.15327.
#[must_use]
pub fn alignment(k: &[f64], l: &[f64], n: usize) -> Option<f64> {
    let (kl, kk, ll) = (dependence(k, l, n)?, dependence(k, k, n)?, dependence(l, l, n)?);
    (kk > 0.0 && ll > 0.0).then(|| kl / (kk * ll).sqrt())
}

fn dependence(k: &[f64], l: &[f64], n: usize) -> Option<f64> {
    if n < 4 {
        return None;
    }
    let sums = |m: &[f64]| -> Vec<f64> {
        m.chunks(n).enumerate().map(|(i, row)| row.iter().sum::<f64>() - row[i]).collect()
    };
    let (of_k, of_l) = (sums(k), sums(l));
    let mut trace = 0.0;
    for i in 0..n {
        let (a, b) = (&k[i * n..][..n], &l[i * n..][..n]);
        trace += a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>() - a[i] * b[i];
    }
    let nf = n as f64;
    let totals = of_k.iter().sum::<f64>() * of_l.iter().sum::<f64>() / ((nf - 1.0) * (nf - 2.0));
    let mixed = 2.0 / (nf - 2.0) * of_k.iter().zip(&of_l).map(|(x, y)| x * y).sum::<f64>();
    Some((trace + totals - mixed) / (nf * (nf - 3.0)))
}

/// Standard error from leaving out one of ten groups of rows at a time.
///
/// $$ \hat s^2 = \frac{g-1}{g}\sum_j (\theta_{(j)} - \bar\theta)^2 $$
///
/// Source: Efron, Tibshirani, *An Introduction to the Bootstrap*, ch. 11. NaN when a part has no value.
pub fn jackknife(n: usize, of: impl Fn(&[usize]) -> Option<f64>) -> f64 {
    const GROUPS: usize = 10;
    if n < 2 * GROUPS {
        return f64::NAN;
    }
    let part = |group: usize| -> Vec<usize> { (0..n).filter(|i| i % GROUPS != group).collect() };
    let values: Option<Vec<f64>> = (0..GROUPS).map(|group| of(&part(group))).collect();
    let Some(values) = values else { return f64::NAN };
    let mean = values.iter().sum::<f64>() / GROUPS as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    ((GROUPS - 1) as f64 / GROUPS as f64 * squares).sqrt()
}
