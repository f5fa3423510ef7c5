//! One diagonal of position pairs on its way through a stage, for several pairs of samples side by side.

use super::axis::Link;
use super::program::{Chain, Op, Stage, Weights};
use super::unary::{Facts, Unary, View};
use crate::dual::number::Number;
use crate::error::KernelError;
use carnot_math::device::cpu::places::{
    Affine, LANES, Taps, blend, dot_channels, multiply_sides, sum_rows, weigh_places, weigh_windows,
};

/// Images of K and, where wanted, Θ: `[rows, columns, LANES]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Images<S> {
    pub kernel: Vec<S>,
    /// Empty where Θ is not wanted.
    pub tangent: Vec<S>,
}

impl<S: Number> Images<S> {
    pub fn zeros(places: usize, tangent: bool) -> Images<S> {
        let zeros = |wanted: bool| vec![S::default(); if wanted { places * LANES } else { 0 }];
        Images { kernel: zeros(true), tangent: zeros(tangent) }
    }

    fn both(&mut self, places: usize) -> (&mut [S], &mut [S]) {
        let n = places * LANES;
        let tangent = if self.tangent.is_empty() { 0 } else { n };
        (&mut self.kernel[..n], &mut self.tangent[..tangent])
    }
}

/// Memory for one diagonal, used again and again.
#[derive(Debug)]
pub(crate) struct Work<S> {
    /// The diagonal as it is now.
    pub image: Images<S>,
    next: Images<S>,
    line: Images<S>,
    saved: Vec<Images<S>>,
    depth: usize,
}

impl<S: Number> Work<S> {
    pub fn new(places: usize, tangent: bool) -> Work<S> {
        let images = || Images::zeros(places, tangent);
        Work { image: images(), next: images(), line: images(), saved: Vec::new(), depth: 0 }
    }
}

/// What enters a stage.
pub(crate) enum Source<'a, S> {
    /// Samples of both sides, `[positions, channels, LANES]`.
    Data { rows: &'a [S], columns: &'a [S], channels: usize },
    /// What the stage before left.
    Images(&'a Images<S>),
}

/// What is known of the variances on both sides, by the number of the op that asks.
pub(crate) enum Known<'a, S> {
    /// Known already.
    Given { rows: &'a [View<'a, S>], columns: &'a [View<'a, S>] },
    /// Both sides are the same samples, and this is the diagonal of equal positions: K itself is the variance.
    Found { facts: &'a mut [Facts<S>] },
}

/// A stage with its activations.
#[derive(Clone, Copy)]
pub(crate) struct Runner<'a> {
    pub stage: &'a Stage,
    pub unaries: &'a [Unary],
}

