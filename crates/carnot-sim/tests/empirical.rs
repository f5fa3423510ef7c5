//! Kernels of real networks: against gradients, against a public library, and against themselves.

use carnot_math::random::Stream;
use carnot_math::stats::Moments;
use carnot_net::activation::Activation;
use carnot_net::batch::Batch;
use carnot_net::dataset::{Dataset, Exact, Targets};
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::kernel::{Gram, Kernel, Positions};
use carnot_net::network::Network as Layers;
use carnot_net::plan::{Plan, Theory, Weights};
use carnot_net::shorthand::{self, Style};
use carnot_net::tape::{Mode, Tape, Unwatched};
use carnot_sim::empirical::average::{Average, Stop, run_job, until, without_first_order};
use carnot_sim::empirical::drift::{alignment, drift, of_targets};
use carnot_sim::empirical::feature::features;
use carnot_sim::empirical::tangent::{Blocks, tangent};
use carnot_sim::empirical::{Matrix, Network};
use carnot_sim::initialise::initialise;
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::{Optimizer, sgd::Sgd};
use carnot_sim::train::spec::TrainSpec;
use carnot_sim::train::{Moment, Training, train_watched};
use serde_json::Value;

const SEED: u64 = 12;

/// Networks whose tangent kernels need every way of putting them together.
const CASES: &[&str] = &[
    "input = [5]\nlayers = [{ dense = 7 }, { act = 'tanh' }, { dense = 6, bias = false }, { act = 'gelu' }, { dense = 3 }]",
    "input = [3, 2]\nlayers = [{ dense = 4 }, { act = 'tanh' }, { flatten = true }, { dense = 2 }]",
    "input = [3, 2]\nlayers = [{ dense = 4 }, { act = 'sin' }, { dense = 2 }]",
    "input = [6, 2]\nlayers = [{ conv = 3, kernel = 3 }, { act = 'tanh' }, { conv = 2, kernel = 2, stride = 2 }, { flatten = true }, { dense = 2 }]",
    "input = [6, 6, 1]\nlayers = [{ conv = 2, kernel = 3 }, { act = 'relu' }, { conv = 2, kernel = 3 }, { pool = 'global' }, { dense = 2 }]",
    "input = [6, 2]\nlayers = [{ conv_local = 3, kernel = 3 }, { act = 'tanh' }, { conv_transposed = 2, kernel = 3, stride = 2 }, { flatten = true }, { dense = 2 }]",
    "input = [5]\nlayers = [{ dense = 4 }, { branches = 'concat', of = [[{ dense = 3 }, { act = 'tanh' }], [{ act = 'sin' }]] }, { dense = 2 }]",
    "input = [3, 4]\nlayers = [{ dense = 4 }, { attention = 4, key = 3 }, { flatten = true }, { dense = 2 }]",
    "input = [5]\nlayers = [{ dense = 4 }, { residual = 0.7, branch = 0.5, block = [{ norm = 'layer' }, { dense = 6 }, { act = 'tanh' }, { dense = 4 }] }, { dense = 2 }]",
];

struct Case {
    plan: Plan,
    rates: Vec<LayerRate>,
    parameters: Vec<f64>,
    inputs: Vec<f64>,
    samples: usize,
}

fn case(text: &str, samples: usize) -> Case {
    let plan = Plan::new(&Layers::from_toml(text).unwrap_or_else(|e| panic!("{text}: {e}"))).unwrap();
    let init = vec![LayerInit::normal(1.6, 0.2); plan.weighted];
    let rates = (0..plan.weighted)
        .map(|l| LayerRate { lambda_w: 1.0 + 0.3 * l as f64, lambda_b: 0.5 + 0.2 * l as f64 })
        .collect();
    let mut parameters = vec![0.0; plan.parameters];
    initialise(&plan, &init, SEED, 0, &mut parameters);
    let mut inputs = vec![0.0; samples * plan.input.len()];
    Stream::new(SEED, "empirical test", &[]).fill_normal(&mut inputs, 1.0);
    Case { plan, rates, parameters, inputs, samples }
}

