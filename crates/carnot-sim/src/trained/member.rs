//! One member and its mirror image, before and after.

use super::Task;
use super::flow::{Flow, FlowSpec};
use crate::empirical::Network;
use crate::empirical::tangent::{Blocks, tangent};
use crate::error::SimError;
use crate::initialise::initialise;
use carnot_math::linalg;
use carnot_net::batch::Batch;
use carnot_net::plan::{Plan, Weights};
use carnot_net::tape::{Mode, Tape, Unwatched};

/// When training ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// After the steps of the flow, at time rate × steps.
    Here,
    /// At zero loss: what is left after the steps is learned by the network made linear there, which leaves an error of the
    /// order of the square of what is left, over n.
    Converged,
}

/// What is measured of one member, each `[tests, outputs]`.
pub(super) struct Measured {
    /// Prediction of the member itself.
    pub(super) plain: Vec<f64>,
    /// Mean over the member and its mirror image.
    pub(super) paired: Vec<f64>,
    /// That, less the prediction of the same networks made linear at their start.
    pub(super) moved: Vec<f64>,
}

/// The members of a block, trained with their mirror images.
pub(super) fn trained(
    task: &Task,
    spec: FlowSpec,
    end: End,
    members: std::ops::Range<u64>,
) -> Result<Vec<Measured>, SimError> {
    let size = task.plan.parameters;
    let mut parameters = Vec::new();
    for member in members.clone() {
        let start = parameters.len();
        parameters.resize(start + size, 0.0);
        initialise(task.plan, task.init, task.seed, member, &mut parameters[start..]);
        let own = parameters[start..].to_vec();
        parameters.extend(mirrored(task.plan, own));
    }
    let time = time_of(spec, end);
    let linear: Result<Vec<Vec<f64>>, SimError> = members
        .clone()
        .enumerate()
        .map(|(i, member)| linear_mean(task, &parameters[2 * i * size..(2 * i + 1) * size], time, member))
        .collect();
    let mut flow = Flow::new(task, spec, parameters);
    flow.run();
    let mut all = Vec::new();
    for ((pair, linear), member) in flow.parameters.chunks_exact(2 * size).zip(linear?).zip(members) {
        let (one, two) = pair.split_at(size);
        let plain = prediction(task, one, end, member)?;
        let mirror = prediction(task, two, end, member)?;
        let paired: Vec<f64> = plain.iter().zip(&mirror).map(|(a, b)| 0.5 * (a + b)).collect();
        let moved = paired.iter().zip(&linear).map(|(a, b)| a - b).collect();
        all.push(Measured { plain, paired, moved });
    }
    Ok(all)
}

/// Time at which the flow ends; none for never.
pub(super) fn time_of(spec: FlowSpec, end: End) -> Option<f64> {
    (end == End::Here).then_some(spec.rate * spec.steps as f64)
}

/// The last layer times −1: outputs change sign, tangent kernels stay.
fn mirrored(plan: &Plan, mut parameters: Vec<f64>) -> Vec<f64> {
    let last = plan.sites.last().expect("a plan has sites");
    let size: usize = last.parameters.iter().map(carnot_net::layers::Parameter::len).sum();
    parameters[last.offset..last.offset + size].iter_mut().for_each(|p| *p = -*p);
    parameters
}

fn outputs(task: &Task, parameters: &[f64]) -> Vec<f64> {
    let samples = task.samples();
    let plan = task.plan;
    let input = Batch::repeated(1, samples.len() / plan.input.len(), &plan.input, &samples);
    let weights = Weights { data: parameters, stride: plan.parameters };
    let mut tape = Tape::new(Mode::Evaluate);
    tape.record = false;
    plan.forward(weights, input, &mut tape, &mut Unwatched).data
}

/// Outputs at the test samples, after the rest has been learned where asked.
fn prediction(task: &Task, parameters: &[f64], end: End, member: u64) -> Result<Vec<f64>, SimError> {
    let outputs = outputs(task, parameters);
    let (known, asked) = outputs.split_at(task.targets.len());
    if end == End::Here {
        return Ok(asked.to_vec());
    }
    let left: Vec<f64> = known.iter().zip(task.targets).map(|(z, y)| y - z).collect();
    let step = learned(task, parameters, &left, None, member)?;
    Ok(asked.iter().zip(step).map(|(z, s)| z + s).collect())
}

/// Mean over a member and its mirror image of what their linear models predict: what they start with cancels.
pub(super) fn linear_mean(
    task: &Task,
    parameters: &[f64],
    time: Option<f64>,
    member: u64,
) -> Result<Vec<f64>, SimError> {
    learned(task, parameters, task.targets, time, member)
}

/// Θ_BA Θ_AA⁻¹ (1 − e^{−Θ_AA t}) left, with the tangent kernel of these parameters.
fn learned(
    task: &Task,
    parameters: &[f64],
    left: &[f64],
    time: Option<f64>,
    member: u64,
) -> Result<Vec<f64>, SimError> {
    let network = Network { plan: task.plan, parameters };
    let theta = tangent(network, task.rates, &task.samples(), None, Blocks::Full)?.flat();
    let (n, m) = (task.targets.len(), task.asked() * task.outputs());
    let wide = n + m;
    let inner: Vec<f64> = (0..n * n).map(|k| theta[k / n * wide + k % n]).collect();
    let pull = match time {
        None => linalg::solve_spd(&inner, n, left).map_err(|_| SimError::Singular { member })?,
        Some(time) => {
            let eigen = linalg::symmetric_eigen(&inner, n).map_err(|_| SimError::Singular { member })?;
            let mut pull = vec![0.0; n];
            for (value, vector) in eigen.values.iter().zip(eigen.vectors.chunks_exact(n)) {
                let along: f64 = vector.iter().zip(left).map(|(v, y)| v * y).sum();
                let share = if value.abs() * time < 1e-12 { time } else { -(-value * time).exp_m1() / value };
                pull.iter_mut().zip(vector).for_each(|(p, v)| *p += share * along * v);
            }
            pull
        }
    };
    Ok((n..wide).map(|b| (0..n).map(|a| theta[b * wide + a] * pull[a]).sum()).collect())
}
