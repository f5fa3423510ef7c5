//! Averages of smooth functions over up to four correlated Gaussian numbers.

use super::{GaussError, smooth};

/// Largest number of variables.
pub const MAX_DIMENSION: usize = 4;

/// Nodes and weights in several dimensions: ⟨f⟩ ≈ Σ w f(z).
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Number of variables D.
    pub dimension: usize,
    /// `[n, D]`, row-major.
    pub nodes: Vec<f64>,
    /// `[n]`, summing to 1.
    pub w: Vec<f64>,
}

impl Grid {
    /// Averages M functions at once.
    pub fn average<const M: usize>(&self, mut f: impl FnMut(&[f64]) -> [f64; M]) -> [f64; M] {
        let mut sums = [0.0; M];
        for (z, w) in self.nodes.chunks_exact(self.dimension).zip(&self.w) {
            let values = f(z);
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += w * value;
            }
        }
        sums
    }
}

/// Tensor product of Gauss–Hermite rules, rotated to a covariance. For smooth functions and variances ≲ 2.
///
/// * `covariance`: `[D, D]`, row-major, symmetric (the lower triangle is read), positive semidefinite; D from 1 to 4
/// * `order`: nodes per independent direction, 1 to [`MAX_ORDER`](super::MAX_ORDER); 40 to 56 for D = 3
/// * returns: orderʳ nodes with r the rank, so repeated inputs cost nothing
///
/// # Errors
/// [`GaussError::BadCovariance`] when a variance left over is negative beyond rounding, or a number is not finite.
///
/// # Panics
/// When the length is not the square of 1, 2, 3 or 4, or the order is out of range.
pub fn grid(covariance: &[f64], order: usize) -> Result<Grid, GaussError> {
    let dimension = (1..=MAX_DIMENSION).find(|d| d * d == covariance.len());
    let dimension = dimension.unwrap_or_else(|| panic!("a covariance of {} numbers", covariance.len()));
    let columns = semidefinite_factor(covariance, dimension)?;
    let line = smooth::nodes(order);
    let mut grid = Grid { dimension, nodes: vec![0.0; dimension], w: vec![1.0] };
    for column in &columns {
        let n = grid.w.len() * order;
        let mut next = Grid { dimension, nodes: Vec::with_capacity(n * dimension), w: Vec::with_capacity(n) };
        for (node, w) in grid.nodes.chunks_exact(dimension).zip(&grid.w) {
            for &(u, w_u) in line {
                next.nodes.extend(node.iter().zip(column).map(|(z, l)| z + l * u));
                next.w.push(w * w_u);
            }
        }
        grid = next;
    }
    Ok(grid)
}

/// Columns of L with L Lᵀ = covariance, by Cholesky with the largest remaining variance first; vanishing columns are left out.
fn semidefinite_factor(covariance: &[f64], dimension: usize) -> Result<Vec<Vec<f64>>, GaussError> {
    let read = |i: usize, j: usize| covariance[i.max(j) * dimension + i.min(j)];
    let mut left: Vec<f64> =
        (0..dimension * dimension).map(|at| read(at / dimension, at % dimension)).collect();
    if let Some(at) = left.iter().position(|x| !x.is_finite()) {
        return Err(GaussError::BadCovariance { index: at / dimension, pivot: left[at] });
    }
    let scale = (0..dimension).map(|i| read(i, i).abs()).fold(0.0, f64::max);
    let mut columns = Vec::new();
    for _ in 0..dimension {
        let diagonal = |i: &usize| left[i * dimension + i];
        let pivot =
            (0..dimension).max_by(|i, j| diagonal(i).total_cmp(&diagonal(j))).expect("at least one row");
        let variance = diagonal(&pivot);
        if variance <= 1e-15 * scale {
            break;
        }
        let column: Vec<f64> =
            (0..dimension).map(|i| left[i * dimension + pivot] / variance.sqrt()).collect();
        for i in 0..dimension {
            for j in 0..dimension {
                left[i * dimension + j] -= column[i] * column[j];
            }
        }
        // What is left of the pivot's own row is rounding.
        for i in 0..dimension {
            left[i * dimension + pivot] = 0.0;
            left[pivot * dimension + i] = 0.0;
        }
        columns.push(column);
    }
    // In a positive matrix an entry is bounded by its diagonal; here all diagonals have vanished.
    match left.iter().position(|x| x.abs() > 1e-10 * scale) {
        Some(at) => Err(GaussError::BadCovariance { index: at / dimension, pivot: -left[at].abs() }),
        None => Ok(columns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_up_to_four_follow_wick() {
        let covariance = [1.0, 0.3, -0.2, 0.3, 0.8, 0.1, -0.2, 0.1, 0.5];
        let grid = grid(&covariance, 8).unwrap();
        let k = |i: usize, j: usize| covariance[i * 3 + j];
        for (i, j, l, m) in [(0, 0, 0, 0), (0, 1, 1, 2), (0, 0, 1, 2), (2, 2, 2, 1)] {
            let [second, fourth] = grid.average(|z| [z[i] * z[j], z[i] * z[j] * z[l] * z[m]]);
            assert!((second - k(i, j)).abs() < 1e-13, "<z{i} z{j}> = {second}");
            let wick = k(i, j) * k(l, m) + k(i, l) * k(j, m) + k(i, m) * k(j, l);
            assert!((fourth - wick).abs() < 1e-13, "<z{i} z{j} z{l} z{m}> = {fourth}, expected {wick}");
        }
    }

    #[test]
    fn singular_covariances_use_fewer_directions() {
        let twins = grid(&[1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0], 10).unwrap();
        assert_eq!(twins.w.len(), 10);
        assert!(twins.nodes.chunks(3).all(|z| z[0] == z[1] && z[2] == 0.0));
        assert_eq!(grid(&[0.0], 10).unwrap().w, [1.0]);
    }

    #[test]
    fn sines_match_the_closed_form_in_two_dimensions() {
        let [got] = grid(&[0.7, 0.2, 0.2, 1.1], 40).unwrap().average(|z| [z[0].sin() * z[1].sin()]);
        let expect = (-0.9f64).exp() * 0.2f64.sinh();
        assert!((got - expect).abs() < 1e-14, "{got}, expected {expect}");
    }

    #[test]
    fn indefinite_matrices_are_refused() {
        for matrix in [vec![-1.0], vec![1.0, 2.0, 2.0, 1.0], vec![0.0, 1.0, 1.0, 0.0], vec![f64::NAN]] {
            assert!(matches!(grid(&matrix, 4), Err(GaussError::BadCovariance { .. })), "{matrix:?}");
        }
    }
}
