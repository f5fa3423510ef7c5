//! Every row of the layer table, K and Θ: theory at n → ∞ against real networks at widths n and 2n. The 1/n bias is
//! removed by the combination 2 x(2n) − x(n), and the rest is judged in standard errors.

use carnot_math::random::Stream;
use carnot_math::stats::Moments;
use carnot_net::batch::Batch;
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::kernel::{Gram, Kernel, Positions};
use carnot_net::layers::{KEYS, LayerRule, Role};
use carnot_net::network::Network;
use carnot_net::parametrization::Parametrization;
use carnot_net::plan::{Plan, Theory, Weights};
use carnot_net::reading::merge_positions;
use carnot_net::tape::{Mode, Tape, Unwatched};

const SEED: u64 = 20_261_122;
const SAMPLES: usize = 2;
const MEMBERS: u64 = 400;

/// Kinds whose theory is said to be unknown: `batch_norm` makes of a sample what the others of its batch are, `unembedding` knows the
/// vectors that it reads (its logits are tested in `carnot-lab/tests/tied.rs`).
const WITHOUT_THEORY: &[&str] = &["batch_norm", "unembedding"];

/// Networks that between them hold every kind of layer; `n` and `m` stand for the widths n and 2n.
const NETWORKS: &[(&str, &str)] = &[
    ("dense", "[6] | { dense = n }, { act = 'linear' }, { dense = n, bias = false }"),
    ("dense", "[3, 2] | { dense = n, c_w = 0.7 }, { act = 'relu' }, { dense = n, c_b = 0.3 }"),
    ("act", "[6] | { dense = n }, { act = 'elu' }, { dense = n }"),
    ("norm", "[6] | { dense = n }, { norm = 'layer' }, { act = 'tanh' }, { norm = 'rms' }, { dense = n }"),
    (
        "norm",
        "[2, 3, 2] | { conv = n, kernel = 2 }, { act = 'relu' }, { norm = 'layer', axes = [0, 1] }, { conv = n }, { act = 'softplus' }, { norm = 'layer', axes = [1] }, { flatten = true }, { dense = n }",
    ),
    (
        "norm",
        "[4, 2] | { conv = n }, { norm = 'rms', axes = [0] }, { act = 'relu' }, { pool = 'global' }, { dense = n }",
    ),
    (
        "dropout",
        "[6] | { dense = n }, { act = 'relu' }, { dropout = 0.4 }, { dense = n }, { act = 'tanh' }, { dense = n }",
    ),
    (
        "dropout",
        "[3, 2] | { conv = n }, { act = 'relu' }, { dropout = 0.2 }, { pool = 'global' }, { dense = n }",
    ),
    ("conv", "[4, 3, 2] | { conv = n, stride = 2 }, { act = 'tanh' }, { conv = n }"),
    (
        "conv_transposed",
        "[3, 2, 2] | { conv_transposed = n, kernel = [3, 2], stride = [2, 1] }, { act = 'tanh' }, { pool = 'global' }, { dense = n }",
    ),
    (
        "conv_local",
        "[4, 3, 2] | { conv = n }, { act = 'relu' }, { conv_local = n, kernel = [2, 3], stride = [2, 1] }, { act = 'tanh' }, { pool = 'global' }, { dense = n }",
    ),
    (
        "pool",
        "[6, 2] | { conv = n }, { pool = 2 }, { act = 'relu' }, { conv = n }, { pool = 'global' }, { act = 'tanh' }, { dense = n }",
    ),
    (
        "pool",
        "[4, 2] | { conv = n }, { act = 'relu' }, { pool = 3, stride = 1, padding = 'same', normalize_edges = true }, { conv = n }, { pool = 2, reduce = 'sum' }, { flatten = true }, { dense = n }",
    ),
    ("flatten", "[4, 3] | { conv = n }, { act = 'relu' }, { flatten = true }, { dense = n }"),
    (
        "residual",
        "[6] | { dense = n }, { residual = 0.7, branch = 1.2, block = [{ act = 'silu' }, { dense = n }] }",
    ),
    // The block ends in an activation: branch and skip share their means.
    (
        "residual",
        "[6] | { dense = n }, { act = 'softplus' }, { residual = 0.7, branch = 0.8, block = [{ dense = n }, { act = 'sigmoid' }] }, { dense = n }",
    ),
    ("repeat", "[6] | { repeat = 3, block = [{ dense = n }, { act = 'erf' }] }, { dense = n }"),
    (
        "branches",
        "[6] | { branches = 'concat', of = [[{ dense = n }, { act = 'relu' }], [{ dense = m }, { act = 'erf' }]] }, { dense = n }",
    ),
    (
        "branches",
        "[6] | { dense = n }, { branches = 'sum', of = [[], [{ act = 'relu' }, { dense = n }], [{ act = 'cos' }, { dense = n }]] }, { act = 'tanh' }, { dense = n }",
    ),
    (
        "branches",
        "[6] | { dense = n }, { branches = 'sum', of = [[{ act = 'cos' }], [{ dense = n }, { act = 'cos' }]] }, { dense = n }",
    ),
    (
        "branches",
        "[6] | { dense = n }, { branches = 'product', of = [[{ act = 'relu' }], [{ dense = n }, { act = 'sigmoid' }], [{ dense = n }]] }, { dense = n }",
    ),
    (
        "branches",
        "[4, 2] | { branches = 'product', of = [[{ conv = n }], [{ conv = n }, { act = 'sigmoid' }]] }, { pool = 'global' }, { dense = n }",
    ),
    (
        "attention",
        "[3, 4] | { attention = n, heads = 4, key = m, value = n, scaling = 'linear', c_key = 0.9 }, { act = 'relu' }, { pool = 'global' }, { dense = n }",
    ),
    (
        "attention",
        "[3, 4] | { dense = n }, { attention = n, heads = 4, key = m, value = n, scaling = 'linear', weighting = 'identity', c_w = 0.8, positions = { c_w = 0.5, values = false } }, { flatten = true }, { dense = n }",
    ),
    (
        "attention",
        "[3, 4] | { dense = n }, { attention = n, heads = 4, key = m, value = n, scaling = 'linear', weighting = 'relu', positions = { c_w = 0.5, decay = 2.0 } }, { flatten = true }, { dense = n }",
    ),
    (
        "attention",
        "[3, 4] | { attention = n, heads = m, key = m, value = 2, weighting = 'identity', c_query = 0.8, c_key = 0.7 }, { flatten = true }, { dense = n }",
    ),
    (
        "attention",
        "[2, 4] | { dense = n }, { attention = n, heads = m, key = m, value = 2, c_query = 1.1, c_key = 0.9 }, { act = 'tanh' }, { flatten = true }, { dense = n }",
    ),
    (
        "embedding",
        "[4, 1] | { embedding = n, vocabulary = 3, c_w = 0.8 }, { conv = n, kernel = 2 }, { act = 'relu' }, { pool = 'global' }, { dense = n }",
    ),
    (
        "positional",
        "[4, 1] | { embedding = n, vocabulary = 3 }, { positional = true, decay = 3.0, c_w = 0.5 }, { dense = n }, { act = 'relu' }, { pool = 'global' }, { dense = n }",
    ),
    (
        "positional",
        "[2, 3, 2] | { conv = n }, { positional = true, decay = 1.5 }, { act = 'tanh' }, { pool = 'global' }, { dense = n }",
    ),
    (
        "exp_normalized",
        "[6] | { dense = n }, { exp_normalized = 1.0 }, { dense = n }, { exp_normalized = 0.5, shift = -0.8 }, { dense = n }",
    ),
];

