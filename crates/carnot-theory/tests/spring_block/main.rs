//! The chain of blocks against numbers of others, its closed forms against its simulation, and its invariances.

mod claims;
mod convergence;
mod fit;
mod golden;
mod grid;
mod mean_field;

use carnot_theory::spring_block::chain::{Chain, Friction, Parameters};
use carnot_theory::spring_block::noise::Noise;
use carnot_theory::spring_block::overdamped::{Course, Member, Track, overdamped};

/// The authors' chain with other frictions.
fn chain(right: f64, left: f64) -> Chain {
    Chain::with_friction(right, left).unwrap()
}

/// A chain of the authors' with one friction for each block.
fn chain_of(end: f64, right: &[f64], left: &[f64]) -> Chain {
    let (friction_right, friction_left) = (Friction::Each(right.to_vec()), Friction::Each(left.to_vec()));
    let n_blocks = right.len();
    Chain::new(&Parameters { n_blocks, end, friction_right, friction_left, ..Parameters::default() }).unwrap()
}

/// Copies of one chain, each with its own noise.
fn copies(chain: &Chain, noise: Noise, n: usize) -> Vec<Member<'_>> {
    (0..n as u64).map(|copy| Member { chain, noise, start: None, key: [0, copy] }).collect()
}

fn simulate(chain: &Chain, noise: Noise, n: usize, step: f64, steps: usize, seed: u64) -> Vec<Track> {
    overdamped(&copies(chain, noise, n), &Course { step, steps, snapshots: &[] }, seed).unwrap()
}

/// One chain without noise, from the wall.
fn still(chain: &Chain, step: f64, steps: usize) -> Vec<f64> {
    simulate(chain, Noise::NONE, 1, step, steps, 0).remove(0).positions
}

fn largest_gap(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
