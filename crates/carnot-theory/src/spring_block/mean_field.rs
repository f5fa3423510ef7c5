//! The expected curve of a shaken chain without drawing a number.

use std::sync::LazyLock;

use super::chain::{Chain, ChainError, check, check_length};
use super::overdamped::slip;
use super::response::{balance, excess, tail};

/// Expected positions of a shaken chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// Positions at the end, `[L]` (length).
    pub positions: Vec<f64>,
    /// Their mean over the second half of the time, `[L]` (length).
    pub mean: Vec<f64>,
}

/// Longest step in units of γ/k: the flow's fastest rate is 4k/γ, and the scheme is stable up to 0.69.
const LONGEST_STEP: f64 = 0.5;
/// Fewest steps of half the time, so that a short time, all start, is resolved too.
const FEWEST_STEPS: f64 = 128.0;

/// Mean-field flow of an overdamped chain: every block answers the mean pull by its mean response.
///
/// $$ \gamma\, x_l' = g(z_l), \qquad z_l = k\,(x_{l+1} - 2x_l + x_{l-1}) $$
///
/// * `start`: positions at time 0, `[L]`, all 0 when not given; `noise`: s ≥ 0 of one step (force), ∞ for the limit of a
///   refined step at fixed ε; `time`: of the simulation, ≥ 0 (steps × η)
/// * returns: positions at the end and their mean over the second half
///
/// By Runge–Kutta of order 4 in steps of at most γ/2k: errors below 1e-5 y against steps a sixteenth as long, at s = 0 too,
/// where the response has kinks. What it leaves out is the scatter of the neighbours, which adds of the order of kη/γ to s²:
/// against 512 simulated chains (7 blocks, η = 0.01 γ/k, time 120 γ/k, frictions 0.005 and 0.06, noises 0.002 to 0.15) the
/// largest difference of a mean position is (6.2 ± 0.6)e-4 y, at a friction of 0.06 and a noise of 0.03. It is of order 1 in η
/// (`tests/spring_block/mean_field.rs`, `convergence.rs`).
///
/// # Errors
/// [`ChainError::OutOfRange`] for a negative noise or time, [`ChainError::Length`] for a start of another length.
///
/// Source: Carnot's sheet on the chain, 3.2.
pub fn mean_field(
    chain: &Chain,
    start: Option<&[f64]>,
    noise: f64,
    time: f64,
) -> Result<Expected, ChainError> {
    let is_good = noise >= 0.0;
    check("the noise", if noise.is_infinite() { 0.0 } else { noise }, is_good, "≥ 0")?;
    check("the time", time, time >= 0.0, "≥ 0")?;
    let start = start.map_or_else(|| vec![0.0; chain.n_blocks()], <[f64]>::to_vec);
    check_length("the start", chain.n_blocks(), start.len())?;
    start.iter().try_for_each(|&x| check("a start", x, true, "finite"))?;
    Ok(flow(chain, start, noise, time, 1.0))
}

/// With steps `finer` times as many as needed.
fn flow(chain: &Chain, start: Vec<f64>, noise: f64, time: f64, finer: f64) -> Expected {
    let needed = 0.5 * time * chain.stiffness() / (LONGEST_STEP * chain.damping());
    let half_steps = (finer * needed.max(FEWEST_STEPS)).ceil() as usize;
    let step = 0.5 * time / half_steps as f64;
    let mut flow = Flow::new(chain, noise, start);
    (0..half_steps).for_each(|_| flow.step(step));
    let mut mean = vec![0.0; chain.n_blocks()];
    let first_velocity = flow.velocity.clone();
    for _ in 0..half_steps {
        let before = flow.positions.clone();
        flow.step(step);
        for (mean, (a, b)) in mean.iter_mut().zip(before.iter().zip(&flow.positions)) {
            *mean += 0.5 * (a + b) / half_steps as f64;
        }
    }
    // The trapezoid's leading error, known from the velocities at both ends.
    for (mean, (a, b)) in mean.iter_mut().zip(first_velocity.iter().zip(&flow.velocity)) {
        *mean += step / 12.0 * (a - b) / half_steps as f64;
    }
    Expected { positions: flow.positions, mean }
}

struct Flow<'a> {
    chain: &'a Chain,
    noise: f64,
    positions: Vec<f64>,
    velocity: Vec<f64>,
    trial: Vec<f64>,
    slopes: [Vec<f64>; 3],
}

impl<'a> Flow<'a> {
    fn new(chain: &'a Chain, noise: f64, positions: Vec<f64>) -> Self {
        let zeros = || vec![0.0; positions.len()];
        let (velocity, trial, slopes) = (zeros(), zeros(), [zeros(), zeros(), zeros()]);
        let mut flow = Self { chain, noise, positions, velocity, trial, slopes };
        velocities(chain, noise, &flow.positions, &mut flow.velocity);
        flow
    }

