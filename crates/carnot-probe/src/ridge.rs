//! How well a linear reader finds the labels in rows that it has not seen.

use carnot_math::device::{View, product};
use carnot_math::linalg;

use crate::gram::{Gram, centre};
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
        let at = |a: usize, b: usize| gram.centred[a * gram.n + b];
        let mut inside: Vec<f64> = fit.iter().flat_map(|&a| fit.iter().map(move |&b| at(a, b))).collect();
        // What the products of any row with the fitted half lose when that half is centred.
        let column: Vec<f64> = inside.chunks_exact(m).map(|row| row.iter().sum::<f64>() / m as f64).collect();
        let all = column.iter().sum::<f64>() / m as f64;
        centre(&mut inside, m);
        let mean_eigenvalue = (0..m).map(|i| inside[i * m + i]).sum::<f64>() / m as f64;
        if mean_eigenvalue <= 0.0 {
            return Err(Missing::Constant);
        }
        let eigen = linalg::symmetric_eigen(&inside, m).map_err(|_| Missing::Range)?;
        let weights = best(&eigen, &target, m, k, mean_eigenvalue);
        let mut across: Vec<f64> = Vec::with_capacity(read.len() * m);
        for &row in read {
            let start = across.len();
            across.extend(fit.iter().map(|&b| at(row, b)));
            let own = across[start..].iter().sum::<f64>() / m as f64;
            across[start..].iter_mut().zip(&column).for_each(|(x, column)| *x += all - own - column);
        }
        let mut outputs = vec![0.0; read.len() * k];
        product(&mut outputs, View::new(&across, read.len(), m), View::new(&weights, m, k), false);
        for (&row, output) in read.iter().zip(outputs.chunks_exact_mut(k)) {
            output.iter_mut().zip(&frequency).for_each(|(o, f)| *o += f);
            let truth: Vec<f64> = one_hot(row).collect();
            self.residual[row] = truth.iter().zip(&*output).map(|(y, o)| (y - o) * (y - o)).sum();
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
    const TRIED: usize = STRENGTHS.len();
    let vectors = View::new(&eigen.vectors, m, m);
    let mut rotated = vec![0.0; m * k];
    product(&mut rotated, vectors, View::new(target, m, k), false);
    let gain = |j: usize, strength: f64| 1.0 / (eigen.values[j].max(0.0) + strength * scale);
    let gains: Vec<f64> = (0..m).flat_map(|j| STRENGTHS.map(|strength| gain(j, strength))).collect();
    // Weights for every strength side by side, and the diagonals of the inverses.
    let mut scaled = Vec::with_capacity(m * TRIED * k);
    for (rotated, gains) in rotated.chunks_exact(k).zip(gains.chunks_exact(TRIED)) {
        gains.iter().for_each(|gain| scaled.extend(rotated.iter().map(|x| gain * x)));
    }
    let mut weights = vec![0.0; m * TRIED * k];
    product(&mut weights, vectors.transposed(), View::new(&scaled, m, TRIED * k), false);
    let squares: Vec<f64> = eigen.vectors.iter().map(|x| x * x).collect();
    let mut inverse = vec![0.0; m * TRIED];
    product(&mut inverse, View::new(&squares, m, m).transposed(), View::new(&gains, m, TRIED), false);
    let error = |tried: usize| -> f64 {
        let of = |i: usize| {
            let own = &weights[(i * TRIED + tried) * k..][..k];
            own.iter().map(|w| w * w).sum::<f64>() / inverse[i * TRIED + tried].powi(2)
        };
        (0..m).map(of).sum()
    };
    // The first of equals; a strength without an error, as of rows out of the range of numbers, is none.
    let mut best = (f64::INFINITY, 0);
    for tried in 0..TRIED {
        let error = error(tried);
        if error < best.0 {
            best = (error, tried);
        }
    }
    (0..m).flat_map(|i| weights[(i * TRIED + best.1) * k..][..k].iter().copied()).collect()
}
