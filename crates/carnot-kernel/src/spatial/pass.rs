//! All diagonals of a group of sample pairs through a stage, and what the pool behind it makes of them.

use super::axis::Shares;
use super::diagonal::{Images, Known, Runner, Source, Work};
use super::program::{Chain, End, Stage};
use super::unary::{Facts, View};
use crate::dual::number::Number;
use crate::error::KernelError;
use carnot_math::device::cpu::axpy;
use carnot_math::device::cpu::places::{LANES, add_windows, sum_places};
use rayon::prelude::*;
use std::sync::Mutex;

/// One number per lane, in double precision.
pub(crate) type Sums = [f64; LANES];

/// Memory that tasks lend each other.
#[derive(Debug)]
pub(crate) struct Pool<S> {
    free: Mutex<Vec<Work<S>>>,
    places: usize,
    tangent: bool,
}

impl<S: Number> Pool<S> {
    pub fn new(places: usize, tangent: bool) -> Pool<S> {
        Pool { free: Mutex::new(Vec::new()), places, tangent }
    }

    fn with<T>(&self, task: impl FnOnce(&mut Work<S>) -> T) -> T {
        let lend = || self.free.lock().ok()?.pop();
        let mut work = lend().unwrap_or_else(|| Work::new(self.places, self.tangent));
        let result = task(&mut work);
        if let Ok(mut free) = self.free.lock() {
            free.push(work);
        }
        result
    }
}

/// Variances on both sides of a group, by the number of the op.
#[derive(Clone, Copy)]
pub(crate) struct Sides<'a, S> {
    pub rows: &'a [View<'a, S>],
    pub columns: &'a [View<'a, S>],
}

/// K and Θ behind a stage.
pub(crate) enum Behind<S> {
    /// One position left.
    Sums(Box<[Sums; 2]>),
    /// The diagonals of the next stage.
    Images(Images<S>),
}

impl<S: Number> Behind<S> {
    /// As what enters the next stage.
    pub fn images(self, tangent: bool) -> Images<S> {
        match self {
            Behind::Images(images) => images,
            Behind::Sums(sums) => {
                let of = |lanes: &Sums| lanes.iter().map(|x| S::from_f64(*x)).collect::<Vec<S>>();
                Images { kernel: of(&sums[0]), tangent: if tangent { of(&sums[1]) } else { Vec::new() } }
            }
        }
    }
}

