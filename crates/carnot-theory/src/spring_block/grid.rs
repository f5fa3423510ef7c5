//! The chain's phase diagram: load curves over friction and noise, measured on simulated chains.

use carnot_math::curve::{NoShape, convexity_of};
use carnot_math::jackknife::of_mean;
use carnot_math::stats::{Estimate, Moments};

use super::chain::{Chain, ChainError, Friction, Parameters, check, load_curve, loads};
use super::noise::Noise;
use super::overdamped::{Course, Member, Track, overdamped};

/// What to simulate.
#[derive(Clone, Debug)]
pub struct GridPlan<'a> {
    /// The chain of every cell, but for its friction to the right.
    pub parameters: Parameters,
    /// Frictions μ_→ ≥ 0 for all blocks, one per row (force).
    pub frictions: &'a [f64],
    /// Noises s ≥ 0 of one step, one per column (force).
    pub noises: &'a [f64],
    /// Step η (time).
    pub step: f64,
    /// Number of steps; means run over the second half.
    pub steps: usize,
    /// Chains per cell, ≥ 2; a cell without noise needs and has one.
    pub chains: usize,
    /// Fixes every draw, together with the places of cell and chain.
    pub seed: u64,
}

/// One cell: the mean load curve of its chains, and how bent it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Friction μ_→.
    pub friction: f64,
    /// Noise s of one step.
    pub noise: f64,
    /// D_l = y − x_l, mean over time and chains, `[L+1]` from D_0 = y: one point per layer, as a network's curve.
    pub curve: Vec<Estimate>,
    /// Loads of all springs, `[L+1]`; the last one, in front of the held end, is no layer's.
    pub loads: Vec<Estimate>,
    /// Convexity of `curve`, > 0 convex: to compare with a network.
    pub convexity: Result<Estimate, NoShape>,
    /// The same with the held end as a last point D_{L+1} = 0: over all springs, whose straight state is equal loads.
    pub convexity_with_end: Result<Estimate, NoShape>,
}

/// Simulates a grid of chains, each cell from the wall.
///
/// * returns: cells by rows of friction, `[frictions × noises]`; lengths, with the standard error over chains (0 where there
///   is no noise; that of the convexities by leaving out one chain at a time)
///
/// # Errors
/// As [`Chain::new`] and [`overdamped`]; [`ChainError::OutOfRange`] for fewer than two chains.
///
/// Source: the mechanical phase diagram of Shi, Pan, Dokmanić, arXiv:2407.19353. Four corners are checked by
/// `tests/spring_block/grid.rs`.
pub fn grid(plan: &GridPlan) -> Result<Vec<Cell>, ChainError> {
    check("the number of chains", plan.chains as f64, plan.chains >= 2, "≥ 2")?;
    let chain = |&friction: &f64| {
        let friction_right = Friction::Same(friction);
        Chain::new(&Parameters { friction_right, ..plan.parameters.clone() })
    };
    let chains = plan.frictions.iter().map(chain).collect::<Result<Vec<_>, _>>()?;
    let cells: Vec<(&Chain, f64)> =
        chains.iter().flat_map(|chain| plan.noises.iter().map(move |&noise| (chain, noise))).collect();
    let mut members = Vec::new();
    for (cell, &(chain, noise)) in cells.iter().enumerate() {
        let noise = Noise::per_step(noise);
        let keys = (0..count(plan, noise)).map(|copy| [cell as u64, copy as u64]);
        members.extend(keys.map(|key| Member { chain, noise, start: None, key }));
    }
    let course = Course { step: plan.step, steps: plan.steps, snapshots: &[] };
    let mut tracks = overdamped(&members, &course, plan.seed)?.into_iter();
    let cell = |(chain, noise): (&Chain, f64)| {
        let own: Vec<Track> = tracks.by_ref().take(count(plan, Noise::per_step(noise))).collect();
        summary(chain, noise, &own)
    };
    Ok(cells.into_iter().map(cell).collect())
}

fn count(plan: &GridPlan, noise: Noise) -> usize {
    if noise == Noise::NONE { 1 } else { plan.chains }
}

fn summary(chain: &Chain, noise: f64, tracks: &[Track]) -> Cell {
    let curves: Vec<Vec<f64>> = tracks.iter().map(|track| load_curve(chain.end(), &track.mean)).collect();
    let all_loads: Vec<Vec<f64>> = tracks.iter().map(|track| loads(chain.end(), &track.mean)).collect();
    let to_the_end: Vec<Vec<f64>> = curves.iter().map(|curve| [&curve[..], &[0.0]].concat()).collect();
    Cell {
        // Chains of one cell share their friction, and there is at least one block.
        friction: chain.friction_right()[0],
        noise,
        convexity: bend(&curves),
        convexity_with_end: bend(&to_the_end),
        curve: estimates(&curves),
        loads: estimates(&all_loads),
    }
}

fn estimates(rows: &[Vec<f64>]) -> Vec<Estimate> {
    let column = |at: usize| {
        let values: Vec<f64> = rows.iter().map(|row| row[at]).collect();
        // A chain without noise is alone and certain.
        if values.len() == 1 {
            Estimate { n: 1, ..Estimate::exact(values[0]) }
        } else {
            Moments::of(&values).estimate()
        }
    };
    (0..rows[0].len()).map(column).collect()
}

/// Convexity of the mean curve, its error by the jackknife.
fn bend(curves: &[Vec<f64>]) -> Result<Estimate, NoShape> {
    match curves {
        // A chain without noise is alone and certain.
        [one] => Ok(Estimate { n: 1, ..Estimate::exact(convexity_of(one)?) }),
        _ => of_mean(curves, &convexity_of),
    }
}
