//! What the eigenvalues of a kernel say about training: rates, times, and how well the kernel suits the labels.

use super::descent::Loss;
use super::modes::Modes;
use super::problem::Targets;
use crate::error::{TheoryError, check};

/// λ_max / (λ_min + ridge) and what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extremes {
    /// Smallest eigenvalue, with the ridge.
    pub smallest: f64,
    /// Largest eigenvalue, with the ridge.
    pub largest: f64,
    /// largest / smallest; infinite when the smallest is within rounding of zero.
    pub condition: f64,
    /// Σ λ_k / (λ_k + ridge): how many targets' worth of freedom the prediction uses; the rank without a ridge.
    pub effective_dimension: f64,
}

/// Extreme eigenvalues of kernel plus ridge.
///
/// * `ridge`: absolute, ≥ 0
///
/// # Errors
/// [`KernelFault::Indefinite`](super::fault::KernelFault::Indefinite).
///
/// Source: Hastie, Tibshirani, Friedman 2009, *The Elements of Statistical Learning*, eq. 3.50.
pub fn extremes(modes: &Modes, ridge: f64) -> Result<Extremes, TheoryError> {
    check("ridge", ridge, ridge >= 0.0, "zero or more")?;
    let shifted = modes.with_ridge(ridge)?;
    let (smallest, largest) = (shifted[0], shifted[shifted.len() - 1]);
    let condition = if smallest > modes.rounding() { largest / smallest } else { f64::INFINITY };
    let freedom = |m: &f64| if *m > modes.rounding() { (m - ridge).max(0.0) / m } else { 0.0 };
    Ok(Extremes { smallest, largest, condition, effective_dimension: shifted.iter().map(freedom).sum() })
}

/// How the targets lie in the eigenvectors of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Alignment {
    /// ⟨K, YYᵀ⟩ / (‖K‖ ‖YYᵀ‖), from 0 to 1.
    pub plain: f64,
    /// The same after the means over samples are taken from K (both sides) and Y; 0 when nothing is left.
    pub centred: f64,
    /// Share of Σ y² in the k + 1 eigenvectors of largest eigenvalue, `[samples]`, up to 1.
    pub cumulative: Vec<f64>,
}

/// Alignment of kernel and targets.
///
/// * `kernel`: `[samples, samples]`, row-major, the matrix that `modes` was made of
///
/// # Errors
/// [`TheoryError::Length`]; [`TheoryError::OutOfRange`] when all targets are zero.
///
/// Source: Cristianini et al. 2001, *On kernel-target alignment*; Cortes, Mohri, Rostamizadeh 2012, arXiv:1203.0550 (centred).
/// Checked by `tests/regression/spectrum.rs`.
pub fn alignment(modes: &Modes, kernel: &[f64], targets: Targets) -> Result<Alignment, TheoryError> {
    let n = modes.samples();
    targets.check(n)?;
    crate::error::check_length("kernel", n * n, kernel.len())?;
    let power = targets.power();
    check("sum of squared targets", power, power > 0.0, "above zero")?;
    let shares = shares(modes, targets);
    let overlap: f64 = shares.iter().zip(modes.values()).map(|(share, value)| share * power * value).sum();
    let norm = modes.values().iter().map(|value| value * value).sum::<f64>().sqrt();
    let plain = overlap / (norm * outer_norm(targets.values, targets.outputs));
    let mut cumulative: Vec<f64> = shares
        .iter()
        .rev()
        .scan(0.0, |sum, share| {
            *sum += share;
            Some(*sum)
        })
        .collect();
    cumulative.iter_mut().for_each(|share| *share = share.min(1.0));
    Ok(Alignment { plain, centred: centred(kernel, n, targets), cumulative })
}

/// Part of Σ y² along each mode, ascending with the eigenvalue.
fn shares(modes: &Modes, targets: Targets) -> Vec<f64> {
    let power = targets.power();
    let along = modes.project(&targets);
    along.chunks(targets.outputs).map(|row| row.iter().map(|c| c * c).sum::<f64>() / power).collect()
}

/// ‖Y Yᵀ‖ = ‖Yᵀ Y‖
fn outer_norm(values: &[f64], outputs: usize) -> f64 {
    let mut gram = vec![0.0; outputs * outputs];
    for row in values.chunks(outputs) {
        for (i, a) in row.iter().enumerate() {
            row.iter().enumerate().for_each(|(j, b)| gram[i * outputs + j] += a * b);
        }
    }
    gram.iter().map(|g| g * g).sum::<f64>().sqrt()
}

