//! Average and sum pooling over windows of positions, or over all of them.

use super::LayerRule;
use super::window::{Padding, PerAxis, Slide, Windows, check_fit};
use crate::batch::Batch;
use crate::error::{NetworkError, ShapeFault, Unknown};
use crate::kernel::{Gram, Kernel, Positions};
use crate::plan::{Site, Theory, Weights};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::device;
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// Average or sum pooling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// `"global"`, or the size of the windows along each axis, 1 … 1000.
    #[serde(rename = "pool")]
    pub window: Window,
    /// Step along each axis; without it windows do not overlap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<PerAxis>,
    /// `"valid"` (what does not fill a window at the far border is left out), `"same"` or `"circular"`.
    #[serde(default = "valid", skip_serializing_if = "is_valid")]
    pub padding: Padding,
    /// `"average"` or `"sum"`.
    #[serde(default, skip_serializing_if = "Reduce::is_average")]
    pub reduce: Reduce,
    /// Whether an average over a window that reaches into the padding counts only what is inside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub normalize_edges: bool,
}

/// How much is pooled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "pool is a window size such as 2, one for each axis such as [2, 3], or \"global\""
)]
pub enum Window {
    /// Windows of this size.
    Size(PerAxis),
    /// All positions.
    Whole(Whole),
}

/// The word `global`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whole {
    /// All positions at once.
    #[serde(rename = "global")]
    Global,
}

/// What is made of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduce {
    /// The mean.
    #[default]
    Average,
    /// The sum.
    Sum,
}

impl Reduce {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
    fn is_average(&self) -> bool {
        *self == Reduce::Average
    }
}

