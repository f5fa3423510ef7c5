//! One layer of the recursions for all 1/n tensors of several inputs.

use crate::averages::{Averages, Factor, factor};
use crate::error::TheoryError;
use crate::layer::Scales;
use crate::tensors::{CurvatureTensors, Differentials, TangentTensors, Tensor, Tensors};

type Answer = Result<f64, TheoryError>;

/// The averages at layer l, the state of layer l, and the scales of layer l + 1.
pub(crate) struct Step<'a> {
    averages: Averages<'a>,
    scales: Scales,
    ratio: f64,
    before: &'a Tensors,
    d: usize,
}

/// σ^(orders[i])(z_{samples[i]}), multiplied.
fn product<const N: usize>(orders: [u8; N], samples: [usize; N]) -> [Factor; N] {
    std::array::from_fn(|i| factor(samples[i], orders[i]))
}

impl<'a> Step<'a> {
    pub(crate) fn new(averages: Averages<'a>, scales: Scales, ratio: f64, before: &'a Tensors) -> Self {
        Self { averages, scales, ratio, before, d: before.samples }
    }

    pub(crate) fn next(self) -> Result<Tensors, TheoryError> {
        let d = self.d;
        let kernel =
            self.matrix(|step, a, b| Ok(step.scales.c_b + step.scales.c_w * step.mean([0, 0], [a, b])?))?;
        let kernel_shift = self.matrix(Self::kernel_shift)?;
        let vertex = Tensor::fill(d, |at| self.vertex(at))?;
        let tangent = match &self.before.tangent {
            Some(old) => Some(self.tangent(old)?),
            None => None,
        };
        let differentials = match (&self.before.tangent, &self.before.differentials) {
            (Some(tangent), Some(old)) => Some(Differentials {
                p: Tensor::fill(d, |at| self.p(tangent, old, at))?,
                q: Tensor::fill(d, |at| self.q(tangent, old, at))?,
            }),
            _ => None,
        };
        let curvature = match (&self.before.tangent, &self.before.differentials, &self.before.curvature) {
            (Some(tangent), Some(first), Some(Ok(old))) => Some(Ok(self.curvature(tangent, first, old)?)),
            (_, _, Some(Err(unknown))) => Some(Err(unknown.clone())),
            _ => None,
        };
        Ok(Tensors { samples: d, kernel, kernel_shift, vertex, tangent, differentials, curvature })
    }

    fn matrix(&self, entry: impl Fn(&Self, usize, usize) -> Answer) -> Result<Vec<f64>, TheoryError> {
        let d = self.d;
        (0..d * d).map(|index| entry(self, index / d, index % d)).collect()
    }

    fn mean<const N: usize>(&self, orders: [u8; N], samples: [usize; N]) -> Answer {
        self.averages.mean(&product(orders, samples))
    }

    /// ⟨∂_a ∂_b … (σ^(k) σ^(k) of the pair)⟩, zero for labels that do not occur.
    fn pair_derivative(&self, order: u8, pair: [usize; 2], along: &[usize]) -> Answer {
        self.averages.derivative(&product([order; 2], pair), along)
    }

    /// ⟨∂… O₁₂⟩ of O = λ_W σ₁σ₂ + C_W Θ₁₂ σ'₁σ'₂.
    fn feedback(&self, theta: &[f64], pair: [usize; 2], along: &[usize]) -> Answer {
        let weight = self.scales.c_w * theta[pair[0] * self.d + pair[1]];
        let mut sum = 0.0;
        if self.scales.lambda_w != 0.0 {
            sum += self.scales.lambda_w * self.pair_derivative(0, pair, along)?;
        }
        if weight != 0.0 {
            sum += weight * self.pair_derivative(1, pair, along)?;
        }
        Ok(sum)
    }