/// The definition: every gradient, one by one.
fn by_definition(case: &Case) -> Matrix {
    let Case { plan, rates, parameters, inputs, samples } = case;
    let (size, outputs) = (plan.input.len(), plan.output().len());
    let mut lambda = vec![0.0; plan.parameters];
    for site in plan.all() {
        let mut start = site.offset;
        for parameter in &site.parameters {
            let rate = site.weighted.map(|at| rates[at]);
            let value = match (parameter.name, rate) {
                ("weight", Some(rate)) => rate.lambda_w / parameter.fan_in as f64,
                ("bias", Some(rate)) => rate.lambda_b,
                _ => 0.0,
            };
            lambda[start..start + parameter.len()].fill(value);
            start += parameter.len();
        }
    }
    let mut tape = Tape::new(Mode::Evaluate);
    let mut gradients = Vec::new();
    for a in 0..*samples {
        for i in 0..outputs {
            let input = Batch::repeated(1, 1, &plan.input, &inputs[a * size..(a + 1) * size]);
            let weights = Weights { data: &parameters[..], stride: plan.parameters };
            let mut output = plan.forward(weights, input, &mut tape, &mut Unwatched);
            output.data.fill(0.0);
            output.data[i] = 1.0;
            let mut gradient = vec![0.0; plan.parameters];
            plan.backward(weights, output, &mut gradient, &mut tape, &mut Unwatched);
            gradients.push(gradient);
        }
    }
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).zip(&lambda).map(|((x, y), l)| x * y * l).sum::<f64>();
    let mut values = Vec::new();
    for a in 0..*samples {
        for b in 0..*samples {
            for k in 0..outputs * outputs {
                values
                    .push(dot(&gradients[a * outputs + k / outputs], &gradients[b * outputs + k % outputs]));
            }
        }
    }
    Matrix { rows: *samples, columns: *samples, outputs, values }
}

fn assert_close(what: &str, found: &[f64], expect: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expect.len(), "{what}");
    let scale = expect.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    for (i, (f, e)) in found.iter().zip(expect).enumerate() {
        assert!((f - e).abs() <= tolerance * scale, "{what}, entry {i}: {f}, expected {e}");
    }
}

#[test]
fn tangent_kernels_are_products_of_gradients_for_every_kind_of_layer() {
    for text in CASES {
        // More samples than fit one tile or one pass.
        let case = case(text, 70);
        let network = Network { plan: &case.plan, parameters: &case.parameters };
        let expect = by_definition(&case);
        let full = tangent(network, &case.rates, &case.inputs, None, Blocks::Full).unwrap();
        assert_close(text, &full.values, &expect.values, 1e-12);
        let trace = tangent(network, &case.rates, &case.inputs, None, Blocks::TraceMean).unwrap();
        let mean = |k: usize| {
            (0..expect.outputs).map(|i| expect.at(k / 70, k % 70, i, i)).sum::<f64>() / expect.outputs as f64
        };
        let means: Vec<f64> = (0..70 * 70).map(mean).collect();
        assert_close(text, &trace.values, &means, 1e-12);
    }
}

#[test]
fn rectangles_and_batches_are_pieces_of_the_whole() {
    for text in CASES {
        let case = case(text, 70);
        let network = Network { plan: &case.plan, parameters: &case.parameters };
        let size = case.plan.input.len();
        let (first, second) = case.inputs.split_at(67 * size);
        let whole = tangent(network, &case.rates, &case.inputs, None, Blocks::Full).unwrap();
        let piece = tangent(network, &case.rates, first, Some(second), Blocks::Full).unwrap();
        let n = whole.outputs * whole.outputs;
        let expect: Vec<f64> =
            (0..67).flat_map(|a| whole.values[(a * 70 + 67) * n..(a * 70 + 70) * n].to_vec()).collect();
        assert_close(text, &piece.values, &expect, 1e-13);
        let one = tangent(network, &case.rates, &case.inputs[..size], Some(second), Blocks::Full).unwrap();
        assert_close(text, &one.values, &piece.values[..3 * n], 1e-13);
        let last = case.plan.all().len() - 1;
        let whole = features(network, last, &case.inputs, None).unwrap();
        let piece = features(network, last, second, Some(&case.inputs)).unwrap();
        assert_close(text, &piece.values, &whole.values[67 * 70..], 1e-13);
    }
}

