//! One input through a stack of finite width: kernel, tangent kernel and everything that is of order 1/n.
//!
//! Layer l carries the coefficients of 1/n_{l−1}. Rows end early where the kernel leaves the range of numbers.

use crate::error::{Known, TheoryError, Unknown, check};
use crate::layer::{Scales, Stack};
use crate::moments::{CurvatureMoments, Moments, SlopeMoments, moments};

/// Everything that is known of one input at one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Layer, counted from 1.
    pub layer: usize,
    /// Kernel K of the infinitely wide network.
    pub kernel: f64,
    /// χ∥ of the step from this layer to the next (the last layer repeats its own C_W).
    pub chi_parallel: f64,
    /// χ⊥ of the same step.
    pub chi_perpendicular: Known,
    /// Four-point vertex V: the variance of the kernel over seeds is V/n.
    pub vertex: f64,
    /// G₁: the mean kernel is K + G₁/n.
    pub kernel_shift: f64,
    /// The tangent kernel; not known where the activation jumps.
    pub tangent: Result<Tangent, Unknown>,
    /// Second differentials; not known where the slope jumps.
    pub curvature: Result<Curvature, Unknown>,
}

/// Tangent kernel of one input and its 1/n coefficients.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tangent {
    /// Frozen tangent kernel Θ.
    pub mean: f64,
    /// H₁: the mean tangent kernel is Θ + H₁/n.
    pub shift: f64,
    /// A: covariance of tangent kernels of two outputs (times n).
    pub a: f64,
    /// B: variance of the off-diagonal tangent kernel (times n).
    pub b: f64,
    /// D: covariance of z_i² with the tangent kernel of another output (times n).
    pub d: f64,
    /// F: covariance of z_i z_j with the off-diagonal tangent kernel (times n).
    pub f: f64,
    /// P: differential of the tangent kernel against the output, diagonal part.
    pub p: f64,
    /// Q: the same, crossed part.
    pub q: f64,
}

impl Tangent {
    /// Variance of a diagonal tangent-kernel entry over its square, times n: (A + 2B)/Θ².
    pub fn relative_variance(&self) -> f64 {
        (self.a + 2.0 * self.b) / (self.mean * self.mean)
    }
}

/// Means of the second differentials of the tangent kernel, coefficients of 1/n.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Curvature {
    /// R, of the first kind.
    pub r: f64,
    /// S, of the second kind.
    pub s: f64,
    /// T, of the second kind.
    pub t: f64,
    /// U, of the second kind.
    pub u: f64,
}

/// Rows for the layers of one stack, and why they end if they end early.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// One row for each layer, the first affine layer first.
    pub rows: Vec<Row>,
    /// Set when the last rows are missing.
    pub ended: Option<TheoryError>,
}

/// All single-input quantities of a stack, layer by layer.
///
/// * `input_square`: |x|²/n₀ of the input, ≥ 0
///
/// # Errors
/// [`TheoryError::OutOfRange`] for negative scales or input. A kernel that leaves the range ends the table instead.
///
/// Source: PDLT ch. 4, 8, 11 (recursions for V, G₁, A, B, D, F, H₁, P, Q, R, S, T, U). Checked by `tests/golden.rs`.
pub fn table(stack: &Stack, input_square: f64) -> Result<Table, TheoryError> {
    stack.check()?;
    check("|x|²/n₀", input_square, input_square >= 0.0, "≥ 0")?;
    let mut rows: Vec<Row> = Vec::with_capacity(stack.layers.len());
    let mut state = State::first(stack.layers.first(), input_square);
    for (index, scales) in stack.layers.iter().enumerate() {
        let next = stack.layers.get(index + 1).unwrap_or(scales);
        if let Some(error) = out_of_numbers(state.kernel) {
            return Ok(Table { rows, ended: Some(error) });
        }
        let all = match moments(&stack.activation, state.kernel) {
            Ok(all) => all,
            Err(error) => return Ok(Table { rows, ended: Some(error) }),
        };
        rows.push(state.row(index + 1, &all, next));
        state = state.step(&all, next, stack.ratio_after(index + 1));
    }
    Ok(Table { rows, ended: None })
}

/// Kernels whose squares under- or overflow have left the theory.
fn out_of_numbers(kernel: f64) -> Option<TheoryError> {
    if kernel < 1e-140 {
        Some(Unknown::KernelVanishes.into())
    } else {
        (kernel > 1e140 || kernel.is_nan()).then(|| Unknown::KernelGrows.into())
    }
}

/// What one layer hands to the next.
struct State {
    kernel: f64,
    vertex: f64,
    kernel_shift: f64,
    tangent: Result<Tangent, Unknown>,
    curvature: Result<Curvature, Unknown>,
}

impl State {
    fn first(scales: Option<&Scales>, input_square: f64) -> Self {
        let scales = scales.copied().unwrap_or(Scales::new(1.0, 0.0));
        let mean = scales.lambda_b + scales.lambda_w * input_square;
        Self {
            kernel: scales.c_b + scales.c_w * input_square,
            vertex: 0.0,
            kernel_shift: 0.0,
            tangent: Ok(Tangent { mean, ..Tangent::default() }),
            curvature: Ok(Curvature::default()),
        }
    }

    fn row(&self, layer: usize, all: &Moments, next: &Scales) -> Row {
        Row {
            layer,
            kernel: self.kernel,
            chi_parallel: next.c_w * all.radial,
            chi_perpendicular: all.slope.as_ref().map(|s| next.c_w * s.square).map_err(Unknown::clone),
            vertex: self.vertex,
            kernel_shift: self.kernel_shift,
            tangent: self.tangent.clone(),
            curvature: self.curvature.clone(),
        }
    }

