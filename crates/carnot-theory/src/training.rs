//! Training to zero loss at order 1/n: the mean prediction of real networks under gradient flow on a squared loss.

use crate::error::{TheoryError, Unknown, check, check_length};
use crate::inference::Duration;
use crate::matrix::{block, product, solve, transpose};
use crate::tensors::{CurvatureTensors, Differentials, TangentTensors, Tensors};
use carnot_math::{gauss, linalg};

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
    trained_mean_after(problem, Duration::Converged)
}

/// Mean prediction after any time of gradient flow, to order 1/n (n: last hidden width).
///
/// With ε(0) the errors at the start, λ the eigenvalues of Θ over the training inputs and a, a', a'' its modes, the three
/// terms of [`trained_mean`] keep their form; the weights become integrals over time,
///
/// $$ w_s = \int_0^t V_s(t-t')\, e^{-\lambda_a t'} g(t')\, dt', \qquad V_B = 1,\quad
///    V_A(\tau) = -\Theta_{BA}\Theta_{AA}^{-1}\bigl(1 - e^{-\Theta_{AA}\tau}\bigr), $$
///
/// with g = 1 for H₁, the response of mode a to mode c for A and B, $\int_0^{t'} e^{-\lambda' u} du$ for the first
/// differential, and that once more nested for the second.
///
/// * `duration`: not [`Duration::Steps`]: what finite steps do at order 1/n has not been derived
///
/// # Errors
/// As [`trained_mean`]; [`TheoryError::Unknown`] for finite steps.
///
/// Source: own derivation from the hierarchy of PDLT ch. ∞.2; equal to the converged form as t → ∞. Checked by training real
/// networks for a finite time (`carnot-sim`).
pub fn trained_mean_after(problem: Problem, duration: Duration) -> Result<TrainedMean, TheoryError> {
    let flow = Flow::new(problem, duration)?;
    let moving = Moving::new(problem.tensors, &flow)?;
    let outputs = 0..problem.outputs;
    Ok(TrainedMean {
        frozen: outputs.clone().map(|i| flow.frozen(i)).collect(),
        fluctuation: outputs.clone().map(|i| flow.fluctuation(i)).collect(),
        first_differential: outputs.clone().map(|i| moving.first(i)).collect(),
        second_differential: outputs.map(|i| moving.second(i)).collect(),
    })
}

/// Mean prediction of networks that are linear in their parameters around a random start, to order 1/n.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearMean {
    /// Infinite width, one number for each output.
    pub frozen: Vec<f64>,
    /// Coefficient of 1/n: fluctuations of the tangent kernel over starts.
    pub fluctuation: Vec<f64>,
}

/// Mean prediction of linearised networks: what a finite network predicts as long as its tangent kernel does not move.
///
/// The first term of [`trained_mean_after`] alone, with H₁, A and B. Needs no differentials, so it is known for ReLU too.
///
/// # Errors
/// [`TheoryError::Singular`] when training inputs coincide; [`TheoryError::Unknown`] for finite steps or without [`Wanted::Tangent`](crate::tensors::Wanted::Tangent).
pub fn linear_mean(problem: Problem, duration: Duration) -> Result<LinearMean, TheoryError> {
    let flow = Flow::new(problem, duration)?;
    let outputs = 0..problem.outputs;
    Ok(LinearMean {
        frozen: outputs.clone().map(|i| flow.frozen(i)).collect(),
        fluctuation: outputs.map(|i| flow.fluctuation(i)).collect(),
    })
}

/// The training set in the eigenbasis of its tangent kernel.
struct Flow<'a> {
    samples: usize,
    outputs: usize,
    kernel: &'a [f64],
    tangent: &'a TangentTensors,
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
    /// None for t → ∞.
    clock: Option<Clock>,
}

/// A tensor that was not asked for.
fn not_derived() -> TheoryError {
    Unknown::NotDerived { what: crate::error::Quantity::TangentFluctuation }.into()
}

/// Nodes of integrals over time, and the exponentials of every mode there.
struct Clock {
    weight: Vec<f64>,
    /// e^{−λ_a t'}, `[N][nodes]`
    falling: Vec<Vec<f64>>,
    /// e^{−λ_a (t − t')}, `[N][nodes]`
    remaining: Vec<Vec<f64>>,
    /// t'
    time: Vec<f64>,
    /// t
    end: f64,
}