#[test]
fn threads_change_no_bit_of_a_kernel() {
    let case = case(CASES[3], 130);
    let network = Network { plan: &case.plan, parameters: &case.parameters };
    let of = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| tangent(network, &case.rates, &case.inputs, None, Blocks::TraceMean).unwrap())
    };
    assert_eq!(of(1), of(3));
}

fn numbers(value: &Value) -> Vec<f64> {
    match value.as_array() {
        Some(items) => items.iter().flat_map(numbers).collect(),
        None => vec![value.as_f64().unwrap()],
    }
}

/// The library's parameters are normal numbers that its layers multiply by `W_std`/√fan-in and `b_std`, with W `[fan-in, width]`.
fn peer_parameters(golden: &Value, which: &str) -> Vec<f64> {
    let dense = golden["arch"].as_array().unwrap().iter().filter(|layer| layer["op"] == "dense");
    let mut all = Vec::new();
    for (layer, values) in dense.zip(golden[which].as_array().unwrap()) {
        let rows = values["W"].as_array().unwrap();
        let (fan_in, width) = (rows.len(), rows[0].as_array().unwrap().len());
        let scale = layer["W_std"].as_f64().unwrap() / (fan_in as f64).sqrt();
        let w = numbers(&values["W"]);
        all.extend((0..width * fan_in).map(|k| scale * w[k % fan_in * width + k / fan_in]));
        all.extend(numbers(&values["b"]).iter().map(|b| layer["b_std"].as_f64().unwrap() * b));
    }
    all
}

#[test]
fn a_public_library_agrees_on_a_finite_network() {
    let file: Value = serde_json::from_str(include_str!("golden/peer-finite.json")).unwrap();
    let golden = &file["finite"];
    let text = "input = [5]\nlayers = [{ dense = 7 }, { act = 'relu' }, { dense = 6 }, { act = 'relu' }, { dense = 2 }]";
    let plan = Plan::new(&Layers::from_toml(text).unwrap()).unwrap();
    // Its parameters all move at rate 1: λ is the square of what multiplies them.
    let rate = |w: f64, b: f64| LayerRate { lambda_w: w * w, lambda_b: b * b };
    let rates = [rate(1.4, 0.2), rate(1.4, 0.2), rate(1.1, 0.1)];
    let (parameters, start) = (peer_parameters(golden, "params"), peer_parameters(golden, "params0"));
    let network = Network { plan: &plan, parameters: &parameters };
    let (x1, x2) = (numbers(&golden["x1_data"]), numbers(&golden["x2_data"]));
    let full = tangent(network, &rates, &x1, Some(&x2), Blocks::Full).unwrap();
    assert_close("ntk_full", &full.values, &numbers(&golden["ntk_full"]), 1e-12);
    let trace = tangent(network, &rates, &x1, Some(&x2), Blocks::TraceMean).unwrap();
    assert_close("ntk_trace_mean", &trace.values, &numbers(&golden["ntk_trace_mean"]), 1e-12);
    let last = plan.all().len() - 1;
    let nngp = features(network, last, &x1, Some(&x2)).unwrap();
    assert_close("nngp", &nngp.values, &numbers(&golden["nngp_mean_over_outputs"]), 1e-12);

    let output = |parameters: &[f64]| {
        let weights = Weights { data: parameters, stride: plan.parameters };
        let input = Batch::repeated(1, 4, &plan.input, &x1);
        plan.forward(weights, input, &mut Tape::new(Mode::Evaluate), &mut Unwatched).data
    };
    assert_close("output", &output(&parameters), &numbers(&golden["output_x1"]), 1e-12);
    // Along a line of parameters a ReLU network is a polynomial until a unit switches: of degree 3 here.
    let at = |t: f64| {
        let between: Vec<f64> = start.iter().zip(&parameters).map(|(a, b)| a + t * (b - a)).collect();
        output(&between)
    };
    let h = 1e-3;
    let points = [at(-2.0 * h), at(-h), at(0.0), at(h), at(2.0 * h)];
    let mix = |c: [f64; 5]| -> Vec<f64> {
        (0..8).map(|k| points.iter().zip(c).map(|(p, c)| c * p[k]).sum()).collect()
    };
    let slope = mix([1.0, -8.0, 0.0, 8.0, -1.0].map(|c| c / (12.0 * h)));
    let bend = mix([-1.0, 16.0, -30.0, 16.0, -1.0].map(|c| c / (12.0 * h * h)));
    let linear: Vec<f64> = points[2].iter().zip(&slope).map(|(z, s)| z + s).collect();
    assert_close("linearised", &linear, &numbers(&golden["linearized_at_params0_output_x1"]), 1e-10);
    let second: Vec<f64> = linear.iter().zip(&bend).map(|(z, b)| z + b / 2.0).collect();
    assert_close("second order", &second, &numbers(&golden["taylor2_at_params0_output_x1"]), 1e-7);
}

