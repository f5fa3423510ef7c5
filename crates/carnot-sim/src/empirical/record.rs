//! What the tangent kernel is made of: the inputs of every layer with weights, and what an output pulls at each of them.

use super::Network;
use crate::measure::root_rates;
use carnot_math::scalar::Scalar;
use carnot_net::batch::Batch;
use carnot_net::hyper::LayerRate;
use carnot_net::layers::{Layer, LayerRule, Parameter, Role};
use carnot_net::plan::{Plan, Site, Weights};
use carnot_net::tape::{Mode, Tape, Unwatched, Watch};
use rayon::prelude::*;

/// Samples that pass together: enough to fill a matrix product, few enough for the cache.
const TOGETHER: usize = 64;

/// One layer with weights W `[width, fan-in]`, which acts on `positions` rows of every sample.
#[derive(Clone, Debug)]
pub(super) struct LayerRecord<S> {
    pub(super) positions: usize,
    pub(super) fan_in: usize,
    pub(super) width: usize,
    /// λ of every weight, λ_W/fan-in.
    pub(super) weight_rate: f64,
    /// λ of every bias, 0 without biases.
    pub(super) bias_rate: f64,
    /// `[samples, positions, fan-in]`; empty for a layer that uses its weights in another way.
    pub(super) inputs: Vec<S>,
    /// For each output i: ∂z_i/∂(output of this layer), `[samples, positions, width]`.
    pub(super) pulls: Vec<Vec<S>>,
}

/// All layers with weights, in the order of the plan.
pub(super) struct Record<S> {
    pub(super) samples: usize,
    pub(super) outputs: usize,
    pub(super) layers: Vec<LayerRecord<S>>,
}

/// Where the input of a layer comes from.
struct Source<'a> {
    site: &'a Site,
    /// The site whose output enters; none for the data.
    from: Option<usize>,
    /// Whether what enters is known: inside layers other than residual blocks and branches it is not.
    is_plain: bool,
}

fn sources(plan: &Plan) -> Vec<Source<'_>> {
    fn walk<'a>(sites: &'a [Site], mut from: Option<usize>, is_plain: bool, all: &mut Vec<Source<'a>>) {
        for site in sites {
            if site.weighted.is_some() {
                all.push(Source { site, from, is_plain });
            }
            let is_plain = is_plain && matches!(site.layer, Layer::Residual(_) | Layer::Branches(_));
            for arm in site.arm_sites() {
                walk(arm, from, is_plain, all);
            }
            from = Some(site.index);
        }
    }
    let mut all = Vec::new();
    walk(&plan.sites, None, true, &mut all);
    all
}

/// Passes all samples through the network, once forwards and once backwards for each output.
pub(super) fn record<S: Scalar>(
    network: Network<S>,
    rates: &[LayerRate],
    inputs: &[f64],
    samples: usize,
) -> Record<S> {
    let size = network.plan.input.len();
    let sources = sources(network.plan);
    let worker = || Tape::new(Mode::Evaluate);
    let parts: Vec<Vec<LayerRecord<S>>> = inputs
        .par_chunks(TOGETHER * size)
        .map_init(worker, |tape, chunk| pass(network, rates, &sources, chunk, tape))
        .collect();
    let mut parts = parts.into_iter();
    let mut layers = parts.next().expect("at least one sample");
    for part in parts {
        for (layer, more) in layers.iter_mut().zip(part) {
            layer.inputs.extend_from_slice(&more.inputs);
            layer.pulls.iter_mut().zip(&more.pulls).for_each(|(all, new)| all.extend_from_slice(new));
        }
    }
    Record { samples, outputs: network.plan.output().len(), layers }
}

