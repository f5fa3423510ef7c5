//! Batch normalisation: each feature has mean 0 and variance 1 over the batch.

use super::{LayerRule, Parameter, Role};
use crate::batch::Batch;
use crate::error::{NetworkError, Unknown};
use crate::kernel::Kernel;
use crate::plan::{Site, Theory, Weights};
use crate::shape::Shape;
use crate::tape::{Mode, Tape, Watch};
use carnot_math::device::cpu;
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// Normalisation over the batch and all positions, as PyTorch's `BatchNorm1d` and `BatchNorm2d`.
///
/// $$ y = g\,\frac{z - \mu}{\sqrt{v + \epsilon}} + b $$
///
/// In training μ and v are those of the batch; in use they are running means of them, which follow with the momentum m:
/// $\mu \leftarrow \mu + m(\mu_B - \mu)$, and v in the same way with the unbiased variance of the batch.
///
/// Source: Ioffe, Szegedy, arXiv:1502.03167.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm {
    /// Momentum m of the running means, 0 < m ≤ 1; PyTorch's is 0.1.
    #[serde(rename = "batch_norm")]
    pub momentum: f64,
    /// ε, added to the variance, > 0.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// Whether gain g and shift b are trained.
    #[serde(default = "super::dense::yes", skip_serializing_if = "super::dense::is_yes")]
    pub affine: bool,
}

fn epsilon() -> f64 {
    1e-5
}

impl BatchNorm {
    /// With PyTorch's defaults.
    #[must_use]
    pub fn usual() -> BatchNorm {
        BatchNorm { momentum: 0.1, epsilon: epsilon(), affine: true }
    }

    /// Gain and shift, then the running mean and variance of one member.
    pub(crate) fn parts<'a, S: Scalar>(
        &self,
        site: &Site,
        weights: &Weights<'a, S>,
        member: usize,
    ) -> [&'a [S]; 4] {
        let n = site.input.width();
        let mut at = site.offset;
        let mut next = |wanted: bool| {
            let part = weights.of(member, at, if wanted { n } else { 0 });
            at += part.len();
            part
        };
        [next(self.affine), next(self.affine), next(true), next(true)]
    }

    /// Number of parameters, those that follow the batches too, of n features.
    pub(crate) fn slots(&self, n: usize) -> usize {
        if self.affine { 4 * n } else { 2 * n }
    }

    /// What a forward pass needs and leaves for the way back, [`KEPT`] rows for each member: mean, scale 1/√(v + ε), gain times scale, and
    /// the steps of the running mean and variance, so that "parameter less gradient" is where they go.
    ///
    /// * `sums`: `[members, 2 n]`, those of [`cpu::add_moments`] from each member's first row, where they are known
    pub(crate) fn of_batch<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        input: &Batch<S>,
        sums: Option<&[f64]>,
        tape: &mut Tape<S>,
    ) -> Batch<S> {
        let (n, is_training) = (site.input.width(), tape.mode == Mode::Train);
        let mut kept = tape.take(input.members, KEPT, &Shape::features(n));
        let (mut mean, mut variance) = (vec![0.0; n], vec![0.0; n]);
        let mut work = vec![S::default(); 3 * n];
        let unbiased = input.rows() as f64 / (input.rows() as f64 - 1.0).max(1.0);
        for (member, rows) in kept.data.chunks_exact_mut(KEPT * n).enumerate() {
            let [gain, _, running_mean, running_variance] = self.parts(site, &weights, member);
            if is_training {
                let size = input.rows() * n;
                let x = &input.data[member * size..(member + 1) * size];
                match sums {
                    Some(sums) => {
                        mean.copy_from_slice(&sums[2 * member * n..(2 * member + 1) * n]);
                        variance.copy_from_slice(&sums[(2 * member + 1) * n..(2 * member + 2) * n]);
                        cpu::moments_of_sums(&mut mean, &mut variance, &x[..n], input.rows());
                    }
                    None => cpu::column_moments(&mut mean, &mut variance, x, &mut work),
                }
            } else {
                running_mean.iter().zip(&mut mean).for_each(|(from, to)| *to = from.to_f64());
                running_variance.iter().zip(&mut variance).for_each(|(from, to)| *to = from.to_f64());
            }
            for i in 0..n {
                let scale = S::from_f64(1.0 / (variance[i] + self.epsilon).sqrt());
                let (m, v) = (running_mean[i].to_f64(), running_variance[i].to_f64());
                let v_batch = if is_training { variance[i] * unbiased } else { v };
                let m_batch = if is_training { mean[i] } else { m };
                let row = [
                    S::from_f64(mean[i]),
                    scale,
                    if self.affine { gain[i] * scale } else { scale },
                    S::from_f64(self.momentum * (m - m_batch)),
                    S::from_f64(self.momentum * (v - v_batch)),
                ];
                row.into_iter().enumerate().for_each(|(at, value)| rows[at * n + i] = value);
            }
        }
        kept
    }

    /// Writes the gradients of gain and shift, and the steps of the running means, of one member.
    ///
    /// * `sum`, `along`: sums over rows of the gradient, and of it times the normalised values
    pub(crate) fn to_slots<S: Scalar>(&self, slots: &mut [S], sum: &[f64], along: &[f64], kept: &[S]) {
        let n = sum.len();
        let trained = slots.len() - 2 * n;
        if self.affine {
            for i in 0..n {
                slots[i] = S::from_f64(along[i]);
                slots[n + i] = S::from_f64(sum[i]);
            }
        }
        slots[trained..].copy_from_slice(&kept[3 * n..]);
    }
}

