//! The trial: a copy trained as it is and one with the remedy, on the same batches.

use carnot_net::dataset::{Dataset, Targets};
use carnot_net::hyper::LayerInit;
use carnot_net::network::Network;
use carnot_net::plan::Plan;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::train::history::History;
use carnot_sim::train::spec::TrainSpec;
use carnot_sim::train::{Training, train};
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::experiments::Tools;
use crate::settings::loss_of;

/// Share of the plateau below which a loss counts as learning.
const LEARNED: f64 = 0.9;

/// One training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Try {
    /// Learning rate.
    pub rate: f64,
    /// Training loss before.
    pub before: Option<f64>,
    /// Training loss after; `None` when it is not finite.
    pub loss: Option<f64>,
    /// Share of test samples classified correctly.
    pub accuracy: Option<f64>,
    /// Steps and losses on the way.
    pub points: Vec<(u64, f64)>,
    /// The step at which the loss was no longer finite.
    pub diverged: Option<u64>,
}

impl Try {
    fn of(rate: f64, history: &History) -> Try {
        Try {
            rate,
            before: history.before.loss,
            loss: if history.diverged.is_some() { None } else { history.train.loss },
            accuracy: history.test.and_then(|score| score.accuracy),
            points: history.points.iter().map(|point| (point.step, point.loss)).collect(),
            diverged: history.diverged,
        }
    }
}

/// All trainings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tries {
    /// Steps of each.
    pub steps: u64,
    /// Loss of the best constant answer: the entropy of the class frequencies, or half the variance of the targets.
    pub plateau: Option<f64>,
    /// The network as it is.
    pub as_is: Vec<Try>,
    /// The network with the remedy; empty when it needs none.
    pub remedied: Vec<Try>,
}

impl Tries {
    /// True when a loss is well below the plateau.
    pub fn learned(&self, loss: Option<f64>) -> bool {
        loss.zip(self.plateau).is_some_and(|(loss, plateau)| loss < LEARNED * plateau)
    }

    /// The best training of the network as it is.
    pub fn best_as_is(&self) -> Option<&Try> {
        best(&self.as_is)
    }

    /// The best training of the network with the remedy.
    pub fn best_remedied(&self) -> Option<&Try> {
        best(&self.remedied)
    }
}

fn best(all: &[Try]) -> Option<&Try> {
    all.iter().min_by(|a, b| a.loss.unwrap_or(f64::INFINITY).total_cmp(&b.loss.unwrap_or(f64::INFINITY)))
}

/// Loss of the best constant answer.
pub fn plateau(data: &Dataset) -> Option<f64> {
    match &data.targets {
        Targets::None => None,
        Targets::Classes { .. } | Targets::Positions { .. } => {
            let n = data.rows() as f64;
            let share =
                data.class_counts().into_iter().filter(|&count| count > 0).map(|count| count as f64 / n);
            Some(share.map(|p| -p * p.ln()).sum())
        }
        Targets::Values { values, width } => {
            let n = (values.len() / width) as f64;
            let mut sum = 0.0;
            for column in 0..*width {
                let of = || values.iter().skip(column).step_by(*width).map(|&y| f64::from(y));
                let mean = of().sum::<f64>() / n;
                sum += of().map(|y| (y - mean).powi(2)).sum::<f64>() / n;
            }
            Some(sum / 2.0)
        }
    }
}

/// What is tried.
pub struct Copy<'a> {
    /// The network.
    pub network: &'a Network,
    /// How it starts.
    pub layers: &'a [LayerInit],
}

/// Trains one copy at one rate.
///
/// # Errors
/// When sizes do not fit.
pub fn attempt(
    copy: &Copy,
    data: &(Dataset, Dataset),
    optimizer: Optimizer,
    spec: TrainSpec,
    what: &str,
    tools: &Tools,
) -> Result<Try, LabError> {
    let plan = Plan::new(copy.network)?;
    let training = Training {
        plan: &plan,
        init: copy.layers,
        rates: &[],
        optimizer,
        loss: loss_of(&data.0),
        train: &data.0,
        test: Some(&data.1),
        spec,
    };
    let done = std::sync::atomic::AtomicU64::new(0);
    let report = |steps: u64| {
        let before = done.fetch_add(steps, std::sync::atomic::Ordering::Relaxed);
        tools.step(what, before + steps, spec.steps);
    };
    let histories = train(&training, 0..1, &report)?;
    Ok(Try::of(spec.rate, &histories[0]))
}
