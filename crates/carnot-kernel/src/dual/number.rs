//! The two precisions of a kernel.

use super::pairs::Points;
use crate::matrices::Values;
use carnot_math::device::wide::Real;
use std::borrow::Cow;

/// A precision in which kernels are computed: `f32` or `f64`.
pub trait Number: Real {
    /// Below this 1 − |cos θ| a pair is near: averages are then taken without any cancellation.
    const NEAR: Self;
    /// Below this 1 − |cos θ| an angle from an inner product is not good enough, and is taken from the vectors.
    const DOUBTFUL: f64;
    /// Smallest variance at which an expansion is asked for; smaller ones, and 0, are taken as this.
    const LEAST_VARIANCE: f64;
    /// Smallest tolerance that makes sense.
    const FINEST: f64;
    /// Largest number.
    const LARGEST: f64;
    /// Constants of points in this precision.
    #[doc(hidden)]
    fn columns(points: &Points) -> &[Vec<Self>];
    /// Data in this precision.
    fn lend(data: &[f64]) -> Cow<'_, [Self]>;
    /// Numbers as a result.
    fn values(values: Vec<Self>) -> Values;
}

impl Number for f64 {
    const NEAR: f64 = 1e-6;
    const DOUBTFUL: f64 = 1e-6;
    const LEAST_VARIANCE: f64 = 1e-30;
    const FINEST: f64 = 1e-14;
    const LARGEST: f64 = f64::MAX;
    fn columns(points: &Points) -> &[Vec<f64>] {
        &points.double
    }
    fn lend(data: &[f64]) -> Cow<'_, [f64]> {
        Cow::Borrowed(data)
    }
    fn values(values: Vec<f64>) -> Values {
        Values::F64(values)
    }
}

impl Number for f32 {
    const NEAR: f32 = 1e-4;
    const DOUBTFUL: f64 = 1e-2;
    const LEAST_VARIANCE: f64 = 1e-14;
    const FINEST: f64 = 1e-7;
    const LARGEST: f64 = f32::MAX as f64;
    fn columns(points: &Points) -> &[Vec<f32>] {
        points.single()
    }
    fn lend(data: &[f64]) -> Cow<'_, [f32]> {
        Cow::Owned(data.iter().map(|x| *x as f32).collect())
    }
    fn values(values: Vec<f32>) -> Values {
        Values::F32(values)
    }
}