impl Runner<'_> {
    /// The diagonal of equal positions of samples with themselves; finds what is known of the variances.
    pub fn find<S: Number>(&self, source: &Source<S>, pool: &Pool<S>) -> Result<Vec<Facts<S>>, KernelError> {
        let mut facts = vec![Facts::Nothing; self.stage.ops.len()];
        let (Some(y), Some(x)) = (self.stage.equal(0), self.stage.equal(1)) else {
            return Ok(facts);
        };
        let (rows, columns) = (&self.stage.chains[0][y], &self.stage.chains[1][x]);
        let known = Known::Found { facts: &mut facts };
        pool.with(|work| self.run(rows, columns, source, known, work))?;
        Ok(facts)
    }

    /// Every diagonal.
    ///
    /// * `is_mirrored`: both sides are the same samples, so that opposite diagonals hold the same numbers
    /// * `after`: the stage behind, where positions are left
    pub fn pass<S: Number>(
        &self,
        source: &Source<S>,
        sides: Sides<S>,
        after: Option<&Stage>,
        pool: &Pool<S>,
        is_mirrored: bool,
    ) -> Result<Behind<S>, KernelError> {
        match (&self.stage.end, after) {
            (End::Pool(shares), Some(after)) => {
                pool.with(|work| self.spread(source, sides, shares, after, pool.tangent, work))
            }
            (End::Sum(share), _) => self.sum(source, sides, *share, pool, is_mirrored),
            (End::Pool(_), None) => unreachable!("a pool opens a stage behind it"),
        }
    }

    fn sum<S: Number>(
        &self,
        source: &Source<S>,
        sides: Sides<S>,
        share: f64,
        pool: &Pool<S>,
        is_mirrored: bool,
    ) -> Result<Behind<S>, KernelError> {
        let [rows, columns] = &self.stage.chains;
        let is_mirrored = is_mirrored && self.stage.axes.iter().flatten().all(|axis| !axis.is_ring);
        let of_row = |y: &Chain| {
            let known = || Known::Given { rows: sides.rows, columns: sides.columns };
            pool.with(|work| {
                let mut sums = ([0.0; LANES], [0.0; LANES]);
                for x in columns {
                    let times = if is_mirrored { mirrored((y.end, x.end)) } else { 1.0 };
                    if times > 0.0 {
                        let size = self.run(y, x, source, known(), work)?;
                        let n = size[0] * size[1] * LANES;
                        add(&mut sums.0, times, &sum_places(&work.image.kernel[..n]));
                        if pool.tangent {
                            add(&mut sums.1, times, &sum_places(&work.image.tangent[..n]));
                        }
                    }
                }
                Ok(sums)
            })
        };
        // The sums of each row of diagonals are added in their order, whoever made them.
        let each: Vec<(Sums, Sums)> = if rows.len() == 1 {
            vec![of_row(&rows[0])?]
        } else {
            rows.par_iter().map(of_row).collect::<Result<_, KernelError>>()?
        };
        let mut total = ([0.0; LANES], [0.0; LANES]);
        for (kernel, tangent) in &each {
            add(&mut total.0, share, kernel);
            add(&mut total.1, share, tangent);
        }
        Ok(Behind::Sums(Box::new([total.0, total.1])))
    }

    fn spread<S: Number>(
        &self,
        source: &Source<S>,
        sides: Sides<S>,
        shares: &[Vec<Shares>; 2],
        after: &Stage,
        tangent: bool,
        work: &mut Work<S>,
    ) -> Result<Behind<S>, KernelError> {
        let mut out = Images::zeros(after.extent[0] * after.extent[1], tangent);
        let mut lines = Vec::new();
        let [rows, columns] = &self.stage.chains;
        for (y, down) in rows.iter().zip(&shares[0]) {
            for (x, along) in columns.iter().zip(&shares[1]) {
                let known = Known::Given { rows: sides.rows, columns: sides.columns };
                let size = self.run(y, x, source, known, work)?;
                let width = after.extent[1];
                spread(&work.image.kernel, size, (down, along), &mut out.kernel, width, &mut lines);
                if tangent {
                    spread(&work.image.tangent, size, (down, along), &mut out.tangent, width, &mut lines);
                }
            }
        }
        Ok(Behind::Images(out))
    }
}

/// How often a diagonal counts where opposite ones are equal: one of them twice, the other not at all.
fn mirrored(offsets: (isize, isize)) -> f64 {
    match offsets.cmp(&(0, 0)) {
        std::cmp::Ordering::Less => 0.0,
        std::cmp::Ordering::Equal => 1.0,
        std::cmp::Ordering::Greater => 2.0,
    }
}

fn add<S: Number>(total: &mut Sums, times: f64, sum: &[S; LANES]) {
    for (total, sum) in total.iter_mut().zip(sum) {
        *total += times * sum.to_f64();
    }
}

/// Adds an image to the diagonals behind a pool, along the columns and then down the rows.
fn spread<S: Number>(
    image: &[S],
    size: [usize; 2],
    (down, along): (&Shares, &Shares),
    out: &mut [S],
    width: usize,
    lines: &mut Vec<S>,
) {
    let (entering, leaving) = (size[1] * LANES, along.targets.len() * LANES);
    let shares: Vec<S> = along.shares.iter().map(|share| S::from_f64(*share)).collect();
    lines.clear();
    lines.resize((size[0] + 1) * leaving, S::default());
    let (sum, lines) = lines.split_at_mut(leaving);
    for (line, row) in lines.chunks_exact_mut(leaving).zip(image.chunks_exact(entering)) {
        add_windows(line, row, &along.taps, &shares);
    }
    for (at, &target) in down.targets.iter().enumerate() {
        sum.fill(S::default());
        for tap in down.taps.starts[at] as usize..down.taps.starts[at + 1] as usize {
            let from = down.taps.from[tap] as usize * leaving;
            axpy(sum, S::from_f64(down.shares[tap]), &lines[from..from + leaving]);
        }
        let row = &mut out[target as usize * width * LANES..];
        for (x, from) in along.targets.iter().zip(sum.chunks_exact(LANES)) {
            let to = *x as usize * LANES;
            row[to..to + LANES].iter_mut().zip(from).for_each(|(to, from)| *to += *from);
        }
    }
}
