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
mod cost;
mod diagonal;
mod groups;
mod pass;
mod program;
mod read;
#[cfg(test)]
mod tests;
mod unary;

use crate::dual::Points;
use crate::dual::number::Number;
use crate::engine::{Inputs, Options, Precision};
use crate::error::KernelError;
use crate::matrices::{Matrices, Values};
use carnot_math::device::cpu::places::LANES;
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::plan::Plan;
use diagonal::{Runner, Source};
use groups::{Group, Lanes};
use pass::{Pool, Sides, Sums};
use program::{Op, Stage};
use rayon::prelude::*;
use std::borrow::Cow;
use std::sync::Mutex;
use unary::{Facts, Unary, View};

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
type Found<S> = Vec<Vec<Facts<S>>>;

impl Spatial {
    /// Compiles a plan; `None` when a layer does not keep the diagonals of position pairs apart or has no kernel.
    pub fn compile(plan: &Plan, init: &[LayerInit], rate: &[LayerRate], options: Options) -> Option<Spatial> {
        let (segments, activations) = read::read(plan, init, rate, options.mode)?;
        let stages = program::stages(segments)?;
        let is_exact = activations.iter().all(|activation| unary::closed(activation).is_some());
        let unary = |activation| Unary::new(activation, options.tolerance, is_exact);
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

    fn matrices_in<S: Number>(
        &self,
        first: Inputs,
        second: Option<Inputs>,
        values: fn(Vec<S>) -> Values,
    ) -> Result<Matrices, KernelError> {
        let all = first.data.iter().chain(second.iter().flat_map(|second| second.data));
        let data: Vec<S> = all.map(|x| S::from_f64(*x)).collect();
        let tiles = tiles(&data, self.positions * self.channels);
        let job = Job { spatial: self, tiles, pool: self.pool(), buffers: Mutex::default() };
        let found = job.find()?;
        let (rows, columns) = (first.samples, second.map_or(first.samples, |second| second.samples));
        let groups = self.groups(rows, second.map(|second| second.samples));
        let sums: Vec<(Sums, Sums)> =
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

    fn finite<S: Number>(&self, value: f64) -> Result<S, KernelError> {
        let value = S::from_f64(value);
        if value.is_finite() { Ok(value) } else { Err(KernelError::Overflow { layer: self.last.clone() }) }
    }

    fn pool<S: Number>(&self) -> Pool<S> {
        let places = self.stages.iter().map(Stage::largest).max().unwrap_or(1);
        Pool::new(places, self.tangent)
    }

    /// The last stage that asks for variances.
    fn last_asking(&self) -> Option<usize> {
        let asks = |op: &Op| matches!(op, Op::Activate(_) | Op::Norm(_));
        self.stages.iter().rposition(|stage| stage.ops.iter().any(asks))
    }

    /// Pairs of samples that stand side by side.
    fn groups(&self, rows: usize, columns: Option<usize>) -> Vec<Group> {
        match (self.unaries.iter().any(Unary::is_table), columns) {
            (false, None) => groups::of_one_set(rows),
            (false, Some(columns)) => groups::of_two_sets(rows, columns),
            (true, columns) => groups::tiles_with_samples(rows, columns),
        }
    }

    fn runner(&self, stage: usize) -> Runner<'_> {
        Runner { stage: &self.stages[stage], unaries: &self.unaries }
    }
}

/// One set of samples.
struct Job<'a, S> {
    spatial: &'a Spatial,
    tiles: Vec<Vec<S>>,
    pool: Pool<S>,
    buffers: Mutex<Vec<Vec<S>>>,
}