    /// Sum over a, b of the labels that matter.
    fn over_labels<const N: usize>(
        &self,
        pairs: [[usize; 2]; N],
        term: impl Fn(&Self, [usize; N]) -> Answer,
    ) -> Answer {
        let mut sum = 0.0;
        for index in 0..1usize << N {
            let pick = |i: usize| pairs[i][index >> i & 1];
            let repeated = (0..N).any(|i| pairs[i][0] == pairs[i][1] && index >> i & 1 == 1);
            if !repeated {
                sum += term(self, std::array::from_fn(pick))?;
            }
        }
        Ok(sum)
    }

    fn kernel_shift(&self, one: usize, two: usize) -> Answer {
        let (before, pair) = (self.before, [one, two]);
        let shift = self.over_labels([pair; 2], |step, [a, b]| {
            Ok(before.kernel_shift[a * step.d + b] * step.pair_derivative(0, pair, &[a, b])? / 2.0)
        })?;
        let spread = self.over_labels([pair; 4], |step, [a, b, c, d]| {
            weighted(before.vertex.at(a, b, c, d) / 8.0, || step.pair_derivative(0, pair, &[a, b, c, d]))
        })?;
        Ok(self.ratio * self.scales.c_w * (shift + spread))
    }

    fn vertex(&self, [i, j, k, l]: [usize; 4]) -> Answer {
        let (c_w, before) = (self.scales.c_w, self.before);
        let source =
            self.mean([0; 4], [i, j, k, l])? - self.mean([0; 2], [i, j])? * self.mean([0; 2], [k, l])?;
        let carried = self.over_labels([[i, j], [i, j], [k, l], [k, l]], |step, [a, b, c, d]| {
            weighted(before.vertex.at(a, b, c, d), || {
                Ok(step.pair_derivative(0, [i, j], &[a, b])? * step.pair_derivative(0, [k, l], &[c, d])?)
            })
        })?;
        Ok(c_w * c_w * (source + self.ratio * carried / 4.0))
    }

    fn tangent(&self, old: &TangentTensors) -> Result<TangentTensors, TheoryError> {
        let d = self.d;
        Ok(TangentTensors {
            mean: self
                .matrix(|step, i, j| Ok(step.scales.lambda_b + step.feedback(&old.mean, [i, j], &[])?))?,
            shift: self.matrix(|step, i, j| step.tangent_shift(old, [i, j]))?,
            a: Tensor::fill(d, |at| self.a(old, at))?,
            b: Tensor::fill(d, |at| self.b(old, at))?,
            d: Tensor::fill(d, |at| self.d(old, at))?,
            f: Tensor::fill(d, |at| self.f(old, at))?,
        })
    }

    fn tangent_shift(&self, old: &TangentTensors, pair: [usize; 2]) -> Answer {
        let before = self.before;
        let d = self.d;
        let shift = self.over_labels([pair; 2], |step, [a, b]| {
            weighted(before.kernel_shift[a * d + b] / 2.0, || step.feedback(&old.mean, pair, &[a, b]))
        })?;
        let spread = self.over_labels([pair; 4], |step, [a, b, c, d]| {
            weighted(before.vertex.at(a, b, c, d) / 8.0, || step.feedback(&old.mean, pair, &[a, b, c, d]))
        })?;
        let [one, two] = pair;
        let mut carried = self.mean([1; 2], pair)? * old.shift[one * d + two];
        carried += self.over_labels([pair; 2], |step, [a, b]| {
            let weight = old.d.at(a, b, one, two) / 2.0 + old.f.at(a, one, b, two);
            weighted(weight, || step.pair_derivative(1, pair, &[a, b]))
        })?;
        Ok(self.ratio * (shift + spread + self.scales.c_w * carried))
    }

    /// ⟨(first pair) O₃₄⟩ with the first pair of order 0.
    fn with_feedback(&self, theta: &[f64], pair: [usize; 2], [k, l]: [usize; 2]) -> Answer {
        let weight = self.scales.c_w * theta[k * self.d + l];
        let values = self.mean([0; 4], [pair[0], pair[1], k, l])?;
        Ok(self.scales.lambda_w * values + weight * self.mean([0, 0, 1, 1], [pair[0], pair[1], k, l])?)
    }

