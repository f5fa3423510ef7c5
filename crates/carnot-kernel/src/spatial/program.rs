//! A plan compiled for the spatial route: stages of layers that keep diagonals apart, with pools between them.

use super::axis::{Axis, Contribution, Link, Shares, pooled};
use carnot_net::layers::window::{Padding, Slide};

/// Weights, a bias and their rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weights {
    pub c_w: f64,
    pub c_b: f64,
    pub lambda_w: f64,
    pub lambda_b: f64,
}

/// What a layer does to one diagonal.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Sums over windows, then weights; a local one has weights of its own at every position.
    Window { slides: [Slide; 2], is_local: bool, weights: Weights },
    /// Weights at every position by itself.
    Weigh(Weights),
    /// The activation with this number.
    Activate(usize),
    /// Division by √(variance + ε).
    Norm(f64),
    /// Keeps a copy for the `Mix` that closes the block.
    Save,
    /// β² times this, plus γ² times what was saved last.
    Mix { branch: f64, skip: f64 },
}

/// What happens to the positions at the end of a stage.
#[derive(Clone, Debug)]
pub(crate) enum Pooling {
    /// Mean over equal positions.
    Flatten,
    /// All pairs of positions, each with this share.
    Global(f64),
    /// Windows; along each axis the share of a position in each output position's window.
    Windows { slides: [Slide; 2], shares: [Vec<f64>; 2] },
}

/// A stage as it is read from the plan.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub ops: Vec<Op>,
    /// Name of the layer of each op.
    pub names: Vec<String>,
    /// Positions along both axes, before the first op and after each.
    pub sizes: Vec<[usize; 2]>,
    pub end: Pooling,
}

/// One op on one diagonal along one axis.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Difference of positions behind the op; `None` where nothing behind it is needed.
    pub offset: Option<isize>,
    /// Where a window's sums come from.
    pub link: Option<Link>,
}

/// One diagonal along one axis, through all ops of a stage.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    /// Difference at the start; `None` where a constant comes on the way.
    pub start: Option<isize>,
    /// Difference at the end.
    pub end: isize,
    pub steps: Vec<Step>,
}

/// What is done with a diagonal at the end of a stage.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// Sum over all diagonals and places, times a share.
    Sum(f64),
    /// Spread over the diagonals of the next stage: for each axis and chain.
    Pool([Vec<Shares>; 2]),
}

/// A stage ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub ops: Vec<Op>,
    pub names: Vec<String>,
    /// Axes before the first op and after each.
    pub axes: Vec<[Axis; 2]>,
    pub chains: [Vec<Chain>; 2],
    /// Differences that enter along each axis, and where the places of each begin.
    pub starts: [Vec<(isize, usize)>; 2],
    /// Places of all of them together.
    pub extent: [usize; 2],
    pub end: End,
}

impl Stage {
    /// Number of the chain of equal positions along an axis.
    pub fn equal(&self, axis: usize) -> Option<usize> {
        self.chains[axis].iter().position(|chain| chain.end == 0)
    }

    /// Where the places of a difference begin among those that enter.
    pub fn base(&self, axis: usize, offset: isize) -> usize {
        let found = self.starts[axis].iter().find(|(start, _)| *start == offset);
        found.expect("every chain begins at one of the starts").1
    }

    /// Places of the largest image on any diagonal.
    pub fn largest(&self) -> usize {
        self.axes.iter().map(|axes| axes[0].size * axes[1].size).max().unwrap_or(1)
    }
}

/// A window of one position.
pub(crate) const POINT: Slide =
    Slide { size: 1, window: 1, stride: 1, padding: Padding::Valid, is_transposed: false };

/// Makes the segments ready, from the last to the first; `None` when windows lead from one diagonal to several.
pub(crate) fn stages(segments: Vec<Segment>) -> Option<Vec<Stage>> {
    let mut all: Vec<Stage> = Vec::new();
    for segment in segments.into_iter().rev() {
        let stage = stage(segment, all.last())?;
        all.push(stage);
    }
    all.reverse();
    Some(all)
}

/// One axis of a stage.
struct Along {
    is_ring: bool,
    chains: Vec<Chain>,
    shares: Vec<Shares>,
}

