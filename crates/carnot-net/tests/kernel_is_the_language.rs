//! The spike on which the architecture stands: does a kernel stored as variances and squared distances say what
//! real networks do, for every kind of layer? Theory at n → ∞ against samples at widths n and 2n; the 1/n bias
//! is removed by the combination 2 x(2n) − x(n), and the rest is judged in standard errors.

use carnot_math::random::Stream;
use carnot_math::stats::{Moments, chi_squared_tail};
use carnot_net::batch::Batch;
use carnot_net::hyper::LayerInit;
use carnot_net::kernel::{Gram, Kernel, Positions};
use carnot_net::layers::Role;
use carnot_net::network::Network;
use carnot_net::plan::{Plan, Theory, Weights};
use carnot_net::reading::{Reading, merge_positions};
use carnot_net::tape::{Mode, Tape, Watch};

const SEED: u64 = 20_261_121;

/// Keeps a reading of every read site of one member.
struct Readings<'a> {
    plan: &'a Plan,
    seen: Vec<Reading>,
}

impl Watch<f64> for Readings<'_> {
    fn forward(&mut self, index: usize, output: &Batch<f64>) {
        if let Some(site) = self.plan.read_sites().into_iter().find(|site| site.index == index) {
            let positions = output.shape.positions();
            self.seen.push(Reading::of_vectors(
                index,
                &site.name,
                output.member(0),
                output.samples,
                positions,
            ));
        }
    }
    fn backward(&mut self, _: usize, _: &Batch<f64>) {}
}

fn draw(plan: &Plan, init: LayerInit, member: u64) -> Vec<f64> {
    let mut weights = vec![0.0; plan.parameters];
    for site in plan.all() {
        let mut at = site.offset;
        for parameter in &site.parameters {
            let values = &mut weights[at..at + parameter.len()];
            let mut stream = Stream::new(SEED, "spike", &[member, site.index as u64, at as u64]);
            match parameter.role {
                Role::Weight => stream.fill_normal(values, (init.c_w / parameter.fan_in as f64).sqrt()),
                Role::Bias => stream.fill_normal(values, init.c_b.sqrt()),
                Role::Gain | Role::RunningVariance => values.fill(1.0),
                Role::Shift | Role::RunningMean => values.fill(0.0),
            }
            at += parameter.len();
        }
    }
    weights
}

/// Mean over members of every variance and distance of every read site.
fn sample(
    network: &str,
    init: LayerInit,
    inputs: &[f64],
    samples: usize,
    members: u64,
) -> Vec<(String, Vec<Moments>)> {
    let plan = Plan::new(&Network::from_toml(network).expect("a valid network")).expect("a valid plan");
    let mut rows: Vec<(String, Vec<Moments>)> = Vec::new();
    let mut tape = Tape::new(Mode::Evaluate);
    tape.record = false;
    for member in 0..members {
        let weights = draw(&plan, init, member);
        let mut watch = Readings { plan: &plan, seen: Vec::new() };
        let input = Batch::repeated(1, samples, &plan.input, inputs);
        let all = Weights { data: &weights, stride: plan.parameters };
        let output = plan.forward(all, input, &mut tape, &mut watch);
        tape.give(output);
        if rows.is_empty() {
            let cells = samples + samples * (samples - 1) / 2;
            rows = watch.seen.iter().map(|r| (r.layer.clone(), vec![Moments::default(); cells])).collect();
        }
        for ((_, cells), reading) in rows.iter_mut().zip(&watch.seen) {
            for (cell, value) in cells.iter_mut().zip(values(&reading.forward)) {
                cell.push(value);
            }
        }
    }
    rows
}

fn values(gram: &Gram) -> Vec<f64> {
    let distances = gram.pairs().map(|(a, b)| gram.distance_of(a, b).expect("kept"));
    gram.variance.iter().copied().chain(distances).collect()
}

