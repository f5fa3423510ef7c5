//! Convolution over one or two position axes: $z'_{p} = b + \sum_t W_t x_{s p+t}$.

use super::dense::{check_width, is_yes, weigh, weigh_rows, weigh_rows_back, weight_and_bias, yes};
use super::window::{Padding, PerAxis, Slide, Windows, check_fit};
use super::{Chosen, LayerRule, Parameter};
use crate::batch::Batch;
use crate::error::{NetworkError, Unknown};
use crate::kernel::{Gram, Kernel};
use crate::plan::{Site, Theory, Weights};
use crate::shape::{LARGEST, Shape};
use crate::tape::{Tape, Watch};
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// Convolution, 1-d or 2-d by the input's position axes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv {
    /// Number of output channels n.
    #[serde(rename = "conv")]
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

impl Conv {
    /// Windows of three along each axis, step one, zeros beyond the border, with a bias.
    #[must_use]
    pub fn of_width(width: usize) -> Conv {
        let (kernel, stride, padding) = (three(), one(), Padding::default());
        Conv { width, kernel, stride, padding, bias: true, c_w: None, c_b: None }
    }
}

/// Transposed convolution: s − 1 zeros stand between two positions of the input, and the window moves by one.
///
/// The fan-in counts the whole window, as for a convolution, though only one tap in s meets the input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvTransposed {
    /// Number of output channels n.
    #[serde(rename = "conv_transposed")]
    pub width: usize,
    /// Window size along each axis, 1 … 1000.
    #[serde(default = "three")]
    pub kernel: PerAxis,
    /// Output positions for each input position along each axis, 1 … 1000.
    #[serde(default = "one")]
    pub stride: PerAxis,
    /// `"same"` (n s positions), `"valid"` (n s + max(k − s, 0)) or `"circular"` (n s).
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

pub(super) fn three() -> PerAxis {
    PerAxis::All(3)
}

pub(super) fn one() -> PerAxis {
    PerAxis::All(1)
}

/// What the kinds of convolution have in common.
#[derive(Clone, Copy)]
pub(super) struct Form<'a> {
    pub key: &'static str,
    pub width: usize,
    pub kernel: &'a PerAxis,
    pub stride: &'a PerAxis,
    pub padding: Padding,
    pub is_transposed: bool,
    pub bias: bool,
}

impl Form<'_> {
    pub(super) fn slides(&self, input: &Shape) -> Vec<Slide> {
        let slide = |(axis, &size): (usize, &usize)| Slide {
            size,
            window: self.kernel.along(axis),
            stride: self.stride.along(axis),
            padding: self.padding,
            is_transposed: self.is_transposed,
        };
        input.axes().iter().enumerate().map(slide).collect()
    }

    pub(super) fn windows(&self, input: &Shape) -> Windows {
        Windows::of(&self.slides(input))
    }

    pub(super) fn fan_in(&self, input: &Shape) -> usize {
        (0..input.axes().len()).map(|axis| self.kernel.along(axis)).product::<usize>() * input.width()
    }

    pub(super) fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        check_width(name, self.key, self.width)?;
        self.kernel.check(name, "kernel", input)?;
        self.stride.check(name, "stride", input)?;
        let slides = self.slides(input);
        check_fit(name, input, &slides)?;
        let axes: Vec<usize> = slides.iter().map(Slide::after).collect();
        let values = axes.iter().map(|&size| size as f64).product::<f64>() * self.width as f64;
        if values > LARGEST as f64 {
            return Err(NetworkError::TooLarge { count: values, what: "values", limit: LARGEST as f64 });
        }
        Ok(Shape::new(&axes, self.width))
    }

    /// $K'_{pq} = C_b + C_W \frac{1}{|T|}\sum_{t\in T} K_{sp+t,sq+t}$ (arXiv:1806.05393); padding adds zeros to the sum.
    fn propagate(&self, site: &Site, kernel: Kernel, theory: &Theory) -> Kernel {
        weigh(site, over_windows(&kernel, &self.windows(&site.input)), theory, self.bias)
    }

    /// The window of every output position, zeros in the padding, `[samples, positions after, fan-in]`.
    pub(super) fn columns<S: Scalar>(&self, input: &Shape, values: &[S]) -> Vec<S> {
        let windows = self.windows(input);
        let samples = values.len() / input.len();
        let mut columns = vec![S::default(); samples * windows.taps.len() * self.fan_in(input)];
        windows.gather(values, &mut columns, input.positions(), input.width());
        columns
    }

    fn forward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        input: Batch<S>,
        tape: &mut Tape<S>,
    ) -> Batch<S> {
        let windows = self.windows(&site.input);
        let fan_in = site.fan_in();
        let mut output = tape.take(input.members, input.samples, &site.output);
        let mut columns = tape.take(input.members, input.samples, &site.output.with_width(fan_in));
        windows.gather(&input.data, &mut columns.data, site.input.positions(), site.input.width());
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
        need_input: bool,
    ) -> Batch<S> {
        let mut columns = tape.recall();
        let mut out = tape.take(gradient.members, gradient.samples, &site.input);
        weigh_rows_back(site, weights, &mut columns, &gradient, gradients, self.bias, need_input);
        if need_input {
            let windows = self.windows(&site.input);
            windows.scatter(&columns.data, &mut out.data, site.input.positions(), site.input.width());
        }
        tape.give(columns);
        tape.give(gradient);
        out
    }
}

/// Kernel and Θ averaged over the windows: what one output position adds up, before the weights.
pub(super) fn over_windows(kernel: &Kernel, windows: &Windows) -> Kernel {
    let forward = over_window(&kernel.forward, &windows.taps);
    let tangent = kernel.tangent.as_ref().map(|tangent| over_window(tangent, &windows.taps));
    let mean = vec![0.0; forward.sites()];
    Kernel { forward, mean, gaussian: false, tangent }
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

macro_rules! convolution {
    ($rule:ty, $key:literal, $is_transposed:literal) => {
        impl $rule {
            pub(super) fn form(&self) -> Form<'_> {
                Form {
                    key: $key,
                    width: self.width,
                    kernel: &self.kernel,
                    stride: &self.stride,
                    padding: self.padding,
                    is_transposed: $is_transposed,
                    bias: self.bias,
                }
            }

            /// How the window moves along each position axis of `input`.
            #[must_use]
            pub fn slides(&self, input: &Shape) -> Vec<Slide> {
                self.form().slides(input)
            }
        }

        impl LayerRule for $rule {
            fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
                self.form().shape(name, input)
            }

            fn parameters(&self, input: &Shape) -> Vec<Parameter> {
                weight_and_bias(self.width, self.form().fan_in(input), self.bias)
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
                Ok(self.form().propagate(site, kernel, theory))
            }

            /// $C_W$ times the share of taps that meet an input position.
            fn backward_gain(
                &self,
                site: &Site,
                _: &Kernel,
                _: &[Result<Kernel, Unknown>],
                theory: &Theory,
            ) -> Result<f64, Unknown> {
                let init = theory.init[site.weighted.expect("convolutions are weighted")];
                Ok(init.c_w * self.form().windows(&site.input).share_inside())
            }

            fn forward<S: Scalar>(
                &self,
                site: &Site,
                weights: Weights<S>,
                input: Batch<S>,
                tape: &mut Tape<S>,
                _: &mut dyn Watch<S>,
            ) -> Batch<S> {
                self.form().forward(site, weights, input, tape)
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
                self.form().backward(site, weights, gradient, gradients, tape, need_input)
            }
        }
    };
}

convolution!(Conv, "conv", false);
convolution!(ConvTransposed, "conv_transposed", true);
