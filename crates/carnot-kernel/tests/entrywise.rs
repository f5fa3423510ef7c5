//! The entrywise route gives what the rules of the layers give, and keeps its digits where others lose them.

use carnot_kernel::error::Beyond;
use carnot_kernel::{Engine, Inputs, KernelError, Matrices, Options, Precision, Route};
use carnot_math::random::Stream;
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::network::Network;
use carnot_net::plan::Plan;
use proptest::prelude::*;

fn plan(input: &str, layers: &str) -> Plan {
    let network = Network::from_toml(&format!("input = {input}\nlayers = [{layers}]")).unwrap();
    Plan::new(&network).unwrap()
}

fn engine(layers: &str, input: &str, (c_w, c_b): (f64, f64), options: Options) -> Engine {
    let plan = plan(input, layers);
    let init = vec![LayerInit::normal(c_w, c_b); plan.weighted];
    let rate = vec![LayerRate { lambda_w: 1.3, lambda_b: 0.4 }; plan.weighted];
    Engine::compile(&plan, &init, &rate, options).unwrap()
}

fn random(n: usize, at: u64) -> Vec<f64> {
    let mut out = vec![0.0; n];
    Stream::new(5, "entrywise test", &[at]).fill_normal(&mut out, 1.0);
    out
}

/// Largest difference over largest value, of K and of Θ.
fn difference(a: Matrices, b: Matrices) -> [f64; 2] {
    let apart = |a: Vec<f64>, b: Vec<f64>| {
        assert_eq!(a.len(), b.len());
        let scale = b.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / scale
    };
    let tangent = match (a.tangent, b.tangent) {
        (Some(a), Some(b)) => apart(a.into_f64(), b.into_f64()),
        (None, None) => 0.0,
        _ => panic!("one has a tangent and the other has not"),
    };
    [apart(a.kernel.into_f64(), b.kernel.into_f64()), tangent]
}

fn agrees_with_general(layers: &str, init: (f64, f64), tolerance: f64) {
    let entrywise = engine(layers, "[7]", init, Options::default());
    assert_eq!(entrywise.route(), Route::Entrywise, "{layers}");
    let general = engine(layers, "[7]", init, Options::default()).general();
    let (first, second) = (random(11 * 7, 0), random(5 * 7, 1));
    let (first, second) = (Inputs { data: &first, samples: 11 }, Inputs { data: &second, samples: 5 });
    for apart in [
        difference(entrywise.gram(first).unwrap(), general.gram(first).unwrap()),
        difference(entrywise.cross(first, second).unwrap(), general.cross(first, second).unwrap()),
    ] {
        assert!(apart.iter().all(|apart| *apart < tolerance), "{layers}: {apart:?}");
    }
}

#[test]
fn every_kind_of_step_agrees_with_the_rules_of_the_layers() {
    for activation in [
        "linear",
        "relu",
        "leaky_relu(0.2)",
        "abs",
        "scale_invariant(1.2, -0.4)",
        "erf",
        "gelu",
        "relu2",
        "0.5 * erf(z / 2.4) + 0.5",
        "max(z, 0)",
    ] {
        let layers = format!(
            "{{ dense = 9 }}, {{ act = '{activation}' }}, {{ dense = 9 }}, {{ act = '{activation}' }}, {{ dense = 1 }}"
        );
        agrees_with_general(&layers, (1.1, 0.2), 1e-12);
    }
    for activation in [
        "tanh",
        "sigmoid",
        "silu",
        "softplus",
        "gelu_tanh",
        "mish",
        "arctan",
        "exp(-z^2)",
        "sin",
        "2 * sin(z / 2)",
        "cos",
        "square",
        "z - z^3 / 10",
    ] {
        let layers = format!(
            "{{ dense = 9 }}, {{ act = '{activation}' }}, {{ dense = 9 }}, {{ act = '{activation}' }}, {{ dense = 1 }}"
        );
        // The rules of the layers stop their own expansion at a mass of 1e-7; the averages in blocks are held to 1e-10
        // against quadrature where they are made.
        agrees_with_general(&layers, (1.1, 0.2), 2e-8);
    }
    let relu = "{ dense = 9 }, { act = 'relu' }";
    for more in [
        "{ norm = 'layer' }, { dense = 3 }",
        "{ norm = 'rms' }, { dense = 3 }",
        "{ dense = 9 }, { norm = 'layer' }, { act = 'erf' }, { dense = 3 }",
        "{ dropout = 0.3 }, { dense = 3 }",
        "{ dense = 9 }, { residual = 0.7, branch = 1.2, block = [{ act = 'relu' }, { dense = 9 }] }, { act = 'gelu' }, { dense = 2 }",
        "{ dense = 9 }, { residual = 1.0, block = [{ norm = 'layer' }, { act = 'erf' }, { dense = 9 }, { residual = 0.5, block = [{ act = 'abs' }, { dense = 9 }] }, { act = 'relu' }, { dense = 9 }] }",
    ] {
        agrees_with_general(&format!("{relu}, {more}"), (1.7, 0.1), 1e-12);
        agrees_with_general(&format!("{relu}, {more}"), (1.7, 0.0), 1e-12);
    }
}