struct Case {
    name: String,
    plan: Plan,
    init: Vec<LayerInit>,
    rate: Vec<LayerRate>,
    mode: Mode,
}

impl Case {
    fn new(text: &str, n: usize, mode: Mode) -> Case {
        let (input, layers) = text.split_once(" | ").expect("input | layers");
        let layers = layers.replace("= n", &format!("= {n}")).replace("= m", &format!("= {}", 2 * n));
        let text = format!("input = {input}\nlayers = [{layers}]");
        let network = Network::from_toml(&text).unwrap_or_else(|why| panic!("{text}: {why}"));
        let plan = Plan::new(&network).unwrap_or_else(|why| panic!("{text}: {why}"));
        let own = |site: &carnot_net::plan::Site| {
            let chosen = site.layer.chosen();
            LayerInit::normal(chosen.c_w.unwrap_or(1.4), chosen.c_b.unwrap_or(0.1))
        };
        let init: Vec<LayerInit> = plan.weighted_sites().into_iter().map(own).collect();
        let rate = Parametrization::Ntk.rates(&plan, &init);
        Case { name: text, plan, init, rate, mode }
    }

    fn inputs(&self) -> Vec<f64> {
        let mut values = vec![0.0; SAMPLES * self.plan.input.len()];
        Stream::new(SEED, "inputs", &[]).fill_normal(&mut values, 1.0);
        if self.name.contains("embedding") {
            let token = |x: &f64| (x.abs() * 2.0).floor().min(2.0);
            values = values.iter().map(token).collect();
        }
        values
    }