/// Samples at widths n and 2n against theory: every |z| < 4 and χ² over all.
fn agrees(
    network: impl Fn(usize) -> String,
    n: usize,
    init: LayerInit,
    inputs: &[f64],
    samples: usize,
    members: u64,
) {
    let plan = Plan::new(&Network::from_toml(&network(n)).expect("valid")).expect("valid");
    let init_of_all = vec![init; plan.weighted];
    let theory = Theory::new(&init_of_all, &[]);
    let kernel = Kernel::of_inputs(inputs, samples, plan.input.positions(), plan.positions(), false);
    let predicted = plan.propagate(kernel, &theory);
    let narrow = sample(&network(n), init, inputs, samples, members);
    let wide = sample(&network(2 * n), init, inputs, samples, members);
    let (mut chi2, mut dof) = (0.0, 0.0);
    for (site, ((name, at_n), (_, at_2n))) in plan.read_sites().iter().zip(narrow.iter().zip(&wide)) {
        let kernel = predicted[site.index].as_ref().unwrap_or_else(|why| panic!("{name}: {why}"));
        for (cell, (expect, (a, b))) in
            values(&merge_positions(&kernel.forward)).iter().zip(at_n.iter().zip(at_2n)).enumerate()
        {
            let value = 2.0 * b.mean() - a.mean();
            let error = (4.0 * b.error().powi(2) + a.error().powi(2)).sqrt();
            let z = (value - expect) / error;
            assert!(
                z.abs() < 4.0,
                "{name} cell {cell}: {value} ± {error}, theory {expect}, z = {z:.2}, seed {SEED}"
            );
            chi2 += z * z;
            dof += 1.0;
        }
    }
    // Cells of one network are correlated, so χ² is wider than its law; a tail of 1e-5 still means disagreement.
    let tail = chi_squared_tail(chi2 / 3.0, dof / 3.0);
    assert!(tail > 1e-5, "χ² = {chi2:.1} over {dof} cells");
}

fn inputs(samples: usize, len: usize) -> Vec<f64> {
    let mut values = vec![0.0; samples * len];
    Stream::new(SEED, "inputs", &[]).fill_normal(&mut values, 1.0);
    values
}

#[test]
fn dense_networks_follow_the_kernel() {
    let network = |n: usize| {
        format!(
            "input = [6]\nlayers = [{{ repeat = 3, block = [{{ dense = {n} }}, {{ act = 'tanh' }}] }}, {{ dense = {n} }}]"
        )
    };
    agrees(network, 24, LayerInit::normal(1.3, 0.05), &inputs(3, 6), 3, 2000);
}

#[test]
fn convolution_with_average_pooling_follows_the_kernel() {
    let network = |n: usize| {
        format!(
            "input = [4, 4, 2]\nlayers = [{{ conv = {n} }}, {{ act = 'relu' }}, {{ pool = 2 }}, {{ conv = {n}, kernel = 2 }},
             {{ act = 'tanh' }}, {{ pool = 'global' }}, {{ dense = {n} }}]"
        )
    };
    agrees(network, 16, LayerInit::normal(1.8, 0.1), &inputs(3, 32), 3, 1200);
}

#[test]
fn windows_of_every_form_follow_the_kernel() {
    // Rectangular images and filters, even sizes, all three paddings, overlapping averages and sums at the edges.
    let network = |n: usize| {
        format!(
            "input = [5, 4, 2]\nlayers = [{{ conv = {n}, kernel = [2, 3], padding = 'circular' }}, {{ act = 'relu' }}, {{ pool = [2, 3], stride = [1, 2], padding = 'same', normalize_edges = true }},
             {{ conv = {n}, kernel = [4, 1], stride = [2, 1] }}, {{ act = 'erf' }}, {{ pool = 2, stride = 1, padding = 'circular', reduce = 'sum' }},
             {{ conv = {n}, kernel = 2, padding = 'valid' }}, {{ act = 'tanh' }}, {{ pool = 'global', reduce = 'sum' }}, {{ dense = {n} }}]"
        )
    };
    agrees(network, 16, LayerInit::normal(1.1, 0.1), &inputs(2, 40), 2, 1500);
}

