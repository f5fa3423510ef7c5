//! Convolution over one or two position axes: $z'_{p} = b + \sum_t W_t x_{p+t}$.

use super::dense::{check_width, is_yes, weigh, weigh_rows, weigh_rows_back, weight_and_bias, yes};
use super::{Chosen, LayerRule, Parameter};
use crate::batch::Batch;
use crate::error::{NetworkError, ShapeFault, Unknown};
use crate::kernel::{Gram, Kernel};
use crate::plan::{Site, Theory, Weights};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::device;
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// What lies beyond the border.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// Zeros, so that stride 1 keeps the number of positions.
    #[default]
    Same,
    /// Nothing: the window stays inside.
    Valid,
}

/// Convolution, 1-d or 2-d by the input's position axes, with a square window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv {
    /// Number of output channels n.
    #[serde(rename = "conv")]
    pub width: usize,
    /// Window size along each axis.
    #[serde(default = "three")]
    pub kernel: usize,
    /// Step along each axis.
    #[serde(default = "one")]
    pub stride: usize,
    /// `"same"` or `"valid"`.
    #[serde(default)]
    pub padding: Padding,
    /// Whether a bias is added.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub bias: bool,
    /// C_W of this layer, whatever the initialisation scheme says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_w: Option<f64>,
    /// C_b of this layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub c_b: Option<f64>,
}

fn three() -> usize {
    3
}

fn one() -> usize {
    1
}

impl Conv {
    /// Positions after the convolution along an axis of `size`.
    fn after(&self, size: usize) -> usize {
        match self.padding {
            Padding::Same => size.div_ceil(self.stride),
            Padding::Valid => (size - self.kernel) / self.stride + 1,
        }
    }

    /// First input position of the window of output position `p`; negative in the padding.
    fn start(&self, p: usize, size: usize) -> isize {
        let before = match self.padding {
            Padding::Same => ((self.after(size) - 1) * self.stride + self.kernel).saturating_sub(size) / 2,
            Padding::Valid => 0,
        };
        (p * self.stride) as isize - before as isize
    }

    /// For each output position, the input position of each tap; `None` in the padding.
    fn taps(&self, input: &Shape) -> Vec<Vec<Option<usize>>> {
        let axes = input.axes();
        let (height, width) = if axes.len() == 2 { (axes[0], axes[1]) } else { (1, axes[0]) };
        let rows = if axes.len() == 2 { self.after(height) } else { 1 };
        let inside = |at: isize, size: usize| (0..size as isize).contains(&at).then_some(at as usize);
        let mut all = Vec::new();
        for p in 0..rows {
            for q in 0..self.after(width) {
                let mut taps = Vec::new();
                for i in 0..if axes.len() == 2 { self.kernel } else { 1 } {
                    for j in 0..self.kernel {
                        let y = if axes.len() == 2 {
                            inside(self.start(p, height) + i as isize, height)
                        } else {
                            Some(0)
                        };
                        let x = inside(self.start(q, width) + j as isize, width);
                        taps.push(y.zip(x).map(|(y, x)| y * width + x));
                    }
                }
                all.push(taps);
            }
        }
        all
    }

    fn window(&self, input: &Shape) -> usize {
        self.kernel.pow(input.axes().len() as u32)
    }
}

/// Mean over the window of a Gram, zeros in the padding.
fn over_window(gram: &Gram, taps: &[Vec<Option<usize>>]) -> Gram {
    let (samples, positions, after) = (gram.samples, gram.positions, taps.len());
    let mut out = Gram::zeros(samples, after, gram.keep);
    let window = taps[0].len() as f64;
    let variance = |a: usize, p: Option<usize>| p.map_or(0.0, |p| gram.variance[a * positions + p]);
    for a in 0..samples {
        for (p, window_of_p) in taps.iter().enumerate() {
            out.variance[a * after + p] = window_of_p.iter().map(|&p| variance(a, p)).sum::<f64>() / window;
        }
    }
    out.fill_pairs(|site_a, site_b| {
        let ((a, p), (b, q)) = ((site_a / after, site_a % after), (site_b / after, site_b % after));
        let pair = |(&p, &q): (&Option<usize>, &Option<usize>)| match (p, q) {
            (Some(p), Some(q)) => gram.distance_of(a * positions + p, b * positions + q).expect("kept"),
            _ => variance(a, p) + variance(b, q),
        };
        taps[p].iter().zip(&taps[q]).map(pair).sum::<f64>() / window
    });
    out
}