fn valid() -> Padding {
    Padding::Valid
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_valid(padding: &Padding) -> bool {
    *padding == Padding::Valid
}

/// Positions under one window, each with its share.
pub type Shares = Vec<(usize, f64)>;

impl Pool {
    /// How the window moves along each position axis of `input`; `None` for global pooling.
    #[must_use]
    pub fn slides(&self, input: &Shape) -> Option<Vec<Slide>> {
        let Window::Size(window) = &self.window else { return None };
        let stride = self.stride.as_ref().unwrap_or(window);
        let slide = |(axis, &size): (usize, &usize)| Slide {
            size,
            window: window.along(axis),
            stride: stride.along(axis),
            padding: self.padding,
            is_transposed: false,
        };
        Some(input.axes().iter().enumerate().map(slide).collect())
    }

    /// Input positions of each output position with their shares: $x'_p = \sum_q w_{pq} x_q$.
    #[must_use]
    pub fn shares(&self, input: &Shape) -> Vec<Shares> {
        let Some(slides) = self.slides(input) else {
            let share = if self.reduce == Reduce::Sum { 1.0 } else { 1.0 / input.positions() as f64 };
            return vec![(0..input.positions()).map(|p| (p, share)).collect()];
        };
        let windows = Windows::of(&slides);
        let size = windows.size();
        let share = |inside: usize| match (self.reduce, self.normalize_edges) {
            (Reduce::Sum, _) => 1.0,
            (Reduce::Average, true) => 1.0 / inside.max(1) as f64,
            (Reduce::Average, false) => 1.0 / size as f64,
        };
        let inside = |window: &Vec<Option<usize>>| window.iter().flatten().copied().collect::<Vec<_>>();
        let with_shares = |window: Vec<usize>| window.iter().map(|&p| (p, share(window.len()))).collect();
        windows.taps.iter().map(|window| with_shares(inside(window))).collect()
    }
}

/// The Gram of sums $\sum_i w_i z_i$. With $W = \sum_i w_i$ and $U = \sum_j u_j$,
///
/// $$ |\sum_i w_i z_i|^2 = W \sum_i w_i v_i - \tfrac12\sum_{ij} w_i w_j d_{ij}, \qquad
///    |\sum_i w_i z_i - \sum_j u_j y_j|^2 = (W-U)(\sum_i w_i v_i - \sum_j u_j v_j) + \sum_{ij} w_i u_j d_{ij}
///    - \tfrac12\sum_{ij} w_i w_j d_{ij} - \tfrac12\sum_{ij} u_i u_j d_{ij}, $$
///
/// so that distances come from distances alone where the shares of both windows add up to the same.
fn pooled(gram: &Gram, windows: &[Shares]) -> Option<Gram> {
    let (samples, positions, after) = (gram.samples, gram.positions, windows.len());
    let spread = |a: usize, window: &Shares, b: usize, other: &Shares| -> Option<f64> {
        let mut sum = 0.0;
        for &(p, w) in window {
            for &(q, u) in other {
                sum += w * u * gram.distance_of(a * positions + p, b * positions + q)?;
            }
        }
        Some(sum)
    };
    let total: Vec<f64> = windows.iter().map(|window| window.iter().map(|(_, w)| w).sum()).collect();
    let mut out = Gram::zeros(samples, after, gram.keep);
    let mut inner = vec![0.0; samples * after];
    let mut size = vec![0.0; samples * after];
    for a in 0..samples {
        for (p, window) in windows.iter().enumerate() {
            let site = a * after + p;
            inner[site] = spread(a, window, a, window)?;
            size[site] = window.iter().map(|&(q, w)| w * gram.variance[a * positions + q]).sum();
            out.variance[site] = total[p] * size[site] - inner[site] / 2.0;
        }
    }
    let mut lost = false;
    out.fill_pairs(|site_a, site_b| {
        let ((a, p), (b, q)) = ((site_a / after, site_a % after), (site_b / after, site_b % after));
        let across = spread(a, &windows[p], b, &windows[q]);
        lost |= across.is_none();
        let lengths = (total[p] - total[q]) * (size[site_a] - size[site_b]);
        lengths + across.unwrap_or(0.0) - (inner[site_a] + inner[site_b]) / 2.0
    });
    (!lost).then_some(out)
}

impl LayerRule for Pool {
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        let fault = |why| NetworkError::Shape { layer: name.to_string(), input: input.clone(), why };
        if input.axes().is_empty() {
            return Err(fault(ShapeFault::Axes { wanted: 1, got: 0 }));
        }
        if let Window::Size(window) = &self.window {
            window.check(name, "pool", input)?;
        }
        if let Some(stride) = &self.stride {
            stride.check(name, "stride", input)?;
        }
        let Some(slides) = self.slides(input) else { return Ok(Shape::features(input.width())) };
        check_fit(name, input, &slides)?;
        let axes: Vec<usize> = slides.iter().map(Slide::after).collect();
        Ok(Shape::new(&axes, input.width()))
    }

    fn positions(&self, _: &Site, _: Positions) -> Positions {
        Positions::Full
    }

    /// $K'_{ap,bq} = \sum_{ij} w_{pi} w_{qj} K_{ai,bj}$: every pair of positions under the two windows meets.
    fn propagate(
        &self,
        site: &Site,
        kernel: Kernel,
        _: &Theory,
        _: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        let windows = self.shares(&site.input);
        let lost = || Unknown::Positions(site.name.clone());
        let forward = pooled(&kernel.forward, &windows).ok_or_else(lost)?;
        let tangent = match &kernel.tangent {
            Some(tangent) => Some(pooled(tangent, &windows).ok_or_else(lost)?),
            None => None,
        };
        let positions = kernel.forward.positions;
        let mean_of = |a: usize, window: &Shares| {
            window.iter().map(|&(q, w)| w * kernel.mean[a * positions + q]).sum::<f64>()
        };
        let samples = 0..kernel.forward.samples;
        let mean =
            samples.flat_map(|a| windows.iter().map(move |w| (a, w))).map(|(a, w)| mean_of(a, w)).collect();
        Ok(Kernel { forward, mean, gaussian: kernel.gaussian, tangent })
    }

    /// $\sum_{pq} w_{pq}^2$ per output position: each position receives its share of the gradient.
    fn backward_gain(
        &self,
        site: &Site,
        _: &Kernel,
        _: &[Result<Kernel, Unknown>],
        _: &Theory,
    ) -> Result<f64, Unknown> {
        let windows = self.shares(&site.input);
        let squares: f64 = windows.iter().flatten().map(|(_, w)| w * w).sum();
        Ok(squares / windows.len() as f64)
    }

    fn forward<S: Scalar>(
        &self,
        site: &Site,
        _: Weights<S>,
        input: Batch<S>,
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
    ) -> Batch<S> {
        let windows = self.shares(&site.input);
        let n = site.input.width();
        let mut output = tape.take(input.members, input.samples, &site.output);
        output.data.fill(S::default());
        let inputs = input.data.chunks_exact(site.input.len());
        for (out, values) in output.data.chunks_exact_mut(site.output.len()).zip(inputs) {
            for (to, window) in out.chunks_exact_mut(n).zip(&windows) {
                for &(p, share) in window {
                    device::cpu::axpy(to, S::from_f64(share), &values[p * n..(p + 1) * n]);
                }
            }
        }
        tape.give(input);
        output
    }

    fn backward<S: Scalar>(
        &self,
        site: &Site,
        _: Weights<S>,
        gradient: Batch<S>,
        _: &mut [S],
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
        _: bool,
    ) -> Batch<S> {
        let windows = self.shares(&site.input);
        let n = site.input.width();
        let mut out = tape.take(gradient.members, gradient.samples, &site.input);
        out.data.fill(S::default());
        let gradients = gradient.data.chunks_exact(site.output.len());
        for (values, dy) in out.data.chunks_exact_mut(site.input.len()).zip(gradients) {
            for (from, window) in dy.chunks_exact(n).zip(&windows) {
                for &(p, share) in window {
                    device::cpu::axpy(&mut values[p * n..(p + 1) * n], S::from_f64(share), from);
                }
            }
        }
        tape.give(gradient);
        out
    }
}
