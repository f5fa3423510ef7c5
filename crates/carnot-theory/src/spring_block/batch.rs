//! Many chains at once: one lane of a vector register per chain, batches of lanes shared out over threads.

use rayon::prelude::*;

use super::chain::{Chain, ChainError, check_length};
use super::noise::{Noise, Shaker};

/// Chains that are advanced together: two registers of eight numbers, so that the sums of one hide the delay of the other.
pub(super) const LANES: usize = 16;
/// Steps whose forces are drawn at once: 16 steps of 7 blocks are 14 kB, which stays in the nearest cache.
const STEPS_AT_ONCE: usize = 16;

/// One chain of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// What shakes it.
    pub noise: Noise,
    /// Positions at time 0, `[L]`; all 0 when not given.
    pub start: Option<&'a [f64]>,
    /// Key of its noise: two members with the same key and seed are shaken alike.
    pub key: [u64; 2],
}

/// How long and how finely a batch is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Course<'a> {
    /// Step of time η, > 0.
    pub step: f64,
    /// Number of steps, ≥ 1.
    pub steps: usize,
    /// Steps after which positions are kept, rising, each in 1 ..= `steps`.
    pub snapshots: &'a [usize],
}

impl Course<'_> {
    /// Steps before the second half, over which time averages run.
    pub fn half(&self) -> usize {
        self.steps / 2
    }

    pub(super) fn check(&self) -> Result<(), ChainError> {
        let check = super::chain::check;
        check("the step", self.step, self.step > 0.0, "> 0")?;
        check("the number of steps", self.steps as f64, self.steps > 0, "≥ 1")?;
        let mut before = 0;
        for &snapshot in self.snapshots {
            let is_good = snapshot > before && snapshot <= self.steps;
            check("a snapshot", snapshot as f64, is_good, "rising, from 1 to the number of steps")?;
            before = snapshot;
        }
        Ok(())
    }
}

/// What is kept of one chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Positions after the last step, `[L]`.
    pub positions: Vec<f64>,
    /// Mean of the positions over the second half of the steps, `[L]`.
    pub mean: Vec<f64>,
    /// Positions after the steps asked for, `[snapshots][L]`.
    pub snapshots: Vec<Vec<f64>>,
}

/// Parameters of a batch, lane by lane.
pub(super) struct Lanes {
    pub n_blocks: usize,
    pub stiffness: [f64; LANES],
    pub damping: [f64; LANES],
    pub right: Vec<[f64; LANES]>,
    pub left: Vec<[f64; LANES]>,
}

/// A way to advance a batch by one step.
pub(super) trait Scheme: Sync {
    /// Rows of the state beyond the positions.
    fn more_rows(&self, n_blocks: usize) -> usize;
    /// Advances `state` (rows of [`LANES`]: wall, L blocks, end, then what the scheme keeps) by as many steps as there are
    /// `forces` (`[steps, L, LANES]`), and adds the positions of every step to `sums` (`[L, LANES]`, or empty).
    fn advance(&self, lanes: &Lanes, state: &mut [f64], forces: &mut [f64], sums: &mut [f64]);
}

/// Adds the positions of one step to their sums, which may be empty.
#[inline(always)]
pub(super) fn add_positions(sums: &mut [[f64; LANES]], x: &[[f64; LANES]]) {
    for (sum, x) in sums.iter_mut().zip(x) {
        for lane in 0..LANES {
            sum[lane] += x[lane];
        }
    }
}

/// What a batch ends with: the track of each chain, and rows that the scheme keeps beyond positions at the end and at the
/// snapshots.
pub(super) struct Kept {
    pub track: Track,
    pub more: Vec<f64>,
    pub more_at: Vec<Vec<f64>>,
}

/// Runs all members, [`LANES`] of them at a time. All have the same number of blocks.
pub(super) fn run(
    members: &[Member],
    course: &Course,
    seed: u64,
    scheme: &impl Scheme,
) -> Result<Vec<Kept>, ChainError> {
    course.check()?;
    let Some(first) = members.first() else { return Ok(Vec::new()) };
    let n_blocks = first.chain.n_blocks();
    for member in members {
        check_length("a chain of this batch", n_blocks, member.chain.n_blocks())?;
        member.noise.check()?;
        if let Some(start) = member.start {
            check_length("the start", n_blocks, start.len())?;
            start.iter().try_for_each(|&x| super::chain::check("a start", x, true, "finite"))?;
        }
    }
    let batches: Vec<Vec<Kept>> =
        members.par_chunks(LANES).map(|batch| Batch::new(batch, course, seed, scheme).run()).collect();
    let kept: Vec<Kept> = batches.into_iter().flatten().collect();
    for (member, kept) in kept.iter().enumerate() {
        let lost = kept.track.positions.iter().position(|x| !x.is_finite());
        if let Some(block) = lost {
            return Err(ChainError::NotFinite { member, block: block + 1, steps: course.steps });
        }
    }
    Ok(kept)
}

