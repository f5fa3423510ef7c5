//! Average pooling over windows of positions, or over all of them.

use super::LayerRule;
use crate::batch::Batch;
use crate::error::{NetworkError, ShapeFault, Unknown};
use crate::kernel::{Gram, Kernel, Positions};
use crate::plan::{Site, Theory, Weights};
use crate::shape::Shape;
use crate::tape::{Tape, Watch};
use carnot_math::device;
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// Average pooling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// `"global"`, or the size of windows that do not overlap.
    #[serde(rename = "pool")]
    pub window: Window,
}

/// How much is averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "pool is a window size such as 2, or \"global\"")]
pub enum Window {
    /// Window of this size along each axis; what does not fill a window at the far border is left out.
    Size(usize),
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

impl Pool {
    /// Input positions of each output position.
    fn windows(&self, input: &Shape) -> Vec<Vec<usize>> {
        let axes = input.axes();
        let size = match self.window {
            Window::Whole(_) => return vec![(0..input.positions()).collect()],
            Window::Size(size) => size,
        };
        let (height, width) = if axes.len() == 2 { (axes[0], axes[1]) } else { (1, axes[0]) };
        let tall = if axes.len() == 2 { size } else { 1 };
        let mut all = Vec::new();
        for p in 0..height / tall {
            for q in 0..width / size {
                let rows = p * tall..(p + 1) * tall;
                all.push(rows.flat_map(|y| (q * size..(q + 1) * size).map(move |x| y * width + x)).collect());
            }
        }
        all
    }
}

/// The Gram of averaged vectors. For weights that sum to zero, $|\sum_i w_i z_i|^2 = -\frac12\sum_{ij} w_i w_j d_{ij}$,
/// so that distances come from distances alone.
fn averaged(gram: &Gram, windows: &[Vec<usize>]) -> Option<Gram> {
    let (samples, positions, after) = (gram.samples, gram.positions, windows.len());
    let spread = |a: usize, window: &[usize], b: usize, other: &[usize]| -> Option<f64> {
        let mut sum = 0.0;
        for &p in window {
            for &q in other {
                sum += gram.distance_of(a * positions + p, b * positions + q)?;
            }
        }
        Some(sum / (window.len() * other.len()) as f64)
    };
    let mut out = Gram::zeros(samples, after, gram.keep);
    let mut inner = vec![0.0; samples * after];
    for a in 0..samples {
        for (p, window) in windows.iter().enumerate() {
            let mean = window.iter().map(|&q| gram.variance[a * positions + q]).sum::<f64>();
            inner[a * after + p] = spread(a, window, a, window)?;
            out.variance[a * after + p] = mean / window.len() as f64 - inner[a * after + p] / 2.0;
        }
    }
    let mut lost = false;
    out.fill_pairs(|site_a, site_b| {
        let ((a, p), (b, q)) = ((site_a / after, site_a % after), (site_b / after, site_b % after));
        let across = spread(a, &windows[p], b, &windows[q]);
        lost |= across.is_none();
        across.unwrap_or(0.0) - (inner[site_a] + inner[site_b]) / 2.0
    });
    (!lost).then_some(out)
}

impl LayerRule for Pool {
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        let fault = |why| NetworkError::Shape { layer: name.to_string(), input: input.clone(), why };
        if input.axes().is_empty() {
            return Err(fault(ShapeFault::Axes { wanted: 1, got: 0 }));
        }
        match self.window {
            Window::Whole(_) => Ok(Shape::features(input.width())),
            Window::Size(window) => {
                let misfit = input.axes().iter().find(|&&size| window == 0 || window > size);
                if let Some(&size) = misfit {
                    return Err(fault(ShapeFault::Window { window, size }));
                }
                let axes: Vec<usize> = input.axes().iter().map(|size| size / window).collect();
                Ok(Shape::new(&axes, input.width()))
            }
        }
    }

    fn positions(&self, _: &Site, _: Positions) -> Positions {
        Positions::Full
    }

    /// $K'_{ab} = \frac{1}{|A||B|}\sum_{p\in A, q\in B} K_{ap,bq}$.
    fn propagate(
        &self,
        site: &Site,
        kernel: Kernel,
        _: &Theory,
        _: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        let windows = self.windows(&site.input);
        let lost = || Unknown::Positions(site.name.clone());
        let forward = averaged(&kernel.forward, &windows).ok_or_else(lost)?;
        let tangent = match &kernel.tangent {
            Some(tangent) => Some(averaged(tangent, &windows).ok_or_else(lost)?),
            None => None,
        };
        let positions = kernel.forward.positions;
        let mean_of = |a: usize, window: &Vec<usize>| {
            window.iter().map(|q| kernel.mean[a * positions + q]).sum::<f64>() / window.len() as f64
        };
        let samples = 0..kernel.forward.samples;
        let mean =
            samples.flat_map(|a| windows.iter().map(move |w| (a, w))).map(|(a, w)| mean_of(a, w)).collect();
        Ok(Kernel { forward, mean, gaussian: kernel.gaussian, tangent })
    }

    /// One over the window: each of its positions receives that share of the gradient.
    fn backward_gain(
        &self,
        site: &Site,
        _: &Kernel,
        _: &[Result<Kernel, Unknown>],
        _: &Theory,
    ) -> Result<f64, Unknown> {
        Ok(1.0 / self.windows(&site.input)[0].len() as f64)
    }

    fn forward<S: Scalar>(
        &self,
        site: &Site,
        _: Weights<S>,
        input: Batch<S>,
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
    ) -> Batch<S> {
        let windows = self.windows(&site.input);
        let n = site.input.width();
        let mut output = tape.take(input.members, input.samples, &site.output);
        output.data.fill(S::default());
        let share = S::from_f64(1.0 / windows[0].len() as f64);
        let inputs = input.data.chunks_exact(site.input.len());
        for (out, values) in output.data.chunks_exact_mut(site.output.len()).zip(inputs) {
            for (to, window) in out.chunks_exact_mut(n).zip(&windows) {
                for &p in window {
                    device::cpu::axpy(to, share, &values[p * n..(p + 1) * n]);
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
        let windows = self.windows(&site.input);
        let n = site.input.width();
        let mut out = tape.take(gradient.members, gradient.samples, &site.input);
        out.data.fill(S::default());
        let share = S::from_f64(1.0 / windows[0].len() as f64);
        let gradients = gradient.data.chunks_exact(site.output.len());
        for (values, dy) in out.data.chunks_exact_mut(site.input.len()).zip(gradients) {
            for (from, window) in dy.chunks_exact(n).zip(&windows) {
                for &p in window {
                    device::cpu::axpy(&mut values[p * n..(p + 1) * n], share, from);
                }
            }
        }
        tape.give(gradient);
        out
    }
}
