//! What training minimises, with its gradient, in one go.

use super::multiversion;
use crate::scalar::Scalar;

/// Loss over a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Sum over the rows of the loss in nats; divide by the number of rows for the mean.
    pub sum: f64,
    /// Rows whose largest logit is the label's; the first of equal ones counts.
    pub correct: usize,
    /// Rows that have a label.
    pub rows: usize,
}

/// The label of a row that is not judged: it has no loss and no gradient.
pub const IGNORED: u32 = u32::MAX;

multiversion! {
    /// Cross-entropy of the softmax of each row with its label, and its gradient.
    ///
    /// $$ \ell = \ln \sum_j e^{z_j} - z_y, \qquad \frac{\partial \ell}{\partial z_j} = p_j - \delta_{jy} $$
    ///
    /// * `logits`: `[rows, classes]`, row-major; computed in double precision for both number types
    /// * `labels`: `[rows]`, each below the number of classes, or [`IGNORED`]
    /// * `gradient`: `[rows, classes]`, overwritten with the gradient times `factor` (1/rows for the mean loss)
    /// * returns: sum of losses and number of correct rows; a NaN logit makes the sum NaN
    ///
    /// # Panics
    /// When shapes do not fit or a label is too large.
    pub fn softmax_cross_entropy<S: Scalar>(logits: &[S], labels: &[u32], gradient: &mut [S], factor: f64) -> Loss {
        let rows = labels.len();
        let classes = logits.len().checked_div(rows).unwrap_or(0);
        assert_eq!(logits.len(), rows * classes, "{} logits for {rows} labels", logits.len());
        assert_eq!(gradient.len(), logits.len(), "{} gradients for {} logits", gradient.len(), logits.len());
        let mut loss = Loss::default();
        let mut weights = [0f64; BLOCK];
        if classes == 0 {
            return loss;
        }
        // Blocks of rows, so that the exponentials run over many numbers at once; a row wider than a block takes the loop below.
        let rows_at_once = (BLOCK / classes).max(1);
        for start in (0..rows).step_by(rows_at_once) {
            let end = (start + rows_at_once).min(rows);
            let range = start * classes..end * classes;
            let (z, g) = (&logits[range.clone()], &mut gradient[range]);
            if z.len() <= BLOCK {
                block(z, &labels[start..end], g, factor, &mut weights[..z.len()], &mut loss);
            } else {
                let mut wide = vec![0f64; z.len()];
                block(z, &labels[start..end], g, factor, &mut wide, &mut loss);
            }
        }
        loss
    }

    /// Half the squared distance between output and target, and its gradient.
    ///
    /// * `output`, `target`, `gradient`: one length; `gradient` is overwritten with (output - target) times `factor`
    /// * returns: Σ (output - target)² / 2, in double precision
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn squared_error<S: Scalar>(output: &[S], target: &[S], gradient: &mut [S], factor: f64) -> f64 {
        assert!(output.len() == target.len() && output.len() == gradient.len(),
            "{} outputs, {} targets, {} gradients", output.len(), target.len(), gradient.len());
        let factor = S::from_f64(factor);
        for ((g, o), t) in gradient.iter_mut().zip(output).zip(target) {
            *g = *o - *t;
        }
        let sum = 0.5 * super::sum_of_squares(gradient);
        for g in gradient {
            *g *= factor;
        }
        sum
    }
}

/// Numbers that are exponentiated together: 8 KiB, well inside the first cache.
const BLOCK: usize = 1024;

#[inline(always)]
fn block<S: Scalar>(
    logits: &[S],
    labels: &[u32],
    gradient: &mut [S],
    factor: f64,
    weights: &mut [f64],
    loss: &mut Loss,
) {
    let classes = logits.len() / labels.len();
    let rows = logits.chunks_exact(classes).zip(weights.chunks_exact_mut(classes));
    for ((z, weight), &label) in rows.zip(labels) {
        if label == IGNORED {
            weight.fill(0.0);
            continue;
        }
        loss.rows += 1;
        let label = label as usize;
        assert!(label < classes, "label {label} of {classes} classes");
        let (mut best, mut largest) = (0, z[0]);
        for (j, &z) in z.iter().enumerate() {
            if z > largest {
                (best, largest) = (j, z);
            }
        }
        for (w, z) in weight.iter_mut().zip(z) {
            *w = z.to_f64() - largest.to_f64();
        }
        loss.sum -= weight[label];
        loss.correct += usize::from(best == label);
    }
    for w in weights.iter_mut() {
        *w = exp_of_negative(*w);
    }
    let rows = weights.chunks_exact(classes).zip(gradient.chunks_exact_mut(classes));
    for ((weight, g), &label) in rows.zip(labels) {
        if label == IGNORED {
            g.fill(S::default());
            continue;
        }
        let total: f64 = weight.iter().sum();
        loss.sum += libm::log(total);
        let scale = factor / total;
        for (g, w) in g.iter_mut().zip(weight) {
            *g = S::from_f64(scale * w);
        }
        // p_y - 1 = -(sum of the other weights) / total, without cancellation when the network is sure.
        let label = label as usize;
        let others: f64 = weight[..label].iter().sum::<f64>() + weight[label + 1..].iter().sum::<f64>();
        g[label] = S::from_f64(-scale * others);
    }
}

