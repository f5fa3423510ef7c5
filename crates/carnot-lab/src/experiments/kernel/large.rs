//! More samples than memory holds: kernels go to disk in tiles, and conjugate gradients read them from there.

use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

use carnot_kernel::Engine;
use carnot_kernel::stream::KernelFile;
use carnot_math::random::Stream;
use carnot_net::dataset::Dataset;
use carnot_net::plan::Plan;
use carnot_theory::error::TheoryError;
use carnot_theory::regression::conjugate::Stop;
use carnot_theory::regression::fault::KernelFault;
use carnot_theory::regression::iterative::IterativePosterior;
use carnot_theory::regression::lanczos;
use carnot_theory::regression::operator::KernelOperator;
use carnot_theory::regression::precondition::Preconditioner;
use carnot_theory::regression::problem::{Prior, Ridge, Targets};

use super::answer::{Answer, Prediction, Side, Spectrum};
use super::data::{self, Split};
use super::work::{self, Points};
use super::{KernelSpec, keep};
use crate::error::LabError;
use crate::experiments::Tools;
use crate::memory;

/// Samples on a side of a tile: as many as a quarter of the memory holds, between these.
const TILES: [usize; 2] = [512, 2048];
/// Rank of the preconditioner: a few hundred directions hold nearly all of a kernel.
const RANK: usize = 300;
/// Largest residual of the weights, relative to the targets.
const RESIDUAL: f64 = 1e-6;
/// Most passes over the kernel.
const PASSES: usize = 1000;
/// Random signs by which the determinant is found, and passes for each.
const PROBES: usize = 8;
const STEPS: usize = 60;
/// Samples on which the noise is chosen when it is not given.
const FEW: usize = 1500;
/// Samples kept aside in one block.
const BLOCK: usize = 250;

/// Bytes in memory while all of it runs.
pub fn bytes(spec: &KernelSpec, train: f64, outputs: f64, width: f64) -> f64 {
    let tile = TILE_BYTES * (tile(spec) as f64).powi(2);
    let vectors = 8.0 * train * (2.0 * RANK as f64 + 6.0 * (outputs + PROBES as f64) + BLOCK as f64 + 512.0);
    tile + vectors + 8.0 * train * (width + 60.0) * 2.0
}

/// Bytes for each entry of a tile: K and Θ, each twice.
const TILE_BYTES: f64 = 4.0 * 8.0;

fn tile(spec: &KernelSpec) -> usize {
    let [least, most] = TILES;
    let fits = (memory::budget(spec.memory) / 4.0 / TILE_BYTES).sqrt() as usize;
    (fits / least * least).clamp(least, most)
}

/// A kernel on disk.
struct OnDisk {
    file: Mutex<KernelFile>,
    samples: usize,
    is_tangent: bool,
}

impl OnDisk {
    fn open(path: &Path, is_tangent: bool) -> Result<OnDisk, LabError> {
        let file = KernelFile::open(path)?;
        let samples = file.shape().0;
        Ok(OnDisk { file: Mutex::new(file), samples, is_tangent })
    }
}

impl KernelOperator for OnDisk {
    fn samples(&self) -> usize {
        self.samples
    }

    fn read_rows(&self, rows: Range<usize>, out: &mut [f64]) -> Result<(), TheoryError> {
        let (from, to) = (rows.start, rows.end);
        let mut file = self.file.lock().expect("nobody panics while holding this lock");
        // In a file of both matrices the second is Θ; a file of one holds what its name says.
        let read = file.read_rows(rows, self.is_tangent, out);
        Ok(read.map_err(|error| KernelFault::Unreadable { from, to, reason: error.to_string() })?)
    }
}

