//! Many networks, read one by one and remembered only as statistics.
//!
//! An ensemble is cut into jobs of consecutive members. A job gives a [`part::Part`]: running moments of every
//! number that is read, small enough to be a line of a file. Parts are merged in the order of their members, so
//! that threads, interruptions and the order of arrival change no bit of the result.

mod layout;
pub mod part;
pub mod statistics;

use crate::error::SimError;
use crate::initialise::{self, initialise};
use crate::measure::{Ask, Backward, Probe, Tangent, readings};
use crate::train::spec::Precision;
use carnot_math::scalar::Scalar;
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::plan::Plan;
use carnot_net::reading::Labels;
use carnot_net::tape::{Mode, Tape};
use layout::Layout;
use part::Part;
use rayon::prelude::*;
use std::ops::Range;

/// Everything that decides what is read of a member, except which member.
#[derive(Clone, Copy, Debug)]
pub struct Ensemble<'a> {
    /// The network.
    pub plan: &'a Plan,
    /// How members start: one per layer with weights.
    pub init: &'a [LayerInit],
    /// Seed of all members.
    pub seed: u64,
    /// `[samples, shape]`: the inputs on which members are read; at most [`MOST_SAMPLES`] samples.
    pub inputs: &'a [f64],
    /// Classes of the samples, for the observables that need them.
    pub labels: Labels<'a>,
    /// Number type of the networks. Statistics are in `f64` in any case.
    pub precision: Precision,
    /// Whether gradients are read.
    pub gradient: bool,
    /// The tangent kernel of the output with these relative rates, or not.
    pub tangent: Option<TangentAsk<'a>>,
}

/// How the tangent kernel is measured in an ensemble.
#[derive(Clone, Copy, Debug)]
pub struct TangentAsk<'a> {
    /// One per layer with weights.
    pub rates: &'a [LayerRate],
    /// Random directions in output space; 0 for every output.
    pub directions: usize,
}

/// Most samples of a probe: statistics of pairs grow as its square, and every job writes them down.
pub const MOST_SAMPLES: usize = 16;

/// Reads the members of one job, in parallel on the current rayon pool.
///
/// The same ensemble and range give the same bits for any number of threads.
///
/// # Errors
/// [`SimError`] when sizes do not fit. A signal that overflows or dies is a result: the moments of that number
/// have fewer members, and the part says why.
pub fn run_job(ensemble: &Ensemble, members: Range<u64>) -> Result<Part, SimError> {
    check(ensemble)?;
    let layout = Layout::new(ensemble);
    match ensemble.precision {
        Precision::Float32 => Ok(run::<f32>(ensemble, &layout, members)),
        Precision::Float64 => Ok(run::<f64>(ensemble, &layout, members)),
    }
}

/// Members whose numbers are in memory at once, per thread.
const WAVE: u64 = 64;

fn run<S: Scalar>(ensemble: &Ensemble, layout: &Layout, members: Range<u64>) -> Part {
    let mut part = Part::empty(layout, members.start);
    let wave = WAVE * rayon::current_num_threads() as u64;
    let mut start = members.start;
    while start < members.end {
        let end = (start + wave).min(members.end);
        let worker = || (vec![S::default(); ensemble.plan.parameters], Tape::new(Mode::Evaluate));
        let of_member = |(parameters, tape): &mut (Vec<S>, Tape<S>), member: u64| {
            layout.numbers(ensemble, &member_readings(ensemble, member, parameters, tape))
        };
        let numbers: Vec<_> = (start..end).into_par_iter().map_init(worker, of_member).collect();
        // In the order of members, whichever thread read them.
        numbers.iter().for_each(|numbers| part.push(numbers));
        start = end;
    }
    part
}

fn member_readings<S: Scalar>(
    ensemble: &Ensemble,
    member: u64,
    parameters: &mut [S],
    tape: &mut Tape<S>,
) -> Vec<carnot_net::reading::Reading> {
    let Ensemble { plan, init, seed, inputs, .. } = *ensemble;
    initialise(plan, init, seed, member, parameters);
    let probe = Probe { inputs, samples: inputs.len() / plan.input.len() };
    let backward = if ensemble.gradient { Backward::Directions { seed } } else { Backward::Nothing };
    let tangent = ensemble.tangent.map(|ask| Tangent { rates: ask.rates, directions: ask.directions, seed });
    readings(plan, parameters, probe, &Ask { backward, tangent }, member, tape)
}

fn check(ensemble: &Ensemble) -> Result<(), SimError> {
    let plan = ensemble.plan;
    initialise::check(plan, ensemble.init)?;
    if ensemble.inputs.is_empty() {
        return Err(SimError::NoSamples);
    }
    if !ensemble.inputs.len().is_multiple_of(plan.input.len()) {
        return Err(SimError::Input { expected: plan.input.clone(), found: ensemble.inputs.len() });
    }
    let samples = ensemble.inputs.len() / plan.input.len();
    if samples > MOST_SAMPLES {
        return Err(SimError::Range { name: "probe samples", value: samples as f64, range: "1 to 16" });
    }
    match &ensemble.tangent {
        Some(ask) if ask.rates.len() != plan.weighted => {
            Err(SimError::Rates { expected: plan.weighted, found: ask.rates.len() })
        }
        _ => Ok(()),
    }
}
