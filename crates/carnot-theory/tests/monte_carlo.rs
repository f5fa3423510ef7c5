//! The main formulas against small random networks, fixed seeds, tolerances in standard errors.

use carnot_math::formula::Formula;
use carnot_math::random::Stream;
use carnot_math::stats::Moments;
use carnot_net::activation::Activation;
use carnot_theory::layer::{Scales, Stack};
use carnot_theory::residual::{ResidualScales, residual_table};
use carnot_theory::tensors::{Wanted, tensors};
use carnot_theory::transformer::{MlpScales, pre_norm_stack};

const SEED: u64 = 20_261_121;

fn formula(name: &str) -> Formula {
    Activation::parse(name).expect("known").formula
}

/// rows × columns times column vectors.
fn apply(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    matrix.chunks(vector.len()).map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum()).collect()
}

fn weights(stream: &mut Stream, rows: usize, columns: usize, c_w: f64) -> Vec<f64> {
    let mut matrix = vec![0.0f64; rows * columns];
    stream.fill_normal(&mut matrix, (c_w / columns as f64).sqrt());
    matrix
}

fn agree(what: &str, measured: &Moments, theory: f64, next_order: f64) {
    let z = (measured.mean() - theory) / measured.error();
    let allowed = 4.0 * measured.error() + next_order;
    assert!(
        (measured.mean() - theory).abs() <= allowed,
        "{what}: measured {} ± {}, theory {theory}, z = {z:.1}, seed {SEED}",
        measured.mean(),
        measured.error()
    );
}