/// Kernels to disk, and predictions from there.
///
/// # Errors
/// When a kernel is not known, or the disk is full.
pub fn answer(spec: &KernelSpec, split: &Split, tools: &Tools) -> Result<Answer, LabError> {
    let plan = Plan::new(spec.network.network())?;
    let init = spec.init.initial(&plan)?.layers;
    let rates = spec.parametrization.rates(&plan, &init);
    let engine = Engine::compile(&plan, &init, &rates, work::options(spec, true))?;
    let train = Points::of(&split.train);
    tools.step("kernels to disk", 0, 1);
    let files = keep::files(spec);
    match &files[..] {
        [one] => engine.stream_safetensors(train.inputs(), None, tile(spec), one)?,
        [kernel, tangent, ..] => {
            engine.stream_npy(train.inputs(), None, tile(spec), kernel, Some(tangent))?
        }
        [] => unreachable!("the caller asked for a place to keep them"),
    }
    let side = |path: &Path, is_tangent: bool| {
        tools.step(if is_tangent { "predictions from Θ" } else { "predictions from K" }, 0, 1);
        predicted(spec, split, &engine, &plan, &OnDisk::open(path, is_tangent)?, is_tangent)
    };
    let (first, last) = (files.first().expect("matched"), files.last().expect("matched"));
    Ok(Answer {
        train: train.samples,
        test: split.test.as_ref().map_or(0, Dataset::len),
        outputs: split.train.targets.outputs(),
        sampled: None,
        route: work::route(&engine).into(),
        nngp: side(first, false)?,
        ntk: side(last, true)?,
        matrices: None,
        saved: files.iter().map(|path| path.display().to_string()).collect(),
        remarks: work::remarks(&train),
    })
}

/// What one kernel on disk predicts.
fn predicted(
    spec: &KernelSpec,
    split: &Split,
    engine: &Engine,
    plan: &Plan,
    kernel: &OnDisk,
    is_tangent: bool,
) -> Result<Side, LabError> {
    let n = kernel.samples();
    let normal = |count: usize| {
        let mut values = vec![0.0; count];
        Stream::new(spec.seed, "lanczos", &[u64::from(is_tangent)]).fill_normal(&mut values, 1.0);
        values
    };
    let [_, largest] = lanczos::extremes(kernel, 0.0, &normal(n), STEPS.min(n))?;
    let spectrum = Spectrum::of_largest(largest.value, n);
    let Some((values, outputs)) = data::targets(&split.train) else {
        return Ok(Side { spectrum: Some(spectrum), prediction: None, because: None });
    };
    let targets = Targets { values: &values, outputs };
    let (noise, noise_by) = chosen(spec, split, is_tangent, kernel)?;
    let preconditioner = Preconditioner::partial_cholesky(kernel, noise, RANK)?;
    let stop = Stop { tolerance: RESIDUAL, iterations: PASSES };
    let fit = IterativePosterior::fit(kernel, targets, Ridge::Absolute(noise), &preconditioner, stop)?;
    let mut prediction = Prediction::blank(noise, noise_by);
    prediction.no_left_out = Some(format!("{n} samples are too many to leave out one by one"));
    if is_tangent {
        prediction.no_evidence = Some("training by gradient descent is no inference".into());
    } else {
        let signs: Vec<f64> = normal(PROBES * n).into_iter().map(f64::signum).collect();
        prediction.log_evidence = Some(fit.log_evidence(&signs, STEPS.min(n))?.value);
    }
    if let Some(test) = &split.test {
        let points = Points::of(test);
        let (width, mut means) = (plan.input.len(), Vec::new());
        for rows in points.data.chunks(BLOCK * width) {
            let block = Points { data: rows.to_vec(), samples: rows.len() / width };
            let cross = engine.cross(block.inputs(), Points::of(&split.train).inputs())?;
            let (k, theta) = work::parts(cross);
            means.extend(fit.predict(if is_tangent { &theta } else { &k }, Prior::Unknown)?.mean);
        }
        let found = carnot_theory::regression::problem::Predicted {
            mean: means,
            variance: Vec::new(),
            covariance: None,
        };
        work::enter(&mut prediction, test, &found, (0.0, 1.0))?;
    }
    Ok(Side { spectrum: Some(spectrum), prediction: Some(prediction), because: None })
}

/// The noise that is given, or the one that suits a part of the samples.
fn chosen(
    spec: &KernelSpec,
    split: &Split,
    is_tangent: bool,
    kernel: &OnDisk,
) -> Result<(f64, &'static str), LabError> {
    if let Some(noise) = spec.noise {
        return Ok((noise, "given"));
    }
    if let Some(ridge) = spec.ridge {
        let diagonal = kernel.diagonal()?;
        return Ok((ridge * diagonal.iter().sum::<f64>() / diagonal.len() as f64, "given"));
    }
    let few = Split { train: split.train.probe(FEW, spec.seed), test: None };
    Ok((work::noise_of(spec, &few, is_tangent)?, "a part"))
}

/// Whether the work is done on disk.
pub fn is_wanted(spec: &KernelSpec, needed: f64) -> bool {
    spec.save.is_some() && needed > memory::budget(spec.memory)
}