    /// One step of the classical scheme of order 4; leaves the velocity at the new positions.
    fn step(&mut self, step: f64) {
        let [k2, k3, k4] = &mut self.slopes;
        let towards = |trial: &mut [f64], from: &[f64], slope: &[f64], by: f64| {
            for ((trial, from), slope) in trial.iter_mut().zip(from).zip(slope) {
                *trial = from + by * slope;
            }
        };
        towards(&mut self.trial, &self.positions, &self.velocity, 0.5 * step);
        velocities(self.chain, self.noise, &self.trial, k2);
        towards(&mut self.trial, &self.positions, k2, 0.5 * step);
        velocities(self.chain, self.noise, &self.trial, k3);
        towards(&mut self.trial, &self.positions, k3, step);
        velocities(self.chain, self.noise, &self.trial, k4);
        for block in 0..self.positions.len() {
            let slope = self.velocity[block] + 2.0 * (k2[block] + k3[block]) + k4[block];
            self.positions[block] += step / 6.0 * slope;
        }
        velocities(self.chain, self.noise, &self.positions, &mut self.velocity);
    }
}

fn velocities(chain: &Chain, noise: f64, positions: &[f64], out: &mut [f64]) {
    for (block, out) in out.iter_mut().enumerate() {
        let (right, left) = (chain.friction_right()[block], chain.friction_left()[block]);
        *out = quick_slip(chain.pull(positions, block), noise, right, left) / chain.damping();
    }
}

/// [`super::response::mean_slip`] from a table of h, to 2e-10 s.
fn quick_slip(force: f64, noise: f64, right: f64, left: f64) -> f64 {
    if noise == 0.0 {
        slip(force, right, left)
    } else if noise.is_infinite() {
        force - balance(right, left)
    } else {
        noise * (tabled((right - force) / noise) - tabled((left + force) / noise))
    }
}

/// The table ends where h is 0 or −u to 1e-15.
const TABLE_END: f64 = 8.0;
/// Cubics between nodes a 64th apart are right to δ⁴ max|h''''|/384 = 6e-11.
const NODES_PER_UNIT: f64 = 64.0;

/// h and its slope −tail at −8, −8 + 1/64 … 8.
static TABLE: LazyLock<Vec<[f64; 2]>> = LazyLock::new(|| {
    let node = |at: usize| at as f64 / NODES_PER_UNIT - TABLE_END;
    (0..=(2.0 * TABLE_END * NODES_PER_UNIT) as usize)
        .map(|at| [excess(node(at)), -tail(node(at)) / NODES_PER_UNIT])
        .collect()
});

fn tabled(u: f64) -> f64 {
    if u.abs() >= TABLE_END {
        return (-u).max(0.0);
    }
    let place = (u + TABLE_END) * NODES_PER_UNIT;
    let at = place as usize;
    let t = place - at as f64;
    let ([a, slope_a], [b, slope_b]) = (TABLE[at], TABLE[at + 1]);
    let (rise, back) = (b - a, 1.0 - t);
    // Hermite's cubic as a straight line and what bends it.
    a + t * rise + t * back * ((slope_a - rise) * back - (slope_b - rise) * t)
}

#[cfg(test)]
mod tests {
    use super::super::response::mean_slip;
    use super::*;

    #[test]
    fn the_table_is_the_mean_excess() {
        for at in 0..=4000 {
            let u = -10.0 + f64::from(at) * 0.005_003;
            assert!((tabled(u) - excess(u)).abs() < 1e-10, "h({u}) = {}, tabled {}", excess(u), tabled(u));
        }
        for z in [-0.4, -0.015, 0.0, 0.02, 0.3] {
            for noise in [0.0, 1e-3, 0.1, 3.0, f64::INFINITY] {
                let (exact, quick) = (mean_slip(z, noise, 0.02, 0.05), quick_slip(z, noise, 0.02, 0.05));
                assert!(
                    (exact - quick).abs() <= 2e-10 * noise.min(1e3),
                    "g({z}) at {noise}: {exact} {quick}"
                );
            }
        }
    }

    #[test]
    fn a_sixteenth_of_the_step_moves_the_curve_by_less_than_1e_5() {
        let mut worst: f64 = 0.0;
        for right in [0.0, 0.005, 0.06, 0.3] {
            for noise in [0.0, 0.002, 0.02, 0.15, 1.0, f64::INFINITY] {
                for time in [0.5, 3.0, 30.0, 120.0] {
                    let chain = Chain::with_friction(right, 0.05).unwrap();
                    let coarse = flow(&chain, vec![0.0; 7], noise, time, 1.0);
                    let fine = flow(&chain, vec![0.0; 7], noise, time, 16.0);
                    let pairs = |a: &[f64], b: &[f64]| {
                        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
                    };
                    let off = pairs(&coarse.positions, &fine.positions).max(pairs(&coarse.mean, &fine.mean));
                    worst = worst.max(off);
                    assert!(off < 1e-5, "friction {right}, noise {noise}, time {time}: {off:.1e}");
                }
            }
        }
        assert!(worst > 1e-9, "two different steps give the same curve");
    }
}