fn pass<S: Scalar>(
    network: Network<S>,
    rates: &[LayerRate],
    sources: &[Source],
    inputs: &[f64],
    tape: &mut Tape<S>,
) -> Vec<LayerRecord<S>> {
    let plan = network.plan;
    let (outputs, samples) = (plan.output().len(), inputs.len() / plan.input.len());
    let layers = sources.iter().map(|source| empty(source.site, rates)).collect();
    let mut ear = Ear { sources, layers };
    let mut input = tape.take(1, samples, &plan.input);
    input.data.iter_mut().zip(inputs).for_each(|(to, from)| *to = S::from_f64(*from));
    ear.hear(None, &input.data);
    let weights = Weights { data: network.parameters, stride: plan.parameters };
    tape.record = true;
    let end = plan.forward(weights, input, tape, &mut ear);
    tape.give(end);
    let saved = tape.copy_saved();
    for output in 0..outputs {
        if output > 0 {
            tape.restore(&saved);
        }
        let mut pull = tape.take(1, samples, plan.output());
        pull.data.fill(S::default());
        pull.data.iter_mut().skip(output).step_by(outputs).for_each(|z| *z = S::from_f64(1.0));
        plan.backward(weights, pull, &mut [], tape, &mut ear);
    }
    let mut layers = ear.layers;
    let is_unknown = |layer: &LayerRecord<S>| layer.inputs.is_empty() || layer.pulls.len() != outputs;
    for (layer, source) in layers.iter_mut().zip(sources).filter(|(layer, _)| is_unknown(layer)) {
        *layer = by_gradients(network, rates, source.site, inputs, tape);
    }
    layers
}

/// A layer of which nothing is known but its gradients, one sample after another: one number enters it, and what it pulls is
/// the gradient of every parameter times √λ.
fn by_gradients<S: Scalar>(
    network: Network<S>,
    rates: &[LayerRate],
    site: &Site,
    inputs: &[f64],
    tape: &mut Tape<S>,
) -> LayerRecord<S> {
    let plan = network.plan;
    let outputs = plan.output().len();
    let roots = root_rates::<S>(plan, rates);
    let width: usize = site.parameters.iter().map(Parameter::len).sum();
    let mut pulls = vec![Vec::new(); outputs];
    let mut gradient = vec![S::default(); plan.parameters];
    let weights = Weights { data: network.parameters, stride: plan.parameters };
    for sample in inputs.chunks_exact(plan.input.len()) {
        for (output, pulls) in pulls.iter_mut().enumerate() {
            let mut input = tape.take(1, 1, &plan.input);
            input.data.iter_mut().zip(sample).for_each(|(to, from)| *to = S::from_f64(*from));
            let mut pull = plan.forward(weights, input, tape, &mut Unwatched);
            pull.data.fill(S::default());
            pull.data[output] = S::from_f64(1.0);
            plan.backward(weights, pull, &mut gradient, tape, &mut Unwatched);
            let own = site.offset..site.offset + width;
            pulls.extend(gradient[own.clone()].iter().zip(&roots[own]).map(|(g, root)| *g * *root));
        }
    }
    let one = S::from_f64(1.0);
    let inputs = vec![one; inputs.len() / plan.input.len()];
    LayerRecord { positions: 1, fan_in: 1, width, weight_rate: 1.0, bias_rate: 0.0, inputs, pulls }
}

fn empty<S>(site: &Site, rates: &[LayerRate]) -> LayerRecord<S> {
    let rate = rates[site.weighted.expect("a site with weights")];
    let has_bias = site.parameters.iter().any(|parameter| parameter.role == Role::Bias);
    LayerRecord {
        positions: site.output.positions(),
        fan_in: site.fan_in(),
        width: site.output.width(),
        weight_rate: rate.weight(site.fan_in()),
        bias_rate: if has_bias { rate.lambda_b } else { 0.0 },
        inputs: Vec::new(),
        pulls: Vec::new(),
    }
}

/// Takes down inputs on the way there and pulls on the way back.
struct Ear<'a, S> {
    sources: &'a [Source<'a>],
    layers: Vec<LayerRecord<S>>,
}

impl<S: Scalar> Ear<'_, S> {
    fn hear(&mut self, from: Option<usize>, values: &[S]) {
        for (source, layer) in self.sources.iter().zip(&mut self.layers) {
            if source.is_plain && source.from == from {
                layer.inputs = source.site.layer.rows(&source.site.input, values).unwrap_or_default();
            }
        }
    }
}

impl<S: Scalar> Watch<S> for Ear<'_, S> {
    fn forward(&mut self, index: usize, output: &Batch<S>) {
        self.hear(Some(index), &output.data);
    }

    fn backward(&mut self, index: usize, gradient: &Batch<S>) {
        for (source, layer) in self.sources.iter().zip(&mut self.layers) {
            if source.site.index == index {
                debug_assert!(source.site.layer.has_weights());
                layer.pulls.push(gradient.data.clone());
            }
        }
    }
}