impl Runner<'_> {
    /// Carries one diagonal through the stage; returns the number of rows and columns of the image it leaves in `work`.
    pub fn run<S: Number>(
        &self,
        rows: &Chain,
        columns: &Chain,
        source: &Source<S>,
        mut known: Known<S>,
        work: &mut Work<S>,
    ) -> Result<[usize; 2], KernelError> {
        work.depth = 0;
        let mut size = [1, 1];
        if let (Some(down), Some(right)) = (rows.start, columns.start) {
            size = self.load([down, right], source, work);
        }
        for (at, op) in self.stage.ops.iter().enumerate() {
            let (Some(down), Some(right)) = (rows.steps[at].offset, columns.steps[at].offset) else {
                continue;
            };
            let offsets = [down, right];
            match op {
                Op::Window { slides, is_local, weights } => {
                    let links = (&rows.steps[at].link, &columns.steps[at].link);
                    let after = self.size(at + 1, offsets);
                    let taps = slides[0].window * slides[1].window;
                    match links {
                        (
                            Some(Link::Diagonal { offset: up, taps: y }),
                            Some(Link::Diagonal { offset: left, taps: x }),
                        ) => {
                            let before = self.size(at, [*up, *left]);
                            window(work, before, after, (y, x), affine(weights, taps));
                        }
                        _ if *is_local => fill(work, after, S::default(), S::default()),
                        _ => {
                            let (shift, rate_shift) =
                                (S::from_f64(weights.c_b), S::from_f64(weights.lambda_b));
                            fill(work, after, shift, rate_shift);
                        }
                    }
                    size = after;
                }
                Op::Weigh(weights) => {
                    let (kernel, tangent) = work.image.both(size[0] * size[1]);
                    weigh_places(kernel, tangent, affine(weights, 1));
                }
                Op::Activate(number) => {
                    let unary = &self.unaries[*number];
                    self.activate(at, unary, offsets, size, &mut known, work)?;
                }
                Op::Norm(epsilon) => self.norm(at, *epsilon, offsets, size, &mut known, work)?,
                Op::Save => {
                    size = self.size(at + 1, offsets);
                    save(work, size);
                }
                Op::Mix { branch, skip } => {
                    work.depth -= 1;
                    let (own, other) = (S::from_f64(*branch), S::from_f64(*skip));
                    let n = size[0] * size[1] * LANES;
                    let saved = &work.saved[work.depth];
                    blend(&mut work.image.kernel[..n], own, &saved.kernel[..n], other);
                    if !work.image.tangent.is_empty() {
                        blend(&mut work.image.tangent[..n], own, &saved.tangent[..n], other);
                    }
                }
            }
        }
        Ok(size)
    }

    fn size(&self, level: usize, offsets: [isize; 2]) -> [usize; 2] {
        let axes = self.stage.axes[level];
        [axes[0].pairs(offsets[0]), axes[1].pairs(offsets[1])]
    }

    /// Stretches on which both positions go up together: (first place, number of places, position of row and of column).
    fn stretches(
        &self,
        level: usize,
        offsets: [isize; 2],
        mut each: impl FnMut(usize, usize, usize, usize) -> Result<(), KernelError>,
    ) -> Result<(), KernelError> {
        let [rows, columns] = self.stage.axes[level];
        let (height, width) = (rows.pairs(offsets[0]), columns.pairs(offsets[1]));
        if offsets == [0, 0] {
            return each(0, height * width, 0, 0);
        }
        let pieces = columns.stretches(offsets[1]);
        for i in 0..height {
            let (p, q) = rows.pair(offsets[0], i);
            for &(first, len) in &pieces {
                let (x, y) = columns.pair(offsets[1], first);
                each(i * width + first, len, p * columns.size + x, q * columns.size + y)?;
            }
        }
        Ok(())
    }

    fn load<S: Number>(&self, offsets: [isize; 2], source: &Source<S>, work: &mut Work<S>) -> [usize; 2] {
        let size = self.size(0, offsets);
        match source {
            Source::Data { rows, columns, channels } => {
                let factor = S::from_f64(1.0 / *channels as f64);
                let image = &mut work.image;
                let done = self.stretches(0, offsets, |first, len, p, q| {
                    let side = |at: usize| at * channels * LANES..(at + len) * channels * LANES;
                    let to = &mut image.kernel[first * LANES..(first + len) * LANES];
                    dot_channels(to, &rows[side(p)], &columns[side(q)], *channels, factor);
                    Ok(())
                });
                done.expect("nothing here fails");
                let n = size[0] * size[1] * LANES;
                let tangent = work.image.tangent.len().min(n);
                work.image.tangent[..tangent].fill(S::default());
            }
            Source::Images(images) => {
                let bases = [self.stage.base(0, offsets[0]), self.stage.base(1, offsets[1])];
                let (width, all) = (size[1] * LANES, self.stage.extent[1] * LANES);
                let from = |row: usize| (bases[0] + row) * all + bases[1] * LANES;
                for row in 0..size[0] {
                    let (to, from) = (row * width, from(row));
                    work.image.kernel[to..to + width].copy_from_slice(&images.kernel[from..from + width]);
                    if !work.image.tangent.is_empty() {
                        let tangent = &images.tangent[from..from + width];
                        work.image.tangent[to..to + width].copy_from_slice(tangent);
                    }
                }
            }
        }
        size
    }

    fn activate<S: Number>(
        &self,
        at: usize,
        unary: &Unary,
        offsets: [isize; 2],
        size: [usize; 2],
        known: &mut Known<S>,
        work: &mut Work<S>,
    ) -> Result<(), KernelError> {
        let places = size[0] * size[1];
        let lost = |why| KernelError::NotKnown { layer: self.stage.names[at].clone(), why };
        if let Known::Found { facts } = known {
            let variance = &work.image.kernel[..places * LANES];
            self.check_finite(at, variance)?;
            facts[at] = unary.facts(variance).map_err(lost)?;
            let (kernel, tangent) = work.image.both(places);
            return unary.equal(&facts[at], kernel, tangent).map_err(lost);
        }
        let (rows, columns) = known.sides(at);
        let (kernel, tangent) = work.image.both(places);
        self.stretches(at + 1, offsets, |first, len, p, q| {
            let range = first * LANES..(first + len) * LANES;
            let tangent = if tangent.is_empty() { &mut [][..] } else { &mut tangent[range.clone()] };
            unary.pairs((&rows, p * LANES), (&columns, q * LANES), &mut kernel[range], tangent).map_err(lost)
        })
    }

    /// K / √((v_a + ε)(v_b + ε)), and the same for Θ.
    fn norm<S: Number>(
        &self,
        at: usize,
        epsilon: f64,
        offsets: [isize; 2],
        size: [usize; 2],
        known: &mut Known<S>,
        work: &mut Work<S>,
    ) -> Result<(), KernelError> {
        let places = size[0] * size[1];
        if let Known::Found { facts } = known {
            let variance = &work.image.kernel[..places * LANES];
            self.check_finite(at, variance)?;
            facts[at] = scales(variance, epsilon);
        }
        let (rows, columns) = known.sides(at);
        let (kernel, tangent) = work.image.both(places);
        self.stretches(at + 1, offsets, |first, len, p, q| {
            let range = first * LANES..(first + len) * LANES;
            let side = |from: usize| from * LANES..(from + len) * LANES;
            let (a, b) = (&rows.field(0)[side(p)], &columns.field(0)[side(q)]);
            multiply_sides(&mut kernel[range.clone()], a, b);
            if !tangent.is_empty() {
                multiply_sides(&mut tangent[range], a, b);
            }
            Ok(())
        })
    }

    fn check_finite<S: Number>(&self, at: usize, variance: &[S]) -> Result<(), KernelError> {
        if variance.iter().all(|v| v.is_finite()) {
            return Ok(());
        }
        // The layer with weights before is the one that grew.
        let is_weights = |op: &Op| matches!(op, Op::Window { .. } | Op::Weigh(_) | Op::Mix { .. });
        let grown = self.stage.ops[..at].iter().rposition(is_weights).unwrap_or(at);
        Err(KernelError::Overflow { layer: self.stage.names[grown].clone() })
    }
}

