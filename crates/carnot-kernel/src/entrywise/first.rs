//! Samples as they come in: their products, and the angles of pairs to full relative accuracy.

use crate::dual::number::Number;
use crate::engine::Inputs;
use carnot_math::device::wide::{Loop, Real, widest};

/// A set of samples, ready for products.
#[derive(Debug)]
pub(crate) struct Samples<'a, S: Number> {
    pub(super) data: std::borrow::Cow<'a, [S]>,
    pub(super) exact: &'a [f64],
    pub(super) count: usize,
    pub(super) width: usize,
    /// 1/|x|, 0 for a zero sample.
    pub(super) inverse: Vec<S>,
    /// |x|²/width.
    pub(crate) variance: Vec<f64>,
    /// Mean of the features.
    pub(crate) mean: Vec<f64>,
}

impl<'a, S: Number> Samples<'a, S> {
    pub(crate) fn new(inputs: Inputs<'a>, width: usize) -> Samples<'a, S> {
        let rows = || inputs.data.chunks_exact(width);
        let variance: Vec<f64> = rows().map(|row| square(row) / width as f64).collect();
        let inverse =
            |variance: &f64| if *variance > 0.0 { 1.0 / (variance * width as f64).sqrt() } else { 0.0 };
        Samples {
            data: S::lend(inputs.data),
            exact: inputs.data,
            count: inputs.samples,
            width,
            inverse: variance.iter().map(inverse).map(S::from_f64).collect(),
            mean: rows().map(|row| row.iter().sum::<f64>() / width as f64).collect(),
            variance,
        }
    }

    fn row(&self, sample: usize) -> &'a [f64] {
        &self.exact[sample * self.width..(sample + 1) * self.width]
    }
}

fn square(row: &[f64]) -> f64 {
    let mut sum = [0.0];
    widest(Dots { x: row, y: row }, &mut sum, &mut [], &mut []);
    sum[0]
}

/// Angles of sample `i` of `rows` with the samples from `first` on of `columns`, from their inner products.
pub(super) fn angles<S: Number>(
    (rows, i): (&Samples<S>, usize),
    (columns, first): (&Samples<S>, usize),
    products: &[S],
    u: &mut [S],
    w: &mut [S],
) {
    let inverse = rows.inverse[i];
    let limit = S::from_f64(S::DOUBTFUL);
    let mut least = [S::TWO];
    let columns_inverse = &columns.inverse[first..first + products.len()];
    widest(Cosines { products, row: inverse, columns: columns_inverse }, u, w, &mut least);
    let is_doubtful = least[0] < limit;
    for j in 0..if is_doubtful { products.len() } else { 0 } {
        if u[j].least(w[j]) < limit {
            let [near, far] = exact_angle(rows.row(i), columns.row(first + j));
            (u[j], w[j]) = (S::from_f64(near), S::from_f64(far));
        }
    }
    // A zero sample has no direction; it is taken as parallel to everything, as a limit from its own side.
    let has_zero = |inverse: &S| *inverse == S::ZERO;
    if has_zero(&inverse) || columns.inverse[first..first + products.len()].iter().any(has_zero) {
        for j in 0..products.len() {
            if has_zero(&inverse) || has_zero(&columns.inverse[first + j]) {
                (u[j], w[j]) = (S::ZERO, S::TWO);
            }
        }
    }
}

/// 1 − cos θ and 1 + cos θ of two vectors, each to its own relative accuracy; for exact multiples one of them is exactly 0.
///
/// y − λx with λ from the largest component of x is exact in fused arithmetic for multiples by powers of two and small
/// for any near-parallel pair; what is left of x in it is then projected out.
fn exact_angle(x: &[f64], y: &[f64]) -> [f64; 2] {
    if x == y {
        return [0.0, 2.0];
    }
    let largest = |best: usize, at: usize| if x[at].abs() > x[best].abs() { at } else { best };
    let at = (0..x.len()).fold(0, largest);
    let factor = y[at] / x[at];
    let (mut rest, mut sums) = (vec![0.0; x.len()], [0.0; 3]);
    widest(Rest { x, y, factor }, &mut rest, &mut sums, &mut []);
    let [along, own, other] = sums;
    let more = along / own;
    let mut left = [0.0; 3];
    widest(Rest { x, y: &rest.clone(), factor: more }, &mut rest, &mut left, &mut []);
    let across = square(&rest);
    let sine = (across / other).min(1.0);
    let small = sine / (1.0 + (1.0 - sine).sqrt());
    if factor + more >= 0.0 { [small, 2.0 - small] } else { [2.0 - small, small] }
}

