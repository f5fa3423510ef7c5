//! What a wide network predicts after seeing data: Bayesian posterior at infinite width and at order 1/n, and kernel gradient descent.

use crate::error::{TheoryError, check, check_length};
use crate::matrix::{block, inverse, product, solve, transpose};
use crate::tensors::Tensor;
use carnot_math::linalg;
use std::f64::consts::PI;

/// A kernel over all inputs and which of them are trained on.
#[derive(Clone, Copy, Debug)]
pub struct Split<'a> {
    /// `[D, D]` row-major.
    pub kernel: &'a [f64],
    /// Number of inputs D.
    pub samples: usize,
    /// Indices of the training inputs, N of them.
    pub train: &'a [usize],
    /// Indices of the test inputs, M of them.
    pub test: &'a [usize],
    /// Targets `[N, outputs]` row-major.
    pub targets: &'a [f64],
    /// Number of outputs n_L.
    pub outputs: usize,
}

/// Predictions for the test inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// `[M, outputs]` row-major.
    pub mean: Vec<f64>,
    /// `[M, M]` row-major, the same for every output.
    pub covariance: Vec<f64>,
}

impl Split<'_> {
    fn check(&self) -> Result<(), TheoryError> {
        check_length("kernel", self.samples * self.samples, self.kernel.len())?;
        check_length("targets", self.train.len() * self.outputs, self.targets.len())?;
        let inside = |&i: &usize| check("input", i as f64, i < self.samples, "below the number of inputs");
        self.train.iter().chain(self.test).try_for_each(inside)
    }

    fn among(&self, matrix: &[f64], rows: &[usize], columns: &[usize]) -> Vec<f64> {
        block(matrix, self.samples, rows, columns)
    }

    /// K_BA M⁻¹ `[M, N]` for M = K_AA + noise.
    fn response(&self, kernel: &[f64], noise: f64, what: &'static str) -> Result<Vec<f64>, TheoryError> {
        let (n, m) = (self.train.len(), self.test.len());
        let mut inner = self.among(kernel, self.train, self.train);
        (0..n).for_each(|i| inner[i * (n + 1)] += noise);
        let right = self.among(kernel, self.train, self.test);
        let x = solve(&inner, n, &right, what)?;
        Ok(transpose(&x, n, m))
    }
}

/// Posterior of an infinitely wide network, and the logarithm of the evidence for the targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior {
    /// Mean and covariance at the test inputs.
    pub prediction: Prediction,
    /// ln p(targets)
    pub log_evidence: f64,
}

/// Exact Bayesian inference at infinite width.
///
/// $$ \bar z_B = K_{BA}K_{AA}^{-1}y,\qquad \mathrm{Cov} = K_{BB'} - K_{BA}K_{AA}^{-1}K_{AB'},\qquad
///    \ln p(y) = -\tfrac12 \sum_i y_i K_{AA}^{-1} y_i - \tfrac{n_L}{2}\ln\det 2\pi K_{AA} $$
///
/// * `noise`: variance of the targets, ≥ 0 (added to the diagonal of K_AA)
///
/// # Errors
/// [`TheoryError::Singular`] when training inputs coincide and the noise is 0.
///
/// Source: PDLT ch. 6.3.
pub fn posterior(split: Split, noise: f64) -> Result<Posterior, TheoryError> {
    split.check()?;
    let what = "kernel";
    let (n, m, outputs) = (split.train.len(), split.test.len(), split.outputs);
    let response = split.response(split.kernel, noise, what)?;
    let mean = product(&response, split.targets, m, n, outputs);
    let explained = product(&response, &split.among(split.kernel, split.train, split.test), m, n, m);
    let prior = split.among(split.kernel, split.test, split.test);
    let covariance = prior.iter().zip(&explained).map(|(a, b)| a - b).collect();
    let mut inner = split.among(split.kernel, split.train, split.train);
    (0..n).for_each(|i| inner[i * (n + 1)] += noise);
    let phi = solve(&inner, n, split.targets, what)?;
    let fit: f64 = phi.iter().zip(split.targets).map(|(a, b)| a * b).sum();
    let volume = linalg::ln_det(&inner, n).map_err(|_| TheoryError::Singular { what })?;
    let log_evidence = -0.5 * fit - outputs as f64 / 2.0 * (volume + n as f64 * (2.0 * PI).ln());
    Ok(Posterior { prediction: Prediction { mean, covariance }, log_evidence })
}