/// 1/√(v + ε) for each variance.
fn scales<S: Number>(variance: &[S], epsilon: f64) -> Facts<S> {
    let scale = |v: &S| S::from_f64(1.0 / (v.to_f64().max(0.0) + epsilon).sqrt());
    Facts::Fields(vec![variance.iter().map(scale).collect()])
}

impl<S: Number> Known<'_, S> {
    fn sides(&self, at: usize) -> (View<'_, S>, View<'_, S>) {
        match self {
            Known::Given { rows, columns } => (rows[at], columns[at]),
            Known::Found { facts } => (View::of(&facts[at]), View::of(&facts[at])),
        }
    }
}

fn affine<S: Number>(weights: &Weights, taps: usize) -> Affine<S> {
    let share = 1.0 / taps as f64;
    Affine {
        shift: S::from_f64(weights.c_b),
        factor: S::from_f64(weights.c_w * share),
        rate_shift: S::from_f64(weights.lambda_b),
        rate: S::from_f64(weights.lambda_w * share),
    }
}

fn fill<S: Number>(work: &mut Work<S>, size: [usize; 2], kernel: S, tangent: S) {
    let (k, t) = work.image.both(size[0] * size[1]);
    k.fill(kernel);
    t.fill(tangent);
}

fn save<S: Number>(work: &mut Work<S>, size: [usize; 2]) {
    let n = size[0] * size[1] * LANES;
    if work.saved.len() == work.depth {
        let places = work.image.kernel.len() / LANES;
        work.saved.push(Images::zeros(places, !work.image.tangent.is_empty()));
    }
    let saved = &mut work.saved[work.depth];
    saved.kernel[..n].copy_from_slice(&work.image.kernel[..n]);
    if !saved.tangent.is_empty() {
        saved.tangent[..n].copy_from_slice(&work.image.tangent[..n]);
    }
    work.depth += 1;
}

/// Sums down the columns of the window into a line, then along it, then the weights.
fn window<S: Number>(
    work: &mut Work<S>,
    before: [usize; 2],
    after: [usize; 2],
    (down, along): (&Taps, &Taps),
    affine: Affine<S>,
) {
    let Work { image, next, line, .. } = work;
    let (entering, leaving) = (before[1] * LANES, after[1] * LANES);
    let has_tangent = !image.tangent.is_empty();
    let (kernel, tangent) = image.both(before[0] * before[1]);
    for row in 0..after[0] {
        let to = row * leaving..(row + 1) * leaving;
        let sums = &mut line.kernel[..entering];
        sum_rows(sums, kernel, down.of(row));
        if has_tangent {
            let tangent_sums = &mut line.tangent[..entering];
            sum_rows(tangent_sums, tangent, down.of(row));
            let (k, t) = (&mut next.kernel[to.clone()], &mut next.tangent[to]);
            weigh_windows(k, t, sums, tangent_sums, along, affine);
        } else {
            weigh_windows(&mut next.kernel[to], &mut [], sums, &[], along, affine);
        }
    }
    std::mem::swap(image, next);
}
