//! What noise makes of friction: the mean response of a block, where it lets the chain go, and how fast.

use carnot_math::linalg::symmetric_eigenvalues;
use carnot_math::solve::root;
use carnot_math::stats::normal_tail;
use std::f64::consts::PI;

use super::chain::{Chain, ChainError, check};
use super::overdamped::slip;

/// Upper tail of the standard normal law, to relative accuracy at any u.
pub(super) fn tail(u: f64) -> f64 {
    let beyond = 0.5 * normal_tail(u);
    if u < 0.0 { 1.0 - beyond } else { beyond }
}

/// h(u) = pdf(u) − u tail(u), the mean of a standard normal number's excess over u.
pub(super) fn excess(u: f64) -> f64 {
    (-0.5 * u * u).exp() / (2.0 * PI).sqrt() - u * tail(u)
}

/// Mean of the slipping force of one block, noise averaged.
///
/// $$ g(z) = \mathrm E\,\varphi(z + s\,g) = s\Big[h\Big(\frac{\mu_\to - z}{s}\Big) - h\Big(\frac{\mu_\leftarrow + z}{s}\Big)\Big],
///    \qquad h(u) = \mathrm{pdf}(u) - u\,\mathrm{tail}(u) $$
///
/// * `force`: pull z; `noise`: s ≥ 0 of one step, ∞ for the limit of a refined step at fixed ε; `right`, `left`: frictions
///   μ_→, μ_← ≥ 0; all forces
/// * returns: force; to 1e-15 s absolute
///
/// At s = 0 it is the soft threshold φ. At s = ∞ it is z − z* ([`balance`]): friction as a constant drift, reached like
/// 1 − (μ_→ + μ_←)/(√(2π) s).
///
/// Source: the mean excess of a normal number. Checked by `tests/spring_block/golden.rs`.
pub fn mean_slip(force: f64, noise: f64, right: f64, left: f64) -> f64 {
    if noise == 0.0 {
        slip(force, right, left)
    } else if noise.is_infinite() {
        force - balance(right, left)
    } else {
        noise * (excess((right - force) / noise) - excess((left + force) / noise))
    }
}

/// Slope of the mean response: the chance that the block slips.
///
/// $$ g'(z) = \mathrm{tail}\Big(\frac{\mu_\to - z}{s}\Big) + \mathrm{tail}\Big(\frac{\mu_\leftarrow + z}{s}\Big) $$
///
/// Arguments as [`mean_slip`], with `noise` > 0; returns a number in (0, 1]. At z* it is 2 tail((μ_→ + μ_←)/(2s)).
pub fn mean_slip_slope(force: f64, noise: f64, right: f64, left: f64) -> f64 {
    tail((right - force) / noise) + tail((left + force) / noise)
}

/// The pull z* = (μ_→ − μ_←)/2 under which a shaken block stays where it is, at every s > 0 (force).
pub fn balance(right: f64, left: f64) -> f64 {
    0.5 * (right - left)
}

/// Loads of a shaken chain after a long time.
///
/// $$ d_{l+1} - d_l = \frac{\mu_{\to,l} - \mu_{\leftarrow,l}}{2k}, \qquad \sum_l d_l = y $$
///
/// Noise replaces the friction μ_→ by half the difference of the two: equal frictions make a straight curve, a larger μ_← a
/// convex one. Independent of s, which only says when ([`relaxation_time`]).
///
/// * returns: d_1 … d_{L+1}, `[L+1]` (length). Exact for the mean-field flow; the simulation differs from it by less than
///   what [`super::mean_field::mean_field`] says.
///
/// Source: z* is the one zero of the mean response. Checked by `tests/spring_block/golden.rs`.
pub fn relaxed_loads(chain: &Chain) -> Vec<f64> {
    let steps = chain.friction_right().iter().zip(chain.friction_left());
    let mut loads = vec![0.0];
    for (right, left) in steps {
        loads.push(loads[loads.len() - 1] + balance(*right, *left) / chain.stiffness());
    }
    let base = (chain.end() - loads.iter().sum::<f64>()) / loads.len() as f64;
    loads.iter_mut().for_each(|load| *load += base);
    loads
}

