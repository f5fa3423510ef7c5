//! The chain itself: parameters that cannot be wrong, and why some are refused.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why the chain gives no answer.
#[derive(Clone, Debug, PartialEq, Error, Serialize, Deserialize)]
pub enum ChainError {
    /// A parameter outside of the range in which the model means something.
    #[error("{what} = {value} is out of range: it must be {range}")]
    OutOfRange {
        /// The parameter.
        what: String,
        /// Its value.
        value: f64,
        /// The allowed range in words.
        range: String,
    },
    /// One number per block was needed.
    #[error("{what} has length {found}, but {expected} is needed")]
    Length {
        /// The list.
        what: String,
        /// Length needed.
        expected: usize,
        /// Length found.
        found: usize,
    },
    /// A step of time with which the scheme overshoots and diverges.
    #[error("a step of {step} is too long for this chain: above {longest} the scheme diverges")]
    StepTooLong {
        /// Step asked for, in units of time.
        step: f64,
        /// Longest step with which the scheme is stable.
        longest: f64,
    },
    /// A position left the range of numbers.
    #[error("block {block} of chain {member} left the range of numbers within {steps} steps")]
    NotFinite {
        /// Index of the chain in the batch, from 0.
        member: usize,
        /// Block, from 1.
        block: usize,
        /// Steps simulated.
        steps: usize,
    },
    /// Noise so weak that friction holds the chain for longer than numbers can say.
    #[error("at a noise of {noise} per step the chain stays where friction stops it, and never relaxes")]
    Frozen {
        /// Standard deviation s of the force of one step.
        noise: f64,
    },
    /// Without friction there is nothing to be frozen by.
    #[error("a chain without friction relaxes at any noise: there is no boundary")]
    NoFriction,
    /// Even without friction the chain is slower than the time given to it.
    #[error("even without friction the chain needs a time of {needed}, more than {time}")]
    TooShort {
        /// Relaxation time of the frictionless chain.
        needed: f64,
        /// Time given.
        time: f64,
    },
}

/// Friction of the blocks against motion one way: one number for all, or one per block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Friction {
    /// The same for every block.
    Same(f64),
    /// One number per block, from the wall to the end.
    Each(Vec<f64>),
}

/// A chain as a user writes it; [`Chain::new`] checks it. The default is the authors' first notebook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// Number of blocks L, ≥ 1; one per hidden layer. Default 7.
    pub n_blocks: usize,
    /// Position y of the held end of the last spring, finite (length). Default 1.
    pub end: f64,
    /// Stiffness k of every spring, > 0 (force per length). Default 1.
    pub stiffness: f64,
    /// Damping γ of every block, > 0 (force per speed). Default 1.
    pub damping: f64,
    /// Friction μ_→ against motion to the right (learning), ≥ 0 (force). Default 0.1.
    pub friction_right: Friction,
    /// Friction μ_← against motion to the left (unlearning), ≥ 0 (force). Default 0.1.
    pub friction_left: Friction,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            n_blocks: 7,
            end: 1.0,
            stiffness: 1.0,
            damping: 1.0,
            friction_right: Friction::Same(0.1),
            friction_left: Friction::Same(0.1),
        }
    }
}

/// A checked chain: L blocks on a rough line between the wall x_0 = 0 and the end x_{L+1} = y, neighbours joined by
/// springs.
///
/// $$ z_l = k\,(x_{l+1} - 2x_l + x_{l-1}), \qquad d_l = x_l - x_{l-1} $$
///
/// z_l is the pull on block l, d_l the load of spring l (1 … L+1); the load curve is D_l = y − x_l, l = 0 … L.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    end: f64,
    stiffness: f64,
    damping: f64,
    right: Vec<f64>,
    left: Vec<f64>,
}

