//! The curves that a chain can have, over friction and noise, and their distance from a measured one.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::chain::{Chain, ChainError, Friction, Parameters, load_curve};
use super::super::mean_field::mean_field;
use super::measured::{FitError, Measured, White, dot, extend, remove};

/// What is held fixed in a fit. The default is the sheet's phase diagram: y = k = γ = 1, μ_← = 0.05, 12 000 steps of 0.01,
/// positions averaged over the second half.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Position y > 0 of the held end (length). Default 1; the scale of the curve is free.
    pub end: f64,
    /// Stiffness k > 0 (force per length). Default 1.
    pub stiffness: f64,
    /// Damping γ > 0 (force per speed). Default 1.
    pub damping: f64,
    /// Friction μ_← ≥ 0 against motion to the left, of every block (force). Default 0.05.
    pub friction_left: f64,
    /// Time that the chain is given, > 0. Default 120.
    pub time: f64,
    /// Whether the curve is the mean over the second half of the time, else that at its end. Default true.
    pub is_averaged: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self { end: 1.0, stiffness: 1.0, damping: 1.0, friction_left: 0.05, time: 120.0, is_averaged: true }
    }
}

impl Setting {
    /// Expected load curve D_0 … D_L of a chain of `n_blocks` from the wall, `[L+1]` (length), at friction μ_→ ≥ 0 of every
    /// block and noise s ≥ 0 of one step (forces).
    ///
    /// # Errors
    /// As [`Chain::new`] and [`mean_field`].
    pub fn curve(&self, n_blocks: usize, friction: f64, noise: f64) -> Result<Vec<f64>, ChainError> {
        let chain = Chain::new(&Parameters {
            n_blocks,
            end: self.end,
            stiffness: self.stiffness,
            damping: self.damping,
            friction_right: Friction::Same(friction),
            friction_left: Friction::Same(self.friction_left),
        })?;
        let expected = mean_field(&chain, None, noise, self.time)?;
        let positions = if self.is_averaged { expected.mean } else { expected.positions };
        Ok(load_curve(self.end, &positions))
    }

    /// Largest friction and noise that are tried: ky, with which the pull moves no block of a chain without noise.
    pub fn largest(&self) -> f64 {
        self.stiffness * self.end
    }
}

/// Nodes along each axis: neighbours differ by about a fifth in friction or noise, where those are not small.
pub(super) const NODES: usize = 33;
/// Where the axes turn from linear to logarithmic, in units of ky: less friction than this moves no curve of ten blocks by a
/// percent.
const TURN: f64 = 0.003;

/// A place on the map of curves: friction and noise, each 0 … 1, where 1 is ky.
pub(super) type Place = [f64; 2];

/// Curves of chains over all frictions and noises from 0 to ky, at 33 × 33 nodes. Costs about a tenth of a second, once for
/// any number of fits.
pub struct Atlas {
    setting: Setting,
    n_blocks: usize,
    curves: Vec<Vec<f64>>,
}

impl Atlas {
    /// Draws the map for curves with `n_layers` loads, hence chains of as many blocks; ≥ 4.
    ///
    /// # Errors
    /// [`FitError::TooFewPoints`]; [`FitError::Chain`] for a setting that no chain has.
    pub fn new(setting: Setting, n_layers: usize) -> Result<Self, FitError> {
        if n_layers < 4 {
            return Err(FitError::TooFewPoints { points: n_layers + 1 });
        }
        super::super::chain::check("the end", setting.end, setting.end > 0.0, "> 0")?;
        let mut atlas = Self { setting, n_blocks: n_layers, curves: Vec::new() };
        let node = |at: usize| {
            let [friction, noise] = [at / NODES, at % NODES].map(|at| atlas.force(node_place(at)));
            setting.curve(n_layers, friction, noise)
        };
        atlas.curves = (0..NODES * NODES).into_par_iter().map(node).collect::<Result<_, _>>()?;
        Ok(atlas)
    }

    /// What is held fixed.
    pub fn setting(&self) -> &Setting {
        &self.setting
    }

    /// Points of each curve.
    pub(super) fn n_points(&self) -> usize {
        self.n_blocks + 1
    }

    /// The friction or noise at a place on its axis (force).
    pub(super) fn force(&self, place: f64) -> f64 {
        self.setting.largest() * TURN * (place * (1.0 / TURN).asinh()).sinh()
    }

    /// How fast ln of that force grows along the axis.
    pub(super) fn log_slope(&self, place: f64) -> f64 {
        let full = (1.0 / TURN).asinh();
        full / (place * full).tanh()
    }

    pub(super) fn curve(&self, place: Place) -> Vec<f64> {
        let [friction, noise] = place.map(|place| self.force(place));
        // The setting was checked when the atlas was drawn.
        self.setting.curve(self.n_blocks, friction, noise).expect("a chain of the atlas")
    }
}

/// Place of a node on its axis.
pub(super) fn node_place(at: usize) -> f64 {
    at as f64 / (NODES - 1) as f64
}

/// How a curve of the model lies to the measured one.
pub(super) struct Laid {
    /// What is left of the measured curve, in units of its errors.
    pub residual: Vec<f64>,
    /// A ≥ 0.
    pub scale: f64,
    /// Orthonormal directions of offset and scale.
    pub directions: Vec<Vec<f64>>,
}

impl Laid {
    pub fn chi2(&self) -> f64 {
        dot(&self.residual, &self.residual)
    }
}

/// The measured curve before an atlas.
pub(super) struct Distance<'a> {
    pub atlas: &'a Atlas,
    pub white: White,
}

impl<'a> Distance<'a> {
    pub fn new(atlas: &'a Atlas, measured: &Measured) -> Result<Self, FitError> {
        let (points, expected) = (measured.curve.len(), atlas.n_points());
        if points != expected {
            return Err(FitError::OtherLength { points, expected });
        }
        Ok(Self { atlas, white: White::new(measured)? })
    }

    /// Lays a curve through the points: best offset, best scale that is not negative.
    pub fn lay(&self, curve: &[f64]) -> Laid {
        let mut directions = Vec::new();
        extend(&mut directions, self.white.level.clone());
        let mut falling = self.white.of(curve);
        let mut residual = self.white.curve.clone();
        remove(&mut residual, &directions);
        remove(&mut falling, &directions);
        let (along, square) = (dot(&residual, &falling), dot(&falling, &falling));
        // A chain that has not moved, or a curve that rises, is level.
        let scale = if square > 0.0 { (along / square).max(0.0) } else { 0.0 };
        if scale > 0.0 {
            extend(&mut directions, falling);
            remove(&mut residual, &directions);
        }
        Laid { residual, scale, directions }
    }

    pub fn at(&self, place: Place) -> Laid {
        self.lay(&self.atlas.curve(place))
    }

    /// χ² of a node, friction first.
    pub fn node(&self, friction: usize, noise: usize) -> f64 {
        self.lay(&self.atlas.curves[friction * NODES + noise]).chi2()
    }
}
