//! Training to zero loss at order 1/n: the mean prediction of real networks under gradient flow on a squared loss.

use crate::error::{TheoryError, Unknown, check_length};
use crate::matrix::{block, product, solve, transpose};
use crate::tensors::{CurvatureTensors, Differentials, TangentTensors, Tensors};
use carnot_math::linalg;

/// Mean prediction after training for one test input, at infinite width and its coefficients of 1/n.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedMean {
    /// Infinite width, one number for each output.
    pub frozen: Vec<f64>,
    /// T₁: fluctuations of a tangent kernel that does not move.
    pub fluctuation: Vec<f64>,
    /// T₂: the tangent kernel moves (first differential).
    pub first_differential: Vec<f64>,
    /// T₃: its motion changes (second differentials).
    pub second_differential: Vec<f64>,
}

impl TrainedMean {
    /// Sum of the coefficients of 1/n, for each output.
    pub fn shift(&self) -> Vec<f64> {
        let parts = self.fluctuation.iter().zip(&self.first_differential).zip(&self.second_differential);
        parts.map(|((a, b), c)| a + b + c).collect()
    }
}

/// A training problem on the inputs of [`Tensors`].
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// Tensors of the last layer over all inputs, with differentials.
    pub tensors: &'a Tensors,
    /// Indices of the training inputs, N of them.
    pub train: &'a [usize],
    /// Index of the test input.
    pub test: usize,
    /// Targets `[N, outputs]` row-major.
    pub targets: &'a [f64],
    /// Number of outputs.
    pub outputs: usize,
}

/// Mean prediction of networks trained to zero loss by gradient flow, to order 1/n (n: last hidden width).
///
/// $$ E\,z_B(\infty) = \Theta_{BA}\Theta_{AA}^{-1} y + \tfrac1n (T_1 + T_2 + T_3) $$
///
/// # Errors
/// [`TheoryError::Unknown`] for kinked activations; [`TheoryError::Singular`] when training inputs coincide.
///
/// Source: PDLT ch. ∞.2, in our own closed form, checked by training real networks.
pub fn trained_mean(problem: Problem) -> Result<TrainedMean, TheoryError> {
    check_length("targets", problem.train.len() * problem.outputs, problem.targets.len())?;
    let flow = Flow::new(problem)?;
    let outputs = 0..problem.outputs;
    Ok(TrainedMean {
        frozen: outputs.clone().map(|i| flow.frozen(i)).collect(),
        fluctuation: outputs.clone().map(|i| flow.fluctuation(i)).collect(),
        first_differential: outputs.clone().map(|i| flow.first(i)).collect(),
        second_differential: outputs.map(|i| flow.second(i)).collect(),
    })
}

/// The training set in the eigenbasis of its tangent kernel.
struct Flow<'a> {
    samples: usize,
    outputs: usize,
    kernel: &'a [f64],
    tangent: &'a TangentTensors,
    differentials: &'a Differentials,
    curvature: &'a CurvatureTensors,
    /// Eigenvalues λ_a.
    rates: Vec<f64>,
    /// Eigenmodes as vectors over all inputs, `[N][D]`.
    modes: Vec<Vec<f64>>,
    /// Targets in the eigenbasis, `[N][outputs]`.
    targets: Vec<Vec<f64>>,
    /// Θ_BA Θ_AA⁻¹ in the eigenbasis, `[N]`.
    response: Vec<f64>,
    /// 1 at the test input, −Θ_BA Θ_AA⁻¹ at the training inputs, `[D]`.
    v: Vec<f64>,
}