    fn d(&self, old: &TangentTensors, [i, j, k, l]: [usize; 4]) -> Answer {
        let (before, c_w) = (self.before, self.scales.c_w);
        let product = self.mean([0; 2], [i, j])? * self.feedback(&old.mean, [k, l], &[])?;
        let source = self.with_feedback(&old.mean, [i, j], [k, l])? - product;
        let spread = self.over_labels([[i, j], [i, j], [k, l], [k, l]], |step, [a, b, c, d]| {
            weighted(before.vertex.at(a, b, c, d) / 4.0, || {
                Ok(step.pair_derivative(0, [i, j], &[a, b])? * step.feedback(&old.mean, [k, l], &[c, d])?)
            })
        })?;
        let carried = self.over_labels([[i, j]; 2], |step, [a, b]| {
            weighted(old.d.at(a, b, k, l), || step.pair_derivative(0, [i, j], &[a, b]))
        })?;
        Ok(c_w * (source + self.ratio * (spread + c_w / 2.0 * self.mean([1; 2], [k, l])? * carried)))
    }

    fn f(&self, old: &TangentTensors, [i, k, j, l]: [usize; 4]) -> Answer {
        let c_w = self.scales.c_w;
        let source = self.mean([0, 0, 1, 1], [i, j, k, l])? * old.mean[k * self.d + l];
        let carried = self.over_labels([[i, k], [j, l]], |step, [a, b]| {
            weighted(old.f.at(a, k, b, l), || {
                let first = step.averages.derivative(&product([0, 1], [i, k]), &[a])?;
                Ok(first * step.averages.derivative(&product([0, 1], [j, l]), &[b])?)
            })
        })?;
        Ok(c_w * c_w * (source + self.ratio * carried))
    }

    fn a(&self, old: &TangentTensors, [i, j, k, l]: [usize; 4]) -> Answer {
        let Scales { c_w, lambda_w, .. } = self.scales;
        let theta = &old.mean;
        let (first, second) = (c_w * theta[i * self.d + j], c_w * theta[k * self.d + l]);
        let squared = lambda_w * self.with_feedback(theta, [i, j], [k, l])?
            + first
                * (lambda_w * self.mean([1, 1, 0, 0], [i, j, k, l])?
                    + second * self.mean([1; 4], [i, j, k, l])?);
        let source = squared - self.feedback(theta, [i, j], &[])? * self.feedback(theta, [k, l], &[])?;
        let before = self.before;
        let spread = self.over_labels([[i, j], [i, j], [k, l], [k, l]], |step, [a, b, c, d]| {
            weighted(before.vertex.at(a, b, c, d) / 4.0, || {
                Ok(step.feedback(theta, [i, j], &[a, b])? * step.feedback(theta, [k, l], &[c, d])?)
            })
        })?;
        let (slope_first, slope_second) = (self.mean([1; 2], [i, j])?, self.mean([1; 2], [k, l])?);
        let left = self.over_labels([[i, j]; 2], |step, [a, b]| {
            weighted(old.d.at(a, b, k, l), || step.feedback(theta, [i, j], &[a, b]))
        })?;
        let right = self.over_labels([[k, l]; 2], |step, [a, b]| {
            weighted(old.d.at(a, b, i, j), || step.feedback(theta, [k, l], &[a, b]))
        })?;
        let crossed = c_w / 2.0 * (left * slope_second + slope_first * right);
        let carried = c_w * c_w * slope_first * slope_second * old.a.at(i, j, k, l);
        Ok(source + self.ratio * (spread + crossed + carried))
    }

    fn b(&self, old: &TangentTensors, [i, k, j, l]: [usize; 4]) -> Answer {
        let c_w = self.scales.c_w;
        let source = self.mean([1; 4], [i, j, k, l])? * old.mean[i * self.d + j] * old.mean[k * self.d + l];
        let carried = self.mean([1; 2], [i, k])? * self.mean([1; 2], [j, l])? * old.b.at(i, k, j, l);
        Ok(c_w * c_w * (source + self.ratio * carried))
    }

