//! How well a linear reader finds the labels in rows that it has not seen.

use carnot_math::linalg;

use crate::gram::Gram;
use crate::observables::Missing;

/// Strengths of the ridge that are tried, in units of the mean eigenvalue of the Gram matrix.
const STRENGTHS: [f64; 7] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0];

/// What a linear reader leaves unexplained, each row read by the half that it is not in.
#[derive(Clone, Debug)]
pub struct Reader {
    /// `[n]`: squared error of each row's one-hot label.
    pub residual: Vec<f64>,
    /// `[n]`: squared error when only the class frequencies of the other half are known.
    pub total: Vec<f64>,
    /// Rows whose largest output is their class.
    pub correct: Vec<bool>,
    /// `[n]`: by how much the largest output of another class exceeds that of a row's own class.
    pub margin: Vec<f64>,
}

impl Reader {
    /// Ridge regression of one-hot labels on centred rows, strength by leave-one-out on the half that it is fitted on.
    ///
    /// * `labels`: one per row of the Gram matrix; `halves`: which half a row is in
    ///
    /// # Errors
    /// [`Missing::Few`] with fewer than four rows in a half or one class in it.
    ///
    /// Source: Alain, Bengio, arXiv:1610.01644 (probes); Golub, Heath, Wahba 1979 (leave-one-out in closed form).
    pub fn of(gram: &Gram, labels: &[u32], halves: &[bool]) -> Result<Reader, Missing> {
        let n = gram.n;
        let mut classes = labels.to_vec();
        classes.sort_unstable();
        classes.dedup();
        if classes.len() < 2 {
            return Err(Missing::OneClass);
        }
        let mut reader = Reader {
            residual: vec![0.0; n],
            total: vec![0.0; n],
            correct: vec![false; n],
            margin: vec![0.0; n],
        };
        for half in [false, true] {
            let (fit, read): (Vec<usize>, Vec<usize>) = (0..n).partition(|&i| halves[i] == half);
            reader.half(gram, labels, &classes, &fit, &read)?;
        }
        Ok(reader)
    }

    fn half(
        &mut self,
        gram: &Gram,
        labels: &[u32],
        classes: &[u32],
        fit: &[usize],
        read: &[usize],
    ) -> Result<(), Missing> {
        let (m, k) = (fit.len(), classes.len());
        if m < 4 || read.is_empty() {
            return Err(Missing::Few { needed: 8 });
        }
        let one_hot =
            |row: usize| classes.iter().map(move |&class| f64::from(u8::from(labels[row] == class)));
        let mut frequency = vec![0.0; k];
        for &row in fit {
            frequency.iter_mut().zip(one_hot(row)).for_each(|(f, y)| *f += y / m as f64);
        }
        let mut target: Vec<f64> = Vec::with_capacity(m * k);
        for &row in fit {
            target.extend(one_hot(row).zip(&frequency).map(|(y, f)| y - f));
        }
        let inside = gram.part(fit);
        let mean_eigenvalue = (0..m).map(|i| inside[i * m + i]).sum::<f64>() / m as f64;
        if mean_eigenvalue <= 0.0 {
            return Err(Missing::Constant);
        }
        let eigen = linalg::symmetric_eigen(&inside, m).map_err(|_| Missing::Range)?;
        let weights = best(&eigen, &target, m, k, mean_eigenvalue);
        // Products with the centred rows of the fitted half: a row's own product, centred as that half is.
        let at = |a: usize, b: usize| gram.centred[a * gram.n + b];
        let column: Vec<f64> =
            fit.iter().map(|&b| fit.iter().map(|&a| at(a, b)).sum::<f64>() / m as f64).collect();
        let all = column.iter().sum::<f64>() / m as f64;
        for &row in read {
            let own = fit.iter().map(|&b| at(row, b)).sum::<f64>() / m as f64;
            let mut output = frequency.clone();
            for (j, &b) in fit.iter().enumerate() {
                let product = at(row, b) - own - column[j] + all;
                output.iter_mut().zip(&weights[j * k..]).for_each(|(o, w)| *o += product * w);
            }
            let truth: Vec<f64> = one_hot(row).collect();
            self.residual[row] = truth.iter().zip(&output).map(|(y, o)| (y - o) * (y - o)).sum();
            self.total[row] = truth.iter().zip(&frequency).map(|(y, f)| (y - f) * (y - f)).sum();
            let largest = (0..k).max_by(|&a, &b| output[a].total_cmp(&output[b])).unwrap_or(0);
            self.correct[row] = classes[largest] == labels[row];
            let others = (0..k).filter(|&c| classes[c] != labels[row]).map(|c| output[c]);
            let own = (0..k).find(|&c| classes[c] == labels[row]).map_or(0.0, |c| output[c]);
            self.margin[row] = others.fold(f64::NEG_INFINITY, f64::max) - own;
        }
        Ok(())
    }

    /// Share unexplained, 1 − R² = Σ residual / Σ total, and the influence of each row on its logarithm.
    #[must_use]
    pub fn unexplained(&self) -> (f64, Vec<f64>) {
        let n = self.residual.len() as f64;
        let (residual, total) = (self.residual.iter().sum::<f64>() / n, self.total.iter().sum::<f64>() / n);
        let influence =
            self.residual.iter().zip(&self.total).map(|(r, t)| r / residual - t / total).collect();
        (residual / total, influence)
    }
}

/// (K + λ)⁻¹ Y `[m, k]` for the strength with the smallest leave-one-out error.
fn best(eigen: &linalg::Eigen, target: &[f64], m: usize, k: usize, scale: f64) -> Vec<f64> {
    let mut rotated = vec![0.0; m * k];
    for (j, vector) in eigen.vectors.chunks(m).enumerate() {
        for (i, &v) in vector.iter().enumerate() {
            for c in 0..k {
                rotated[j * k + c] += v * target[i * k + c];
            }
        }
    }
    let mut best = (f64::INFINITY, Vec::new());
    for strength in STRENGTHS {
        let ridge = strength * scale;
        let (mut weights, mut inverse) = (vec![0.0; m * k], vec![0.0; m]);
        for (j, vector) in eigen.vectors.chunks(m).enumerate() {
            let gain = 1.0 / (eigen.values[j].max(0.0) + ridge);
            for (i, &v) in vector.iter().enumerate() {
                inverse[i] += v * v * gain;
                for c in 0..k {
                    weights[i * k + c] += v * gain * rotated[j * k + c];
                }
            }
        }
        let error: f64 = (0..m * k).map(|at| (weights[at] / inverse[at / k]).powi(2)).sum();
        if error < best.0 {
            best = (error, weights);
        }
    }
    best.1
}
