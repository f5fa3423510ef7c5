//! The normalised exponential kernel, as a layer: $K' = \sqrt{K_{aa}K_{bb}}\;e^{\gamma(\rho_{ab} + s)}$.

use super::LayerRule;
use crate::batch::Batch;
use crate::error::{NetworkError, Unknown};
use crate::kernel::Kernel;
use crate::plan::{Site, Theory, Weights};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// An activation defined by its kernel (arXiv:2003.02237, page 6).
///
/// The exponential has positive Taylor coefficients, so it is the dual of a function: with normalised Hermite
/// polynomials $h_k$, u = z/s and s the root mean square of a site's features,
///
/// $$ x_i = s\,e^{\gamma(1 + \text{shift})/2}\,\sum_k \sqrt{e^{-\gamma}\gamma^k/k!}\;h_k(u_i). $$
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpNormalized {
    /// γ, 0 < γ ≤ 20.
    #[serde(rename = "exp_normalized")]
    pub gamma: f64,
    /// Added to the correlation; −1 keeps the diagonal.
    #[serde(default = "minus_one")]
    pub shift: f64,
}

fn minus_one() -> f64 {
    -1.0
}

impl ExpNormalized {
    /// Factor of the diagonal, $e^{\gamma(1 + \text{shift})}$.
    fn size(&self) -> f64 {
        (self.gamma * (1.0 + self.shift)).exp()
    }

    /// Coefficients of $h_k$, down to the last that matters.
    fn coefficients(&self) -> Vec<f64> {
        let mut terms = vec![self.size().sqrt() * (-self.gamma / 2.0).exp()];
        let mut largest = terms[0];
        // Beyond k = γ the terms fall faster than a power; normalised polynomials grow more slowly than that.
        while terms.len() < 400 {
            let k = terms.len() as f64;
            let next = terms[terms.len() - 1] * (self.gamma / k).sqrt();
            largest = next.max(largest);
            terms.push(next);
            if k > self.gamma && next < 1e-18 * largest {
                break;
            }
        }
        terms
    }
}

/// Σ a_k h_k(u) and its derivative.
fn series(coefficients: &[f64], u: f64) -> (f64, f64) {
    // √(k+1) h_{k+1} = u h_k − √k h_{k−1} and h_k′ = √k h_{k−1}.
    let (mut before, mut now) = (0.0, 1.0);
    let (mut value, mut slope) = (0.0, 0.0);
    for (k, a) in coefficients.iter().enumerate() {
        let k = k as f64;
        value += a * now;
        slope += a * k.sqrt() * before;
        (before, now) = (now, (u * now - k.sqrt() * before) / (k + 1.0).sqrt());
    }
    (value, slope)
}

impl LayerRule for ExpNormalized {
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        let range = |key, value, range| NetworkError::Range { layer: name.to_string(), key, value, range };
        if !(self.gamma > 0.0 && self.gamma <= 20.0) {
            return Err(range("exp_normalized", self.gamma, "0 < gamma <= 20"));
        }
        if !(-10.0..=10.0).contains(&self.shift) {
            return Err(range("shift", self.shift, "-10 … 10"));
        }
        Ok(input.clone())
    }

    /// $K'$ as above and $\Theta' = \gamma e^{\gamma(\rho + s)}\,\Theta$. With
    /// $1 - \rho = [d - (\sqrt{v_a} - \sqrt{v_b})^2]/(2\sqrt{v_a v_b})$ nothing is subtracted from one.
    fn propagate(
        &self,
        site: &Site,
        kernel: Kernel,
        _: &Theory,
        _: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        if !kernel.gaussian {
            return Err(Unknown::NotGaussian(site.name.clone()));
        }
        let (size, gamma) = (self.size(), self.gamma);
        let root: Vec<f64> = kernel.forward.variance.iter().map(|v| v.sqrt()).collect();
        let apart = |a: usize, b: usize, d: f64| {
            let both = 2.0 * root[a] * root[b];
            // A site that is zero has no direction; its output is zero whatever the correlation.
            if both > 0.0 { (d - (root[a] - root[b]).powi(2)).max(0.0) / both } else { 0.0 }
        };
        let forward = kernel.forward.map(
            |_, v| size * v,
            |a, b, d| {
                let lost = -(-gamma * apart(a, b, d)).exp_m1();
                size * ((root[a] - root[b]).powi(2) + 2.0 * root[a] * root[b] * lost)
            },
        );
        let tangent = kernel.tangent.as_ref().map(|tangent| {
            let slope = gamma * size;
            tangent.map(
                |_, t| slope * t,
                |a, b, d| {
                    let lost = -(-gamma * apart(a, b, kernel.forward.distance_of(a, b).expect("same pairs")))
                        .exp_m1();
                    let both = tangent.variance[a] + tangent.variance[b];
                    slope * (d * (1.0 - lost) + both * lost)
                },
            )
        });
        let mean = root.iter().map(|s| s * self.coefficients()[0]).collect();
        Ok(Kernel { forward, mean, gaussian: false, tangent })
    }

    /// $\gamma e^{\gamma(1 + s)}$.
    fn backward_gain(
        &self,
        _: &Site,
        _: &Kernel,
        _: &[Result<Kernel, Unknown>],
        _: &Theory,
    ) -> Result<f64, Unknown> {
        Ok(self.gamma * self.size())
    }

    fn forward<S: Scalar>(
        &self,
        site: &Site,
        _: Weights<S>,
        input: Batch<S>,
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
    ) -> Batch<S> {
        let coefficients = self.coefficients();
        let n = site.input.width();
        let mut output = tape.take(input.members, input.samples, &site.output);
        for (row, out) in input.data.chunks_exact(n).zip(output.data.chunks_exact_mut(n)) {
            let s = root_mean_square(row);
            for (x, z) in out.iter_mut().zip(row) {
                let u = if s > 0.0 { z.to_f64() / s } else { 0.0 };
                *x = S::from_f64(s * series(&coefficients, u).0);
            }
        }
        tape.save(input);
        output
    }

    /// $\partial z_i = \sigma'(u_i)\delta_i + \frac{u_i}{n}\sum_j \delta_j(\sigma(u_j) - u_j\sigma'(u_j))$.
    fn backward<S: Scalar>(
        &self,
        site: &Site,
        _: Weights<S>,
        mut gradient: Batch<S>,
        _: &mut [S],
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
        _: bool,
    ) -> Batch<S> {
        let input = tape.recall();
        let coefficients = self.coefficients();
        let n = site.input.width();
        for (row, delta) in input.data.chunks_exact(n).zip(gradient.data.chunks_exact_mut(n)) {
            let s = root_mean_square(row);
            let mut along = 0.0;
            for (d, z) in delta.iter_mut().zip(row) {
                let u = if s > 0.0 { z.to_f64() / s } else { 0.0 };
                let (value, slope) = series(&coefficients, u);
                along += d.to_f64() * (value - u * slope) / n as f64;
                *d = S::from_f64(d.to_f64() * slope);
            }
            for (d, z) in delta.iter_mut().zip(row) {
                let u = if s > 0.0 { z.to_f64() / s } else { 0.0 };
                *d = S::from_f64(d.to_f64() + u * along);
            }
        }
        tape.give(input);
        gradient
    }
}

fn root_mean_square<S: Scalar>(row: &[S]) -> f64 {
    (row.iter().map(|z| z.to_f64().powi(2)).sum::<f64>() / row.len() as f64).sqrt()
}