struct Batch<'a, S> {
    lanes: Lanes,
    course: &'a Course<'a>,
    scheme: &'a S,
    shaker: Shaker,
    n_members: usize,
    state: Vec<f64>,
    forces: Vec<f64>,
    sums: Vec<f64>,
}

impl<'a, S: Scheme> Batch<'a, S> {
    fn new(members: &[Member], course: &'a Course, seed: u64, scheme: &'a S) -> Self {
        let n_blocks = members[0].chain.n_blocks();
        // Lanes beyond the members repeat the last one; nobody reads them.
        let chain = |lane: usize| members[lane.min(members.len() - 1)].chain;
        let per_lane = |of: &dyn Fn(&Chain) -> f64| std::array::from_fn(|lane| of(chain(lane)));
        let lanes = Lanes {
            n_blocks,
            stiffness: per_lane(&Chain::stiffness),
            damping: per_lane(&Chain::damping),
            right: (0..n_blocks).map(|block| per_lane(&|chain| chain.friction_right()[block])).collect(),
            left: (0..n_blocks).map(|block| per_lane(&|chain| chain.friction_left()[block])).collect(),
        };
        let mut state = vec![0.0; (n_blocks + 2 + scheme.more_rows(n_blocks)) * LANES];
        for lane in 0..LANES {
            state[(n_blocks + 1) * LANES + lane] = chain(lane).end();
        }
        for (lane, member) in members.iter().enumerate() {
            for (block, &x) in member.start.unwrap_or_default().iter().enumerate() {
                state[(block + 1) * LANES + lane] = x;
            }
        }
        let noises: Vec<_> = members.iter().map(|member| (member.noise, member.key)).collect();
        Self {
            lanes,
            course,
            scheme,
            shaker: Shaker::new(&noises, course.step, seed),
            n_members: members.len(),
            state,
            forces: vec![0.0; STEPS_AT_ONCE * n_blocks * LANES],
            sums: vec![0.0; n_blocks * LANES],
        }
    }

    fn run(mut self) -> Vec<Kept> {
        let (half, steps, mut done) = (self.course.half(), self.course.steps, 0);
        let mut snapshots: Vec<Vec<f64>> = Vec::new();
        while done < steps {
            let next_snapshot = self.course.snapshots.get(snapshots.len()).copied().unwrap_or(steps);
            let next_half = if done < half { half } else { steps };
            let until = next_snapshot.min(next_half).min(done + STEPS_AT_ONCE);
            self.advance(done, until - done);
            done = until;
            if self.course.snapshots.get(snapshots.len()) == Some(&done) {
                snapshots.push(self.state.clone());
            }
        }
        (0..self.n_members).map(|lane| self.kept(lane, &snapshots)).collect()
    }

    fn advance(&mut self, done: usize, steps: usize) {
        let n_blocks = self.lanes.n_blocks;
        let forces = &mut self.forces[..steps * n_blocks * LANES];
        if !self.shaker.is_still() {
            self.shaker.fill(forces, n_blocks, done);
        }
        let sums = if done >= self.course.half() { &mut self.sums[..] } else { &mut [] };
        self.scheme.advance(&self.lanes, &mut self.state, forces, sums);
    }

    fn kept(&self, lane: usize, snapshots: &[Vec<f64>]) -> Kept {
        let n_blocks = self.lanes.n_blocks;
        let column = |rows: &[f64]| rows.iter().skip(lane).step_by(LANES).copied().collect::<Vec<f64>>();
        let positions = |state: &[f64]| column(&state[LANES..(n_blocks + 1) * LANES]);
        let more = |state: &[f64]| column(&state[(n_blocks + 2) * LANES..]);
        let averaged = (self.course.steps - self.course.half()) as f64;
        Kept {
            track: Track {
                positions: positions(&self.state),
                mean: column(&self.sums).into_iter().map(|sum| sum / averaged).collect(),
                snapshots: snapshots.iter().map(|state| positions(state)).collect(),
            },
            more: more(&self.state),
            more_at: snapshots.iter().map(|state| more(state)).collect(),
        }
    }
}
