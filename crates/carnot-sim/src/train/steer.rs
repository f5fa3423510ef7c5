//! Training with a hand on it: what is seen at some steps decides noise, rate and nonlinearity from there on.

use super::block::{Block, Halt, Then};
use super::history::History;
use super::spec::TrainSpec;
use super::{Moment, Training, check};
use crate::error::SimError;
use crate::rate;
use carnot_math::scalar::Scalar;
use carnot_net::activation::Activation;
use carnot_net::layers::Layer;
use carnot_net::plan::{Plan, Site};
use rayon::prelude::*;
use std::ops::Range;

/// What may change while a member trains. Neither shapes nor parameters are among it, so that weights and the optimizer's memory stay.
#[derive(Clone, Debug, PartialEq)]
pub struct Reins {
    /// Global learning rate η, ≥ 0; a warm-up goes on towards it.
    pub rate: f64,
    /// As [`TrainSpec::label_noise`], 0 to 1.
    pub label_noise: f64,
    /// As [`TrainSpec::input_noise`], ≥ 0.
    pub input_noise: f64,
    /// As [`TrainSpec::temperature`], ≥ 0.
    pub temperature: f64,
    /// Probability of every dropout layer, 0 ≤ p < 1, in preorder.
    pub dropout: Vec<f64>,
    /// Formula of every activation, in preorder.
    pub activations: Vec<Activation>,
}

impl Reins {
    fn of(plan: &Plan, spec: &TrainSpec) -> Reins {
        let mut reins = Reins {
            rate: spec.rate,
            label_noise: spec.label_noise,
            input_noise: spec.input_noise,
            temperature: spec.temperature,
            dropout: Vec::new(),
            activations: Vec::new(),
        };
        for site in plan.all() {
            match &site.layer {
                Layer::Dropout(dropout) => reins.dropout.push(dropout.probability),
                Layer::Activate(activate) => reins.activations.push(activate.activation.clone()),
                _ => {}
            }
        }
        reins
    }

    /// Are they as many as those they replace, and in their ranges?
    fn check(&self, before: &Reins, spec: &TrainSpec) -> Result<(), SimError> {
        let wrong = |name, value, range| Err(SimError::Range { name, value, range });
        let counts = [
            ("dropout layers", self.dropout.len(), before.dropout.len()),
            ("activations", self.activations.len(), before.activations.len()),
        ];
        for (name, found, expected) in counts {
            if found != expected {
                return wrong(name, found as f64, "as many as the network has");
            }
        }
        if let Some(&value) = self.dropout.iter().find(|p| !(0.0..1.0).contains(*p)) {
            return wrong("dropout", value, "0 ≤ p < 1");
        }
        let mut spec = *spec;
        self.hold_spec(&mut spec);
        spec.check()
    }

    fn hold_spec(&self, spec: &mut TrainSpec) {
        spec.rate = self.rate;
        spec.label_noise = self.label_noise;
        spec.input_noise = self.input_noise;
        spec.temperature = self.temperature;
    }

    /// Puts them into a plan and its settings.
    pub(super) fn hold(&self, plan: &mut Plan, spec: &mut TrainSpec) {
        self.hold_spec(spec);
        let (mut dropout, mut activations) = (self.dropout.iter(), self.activations.iter());
        walk(&mut plan.sites, &mut |layer| match layer {
            Layer::Dropout(layer) => layer.probability = *dropout.next().expect("counted when set"),
            Layer::Activate(layer) => {
                layer.activation = activations.next().expect("counted when set").clone();
            }
            _ => {}
        });
    }
}

/// Every layer in preorder, as [`Plan::all`].
fn walk(sites: &mut [Site], change: &mut dyn FnMut(&mut Layer)) {
    for site in sites {
        change(&mut site.layer);
        walk(&mut site.inside, change);
    }
}

/// What is seen of a member.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a, S> {
    /// Member, step and parameters.
    pub moment: Moment<'a, S>,
    /// The network as it is trained at the moment.
    pub plan: &'a Plan,
    /// Mean loss of the last batch, before its update, as the training saw it: with its noise. `None` at the start and when
    /// it was not finite.
    pub loss: Option<f64>,
}

/// [`super::train_watched`], with reins: what `steer` leaves in them holds from the next step on.
///
/// Reins that stay as they were change no bit of the training.
///
/// * `S`: number type, whatever [`TrainSpec::precision`] says
/// * `steps`: at which to look, in increasing order; 0 is the start
/// * `steer`: called once for each member and step, from any thread
/// * returns: for each member its history and what was seen, in the order of `steps`
///
/// # Errors
/// As [`super::train`]; [`SimError::Range`] when `steer` leaves a value out of its range.
///
/// Checked by `crates/carnot-sim/tests/steer.rs`.
pub fn train_steered<S: Scalar, T: Send>(
    training: &Training,
    members: Range<u64>,
    steps: &[u64],
    steer: &(dyn Fn(Sight<S>, &mut Reins) -> T + Sync),
) -> Result<Vec<(History, Vec<T>)>, SimError> {
    check(training)?;
    let groups = rate::groups(training.plan, training.rates)?;
    let one = |member: u64| {
        let (mut seen, mut refused) = (Vec::new(), None);
        let mut reins = Reins::of(training.plan, &training.spec);
        let mut see = |halt: Halt<S>| {
            if steps.binary_search(&halt.step).is_err() || refused.is_some() {
                return Then::GoOn;
            }
            let parameters = &halt.weights[..halt.plan.parameters];
            let loss = Some(halt.loss).filter(|loss| halt.step > 0 && loss.is_finite());
            let moment = Moment { member, step: halt.step, parameters };
            let before = reins.clone();
            seen.push(steer(Sight { moment, plan: halt.plan, loss }, &mut reins));
            refused = reins.check(&before, &training.spec).err();
            match refused.is_none() && reins != before {
                true => Then::Hold(reins.clone()),
                false => Then::GoOn,
            }
        };
        let mut histories = Block::<S>::new(training, &groups, member..member + 1).run(&|_| {}, &mut see);
        match refused {
            Some(error) => Err(error),
            None => Ok((histories.pop().expect("one member"), seen)),
        }
    };
    members.into_par_iter().map(one).collect()
}
