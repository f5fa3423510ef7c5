//! Several inputs through a stack of finite width: all tensors of order 1/n, every component.
//!
//! A tensor with four sample labels is stored in the label order in which it is written: B₁₃₂₄ at `[1, 3, 2, 4]`.

use crate::averages::{Averages, first_like};
use crate::error::{TheoryError, Unknown, check, check_length};
use crate::layer::{Scales, Stack};
use crate::matrix::block;
use crate::moments::roughest_kink;
use crate::tensor_step::Step;
use rayon::prelude::*;

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
        entry: impl Fn([usize; 4]) -> Result<f64, TheoryError> + Sync,
    ) -> Result<Self, TheoryError> {
        let at = |index: usize| [3, 2, 1, 0].map(|power| index / samples.pow(power) % samples);
        let values =
            (0..samples.pow(4)).into_par_iter().map(|index| entry(at(index))).collect::<Result<_, _>>()?;
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
/// * `input`: x_a·x_b/n₀, `[D, D]` row-major; D from 1 to [`MOST_INPUTS`]
/// * returns: one [`Tensors`] for each layer, the first affine layer first
///
/// At most four inputs meet in one average: all sets of two, three and four are averaged, on all threads of the current
/// rayon pool, so time grows as D⁴/24. Same bits for any number of threads.
///
/// # Errors
/// [`TheoryError::Unknown`] where an average is infinite, and for three or more different inputs of an activation with a kink
/// when it is not a straight line on each side of zero or when [`Wanted::Differentials`] are asked for;
/// [`TheoryError::NotResolved`] when the kernel is too large for three or four dimensions.
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
    check("number of inputs", samples as f64, (1..=MOST_INPUTS).contains(&samples), "1 to 40")?;
    // An input given twice is one input: what is known of it is copied.
    let same: Vec<usize> = (0..samples).map(|a| first_like(input, samples, a) as usize).collect();
    let distinct: Vec<usize> = (0..samples).filter(|&a| same[a] == a).collect();
    let layers =
        distinct_tensors(stack, &block(input, samples, &distinct, &distinct), distinct.len(), wanted)?;
    if distinct.len() == samples {
        return Ok(layers);
    }
    let place = |a: usize| distinct.iter().position(|&b| b == same[a]).expect("the first of its kind");
    let places: Vec<usize> = (0..samples).map(place).collect();
    Ok(layers.iter().map(|layer| layer.among(&places)).collect())
}

/// Most inputs: 91,390 sets of four, and 2.5 million components of each tensor.
pub const MOST_INPUTS: usize = 40;

fn distinct_tensors(
    stack: &Stack,
    input: &[f64],
    samples: usize,
    wanted: Wanted,
) -> Result<Vec<Tensors>, TheoryError> {
    let mut result: Vec<Tensors> = Vec::with_capacity(stack.layers.len());
    for (index, scales) in stack.layers.iter().enumerate() {
        let next = match result.last() {
            None => first(stack, scales, input, samples, wanted),
            Some(before) => {
                let averages = Averages::new(&stack.activation, &before.kernel, samples, wanted)?;
                Step::new(averages, *scales, stack.ratio_after(index), before).next()?
            }
        };
        result.push(next);
    }
    Ok(result)
}

impl Tensor {
    /// The components whose labels stand in `places`, as a tensor of its own.
    fn among(&self, places: &[usize]) -> Tensor {
        let d = places.len();
        let at = |index: usize, power: u32| places[index / d.pow(power) % d];
        let entry = |index: usize| self.at(at(index, 3), at(index, 2), at(index, 1), at(index, 0));
        Tensor { samples: d, values: (0..d.pow(4)).map(entry).collect() }
    }
}

impl Tensors {
    /// The state of some of the inputs, in any order and as often as wanted.
    ///
    /// * `places`: for each input of the result its index here
    #[must_use]
    pub fn among(&self, places: &[usize]) -> Tensors {
        let matrix = |values: &[f64]| block(values, self.samples, places, places);
        Tensors {
            samples: places.len(),
            kernel: matrix(&self.kernel),
            kernel_shift: matrix(&self.kernel_shift),
            vertex: self.vertex.among(places),
            tangent: self.tangent.as_ref().map(|tangent| TangentTensors {
                mean: matrix(&tangent.mean),
                shift: matrix(&tangent.shift),
                a: tangent.a.among(places),
                b: tangent.b.among(places),
                d: tangent.d.among(places),
                f: tangent.f.among(places),
            }),
            differentials: self
                .differentials
                .as_ref()
                .map(|first| Differentials { p: first.p.among(places), q: first.q.among(places) }),
            curvature: self.curvature.as_ref().map(|known| {
                known.as_ref().map_err(Unknown::clone).map(|second| CurvatureTensors {
                    r: second.r.among(places),
                    s: second.s.among(places),
                    t: second.t.among(places),
                    u: second.u.among(places),
                })
            }),
        }
    }
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
