//! Kernels of convolutional networks, one group of sample pairs at a time.
//!
//! A convolution adds up pairs of positions (p + t, q + t) that are equally far apart, and an activation looks at each pair
//! by itself. So the pairs with one difference q − p, a *diagonal* of the P × P covariances of two samples, go through all
//! layers up to the next pool on their own, in an image that stays in the cache; P × P numbers are never stored. A global
//! pool adds up all diagonals, `flatten` needs the one of equal positions, and a pool with small windows needs few.
//! [`LANES`] pairs of samples stand side by side at every place of the image, which makes every loop a vector loop.
//!
//! Variances are those of the diagonal of equal positions of a sample with itself, found once per sample by the very loops
//! that the pairs go through: equal images, and equal patches of one image, have K equal to the variance to the last bit.

mod axis;
mod diagonal;
mod pass;
mod program;
mod read;
#[cfg(test)]
mod tests;
mod unary;

use crate::dual::PairDual;
use crate::engine::{Inputs, Options, Precision};
use crate::error::KernelError;
use crate::matrices::{Matrices, Values};
use carnot_math::device::cpu::places::LANES;
use carnot_math::scalar::Scalar;
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::plan::Plan;
use diagonal::{Runner, Source};
use pass::{Lanes, Pool, Sides};
use program::{Op, Stage};
use rayon::prelude::*;
use unary::{Fields, Unary};

/// A network compiled for the spatial route.
#[derive(Clone, Debug)]
pub(crate) struct Spatial {
    stages: Vec<Stage>,
    unaries: Vec<Unary>,
    /// Positions and channels of one sample.
    positions: usize,
    channels: usize,
    tangent: bool,
    last: String,
}

/// What is known of the variances of [`LANES`] samples: for every stage and op.
type Found<S> = Vec<Vec<Fields<S>>>;

impl Spatial {
    /// Compiles a plan; `None` when a layer does not keep the diagonals of position pairs apart or has no kernel.
    pub fn compile(plan: &Plan, init: &[LayerInit], rate: &[LayerRate], options: Options) -> Option<Spatial> {
        let (segments, activations) = read::read(plan, init, rate, options.mode)?;
        let stages = program::stages(segments)?;
        let unary = |activation| Unary::new(PairDual::new(activation, options.tolerance));
        Some(Spatial {
            stages,
            unaries: activations.iter().map(unary).collect(),
            positions: plan.input.positions(),
            channels: plan.input.width(),
            tangent: options.tangent,
            last: plan.sites.last()?.name.clone(),
        })
    }

    /// K and Θ of `first` with itself, or with `second`.
    ///
    /// # Errors
    /// [`KernelError`] with the reason.
    pub fn matrices(
        &self,
        precision: Precision,
        first: Inputs,
        second: Option<Inputs>,
    ) -> Result<Matrices, KernelError> {
        match precision {
            Precision::F32 => self.matrices_in::<f32>(first, second, Values::F32),
            Precision::F64 => self.matrices_in::<f64>(first, second, Values::F64),
        }
    }

    fn matrices_in<S: Scalar>(
        &self,
        first: Inputs,
        second: Option<Inputs>,
        values: fn(Vec<S>) -> Values,
    ) -> Result<Matrices, KernelError> {
        let all = first.data.iter().chain(second.iter().flat_map(|second| second.data));
        let data: Vec<S> = all.map(|x| S::from_f64(*x)).collect();
        let samples = first.samples + second.map_or(0, |second| second.samples);
        let job = Job { spatial: self, data: &data, samples, pool: self.pool() };
        let found = job.find()?;
        let (rows, columns) = (first.samples, second.map_or(first.samples, |second| second.samples));
        let groups = groups(first.samples, second.map(|second| second.samples));
        let sums: Vec<(Lanes, Lanes)> =
            groups.par_iter().map(|pairs| job.group(pairs, &found)).collect::<Result<_, _>>()?;
        let mut kernel = vec![S::default(); rows * columns];
        let mut tangent = vec![S::default(); if self.tangent { rows * columns } else { 0 }];
        for (pairs, (k, t)) in groups.iter().zip(&sums) {
            for (lane, &(a, b)) in pairs.iter().enumerate() {
                let column = if second.is_some() { b - rows } else { b };
                let mut put = |at: usize| -> Result<(), KernelError> {
                    kernel[at] = self.finite(k[lane])?;
                    if self.tangent {
                        tangent[at] = self.finite(t[lane])?;
                    }
                    Ok(())
                };
                put(a * columns + column)?;
                if second.is_none() {
                    put(b * columns + a)?;
                }
            }
        }
        let tangent = self.tangent.then(|| values(tangent));
        Ok(Matrices { rows, columns, kernel: values(kernel), tangent })
    }

    fn finite<S: Scalar>(&self, value: f64) -> Result<S, KernelError> {
        let value = S::from_f64(value);
        if value.is_finite() { Ok(value) } else { Err(KernelError::Overflow { layer: self.last.clone() }) }
    }

    fn pool<S: Scalar>(&self) -> Pool<S> {
        let places = self.stages.iter().map(Stage::largest).max().unwrap_or(1);
        Pool::new(places, self.tangent)
    }

    /// The last stage that asks for variances.
    fn last_asking(&self) -> Option<usize> {
        let asks = |op: &Op| matches!(op, Op::Activate(_) | Op::Norm(_));
        self.stages.iter().rposition(|stage| stage.ops.iter().any(asks))
    }