fn plain(text: &str, activation: &str) -> Plan {
    let style = Style { activation: Activation::parse(activation).unwrap(), residual: None, norm: None };
    Plan::new(&shorthand::parse(text, &style).unwrap()).unwrap()
}

#[test]
fn mean_kernels_of_two_widths_extrapolate_to_theory() {
    let (init, rates) = ([LayerInit::normal(1.3, 0.05); 3], [LayerRate { lambda_w: 1.0, lambda_b: 0.4 }; 3]);
    let inputs = [1.0, -0.5, 0.7, 0.2, 0.9, -1.1];
    let of = |text: &str, seed: u64| {
        let plan = plain(text, "tanh");
        let site = plan.all().len() - 2;
        let average = Average {
            plan: &plan,
            init: &init,
            rates: Some(&rates),
            site: Some(site),
            seed,
            first: &inputs,
            second: None,
        };
        until::<f64>(&average, Stop { relative_error: 0.002, most: 40_000 }).unwrap()
    };
    let (narrow, wide) = (of("3-24x2-1", SEED), of("3-48x2-1", SEED + 1));
    assert!(wide.relative_error() <= 0.002 && wide.members() < 40_000, "{}", wide.members());
    let plan = plain("3-24x2-1", "tanh");
    let kernel = Kernel::of_inputs(&inputs, 2, 1, Positions::Full, true);
    let kernels = plan.propagate(kernel, &Theory { init: &init, rate: &rates, mode: Mode::Evaluate });
    let (hidden, last) = (kernels[3].as_ref().unwrap(), kernels[4].as_ref().unwrap());
    let entry = |gram: &Gram, k: usize| match k {
        0 => gram.variance[0],
        3 => gram.variance[1],
        _ => (gram.variance[0] + gram.variance[1] - gram.distance_of(0, 1).unwrap()) / 2.0,
    };
    let found = without_first_order(&narrow.features, &wide.features);
    let tangents = without_first_order(&narrow.tangent, &wide.tangent);
    for k in 0..4 {
        for (what, found, expect) in [
            ("K", found[k], entry(&hidden.forward, k)),
            ("Θ", tangents[k], entry(last.tangent.as_ref().unwrap(), k)),
        ] {
            let z = (found.value - expect) / found.error;
            assert!(
                z.abs() < 4.0,
                "{what} {k}: {} ± {}, theory {expect}, z {z} (seed {SEED})",
                found.value,
                found.error
            );
        }
    }
}