/// Nearly orthogonal samples need few terms of an expansion, in whole vectors without filling: each entry against quadrature.
#[test]
fn small_correlations_are_as_exact_as_was_asked() {
    const SAMPLES: usize = 32;
    const WIDTH: usize = 200;
    let data = random(SAMPLES * WIDTH, 3);
    let row = |i: usize| &data[i * WIDTH..(i + 1) * WIDTH];
    let covariance = |i: usize, j: usize| {
        2.25 * row(i).iter().zip(row(j)).map(|(x, y)| x * y).sum::<f64>() / WIDTH as f64 + 0.01
    };
    for activation in ["tanh", "silu", "sigmoid", "sin", "arctan", "0.5 * tanh(2 * z) + z^2 / 9"] {
        let formula = carnot_net::activation::Activation::parse(activation).unwrap().formula;
        let mut exact = Vec::new();
        for (i, j) in [(0, 1), (0, 31), (5, 9), (13, 14), (30, 31)] {
            let (a, b, c) = (covariance(i, i), covariance(j, j), covariance(i, j));
            let [value, slope] = carnot_math::gauss::pair_average(a, b, a + b - 2.0 * c, &[], |x, y| {
                let (x, y) = (formula.jet(x), formula.jet(y));
                [x[0] * y[0], x[1] * y[1]]
            });
            let kernel = 2.25 * value + 0.01;
            exact.push((i, j, kernel, 1.3 * value + 0.4 + 2.25 * slope * (1.3 / 2.25 * (c - 0.01) + 0.4)));
        }
        for tolerance in [1e-3, 1e-6, 1e-9, 1e-12] {
            let layers = format!("{{ dense = 9 }}, {{ act = '{activation}' }}, {{ dense = 1 }}");
            let options = Options { tolerance, ..Options::default() };
            let engine = engine(&layers, &format!("[{WIDTH}]"), (2.25, 0.01), options);
            let made = engine.gram(Inputs { data: &data, samples: SAMPLES }).unwrap();
            let (kernel, tangent) = (made.kernel.into_f64(), made.tangent.unwrap().into_f64());
            for (i, j, k, theta) in &exact {
                let at = i * SAMPLES + j;
                let scale = [kernel[i * SAMPLES + i], tangent[i * SAMPLES + i]];
                let off = [(kernel[at] - k).abs() / scale[0], (tangent[at] - theta).abs() / scale[1]];
                let within = tolerance.max(3e-14);
                assert!(off.iter().all(|off| *off < within), "{activation}, {tolerance:e}, {i} {j}: {off:?}");
            }
        }
    }
}

