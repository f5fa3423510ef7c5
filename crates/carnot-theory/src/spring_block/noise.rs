//! What shakes the chain, and the one file of this crate in which numbers are drawn.

use carnot_math::random::Stream;
use serde::{Deserialize, Serialize};

use super::batch::LANES;
use super::chain::{ChainError, check};

/// How strong noise is, in one of two conventions that differ when the step is refined.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// Standard deviation s ≥ 0 of the force of one step (force), whatever the step: the authors' first notebook.
    PerStep(f64),
    /// Strength ε ≥ 0 of white noise (force × √time): s = ε/√η grows as the step η is refined.
    White(f64),
}

impl Strength {
    /// Standard deviation s of the force of one step of length `step`.
    pub fn per_step(self, step: f64) -> f64 {
        match self {
            Self::PerStep(s) => s,
            Self::White(epsilon) => epsilon / step.sqrt(),
        }
    }
}

/// Random force on the blocks: s e^{−λt} g, g a fresh standard normal number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// How strong.
    pub strength: Strength,
    /// Whether all blocks receive the same number (the authors' second notebook, where ε√L stands for ε here).
    pub is_shared: bool,
    /// Rate λ ≥ 0 at which it dies out (per time).
    pub decay: f64,
}

impl Noise {
    /// None at all.
    pub const NONE: Self = Self::per_step(0.0);

    /// Independent noise of standard deviation s in every step.
    pub const fn per_step(s: f64) -> Self {
        Self { strength: Strength::PerStep(s), is_shared: false, decay: 0.0 }
    }

    /// Independent white noise of strength ε.
    pub const fn white(epsilon: f64) -> Self {
        Self { strength: Strength::White(epsilon), is_shared: false, decay: 0.0 }
    }

    pub(super) fn check(&self) -> Result<(), ChainError> {
        let (Strength::PerStep(size) | Strength::White(size)) = self.strength;
        check("the noise", size, size >= 0.0, "≥ 0")?;
        check("the decay of the noise", self.decay, self.decay >= 0.0, "≥ 0")
    }
}

/// The forces of one batch of chains, each from its own stream.
pub(super) struct Shaker {
    sources: Vec<Option<Source>>,
    step: f64,
}

struct Source {
    stream: Stream,
    size: f64,
    is_shared: bool,
    decay: f64,
}

impl Shaker {
    /// At most [`LANES`] chains with the keys of their streams.
    pub fn new(noises: &[(Noise, [u64; 2])], step: f64, seed: u64) -> Self {
        let source = |(noise, key): &(Noise, [u64; 2])| {
            let size = noise.strength.per_step(step);
            let stream = || Stream::new(seed, "spring-block noise", key);
            (size > 0.0).then(|| Source {
                stream: stream(),
                size,
                is_shared: noise.is_shared,
                decay: noise.decay,
            })
        };
        Self { sources: noises.iter().map(source).collect(), step }
    }

    /// Whether nothing shakes any of the chains.
    pub fn is_still(&self) -> bool {
        self.sources.iter().all(Option::is_none)
    }

    /// Forces of the steps from `first` on, `[steps, n_blocks, LANES]`; lanes without noise are left alone.
    pub fn fill(&mut self, forces: &mut [f64], n_blocks: usize, first: usize) {
        for (lane, source) in self.sources.iter_mut().enumerate() {
            let Some(source) = source else { continue };
            for (at, step) in forces.chunks_exact_mut(n_blocks * LANES).enumerate() {
                let time = (first + at) as f64 * self.step;
                // exp(−0) is 1 exactly: steady noise needs no branch, and no exponential either.
                let fade = if source.decay == 0.0 { 1.0 } else { (-source.decay * time).exp() };
                let size = source.size * fade;
                if source.is_shared {
                    let force = size * source.stream.normal::<f64>();
                    step.iter_mut().skip(lane).step_by(LANES).for_each(|out| *out = force);
                } else {
                    for out in step.iter_mut().skip(lane).step_by(LANES) {
                        *out = size * source.stream.normal::<f64>();
                    }
                }
            }
        }
    }
}
