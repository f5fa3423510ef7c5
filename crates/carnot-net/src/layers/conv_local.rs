//! Locally connected convolution: every output position has weights and biases of its own.

use super::conv::{Form, one, over_windows, three};
use super::dense::{is_yes, weigh, yes};
use super::window::{Padding, PerAxis, Slide, Windows};
use super::{Chosen, LayerRule, Parameter, Role};
use crate::batch::Batch;
use crate::error::{NetworkError, Unknown};
use crate::kernel::{Gram, Kernel};
use crate::plan::{Site, Theory, Weights};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::device::{self, View};
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// Locally connected convolution: $z'_p = b_p + \sum_t W_{p,t}\, x_{s p+t}$.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvLocal {
    /// Number of output channels n.
    #[serde(rename = "conv_local")]
    pub width: usize,
    /// Window size along each axis, 1 … 1000.
    #[serde(default = "three")]
    pub kernel: PerAxis,
    /// Step along each axis, 1 … 1000.
    #[serde(default = "one")]
    pub stride: PerAxis,
    /// `"same"`, `"valid"` or `"circular"`.
    #[serde(default)]
    pub padding: Padding,
    /// Whether biases are added, one for each position and channel.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub bias: bool,
    /// C_W of this layer, whatever the initialisation scheme says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_w: Option<f64>,
    /// C_b of this layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_b: Option<f64>,
}

impl ConvLocal {
    fn form(&self) -> Form<'_> {
        Form {
            key: "conv_local",
            width: self.width,
            kernel: &self.kernel,
            stride: &self.stride,
            padding: self.padding,
            is_transposed: false,
            bias: self.bias,
        }
    }

    /// How the window moves along each position axis of `input`.
    #[must_use]
    pub fn slides(&self, input: &Shape) -> Vec<Slide> {
        self.form().slides(input)
    }

    fn windows(&self, input: &Shape) -> Windows {
        self.form().windows(input)
    }
}

/// The same Gram with no covariance between different positions.
fn apart(gram: &Gram) -> Gram {
    let p = gram.positions;
    gram.map(|_, v| v, |a, b, d| if a % p == b % p { d } else { gram.variance[a] + gram.variance[b] })
}

/// One position's rows `[samples, n]` out of `[samples, P, n]`, or back.
fn rows_of(
    position: usize,
    positions: usize,
    width: usize,
    samples: usize,
) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..samples).map(move |sample| {
        let start = (sample * positions + position) * width;
        start..start + width
    })
}