impl Clock {
    /// Panels halve towards both ends until they are shorter than the fastest mode.
    fn new(end: f64, rates: &[f64]) -> Self {
        let fastest = rates.iter().fold(0.0, |a: f64, b| a.max(*b));
        let halvings = (end * fastest).max(1.0).log2().ceil() as i32 + 1;
        let mut breaks = vec![0.0, end];
        for k in 1..=halvings {
            breaks.extend([end * 0.5f64.powi(k), end * (1.0 - 0.5f64.powi(k))]);
        }
        breaks.sort_unstable_by(f64::total_cmp);
        breaks.dedup();
        let (mut time, mut weight) = (Vec::new(), Vec::new());
        for pair in breaks.windows(2) {
            let (middle, half) = (0.5 * (pair[0] + pair[1]), 0.5 * (pair[1] - pair[0]));
            for &(x, w) in gauss::legendre(16) {
                time.push(middle + half * x);
                weight.push(half * w);
            }
        }
        let of = |rate: &f64, at: &dyn Fn(f64) -> f64| time.iter().map(|&t| (-rate * at(t)).exp()).collect();
        let falling = rates.iter().map(|rate| of(rate, &|t| t)).collect();
        let remaining = rates.iter().map(|rate| of(rate, &|t| end - t)).collect();
        Self { weight, falling, remaining, time, end }
    }
}

/// ∫₀^t e^{−λu} du
fn gone(rate: f64, time: f64) -> f64 {
    if rate * time < 1e-12 { time } else { -(-rate * time).exp_m1() / rate }
}

impl<'a> Flow<'a> {
    fn new(problem: Problem<'a>, duration: Duration) -> Result<Self, TheoryError> {
        check_length("targets", problem.train.len() * problem.outputs, problem.targets.len())?;
        let state = problem.tensors;
        let (d, n) = (state.samples, problem.train.len());
        let tangent = state.tangent.as_ref().ok_or_else(not_derived)?;
        let inner = block(&tangent.mean, d, problem.train, problem.train);
        let what = "tangent kernel";
        let eigen = linalg::symmetric_eigen(&inner, n).map_err(|_| TheoryError::Singular { what })?;
        // One column for each mode.
        let (rates, vectors) = (eigen.values, transpose(&eigen.vectors, n, n));
        let to_test = block(&tangent.mean, d, problem.train, &[problem.test]);
        let response = solve(&inner, n, &to_test, what)?;
        let clock = match duration {
            Duration::Converged => None,
            Duration::Flow(end) => {
                check("time", end, end > 0.0, "> 0")?;
                Some(Clock::new(end, &rates))
            }
            Duration::Steps { .. } => {
                return Err(Unknown::NotDerived { what: crate::error::Quantity::FiniteSteps }.into());
            }
        };
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
            modes: (0..n).map(mode).collect(),
            response: product(&response, &vectors, 1, n, n),
            targets: (0..n).map(|k| product(&column(k), problem.targets, 1, n, problem.outputs)).collect(),
            rates,
            v,
            clock,
        })
    }

    fn frozen(&self, output: usize) -> f64 {
        let learned = |rate: f64| self.clock.as_ref().map_or(1.0, |clock| -(-rate * clock.end).exp_m1());
        let modes = self.response.iter().zip(&self.targets).zip(&self.rates);
        modes.map(|((r, y), &rate)| r * y[output] * learned(rate)).sum()
    }

    /// ∫ V_s(t − t') f(t') dt' as a vector over inputs: v times ∫f, and what the modes have not yet learned.
    ///
    /// * `forever`: ∫ f dt' for t → ∞; `f`: its value at a node of the clock
    fn lasting(&self, forever: f64, f: impl Fn(&Clock, usize) -> f64) -> Vec<f64> {
        let Some(clock) = &self.clock else { return self.v.iter().map(|v| forever * v).collect() };
        let values: Vec<f64> = (0..clock.time.len()).map(|at| clock.weight[at] * f(clock, at)).collect();
        let whole: f64 = values.iter().sum();
        let mut vector: Vec<f64> = self.v.iter().map(|v| whole * v).collect();
        for ((mode, r), remaining) in self.modes.iter().zip(&self.response).zip(&clock.remaining) {
            let part = r * values.iter().zip(remaining).map(|(x, e)| x * e).sum::<f64>();
            vector.iter_mut().zip(mode).for_each(|(to, u)| *to += part * u);
        }
        vector
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
        let shift = |k: usize| -> f64 {
            let v = self.lasting(1.0 / self.rates[k], |clock, at| clock.falling[k][at]);
            let entries = (0..d * d).map(|s| v[s / d] * self.tangent.shift[s] * self.modes[k][s % d]);
            entries.sum::<f64>() * self.targets[k][output]
        };
        let TangentTensors { a, b, .. } = self.tangent;
        let outputs = self.outputs as f64;
        // The inner kernel inverse is diagonal in the modes: b and a share mode k.
        let spread = |k: usize, c: usize| {
            let (own, other) = (self.rates[k], self.rates[c]);
            let response = |clock: &Clock, at: usize| {
                // (e^{−λ_c t} − e^{−λ_k t})/(λ_k − λ_c), without cancellation.
                let (slow, fast) = if own < other { (k, c) } else { (c, k) };
                clock.falling[slow][at] * gone(self.rates[fast] - self.rates[slow], clock.time[at])
            };
            let v = self.lasting(1.0 / (own * other), response);
            let vectors = [&v[..], &self.modes[k], &self.modes[k], &self.modes[c]];
            let value = self.contract(vectors, |s, x, y, z| {
                a.at(s, x, y, z) + b.at(s, y, x, z) + outputs * b.at(s, z, x, y)
            });
            value * self.targets[c][output]
        };
        let first: f64 = (0..n).map(shift).sum();
        let second: f64 = (0..n * n).map(|k| spread(k / n, k % n)).sum();
        first - second
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
}