    /// w_{a;13} = λ_W ⟨∂_a(σ'₁σ₃)⟩ + C_W Θ₁₃ ⟨∂_a(σ''₁σ'₃)⟩
    fn lever(&self, theta: &[f64], along: usize, [i, k]: [usize; 2]) -> Answer {
        let weight = self.scales.c_w * theta[i * self.d + k];
        let first = self.averages.derivative(&product([1, 0], [i, k]), &[along])?;
        Ok(self.scales.lambda_w * first
            + weight * self.averages.derivative(&product([2, 1], [i, k]), &[along])?)
    }

    fn p(&self, tangent: &TangentTensors, old: &Differentials, [o, i, j, k]: [usize; 4]) -> Answer {
        let (c_w, d) = (self.scales.c_w, self.d);
        let theta = &tangent.mean;
        let source = self.mean([2, 1, 1, 0], [o, i, j, k])? * theta[o * d + i] * theta[o * d + j];
        let spread = self.mean([2, 0], [o, k])? * tangent.b.at(o, o, i, j);
        let carried = self.over_labels([[o, k]], |step, [a]| {
            weighted(old.p.at(o, i, j, a), || step.averages.derivative(&product([1, 0], [o, k]), &[a]))
        })?;
        Ok(c_w * c_w * (source + self.ratio * self.mean([1; 2], [i, j])? * (spread + carried)))
    }

    fn q(&self, tangent: &TangentTensors, old: &Differentials, [o, i, j, k]: [usize; 4]) -> Answer {
        let (Scales { c_w, lambda_w, .. }, d) = (self.scales, self.d);
        let theta = &tangent.mean;
        let source = lambda_w * self.mean([1, 0, 1, 0], [o, i, j, k])? * theta[o * d + j]
            + c_w * self.mean([2, 1, 1, 0], [o, i, j, k])? * theta[o * d + i] * theta[o * d + j];
        let carried = self.over_labels([[j, k]], |step, [b]| {
            let mut inner = c_w * step.mean([1; 2], [o, i])? * old.q.at(o, i, j, b);
            inner += step.over_labels([[o, i]], |step, [a]| {
                weighted(tangent.f.at(a, o, b, j), || step.lever(theta, a, [o, i]))
            })?;
            weighted(inner, || step.averages.derivative(&product([1, 0], [j, k]), &[b]))
        })?;
        Ok(c_w * (source + self.ratio * carried))
    }

    fn curvature(
        &self,
        tangent: &TangentTensors,
        first: &Differentials,
        old: &CurvatureTensors,
    ) -> Result<CurvatureTensors, TheoryError> {
        let d = self.d;
        Ok(CurvatureTensors {
            r: Tensor::fill(d, |at| self.r(tangent, first, old, at))?,
            s: Tensor::fill(d, |at| self.s(tangent, old, at))?,
            t: Tensor::fill(d, |at| self.t(tangent, first, old, at))?,
            u: Tensor::fill(d, |at| self.u(tangent, old, at))?,
        })
    }

    fn r(
        &self,
        tangent: &TangentTensors,
        first: &Differentials,
        old: &CurvatureTensors,
        at: [usize; 4],
    ) -> Answer {
        let ([o, i, j, k], d) = (at, self.d);
        let Scales { c_w, lambda_w, .. } = self.scales;
        let theta = &tangent.mean;
        let crossed = theta[o * d + j] * theta[o * d + k];
        let source = lambda_w * self.mean([2, 0, 1, 1], at)? * crossed
            + c_w * self.mean([3, 1, 1, 1], at)? * theta[o * d + i] * crossed;
        let spread =
            lambda_w * self.mean([2, 0], [o, i])? + c_w * theta[o * d + i] * self.mean([3, 1], [o, i])?;
        let mut inner = spread * tangent.b.at(o, o, j, k);
        inner += self.over_labels([[o, i]], |step, [a]| {
            weighted(first.p.at(o, j, k, a), || step.lever(theta, a, [o, i]))
        })?;
        inner += c_w * self.mean([1; 2], [o, i])? * old.r.at(o, i, j, k);
        Ok(c_w * (source + self.ratio * self.mean([1; 2], [j, k])? * inner))
    }