    fn step(&self, all: &Moments, next: &Scales, ratio: f64) -> Self {
        let c_w = next.c_w;
        let chi = c_w * all.radial;
        let tangent = match (&self.tangent, &all.slope) {
            (Ok(tangent), Ok(slope)) => Ok(Step { all, slope, next, ratio, before: self, tangent }.tangent()),
            (Err(unknown), _) | (_, Err(unknown)) => Err(unknown.clone()),
        };
        let curvature = match (&self.tangent, &self.curvature, &all.slope, &all.curvature) {
            (Ok(tangent), Ok(old), Ok(slope), Ok(bend)) => {
                Ok(Step { all, slope, next, ratio, before: self, tangent }.curvature(old, bend))
            }
            (Err(unknown), ..) | (_, Err(unknown), ..) | (_, _, Err(unknown), _) | (.., Err(unknown)) => {
                Err(unknown.clone())
            }
        };
        Self {
            kernel: next.c_b + c_w * all.square,
            vertex: c_w * c_w * (all.fourth - all.square.powi(2)) + ratio * chi * chi * self.vertex,
            kernel_shift: ratio
                * (chi * self.kernel_shift + c_w / 8.0 * self.vertex * all.square_fourth_derivative),
            tangent,
            curvature,
        }
    }
}

/// One step of the recursions that involve the tangent kernel.
struct Step<'a> {
    all: &'a Moments,
    slope: &'a SlopeMoments,
    next: &'a Scales,
    ratio: f64,
    before: &'a State,
    tangent: &'a Tangent,
}

impl Step<'_> {
    fn chi_perpendicular(&self) -> f64 {
        self.next.c_w * self.slope.square
    }

    /// ⟨O''⟩ of O = λ_W σ² + C_W Θ σ'².
    fn second_derivative(&self) -> f64 {
        let feedback = self.next.c_w * self.tangent.mean;
        self.next.lambda_w * 2.0 * self.all.radial + feedback * self.slope.square_second_derivative
    }

    fn tangent(&self) -> Tangent {
        let (all, slope, old, ratio) = (self.all, self.slope, self.tangent, self.ratio);
        let Scales { c_w, lambda_w, lambda_b, .. } = *self.next;
        let (vertex, shift) = (self.before.vertex, self.before.kernel_shift);
        let theta = old.mean;
        let feedback = c_w * theta;
        let (chi, chi_perp) = (c_w * all.radial, self.chi_perpendicular());
        let mean = lambda_w * all.square + feedback * slope.square;
        let with_square = lambda_w * all.fourth + feedback * slope.with_value;
        let squared = lambda_w * lambda_w * all.fourth
            + 2.0 * lambda_w * feedback * slope.with_value
            + feedback * feedback * slope.fourth;
        let second = self.second_derivative();
        let fourth = lambda_w * all.square_fourth_derivative + feedback * slope.square_fourth_derivative;
        let source = c_w * c_w * slope.bend_slope_square * theta * theta;
        Tangent {
            mean: lambda_b + mean,
            shift: ratio
                * (second * shift / 2.0
                    + fourth * vertex / 8.0
                    + chi_perp * old.shift
                    + c_w * slope.square_second_derivative * (old.d / 2.0 + old.f)),
            d: c_w * (with_square - all.square * mean)
                + ratio * chi * (second / 2.0 * vertex + chi_perp * old.d),
            f: c_w * c_w * slope.with_value * theta + ratio * chi * chi * old.f,
            a: squared - mean * mean
                + ratio
                    * (second * second / 4.0 * vertex
                        + chi_perp * second * old.d
                        + chi_perp * chi_perp * old.a),
            b: c_w * c_w * slope.fourth * theta * theta + ratio * chi_perp * chi_perp * old.b,
            p: source + ratio * chi_perp * (c_w * slope.bend * old.b + chi * old.p),
            q: lambda_w * c_w * slope.with_value * theta
                + source
                + ratio * chi * (second / 2.0 * old.f + chi_perp * old.q),
        }
    }

    fn curvature(&self, old: &Curvature, bend: &CurvatureMoments) -> Curvature {
        let Scales { c_w, lambda_w, .. } = *self.next;
        let (slope, tangent, ratio) = (self.slope, self.tangent, self.ratio);
        let theta = tangent.mean;
        let chi_perp = self.chi_perpendicular();
        let half = self.second_derivative() / 2.0;
        let last = c_w * c_w * bend.with_slope * theta.powi(3);
        let mixed = lambda_w * c_w * slope.bend_slope_square * theta * theta;
        let across = lambda_w * slope.bend + c_w * theta * bend.third_slope;
        let along = lambda_w * slope.square + c_w * theta * bend.square;
        Curvature {
            r: mixed
                + c_w * c_w * bend.third_slope_cubed * theta.powi(3)
                + ratio * chi_perp * (across * tangent.b + half * tangent.p + chi_perp * old.r),
            s: lambda_w * c_w * slope.fourth * theta * theta
                + last
                + ratio * chi_perp * (along * tangent.b + chi_perp * old.s),
            t: lambda_w * lambda_w * slope.with_value * theta
                + 2.0 * mixed
                + last
                + ratio
                    * (half * half * tangent.f
                        + 2.0 * half * chi_perp * tangent.q
                        + chi_perp * chi_perp * old.t),
            u: last + ratio * chi_perp * chi_perp * old.u,
        }
    }
}
