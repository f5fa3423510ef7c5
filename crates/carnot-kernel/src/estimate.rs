//! What a kernel will cost, before it is computed.

use crate::engine::{Engine, Inputs, Precision};
use crate::error::KernelError;
use crate::spatial::Spatial;
use std::time::Instant;

/// Samples of the two warm-up kernels; their difference leaves out what is done once for all pairs.
const WARM_UP: [usize; 2] = [192, 576];

/// Most images of a warm-up, and seconds that it may take.
const MOST_IMAGES: usize = 48;
const FEW_SECONDS: f64 = 1.0;

/// Memory, work and time of a kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Samples of both sets.
    pub samples: (usize, usize),
    /// Bytes of K and Θ.
    pub result_bytes: f64,
    /// Bytes in memory at the worst moment, with the whole result, without the samples as they were given.
    pub peak_bytes: f64,
    /// The same when tiles of that many samples go to disk.
    pub tiled_bytes: f64,
    /// Floating-point operations: products of samples, and about 100 for each pair and activation.
    pub operations: f64,
    /// Seconds on the threads at hand, from a measured warm-up.
    pub seconds: f64,
}

impl Engine {
    /// Memory, work and time of the kernel of `first` with itself or with `second`; runs a warm-up of at most 576 samples.
    ///
    /// * `tile`: samples on a side of a tile, for [`Estimate::tiled_bytes`]
    ///
    /// # Errors
    /// [`KernelError`] with the reason why there is no kernel at all.
    pub fn estimate(
        &self,
        first: Inputs,
        second: Option<Inputs>,
        tile: usize,
    ) -> Result<Estimate, KernelError> {
        if let Some(spatial) = &self.spatial {
            return self.estimate_of_images(spatial, first, second, tile);
        }
        let width = self.plan.input.len();
        let columns = second.map_or(first.samples, |second| second.samples);
        let pairs = match second {
            None => first.samples as f64 * (first.samples as f64 + 1.0) / 2.0,
            Some(_) => first.samples as f64 * columns as f64,
        };
        let size = if self.options.precision == Precision::F32 { 4.0 } else { 8.0 };
        let matrices = if self.options.tangent { 2.0 } else { 1.0 };
        let bytes = |rows: f64, columns: f64| size * matrices * rows * columns;
        let result_bytes = bytes(first.samples as f64, columns as f64);
        let samples = first.samples as f64 + second.map_or(0.0, |second| second.samples as f64);
        // A copy of the samples in single precision, and what every step knows of each sample.
        let copy = if size < 8.0 { 4.0 * width as f64 } else { 0.0 };
        let layers = self.plan.all().len() as f64;
        let known = samples * (copy + layers * 8.0 * 60.0);
        let scratch = rayon::current_num_threads() as f64 * 1e6;
        let side = (tile.max(1).next_multiple_of(512)).min(first.samples.max(columns)) as f64;
        let seconds = pairs * self.seconds_per_pair(first, width)?;
        Ok(Estimate {
            samples: (first.samples, columns),
            result_bytes,
            peak_bytes: result_bytes + known + scratch,
            tiled_bytes: 2.0 * bytes(side, side) + known + scratch,
            operations: pairs * (2.0 * width as f64 + 100.0 * layers / 2.0),
            seconds,
        })
    }

    /// Pairs of positions are counted, and what one costs is measured on a few samples, if a few take less than a second.
    fn estimate_of_images(
        &self,
        spatial: &Spatial,
        first: Inputs,
        second: Option<Inputs>,
        tile: usize,
    ) -> Result<Estimate, KernelError> {
        let threads = rayon::current_num_threads();
        let columns = second.map(|second| second.samples);
        let cost = |rows, columns| spatial.cost(self.options.precision, rows, columns, threads);
        let whole = cost(first.samples, columns);
        let is_quick = |n: &usize| cost(*n, None).seconds < FEW_SECONDS;
        let few = (1..=MOST_IMAGES.min(first.samples)).rev().find(is_quick);
        let against_the_table = |few: usize| -> Result<f64, KernelError> {
            let some = Inputs { data: &first.data[..few * self.plan.input.len()], samples: few };
            let start = Instant::now();
            self.gram(some)?;
            Ok(start.elapsed().as_secs_f64() / cost(few, None).seconds)
        };
        let slower = few.map_or(Ok(1.0), against_the_table)?;
        let size = if self.options.precision == Precision::F32 { 4.0 } else { 8.0 };
        let matrices = if self.options.tangent { 2.0 } else { 1.0 };
        let all = columns.unwrap_or(first.samples);
        let side = tile.max(1).next_multiple_of(512);
        let pairs = if columns.is_some() { all as f64 } else { (all as f64 + 1.0) / 2.0 };
        Ok(Estimate {
            samples: (first.samples, all),
            result_bytes: size * matrices * first.samples as f64 * all as f64,
            peak_bytes: whole.bytes,
            tiled_bytes: cost(side.min(first.samples), Some(side.min(all))).bytes,
            operations: 100.0 * whole.entries * pairs * first.samples as f64,
            seconds: slower * whole.seconds,
        })
    }

    fn seconds_per_pair(&self, inputs: Inputs, width: usize) -> Result<f64, KernelError> {
        let [few, more] = WARM_UP.map(|n| n.min(inputs.samples));
        let time = |n: usize| {
            let some = Inputs { data: &inputs.data[..n * width], samples: n };
            let start = Instant::now();
            self.gram(some)?;
            Ok((start.elapsed().as_secs_f64(), n as f64 * (n as f64 + 1.0) / 2.0))
        };
        let alone = time(few)?;
        if more == few {
            return Ok(alone.0 / alone.1.max(1.0));
        }
        let both = time(more)?;
        // A warm-up that was disturbed must not promise negative times.
        let slope = (both.0 - alone.0) / (both.1 - alone.1);
        Ok(slope.max(0.1 * both.0 / both.1))
    }
}

impl Estimate {
    /// Refuses a kernel that needs more than `available` bytes.
    ///
    /// # Errors
    /// [`KernelError::TooLarge`] with what would fit.
    pub fn check(&self, available: f64) -> Result<(), KernelError> {
        if self.peak_bytes <= available {
            return Ok(());
        }
        // Bytes grow with the square of the number of samples.
        let part = (available / self.peak_bytes).sqrt();
        let samples = (part * self.samples.0 as f64).floor() as usize;
        let (needed, tiled) = (self.peak_bytes, self.tiled_bytes);
        Err(KernelError::TooLarge { needed, available, samples, tiled })
    }
}