#[test]
fn dropout_that_acts_changes_the_diagonal_only() {
    let options = Options { mode: carnot_net::tape::Mode::Train, ..Options::default() };
    let layers =
        "{ dense = 9 }, { act = 'relu' }, { dropout = 0.3 }, { dense = 9 }, { act = 'erf' }, { dense = 3 }";
    let (fast, general) =
        (engine(layers, "[7]", (1.5, 0.1), options), engine(layers, "[7]", (1.5, 0.1), options).general());
    let data = random(6 * 7, 2);
    let inputs = Inputs { data: &data, samples: 6 };
    let apart = difference(fast.gram(inputs).unwrap(), general.gram(inputs).unwrap());
    assert!(apart.iter().all(|apart| *apart < 1e-12), "{apart:?}");
}

#[test]
fn images_that_are_flattened_first_go_entry_by_entry() {
    let layers = "{ flatten = true }, { dense = 9 }, { act = 'relu' }, { dense = 3 }";
    let entrywise = engine(layers, "[3, 2, 2]", (2.0, 0.1), Options::default());
    assert_eq!(entrywise.route(), Route::Entrywise);
    let general = engine(layers, "[3, 2, 2]", (2.0, 0.1), Options::default()).general();
    let data = random(5 * 12, 3);
    let inputs = Inputs { data: &data, samples: 5 };
    let apart = difference(entrywise.gram(inputs).unwrap(), general.gram(inputs).unwrap());
    assert!(apart.iter().all(|apart| *apart < 1e-13), "{apart:?}");
}

#[test]
fn a_gram_is_symmetric_to_the_last_bit_and_the_same_on_any_number_of_threads() {
    let layers = "{ dense = 9 }, { act = 'relu' }, { dense = 9 }, { act = 'tanh' }, { dense = 3 }";
    let data = random(700 * 7, 4);
    let inputs = Inputs { data: &data, samples: 700 };
    for precision in [Precision::F32, Precision::F64] {
        let options = Options { precision, ..Options::default() };
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| engine(layers, "[7]", (1.5, 0.1), options).gram(inputs).unwrap())
        };
        let (one, three) = (on(1), on(3));
        assert_eq!(one, three);
        for values in [one.kernel.into_f64(), one.tangent.unwrap().into_f64()] {
            for i in 0..700 {
                for j in 0..i {
                    assert_eq!(values[i * 700 + j].to_bits(), values[j * 700 + i].to_bits(), "({i}, {j})");
                }
            }
        }
    }
}

#[test]
fn single_precision_agrees_with_double() {
    for activation in ["relu", "erf", "gelu", "tanh", "abs"] {
        let layers = format!(
            "{{ dense = 9 }}, {}{{ dense = 3 }}",
            format!("{{ act = '{activation}' }}, {{ dense = 9 }}, ").repeat(5)
        );
        let data = random(60 * 7, 5);
        let inputs = Inputs { data: &data, samples: 60 };
        let of = |precision| {
            let options = Options { precision, ..Options::default() };
            engine(&layers, "[7]", (1.5, 0.1), options).gram(inputs).unwrap()
        };
        let apart = difference(of(Precision::F32), of(Precision::F64));
        assert!(apart.iter().all(|apart| *apart < 2e-5), "{activation}: {apart:?}");
    }
}

/// x, x, −x, 0, y, y.
fn awkward() -> Vec<f64> {
    let (x, y) = (random(7, 6), random(7, 7));
    let opposite = x.iter().map(|x| -x).collect();
    [x.clone(), x, opposite, vec![0.0; 7], y.clone(), y].concat()
}

#[test]
fn repeated_opposite_and_zero_samples_keep_their_digits() {
    let data = awkward();
    let inputs = Inputs { data: &data, samples: 6 };
    for activation in ["relu", "abs", "leaky_relu(0.3)", "erf", "gelu", "relu2", "sign"] {
        for (depth, init) in [(1, (0.7, 0.0)), (4, (0.7, 0.0)), (1, (0.7, 0.3)), (4, (0.7, 0.3))] {
            let body = format!("{{ act = '{activation}' }}, {{ dense = 9 }}, ").repeat(depth);
            let layers = format!("{{ dense = 9 }}, {body}{{ dense = 3 }}");
            let fast = engine(&layers, "[7]", init, Options::default()).gram(inputs).unwrap();
            let exact = engine(&layers, "[7]", init, Options::default()).general().gram(inputs).unwrap();
            let apart = difference(fast, exact);
            assert!(apart.iter().all(|apart| *apart < 1e-12), "{activation} × {depth} {init:?}: {apart:?}");
        }
    }
}

