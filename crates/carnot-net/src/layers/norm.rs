//! LayerNorm and RMSNorm over the features of each position.

use super::{LayerRule, Parameter, Role};
use crate::batch::Batch;
use crate::error::{NetworkError, Unknown};
use crate::kernel::{Gram, Kernel};
use crate::plan::{Site, Theory, Weights};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// Which moments are divided out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Mean and variance: $(z - \bar z)/\sqrt{\mathrm{var} + \epsilon}$.
    Layer,
    /// Only the root mean square: $z/\sqrt{\overline{z^2} + \epsilon}$.
    Rms,
}

/// Normalisation over features, with a gain and (LayerNorm) a shift that start at one and zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Norm {
    /// `"layer"` or `"rms"`.
    #[serde(rename = "norm")]
    pub kind: Kind,
    /// Added to the variance, > 0.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// Whether gain and shift are trained.
    #[serde(default = "super::dense::yes", skip_serializing_if = "super::dense::is_yes")]
    pub affine: bool,
}

fn epsilon() -> f64 {
    1e-5
}

impl Norm {
    fn centres(&self) -> bool {
        self.kind == Kind::Layer
    }

    /// Centred variance of each site, and the factor 1/√(variance + ε).
    fn moments(&self, kernel: &Kernel) -> (Vec<f64>, Vec<f64>) {
        let mean = |site: usize| if self.centres() { kernel.mean[site] } else { 0.0 };
        let variance: Vec<f64> =
            kernel.forward.variance.iter().enumerate().map(|(a, v)| (v - mean(a).powi(2)).max(0.0)).collect();
        let scale = variance.iter().map(|v| 1.0 / (v + self.epsilon).sqrt()).collect();
        (variance, scale)
    }
}

