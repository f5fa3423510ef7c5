//! Blocks without inertia: the authors' first scheme, for many chains at once.

use carnot_math::device::wide::{Loop, widest};

pub use super::batch::{Course, Member, Track};
use super::batch::{LANES, Lanes, Scheme, add_positions, run};
use super::chain::{Chain, ChainError};

/// Simulates overdamped chains by explicit Euler, all blocks from old positions, noise inside the friction.
///
/// $$ x_l \leftarrow x_l + \frac{\eta}{\gamma}\,\varphi(z_l + s\,g_l), \qquad
///    \varphi(z) = \begin{cases} z - \mu_\to & z > \mu_\to \\ z + \mu_\leftarrow & z < -\mu_\leftarrow \\ 0 & \text{else} \end{cases} $$
///
/// * `members`: chains of equally many blocks L, each with its noise, its start `[L]` and the key of its noise; their
///   other parameters may differ
/// * `course`: step η (time), steps, snapshots
/// * `seed`: with it and the member's key, all draws are fixed: same bits on any number of threads, in any company
/// * returns: one track per member, in order; positions are lengths
///
/// Without noise the scheme is of order 1 in η. With noise of fixed s it converges with η to the mean-field flow
/// x' = g(z)/γ, at order 1 in the mean, while the scatter between chains falls as √η. At fixed ε = s√η it does not converge
/// to a rough chain: as η → 0 noise swamps any threshold and what is left is x' = (z − (μ_→ − μ_←)/2)/γ, friction as a
/// constant drift, approached as √η ([`super::mean_field::mean_field`] at a noise of ∞). All four orders are measured in
/// `tests/spring_block/convergence.rs`.
///
/// # Errors
/// [`ChainError::StepTooLong`] unless 2kη/γ ≤ 1 for every chain, the condition for a monotone map; a wrong length, start or
/// noise by name.
///
/// Source: Shi, Pan, Dokmanić, arXiv:2407.19353, code `spring/first_order_iteration.ipynb`. Checked by
/// `tests/spring_block/golden.rs`.
pub fn overdamped(members: &[Member], course: &Course, seed: u64) -> Result<Vec<Track>, ChainError> {
    members.iter().try_for_each(|member| check_step(member.chain, course.step))?;
    let kept = run(members, course, seed, &Overdamped { step: course.step })?;
    Ok(kept.into_iter().map(|kept| kept.track).collect())
}

/// Longest step of a monotone explicit scheme: 2kη/γ ≤ 1.
pub(super) fn check_step(chain: &Chain, step: f64) -> Result<(), ChainError> {
    let longest = chain.damping() / (2.0 * chain.stiffness());
    if step <= longest { Ok(()) } else { Err(ChainError::StepTooLong { step, longest }) }
}

struct Overdamped {
    step: f64,
}

impl Scheme for Overdamped {
    fn more_rows(&self, _: usize) -> usize {
        0
    }

    fn advance(&self, lanes: &Lanes, state: &mut [f64], forces: &mut [f64], sums: &mut [f64]) {
        let rate = lanes.damping.map(|damping| self.step / damping);
        widest(Steps { lanes, rate }, state, forces, sums);
    }
}

struct Steps<'a> {
    lanes: &'a Lanes,
    rate: [f64; LANES],
}

/// Soft threshold φ with an asymmetric dead zone: `force` − μ_→ beyond μ_→, `force` + μ_← below −μ_←, 0 between.
#[inline(always)]
pub(super) fn slip(force: f64, right: f64, left: f64) -> f64 {
    // Comparisons that become vector instructions; at most one of the two parts is not 0.
    let forward = if force > right { force - right } else { 0.0 };
    let backward = if force < -left { force + left } else { 0.0 };
    forward + backward
}

impl Loop<f64> for Steps<'_> {
    // No fused multiply-add, so that every processor gives the same bits.
    #[inline(always)]
    fn run<const FMA: bool>(self, state: &mut [f64], forces: &mut [f64], sums: &mut [f64]) {
        let n_blocks = self.lanes.n_blocks;
        let (x, _) = state.as_chunks_mut::<LANES>();
        let (forces, _) = forces.as_chunks::<LANES>();
        let (sums, _) = sums.as_chunks_mut::<LANES>();
        for forces in forces.chunks_exact(n_blocks) {
            let mut before = x[0];
            for block in 0..n_blocks {
                let (here, after) = (x[block + 1], x[block + 2]);
                let (right, left) = (&self.lanes.right[block], &self.lanes.left[block]);
                for lane in 0..LANES {
                    let pull = self.lanes.stiffness[lane] * (after[lane] - 2.0 * here[lane] + before[lane]);
                    let slipped = slip(pull + forces[block][lane], right[lane], left[lane]);
                    x[block + 1][lane] = here[lane] + self.rate[lane] * slipped;
                }
                before = here;
            }
            add_positions(sums, &x[1..]);
        }
    }
}