fn unknown(site: &Site) -> Unknown {
    Unknown::NoFormula {
        what: "kernel of samples that are normalised together".into(),
        layer: site.name.clone(),
    }
}

/// What a forward pass in training leaves for the backward pass: five rows of features for each member.
const KEPT: usize = 5;

impl LayerRule for BatchNorm {
    fn shape(&self, name: &str, input: &Shape) -> Result<Shape, NetworkError> {
        let range = |key, value, range| NetworkError::Range { layer: name.to_string(), key, value, range };
        if !(self.momentum > 0.0 && self.momentum <= 1.0) {
            return Err(range("batch_norm", self.momentum, "0 < momentum <= 1"));
        }
        if !(self.epsilon > 0.0 && self.epsilon < 1.0) {
            return Err(range("epsilon", self.epsilon, "0 < epsilon < 1"));
        }
        Ok(input.clone())
    }

    fn parameters(&self, input: &Shape) -> Vec<Parameter> {
        let one = |name, role| Parameter { name, shape: vec![input.width()], fan_in: 1, role };
        let trained = [one("weight", Role::Gain), one("bias", Role::Shift)];
        let follows = [one("running_mean", Role::RunningMean), one("running_var", Role::RunningVariance)];
        trained.into_iter().filter(|_| self.affine).chain(follows).collect()
    }

    /// Not known: what a sample becomes depends on the others of its batch.
    fn propagate(
        &self,
        site: &Site,
        _: Kernel,
        _: &Theory,
        _: &mut Vec<Result<Kernel, Unknown>>,
    ) -> Result<Kernel, Unknown> {
        Err(unknown(site))
    }

    fn backward_gain(
        &self,
        site: &Site,
        _: &Kernel,
        _: &[Result<Kernel, Unknown>],
        _: &Theory,
    ) -> Result<f64, Unknown> {
        Err(unknown(site))
    }

    fn forward<S: Scalar>(
        &self,
        site: &Site,
        weights: Weights<S>,
        mut input: Batch<S>,
        tape: &mut Tape<S>,
        _: &mut dyn Watch<S>,
    ) -> Batch<S> {
        let n = site.input.width();
        let size = input.rows() * n;
        let mut output = tape.take(input.members, input.samples, &site.output);
        let kept = self.of_batch(site, weights, &input, None, tape);
        let plain = [vec![S::from_f64(1.0); n], vec![S::default(); n]];
        for member in 0..input.members {
            let [gain, shift, ..] = self.parts(site, &weights, member);
            let x = &mut input.data[member * size..(member + 1) * size];
            let y = &mut output.data[member * size..(member + 1) * size];
            let (centre, rest) = kept.member(member).split_at(n);
            let [gain, shift] = if self.affine { [gain, shift] } else { [&plain[0][..], &plain[1][..]] };
            cpu::normalise_columns(x, y, [centre, &rest[..n], gain, shift]);
        }
        tape.save(kept);
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
        let kept = tape.recall();
        let n = site.input.width();
        let rows = gradient.rows();
        let (mut sum, mut along) = (vec![0.0; n], vec![0.0; n]);
        let mut work = vec![S::default(); 2 * n];
        let (mut mean_row, mut along_row) = (vec![S::default(); n], vec![S::default(); n]);
        for member in 0..gradient.members {
            let own = member * rows * n..(member + 1) * rows * n;
            let (dy, x) = (&mut gradient.data[own.clone()], &normal.data[own]);
            let stored = &kept.data[member * KEPT * n..(member + 1) * KEPT * n];
            cpu::column_products(&mut sum, &mut along, dy, x, &mut work);
            if !gradients.is_empty() {
                let start = member * weights.stride + site.offset;
                self.to_slots(&mut gradients[start..start + self.slots(n)], &sum, &along, stored);
            }
            let behind = &stored[2 * n..3 * n];
            if tape.mode == Mode::Train {
                for i in 0..n {
                    mean_row[i] = S::from_f64(sum[i] / rows as f64);
                    along_row[i] = S::from_f64(along[i] / rows as f64);
                }
            }
            // In use mean and variance do not depend on the batch: both rows stay zero.
            cpu::normalise_columns_back(dy, x, [behind, &mean_row, &along_row]);
        }
        tape.give(normal);
        tape.give(kept);
        gradient
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;
    use crate::plan::Plan;
    use crate::tape::Unwatched;

    const X: [f64; 12] = [0.5, -1.0, 2.0, 1.5, 0.25, -0.5, -0.75, 3.0, 1.0, 2.25, -2.0, 0.125];
    /// Gain, shift, running mean, running variance.
    const WEIGHTS: [f64; 12] = [1.5, -0.5, 2.0, 0.1, 0.2, -0.3, 0.2, -0.1, 0.4, 0.5, 2.0, 1.5];
    const DY: [f64; 12] = [1.0, 2.0, -1.0, 0.5, -1.0, 0.25, 2.0, 0.0, 1.0, -1.5, 0.75, 3.0];

    fn close(found: &[f64], expect: &[f64], what: &str) {
        assert_eq!(found.len(), expect.len(), "{what}");
        let far = found.iter().zip(expect).find(|(a, b)| (*a - *b).abs() > 1e-7);
        assert!(far.is_none(), "{what}: {found:?}, expected {expect:?}");
    }

    /// Output, gradient of the input, and what the parameters are after "parameter less gradient" of the running means.
    fn run(mode: Mode) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let plan =
            Plan::new(&Network::from_toml("input = [3]\nlayers = [{ batch_norm = 0.3 }]").unwrap()).unwrap();
        let weights = || Weights { data: &WEIGHTS[..], stride: plan.parameters };
        let mut tape = Tape::new(mode);
        let input = Batch { members: 1, samples: 4, shape: Shape::features(3), data: X.to_vec() };
        let site = &plan.sites[0];
        let output = site.layer.forward(site, weights(), input, &mut tape, &mut Unwatched);
        let gradient = Batch { members: 1, samples: 4, shape: Shape::features(3), data: DY.to_vec() };
        let mut slots = vec![f64::NAN; 12];
        let back =
            site.layer.backward(site, weights(), gradient, &mut slots, &mut tape, &mut Unwatched, true);
        (output.data, back.data, slots)
    }