impl LayerRule for Norm {
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        if self.epsilon > 0.0 && self.epsilon < 1.0 {
            return Ok(input.clone());
        }
        let (layer, value) = (name.to_string(), self.epsilon);
        Err(NetworkError::Range { layer, key: "epsilon", value, range: "0 < epsilon < 1" })
    }

    fn parameters(&self, input: &Shape) -> Vec<Parameter> {
        let one = |name, role| Parameter { name, shape: vec![input.width()], fan_in: 1, role };
        match (self.affine, self.kind) {
            (false, _) => Vec::new(),
            (true, Kind::Rms) => vec![one("weight", Role::Gain)],
            (true, Kind::Layer) => vec![one("weight", Role::Gain), one("bias", Role::Shift)],
        }
    }

    /// $F_{ab} = G_{ab}/\sqrt{G_{aa} G_{bb}}$, written for distances without cancellation:
    /// $d' = s_a s_b [d - (\sqrt{v_a} - \sqrt{v_b})^2] + (s_a\sqrt{v_a} - s_b\sqrt{v_b})^2$ with
    /// $s = 1/\sqrt{v + \epsilon}$ and v, d taken after subtracting the mean over features.
    fn propagate(
        &self,
        _: &Site,
        kernel: Kernel,
        _: &Theory,
        _: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        let (variance, scale) = self.moments(&kernel);
        let root: Vec<f64> = variance.iter().map(|v| v.sqrt()).collect();
        let centred = |a: usize, b: usize, d: f64| {
            let shift = if self.centres() { kernel.mean[a] - kernel.mean[b] } else { 0.0 };
            (d - shift * shift).max(0.0)
        };
        let forward: Gram = kernel.forward.map(
            |a, _| variance[a] * scale[a] * scale[a],
            |a, b, d| {
                let inside = (centred(a, b, d) - (root[a] - root[b]).powi(2)).max(0.0);
                scale[a] * scale[b] * inside + (scale[a] * root[a] - scale[b] * root[b]).powi(2)
            },
        );
        let tangent = kernel.tangent.as_ref().map(|tangent| {
            tangent.map(
                |a, t| t * scale[a] * scale[a],
                |a, b, d| {
                    let (ta, tb) = (tangent.variance[a].sqrt(), tangent.variance[b].sqrt());
                    let inside = (d - (ta - tb).powi(2)).max(0.0);
                    scale[a] * scale[b] * inside + (scale[a] * ta - scale[b] * tb).powi(2)
                },
            )
        });
        let mean =
            kernel.mean.iter().zip(&scale).map(|(m, s)| if self.centres() { 0.0 } else { m * s }).collect();
        Ok(Kernel { forward, mean, gaussian: kernel.gaussian, tangent })
    }

    /// $1/(v + \epsilon)$; the directions that normalisation removes are 1/n of all.
    fn backward_gain(
        &self,
        _: &Site,
        kernel: &Kernel,
        _: &[Result<Kernel, Unknown>],
        _: &Theory,
    ) -> Result<f64, Unknown> {
        let (_, scale) = self.moments(kernel);
        Ok(scale.iter().map(|s| s * s).sum::<f64>() / scale.len() as f64)
    }

    fn forward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        mut input: Batch<S>,
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
    ) -> Batch<S> {
        let (n, rows) = (site.input.width(), input.rows());
        let scales_shape = Shape::features(site.input.positions());
        let mut scales = tape.take(input.members, input.samples, &scales_shape);
        for (row, scale) in input.data.chunks_exact_mut(n).zip(&mut scales.data) {
            let mean = if self.centres() { average(row.iter().map(|x| x.to_f64())) } else { 0.0 };
            let variance = average(row.iter().map(|x| (x.to_f64() - mean).powi(2)));
            let s = 1.0 / (variance + self.epsilon).sqrt();
            *scale = S::from_f64(s);
            row.iter_mut().for_each(|x| *x = S::from_f64((x.to_f64() - mean) * s));
        }
        let mut output = tape.take(input.members, input.samples, &site.output);
        output.data.copy_from_slice(&input.data);
        if self.affine {
            for member in 0..input.members {
                let gain = weights.of(member, site.offset, n);
                let block = &mut output.data[member * rows * n..(member + 1) * rows * n];
                for row in block.chunks_exact_mut(n) {
                    row.iter_mut().zip(gain).for_each(|(x, g)| *x *= *g);
                    if self.centres() {
                        let shift = weights.of(member, site.offset + n, n);
                        row.iter_mut().zip(shift).for_each(|(x, b)| *x += *b);
                    }
                }
            }
        }
        tape.save(scales);
        tape.save(input);
        output
    }

    fn backward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        mut gradient: Batch<S>,
        gradients: &mut [S],
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
        _: bool,
    ) -> Batch<S> {
        let normal = tape.recall();
        let scales = tape.recall();
        let (n, rows) = (site.input.width(), gradient.rows());
        if self.affine {
            for member in 0..gradient.members {
                let block = member * rows * n..(member + 1) * rows * n;
                let start = member * weights.stride + site.offset;
                let (to_gain, rest) = gradients[start..].split_at_mut(n);
                to_gain.fill(S::default());
                let dys = &mut gradient.data[block.clone()];
                if self.centres() {
                    carnot_math::device::cpu::column_sums(&mut rest[..n], dys, false);
                }
                let gain = weights.of(member, site.offset, n);
                for (dy, x) in dys.chunks_exact_mut(n).zip(normal.data[block].chunks_exact(n)) {
                    for i in 0..n {
                        to_gain[i] += dy[i] * x[i];
                        dy[i] *= gain[i];
                    }
                }
            }
        }
        // dx = s [dy - mean(dy) - x mean(dy x)], the mean only where it was subtracted.
        for ((dy, x), scale) in
            gradient.data.chunks_exact_mut(n).zip(normal.data.chunks_exact(n)).zip(&scales.data)
        {
            let mean = if self.centres() { average(dy.iter().map(|g| g.to_f64())) } else { 0.0 };
            let along = average(dy.iter().zip(x).map(|(g, x)| g.to_f64() * x.to_f64()));
            for i in 0..n {
                dy[i] = S::from_f64(scale.to_f64() * (dy[i].to_f64() - mean - x[i].to_f64() * along));
            }
        }
        tape.give(normal);
        tape.give(scales);
        gradient
    }
}

fn average(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), x| (sum + x, count + 1));
    sum / count as f64
}
