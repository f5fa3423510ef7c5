//! What networks of a finite width predict on a small data set: infinite width, the 1/n correction, and whether to trust it.

use crate::error::{TheoryError, check};
use crate::inference::{Duration, Split, descent, posterior, posterior_shifts};
use crate::layer::Stack;
use crate::tensors::{Tensors, Wanted, tensors};
use crate::training::{Problem, linear_mean, trained_mean_after};

/// Correction over leading value beyond which the next order is not small either.
pub const TRUSTED: f64 = 0.3;

/// A number at infinite width with its 1/n correction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Corrected {
    /// At infinite width.
    pub leading: f64,
    /// Coefficient of 1/n.
    pub coefficient: f64,
    /// n: width of the last hidden layer.
    pub width: f64,
    /// Size the correction is compared with: of the leading value, or its scale where that may vanish by chance.
    pub scale: f64,
}

impl Corrected {
    /// Leading value plus coefficient/n.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.leading + self.correction()
    }

    /// coefficient/n
    #[must_use]
    pub fn correction(&self) -> f64 {
        self.coefficient / self.width
    }

    /// Size of the correction relative to [`Corrected::scale`], ≥ 0: the next order is about its square.
    #[must_use]
    pub fn relative(&self) -> f64 {
        if self.correction() == 0.0 { 0.0 } else { (self.correction() / self.scale).abs() }
    }

    /// Whether the correction is below [`TRUSTED`], so that the next order should be below a tenth.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.relative() <= TRUSTED
    }
}

/// A small data set put to networks of finite width.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The networks.
    pub stack: &'a Stack,
    /// x_a·x_b/n₀ over all inputs, `[D, D]` row-major.
    pub input: &'a [f64],
    /// Number of inputs D.
    pub samples: usize,
    /// Indices of the training inputs, N of them.
    pub train: &'a [usize],
    /// Indices of the test inputs, M of them.
    pub test: &'a [usize],
    /// Targets `[N, outputs]` row-major.
    pub targets: &'a [f64],
    /// Number of outputs.
    pub outputs: usize,
    /// n: width of the last hidden layer.
    pub width: f64,
}

/// Bayesian posterior of networks of finite width.
#[derive(Clone, Debug, PartialEq)]
pub struct PosteriorAtWidth {
    /// `[M, outputs]`
    pub mean: Vec<Corrected>,
    /// Covariance of test inputs for one output, Hebbian part included, `[outputs, M, M]`.
    pub covariance: Vec<Corrected>,
    /// Covariance of two different outputs at two test inputs, `[M, M, outputs, outputs]`: 0 at infinite width. Equal outputs hold their Hebbian part.
    pub hebbian: Vec<Corrected>,
    /// ln p(targets)
    pub log_evidence: Corrected,
}

/// Prediction of networks trained by gradient flow.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedAtWidth {
    /// Mean over starts, `[M, outputs]`.
    pub mean: Vec<Corrected>,
    /// Mean over starts of networks that stay linear around them (frozen tangent kernels): known for kinked activations too.
    pub linear: Vec<Corrected>,
    /// Covariance over starts `[M, M]`, the same for every output, at infinite width; its 1/n part has not been derived.
    pub covariance: Vec<f64>,
}

impl Question<'_> {
    /// State of the last layer.
    ///
    /// # Errors
    /// As [`tensors()`].
    pub fn state(&self, wanted: Wanted) -> Result<Tensors, TheoryError> {
        check("width", self.width, self.width >= 1.0, "≥ 1")?;
        let layers = tensors(self.stack, self.input, self.samples, wanted)?;
        let none = TheoryError::OutOfRange { what: "layers", value: 0.0, range: "≥ 1" };
        layers.into_iter().next_back().ok_or(none)
    }

    fn split<'b>(&'b self, kernel: &'b [f64]) -> Split<'b> {
        let Question { samples, train, test, targets, outputs, .. } = *self;
        Split { kernel, samples, train, test, targets, outputs }
    }

    fn corrected(&self, leading: f64, coefficient: f64, scale: f64) -> Corrected {
        Corrected { leading, coefficient, width: self.width, scale }
    }
}

