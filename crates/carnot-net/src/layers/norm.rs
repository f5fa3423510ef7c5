//! LayerNorm and RMSNorm over the features of each position.

use super::{LayerRule, Parameter, Role};
use crate::batch::Batch;
use crate::error::{NetworkError, ShapeFault, Unknown};
use crate::kernel::{Gram, Kernel};
use crate::plan::{Site, Theory, Weights};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::device;
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Position axes, from 0, over which the moments are taken beside the features; none: each position by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub axes: Vec<usize>,
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

    /// Positions that share their moments.
    fn groups(&self, input: &Shape) -> Vec<Vec<usize>> {
        if self.axes.is_empty() {
            return (0..input.positions()).map(|position| vec![position]).collect();
        }
        let sizes = input.axes();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut known = BTreeMap::new();
        for position in 0..input.positions() {
            let mut rest = position;
            let mut place = Vec::new();
            for (axis, &size) in sizes.iter().enumerate().rev() {
                place.push(if self.axes.contains(&axis) { 0 } else { rest % size });
                rest /= size;
            }
            let at = *known.entry(place).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[at].push(position);
        }
        groups
    }

    /// What normalisation does to each site, `[N P]`.
    fn moments(&self, site: &Site, kernel: &Kernel) -> Moments {
        let positions = kernel.forward.positions;
        let sites = kernel.forward.sites();
        let mut moments =
            Moments { mean: vec![0.0; sites], variance: vec![0.0; sites], scale: vec![0.0; sites] };
        let groups = self.groups(&site.input);
        for sample in 0..kernel.forward.samples {
            for group in &groups {
                let all = || group.iter().map(|p| sample * positions + p);
                let mean = if self.centres() { average(all().map(|a| kernel.mean[a])) } else { 0.0 };
                for a in all() {
                    let centred = kernel.forward.variance[a] - mean * (2.0 * kernel.mean[a] - mean);
                    moments.mean[a] = mean;
                    moments.variance[a] = centred.max(0.0);
                }
                let scale = 1.0 / (average(all().map(|a| moments.variance[a])) + self.epsilon).sqrt();
                all().for_each(|a| moments.scale[a] = scale);
            }
        }
        moments
    }
}

/// Mean that is subtracted, variance after that, and the factor 1/√(mean variance + ε), of each site.
struct Moments {
    mean: Vec<f64>,
    variance: Vec<f64>,
    scale: Vec<f64>,
}

impl Moments {
    /// $|s_a x - s_b y|^2 = s_a s_b [|x - y|^2 - (|x| - |y|)^2] + (s_a |x| - s_b |y|)^2$.
    fn scaled(&self, a: usize, b: usize, squares: (f64, f64), distance: f64) -> f64 {
        let (x, y) = (squares.0.max(0.0).sqrt(), squares.1.max(0.0).sqrt());
        let inside = (distance - (x - y).powi(2)).max(0.0);
        self.scale[a] * self.scale[b] * inside + (self.scale[a] * x - self.scale[b] * y).powi(2)
    }
}