/// Two inputs through one random stack; per layer the kernel Ĝ₁₁, Ĝ₁₂, Ĝ₂₂ of the next preactivation and the tangent kernel.
struct Sample {
    kernel: [f64; 3],
    tangent: [f64; 3],
    values: [Vec<f64>; 2],
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// The kernel of the layer after `depth` − 1 hidden layers given them, and the tangent kernel of output 0 there.
fn sample(
    activation: &Formula,
    scales: Scales,
    inputs: &[Vec<f64>; 2],
    n: usize,
    depth: usize,
    stream: &mut Stream,
) -> Sample {
    let n0 = inputs[0].len();
    let bias = scales.c_b.sqrt();
    let (mut z, mut s, mut all_weights) = (Vec::new(), vec![inputs.clone()], Vec::new());
    for layer in 0..depth {
        let below = if layer == 0 { n0 } else { n };
        let rows = if layer + 1 == depth { 2 } else { n };
        let matrix = weights(stream, rows, below, scales.c_w);
        let mut offsets = vec![0.0f64; rows];
        stream.fill_normal(&mut offsets, bias);
        let last = s.last().expect("inputs");
        let next: [Vec<f64>; 2] = std::array::from_fn(|a| {
            apply(&matrix, &last[a]).iter().zip(&offsets).map(|(w, b)| w + b).collect()
        });
        s.push(std::array::from_fn(|a| next[a].iter().map(|&x| activation.value(x)).collect()));
        z.push(next);
        all_weights.push(matrix);
    }
    let signal = &s[depth - 1];
    let pairs = [(0, 0), (0, 1), (1, 1)];
    let kernel =
        pairs.map(|(a, b)| scales.c_b + scales.c_w * dot(&signal[a], &signal[b]) / signal[0].len() as f64);
    // Reverse pass of output 0: gradient with respect to each preactivation.
    let mut back: [Vec<f64>; 2] = [vec![1.0, 0.0], vec![1.0, 0.0]];
    let mut tangent = [0.0; 3];
    for layer in (0..depth).rev() {
        let below = &s[layer];
        for (slot, (a, b)) in tangent.iter_mut().zip(pairs) {
            let inner = scales.lambda_b + scales.lambda_w * dot(&below[a], &below[b]) / below[0].len() as f64;
            *slot += dot(&back[a], &back[b]) * inner;
        }
        if layer > 0 {
            let columns = below[0].len();
            back = std::array::from_fn(|a| {
                let pulled = |j: usize| -> f64 {
                    back[a].iter().enumerate().map(|(i, g)| g * all_weights[layer][i * columns + j]).sum()
                };
                (0..columns).map(|j| pulled(j) * activation.jet(z[layer - 1][a][j])[1]).collect()
            });
        }
    }
    let values = z.pop().expect("layers");
    Sample { kernel, tangent, values }
}

fn check_stack(name: &str, scales: Scales, n: usize, depth: usize, draws: u64, next: f64) {
    let activation = formula(name);
    let inputs = [vec![1.0, -0.5, 0.7], vec![0.2, 0.9, -1.1]];
    let gram: Vec<f64> = [(0, 0), (0, 1), (1, 0), (1, 1)]
        .iter()
        .map(|&(a, b): &(usize, usize)| dot(&inputs[a], &inputs[b]) / 3.0)
        .collect();
    let stack = Stack::uniform(&activation, depth, scales);
    let layers = tensors(&stack, &gram, 2, Wanted::Tangent).expect("an answer");
    let last = layers.last().expect("layers");
    let tangent = last.tangent.as_ref().expect("wanted");
    let mut means = [Moments::default(); 6];
    let mut products = [Moments::default(); 5];
    for draw in 0..draws {
        let mut stream = Stream::new(SEED, name, &[draw]);
        let one = sample(&activation, scales, &inputs, n, depth, &mut stream);
        (0..3).for_each(|k| means[k].push(one.kernel[k]));
        (0..3).for_each(|k| means[3 + k].push(one.tangent[k]));
        let shifted = |k: usize| one.kernel[k] - last.kernel[[0, 1, 3][k]];
        let moved = one.tangent[0] - tangent.mean[0];
        products[0].push(n as f64 * shifted(0) * shifted(0));
        products[1].push(n as f64 * shifted(0) * shifted(1));
        products[2].push(n as f64 * shifted(1) * shifted(1));
        products[3].push(n as f64 * moved * moved);
        // Output 1 is a spectator of the tangent kernel of output 0.
        products[4].push(n as f64 * one.values[0][1].powi(2) * moved);
    }
    let at = [0, 1, 3];
    for k in 0..3 {
        let theory = last.kernel[at[k]] + last.kernel_shift[at[k]] / n as f64;
        agree(
            &format!("{name} kernel {k}"),
            &means[k],
            theory,
            next / n as f64 * last.kernel_shift[at[k]].abs() / n as f64 * 8.0,
        );
        let theory = tangent.mean[at[k]] + tangent.shift[at[k]] / n as f64;
        agree(
            &format!("{name} tangent {k}"),
            &means[3 + k],
            theory,
            next / n as f64 * tangent.mean[at[k]] * 2.0 / n as f64,
        );
    }
    let vertex = &last.vertex;
    let spread = tangent.a.at(0, 0, 0, 0) + 2.0 * tangent.b.at(0, 0, 0, 0);
    let theory = [
        vertex.at(0, 0, 0, 0),
        vertex.at(0, 0, 0, 1),
        vertex.at(0, 1, 0, 1),
        spread,
        tangent.d.at(0, 0, 0, 0),
    ];
    let names = ["V1111", "V1112", "V1212", "A + 2B", "D"];
    for k in 0..5 {
        let scale =
            if k < 3 { theory[k].abs().max(0.3 * theory[0]) } else { theory[k].abs() + 0.2 * theory[0] };
        agree(&format!("{name} {}", names[k]), &products[k], theory[k], next / n as f64 * scale);
    }
}

#[test]
fn tanh_stacks_have_the_predicted_mean_spread_and_tangent_kernel() {
    check_stack("tanh", Scales::new(1.3, 0.05).with_rates(1.0, 0.4), 64, 4, 6_000, 8.0);
}

#[test]
fn relu_stacks_have_the_predicted_mean_spread_and_tangent_kernel() {
    check_stack("relu", Scales::new(2.0, 0.05).with_rates(1.0, 0.4), 64, 4, 6_000, 20.0);
}

#[test]
fn a_typed_formula_has_the_predicted_mean_spread_and_tangent_kernel() {
    check_stack(
        "z / sqrt(1 + z^2) + 0.2 * z",
        Scales::new(1.1, 0.1).with_rates(1.0, 0.4),
        64,
        3,
        5_000,
        10.0,
    );
}

#[test]
fn residual_stacks_need_every_two_neuron_cumulant() {
    let (activation, n, layers, skip) = (formula("relu"), 64, 4, 0.5);
    let scales = ResidualScales { c_w: 1.5, c_b: 0.0, skip };
    let rows = residual_table(&activation, 1.0, &vec![scales; layers - 1]).expect("an answer");
    let last = rows.last().expect("rows");
    let mut products = Moments::default();
    for draw in 0..5_000 {
        let mut stream = Stream::new(SEED, "residual", &[draw]);
        let mut z = vec![0.0f64; n];
        stream.fill_normal(&mut z, 1.0);
        for _ in 1..layers {
            let signal: Vec<f64> = z.iter().map(|&x| activation.value(x)).collect();
            let step = apply(&weights(&mut stream, n, n, 1.5), &signal);
            z = step.iter().zip(&z).map(|(w, z)| w + skip * z).collect();
        }
        // Σ_{i≠j} (z_i² − K)(z_j² − K)/(n(n−1)) is unbiased for the two-neuron cumulant V/n.
        let centred: Vec<f64> = z.iter().map(|x| x * x - last.kernel).collect();
        let (sum, squares): (f64, f64) = (centred.iter().sum(), dot(&centred, &centred));
        products.push((sum * sum - squares) / (n as f64 - 1.0));
    }
    agree("residual V", &products, last.vertex, last.vertex * last.vertex / n as f64);
    let z = (products.mean() - last.vertex_quartic) / products.error();
    assert!(z > 8.0, "the quartic vertex alone must be excluded: z = {z:.1}");
}

#[test]
fn pre_norm_blocks_grow_linearly() {
    let (activation, n, blocks) = (formula("gelu"), 96, 4);
    let theory =
        pre_norm_stack(&activation, MlpScales { c_w: 1.5, c_x: 0.8 }, 1.0, blocks).expect("an answer");
    let mut sizes = Moments::default();
    for draw in 0..400 {
        let mut stream = Stream::new(SEED, "pre-norm", &[draw]);
        let mut z = vec![0.0f64; n];
        stream.fill_normal(&mut z, 1.0);
        for _ in 0..blocks {
            let mean = z.iter().sum::<f64>() / n as f64;
            let deviation = (z.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
            let normal: Vec<f64> = z.iter().map(|x| (x - mean) / deviation).collect();
            let inner: Vec<f64> = apply(&weights(&mut stream, n, n, 1.5), &normal)
                .iter()
                .map(|&x| activation.value(x))
                .collect();
            let step = apply(&weights(&mut stream, n, n, 0.8), &inner);
            z.iter_mut().zip(step).for_each(|(z, s)| *z += s);
        }
        sizes.push(dot(&z, &z) / n as f64);
    }
    agree("pre-norm G", &sizes, theory.kernel[blocks], 0.0);
}
