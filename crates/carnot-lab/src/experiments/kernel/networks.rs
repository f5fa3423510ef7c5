//! Real networks beside the theory: trained by stochastic gradient descent on the squared error, with the rates of the
//! tangent kernel, and read on the samples kept aside.

use std::sync::atomic::{AtomicU64, Ordering};

use carnot_kernel::KernelError;
use carnot_math::stats::{Estimate, Moments};
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::plan::Plan;
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::train::spec::{Precision, TrainSpec};
use carnot_sim::train::{Training, train};
use serde::{Deserialize, Serialize};

use super::data::Split;
use super::{KernelSpec, sampled, work};
use crate::error::LabError;
use crate::experiments::Tools;

/// Share of the largest stable rate of full-batch descent at which networks are trained: batches add noise to it.
const SHARE: f64 = 0.5;

/// Samples from which the largest eigenvalue of Θ/N is found; it hardly depends on their number.
const FEW: usize = 500;

/// One trained network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// Global rate η of the mean squared error.
    pub rate: f64,
    /// η times steps in the unit of the summed error over all training samples, which is the kernel's.
    pub time: f64,
    /// Half the mean squared error at the end, training samples.
    pub loss: Option<f64>,
    /// The same, samples kept aside.
    pub test_loss: Option<f64>,
    /// Share of training samples classified correctly.
    pub accuracy: Option<f64>,
    /// The same, samples kept aside.
    pub test_accuracy: Option<f64>,
    /// The step at which the loss was no longer finite.
    pub diverged: Option<u64>,
}

/// Trains one member.
///
/// # Errors
/// When sizes do not fit, or the kernel that sets the rate is not known.
pub fn member(spec: &KernelSpec, split: &Split, number: u64, tools: &Tools) -> Result<Trained, LabError> {
    let plan = Plan::new(spec.network.network())?;
    let init = spec.init.initial(&plan)?.layers;
    let rates = spec.parametrization.rates(&plan, &init);
    let rate = rate(spec, split, tools)?;
    let training = training(spec, split, (&plan, &init, &rates), rate);
    let done = AtomicU64::new(0);
    let report = |steps: u64| {
        let before = done.fetch_add(steps, Ordering::Relaxed);
        tools.step("training real networks", before + steps, spec.steps);
    };
    let history = train(&training, number..number + 1, &report)?.remove(0);
    let finite = |score: Option<f64>| score.filter(|_| history.diverged.is_none());
    Ok(Trained {
        rate,
        time: time(spec, split, rate),
        loss: finite(history.train.loss),
        test_loss: history.test.and_then(|score| finite(score.loss)),
        accuracy: finite(history.train.accuracy),
        test_accuracy: history.test.and_then(|score| finite(score.accuracy)),
        diverged: history.diverged,
    })
}

/// How members are trained, whoever watches.
pub fn training<'a>(
    spec: &KernelSpec,
    split: &'a Split,
    (plan, init, rates): (&'a Plan, &'a [LayerInit], &'a [LayerRate]),
    rate: f64,
) -> Training<'a> {
    Training {
        plan,
        init,
        rates,
        optimizer: Optimizer::named("sgd").expect("sgd is in the table"),
        loss: Loss::Squared,
        train: &split.train,
        test: split.test.as_ref(),
        spec: TrainSpec {
            steps: spec.steps,
            batch: spec.batch,
            rate,
            seed: spec.seed,
            precision: Precision::Float32,
            evaluate: 0,
            ..TrainSpec::default()
        },
    }
}

/// Global rate of the mean squared error, half of what full-batch descent bears.
///
/// # Errors
/// When the kernel that sets it is not known.
pub fn rate(spec: &KernelSpec, split: &Split, tools: &Tools) -> Result<f64, LabError> {
    let rate = tools.shared("rate", || {
        let plan = Plan::new(spec.network.network())?;
        let few = split.train.probe(FEW, spec.seed);
        let largest = match work::largest_eigenvalue(spec, &plan, &few) {
            // A layer without theory: the first of the networks that are trained says it.
            Err(LabError::Kernel(KernelError::NotKnown { .. })) => {
                sampled::largest_eigenvalue(spec, &plan, &few)
            }
            found => found,
        };
        Ok(SHARE * 2.0 * few.len() as f64 / largest?)
    })?;
    Ok(*rate)
}

/// η times steps on half the squared error summed over training samples.
pub fn time(spec: &KernelSpec, split: &Split, rate: f64) -> f64 {
    rate * spec.steps as f64 / split.train.len() as f64
}

/// Mean and standard error over members of what is known of each.
pub fn mean(members: &[Trained], of: impl Fn(&Trained) -> Option<f64>) -> Option<Estimate> {
    let known: Vec<f64> = members.iter().filter_map(of).collect();
    if known.is_empty() {
        return None;
    }
    let moments = Moments::of(&known);
    let error = if known.len() > 1 { moments.error() } else { f64::NAN };
    Some(Estimate { value: moments.mean(), error, n: moments.count(), ..Estimate::default() })
}
