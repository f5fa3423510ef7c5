//! Within-class spread along the directions that separate the classes: Tr(S_W S_B⁺) without a d × d matrix.

use carnot_math::linalg;

use crate::observables::Missing;
use crate::scatter::Classes;

/// Singular values below this share of the largest are noise, not directions.
const SMALLEST: f64 = 1e-10;

/// Orthonormal directions u_j that span the class means, with the standard deviation σ_j of the means along them.
pub struct Directions {
    /// `[rank, width]`.
    pub vectors: Vec<f64>,
    /// σ_j, descending.
    pub sigma: Vec<f64>,
}

impl Directions {
    /// Thin singular value decomposition of the matrix with columns √(w_c) (m_c − m), where w_c is the share of a class
    /// (`balanced`: 1/K each) and m the mean of all samples.
    ///
    /// # Errors
    /// [`Missing::Merged`] when all class means are the same vector.
    pub fn of(classes: &Classes, balanced: bool) -> Result<Directions, Missing> {
        let (n, k, width) = (classes.samples() as f64, classes.by_label.len() as f64, classes.width);
        let centre = classes.mean();
        let mut matrix = Vec::with_capacity(classes.by_label.len() * width);
        for class in classes.by_label.values() {
            let root = if balanced { 1.0 / k } else { class.count as f64 / n }.sqrt();
            matrix.extend(class.mean.iter().zip(&centre).map(|(mean, centre)| root * (mean - centre)));
        }
        let svd = linalg::thin_svd(&matrix, classes.by_label.len(), width).map_err(|_| Missing::Range)?;
        let largest = svd.sigma.first().copied().unwrap_or(0.0);
        let size = centre.iter().map(|m| m * m).sum::<f64>().sqrt();
        if largest <= size * 1e-12 {
            return Err(Missing::Merged);
        }
        let rank = svd.sigma.iter().take_while(|&&s| s > SMALLEST * largest).count();
        Ok(Directions { vectors: svd.right[..rank * width].to_vec(), sigma: svd.sigma[..rank].to_vec() })
    }

    /// Number of directions.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.sigma.len()
    }

    /// Coordinates of h − m along the directions.
    pub fn project(&self, vector: &[f32], centre: &[f64]) -> Vec<f64> {
        let width = centre.len();
        let along = |u: &[f64]| {
            u.iter().zip(vector).zip(centre).map(|((u, &h), m)| u * (f64::from(h) - m)).sum::<f64>()
        };
        self.vectors.chunks(width).map(along).collect()
    }
}
