//! How far a kernel has moved, and towards what: representation learning as a number.

use super::Matrix;

/// What became of a kernel between two moments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// $\|\Theta_t - \Theta_0\| / \|\Theta_0\|$ in the Frobenius norm, ≥ 0; falls like 1/n with neural-tangent rates.
    pub relative_change: f64,
    /// Alignment of $\Theta_t$ with $\Theta_0$, from −1 to 1; 1 when only its size changed.
    pub with_start: f64,
}

/// Compares a kernel with what it was.
///
/// # Panics
/// When the matrices have different shapes.
#[must_use]
pub fn drift(start: &Matrix, now: &Matrix) -> Drift {
    assert_eq!((start.rows, start.columns, start.outputs), (now.rows, now.columns, now.outputs));
    let change: f64 = start.values.iter().zip(&now.values).map(|(a, b)| (b - a).powi(2)).sum();
    let size: f64 = start.values.iter().map(|a| a * a).sum();
    Drift { relative_change: (change / size).sqrt(), with_start: alignment(start, now) }
}

/// Centred kernel alignment of two kernels of the same samples:
///
/// $$ \frac{\langle HAH, HBH\rangle}{\|HAH\|\,\|HBH\|}, \qquad H = 1 - \tfrac1N \mathbf 1\mathbf 1^T, $$
///
/// with the Frobenius product. Blocks over outputs count by their traces.
///
/// * returns: from −1 to 1 (from 0 for positive matrices); 0 when a kernel does not tell samples apart
///
/// # Panics
/// When a matrix is not square or they differ in size.
///
/// Source: Cortes, Mohri, Rostamizadeh, arXiv:1203.0550; Kornblith et al., arXiv:1905.00414.
#[must_use]
pub fn alignment(one: &Matrix, two: &Matrix) -> f64 {
    assert_eq!((one.rows, one.columns), (two.rows, two.columns), "kernels of the same samples");
    let (a, b) = (centred(one), centred(two));
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let size = (dot(&a, &a) * dot(&b, &b)).sqrt();
    if size > 0.0 { dot(&a, &b) / size } else { 0.0 }
}

/// The kernel of targets, $\sum_i y_{ia} y_{ib}$, to align with.
///
/// * `targets`: `[samples, outputs]`
#[must_use]
pub fn of_targets(targets: &[f64], outputs: usize) -> Matrix {
    let rows: Vec<&[f64]> = targets.chunks_exact(outputs).collect();
    let mut matrix = Matrix::zeros(rows.len(), rows.len(), 1);
    for (a, x) in rows.iter().enumerate() {
        for (b, y) in rows.iter().enumerate() {
            matrix.values[a * rows.len() + b] = x.iter().zip(*y).map(|(x, y)| x * y).sum();
        }
    }
    matrix
}

/// Traces over outputs, with the means of rows and columns taken out.
fn centred(matrix: &Matrix) -> Vec<f64> {
    let n = matrix.rows;
    assert_eq!(n, matrix.columns, "a kernel of one set");
    let trace = |k: usize| (0..matrix.outputs).map(|i| matrix.at(k / n, k % n, i, i)).sum::<f64>();
    let mut values: Vec<f64> = (0..n * n).map(trace).collect();
    let means: Vec<f64> = values.chunks_exact(n).map(|row| row.iter().sum::<f64>() / n as f64).collect();
    let mean = means.iter().sum::<f64>() / n as f64;
    for (k, value) in values.iter_mut().enumerate() {
        *value += mean - means[k / n] - means[k % n];
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(n: usize, values: &[f64]) -> Matrix {
        Matrix { rows: n, columns: n, outputs: 1, values: values.to_vec() }
    }

    #[test]
    fn a_kernel_is_aligned_with_itself_and_with_its_multiples_and_shifts() {
        let one = matrix(3, &[2.0, 0.5, 0.1, 0.5, 1.0, -0.3, 0.1, -0.3, 3.0]);
        let other = matrix(3, &one.values.iter().map(|x| 4.0 * x + 7.0).collect::<Vec<_>>());
        assert!((alignment(&one, &other) - 1.0).abs() < 1e-14);
        let moved = drift(&one, &matrix(3, &one.values.iter().map(|x| 1.5 * x).collect::<Vec<_>>()));
        assert!((moved.relative_change - 0.5).abs() < 1e-14 && (moved.with_start - 1.0).abs() < 1e-14);
    }

    #[test]
    fn opposite_classes_are_the_centred_label_kernel() {
        let labels = of_targets(&[1.0, -1.0, 1.0, -1.0], 1);
        assert_eq!(labels.values[1], -1.0);
        assert!((alignment(&labels, &labels) - 1.0).abs() < 1e-14);
        assert_eq!(alignment(&labels, &matrix(4, &[1.0; 16])), 0.0);
    }
}