/// eˣ for x ≤ 0 to 1e-15 relative, in instructions that vectorise; below -708 the value there (3e-308); NaN stays NaN.
///
/// x = k ln 2 + r with |r| ≤ ln 2 / 2; e^r by its Taylor series to degree 13 (remainder 4e-18).
#[inline(always)]
fn exp_of_negative(x: f64) -> f64 {
    /// 1.5 × 2⁵²: adding it rounds to an integer, whose bits are then the low bits of the sum.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let x = if x < -708.0 { -708.0 } else { x };
    let shifted = x * std::f64::consts::LOG2_E + SHIFT;
    let k = shifted - SHIFT;
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    let mut sum = 1.0 / 6_227_020_800.0;
    for factorial in [
        479_001_600.0,
        39_916_800.0,
        3_628_800.0,
        362_880.0,
        40_320.0,
        5_040.0,
        720.0,
        120.0,
        24.0,
        6.0,
        2.0,
        1.0,
        1.0,
    ] {
        sum = sum * r + 1.0 / factorial;
    }
    let power = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52));
    sum * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn the_exponential_is_accurate() {
        for i in 0..=70_000 {
            let x = -0.01 * f64::from(i);
            let ratio = exp_of_negative(x) / x.exp();
            assert!((ratio - 1.0).abs() < 1e-15, "e^{x} is off by {:e}", ratio - 1.0);
        }
        assert!(exp_of_negative(-1e9) < 1e-307 && exp_of_negative(f64::NAN).is_nan());
    }

    fn check<S: Scalar>(rows: usize, classes: usize, size: f64, epsilon: f64) {
        let mut logits = vec![S::default(); rows * classes];
        let mut stream = Stream::new(6, "loss test", &[rows as u64, classes as u64]);
        stream.fill_normal(&mut logits, size);
        let labels: Vec<u32> = (0..rows).map(|_| stream.below(classes) as u32).collect();
        let mut gradient = vec![S::default(); rows * classes];
        let loss = softmax_cross_entropy(&logits, &labels, &mut gradient, 0.5);
        let (mut sum, mut correct) = (0.0, 0);
        for (i, &label) in labels.iter().enumerate() {
            let z: Vec<f64> = logits[i * classes..(i + 1) * classes].iter().map(|z| z.to_f64()).collect();
            let top = z.iter().copied().fold(f64::MIN, f64::max);
            let total: f64 = z.iter().map(|z| (z - top).exp()).sum();
            sum += total.ln() + top - z[label as usize];
            correct += usize::from(z[label as usize] == top);
            for (j, z) in z.iter().enumerate() {
                let p = (z - top).exp() / total - f64::from(j == label as usize);
                let got = gradient[i * classes + j].to_f64();
                assert!((got - 0.5 * p).abs() < epsilon, "row {i}, class {j}: {got}, expected {}", 0.5 * p);
            }
        }
        assert!((loss.sum - sum).abs() < 1e-12 * sum.max(1.0), "{}, expected {sum}", loss.sum);
        assert_eq!(loss.correct, correct);
    }

    #[test]
    fn loss_and_gradient_follow_their_definition() {
        for (rows, classes, size) in
            [(1, 1, 1.0), (7, 10, 1.0), (205, 10, 30.0), (3, 2000, 5.0), (500, 2, 3.0)]
        {
            check::<f32>(rows, classes, size, 1e-7);
            check::<f64>(rows, classes, size, 1e-14);
        }
    }

    #[test]
    fn a_sure_network_keeps_the_digits_of_its_small_gradient() {
        let mut gradient = [0f64; 2];
        let loss = softmax_cross_entropy(&[50.0, 0.0], &[0], &mut gradient, 1.0);
        assert!((gradient[0] / -(-50f64).exp() - 1.0).abs() < 1e-14, "{gradient:?}");
        assert_eq!(loss.correct, 1);
    }

    #[test]
    fn a_row_without_a_label_has_no_loss_and_no_gradient() {
        let (mut with, mut without) = ([1f32; 6], [1f32; 4]);
        let logits = [0.3, 0.1, f32::NAN, 9.0, -0.2, 0.5];
        let some = softmax_cross_entropy(&logits, &[1, IGNORED, 0], &mut with, 0.5);
        let all = softmax_cross_entropy(&[0.3, 0.1, -0.2, 0.5], &[1, 0], &mut without, 0.5);
        assert_eq!((some, all.rows), (all, 2));
        assert_eq!(with[2..4], [0.0, 0.0]);
        assert_eq!([&with[..2], &with[4..]].concat(), without);
    }

    #[test]
    fn a_network_that_blew_up_shows() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut gradient = [0f32; 4];
            let loss = softmax_cross_entropy(&[0.0, 1.0, bad, 0.0], &[1, 1], &mut gradient, 1.0);
            assert!(loss.sum.is_nan() && gradient[2].is_nan() && !gradient[0].is_nan(), "{loss:?}");
        }
        assert_eq!(softmax_cross_entropy::<f32>(&[], &[], &mut [], 1.0), Loss::default());
    }

    #[test]
    fn squared_error_is_half_the_squared_distance() {
        let mut gradient = [0f32; 2];
        let loss = squared_error(&[1.0, 2.0], &[0.0, 4.0], &mut gradient, 0.5);
        assert_eq!((loss, gradient), (2.5, [0.5, -1.0]));
    }

    #[test]
    #[should_panic(expected = "label 10 of 10 classes")]
    fn a_label_out_of_range_is_named() {
        softmax_cross_entropy(&[0f32; 10], &[10], &mut [0f32; 10], 1.0);
    }
}
