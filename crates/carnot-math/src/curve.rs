//! The shape of a falling curve: which step falls how far, straight or bent, and which step stands out.
//!
//! The load curve of a network is one, and so is that of the chain that is its mechanical twin: what one step falls is its
//! load.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a curve has no shape, or no such number.
#[derive(Clone, Copy, Debug, PartialEq, Error, Serialize, Deserialize)]
pub enum NoShape {
    /// Too few points to be straight or bent.
    #[error("a curve of {points} points has no shape: it needs at least 3")]
    TooShort {
        /// Number of points.
        points: usize,
    },
    /// A point that is no number.
    #[error("point {point} of the curve is not finite")]
    NotFinite {
        /// Its place, from 0.
        point: usize,
    },
    /// The ends are level, so that there is no share to compare with.
    #[error("the curve ends where it began: its total load of {total} is rounding")]
    NoTotal {
        /// D_0 − D_M.
        total: f64,
    },
    /// All points are level.
    #[error("all points of the curve are equal")]
    Constant,
    /// No step falls.
    #[error("no step of the curve has a positive load")]
    NoPositiveLoad,
}

/// Shape of a curve D_0 … D_M, M ≥ 2.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shape {
    /// d_l = D_{l−1} − D_l, `[M]`, in the unit of D.
    pub loads: Vec<f64>,
    /// Total load D_0 − D_M.
    pub total: f64,
    /// r: correlation of D_l with l, −1 … 1; −1 is a straight descent.
    pub correlation: Result<f64, NoShape>,
    /// v: standard deviation of the loads (over M), ≥ 0; 0 is straight.
    pub load_spread: f64,
    /// c = d_1 − d_M; > 0 convex, < 0 concave.
    pub curvature: f64,
    /// What is measured in shares of the total.
    pub relative: Result<Relative, NoShape>,
    /// Σ l max(d_l, 0)/Σ max(d_l, 0), 1 … M.
    pub centre: Result<f64, NoShape>,
    /// Step k (from 1) behind which the load drops most, d_k − d_{k+1}; `None` for a tie.
    pub largest_drop: Option<usize>,
    /// Step (from 1) with the lowest load; `None` for a tie.
    pub lowest_load: Option<usize>,
}

/// Numbers relative to the mean load d̄ (no unit).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Relative {
    /// v/|d̄|, ≥ 0; comparable between networks.
    pub spread: f64,
    /// ((D_0 + D_M)/2 − mean D)/(D_0 − D_M): > 0 convex (first steps carry more), < 0 concave.
    pub convexity: f64,
    /// κ: least-squares slope of d_l against l over d̄; > 0 concave. Exactly −12/(M−1) times the convexity.
    pub friction_index: f64,
    /// d_l/Σd, `[M]`.
    pub share: Vec<f64>,
    /// d_l/d̄ − 1, `[M]`: 0 is a fair share.
    pub stress: Vec<f64>,
}

/// Relative size below which a difference of loads, or a total, is rounding.
const ROUNDING: f64 = 1e-12;

/// Measures a curve.
///
/// * `curve`: D_0 … D_M, M ≥ 2, finite, any unit
/// * returns: shape; what does not exist for this curve says why, a tie is `None`
///
/// # Errors
/// [`NoShape::TooShort`], [`NoShape::NotFinite`].
///
/// Source: total, v, c: Shi, Pan, Dokmanić, arXiv:2407.19353 and their code; r: He, Su, arXiv:2210.17020; the rest Carnot's
/// sheet on the chain, section 1. Checked by `crates/carnot-theory/tests/spring_block/golden.rs`.
pub fn shape(curve: &[f64]) -> Result<Shape, NoShape> {
    if curve.len() < 3 {
        return Err(NoShape::TooShort { points: curve.len() });
    }
    if let Some(point) = curve.iter().position(|d| !d.is_finite()) {
        return Err(NoShape::NotFinite { point });
    }
    let loads: Vec<f64> = curve.windows(2).map(|pair| pair[0] - pair[1]).collect();
    let m = loads.len() as f64;
    let size = curve.iter().fold(0.0, |a: f64, d| a.max(d.abs()));
    let total = curve[0] - curve[curve.len() - 1];
    let load_spread = (loads.iter().map(|d| (d - total / m).powi(2)).sum::<f64>() / m).sqrt();
    let drops: Vec<f64> = loads.windows(2).map(|pair| pair[0] - pair[1]).collect();
    let negative: Vec<f64> = loads.iter().map(|load| -load).collect();
    Ok(Shape {
        total,
        correlation: correlation(curve, size),
        load_spread,
        curvature: loads[0] - loads[loads.len() - 1],
        relative: relative(curve, &loads, load_spread, size),
        centre: centre(&loads),
        largest_drop: largest(&drops, size),
        lowest_load: largest(&negative, size),
        loads,
    })
}