/// Bayesian posterior to order 1/n: mean, covariance with its Hebbian part, evidence.
///
/// * `noise`: variance of the targets, ≥ 0
///
/// Scales of the corrections: a mean is compared with the larger of itself and its standard deviation, a covariance with the
/// standard deviations, ln p with 1 (a correction of 1 is a factor e).
///
/// # Errors
/// As [`tensors()`] with [`Wanted::Kernel`]; [`TheoryError::Singular`] when training inputs coincide and the noise is 0.
///
/// Source: PDLT ch. 6.3–6.4. Checked by weighing random networks (`carnot-sim`).
pub fn posterior_at_width(question: &Question, noise: f64) -> Result<PosteriorAtWidth, TheoryError> {
    let state = question.state(Wanted::Kernel)?;
    let split = question.split(&state.kernel);
    let leading = posterior(split, noise)?;
    let shift = posterior_shifts(split, &state.kernel_shift, &state.vertex, noise)?;
    let (m, o) = (question.test.len(), question.outputs);
    let covariance = &leading.prediction.covariance;
    let deviation = |b: usize| covariance[b * (m + 1)].max(0.0).sqrt();
    let mean = |k: usize| {
        let value = leading.prediction.mean[k];
        question.corrected(value, shift.mean[k], value.abs().max(deviation(k / o)))
    };
    let between = |k: usize| {
        let (i, b, c) = (k / (m * m), k / m % m, k % m);
        let hebbian = shift.hebbian[((b * m + c) * o + i) * o + i];
        let scale = deviation(b) * deviation(c);
        question.corrected(covariance[b * m + c], shift.covariance[b * m + c] + hebbian, scale)
    };
    let hebbian = |k: usize| {
        let pair = k / (o * o);
        question.corrected(0.0, shift.hebbian[k], deviation(pair / m) * deviation(pair % m))
    };
    Ok(PosteriorAtWidth {
        mean: (0..m * o).map(mean).collect(),
        covariance: (0..o * m * m).map(between).collect(),
        hebbian: (0..m * m * o * o).map(hebbian).collect(),
        log_evidence: question.corrected(leading.log_evidence, shift.log_evidence, 1.0),
    })
}

/// Mean prediction of networks trained by gradient flow on ½ Σ (z − y)², to order 1/n, and its spread over starts.
///
/// The spread is that of infinite width. A mean is compared with the larger of itself and its standard deviation.
///
/// # Errors
/// As [`tensors()`] with [`Wanted::Differentials`], so kinked activations are not known ([`linear_at_width`] is);
/// [`TheoryError::Singular`] when training inputs coincide; [`TheoryError::Unknown`] for finite steps.
///
/// Source: PDLT ch. 10 and ∞.2. Checked by training real networks (`carnot-sim`).
pub fn trained_at_width(question: &Question, duration: Duration) -> Result<TrainedAtWidth, TheoryError> {
    let state = question.state(Wanted::Differentials)?;
    let mut result = linear(question, &state, duration)?;
    for (b, means) in result.mean.chunks_exact_mut(question.outputs).enumerate() {
        let shift = trained_mean_after(problem(question, &state, b), duration)?.shift();
        means.iter_mut().zip(shift).for_each(|(mean, coefficient)| mean.coefficient = coefficient);
    }
    Ok(result)
}

/// [`trained_at_width`] of networks made linear around their starts: `mean` equals `linear`. Also for ReLU.
///
/// # Errors
/// As [`tensors()`] with [`Wanted::Tangent`]; [`TheoryError::Singular`] when training inputs coincide.
pub fn linear_at_width(question: &Question, duration: Duration) -> Result<TrainedAtWidth, TheoryError> {
    linear(question, &question.state(Wanted::Tangent)?, duration)
}

fn problem<'a>(question: &'a Question, tensors: &'a Tensors, test: usize) -> Problem<'a> {
    let Question { train, targets, outputs, .. } = *question;
    Problem { tensors, train, test: question.test[test], targets, outputs }
}

fn linear(question: &Question, state: &Tensors, duration: Duration) -> Result<TrainedAtWidth, TheoryError> {
    let m = question.test.len();
    let tangent = state.tangent.as_ref().expect("wanted");
    let covariance = descent(question.split(&state.kernel), &tangent.mean, duration)?.covariance;
    let mut all = Vec::new();
    for b in 0..m {
        let one = linear_mean(problem(question, state, b), duration)?;
        let deviation = covariance[b * (m + 1)].max(0.0).sqrt();
        let of = |(&leading, &coefficient): (&f64, &f64)| {
            question.corrected(leading, coefficient, leading.abs().max(deviation))
        };
        all.extend(one.frozen.iter().zip(&one.fluctuation).map(of));
    }
    Ok(TrainedAtWidth { mean: all.clone(), linear: all, covariance })
}