/// How long gradient descent runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Duration {
    /// To zero training loss.
    Converged,
    /// This many steps of this rate on ½ Σ (z − y)².
    Steps {
        /// Learning rate η.
        rate: f64,
        /// Number of steps.
        steps: u32,
    },
    /// Gradient flow for this η × time.
    Flow(f64),
}

/// Gradient descent with a frozen tangent kernel, from a random start with kernel K.
///
/// $$ P = \Theta_{BA}\Theta_{AA}^{-1}[1-(1-\eta\Theta_{AA})^t],\qquad \bar z_B = P y,\qquad
///    \mathrm{Cov} = K_{BB'} - P K_{AB'} - K_{BA}P'^T + P K_{AA} P'^T $$
///
/// * `split.kernel`: K; `tangent`: Θ, `[D, D]` row-major
///
/// # Errors
/// [`TheoryError::Singular`] when Θ over the training inputs is not positive definite.
///
/// Source: PDLT ch. 10.1–10.2.
pub fn descent(split: Split, tangent: &[f64], duration: Duration) -> Result<Prediction, TheoryError> {
    split.check()?;
    check_length("tangent kernel", split.samples * split.samples, tangent.len())?;
    let (n, m) = (split.train.len(), split.test.len());
    let response = split.response(tangent, 0.0, "tangent kernel")?;
    let learned = learned(&split.among(tangent, split.train, split.train), n, duration)?;
    let p = product(&response, &learned, m, n, n);
    let mean = product(&p, split.targets, m, n, split.outputs);
    let cross = product(&p, &split.among(split.kernel, split.train, split.test), m, n, m);
    let inner = product(&p, &split.among(split.kernel, split.train, split.train), m, n, n);
    let inner = product(&inner, &transpose(&p, m, n), m, n, m);
    let mut covariance = split.among(split.kernel, split.test, split.test);
    for i in 0..m {
        for j in 0..m {
            covariance[i * m + j] += inner[i * m + j] - cross[i * m + j] - cross[j * m + i];
        }
    }
    Ok(Prediction { mean, covariance })
}

/// 1 − (1 − ηΘ)^t over the training inputs.
fn learned(theta: &[f64], n: usize, duration: Duration) -> Result<Vec<f64>, TheoryError> {
    let eigen =
        linalg::symmetric_eigen(theta, n).map_err(|_| TheoryError::Singular { what: "tangent kernel" })?;
    let (values, u) = (eigen.values, eigen.vectors);
    let part = |value: f64| match duration {
        Duration::Converged => 1.0,
        Duration::Steps { rate, steps } => 1.0 - (1.0 - rate * value).powi(steps as i32),
        Duration::Flow(time) => -(-time * value).exp_m1(),
    };
    let entry = |i: usize, j: usize| (0..n).map(|k| u[k * n + i] * part(values[k]) * u[k * n + j]).sum();
    Ok((0..n * n).map(|index| entry(index / n, index % n)).collect())
}

/// Expected squared error of the prediction for one test input against its target: bias² plus variance.
pub fn expected_error(
    prediction: &Prediction,
    test: usize,
    output: usize,
    outputs: usize,
    target: f64,
) -> f64 {
    let m = prediction.mean.len() / outputs;
    (prediction.mean[test * outputs + output] - target).powi(2) + prediction.covariance[test * m + test]
}

/// Coefficients of 1/n of the Bayesian posterior for one test input; n is the width of the last hidden layer.
#[derive(Clone, Debug, PartialEq)]
pub struct PosteriorShift {
    /// Of the mean, one number for each output.
    pub mean: Vec<f64>,
    /// Hebbian part `[outputs, outputs]`: all of the covariance of two different outputs, and added to the variance of each.
    pub hebbian: Vec<f64>,
    /// Of the variance of every output, without its Hebbian part.
    pub variance: f64,
    /// Of the logarithm of the evidence.
    pub log_evidence: f64,
}