/// What the motion of the tangent kernel adds.
struct Moving<'a> {
    flow: &'a Flow<'a>,
    differentials: &'a Differentials,
    curvature: &'a CurvatureTensors,
}

impl<'a> Moving<'a> {
    fn new(state: &'a Tensors, flow: &'a Flow<'a>) -> Result<Self, TheoryError> {
        let differentials = state.differentials.as_ref().ok_or_else(not_derived)?;
        let curvature = state.curvature.as_ref().ok_or_else(not_derived)?.as_ref().map_err(Unknown::clone)?;
        Ok(Self { flow, differentials, curvature })
    }

    fn first(&self, output: usize) -> f64 {
        let flow = self.flow;
        let n = flow.rates.len();
        let mut sum = 0.0;
        for index in 0..n * n {
            let (a, b) = (index / n, index % n);
            let [x, y] = [a, b].map(|k| flow.rates[k]);
            let v =
                flow.lasting(1.0 / (x * (x + y)), |clock, at| clock.falling[a][at] * gone(y, clock.time[at]));
            for pair in 0..flow.outputs * flow.outputs {
                let (j, k) = (pair / flow.outputs, pair % flow.outputs);
                let (modes, i) = ([a, b], output);
                sum += flow.targets[a][j] * self.moving(&v, [i, j, k], modes, k, b);
                sum += flow.targets[b][k] * self.moving(&v, [i, j, k], modes, j, a);
            }
        }
        -sum
    }

    /// n E[X_{ijk; s a b} z_{m; c}] with X = dH_{ijk; s a b} + dH_{jik; a s b}.
    fn moving(&self, v: &[f64], [i, j, k]: [usize; 3], [a, b]: [usize; 2], m: usize, c: usize) -> f64 {
        let modes = &self.flow.modes;
        let vectors = [v, &modes[a], &modes[b], &modes[c]];
        self.flow.contract(vectors, |s, x, y, z| {
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
        let flow = self.flow;
        let (n, outputs) = (flow.rates.len(), flow.outputs);
        let mut sum = 0.0;
        for index in 0..n * n * n {
            let modes = [index / (n * n), index / n % n, index % n];
            let [x, y, z] = modes.map(|k| flow.rates[k]);
            let v = flow.lasting(1.0 / (x * (x + y) * (x + y + z)), |clock, at| {
                let time = clock.time[at];
                clock.falling[modes[0]][at] * (gone(y, time) - gone(y + z, time)) / z
            });
            for triple in 0..outputs.pow(3) {
                let labels = [triple / (outputs * outputs), triple / outputs % outputs, triple % outputs];
                let amount = flow.amount(labels, modes);
                if amount != 0.0 {
                    sum += amount * self.turning(&v, output, labels, modes);
                }
            }
        }
        sum
    }

    /// n E[Y_{ijkl; s a b c}] with Y = f_{ijkl; s a b c} + f_{jikl; a s b c}.
    fn turning(&self, v: &[f64], i: usize, [j, k, l]: [usize; 3], [a, b, c]: [usize; 3]) -> f64 {
        let modes = &self.flow.modes;
        let vectors = [v, &modes[a], &modes[b], &modes[c]];
        self.flow.contract(vectors, |s, x, y, z| {
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
