//! Blocks with inertia that stick when friction can hold them.

use carnot_math::device::wide::{Loop, widest};

use super::batch::{Course, LANES, Lanes, Member, Scheme, Track, add_positions, run};
use super::chain::{ChainError, check};
use super::overdamped::slip;

/// What is kept of one chain with inertia.
#[derive(Clone, Debug, PartialEq)]
pub struct InertialTrack {
    /// Positions.
    pub track: Track,
    /// Velocities after the last step, `[L]` (length per time).
    pub velocities: Vec<f64>,
    /// Velocities after the steps asked for, `[snapshots][L]`.
    pub velocities_at: Vec<Vec<f64>>,
}

/// Simulates chains of blocks with mass by semi-implicit Euler with sticking, from rest.
///
/// $$ m x_l'' = z_l - \gamma x_l' + f_l + \varepsilon e^{-\lambda t} \xi_l(t) $$
///
/// with friction f = −μ_→ in motion to the right, +μ_← to the left, and whatever cancels the other forces at rest while it
/// can. In one step η friction can take at most the momentum ημ from a block and never turns it round:
///
/// $$ v_l \leftarrow \varphi_{\eta\mu/m}\big(v_l + \tfrac{\eta}{m}(z_l - \gamma v_l + s e^{-\lambda t} g_l)\big), \qquad
///    x_l \leftarrow x_l + \eta v_l, \qquad s = \varepsilon/\sqrt\eta $$
///
/// with φ the soft threshold of [`super::overdamped::overdamped`]. So blocks stick, which those of the authors' Itô solver,
/// where friction is 0 at x' = 0, never do.
///
/// * `members`, `course`, `seed`: as there; `mass`: m > 0 of every block
/// * returns: one track per member, in order
///
/// # Errors
/// [`ChainError::StepTooLong`] unless kη²/m + γη/(2m) ≤ 1 for every chain (the stable range of the scheme without friction);
/// a wrong parameter by name.
///
/// Source: Shi, Pan, Dokmanić, arXiv:2407.19353, code `spring/sdeint.ipynb`; the time stepping of Moreau 1988 for Coulomb
/// friction. Checked by `tests/spring_block/golden.rs`.
pub fn inertial(
    members: &[Member],
    mass: f64,
    course: &Course,
    seed: u64,
) -> Result<Vec<InertialTrack>, ChainError> {
    check("the mass", mass, mass > 0.0, "> 0")?;
    for member in members {
        let (k, gamma) = (member.chain.stiffness(), member.chain.damping());
        // The positive root of kη² + γη/2 = m, without cancellation.
        let longest = 2.0 * mass / (0.5 * gamma + (0.25 * gamma * gamma + 4.0 * k * mass).sqrt());
        if course.step > longest {
            return Err(ChainError::StepTooLong { step: course.step, longest });
        }
    }
    let kept = run(members, course, seed, &Inertial { step: course.step, mass })?;
    let track = |kept: super::batch::Kept| InertialTrack {
        track: kept.track,
        velocities: kept.more,
        velocities_at: kept.more_at,
    };
    Ok(kept.into_iter().map(track).collect())
}

struct Inertial {
    step: f64,
    mass: f64,
}

impl Scheme for Inertial {
    fn more_rows(&self, n_blocks: usize) -> usize {
        n_blocks
    }

    fn advance(&self, lanes: &Lanes, state: &mut [f64], forces: &mut [f64], sums: &mut [f64]) {
        widest(Steps { lanes, step: self.step, rate: self.step / self.mass }, state, forces, sums);
    }
}

struct Steps<'a> {
    lanes: &'a Lanes,
    step: f64,
    rate: f64,
}

impl Loop<f64> for Steps<'_> {
    // No fused multiply-add, so that every processor gives the same bits.
    #[inline(always)]
    fn run<const FMA: bool>(self, state: &mut [f64], forces: &mut [f64], sums: &mut [f64]) {
        let n_blocks = self.lanes.n_blocks;
        let (rows, _) = state.as_chunks_mut::<LANES>();
        let (x, v) = rows.split_at_mut(n_blocks + 2);
        let (forces, _) = forces.as_chunks::<LANES>();
        let (sums, _) = sums.as_chunks_mut::<LANES>();
        for forces in forces.chunks_exact(n_blocks) {
            let mut before = x[0];
            for block in 0..n_blocks {
                let (here, after) = (x[block + 1], x[block + 2]);
                let (right, left) = (&self.lanes.right[block], &self.lanes.left[block]);
                for lane in 0..LANES {
                    let pull = self.lanes.stiffness[lane] * (after[lane] - 2.0 * here[lane] + before[lane]);
                    let force = pull - self.lanes.damping[lane] * v[block][lane] + forces[block][lane];
                    let free = v[block][lane] + self.rate * force;
                    let next = slip(free, self.rate * right[lane], self.rate * left[lane]);
                    v[block][lane] = next;
                    x[block + 1][lane] = here[lane] + self.step * next;
                }
                before = here;
            }
            add_positions(sums, &x[1..]);
        }
    }
}