/// Bayesian posterior at order 1/n: the network learns representations.
///
/// * `split`: with exactly one test input; `split.kernel`, `shift`, `vertex`: K, G₁, V of the last layer over all inputs
///
/// # Errors
/// [`TheoryError::Length`] unless there is one test input; [`TheoryError::Singular`] when training inputs coincide.
///
/// Source: PDLT ch. 6.4, in our own closed form, checked by Monte Carlo.
pub fn posterior_shift(split: Split, shift: &[f64], vertex: &Tensor) -> Result<PosteriorShift, TheoryError> {
    check_length("test inputs", 1, split.test.len())?;
    let all = posterior_shifts(split, shift, vertex, 0.0)?;
    Ok(PosteriorShift {
        mean: all.mean,
        hebbian: all.hebbian,
        variance: all.covariance[0],
        log_evidence: all.log_evidence,
    })
}

/// Coefficients of 1/n of the Bayesian posterior for M test inputs; n is the width of the last hidden layer.
#[derive(Clone, Debug, PartialEq)]
pub struct PosteriorShifts {
    /// Of the means, `[M, outputs]`.
    pub mean: Vec<f64>,
    /// Of the covariances of every output, without their Hebbian parts, `[M, M]`.
    pub covariance: Vec<f64>,
    /// Hebbian part `[M, M, outputs, outputs]`: all of the covariance of two different outputs, and added to that of each.
    pub hebbian: Vec<f64>,
    /// Of the logarithm of the evidence.
    pub log_evidence: f64,
}

/// Bayesian posterior at order 1/n for several test inputs.
///
/// With v^b = 1 at test input b and −K_bA K_AA⁻¹ on the training inputs, φ_i = K_AA⁻¹ y_i,
/// X = −(n_L/2) K_AA⁻¹ + ½ Σ φ_j φ_jᵀ, sums over repeated labels a, c, d, e of inputs, and w any of φ_i and v^{b'},
///
/// $$ S(v^b, w) = v^b_a w_c\, G_{1,ac} - v^b_a K^{-1}_{cd} w_e V_{(ac)(de)} + v^b_a w_c X_{de} V_{(ac)(de)} $$
///
/// the mean changes by S(v^b, φ_i)/n and the covariance by S(v^b, v^{b'})/n plus the Hebbian part
/// $v^b_a \phi_{i,c} v^{b'}_d \phi_{j,e} V_{(ac)(de)}/n$.
///
/// * `split`: `split.kernel`, `shift`, `vertex`: K, G₁, V of the last layer over all inputs
/// * `noise`: variance of the targets, ≥ 0, added to the diagonal of K_AA
///
/// # Errors
/// [`TheoryError::Singular`] when training inputs coincide and the noise is 0.
///
/// Source: PDLT ch. 6.4, in our own closed form, checked by Monte Carlo.
pub fn posterior_shifts(
    split: Split,
    shift: &[f64],
    vertex: &Tensor,
    noise: f64,
) -> Result<PosteriorShifts, TheoryError> {
    split.check()?;
    check("noise", noise, noise >= 0.0, "≥ 0")?;
    check_length("kernel shift", split.samples * split.samples, shift.len())?;
    Ok(Shift::new(split, shift, vertex, noise)?.all())
}

/// The padded vectors and matrices of the 1/n formulas.
struct Shift<'a> {
    d: usize,
    outputs: usize,
    inverse: Vec<f64>,
    /// φ_i `[outputs][D]`
    phi: Vec<Vec<f64>>,
    /// v^b `[M][D]`
    v: Vec<Vec<f64>>,
    x: Vec<f64>,
    shift: &'a [f64],
    vertex: &'a Tensor,
}