impl LayerRule for Conv {
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        check_width(name, "conv", self.width)?;
        let fault = |why| NetworkError::Shape { layer: name.to_string(), input: input.clone(), why };
        let range = |key, value: usize| NetworkError::Range {
            layer: name.to_string(),
            key,
            value: value as f64,
            range: "1 … 1000",
        };
        if input.axes().is_empty() {
            return Err(fault(ShapeFault::Axes { wanted: 1, got: 0 }));
        }
        if !(1..=1000).contains(&self.kernel) {
            return Err(range("kernel", self.kernel));
        }
        if !(1..=1000).contains(&self.stride) {
            return Err(range("stride", self.stride));
        }
        let small = input.axes().iter().find(|&&size| size < self.kernel);
        if let (Padding::Valid, Some(&size)) = (self.padding, small) {
            return Err(fault(ShapeFault::Window { window: self.kernel, size }));
        }
        let axes: Vec<usize> = input.axes().iter().map(|&size| self.after(size)).collect();
        Ok(Shape::new(&axes, self.width))
    }

    fn parameters(&self, input: &Shape) -> Vec<Parameter> {
        weight_and_bias(self.width, self.window(input) * input.width(), self.bias)
    }

    fn has_weights(&self) -> bool {
        true
    }

    fn chosen(&self) -> Chosen {
        Chosen { c_w: self.c_w, c_b: self.c_b }
    }

    /// $K'_{pq} = C_b + C_W \frac{1}{|T|}\sum_{t\in T} K_{p+t,q+t}$ (arXiv:1806.05393).
    fn propagate(
        &self,
        site: &Site,
        kernel: Kernel,
        theory: &Theory,
        _: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        let taps = self.taps(&site.input);
        let forward = over_window(&kernel.forward, &taps);
        let tangent = kernel.tangent.as_ref().map(|tangent| over_window(tangent, &taps));
        let mean = vec![0.0; forward.sites()];
        Ok(weigh(site, Kernel { forward, mean, gaussian: false, tangent }, theory, self.bias))
    }

    /// $C_W$ times the share of taps that do not fall into the padding.
    fn backward_gain(
        &self,
        site: &Site,
        _: &Kernel,
        _: &[Result<Kernel, Unknown>],
        theory: &Theory,
    ) -> Result<f64, Unknown> {
        let taps = self.taps(&site.input);
        let used = taps.iter().flatten().flatten().count() as f64;
        let share = used / (taps.len() * taps[0].len()) as f64;
        Ok(theory.init[site.weighted.expect("conv layers are weighted")].c_w * share)
    }

    fn forward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        input: Batch<S>,
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
    ) -> Batch<S> {
        let taps = self.taps(&site.input);
        let fan_in = site.fan_in();
        let mut output = tape.take(input.members, input.samples, &site.output);
        let mut columns = tape.take(input.members, input.samples, &site.output.with_width(fan_in));
        gather(&input.data, &mut columns.data, &taps, site.input.positions(), site.input.width());
        weigh_rows(site, weights, &columns, &mut output, self.bias);
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
        let mut columns = tape.recall();
        let mut out = tape.take(gradient.members, gradient.samples, &site.input);
        weigh_rows_back(site, weights, &mut columns, &gradient, gradients, self.bias, need_input);
        if need_input {
            let taps = self.taps(&site.input);
            scatter(&columns.data, &mut out.data, &taps, site.input.positions(), site.input.width());
        }
        tape.give(columns);
        tape.give(gradient);
        out
    }
}

/// Copies the window of every output position into a row; zeros in the padding.
fn gather<S: Scalar>(
    values: &[S],
    columns: &mut [S],
    taps: &[Vec<Option<usize>>],
    positions: usize,
    channels: usize,
) {
    let row = taps[0].len() * channels;
    let per_sample = columns.chunks_exact_mut(taps.len() * row);
    for (columns, values) in per_sample.zip(values.chunks_exact(positions * channels)) {
        for (column, window) in columns.chunks_exact_mut(row).zip(taps) {
            for (to, from) in column.chunks_exact_mut(channels).zip(window) {
                match from {
                    Some(p) => to.copy_from_slice(&values[p * channels..(p + 1) * channels]),
                    None => to.fill(S::default()),
                }
            }
        }
    }
}

/// The transpose of [`gather`].
fn scatter<S: Scalar>(
    columns: &[S],
    values: &mut [S],
    taps: &[Vec<Option<usize>>],
    positions: usize,
    channels: usize,
) {
    values.fill(S::default());
    let row = taps[0].len() * channels;
    let per_sample = columns.chunks_exact(taps.len() * row);
    for (columns, values) in per_sample.zip(values.chunks_exact_mut(positions * channels)) {
        for (column, window) in columns.chunks_exact(row).zip(taps) {
            for (from, to) in column.chunks_exact(channels).zip(window) {
                if let Some(p) = to {
                    device::cpu::add_assign(&mut values[p * channels..(p + 1) * channels], from);
                }
            }
        }
    }
}
