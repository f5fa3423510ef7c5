//! What holds for the kernels of every network.

use carnot_kernel::{Engine, Inputs, Options};
use carnot_math::linalg;
use carnot_math::random::Stream;
use carnot_net::hyper::LayerInit;
use carnot_net::layers::LayerRule;
use carnot_net::network::Network;
use carnot_net::parametrization::Parametrization;
use carnot_net::plan::Plan;
use proptest::prelude::*;

const SAMPLES: usize = 6;

struct Kernels {
    kernel: Vec<f64>,
    tangent: Vec<f64>,
}

fn engine(text: &str) -> Engine {
    let network = Network::from_toml(text).unwrap_or_else(|why| panic!("{text}: {why}"));
    let plan = Plan::new(&network).unwrap_or_else(|why| panic!("{text}: {why}"));
    let own = |site: &carnot_net::plan::Site| {
        let chosen = site.layer.chosen();
        LayerInit::normal(chosen.c_w.unwrap_or(1.5), chosen.c_b.unwrap_or(0.1))
    };
    let init: Vec<LayerInit> = plan.weighted_sites().into_iter().map(own).collect();
    let rate = Parametrization::Ntk.rates(&plan, &init);
    Engine::compile(&plan, &init, &rate, Options::default()).unwrap()
}

/// Kernels of random inputs, the last of which repeats the first.
fn kernels(text: &str, values: usize) -> Kernels {
    kernels_by(&engine(text), text, values)
}

fn kernels_by(engine: &Engine, text: &str, values: usize) -> Kernels {
    let mut data = vec![0.0; SAMPLES * values];
    Stream::new(5, "property inputs", &[]).fill_normal(&mut data, 1.0);
    data.copy_within(0..values, (SAMPLES - 1) * values);
    let found = engine.gram(Inputs { data: &data, samples: SAMPLES });
    let found = found.unwrap_or_else(|why| panic!("{text}: {why}"));
    Kernels { kernel: found.kernel.into_f64(), tangent: found.tangent.expect("asked for").into_f64() }
}

fn activation() -> impl Strategy<Value = String> {
    let names = ["relu", "erf", "gelu", "sin", "softplus", "leaky_relu(0.2)", "z^2 / 2", "abs"];
    prop::sample::select(names.to_vec()).prop_map(|name| format!("{{ act = '{name}' }}"))
}

/// Chains that keep the width 8 and start and end with weights.
fn chain(weights: &'static str) -> impl Strategy<Value = String> {
    let hidden = (activation(), prop::bool::ANY).prop_map(move |(act, norm)| {
        let norm = if norm { "{ norm = 'layer' }, " } else { "" };
        format!("{norm}{act}, {weights}")
    });
    let leaf = hidden.prop_map(|chain| chain).boxed();
    let block = leaf.prop_recursive(2, 6, 3, move |inner| {
        prop_oneof![
            (inner.clone(), 0.1..1.0f64).prop_map(move |(block, skip)| format!(
                "{{ residual = {skip:?}, block = [{block}, {weights}] }}"
            )),
            (inner.clone(), inner.clone(), prop::bool::ANY).prop_map(move |(one, two, sum)| {
                let join = if sum { "sum" } else { "product" };
                format!(
                    "{{ branches = '{join}', of = [[{one}], [{two}]] }}, {{ norm = 'rms' }}, {{ dense = 8 }}"
                )
            }),
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!(
                "{{ branches = 'concat', of = [[{one}], [{two}]] }}, {{ dense = 8 }}"
            )),
            (inner.clone(), inner).prop_map(|(one, two)| format!("{one}, {two}")),
        ]
    });
    block.prop_map(move |block| format!("{weights}, {block}, {{ dense = 8 }}"))
}