    /// K and Θ of the output: variances and distances of each.
    fn predicted(&self) -> Vec<f64> {
        let theory = Theory { init: &self.init, rate: &self.rate, mode: self.mode };
        let (positions, keep) = (self.plan.input.positions(), self.plan.positions());
        let inputs = Kernel::of_inputs(&self.inputs(), SAMPLES, positions, keep, true);
        let kernels = self.plan.propagate(inputs, &theory);
        let last = self.plan.sites.last().expect("layers").index;
        let output = kernels[last].as_ref().unwrap_or_else(|why| panic!("{}: {why}", self.name));
        let tangent = output.tangent.as_ref().expect("asked for");
        [cells(&merge_positions(&output.forward)), cells(&merge_positions(tangent))].concat()
    }

    fn member(&self, member: u64) -> Vec<f64> {
        let mut weights = vec![0.0; self.plan.parameters];
        let mut scales = vec![0.0; self.plan.parameters];
        for site in self.plan.all() {
            let mut at = site.offset;
            for parameter in &site.parameters {
                let place = at..at + parameter.len();
                at = place.end;
                let mut stream = Stream::new(SEED, "member", &[member, place.start as u64]);
                let values = &mut weights[place.clone()];
                let hyper = site.weighted.map(|at| (self.init[at], self.rate[at]));
                match (parameter.role, hyper) {
                    (Role::Weight, Some((init, rate))) => {
                        stream.fill_normal(values, (init.c_w / parameter.fan_in as f64).sqrt());
                        scales[place].fill(rate.weight(parameter.fan_in).sqrt());
                    }
                    (Role::Bias, Some((init, rate))) => {
                        stream.fill_normal(values, init.c_b.sqrt());
                        scales[place].fill(rate.lambda_b.sqrt());
                    }
                    (Role::Gain | Role::RunningVariance, _) => values.fill(1.0),
                    _ => values.fill(0.0),
                }
            }
        }
        let (plan, inputs) = (&self.plan, self.inputs());
        let positions = plan.output().positions();
        let width = plan.output().width();
        let all = Weights { data: &weights, stride: plan.parameters };
        let mut tape = Tape::new(self.mode);
        let mut forward = |tape: &mut Tape<f64>| {
            tape.noise = vec![Stream::new(SEED, "noise", &[member])];
            let input = Batch::repeated(1, SAMPLES, &plan.input, &inputs);
            plan.forward(all, input, tape, &mut Unwatched)
        };
        let output = forward(&mut tape);
        tape.rewind();
        let kernel = Gram::of_vectors(&output.data, SAMPLES, positions, Positions::Full);
        // Θ of the first feature at each position, averaged over positions.
        let mut tangent = Gram::zeros(SAMPLES, 1, Positions::Full);
        for position in 0..positions {
            let gradient =
                |sample: usize,
                 tape: &mut Tape<f64>,
                 forward: &mut dyn FnMut(&mut Tape<f64>) -> Batch<f64>| {
                    let mut direction = forward(tape);
                    direction.data.fill(0.0);
                    direction.data[(sample * positions + position) * width] = 1.0;
                    let mut gradient = vec![0.0; plan.parameters];
                    plan.backward(all, direction, &mut gradient, tape, &mut Unwatched);
                    gradient.iter().zip(&scales).map(|(g, s)| g * s).collect::<Vec<f64>>()
                };
            let gradients: Vec<f64> =
                (0..SAMPLES).flat_map(|a| gradient(a, &mut tape, &mut forward)).collect();
            let mut one = Gram::of_vectors(&gradients, SAMPLES, 1, Positions::Full);
            let count = plan.parameters as f64 / positions as f64;
            one.variance.iter_mut().chain(&mut one.distance).for_each(|x| *x *= count);
            tangent.variance.iter_mut().zip(&one.variance).for_each(|(t, x)| *t += x);
            tangent.distance.iter_mut().zip(&one.distance).for_each(|(t, x)| *t += x);
        }
        [cells(&merge_positions(&kernel)), cells(&tangent)].concat()
    }

