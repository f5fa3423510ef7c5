//! What passes through the layers of a real network: readings, taken while values and gradients go by.

use crate::loss::{Loss, Wanted};
use carnot_math::device::cpu;
use carnot_math::random::Stream;
use carnot_math::scalar::Scalar;
use carnot_net::batch::Batch;
use carnot_net::hyper::LayerRate;
use carnot_net::kernel::{Gram, Positions};
use carnot_net::layers::Role;
use carnot_net::plan::{Plan, Weights};
use carnot_net::reading::Reading;
use carnot_net::tape::{Mode, Tape, Unwatched, Watch};

/// Inputs on which layers are read.
#[derive(Clone, Copy, Debug)]
pub struct Probe<'a> {
    /// `[samples, shape]`, in the shape of the network's input.
    pub inputs: &'a [f64],
    /// Number of samples N ≥ 1.
    pub samples: usize,
}

/// Of what the gradient is taken.
#[derive(Clone, Copy, Debug)]
pub enum Backward<'a> {
    /// No gradient is measured.
    Nothing,
    /// Of the output along a random Gaussian direction, one for each sample of each member: what theory averages.
    Directions {
        /// Seed of the directions.
        seed: u64,
    },
    /// Of a loss.
    Loss(Loss, Wanted<'a, f64>),
}

/// How the tangent kernel of the output is measured.
#[derive(Clone, Copy, Debug)]
pub struct Tangent<'a> {
    /// One per layer with weights.
    pub rates: &'a [LayerRate],
    /// Random directions in output space over which it is averaged; 0 for every output, one after another.
    pub directions: usize,
    /// Seed of the directions.
    pub seed: u64,
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Gradients, or not.
    pub backward: Backward<'a>,
    /// Tangent kernel of the output, or not.
    pub tangent: Option<Tangent<'a>>,
}

/// Readings of every read site of one member, in the order of [`Plan::read_sites`], with dropout off.
///
/// Grams are taken from the vectors themselves in `f64`, whatever type the network runs in. The gradient of a
/// sample at a layer is $|\partial_{z^{(\ell)}}|^2/|\partial_{z^{(L)}}|^2$; where the gradient is exactly zero at the
/// output, none is reported.
///
/// * `parameters`: `[plan.parameters]`
/// * `member`: names the random directions
/// * `tape`: buffers, used again from call to call
///
/// # Panics
/// When `parameters`, the probe or the rates do not have the plan's sizes.
pub fn readings<S: Scalar>(
    plan: &Plan,
    parameters: &[S],
    probe: Probe,
    ask: &Ask,
    member: u64,
    tape: &mut Tape<S>,
) -> Vec<Reading> {
    assert_eq!(probe.inputs.len(), probe.samples * plan.input.len(), "the probe is [samples, shape]");
    let weights = Weights { data: parameters, stride: plan.parameters };
    let mut eye = Eye::new(plan, probe.samples);
    tape.mode = Mode::Evaluate;
    tape.record = !matches!(ask.backward, Backward::Nothing);
    let outputs = plan.forward(weights, inputs(plan, probe, tape), tape, &mut eye);
    if tape.record {
        let gradient = output_gradient(outputs, probe.samples, ask.backward, member, tape);
        eye.output = per_sample(&gradient);
        let mut gradients = tape.take_values(plan.parameters);
        plan.backward(weights, gradient, &mut gradients, tape, &mut eye);
        tape.give_values(gradients);
    } else {
        tape.give(outputs);
    }
    let mut readings = eye.readings(plan);
    if let (Some(tangent), Some(last)) = (&ask.tangent, readings.last_mut()) {
        last.tangent = Some(tangent_kernel(plan, weights, probe, tangent, member, tape));
    }
    readings
}

/// Neural tangent kernel of the output, averaged over outputs:
///
/// $$ \Theta_{ab} = \frac{1}{n_L}\sum_i \sum_\mu \lambda_\mu \,\partial_\mu z_{ia}\,\partial_\mu z_{ib}, $$
///
/// with λ_W/fan-in for weights and λ_b for biases; gains and shifts count as frozen. Distances
/// $\Theta_{aa} + \Theta_{bb} - 2\Theta_{ab}$ are taken from differences of gradients. Costs N (or N n_L) passes and
/// keeps N gradients in memory.
fn tangent_kernel<S: Scalar>(
    plan: &Plan,
    weights: Weights<S>,
    probe: Probe,
    tangent: &Tangent,
    member: u64,
    tape: &mut Tape<S>,
) -> Gram {
    let scales = root_rates::<S>(plan, tangent.rates);
    let outputs = plan.output().len();
    let directions = if tangent.directions == 0 { outputs } else { tangent.directions };
    let mut sum = Gram::zeros(probe.samples, 1, Positions::Full);
    let mut gradients: Vec<Vec<S>> = (0..probe.samples).map(|_| tape.take_values(plan.parameters)).collect();
    tape.record = true;
    for at in 0..directions {
        let mut direction = vec![0.0; outputs];
        if tangent.directions == 0 {
            // A unit vector has squared length 1, a Gaussian one n_L on average: equal after the division below.
            direction[at] = (outputs as f64).sqrt();
        } else {
            Stream::new(tangent.seed, "tangent direction", &[member, at as u64])
                .fill_normal(&mut direction, 1.0);
        }
        for (sample, gradient) in gradients.iter_mut().enumerate() {
            let size = plan.input.len();
            let one = Probe { inputs: &probe.inputs[sample * size..(sample + 1) * size], samples: 1 };
            let input = inputs(plan, one, tape);
            let mut output = plan.forward(weights, input, tape, &mut Unwatched);
            output.data.iter_mut().zip(&direction).for_each(|(z, r)| *z = S::from_f64(*r));
            plan.backward(weights, output, gradient, tape, &mut Unwatched);
            cpu::multiply_assign(gradient, &scales);
        }
        add_products(&mut sum, &gradients, (directions * outputs) as f64);
    }
    gradients.into_iter().for_each(|gradient| tape.give_values(gradient));
    sum
}

