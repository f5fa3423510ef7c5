//! Several inputs through a stack of finite width: all tensors of order 1/n, every component.
//!
//! A tensor with four sample labels is stored in the label order in which it is written: B₁₃₂₄ at `[1, 3, 2, 4]`.

use crate::averages::Averages;
use crate::error::{TheoryError, Unknown, check_length};
use crate::layer::{Scales, Stack};
use crate::moments::roughest_kink;
use crate::tensor_step::Step;

/// A tensor with four sample labels, `[D, D, D, D]` row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    samples: usize,
    values: Vec<f64>,
}

impl Tensor {
    /// All components zero.
    pub fn zeros(samples: usize) -> Self {
        Self { samples, values: vec![0.0; samples.pow(4)] }
    }

    pub(crate) fn fill(
        samples: usize,
        mut entry: impl FnMut([usize; 4]) -> Result<f64, TheoryError>,
    ) -> Result<Self, TheoryError> {
        let at = |index: usize| [3, 2, 1, 0].map(|power| index / samples.pow(power) % samples);
        let values = (0..samples.pow(4)).map(|index| entry(at(index))).collect::<Result<_, _>>()?;
        Ok(Self { samples, values })
    }

    /// The component with these labels, each below the number of samples.
    pub fn at(&self, i: usize, j: usize, k: usize, l: usize) -> f64 {
        let d = self.samples;
        self.values[((i * d + j) * d + k) * d + l]
    }

    /// All components, row-major.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

/// How much of the 1/n theory is wanted; each level needs the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// K, G₁, V.
    Kernel,
    /// Also Θ, H₁, A, B, D, F.
    Tangent,
    /// Also P, Q and, for a smooth activation, R, S, T, U.
    Differentials,
}

/// State of D inputs at one layer; tensors are coefficients of 1/n_{l−1}.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensors {
    /// Number of inputs D.
    pub samples: usize,
    /// K `[D, D]`
    pub kernel: Vec<f64>,
    /// G₁ `[D, D]`: mean kernel K + G₁/n.
    pub kernel_shift: Vec<f64>,
    /// V₍₁₂₎₍₃₄₎: n times the covariance of the kernel over seeds.
    pub vertex: Tensor,
    /// Tangent kernel, when wanted.
    pub tangent: Option<TangentTensors>,
    /// First differentials, when wanted.
    pub differentials: Option<Differentials>,
    /// Second differentials, when wanted; not known for kinked activations.
    pub curvature: Option<Result<CurvatureTensors, Unknown>>,
}

/// Tangent kernel of D inputs and its fluctuations.
#[derive(Clone, Debug, PartialEq)]
pub struct TangentTensors {
    /// Θ `[D, D]`
    pub mean: Vec<f64>,
    /// H₁ `[D, D]`: mean tangent kernel Θ + H₁/n.
    pub shift: Vec<f64>,
    /// A₍₁₂₎₍₃₄₎
    pub a: Tensor,
    /// B₁₃₂₄
    pub b: Tensor,
    /// D₁₂₃₄
    pub d: Tensor,
    /// F₁₃₂₄
    pub f: Tensor,
}

/// Correlation of the first differential of the tangent kernel with the output.
#[derive(Clone, Debug, PartialEq)]
pub struct Differentials {
    /// P₀₁₂₃
    pub p: Tensor,
    /// Q₀₁₂₃
    pub q: Tensor,
}

/// Means of the second differentials of the tangent kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvatureTensors {
    /// R₀₁₂₃
    pub r: Tensor,
    /// S₁₂₃₄
    pub s: Tensor,
    /// T₁₃₂₄
    pub t: Tensor,
    /// U₁₄₂₃
    pub u: Tensor,
}

/// All tensors at every layer of a stack.
///
/// * `input`: x_a·x_b/n₀, `[D, D]` row-major; at most 4 inputs meet in one average, at most 2 with a kink
/// * returns: one [`Tensors`] for each layer, the first affine layer first
///
/// # Errors
/// [`TheoryError::Unknown`] where an average is infinite or needs more dimensions than are integrated;
/// [`TheoryError::NotResolved`] when the kernel is too large for the grid in three or four dimensions.
///
/// Source: PDLT ch. 4.2–4.3, 8.3, 11.2, ∞.3; arXiv:2508.11522. Checked by `tests/golden.rs`.
pub fn tensors(
    stack: &Stack,
    input: &[f64],
    samples: usize,
    wanted: Wanted,
) -> Result<Vec<Tensors>, TheoryError> {
    stack.check()?;
    check_length("input", samples * samples, input.len())?;
    let mut result: Vec<Tensors> = Vec::with_capacity(stack.layers.len());
    for (index, scales) in stack.layers.iter().enumerate() {
        let next = match result.last() {
            None => first(stack, scales, input, samples, wanted),
            Some(before) => {
                let averages = Averages::new(&stack.activation, &before.kernel, samples);
                Step::new(averages, *scales, stack.ratio_after(index), before).next()?
            }
        };
        result.push(next);
    }
    Ok(result)
}

fn first(stack: &Stack, scales: &Scales, input: &[f64], samples: usize, wanted: Wanted) -> Tensors {
    let zeros = || Tensor::zeros(samples);
    let affine = |slope: f64, offset: f64| input.iter().map(|x| offset + slope * x).collect::<Vec<f64>>();
    let tangent = TangentTensors {
        mean: affine(scales.lambda_w, scales.lambda_b),
        shift: vec![0.0; samples * samples],
        a: zeros(),
        b: zeros(),
        d: zeros(),
        f: zeros(),
    };
    let curvature = match roughest_kink(&stack.activation) {
        Some((0, at)) => Err(Unknown::ValueJumps { at }),
        Some((1, at)) => Err(Unknown::SlopeJumps { at }),
        _ => Ok(CurvatureTensors { r: zeros(), s: zeros(), t: zeros(), u: zeros() }),
    };
    Tensors {
        samples,
        kernel: affine(scales.c_w, scales.c_b),
        kernel_shift: vec![0.0; samples * samples],
        vertex: zeros(),
        tangent: (wanted >= Wanted::Tangent).then_some(tangent),
        differentials: (wanted >= Wanted::Differentials).then(|| Differentials { p: zeros(), q: zeros() }),
        curvature: (wanted >= Wanted::Differentials).then_some(curvature),
    }
}