    fn sampled(&self) -> Vec<Moments> {
        let mut all = vec![Moments::default(); 2 * (SAMPLES + SAMPLES * (SAMPLES - 1) / 2)];
        for member in 0..MEMBERS {
            all.iter_mut().zip(self.member(member)).for_each(|(cell, value)| cell.push(value));
        }
        all
    }
}

fn cells(gram: &Gram) -> Vec<f64> {
    let distances = gram.pairs().map(|(a, b)| gram.distance_of(a, b).expect("kept"));
    gram.variance.iter().copied().chain(distances).collect()
}

fn check(text: &str, mode: Mode) -> Vec<String> {
    let n = 16;
    let (narrow, wide) = (Case::new(text, n, mode), Case::new(text, 2 * n, mode));
    let (at_n, at_2n) = (narrow.sampled(), wide.sampled());
    let mut wrong = Vec::new();
    for (cell, expect) in narrow.predicted().iter().enumerate() {
        let value = 2.0 * at_2n[cell].mean() - at_n[cell].mean();
        let error = (4.0 * at_2n[cell].error().powi(2) + at_n[cell].error().powi(2)).sqrt();
        let z = (value - expect) / error;
        if z.is_nan() || z.abs() >= 4.0 {
            wrong.push(format!("{text} ({mode:?}) cell {cell}: {value:.4} ± {error:.4}, theory {expect:.4}, z = {z:.2}, seed {SEED}"));
        }
    }
    wrong
}

#[test]
fn every_kind_of_layer_has_the_kernels_of_real_networks() {
    for key in KEYS.iter().filter(|key| !WITHOUT_THEORY.contains(key)) {
        assert!(NETWORKS.iter().any(|(kind, _)| kind == key), "no network tests the kernels of `{key}`");
    }
    let mut wrong = Vec::new();
    for (key, text) in NETWORKS {
        wrong.extend(check(text, Mode::Evaluate));
        if *key == "dropout" {
            wrong.extend(check(text, Mode::Train));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn batch_norm_has_no_kernel_and_says_why() {
    let text = "input = [4]\nlayers = [{ dense = 5 }, { batch_norm = 0.1 }, { act = 'relu' }, { dense = 2 }]";
    let plan = Plan::new(&Network::from_toml(text).unwrap()).unwrap();
    let init = vec![LayerInit::normal(1.0, 0.0); plan.weighted];
    let theory = Theory::new(&init, &[]);
    let inputs: Vec<f64> = (0..12).map(|i| f64::from(i).sin()).collect();
    let kernels = plan.propagate(Kernel::of_inputs(&inputs, 3, 1, Positions::Diagonal, false), &theory);
    let words: Vec<String> =
        kernels.iter().filter_map(|kernel| kernel.as_ref().err()).map(ToString::to_string).collect();
    assert!(words[0].contains("normalised together") && kernels[0].is_ok(), "{words:?}");
}