#[test]
fn convolution_with_flatten_needs_equal_positions_only() {
    let network = |n: usize| {
        format!(
            "input = [8, 2]\nlayers = [{{ conv = {n}, stride = 2 }}, {{ act = 'erf' }}, {{ conv = {n}, padding = 'valid' }}, {{ act = 'sin' }}, {{ flatten = true }}, {{ dense = {n} }}]"
        )
    };
    let plan = Plan::new(&Network::from_toml(&network(4)).unwrap()).unwrap();
    assert_eq!(plan.positions(), Positions::Diagonal);
    agrees(network, 16, LayerInit::normal(1.2, 0.1), &inputs(3, 16), 3, 1500);
}

#[test]
fn residual_networks_follow_the_kernel() {
    let network = |n: usize| {
        format!(
            "input = [6]\nlayers = [{{ dense = {n} }}, {{ repeat = 3, block = [{{ residual = 0.8, branch = 0.7, block = [{{ act = 'gelu' }}, {{ dense = {n} }}] }}] }}]"
        )
    };
    agrees(network, 32, LayerInit::normal(1.9, 0.1), &inputs(3, 6), 3, 2000);
}

#[test]
fn norms_after_weights_and_after_activations_follow_the_kernel() {
    // A LayerNorm after an activation subtracts the mean that the activation leaves: the kernel must know it.
    for norm in ["layer", "rms"] {
        let network = |n: usize| {
            format!(
                "input = [6]\nlayers = [{{ dense = {n} }}, {{ norm = '{norm}' }}, {{ act = 'relu' }}, {{ dense = {n} }}, {{ act = 'softplus' }},
                 {{ norm = '{norm}' }}, {{ dense = {n} }}, {{ act = 'tanh' }}, {{ dense = {n} }}]"
            )
        };
        agrees(network, 32, LayerInit::normal(1.5, 0.1), &inputs(3, 6), 3, 2000);
    }
}