impl LayerRule for ConvLocal {
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        self.form().shape(name, input)
    }

    fn parameters(&self, input: &Shape) -> Vec<Parameter> {
        let fan_in = self.form().fan_in(input);
        let positions = self.slides(input).iter().map(Slide::after).product();
        let shape = vec![positions, self.width, fan_in];
        let weight = Parameter { name: "weight", shape, fan_in, role: Role::Weight };
        let shape = vec![positions, self.width];
        let bias = self.bias.then_some(Parameter { name: "bias", shape, fan_in, role: Role::Bias });
        std::iter::once(weight).chain(bias).collect()
    }

    fn has_weights(&self) -> bool {
        true
    }

    fn chosen(&self) -> Chosen {
        Chosen { c_w: self.c_w, c_b: self.c_b }
    }

    /// $K'_{pq} = \delta_{pq} [C_b + C_W \frac{1}{|T|}\sum_{t\in T} K_{p+t,p+t}]$: weights of different positions are
    /// independent, and so are their outputs. The same for Θ: different positions share no parameters.
    fn propagate(
        &self,
        site: &Site,
        kernel: Kernel,
        theory: &Theory,
        _: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        let shared = weigh(site, over_windows(&kernel, &self.windows(&site.input)), theory, self.bias);
        let tangent = shared.tangent.as_ref().map(apart);
        Ok(Kernel { forward: apart(&shared.forward), tangent, ..shared })
    }

    /// $C_W$ times the share of taps that do not fall into the padding.
    fn backward_gain(
        &self,
        site: &Site,
        _: &Kernel,
        _: &[Result<Kernel, Unknown>],
        theory: &Theory,
    ) -> Result<f64, Unknown> {
        let init = theory.init[site.weighted.expect("convolutions are weighted")];
        Ok(init.c_w * self.windows(&site.input).share_inside())
    }

    /// One product for each member and position; the windows are saved as `[member, position, sample, fan-in]`.
    fn forward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        input: Batch<S>,
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
    ) -> Batch<S> {
        let windows = self.windows(&site.input);
        let (samples, fan_in, width, channels) =
            (input.samples, site.fan_in(), site.output.width(), site.input.width());
        let positions = windows.taps.len();
        let mut output = tape.take(input.members, samples, &site.output);
        let mut columns = tape.take(input.members, samples, &site.output.with_width(fan_in));
        let mut outputs = tape.take_values(samples * width);
        let blocks = columns.data.chunks_exact_mut(samples * fan_in);
        for (at, block) in blocks.enumerate() {
            let (member, p) = (at / positions, at % positions);
            let one = Windows { taps: vec![windows.taps[p].clone()] };
            one.gather(input.member(member), block, site.input.positions(), channels);
            let weight = weights.of(member, site.offset + p * width * fan_in, width * fan_in);
            let x = View::new(&*block, samples, fan_in);
            device::product(&mut outputs, x, View::new(weight, width, fan_in).transposed(), false);
            if self.bias {
                let start = site.offset + positions * width * fan_in + p * width;
                device::cpu::bias_rows(&mut outputs, weights.of(member, start, width));
            }
            let z = &mut output.data[member * samples * positions * width..];
            for (range, row) in rows_of(p, positions, width, samples).zip(outputs.chunks_exact(width)) {
                z[range].copy_from_slice(row);
            }
        }
        tape.give_values(outputs);
        tape.give(input);
        tape.save(columns);
        output
    }

    fn backward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        gradient: Batch<S>,
        gradients: &mut [S],
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
        need_input: bool,
    ) -> Batch<S> {
        let windows = self.windows(&site.input);
        let mut columns = tape.recall();
        let (samples, fan_in, width, channels) =
            (gradient.samples, site.fan_in(), site.output.width(), site.input.width());
        let positions = windows.taps.len();
        let mut out = tape.take(gradient.members, samples, &site.input);
        out.data.fill(S::default());
        let mut rows = tape.take_values(samples * width);
        for (at, block) in columns.data.chunks_exact_mut(samples * fan_in).enumerate() {
            let (member, p) = (at / positions, at % positions);
            let dz = &gradient.data[member * samples * positions * width..];
            for (range, row) in rows_of(p, positions, width, samples).zip(rows.chunks_exact_mut(width)) {
                row.copy_from_slice(&dz[range]);
            }
            let start = member * weights.stride + site.offset;
            let size = width * fan_in;
            let dz = View::new(&rows, samples, width);
            if !gradients.is_empty() {
                let to_weight = &mut gradients[start + p * size..start + (p + 1) * size];
                device::product(to_weight, dz.transposed(), View::new(&*block, samples, fan_in), false);
                if self.bias {
                    let start = start + positions * size + p * width;
                    device::cpu::column_sums(&mut gradients[start..start + width], &rows, false);
                }
            }
            if need_input {
                let weight = weights.of(member, site.offset + p * size, size);
                device::product(block, dz, View::new(weight, width, fan_in), false);
                let values = &mut out.data
                    [member * samples * site.input.len()..(member + 1) * samples * site.input.len()];
                add_windows(block, values, &windows.taps[p], site.input.len(), channels);
            }
        }
        tape.give_values(rows);
        tape.give(columns);
        tape.give(gradient);
        out
    }
}

/// Adds one window of every sample back to where it came from.
fn add_windows<S: Scalar>(
    columns: &[S],
    values: &mut [S],
    taps: &[Option<usize>],
    per_sample: usize,
    channels: usize,
) {
    let rows = columns.chunks_exact(taps.len() * channels);
    for (row, values) in rows.zip(values.chunks_exact_mut(per_sample)) {
        for (from, to) in row.chunks_exact(channels).zip(taps) {
            if let Some(p) = to {
                device::cpu::add_assign(&mut values[p * channels..(p + 1) * channels], from);
            }
        }
    }
}
