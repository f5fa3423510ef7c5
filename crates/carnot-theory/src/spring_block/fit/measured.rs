//! A measured load curve, its errors, and projections in units of them.

use carnot_math::linalg::cholesky;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::super::chain::ChainError;

/// Why nothing is fitted.
#[derive(Clone, Debug, PartialEq, Error, Serialize, Deserialize)]
pub enum FitError {
    /// Fewer points than the four free numbers and one to judge by.
    #[error("a curve of {points} points cannot judge a fit of 4 numbers: it needs at least 5")]
    TooFewPoints {
        /// Points of the curve.
        points: usize,
    },
    /// The atlas is for chains of another length.
    #[error("the curve has {points} points, but the atlas is for {expected}")]
    OtherLength {
        /// Points of the curve.
        points: usize,
        /// Points of the atlas's curves.
        expected: usize,
    },
    /// A point that is no number.
    #[error("the separation behind layer {layer} is not finite")]
    NotFinite {
        /// Its layer; 0 is the input.
        layer: usize,
    },
    /// Errors that are none.
    #[error("the standard error {error} of layer {layer} is out of range: it must be > 0 and finite")]
    NoError {
        /// Its layer; 0 is the input.
        layer: usize,
        /// The error given.
        error: f64,
    },
    /// One error per point was needed, or a square of them.
    #[error("there are {found} numbers of errors, but {expected} are needed")]
    Errors {
        /// Numbers needed.
        expected: usize,
        /// Numbers found.
        found: usize,
    },
    /// A covariance that is none.
    #[error("the covariance of the curve is not positive definite")]
    NotPositive,
    /// The layers separate nothing, so that there is no pull.
    #[error("the curve does not fall: its total load is {total}")]
    DoesNotFall {
        /// D_0 − D_M (unit of D).
        total: f64,
    },
    /// A setting that no chain has.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// Errors of a measured curve.
#[derive(Clone, Copy, Debug)]
pub enum Errors<'a> {
    /// Independent standard errors, `[M+1]`, > 0, in the unit of D.
    Standard(&'a [f64]),
    /// Covariance of the points, `[M+1, M+1]` by rows, positive definite, in the unit of D squared.
    Covariance(&'a [f64]),
}

/// A load curve D_0 … D_M, `[M+1]`, M ≥ 4, with its errors.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// D_l, any unit.
    pub curve: &'a [f64],
    /// How well it is known.
    pub errors: Errors<'a>,
}

/// The curve in units of its errors: multiplied by the inverse of a root of its covariance.
pub(super) struct White {
    root: Vec<f64>,
    /// The curve, `[M+1]`.
    pub curve: Vec<f64>,
    /// A level curve of height 1, `[M+1]`.
    pub level: Vec<f64>,
}

impl White {
    pub fn new(measured: &Measured) -> Result<Self, FitError> {
        let n = measured.curve.len();
        if n < 5 {
            return Err(FitError::TooFewPoints { points: n });
        }
        if let Some(layer) = measured.curve.iter().position(|d| !d.is_finite()) {
            return Err(FitError::NotFinite { layer });
        }
        let total = measured.curve[0] - measured.curve[n - 1];
        if total <= 0.0 {
            return Err(FitError::DoesNotFall { total });
        }
        let root = root(measured.errors, n)?;
        let mut white = Self { root, curve: Vec::new(), level: Vec::new() };
        white.curve = white.of(measured.curve);
        white.level = white.of(&vec![1.0; n]);
        Ok(white)
    }

    /// A curve in units of the errors: forward substitution.
    pub fn of(&self, curve: &[f64]) -> Vec<f64> {
        let n = curve.len();
        let mut out = vec![0.0; n];
        for row in 0..n {
            let known: f64 = (0..row).map(|at| self.root[row * n + at] * out[at]).sum();
            out[row] = (curve[row] - known) / self.root[row * n + row];
        }
        out
    }
}

/// Lower triangular root of the covariance.
fn root(errors: Errors, n: usize) -> Result<Vec<f64>, FitError> {
    let check = |expected: usize, found: usize| {
        if expected == found { Ok(()) } else { Err(FitError::Errors { expected, found }) }
    };
    match errors {
        Errors::Standard(errors) => {
            check(n, errors.len())?;
            let mut root = vec![0.0; n * n];
            for (layer, &error) in errors.iter().enumerate() {
                if !(error > 0.0 && error.is_finite()) {
                    return Err(FitError::NoError { layer, error });
                }
                root[layer * n + layer] = error;
            }
            Ok(root)
        }
        Errors::Covariance(covariance) => {
            check(n * n, covariance.len())?;
            let is_symmetric = (0..n * n).all(|at| {
                let (a, b) = (covariance[at], covariance[at % n * n + at / n]);
                (a - b).abs() <= 1e-10 * (a.abs() + b.abs())
            });
            // Written so that NaN is refused too.
            if !is_symmetric {
                return Err(FitError::NotPositive);
            }
            cholesky(covariance, n).map_err(|_| FitError::NotPositive)
        }
    }
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Takes from `values` its projections on orthonormal `directions`, twice, so that rounding leaves nothing.
pub(super) fn remove(values: &mut [f64], directions: &[Vec<f64>]) {
    for _ in 0..2 {
        for direction in directions {
            let along = dot(values, direction);
            values.iter_mut().zip(direction).for_each(|(value, unit)| *value -= along * unit);
        }
    }
}

/// Adds the direction of `values` to orthonormal `directions`, unless it is one of theirs already.
pub(super) fn extend(directions: &mut Vec<Vec<f64>>, mut values: Vec<f64>) {
    let before = dot(&values, &values).sqrt();
    remove(&mut values, directions);
    let size = dot(&values, &values).sqrt();
    if size > 1e-9 * before {
        values.iter_mut().for_each(|value| *value /= size);
        directions.push(values);
    }
}