/// Softmax attention with one head per channel block, two tokens per sample:
/// $G'_{t_1 t_2} = C_U C_V \sum \langle\Omega_{t_1 s_1}\Omega_{t_2 s_2}\rangle F_{s_1 s_2}$ (arXiv:2304.02034, eq. 1.65),
/// with logits Gaussian of covariance $C_Q C_K F_{t_1 t_2} F_{s_1 s_2}$. In distances it needs no new field:
/// weights that differ sum to zero, so $|\sum_i w_i z_i|^2 = -\frac12\sum_{ij} w_i w_j d_{ij}$.
#[test]
fn attention_over_two_tokens_fits_variances_and_distances() {
    let (tokens, width) = (2usize, 64usize);
    let (c_q, c_k, c_v) = (1.2, 0.9, 0.7);
    let mut values = inputs(1, tokens * width);
    values.iter_mut().for_each(|x| *x *= 0.9);
    let gram = Gram::of_vectors(&values, 1, tokens, Positions::Full);
    let f = |a: usize, b: usize| gram.covariance(a, b).unwrap();
    // The two logit differences x_t = logit(t, 0) − logit(t, 1) are jointly Gaussian.
    let spread = f(0, 0) + f(1, 1) - 2.0 * f(0, 1);
    let cov: Vec<f64> = (0..4).map(|i| c_q * c_k * f(i / 2, i % 2) * spread).collect();
    let grid = carnot_math::gauss::grid(&cov, 80).expect("a covariance");
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let mut expect = [0.0; 3];
    for (x, w) in grid.nodes.chunks(2).zip(&grid.w) {
        let omega: Vec<[f64; 2]> = x.iter().map(|&x| [sigmoid(x), sigmoid(-x)]).collect();
        let mixed = |u: [f64; 2]| (0..4).map(|i| u[i / 2] * u[i % 2] * f(i / 2, i % 2)).sum::<f64>();
        let apart = [omega[0][0] - omega[1][0], omega[0][1] - omega[1][1]];
        let distance = -apart[0] * apart[1] * gram.distance_of(0, 1).unwrap();
        let per_node = [mixed(omega[0]), mixed(omega[1]), distance];
        expect.iter_mut().zip(per_node).for_each(|(e, v)| *e += w * c_v * v);
    }
    // Heads are independent; each sees C channels, and the logits become Gaussian as C grows.
    let sample = |channels: usize, heads: u64| {
        let mut cells = [Moments::default(), Moments::default(), Moments::default()];
        for head in 0..heads {
            let mut stream = Stream::new(SEED, "attention", &[channels as u64, head]);
            let mut matrix = |c: f64| {
                let mut m = vec![0.0; channels * width];
                stream.fill_normal(&mut m, (c / width as f64).sqrt());
                m
            };
            let (q, k, v) = (matrix(c_q), matrix(c_k), matrix(c_v));
            let apply = |m: &[f64], t: usize| -> Vec<f64> {
                let x = &values[t * width..(t + 1) * width];
                m.chunks(width).map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
            };
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let logit = |t: usize, s: usize| dot(&apply(&q, t), &apply(&k, s)) / (channels as f64).sqrt();
            let (v0, v1) = (apply(&v, 0), apply(&v, 1));
            let out: Vec<Vec<f64>> = (0..tokens)
                .map(|t| {
                    let share = sigmoid(logit(t, 0) - logit(t, 1));
                    v0.iter().zip(&v1).map(|(a, b)| share * a + (1.0 - share) * b).collect()
                })
                .collect();
            let n = channels as f64;
            cells[0].push(dot(&out[0], &out[0]) / n);
            cells[1].push(dot(&out[1], &out[1]) / n);
            let apart: Vec<f64> = out[0].iter().zip(&out[1]).map(|(a, b)| a - b).collect();
            cells[2].push(dot(&apart, &apart) / n);
        }
        cells
    };
    let (narrow, wide) = (sample(16, 4000), sample(32, 4000));
    for ((expect, a), b) in expect.iter().zip(&narrow).zip(&wide) {
        let value = 2.0 * b.mean() - a.mean();
        let error = (4.0 * b.error().powi(2) + a.error().powi(2)).sqrt();
        let z = (value - expect) / error;
        assert!(z.abs() < 4.0, "{value} ± {error}, theory {expect}, z = {z:.2}");
    }
}

#[test]
fn merged_inputs_keep_their_distance() {
    // 50 ordered layers bring two inputs to a relative distance below 1e-16: a covariance would see nothing.
    let network = "input = [64]\nlayers = [{ repeat = 50, block = [{ dense = 128 }, { act = 'tanh' }] }, { dense = 10 }]";
    let plan = Plan::new(&Network::from_toml(network).unwrap()).unwrap();
    let init = vec![LayerInit::normal(1.0 / 3.0, 0.0026); plan.weighted];
    let kernel = Kernel::of_inputs(&inputs(2, 64), 2, 1, Positions::Full, false);
    let kernels = plan.propagate(kernel, &Theory::new(&init, &[]));
    let distances: Vec<f64> = plan
        .read_sites()
        .iter()
        .map(|site| kernels[site.index].as_ref().unwrap().forward.mean_distance())
        .collect();
    let last = distances[50] / distances[49];
    // C_W <sigma'^2> at the fixed point K* = 0.0039 is 0.331.
    assert!((last - 0.331).abs() < 0.001, "ratio of the last two distances {last}");
    assert!(distances[50] < 1e-20 && distances[50] > 0.0, "{}", distances[50]);
}