fn centred(kernel: &[f64], n: usize, targets: Targets) -> f64 {
    let outputs = targets.outputs;
    let mean = |o: usize| (0..n).map(|i| targets.values[i * outputs + o]).sum::<f64>() / n as f64;
    let means: Vec<f64> = (0..outputs).map(mean).collect();
    let y: Vec<f64> = targets.values.iter().enumerate().map(|(at, y)| y - means[at % outputs]).collect();
    let of_rows: Vec<f64> = kernel.chunks(n).map(|row| row.iter().sum::<f64>() / n as f64).collect();
    let of_all = of_rows.iter().sum::<f64>() / n as f64;
    let (mut overlap, mut square) = (0.0, 0.0);
    let mut rows = vec![0.0; outputs];
    for (i, row) in kernel.chunks(n).enumerate() {
        rows.fill(0.0);
        for (j, k) in row.iter().enumerate() {
            let entry = k - of_rows[i] - of_rows[j] + of_all;
            square += entry * entry;
            rows.iter_mut().zip(&y[j * outputs..]).for_each(|(sum, y)| *sum += entry * y);
        }
        overlap += rows.iter().zip(&y[i * outputs..]).map(|(a, b)| a * b).sum::<f64>();
    }
    let scale = square.sqrt() * outer_norm(&y, outputs);
    if scale > 0.0 { overlap / scale } else { 0.0 }
}

/// How fast the modes of the targets are learned by gradient flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Timetable {
    /// Rate of each mode (inverse time for its error to fall by e), ascending, `[samples]`.
    pub rates: Vec<f64>,
    /// Part of Σ y² in each mode, `[samples]`.
    pub shares: Vec<f64>,
}

impl Timetable {
    /// Rates and shares on the tangent kernel, without a ridge.
    ///
    /// $$ \frac{\mathcal L(t)}{\mathcal L(0)} = \sum_k p_k e^{-2 \lambda_k t},\qquad p_k = |u_k\cdot y|^2 / |y|^2 $$
    ///
    /// for networks that start at zero output; λ is divided by samples · outputs for [`Loss::Mean`].
    ///
    /// # Errors
    /// [`KernelFault::Indefinite`](super::fault::KernelFault::Indefinite); [`TheoryError::Length`];
    /// [`TheoryError::OutOfRange`] when all targets are zero.
    ///
    /// Source: PDLT ch. 10.1. Checked by `tests/regression/spectrum.rs`.
    pub fn new(tangent: &Modes, targets: Targets, loss: Loss) -> Result<Self, TheoryError> {
        targets.check(tangent.samples())?;
        check("sum of squared targets", targets.power(), targets.power() > 0.0, "above zero")?;
        let unit = loss.unit(tangent.samples(), targets.outputs);
        let floor = tangent.rounding();
        let rate = |m: f64| if m > floor { m * unit } else { 0.0 };
        let rates = tangent.with_ridge(0.0)?.into_iter().map(rate).collect();
        Ok(Self { rates, shares: shares(tangent, targets) })
    }

    /// Part of the initial training loss that is left at a time ≥ 0.
    pub fn left(&self, time: f64) -> f64 {
        self.rates.iter().zip(&self.shares).map(|(rate, share)| share * (-2.0 * rate * time).exp()).sum()
    }

    /// Part of Σ y² in modes that are never learned.
    pub fn unreachable(&self) -> f64 {
        self.rates.iter().zip(&self.shares).filter(|(rate, _)| **rate == 0.0).map(|(_, share)| share).sum()
    }

    /// Time after which the training loss has lost this part of its initial value, in (0, 1); infinite when it never does.
    ///
    /// # Errors
    /// [`TheoryError::OutOfRange`].
    pub fn time_to(&self, part: f64) -> Result<f64, TheoryError> {
        check("part learned", part, part > 0.0 && part < 1.0, "above 0 and below 1")?;
        let goal = 1.0 - part;
        if self.unreachable() >= goal {
            return Ok(f64::INFINITY);
        }
        let fastest = self.rates[self.rates.len() - 1];
        let mut high = 1.0 / fastest;
        while self.left(high) > goal {
            high *= 2.0;
        }
        let mut low = 0.0;
        // Bisection to the last bit: `left` falls monotonically.
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                break;
            }
            if self.left(middle) > goal { low = middle } else { high = middle }
        }
        Ok(high)
    }
}