impl LayerRule for Norm {
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        let layer = name.to_string();
        if !(self.epsilon > 0.0 && self.epsilon < 1.0) {
            let value = self.epsilon;
            return Err(NetworkError::Range { layer, key: "epsilon", value, range: "0 < epsilon < 1" });
        }
        match self.axes.iter().max() {
            Some(&axis) if axis >= input.axes().len() => {
                let why = ShapeFault::Axes { wanted: axis + 1, got: input.axes().len() };
                Err(NetworkError::Shape { layer, input: input.clone(), why })
            }
            _ => Ok(input.clone()),
        }
    }

    fn parameters(&self, input: &Shape) -> Vec<Parameter> {
        let one = |name, role| Parameter { name, shape: vec![input.width()], fan_in: 1, role };
        match (self.affine, self.kind) {
            (false, _) => Vec::new(),
            (true, Kind::Rms) => vec![one("weight", Role::Gain)],
            (true, Kind::Layer) => vec![one("weight", Role::Gain), one("bias", Role::Shift)],
        }
    }

    /// $F_{ab} = s_a s_b G_{ab}$ with $s = 1/\sqrt{\bar v + \epsilon}$, where G is the kernel after subtracting the mean
    /// and v̄ its diagonal averaged over the positions that are normalised together. Θ gets the same factors: gain
    /// and shift are taken as frozen, and the directions that normalisation removes are 1/n of all.
    fn propagate(
        &self,
        site: &Site,
        kernel: Kernel,
        _: &Theory,
        _: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        let moments = self.moments(site, &kernel);
        let scale = &moments.scale;
        // |(x − m) − (y − n)|² in terms of the means μ, ν of x and y: d − 2 (m − n)(μ − ν) + (m − n)².
        let centred = |a: usize, b: usize, d: f64| {
            let shift = moments.mean[a] - moments.mean[b];
            (d - shift * (2.0 * (kernel.mean[a] - kernel.mean[b]) - shift)).max(0.0)
        };
        let v = &moments.variance;
        let forward: Gram = kernel.forward.map(
            |a, _| v[a] * scale[a] * scale[a],
            |a, b, d| moments.scaled(a, b, (v[a], v[b]), centred(a, b, d)),
        );
        let tangent = kernel.tangent.as_ref().map(|tangent| {
            let t = &tangent.variance;
            tangent.map(|a, t| t * scale[a] * scale[a], |a, b, d| moments.scaled(a, b, (t[a], t[b]), d))
        });
        let means = kernel.mean.iter().zip(&moments.mean).zip(scale);
        let mean = means.map(|((m, subtracted), s)| (m - subtracted) * s).collect();
        Ok(Kernel { forward, mean, gaussian: kernel.gaussian, tangent })
    }

    /// $1/(\bar v + \epsilon)$; the directions that normalisation removes are 1/n of all.
    fn backward_gain(
        &self,
        site: &Site,
        kernel: &Kernel,
        _: &[Result<Kernel, Unknown>],
        _: &Theory,
    ) -> Result<f64, Unknown> {
        Ok(average(self.moments(site, kernel).scale.iter().map(|s| s * s)))
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
        let groups = self.groups(&site.input);
        let scales_shape = Shape::features(groups.len());
        let mut scales = tape.take(input.members, input.samples, &scales_shape);
        let samples = input.data.chunks_exact_mut(site.input.len());
        for (sample, scales) in samples.zip(scales.data.chunks_exact_mut(groups.len())) {
            for (group, scale) in groups.iter().zip(scales) {
                let place = |p: &usize| p * n..(p + 1) * n;
                let values = || group.iter().flat_map(|p| &sample[place(p)]).map(|x| x.to_f64());
                let mean = if self.centres() { average(values()) } else { 0.0 };
                let variance = average(values().map(|x| (x - mean).powi(2)));
                let s = 1.0 / (variance + self.epsilon).sqrt();
                *scale = S::from_f64(s);
                for p in group {
                    let row = &mut sample[place(p)];
                    row.iter_mut().for_each(|x| *x = S::from_f64((x.to_f64() - mean) * s));
                }
            }
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
                let dys = &mut gradient.data[block.clone()];
                let gain = weights.of(member, site.offset, n);
                if !gradients.is_empty() {
                    let start = member * weights.stride + site.offset;
                    let (to_gain, rest) = gradients[start..].split_at_mut(n);
                    to_gain.fill(S::default());
                    if self.centres() {
                        device::cpu::column_sums(&mut rest[..n], dys, false);
                    }
                    for (dy, x) in dys.chunks_exact(n).zip(normal.data[block].chunks_exact(n)) {
                        (0..n).for_each(|i| to_gain[i] += dy[i] * x[i]);
                    }
                }
                for dy in dys.chunks_exact_mut(n) {
                    device::cpu::multiply_assign(dy, gain);
                }
            }
        }
        // dx = s [dy - mean(dy) - x mean(dy x)], the mean only where it was subtracted.
        let groups = self.groups(&site.input);
        let len = site.input.len();
        let samples = gradient.data.chunks_exact_mut(len).zip(normal.data.chunks_exact(len));
        for ((dy, x), scales) in samples.zip(scales.data.chunks_exact(groups.len())) {
            for (group, scale) in groups.iter().zip(scales) {
                let places = || group.iter().flat_map(|p| p * n..(p + 1) * n);
                let mean = if self.centres() { average(places().map(|i| dy[i].to_f64())) } else { 0.0 };
                let along = average(places().map(|i| dy[i].to_f64() * x[i].to_f64()));
                for i in places() {
                    dy[i] = S::from_f64(scale.to_f64() * (dy[i].to_f64() - mean - x[i].to_f64() * along));
                }
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