fn stage(segment: Segment, next: Option<&Stage>) -> Option<Stage> {
    let along =
        |axis: usize| [false, true].into_iter().find_map(|is_ring| try_axis(&segment, axis, is_ring, next));
    let (rows, columns) = (along(0)?, along(1)?);
    let axis_of =
        |axis: usize, along: &Along, sizes: &[usize; 2]| Axis { size: sizes[axis], is_ring: along.is_ring };
    let axes: Vec<[Axis; 2]> =
        segment.sizes.iter().map(|s| [axis_of(0, &rows, s), axis_of(1, &columns, s)]).collect();
    let end = match segment.end {
        Pooling::Flatten => End::Sum(1.0 / segment.sizes.last()?.iter().product::<usize>() as f64),
        Pooling::Global(share) => End::Sum(share),
        Pooling::Windows { .. } => End::Pool([rows.shares, columns.shares]),
    };
    let (starts_y, height) = starts(&rows.chains, axes[0][0]);
    let (starts_x, width) = starts(&columns.chains, axes[0][1]);
    Some(Stage {
        ops: segment.ops,
        names: segment.names,
        axes,
        chains: [rows.chains, columns.chains],
        starts: [starts_y, starts_x],
        extent: [height, width],
        end,
    })
}

/// The differences that enter, with the place where each begins, and the number of places.
fn starts(chains: &[Chain], axis: Axis) -> (Vec<(isize, usize)>, usize) {
    let mut offsets: Vec<isize> = chains.iter().filter_map(|chain| chain.start).collect();
    offsets.sort_unstable();
    offsets.dedup();
    let mut base = 0;
    let placed = offsets.into_iter().map(|offset| {
        let here = base;
        base += axis.pairs(offset);
        (offset, here)
    });
    let placed = placed.collect();
    (placed, base)
}

fn try_axis(segment: &Segment, axis: usize, is_ring: bool, next: Option<&Stage>) -> Option<Along> {
    let axes: Vec<Axis> = segment.sizes.iter().map(|sizes| Axis { size: sizes[axis], is_ring }).collect();
    let last = *axes.last()?;
    let mut contributions: Vec<Contribution> = Vec::new();
    let mut wanted = match &segment.end {
        Pooling::Flatten => vec![0],
        Pooling::Global(_) => last.offsets(),
        Pooling::Windows { slides, shares } => {
            let next = next?;
            for &(offset, base) in &next.starts[axis] {
                let share = |p: usize| shares[axis][p];
                contributions.extend(pooled(&slides[axis], last, next.axes[0][axis], offset, base, share));
            }
            contributions.iter().map(|one| one.1).collect()
        }
    };
    wanted.sort_unstable();
    wanted.dedup();
    let chains: Vec<Chain> =
        wanted.iter().map(|&end| chain(&segment.ops, &axes, axis, end)).collect::<Option<_>>()?;
    let shares = wanted.iter().map(|&end| Shares::from_diagonal(&contributions, end)).collect();
    Some(Along { is_ring, chains, shares })
}

/// Follows one diagonal from the end of a stage to its start.
fn chain(ops: &[Op], axes: &[Axis], axis: usize, end: isize) -> Option<Chain> {
    let mut offset = Some(end);
    let mut mixes = Vec::new();
    let mut steps = Vec::new();
    for (at, op) in ops.iter().enumerate().rev() {
        let mut step = Step { offset, link: None };
        match op {
            Op::Window { slides, is_local, .. } => {
                if let Some(difference) = offset {
                    let link = if *is_local && difference != 0 {
                        Link::Nothing
                    } else {
                        Link::through(&slides[axis], axes[at], axes[at + 1], difference)?
                    };
                    offset = match link {
                        Link::Nothing => None,
                        Link::Diagonal { offset, .. } => Some(offset),
                    };
                    step.link = Some(link);
                }
            }
            Op::Mix { .. } => mixes.push(offset),
            Op::Save => {
                let behind = mixes.pop().expect("every block that saves mixes");
                if offset.is_some() && offset != behind {
                    return None;
                }
                offset = behind;
            }
            Op::Weigh(_) | Op::Activate(_) | Op::Norm(_) => {}
        }
        steps.push(step);
    }
    steps.reverse();
    Some(Chain { start: offset, end, steps })
}