/// Numbers whose smallest is sought side by side.
const LANES: usize = 16;

/// 1 − cos θ, 1 + cos θ and the smallest of them all, from inner products and inverse lengths.
struct Cosines<'a, S> {
    products: &'a [S],
    row: S,
    columns: &'a [S],
}

impl<S: Number> Loop<S> for Cosines<'_, S> {
    #[inline(always)]
    fn run<const FMA: bool>(self, u: &mut [S], w: &mut [S], least: &mut [S]) {
        let n = self.products.len();
        let (products, columns, u, w) = (self.products, &self.columns[..n], &mut u[..n], &mut w[..n]);
        let mut lanes = [S::TWO; LANES];
        let whole = n / LANES * LANES;
        for start in (0..whole).step_by(LANES) {
            let at = start..start + LANES;
            let (products, columns) = (&products[at.clone()], &columns[at.clone()]);
            let (u, w) = (&mut u[at.clone()], &mut w[at]);
            for lane in 0..LANES {
                let cosine = products[lane] * self.row * columns[lane];
                u[lane] = (S::ONE - cosine).greatest(S::ZERO);
                w[lane] = (S::ONE + cosine).greatest(S::ZERO);
                lanes[lane] = u[lane].least(w[lane]).least(lanes[lane]);
            }
        }
        for j in whole..n {
            let cosine = products[j] * self.row * columns[j];
            u[j] = (S::ONE - cosine).greatest(S::ZERO);
            w[j] = (S::ONE + cosine).greatest(S::ZERO);
            lanes[0] = u[j].least(w[j]).least(lanes[0]);
        }
        least[0] = lanes.into_iter().fold(S::TWO, S::least);
    }
}

struct Dots<'a> {
    x: &'a [f64],
    y: &'a [f64],
}

impl Loop<f64> for Dots<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, sum: &mut [f64], _: &mut [f64], _: &mut [f64]) {
        sum[0] = dot::<FMA>(self.x, self.y);
    }
}

/// Eight sums side by side, so that the order does not depend on the instructions.
#[inline(always)]
fn dot<const FMA: bool>(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (x8, y8) = (x.chunks_exact(8), y.chunks_exact(8));
    let rest: f64 = x8.remainder().iter().zip(y8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in x8.zip(y8) {
        for lane in 0..8 {
            sums[lane] = f64::mad::<FMA>(x[lane], y[lane], sums[lane]);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// rest = y − factor x, and its product with x, |x|² and |y|².
struct Rest<'a> {
    x: &'a [f64],
    y: &'a [f64],
    factor: f64,
}

impl Loop<f64> for Rest<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self, rest: &mut [f64], sums: &mut [f64], _: &mut [f64]) {
        for ((rest, x), y) in rest.iter_mut().zip(self.x).zip(self.y) {
            *rest = f64::mad::<FMA>(-self.factor, *x, *y);
        }
        sums[0] = dot::<FMA>(self.x, rest);
        sums[1] = dot::<FMA>(self.x, self.x);
        sums[2] = dot::<FMA>(self.y, self.y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples_have_no_angle_and_small_angles_keep_their_digits() {
        let x: Vec<f64> = (0..37).map(|i| f64::from(i * i % 11) - 4.3).collect();
        let times = |factor: f64| x.iter().map(|x| factor * x).collect::<Vec<f64>>();
        assert_eq!(exact_angle(&x, &times(2.0)), [0.0, 2.0]);
        assert_eq!(exact_angle(&x, &times(-0.5)), [2.0, 0.0]);
        assert!(exact_angle(&x, &times(0.3))[0] < 1e-31);
        // A step ε across x: the angle is arctan(ε |across|/|x|).
        let across: Vec<f64> = (0..37)
            .map(|i| {
                if i == 0 {
                    -x[1]
                } else if i == 1 {
                    x[0]
                } else {
                    0.0
                }
            })
            .collect();
        for step in [1e-3, 1e-6, 1e-9] {
            let y: Vec<f64> = x.iter().zip(&across).map(|(x, a)| x + step * a).collect();
            let angle = (step * square(&across).sqrt() / square(&x).sqrt()).atan();
            let expect = 2.0 * (angle / 2.0).sin().powi(2);
            // y itself is rounded to 1e-16 of x, which is what limits the smallest step.
            let [near, _] = exact_angle(&x, &y);
            assert!((near / expect - 1.0).abs() < 1e-14 / step + 1e-13, "{step}: {near}, expected {expect}");
        }
    }
}