fn relative(curve: &[f64], loads: &[f64], load_spread: f64, size: f64) -> Result<Relative, NoShape> {
    let total = falling(curve, size)?;
    let m = loads.len() as f64;
    let mean = total / m;
    let (slope, square) = along(loads);
    Ok(Relative {
        spread: load_spread / mean.abs(),
        convexity: convexity(curve),
        friction_index: slope / square / mean,
        share: loads.iter().map(|load| load / total).collect(),
        stress: loads.iter().map(|load| load / mean - 1.0).collect(),
    })
}

/// D_0 − D_M, unless it is rounding.
fn falling(curve: &[f64], size: f64) -> Result<f64, NoShape> {
    let total = curve[0] - curve[curve.len() - 1];
    if total.abs() <= ROUNDING * size { Err(NoShape::NoTotal { total }) } else { Ok(total) }
}

/// Convexity alone, see [`Relative::convexity`].
///
/// # Errors
/// [`NoShape::NoTotal`].
pub fn convexity_of(curve: &[f64]) -> Result<f64, NoShape> {
    let size = curve.iter().fold(0.0, |a: f64, d| a.max(d.abs()));
    falling(curve, size).map(|_| convexity(curve))
}

/// ((D_0 + D_M)/2 − mean D)/(D_0 − D_M) of a curve whose ends differ.
fn convexity(curve: &[f64]) -> f64 {
    let (first, last) = (curve[0], curve[curve.len() - 1]);
    let above = curve.iter().map(|d| 0.5 * (first + last) - d).sum::<f64>() / curve.len() as f64;
    above / (first - last)
}

fn correlation(curve: &[f64], size: f64) -> Result<f64, NoShape> {
    let mean = curve.iter().sum::<f64>() / curve.len() as f64;
    let spread = curve.iter().map(|d| (d - mean).powi(2)).sum::<f64>();
    if spread.sqrt() <= ROUNDING * size {
        return Err(NoShape::Constant);
    }
    let (product, square) = along(curve);
    Ok(product / (square * spread).sqrt())
}

fn centre(loads: &[f64]) -> Result<f64, NoShape> {
    let all: f64 = loads.iter().map(|load| load.max(0.0)).sum();
    let moment: f64 = loads.iter().enumerate().map(|(at, load)| (at + 1) as f64 * load.max(0.0)).sum();
    if all > 0.0 { Ok(moment / all) } else { Err(NoShape::NoPositiveLoad) }
}

/// Sum of products with the centred index, and of the squares of that index.
fn along(values: &[f64]) -> (f64, f64) {
    let middle = (values.len() as f64 - 1.0) / 2.0;
    let centred = values.iter().enumerate().map(|(at, value)| (at as f64 - middle, value));
    centred.fold((0.0, 0.0), |(product, square), (at, value)| (product + at * value, square + at * at))
}

/// Place (from 1) of the largest value, unless another equals it but for rounding.
fn largest(values: &[f64], size: f64) -> Option<usize> {
    let best = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut near = values.iter().enumerate().filter(|(_, value)| best - **value <= ROUNDING * size);
    let first = near.next().map(|(at, _)| at + 1);
    if near.next().is_some() { None } else { first }
}