    fn s(&self, tangent: &TangentTensors, old: &CurvatureTensors, at: [usize; 4]) -> Answer {
        let ([i, j, k, l], d) = (at, self.d);
        let Scales { c_w, lambda_w, .. } = self.scales;
        let theta = &tangent.mean;
        let crossed = theta[i * d + k] * theta[j * d + l];
        let source = lambda_w * self.mean([1; 4], at)? * crossed
            + c_w * self.mean([2, 2, 1, 1], at)? * theta[i * d + j] * crossed;
        let slope = self.mean([1; 2], [i, j])?;
        let along = lambda_w * slope + c_w * theta[i * d + j] * self.mean([2; 2], [i, j])?;
        let inner = along * tangent.b.at(i, j, k, l) + c_w * slope * old.s.at(i, j, k, l);
        Ok(c_w * (source + self.ratio * self.mean([1; 2], [k, l])? * inner))
    }

    /// T₁₃₂₄ at `[1, 3, 2, 4]`.
    fn t(
        &self,
        tangent: &TangentTensors,
        first: &Differentials,
        old: &CurvatureTensors,
        at: [usize; 4],
    ) -> Answer {
        let ([i, k, j, l], d) = (at, self.d);
        let Scales { c_w, lambda_w, .. } = self.scales;
        let theta = &tangent.mean;
        let (near, left, right) = (theta[i * d + j], theta[i * d + k], theta[j * d + l]);
        let labels = [i, j, k, l];
        let source = lambda_w * lambda_w * self.mean([1, 1, 0, 0], labels)? * near
            + lambda_w * c_w * self.mean([1, 2, 0, 1], labels)? * near * right
            + lambda_w * c_w * self.mean([2, 1, 1, 0], labels)? * near * left
            + c_w * c_w * self.mean([2, 2, 1, 1], labels)? * near * left * right;
        let (slope_left, slope_right) = (self.mean([1; 2], [i, k])?, self.mean([1; 2], [j, l])?);
        let mut carried = self.over_labels([[i, k], [j, l]], |step, [a, b]| {
            weighted(tangent.f.at(a, i, b, j), || {
                Ok(step.lever(theta, a, [i, k])? * step.lever(theta, b, [j, l])?)
            })
        })?;
        carried += c_w
            * slope_right
            * self.over_labels([[i, k]], |step, [a]| {
                weighted(first.q.at(j, l, i, a), || step.lever(theta, a, [i, k]))
            })?;
        carried += c_w
            * slope_left
            * self.over_labels([[j, l]], |step, [b]| {
                weighted(first.q.at(i, k, j, b), || step.lever(theta, b, [j, l]))
            })?;
        carried += c_w * c_w * slope_left * slope_right * old.t.at(i, k, j, l);
        Ok(source + self.ratio * carried)
    }

    /// U₁₄₂₃ at `[1, 4, 2, 3]`.
    fn u(&self, tangent: &TangentTensors, old: &CurvatureTensors, [i, l, j, k]: [usize; 4]) -> Answer {
        let (c_w, d) = (self.scales.c_w, self.d);
        let theta = &tangent.mean;
        let source =
            self.mean([2, 2, 1, 1], [i, j, k, l])? * theta[i * d + j] * theta[i * d + k] * theta[j * d + l];
        let carried = self.mean([1; 2], [i, l])? * self.mean([1; 2], [j, k])? * old.u.at(i, l, j, k);
        Ok(c_w * c_w * (source + self.ratio * carried))
    }
}

/// weight × value, without computing the value when the weight is zero.
fn weighted(weight: f64, value: impl FnOnce() -> Answer) -> Answer {
    if weight == 0.0 { Ok(0.0) } else { Ok(weight * value()?) }
}