    /// Numbers of PyTorch 2's `BatchNorm1d(3, eps=1e-5, momentum=0.3)` in double precision, its parameters in single.
    #[test]
    fn training_is_that_of_pytorch() {
        let (y, dx, slots) = run(Mode::Train);
        close(
            &y,
            &[
                -0.3999980232129474,
                0.4834904713807472,
                2.555566999230969,
                0.9333300426618887,
                0.1499722732624943,
                -2.7571158122144226,
                -2.0666581055564928,
                -0.5837677625976619,
                0.4304938746528124,
                1.9333260920680158,
                0.7503050298753494,
                -1.4289451093530747,
            ],
            "y",
        );
        close(
            &dx,
            &[
                0.13580612706823642,
                -0.33900904208625776,
                -1.5282279358425934,
                0.8847631764486361,
                0.36980086214865693,
                -3.19461602306002,
                -0.3003921599541997,
                -0.09860799309350807,
                0.9928265161376711,
                -0.7201771435626729,
                0.06781617303110887,
                3.7300174427649417,
            ],
            "dx",
        );
        close(
            &slots[..6],
            &[-4.777758902718163, -2.0594748733802115, -3.0630936834739835, 2.0, 1.75, 3.25],
            "gain, shift",
        );
        let after: Vec<f64> = WEIGHTS[6..].iter().zip(&slots[6..]).map(|(w, g)| w - g).collect();
        close(&after, &[0.4025, -0.05125, 0.476875, 0.85625, 2.8046875, 1.404296875], "running means");
    }

    #[test]
    fn in_use_the_running_means_count_and_stay() {
        let (y, dx, slots) = run(Mode::Evaluate);
        close(
            &y,
            &[
                0.736389734370472,
                0.5181972584951986,
                2.312780328061112,
                2.8576888650448717,
                0.0762566251038088,
                -1.76968896836921,
                -1.9152341789725278,
                -0.8960127683572487,
                0.6797926094889831,
                4.448663213050672,
                0.8717497652083104,
                -0.7490716442616296,
            ],
            "y",
        );
        let expect: Vec<f64> =
            (0..12).map(|i| DY[i] * WEIGHTS[i % 3] / (WEIGHTS[9 + i % 3] + 1e-5).sqrt()).collect();
        close(&dx, &expect, "dx");
        close(&slots[6..], &[0.0; 6], "steps of the running means");
    }

    #[test]
    fn a_momentum_out_of_range_is_refused_by_its_key() {
        let refused = |text: &str| Plan::new(&Network::from_toml(text).unwrap()).unwrap_err().to_string();
        assert!(refused("input = [3]\nlayers = [{ batch_norm = 0.0 }]").contains("batch_norm"));
        assert!(refused("input = [3]\nlayers = [{ batch_norm = 0.1, epsilon = 2.0 }]").contains("epsilon"));
    }
}