#[test]
fn parts_of_kernels_merge_to_the_same_bits() {
    let plan = plain("3-8-2", "tanh");
    let (init, rates) = ([LayerInit::normal(1.3, 0.05); 2], [LayerRate { lambda_w: 1.0, lambda_b: 0.4 }; 2]);
    let inputs = [1.0, -0.5, 0.7, 0.2, 0.9, -1.1];
    let average = Average {
        plan: &plan,
        init: &init,
        rates: Some(&rates),
        site: Some(1),
        seed: 1,
        first: &inputs,
        second: None,
    };
    let of = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut part = run_job::<f32>(&average, 0..40).unwrap();
            part.merge(&run_job::<f32>(&average, 40..100).unwrap()).unwrap();
            part
        })
    };
    assert_eq!(of(1), of(3));
    assert_eq!(of(2).members(), 100);
}

/// Drift of the tangent kernel and of the last features of some members of width n.
fn drifts(width: usize, members: u64) -> (Moments, Moments) {
    let plan = plain(&format!("4-{width}x2-1"), "tanh");
    let init = [LayerInit::normal(1.5, 0.05); 3];
    let rates = [LayerRate { lambda_w: 1.0, lambda_b: 0.4 }; 3];
    let (mut x, mut y) = (vec![0.0f64; 6 * 4], vec![0.0f64; 6]);
    let mut stream = Stream::new(SEED, "drift", &[]);
    stream.fill_normal(&mut x, 1.0);
    stream.fill_normal(&mut y, 1.0);
    let values = y.iter().map(|&y| y as f32).collect();
    let data = Dataset {
        name: "six".into(),
        shape: vec![4],
        inputs: x.iter().map(|&x| x as f32).collect(),
        targets: Targets::Values { values, width: 1 },
        source: String::new(),
        exact: Exact::default(),
    };
    let training = Training {
        plan: &plan,
        init: &init,
        rates: &rates,
        optimizer: Optimizer::Sgd(Sgd::default()),
        loss: Loss::Squared,
        train: &data,
        test: None,
        spec: TrainSpec { steps: 200, batch: 6, rate: 0.6, seed: SEED, evaluate: 0, ..TrainSpec::default() },
    };
    let look = |moment: Moment<f64>| {
        let network = Network { plan: &plan, parameters: moment.parameters };
        let theta = tangent(network, &rates, &x, None, Blocks::TraceMean).unwrap();
        (theta, features(network, 3, &x, None).unwrap())
    };
    let labels = of_targets(&y, 1);
    let (mut tangents, mut feature) = (Moments::default(), Moments::default());
    for (history, seen) in train_watched::<f64, _>(&training, 0..members, &[0, 200], &look).unwrap() {
        assert!(history.train.loss.unwrap() < 0.3 * history.before.loss.unwrap());
        let ((theta, phi), (after, phi_after)) = (&seen[0], &seen[1]);
        let moved = drift(theta, after);
        assert!(moved.with_start > 0.5 && moved.with_start <= 1.0, "{moved:?}");
        tangents.push(moved.relative_change);
        feature.push(drift(phi, phi_after).relative_change);
        assert!(alignment(after, &labels).abs() <= 1.0);
    }
    (tangents, feature)
}

#[test]
fn kernels_of_wide_networks_drift_as_one_over_the_width() {
    // Slope of ln drift against ln n by least squares over doublings; corrections of higher order are a few per cent.
    let widths = [128usize, 256, 512];
    let all: Vec<_> = widths.iter().map(|&n| drifts(n, 48)).collect();
    for (what, of) in [("tangent", 0), ("features", 1)] {
        let pick = |i: usize| if of == 0 { &all[i].0 } else { &all[i].1 };
        let slope = (pick(2).mean() / pick(0).mean()).log2() / 2.0;
        let relative = |i: usize| pick(i).error() / pick(i).mean() / std::f64::consts::LN_2;
        let error = relative(0).hypot(relative(2)) / 2.0;
        println!("{what}: slope {slope:.3} ± {error:.3}");
        assert!((slope + 1.0).abs() < 4.0 * error + 0.04, "{what}: slope {slope} ± {error} (seed {SEED})");
    }
}