impl<S: Number> Job<'_, S> {
    /// What is known of the variances of all samples, tile by tile.
    fn find(&self) -> Result<Vec<Found<S>>, KernelError> {
        self.tiles.par_iter().map(|tile| self.find_tile(tile)).collect()
    }

    fn find_tile(&self, tile: &[S]) -> Result<Found<S>, KernelError> {
        let spatial = self.spatial;
        let mut found = vec![Vec::new(); spatial.stages.len()];
        let Some(last) = spatial.last_asking() else { return Ok(found) };
        let mut images = None;
        for stage in 0..=last {
            let source = match &images {
                None => Source::Data { rows: tile, columns: tile, channels: spatial.channels },
                Some(images) => Source::Images(images),
            };
            let runner = spatial.runner(stage);
            found[stage] = runner.find(&source, &self.pool)?;
            if stage < last {
                let views: Vec<View<S>> = found[stage].iter().map(View::of).collect();
                let sides = Sides { rows: &views, columns: &views };
                let after = spatial.stages.get(stage + 1);
                let behind = runner.pass(&source, sides, after, &self.pool, true)?;
                images = Some(behind.images(spatial.tangent));
            }
        }
        Ok(found)
    }

    /// K and Θ of a group of pairs.
    fn group(&self, pairs: &Group, found: &[Found<S>]) -> Result<(Sums, Sums), KernelError> {
        let spatial = self.spatial;
        let is_mirrored = pairs.iter().all(|(a, b)| a == b);
        let mut buffers = Buffers { lent: Vec::new(), home: &self.buffers };
        let rows = Lanes::of(pairs.iter().map(|pair| pair.0));
        let columns = Lanes::of_columns(pairs.iter().map(|pair| pair.1));
        let side = |lanes: &Lanes, buffer| lanes.take(|tile| &self.tiles[tile][..], buffer);
        let (row_data, column_data) = (side(&rows, buffers.take()), side(&columns, buffers.take()));
        let mut images = None;
        let mut sums = ([0.0; LANES], [0.0; LANES]);
        for stage in 0..spatial.stages.len() {
            let source = match &images {
                None => Source::Data { rows: &row_data, columns: &column_data, channels: spatial.channels },
                Some(images) => Source::Images(images),
            };
            let row_facts = chosen(found, stage, &rows, &mut buffers);
            let column_facts = chosen(found, stage, &columns, &mut buffers);
            let sides = Sides { rows: &views(&row_facts), columns: &views(&column_facts) };
            let after = spatial.stages.get(stage + 1);
            match spatial.runner(stage).pass(&source, sides, after, &self.pool, is_mirrored)? {
                pass::Behind::Sums(both) if after.is_none() => sums = (both[0], both[1]),
                behind => images = Some(behind.images(spatial.tangent)),
            }
            for facts in row_facts.into_iter().chain(column_facts) {
                if let Taken::Fields(fields) = facts {
                    fields.into_iter().for_each(|field| buffers.give(field));
                }
            }
        }
        buffers.give(row_data);
        buffers.give(column_data);
        Ok(sums)
    }
}

/// Memory that groups lend each other: asking the system for it would cost more than the work of small networks.
struct Buffers<'a, S> {
    lent: Vec<Vec<S>>,
    home: &'a Mutex<Vec<Vec<S>>>,
}

impl<S: Number> Buffers<'_, S> {
    fn take(&mut self) -> Vec<S> {
        if self.lent.is_empty()
            && let Ok(mut home) = self.home.lock()
        {
            let keep = home.len().saturating_sub(64);
            self.lent = home.split_off(keep);
        }
        self.lent.pop().unwrap_or_default()
    }

    fn give(&mut self, values: Cow<[S]>) {
        if let Cow::Owned(values) = values {
            self.lent.push(values);
        }
    }
}

impl<S> Drop for Buffers<'_, S> {
    fn drop(&mut self) {
        if let Ok(mut home) = self.home.lock() {
            home.append(&mut self.lent);
        }
    }
}

/// Facts of the samples on one side of a group.
enum Taken<'a, S: Number> {
    Nothing,
    Fields(Vec<Cow<'a, [S]>>),
    Points(&'a Points, Option<usize>),
}

fn views<'a, S: Number>(facts: &'a [Taken<'a, S>]) -> Vec<View<'a, S>> {
    let view = |facts: &'a Taken<'a, S>| match facts {
        Taken::Nothing => View::Nothing,
        Taken::Fields(fields) => View::of_fields(fields),
        Taken::Points(points, lane) => View::Points(points, *lane),
    };
    facts.iter().map(view).collect()
}

/// What is known of chosen samples in one stage, side by side.
fn chosen<'a, S: Number>(
    found: &'a [Found<S>],
    stage: usize,
    lanes: &Lanes,
    buffers: &mut Buffers<S>,
) -> Vec<Taken<'a, S>> {
    let fields = |tile: usize, op: usize| match &found[tile][stage][op] {
        Facts::Fields(fields) => &fields[..],
        _ => &[],
    };
    let mut field = |op: usize, at: usize| {
        let buffer = if matches!(lanes, Lanes::Tile(_)) { Vec::new() } else { buffers.take() };
        lanes.take(|tile| &fields(tile, op)[at][..], buffer)
    };
    let mut taken = |op: usize| match (&found[lanes.first_tile()][stage][op], lanes) {
        (Facts::Nothing, _) => Taken::Nothing,
        (Facts::Fields(known), _) => Taken::Fields((0..known.len()).map(|at| field(op, at)).collect()),
        (Facts::Points(points), Lanes::Tile(_)) => Taken::Points(points, None),
        (Facts::Points(points), Lanes::Spread(_, lane)) => Taken::Points(points, Some(*lane)),
        (Facts::Points(_), Lanes::Any(_)) => unreachable!("with tables, groups are a tile and one sample"),
    };
    (0..found[0][stage].len()).map(&mut taken).collect()
}

/// Samples in tiles, `[positions, channels, LANES]` each; the last sample fills what is left of the last tile.
fn tiles<S: Number>(data: &[S], len: usize) -> Vec<Vec<S>> {
    let samples: Vec<&[S]> = data.chunks_exact(len).collect();
    let tile = |samples: &[&[S]]| {
        let mut out = vec![S::default(); len * LANES];
        for lane in 0..LANES {
            let values = samples[lane.min(samples.len() - 1)];
            out[lane..].iter_mut().step_by(LANES).zip(values).for_each(|(to, value)| *to = *value);
        }
        out
    };
    samples.chunks(LANES).map(tile).collect()
}
