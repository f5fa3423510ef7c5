//! Single samples through all steps: variances, means, Θ on the diagonal, and the constants that lines of pairs need.

use super::program::{Program, What};
use crate::dual::number::Number;
use crate::dual::pairs::{BEYOND, PairDual, Points};
use crate::error::{Beyond, KernelError};

/// What a step needs to know of single samples.
#[derive(Debug)]
pub(crate) enum Known<S> {
    /// The activation as it is used at these variances, with its constants.
    Activate(Box<(PairDual, Points)>),
    /// α, β, ρ of [`Weigh`](crate::dual::rule::Weigh), each `[samples]`.
    Weigh([Vec<S>; 3]),
    /// α, μ and the factor of Θ.
    Norm([Vec<S>; 3]),
    /// Nothing.
    Nothing,
    /// Shares of branch and skip.
    Join([Vec<S>; 2]),
}

/// A set of samples through all steps.
#[derive(Debug)]
pub(crate) struct Trace<S> {
    /// One per step.
    pub(crate) known: Vec<Known<S>>,
    /// Standard deviation at the output, `[samples]` and [`BEYOND`] more.
    pub(crate) deviation: Vec<S>,
    /// K on the diagonal.
    pub(crate) variance: Vec<f64>,
    /// Θ on the diagonal.
    pub(crate) tangent: Vec<f64>,
    /// Largest error of a tabulated average, measured, and the layer it is of.
    pub(crate) error: Option<(f64, String)>,
}

/// The state of all samples between two steps.
#[derive(Clone)]
struct State {
    variance: Vec<f64>,
    mean: Vec<f64>,
    tangent: Vec<f64>,
}

impl<S: Number> Trace<S> {
    /// Follows samples whose features have these variances and means.
    ///
    /// # Errors
    /// [`KernelError::NotKnown`] when an average does not converge, [`KernelError::Grows`] when K or Θ leaves the range.
    pub(crate) fn new(
        program: &Program,
        variance: Vec<f64>,
        mean: Vec<f64>,
        tolerance: f64,
    ) -> Result<Trace<S>, KernelError> {
        let tangent = vec![0.0; variance.len()];
        let mut state = State { variance, mean, tangent };
        let mut kept = Vec::new();
        let mut known = Vec::new();
        let mut error: Option<(f64, String)> = None;
        for step in &program.steps {
            let before = (largest(&state.variance), largest(&state.tangent));
            let at = match &step.what {
                What::Activate(dual) => {
                    let at = activate(dual, &mut state, tolerance);
                    let at = at.map_err(|why| KernelError::NotKnown { layer: step.layer.clone(), why })?;
                    if error.as_ref().is_none_or(|(worst, _)| at.1.error > *worst) {
                        error = Some((at.1.error, step.layer.clone()));
                    }
                    Known::Activate(Box::new(at))
                }
                What::Wrap { outer, inner, shift } => {
                    let known = weigh(&mut state, outer * outer, shift * shift);
                    let slope = (outer * inner).powi(2);
                    state.tangent.iter_mut().for_each(|t| *t *= slope);
                    state.mean.iter_mut().for_each(|mean| *mean = outer * *mean + shift);
                    Known::Weigh(known)
                }
                What::Weigh { c_w, c_b, lambda_w, lambda_b } => {
                    for (t, k) in state.tangent.iter_mut().zip(&state.variance) {
                        *t = lambda_b + lambda_w * k + c_w * *t;
                    }
                    state.mean.iter_mut().for_each(|mean| *mean = 0.0);
                    Known::Weigh(weigh(&mut state, *c_w, *c_b))
                }
                What::Norm { centres, epsilon } => Known::Norm(norm(&mut state, *centres, *epsilon)),
                What::Drop { keep } => {
                    state.variance.iter_mut().chain(&mut state.tangent).for_each(|x| *x /= keep);
                    Known::Nothing
                }
                What::Fork => {
                    kept.push(state.clone());
                    Known::Nothing
                }
                What::Join { branch, skip } => {
                    let other = kept.pop().expect("a fork stands before every join");
                    Known::Join(join(&mut state, &other, *branch, *skip))
                }
            };
            known.push(at);
            check::<S>(program, known.len(), &state, before)?;
        }
        let deviation = padded(state.variance.iter().map(|variance| variance.sqrt()));
        let State { variance, tangent, .. } = state;
        Ok(Trace { known, deviation, variance, tangent, error })
    }
}