/// Time in which a shaken chain approaches [`relaxed_loads`]: that of its slowest mode.
///
/// $$ \tau = \frac{\gamma}{2k(1 - \cos\frac{\pi}{L+1})} \Big/ 2\,\mathrm{tail}\Big(\frac{\mu_\to + \mu_\leftarrow}{2s}\Big) $$
///
/// for one friction for all; for frictions per block 1/τ is the smallest eigenvalue of the linearised flow. Linearised
/// around the relaxed state: at frictions of 0.1 and s = 0.05, where τ = 144.4, 1 024 simulated chains pushed by 0.02 y along
/// the slowest mode fall to 1/e in 145.1 ± 1.3, pushed by 0.2 y in 132.4 ± 0.1. Where s is well below the mean friction, τ grows
/// like exp((μ_→+μ_←)²/(8s²)): frozen.
///
/// * `noise`: s ≥ 0 of one step
/// * returns: time, > 0
///
/// # Errors
/// [`ChainError::Frozen`] where no number is large enough; [`ChainError::OutOfRange`] for a negative noise.
///
/// Source: Carnot's sheet on the chain, 3.3. Checked by `tests/spring_block/golden.rs`.
pub fn relaxation_time(chain: &Chain, noise: f64) -> Result<f64, ChainError> {
    check("the noise", noise, noise >= 0.0, "≥ 0")?;
    let means: Vec<f64> = chain
        .friction_right()
        .iter()
        .zip(chain.friction_left())
        .map(|(right, left)| 0.5 * (right + left))
        .collect();
    let slope = |mean: &f64| match (*mean == 0.0, noise == 0.0) {
        (true, _) => 1.0,
        (false, true) => 0.0,
        (false, false) => 2.0 * tail(mean / noise),
    };
    let slopes: Vec<f64> = means.iter().map(slope).collect();
    let slowest = if slopes.iter().all(|slope| slope == &slopes[0]) {
        slopes[0] / chain.frictionless_time()
    } else {
        slowest_rate(chain, &slopes)
    };
    if slowest > 1e-300 { Ok(1.0 / slowest) } else { Err(ChainError::Frozen { noise }) }
}

/// Smallest eigenvalue of diag(g') (k/γ) Laplacian, made symmetric by the roots of the slopes; 0 when a block is stuck.
fn slowest_rate(chain: &Chain, slopes: &[f64]) -> f64 {
    let n = slopes.len();
    let mut matrix = vec![0.0; n * n];
    for row in 0..n {
        matrix[row * n + row] = 2.0 * slopes[row];
        if row + 1 < n {
            let beside = -(slopes[row] * slopes[row + 1]).sqrt();
            matrix[row * n + row + 1] = beside;
            matrix[(row + 1) * n + row] = beside;
        }
    }
    let all = symmetric_eigenvalues(&matrix, n).unwrap_or_default();
    let (smallest, largest) = all
        .iter()
        .fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), &value| (low.min(value), high.max(value)));
    // Below rounding of the largest the smallest is not known.
    let is_known = smallest.is_finite() && smallest > 1e-13 * n as f64 * largest;
    if is_known { smallest * chain.stiffness() / chain.damping() } else { 0.0 }
}

/// The noise at which the relaxation time equals a given time: below it the chain is still frozen in the parabola of
/// [`super::rest::rest`], above it has relaxed to [`relaxed_loads`].
///
/// Not a transition: at twice the time the boundary lies elsewhere.
///
/// * `time`: > 0, of the simulation
/// * returns: s > 0 of one step (force), to 1e-12 relative
///
/// # Errors
/// [`ChainError::TooShort`] when even a frictionless chain takes longer; [`ChainError::NoFriction`] when nothing can freeze.
///
/// Source: τ(s) = time.
pub fn boundary_noise(chain: &Chain, time: f64) -> Result<f64, ChainError> {
    check("the time", time, time > 0.0, "> 0")?;
    let largest = |friction: &[f64]| friction.iter().fold(0.0, |a: f64, b| a.max(*b));
    let friction = largest(chain.friction_right()).max(largest(chain.friction_left()));
    if friction == 0.0 {
        return Err(ChainError::NoFriction);
    }
    let needed = chain.frictionless_time();
    if needed >= time {
        return Err(ChainError::TooShort { needed, time });
    }
    // ln τ falls with ln s from more than any time to that of the frictionless chain.
    let excess = |ln_s: f64| relaxation_time(chain, ln_s.exp()).map_or(700.0, f64::ln) - time.ln();
    let (low, high) = ((friction / 100.0).ln(), (friction * 1e12).ln());
    match root(excess, low, high, 1e-12) {
        Ok(ln_s) => Ok(ln_s.exp()),
        Err(_) => Err(ChainError::TooShort { needed, time }),
    }
}
