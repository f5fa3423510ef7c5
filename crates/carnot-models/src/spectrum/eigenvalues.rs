//! Eigenvalues of the Gram matrix, the squares of the singular values, and the ranks that follow from them.

use carnot_math::device::{View, gram, mirror};
use carnot_math::linalg::symmetric_eigenvalues;
use serde::{Deserialize, Serialize};

use super::{Answer, Unknown};

/// Largest Gram matrix. Chosen: 2 GiB in double precision; the eigenvalues of one take about 20 minutes on one core.
const LARGEST: usize = 16_384;

/// Rows made double at a time, so that a tall matrix is not held twice.
const ROWS: usize = 512;

/// The Gram matrix over the shorter side, and whether that side is the rows.
pub struct Gram {
    /// `[n, n]`, row-major: $W W^T$ when the rows are fewer, $W^T W$ otherwise.
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
        mirror(&mut entries, side);
        Ok(Gram { entries, side, is_of_rows })
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