fn check_positive(text: &str, values: usize) {
    let Kernels { kernel, tangent } = kernels(text, values);
    let by_rules = kernels_by(&engine(text).general(), text, values);
    for (what, fast, slow) in [("K", &kernel, &by_rules.kernel), ("Θ", &tangent, &by_rules.tangent)] {
        let largest = slow.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
        for (a, b) in fast.iter().zip(slow) {
            assert!((a - b).abs() <= 1e-9 * largest, "{what} of {text}: {a}, by the rules {b}");
        }
    }
    for (what, matrix) in [("K", &kernel), ("Θ", &tangent)] {
        assert!(matrix.iter().all(|x| x.is_finite()), "{what} of {text}");
        for i in 0..SAMPLES * SAMPLES {
            assert_eq!(
                matrix[i],
                matrix[i % SAMPLES * SAMPLES + i / SAMPLES],
                "{what} of {text} is symmetric"
            );
        }
        let trace: f64 = (0..SAMPLES).map(|i| matrix[i * (SAMPLES + 1)]).sum();
        let least = linalg::symmetric_eigen(matrix, SAMPLES).unwrap().values[0];
        assert!(least > -1e-9 * trace, "{what} of {text}: eigenvalue {least:.2e}, trace {trace:.2e}");
        // The repeated sample has the row of the first, to the tolerance asked of functions without closed form.
        for j in 0..SAMPLES {
            let (first, last) = (matrix[j], matrix[(SAMPLES - 1) * SAMPLES + j]);
            assert!(
                (first - last).abs() <= Options::default().tolerance * trace,
                "{what} of {text}: {first} and {last}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn kernels_of_dense_networks_have_no_negative_eigenvalue(layers in chain("{ dense = 8 }")) {
        check_positive(&format!("input = [5]\nlayers = [{layers}]"), 5);
    }

    #[test]
    fn kernels_of_networks_over_positions_have_no_negative_eigenvalue(
        layers in chain("{ conv = 8, kernel = 2 }"),
        attention in prop::sample::select(vec![
            "", "{ attention = 8, heads = 2, scaling = 'linear' }, ",
            "{ attention = 8, heads = 2, weighting = 'identity', c_w = 0.5, positions = { decay = 2.0, values = false } }, ",
        ]),
        pool in prop::sample::select(vec!["{ flatten = true }", "{ pool = 'global' }"]),
    ) {
        check_positive(&format!("input = [3, 2]\nlayers = [{layers}, {attention}{pool}, {{ dense = 8 }}]"), 6);
    }
}

#[test]
fn identical_branches_say_what_one_says() {
    let arm = "{ dense = 8, c_w = 1.5 }, { act = 'gelu' }";
    let of = |layers: &str| kernels(&format!("input = [4]\nlayers = [{layers}, {{ dense = 3 }}]"), 4);
    let one = of(arm);
    let two = of(&format!("{{ branches = 'concat', of = [[{arm}], [{arm}]] }}"));
    // A concatenation of the same keeps means over features.
    for (a, b) in one.kernel.iter().zip(&two.kernel).chain(one.tangent.iter().zip(&two.tangent)) {
        assert!((a - b).abs() < 1e-13 * a.abs().max(1.0), "{a} and {b}");
    }
    // Two independent layers of half the variance add up to one.
    let half = "{ branches = 'sum', of = [[{ dense = 8, c_w = 0.75, c_b = 0.05 }], [{ dense = 8, c_w = 0.75, c_b = 0.05 }]] }";
    let whole = of("{ dense = 8, c_w = 1.5, c_b = 0.1 }, { act = 'erf' }");
    let sum = of(&format!("{half}, {{ act = 'erf' }}"));
    for (a, b) in whole.kernel.iter().zip(&sum.kernel).chain(whole.tangent.iter().zip(&sum.tangent)) {
        assert!((a - b).abs() < 1e-13 * a.abs().max(1.0), "{a} and {b}");
    }
    // One branch is no branch, whatever the join; an empty one passes its input on.
    for join in ["sum", "concat", "product"] {
        let alone = of(&format!(
            "{{ dense = 8, c_w = 1.5 }}, {{ branches = '{join}', of = [[]] }}, {{ act = 'gelu' }}"
        ));
        for (a, b) in one.kernel.iter().zip(&alone.kernel).chain(one.tangent.iter().zip(&alone.tangent)) {
            assert!((a - b).abs() < 1e-13 * a.abs().max(1.0), "{join}: {a} and {b}");
        }
    }
}

/// Where two samples are parallel, kinks have closed forms: K′ = ⟨σ²⟩ and ⟨σ′²⟩ are (a² + b²)/2 times K and 1.
#[test]
fn repeated_and_opposite_points_are_exact_for_functions_with_a_kink() {
    for (act, plus, minus) in
        [("relu", 1.0f64, 0.0f64), ("abs", 1.0, -1.0), ("scale_invariant(1.2, -0.4)", 1.2, -0.4)]
    {
        for depth in [1, 3, 10] {
            let block = format!("{{ act = '{act}' }}, {{ dense = 8, c_w = 1.3, bias = false }}");
            let text = format!(
                "input = [3]\nlayers = [{{ dense = 8, c_w = 1.3, bias = false }}, {{ repeat = {depth}, block = [{block}] }}]"
            );
            let point = [0.3, -1.7, 0.9];
            let data: Vec<f64> =
                point.iter().chain(&point).copied().chain(point.iter().map(|x| 2.5 * x)).collect();
            for engine in [engine(&text), engine(&text).general()] {
                let found = engine.gram(Inputs { data: &data, samples: 3 }).unwrap();
                let (kernel, tangent) = (found.kernel.into_f64(), found.tangent.unwrap().into_f64());
                let square = point.iter().map(|x| x * x).sum::<f64>() / 3.0;
                let gain = 1.3 * (plus * plus + minus * minus) / 2.0;
                let one = 1.3 * square * gain.powi(depth);
                let expect = [1.0, 1.0, 2.5, 1.0, 1.0, 2.5, 2.5, 2.5, 6.25].map(|factor| factor * one);
                for (i, expect) in expect.iter().enumerate() {
                    let off = (kernel[i] / expect - 1.0).abs();
                    assert!(off < 1e-12, "{act}, depth {depth}, K entry {i}: {off:.1e}");
                    // Every layer with weights adds the same: Θ = (depth + 1) K.
                    let off = (tangent[i] / (expect * f64::from(depth + 1)) - 1.0).abs();
                    assert!(off < 1e-12, "{act}, depth {depth}, Θ entry {i}: {off:.1e}");
                }
            }
        }
    }
}