impl Chain {
    /// Checks parameters.
    ///
    /// # Errors
    /// [`ChainError::OutOfRange`] and [`ChainError::Length`] name the parameter and its value.
    pub fn new(parameters: &Parameters) -> Result<Self, ChainError> {
        let Parameters { n_blocks, end, stiffness, damping, friction_right, friction_left } = parameters;
        check("the number of blocks", *n_blocks as f64, *n_blocks > 0, "≥ 1")?;
        check("the end", *end, true, "finite")?;
        check("the stiffness", *stiffness, *stiffness > 0.0, "> 0")?;
        check("the damping", *damping, *damping > 0.0, "> 0")?;
        Ok(Self {
            end: *end,
            stiffness: *stiffness,
            damping: *damping,
            right: per_block("the friction to the right", friction_right, *n_blocks)?,
            left: per_block("the friction to the left", friction_left, *n_blocks)?,
        })
    }

    /// The chain of the default parameters with these frictions for every block.
    ///
    /// # Errors
    /// As [`Chain::new`].
    pub fn with_friction(right: f64, left: f64) -> Result<Self, ChainError> {
        let (friction_right, friction_left) = (Friction::Same(right), Friction::Same(left));
        Self::new(&Parameters { friction_right, friction_left, ..Parameters::default() })
    }

    /// Number of blocks L.
    pub fn n_blocks(&self) -> usize {
        self.right.len()
    }

    /// Position y of the held end.
    pub fn end(&self) -> f64 {
        self.end
    }

    /// Stiffness k of every spring.
    pub fn stiffness(&self) -> f64 {
        self.stiffness
    }

    /// Damping γ of every block.
    pub fn damping(&self) -> f64 {
        self.damping
    }

    /// Friction μ_→ of each block, `[L]`.
    pub fn friction_right(&self) -> &[f64] {
        &self.right
    }

    /// Friction μ_← of each block, `[L]`.
    pub fn friction_left(&self) -> &[f64] {
        &self.left
    }

    /// Pull z_l of block `block` (from 0) at these positions of all blocks, `[L]`.
    #[inline]
    pub(super) fn pull(&self, positions: &[f64], block: usize) -> f64 {
        let before = if block == 0 { 0.0 } else { positions[block - 1] };
        let after = positions.get(block + 1).copied().unwrap_or(self.end);
        self.stiffness * (after - 2.0 * positions[block] + before)
    }

    /// Relaxation time of the slowest mode without friction: γ/(2k(1 − cos(π/(L+1)))).
    ///
    /// Source: the eigenvalues of the discrete Laplacian between two walls.
    pub fn frictionless_time(&self) -> f64 {
        // 1 − cos θ = 2 sin²(θ/2) keeps its digits for long chains.
        let half = std::f64::consts::FRAC_PI_2 / (self.n_blocks() + 1) as f64;
        self.damping / (4.0 * self.stiffness * half.sin().powi(2))
    }
}

/// Load curve D_l = y − x_l of positions x_1 … x_L, `[L+1]`, from D_0 = y.
pub fn load_curve(end: f64, positions: &[f64]) -> Vec<f64> {
    std::iter::once(end).chain(positions.iter().map(|x| end - x)).collect()
}

/// Loads d_l = x_l − x_{l−1} of all springs, `[L+1]`.
pub fn loads(end: f64, positions: &[f64]) -> Vec<f64> {
    let before = std::iter::once(&0.0).chain(positions);
    positions.iter().chain(std::iter::once(&end)).zip(before).map(|(x, before)| x - before).collect()
}

pub(super) fn check(what: &str, value: f64, is_good: bool, range: &str) -> Result<(), ChainError> {
    if is_good && value.is_finite() {
        return Ok(());
    }
    Err(ChainError::OutOfRange { what: what.into(), value, range: range.into() })
}

pub(super) fn check_length(what: &str, expected: usize, found: usize) -> Result<(), ChainError> {
    if expected == found { Ok(()) } else { Err(ChainError::Length { what: what.into(), expected, found }) }
}

fn per_block(what: &str, friction: &Friction, n_blocks: usize) -> Result<Vec<f64>, ChainError> {
    let each = match friction {
        Friction::Same(one) => vec![*one; n_blocks],
        Friction::Each(each) => each.clone(),
    };
    check_length(what, n_blocks, each.len())?;
    each.iter().try_for_each(|&one| check(what, one, one >= 0.0, "≥ 0"))?;
    Ok(each)
}