impl<'a> Flow<'a> {
    fn new(problem: Problem<'a>) -> Result<Self, TheoryError> {
        let state = problem.tensors;
        let (d, n) = (state.samples, problem.train.len());
        let not_derived =
            || TheoryError::from(Unknown::NotDerived { what: crate::error::Quantity::TangentFluctuation });
        let tangent = state.tangent.as_ref().ok_or_else(not_derived)?;
        let differentials = state.differentials.as_ref().ok_or_else(not_derived)?;
        let curvature = state.curvature.as_ref().ok_or_else(not_derived)?.as_ref().map_err(Unknown::clone)?;
        let inner = block(&tangent.mean, d, problem.train, problem.train);
        let what = "tangent kernel";
        let eigen = linalg::symmetric_eigen(&inner, n).map_err(|_| TheoryError::Singular { what })?;
        // One column for each mode.
        let (rates, vectors) = (eigen.values, transpose(&eigen.vectors, n, n));
        let to_test = block(&tangent.mean, d, problem.train, &[problem.test]);
        let response = solve(&inner, n, &to_test, what)?;
        let mut v = vec![0.0; d];
        v[problem.test] = 1.0;
        problem.train.iter().zip(&response).for_each(|(&a, r)| v[a] -= r);
        let mode = |k: usize| {
            let mut mode = vec![0.0; d];
            problem.train.iter().enumerate().for_each(|(i, &a)| mode[a] += vectors[i * n + k]);
            mode
        };
        let column = |k: usize| (0..n).map(|i| vectors[i * n + k]).collect::<Vec<f64>>();
        Ok(Self {
            samples: d,
            outputs: problem.outputs,
            kernel: &state.kernel,
            tangent,
            differentials,
            curvature,
            modes: (0..n).map(mode).collect(),
            response: product(&response, &vectors, 1, n, n),
            targets: (0..n).map(|k| product(&column(k), problem.targets, 1, n, problem.outputs)).collect(),
            rates,
            v,
        })
    }

    fn frozen(&self, output: usize) -> f64 {
        self.response.iter().zip(&self.targets).map(|(r, y)| r * y[output]).sum()
    }

    /// Σ over samples of a four-label quantity with one vector for each label.
    fn contract(&self, vectors: [&[f64]; 4], f: impl Fn(usize, usize, usize, usize) -> f64) -> f64 {
        let d = self.samples;
        let mut sum = 0.0;
        for (a, &x) in vectors[0].iter().enumerate().filter(|(_, x)| **x != 0.0) {
            for (b, &y) in vectors[1].iter().enumerate().filter(|(_, y)| **y != 0.0) {
                for (c, &z) in vectors[2].iter().enumerate().filter(|(_, z)| **z != 0.0) {
                    sum += (0..d).map(|e| x * y * z * vectors[3][e] * f(a, b, c, e)).sum::<f64>();
                }
            }
        }
        sum
    }

    fn fluctuation(&self, output: usize) -> f64 {
        let (d, n) = (self.samples, self.rates.len());
        let pull = |k: usize| self.targets[k][output] / self.rates[k];
        let shift = |k: usize| -> f64 {
            let entries = (0..d * d).map(|s| self.v[s / d] * self.tangent.shift[s] * self.modes[k][s % d]);
            entries.sum::<f64>() * pull(k)
        };
        let TangentTensors { a, b, .. } = self.tangent;
        let outputs = self.outputs as f64;
        // The inner kernel inverse is diagonal in the modes: b and a share mode k.
        let spread = |k: usize, c: usize| {
            let vectors = [&self.v[..], &self.modes[k], &self.modes[k], &self.modes[c]];
            let value = self.contract(vectors, |s, x, y, z| {
                a.at(s, x, y, z) + b.at(s, y, x, z) + outputs * b.at(s, z, x, y)
            });
            value / self.rates[k] * pull(c)
        };
        let first: f64 = (0..n).map(shift).sum();
        let second: f64 = (0..n * n).map(|k| spread(k / n, k % n)).sum();
        first - second
    }

    fn first(&self, output: usize) -> f64 {
        let n = self.rates.len();
        let mut sum = 0.0;
        for index in 0..n * n {
            let (a, b) = (index / n, index % n);
            let weight = 1.0 / (self.rates[a] * (self.rates[a] + self.rates[b]));
            for pair in 0..self.outputs * self.outputs {
                let (j, k) = (pair / self.outputs, pair % self.outputs);
                let (modes, i) = ([a, b], output);
                sum += weight * self.targets[a][j] * self.moving([i, j, k], modes, k, b);
                sum += weight * self.targets[b][k] * self.moving([i, j, k], modes, j, a);
            }
        }
        -sum
    }

    /// n E[X_{ijk; s a b} z_{m; c}] with X = dH_{ijk; s a b} + dH_{jik; a s b}.
    fn moving(&self, [i, j, k]: [usize; 3], [a, b]: [usize; 2], m: usize, c: usize) -> f64 {
        let vectors = [&self.v[..], &self.modes[a], &self.modes[b], &self.modes[c]];
        self.contract(vectors, |s, x, y, z| {
            self.differential([i, j, k, m], [s, x, y, z]) + self.differential([j, i, k, m], [x, s, y, z])
        })
    }