/// Adds squared lengths and squared distances of vectors, divided by `by`.
fn add_products<S: Scalar>(sum: &mut Gram, vectors: &[Vec<S>], by: f64) {
    for (variance, vector) in sum.variance.iter_mut().zip(vectors) {
        *variance += cpu::sum_of_squares(vector) / by;
    }
    let before = sum.clone();
    sum.fill_pairs(|a, b| {
        let square = |(x, y): (&S, &S)| (x.to_f64() - y.to_f64()).powi(2);
        let distance = vectors[a].iter().zip(&vectors[b]).map(square).sum::<f64>() / by;
        distance + before.distance_of(a, b).expect("a pair that is kept")
    });
}

/// √λ of every parameter.
pub(crate) fn root_rates<S: Scalar>(plan: &Plan, rates: &[LayerRate]) -> Vec<S> {
    assert_eq!(rates.len(), plan.weighted, "one pair of rates per layer with weights");
    let mut all = vec![S::default(); plan.parameters];
    for site in plan.all() {
        let mut start = site.offset;
        for parameter in &site.parameters {
            let rate = site.weighted.map(|at| rates[at]);
            let lambda = match (parameter.role, rate) {
                (Role::Weight, Some(rate)) => rate.weight(parameter.fan_in),
                (Role::Bias, Some(rate)) => rate.lambda_b,
                _ => 0.0,
            };
            all[start..start + parameter.len()].fill(S::from_f64(lambda.sqrt()));
            start += parameter.len();
        }
    }
    all
}

fn inputs<S: Scalar>(plan: &Plan, probe: Probe, tape: &mut Tape<S>) -> Batch<S> {
    let mut input = tape.take(1, probe.samples, &plan.input);
    input.data.iter_mut().zip(probe.inputs).for_each(|(to, from)| *to = S::from_f64(*from));
    input
}

fn output_gradient<S: Scalar>(
    mut outputs: Batch<S>,
    samples: usize,
    backward: Backward,
    member: u64,
    tape: &mut Tape<S>,
) -> Batch<S> {
    match backward {
        Backward::Nothing => {}
        Backward::Directions { seed } => {
            Stream::new(seed, "gradient direction", &[member]).fill_normal(&mut outputs.data, 1.0);
        }
        Backward::Loss(loss, wanted) => {
            let mut gradient = tape.take(1, samples, &outputs.shape);
            match wanted {
                Wanted::Classes(labels) => {
                    loss.of(&outputs.data, samples, Wanted::Classes(labels), &mut gradient.data);
                }
                Wanted::Values(values) => {
                    let values: Vec<S> = values.iter().map(|&x| S::from_f64(x)).collect();
                    loss.of(&outputs.data, samples, Wanted::Values(&values), &mut gradient.data);
                }
            }
            tape.give(std::mem::replace(&mut outputs, gradient));
        }
    }
    outputs
}

/// Squared norm of each sample of a batch of one member.
fn per_sample<S: Scalar>(batch: &Batch<S>) -> Vec<f64> {
    batch.data.chunks_exact(batch.shape.len()).map(cpu::sum_of_squares).collect()
}

/// Takes down what it sees at the sites that are read.
struct Eye {
    samples: usize,
    /// Place among the read sites of each site of the preorder.
    place: Vec<Option<usize>>,
    grams: Vec<Option<Gram>>,
    gradients: Vec<Vec<f64>>,
    output: Vec<f64>,
    scratch: Vec<f64>,
}

impl Eye {
    fn new(plan: &Plan, samples: usize) -> Eye {
        let read = plan.read_sites();
        let mut place = vec![None; plan.all().len()];
        for (i, site) in read.iter().enumerate() {
            place[site.index] = Some(i);
        }
        Eye {
            samples,
            place,
            grams: vec![None; read.len()],
            gradients: vec![Vec::new(); read.len()],
            output: Vec::new(),
            scratch: Vec::new(),
        }
    }

    fn readings(self, plan: &Plan) -> Vec<Reading> {
        let known = !self.output.is_empty() && self.output.iter().all(|&norm| norm > 0.0);
        let relative = |squares: Vec<f64>| squares.iter().zip(&self.output).map(|(g, o)| g / o).collect();
        let sites = plan.read_sites().into_iter().zip(self.grams.into_iter().zip(self.gradients));
        let reading =
            |(site, (gram, gradient)): (&carnot_net::plan::Site, (Option<Gram>, Vec<f64>))| Reading {
                index: site.index,
                layer: site.name.clone(),
                width: site.output.width(),
                forward: gram.expect("a forward pass goes through every read site"),
                tangent: None,
                gradient: if known { relative(gradient) } else { Vec::new() },
            };
        sites.map(reading).collect()
    }
}

impl<S: Scalar> Watch<S> for Eye {
    fn forward(&mut self, index: usize, output: &Batch<S>) {
        if let Some(place) = self.place[index] {
            self.scratch.clear();
            self.scratch.extend(output.data.iter().map(|x| x.to_f64()));
            // Positions side by side are one long vector.
            self.grams[place] = Some(Gram::of_vectors(&self.scratch, self.samples, 1, Positions::Full));
        }
    }

    fn backward(&mut self, index: usize, gradient: &Batch<S>) {
        if let Some(place) = self.place[index] {
            self.gradients[place] = per_sample(gradient);
        }
    }
}