impl<'a> Shift<'a> {
    fn new(split: Split, shift: &'a [f64], vertex: &'a Tensor, noise: f64) -> Result<Self, TheoryError> {
        let (d, n, outputs) = (split.samples, split.train.len(), split.outputs);
        let mut inner = split.among(split.kernel, split.train, split.train);
        (0..n).for_each(|i| inner[i * (n + 1)] += noise);
        let what = "kernel";
        let small = inverse(&inner, n, what)?;
        let mut inverse = vec![0.0; d * d];
        for (i, &a) in split.train.iter().enumerate() {
            for (j, &b) in split.train.iter().enumerate() {
                inverse[a * d + b] = small[i * n + j];
            }
        }
        let solved = product(&small, split.targets, n, n, outputs);
        let mut phi = vec![vec![0.0; d]; outputs];
        for (i, &a) in split.train.iter().enumerate() {
            (0..outputs).for_each(|o| phi[o][a] = solved[i * outputs + o]);
        }
        let response = split.response(split.kernel, noise, what)?;
        let around = |(&b, response): (&usize, &[f64])| {
            let mut v = vec![0.0; d];
            v[b] = 1.0;
            split.train.iter().zip(response).for_each(|(&a, r)| v[a] -= r);
            v
        };
        let v = split.test.iter().zip(response.chunks(n)).map(around).collect();
        let outer = |a: usize, b: usize| phi.iter().map(|p| p[a] * p[b]).sum::<f64>();
        let x = (0..d * d).map(|k| 0.5 * outer(k / d, k % d) - outputs as f64 / 2.0 * inverse[k]).collect();
        Ok(Self { d, outputs, inverse, phi, v, x, shift, vertex })
    }

    /// Σ V₍ab₎₍cd₎ f(a, b, c, d)
    fn contract(&self, f: impl Fn(usize, usize, usize, usize) -> f64) -> f64 {
        let d = self.d;
        let term = |k: usize| {
            let [a, b, c, e] = [k / (d * d * d), k / (d * d) % d, k / d % d, k % d];
            self.vertex.at(a, b, c, e) * f(a, b, c, e)
        };
        (0..d.pow(4)).map(term).sum()
    }

    fn against_shift(&self, f: impl Fn(usize, usize) -> f64) -> f64 {
        (0..self.d * self.d).map(|k| self.shift[k] * f(k / self.d, k % self.d)).sum()
    }

    /// v_a w_b G₁_ab − v_a K⁻¹_bc w_d V₍ab₎₍cd₎ + v_a w_b X_cd V₍ab₎₍cd₎
    fn sandwich(&self, v: &[f64], w: &[f64]) -> f64 {
        let d = self.d;
        self.against_shift(|a, b| v[a] * w[b])
            - self.contract(|a, b, c, e| v[a] * self.inverse[b * d + c] * w[e])
            + self.contract(|a, b, c, e| v[a] * w[b] * self.x[c * d + e])
    }

    fn all(&self) -> PosteriorShifts {
        let (d, outputs, m) = (self.d, self.outputs, self.v.len());
        let hebbian = |k: usize| {
            let (i, j) = (k / outputs % outputs, k % outputs);
            let (v, w) = (&self.v[k / (outputs * outputs) / m], &self.v[k / (outputs * outputs) % m]);
            let (p, q) = (&self.phi[i], &self.phi[j]);
            self.contract(|a, b, c, e| v[a] * p[b] * w[c] * q[e])
        };
        let (inverse, x) = (&self.inverse, &self.x);
        let evidence = self.contract(|a, b, c, e| {
            let paired = outputs as f64 / 2.0 * inverse[b * d + c] * inverse[e * d + a];
            let crossed: f64 = self.phi.iter().map(|p| p[a] * inverse[b * d + c] * p[e]).sum();
            x[a * d + b] * x[c * d + e] + paired - crossed
        });
        PosteriorShifts {
            mean: (0..m * outputs)
                .map(|k| self.sandwich(&self.v[k / outputs], &self.phi[k % outputs]))
                .collect(),
            covariance: (0..m * m).map(|k| self.sandwich(&self.v[k / m], &self.v[k % m])).collect(),
            hebbian: (0..m * m * outputs * outputs).map(hebbian).collect(),
            log_evidence: self.against_shift(|a, b| x[a * d + b]) + evidence / 2.0,
        }
    }
}