    /// n E[dH_{i0 i1 i2; 0 1 2} z_{i3; 3}]
    fn differential(&self, [i, j, k, l]: [usize; 4], [o, x, y, z]: [usize; 4]) -> f64 {
        let Differentials { p, q } = self.differentials;
        let mut sum = 0.0;
        if i == l && j == k {
            sum += p.at(o, x, y, z);
        }
        if i == j && k == l {
            sum += q.at(o, x, y, z);
        }
        if i == k && j == l {
            sum += q.at(o, y, x, z);
        }
        sum
    }

    fn second(&self, output: usize) -> f64 {
        let (n, outputs) = (self.rates.len(), self.outputs);
        let mut sum = 0.0;
        for index in 0..n * n * n {
            let modes = [index / (n * n), index / n % n, index % n];
            let [x, y, z] = modes.map(|k| self.rates[k]);
            let weight = 1.0 / (x * (x + y) * (x + y + z));
            for triple in 0..outputs.pow(3) {
                let labels = [triple / (outputs * outputs), triple / outputs % outputs, triple % outputs];
                let amount = self.amount(labels, modes);
                if amount != 0.0 {
                    sum += weight * amount * self.turning(output, labels, modes);
                }
            }
        }
        sum
    }

    /// y_j y_k y_l + δ_kl y_j K + δ_jl y_k K + δ_jk y_l K: the third moment of the initial errors, up to sign.
    fn amount(&self, [j, k, l]: [usize; 3], [a, b, c]: [usize; 3]) -> f64 {
        let y = |mode: usize, output: usize| self.targets[mode][output];
        let mut sum = y(a, j) * y(b, k) * y(c, l);
        if k == l {
            sum += y(a, j) * self.kernel_between(b, c);
        }
        if j == l {
            sum += y(b, k) * self.kernel_between(a, c);
        }
        if j == k {
            sum += y(c, l) * self.kernel_between(a, b);
        }
        sum
    }

    fn kernel_between(&self, a: usize, b: usize) -> f64 {
        let d = self.samples;
        (0..d * d).map(|s| self.modes[a][s / d] * self.kernel[s] * self.modes[b][s % d]).sum()
    }

    /// n E[Y_{ijkl; s a b c}] with Y = f_{ijkl; s a b c} + f_{jikl; a s b c}.
    fn turning(&self, i: usize, [j, k, l]: [usize; 3], [a, b, c]: [usize; 3]) -> f64 {
        let vectors = [&self.v[..], &self.modes[a], &self.modes[b], &self.modes[c]];
        self.contract(vectors, |s, x, y, z| {
            self.second_differential([i, j, k, l], [s, x, y, z])
                + self.second_differential([j, i, k, l], [x, s, y, z])
        })
    }

    /// ddI_{0123} + ddII_{0123} + ddII_{0213}, times n.
    fn second_differential(&self, i: [usize; 4], s: [usize; 4]) -> f64 {
        let swap = |x: [usize; 4]| [x[0], x[2], x[1], x[3]];
        self.first_kind(i, s) + self.second_kind(i, s) + self.second_kind(swap(i), swap(s))
    }

    fn first_kind(&self, [i, j, k, l]: [usize; 4], [o, x, y, z]: [usize; 4]) -> f64 {
        let r = &self.curvature.r;
        let mut sum = 0.0;
        if i == j && k == l {
            sum += r.at(o, x, y, z);
        }
        if i == k && l == j {
            sum += r.at(o, y, z, x);
        }
        if i == l && j == k {
            sum += r.at(o, z, x, y);
        }
        sum
    }

    fn second_kind(&self, [i, j, k, l]: [usize; 4], [a, b, c, e]: [usize; 4]) -> f64 {
        let CurvatureTensors { s, t, u, .. } = self.curvature;
        let mut sum = 0.0;
        if i == j && k == l {
            sum += s.at(a, b, c, e);
        }
        if i == k && j == l {
            sum += t.at(a, c, b, e);
        }
        if i == l && j == k {
            sum += u.at(a, e, b, c);
        }
        sum
    }
}