/// Numbers in the precision of the lines, and a few more.
fn padded<S: Number>(values: impl Iterator<Item = f64>) -> Vec<S> {
    values.chain(std::iter::repeat_n(0.0, BEYOND)).map(S::from_f64).collect()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn check<S: Number>(
    program: &Program,
    done: usize,
    state: &State,
    before: (f64, f64),
) -> Result<(), KernelError> {
    let all = [(Beyond::Kernel, &state.variance, before.0), (Beyond::Tangent, &state.tangent, before.1)];
    for (what, values, before) in all {
        // Comparisons that are false for NaN, too.
        if !values.iter().all(|value| *value <= S::LARGEST) {
            let weighs = program.steps[..done].iter().filter(|step| matches!(step.what, What::Weigh { .. }));
            let growth = before.powf(1.0 / weighs.count().max(1) as f64);
            let layer = program.steps[done - 1].layer.clone();
            return Err(KernelError::Grows { what, layer, before, growth });
        }
    }
    Ok(())
}

fn activate(
    dual: &PairDual,
    state: &mut State,
    tolerance: f64,
) -> Result<(PairDual, Points), carnot_net::error::Unknown> {
    let mut dual = dual.clone();
    let mut points = dual.points(&state.variance)?;
    if points.error > tolerance
        && let Some(table) = dual.by_table(tolerance)
    {
        dual = table;
        points = dual.points(&state.variance)?;
    }
    if points.error > tolerance {
        dual = dual.one_by_one();
        points = dual.points(&state.variance)?;
    }
    let wrapped = dual.wrapped;
    let slope = (wrapped.outer * wrapped.inner).powi(2);
    for (t, p) in state.tangent.iter_mut().zip(&points.slope_square) {
        *t *= p / slope;
    }
    state.mean = points.mean.iter().map(|mean| (mean - wrapped.shift) / wrapped.outer).collect();
    state.variance.clone_from(&points.inner[1]);
    Ok((dual, points))
}

fn weigh<S: Number>(state: &mut State, c_w: f64, c_b: f64) -> [Vec<S>; 3] {
    let before = state.variance.clone();
    state.variance.iter_mut().for_each(|k| *k = c_b + c_w * *k);
    let pairs = || before.iter().zip(&state.variance);
    // Without any variance the direction is kept.
    let signal = |(old, new): (&f64, &f64)| if *new > 0.0 { (c_w * old / new).sqrt() } else { 1.0 };
    let bias = |(_, new): (&f64, &f64)| if *new > 0.0 { (c_b / new).sqrt() } else { 0.0 };
    [padded(pairs().map(signal)), padded(pairs().map(bias)), padded(before.iter().map(|k| k.sqrt()))]
}

fn norm<S: Number>(state: &mut State, centres: bool, epsilon: f64) -> [Vec<S>; 3] {
    let mut columns: [Vec<f64>; 3] = Default::default();
    for ((k, mean), t) in state.variance.iter_mut().zip(&mut state.mean).zip(&mut state.tangent) {
        let taken = if centres { *mean } else { 0.0 };
        let centred = (*k - taken * taken).max(0.0);
        let scale = 1.0 / (centred + epsilon).sqrt();
        let (alpha, mu) =
            if centred > 0.0 { ((*k / centred).sqrt(), taken / centred.sqrt()) } else { (1.0, 0.0) };
        for (column, value) in columns.iter_mut().zip([alpha, mu, scale]) {
            column.push(value);
        }
        *k = centred * scale * scale;
        *t *= scale * scale;
        *mean = if centres { 0.0 } else { *mean * scale };
    }
    columns.map(|column| padded(column.into_iter()))
}

fn join<S: Number>(state: &mut State, other: &State, branch: f64, skip: f64) -> [Vec<S>; 2] {
    let (beta, gamma) = (branch * branch, skip * skip);
    let mut columns: [Vec<f64>; 2] = Default::default();
    for at in 0..state.variance.len() {
        let (mine, kept) = (beta * state.variance[at], gamma * other.variance[at]);
        let all = mine + kept;
        let share = |part: f64| (part / all).sqrt();
        let shares = if all > 0.0 { [share(mine), share(kept)] } else { [0.0, 1.0] };
        columns[0].push(shares[0]);
        columns[1].push(shares[1]);
        state.variance[at] = all;
        state.mean[at] = branch * state.mean[at] + skip * other.mean[at];
        state.tangent[at] = beta * state.tangent[at] + gamma * other.tangent[at];
    }
    columns.map(|column| padded(column.into_iter()))
}