    fn runner(&self, stage: usize) -> Runner<'_> {
        Runner { stage: &self.stages[stage], unaries: &self.unaries }
    }
}

/// Pairs of samples, at most [`LANES`] in a group: those of a sample with itself first, in the order of the samples.
fn groups(first: usize, second: Option<usize>) -> Vec<Vec<(usize, usize)>> {
    let chunks = |pairs: Vec<(usize, usize)>| pairs.chunks(LANES).map(<[_]>::to_vec).collect::<Vec<_>>();
    match second {
        None => {
            let mut all = chunks((0..first).map(|a| (a, a)).collect());
            all.extend(chunks((0..first).flat_map(|a| (a + 1..first).map(move |b| (a, b))).collect()));
            all
        }
        Some(second) => {
            chunks((0..first).flat_map(|a| (first..first + second).map(move |b| (a, b))).collect())
        }
    }
}

/// One set of samples.
struct Job<'a, S> {
    spatial: &'a Spatial,
    data: &'a [S],
    samples: usize,
    pool: Pool<S>,
}

impl<S: Scalar> Job<'_, S> {
    /// Samples side by side, `[positions, channels, LANES]`; the last one fills what is left.
    fn side(&self, samples: &[usize]) -> Vec<S> {
        let len = self.spatial.positions * self.spatial.channels;
        let mut out = vec![S::default(); len * LANES];
        for lane in 0..LANES {
            let sample = samples[lane.min(samples.len() - 1)];
            let values = &self.data[sample * len..(sample + 1) * len];
            for (to, value) in out[lane..].iter_mut().step_by(LANES).zip(values) {
                *to = *value;
            }
        }
        out
    }

    /// What is known of the variances of all samples, [`LANES`] at a time.
    fn find(&self) -> Result<Vec<Found<S>>, KernelError> {
        let samples: Vec<usize> = (0..self.samples).collect();
        let groups: Vec<&[usize]> = samples.chunks(LANES).collect();
        groups.par_iter().map(|group| self.find_group(group)).collect()
    }

    fn find_group(&self, samples: &[usize]) -> Result<Found<S>, KernelError> {
        let spatial = self.spatial;
        let mut found = vec![Vec::new(); spatial.stages.len()];
        let Some(last) = spatial.last_asking() else { return Ok(found) };
        let side = self.side(samples);
        let mut images = None;
        for stage in 0..=last {
            let source = match &images {
                None => Source::Data { rows: &side, columns: &side, channels: spatial.channels },
                Some(images) => Source::Images(images),
            };
            let runner = spatial.runner(stage);
            found[stage] = runner.find(&source, &self.pool)?;
            if stage < last {
                let sides = Sides { rows: &found[stage], columns: &found[stage] };
                let after = spatial.stages.get(stage + 1);
                let behind = runner.pass(&source, sides, after, &self.pool, true)?;
                images = Some(behind.images(spatial.tangent));
            }
        }
        Ok(found)
    }

    /// K and Θ of a group of pairs.
    fn group(&self, pairs: &[(usize, usize)], found: &[Found<S>]) -> Result<(Lanes, Lanes), KernelError> {
        let spatial = self.spatial;
        let is_mirrored = pairs.iter().all(|(a, b)| a == b);
        let (firsts, seconds): (Vec<usize>, Vec<usize>) = pairs.iter().copied().unzip();
        let (rows, columns) = (self.side(&firsts), self.side(&seconds));
        let mut images = None;
        let mut sums = ([0.0; LANES], [0.0; LANES]);
        for stage in 0..spatial.stages.len() {
            let source = match &images {
                None => Source::Data { rows: &rows, columns: &columns, channels: spatial.channels },
                Some(images) => Source::Images(images),
            };
            let (rows, columns) = (chosen(found, stage, &firsts), chosen(found, stage, &seconds));
            let sides = Sides { rows: &rows, columns: &columns };
            let after = spatial.stages.get(stage + 1);
            match spatial.runner(stage).pass(&source, sides, after, &self.pool, is_mirrored)? {
                pass::Behind::Sums(kernel, tangent) if after.is_none() => sums = (kernel, tangent),
                behind => images = Some(behind.images(spatial.tangent)),
            }
        }
        Ok(sums)
    }
}

/// What is known of chosen samples in one stage, side by side.
fn chosen<S: Scalar>(found: &[Found<S>], stage: usize, samples: &[usize]) -> Vec<Fields<S>> {
    let sample = |lane: usize| samples[lane.min(samples.len() - 1)];
    let sources: Vec<(&Vec<Fields<S>>, usize)> =
        (0..LANES).map(|lane| (&found[sample(lane) / LANES][stage], sample(lane) % LANES)).collect();
    let field = |op: usize, field: usize| {
        let mut out = vec![S::default(); sources[0].0[op][field].len()];
        for (lane, (source, place)) in sources.iter().enumerate() {
            let values = source[op][field][*place..].iter().step_by(LANES);
            out[lane..].iter_mut().step_by(LANES).zip(values).for_each(|(to, value)| *to = *value);
        }
        out
    };
    let fields = |op: usize| (0..sources[0].0[op].len()).map(|at| field(op, at)).collect();
    (0..sources[0].0.len()).map(fields).collect()
}