#[test]
fn parallel_samples_of_a_homogeneous_network_differ_by_their_factor_to_the_last_digits() {
    let (x, y) = (random(7, 6), random(7, 7));
    let times = |factor: f64| x.iter().map(|x| factor * x).collect::<Vec<f64>>();
    let data = [x.clone(), times(3.7), times(-1.0), times(-0.3), times(1e-5), y].concat();
    let factors = [1.0, 3.7, -1.0, -0.3, 1e-5];
    for activation in ["relu", "abs", "leaky_relu(0.3)"] {
        let body = format!("{{ act = '{activation}' }}, {{ dense = 9 }}, ").repeat(5);
        let plan = plan("[7]", &format!("{{ dense = 9 }}, {body}{{ dense = 3 }}"));
        let init = vec![LayerInit::normal(1.7, 0.0); plan.weighted];
        let rate = vec![LayerRate { lambda_w: 1.3, lambda_b: 0.0 }; plan.weighted];
        let engine = Engine::compile(&plan, &init, &rate, Options::default()).unwrap();
        let matrices = engine.gram(Inputs { data: &data, samples: 6 }).unwrap();
        for values in [matrices.kernel.into_f64(), matrices.tangent.unwrap().into_f64()] {
            for i in 0..5 {
                for j in 0..5 {
                    // Samples on the same side stand to each other as x to itself, on opposite sides as x to −x.
                    let (fi, fj): (f64, f64) = (factors[i], factors[j]);
                    let unit = if fi * fj > 0.0 { values[0] } else { values[2] };
                    let (got, expect) = (values[i * 6 + j], (fi * fj).abs() * unit);
                    assert!(
                        (got - expect).abs() <= 1e-13 * (fi * fj).abs() * values[0],
                        "{activation} ({i}, {j}): {got}, {expect}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_grows_beyond_all_numbers_is_named() {
    let deep = |activation: &str| {
        format!("{}{{ dense = 3 }}", format!("{{ dense = 9 }}, {{ act = '{activation}' }}, ").repeat(1500))
    };
    let data = awkward();
    let inputs = Inputs { data: &data, samples: 6 };
    let options = Options { tangent: false, ..Options::default() };
    let why = engine(&deep("relu"), "[7]", (4.0, 0.0), options).gram(inputs).unwrap_err();
    assert!(matches!(&why, KernelError::Grows { what: Beyond::Kernel, .. }), "{why}");
    // K of a bounded activation stays, Θ grows by 1.4 in every layer.
    let why = engine(&deep("erf"), "[7]", (9.0, 0.0), Options::default()).gram(inputs).unwrap_err();
    assert!(matches!(&why, KernelError::Grows { what: Beyond::Tangent, .. }), "{why}");
    let kernel = engine(&deep("erf"), "[7]", (9.0, 0.0), options).gram(inputs).unwrap().kernel.into_f64();
    assert!(kernel.iter().all(|k| k.is_finite()) && (kernel[0] / kernel[1] - 1.0).abs() < 1e-14);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn random_networks_agree_with_the_rules_of_the_layers(
        picks in prop::collection::vec((0usize..6, any::<bool>(), any::<bool>()), 1..5),
        c_w in 0.5f64..2.5, c_b in 0.0f64..0.5,
    ) {
        let acts = ["relu", "erf", "gelu", "abs", "leaky_relu(0.1)", "relu"];
        let mut layers = String::from("{ dense = 9 }");
        for (act, norm, skip) in picks {
            let norm = if norm { "{ norm = 'layer' }, " } else { "" };
            let body = format!("{norm}{{ act = '{}' }}, {{ dense = 9 }}", acts[act]);
            layers += &if skip { format!(", {{ residual = 0.8, block = [{body}] }}") } else { format!(", {body}") };
        }
        agrees_with_general(&layers, (c_w, c_b), 1e-12);
    }
}
