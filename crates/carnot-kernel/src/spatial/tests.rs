//! The spatial route against the rules of the layers.

use super::Spatial;
use crate::engine::{Engine, Inputs, Options, Precision};
use crate::general;
use crate::matrices::Matrices;
use carnot_math::random::Stream;
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::network::Network;
use carnot_net::plan::Plan;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const SEED: u64 = 20_261_122;

struct Case {
    plan: Plan,
    init: Vec<LayerInit>,
    rate: Vec<LayerRate>,
}

impl Case {
    /// `None` when the layers do not fit each other.
    fn new(text: &str) -> Option<Case> {
        let network = Network::from_toml(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let plan = Plan::new(&network).ok()?;
        // With a bias everywhere: at K = 0 the slope of a kink is a matter of convention.
        let of = |at: usize| LayerInit::normal(1.1 + 0.2 * at as f64, 0.05 * (at + 1) as f64);
        let init: Vec<LayerInit> = (0..plan.weighted).map(of).collect();
        let rate =
            init.iter().map(|init| LayerRate { lambda_w: init.c_w, lambda_b: init.c_b + 0.1 }).collect();
        Some(Case { plan, init, rate })
    }

    fn spatial(&self, options: Options) -> Option<Spatial> {
        Spatial::compile(&self.plan, &self.init, &self.rate, options)
    }

    fn general(&self, first: Inputs, second: Option<Inputs>) -> Matrices {
        general::matrices(&self.plan, &self.init, &self.rate, Options::default(), first, second).unwrap()
    }

    fn inputs(&self, samples: usize) -> Vec<f64> {
        let mut values = vec![0.0; samples * self.plan.input.len()];
        Stream::new(SEED, "spatial test", &[]).fill_normal(&mut values, 1.0);
        values
    }
}

fn distance(found: &Matrices, expect: &Matrices) -> f64 {
    let of = |found: Vec<f64>, expect: Vec<f64>| {
        let scale = expect.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
        found.iter().zip(&expect).map(|(x, y)| (x - y).abs() / scale).fold(0.0, f64::max)
    };
    let kernel = of(found.kernel.clone().into_f64(), expect.kernel.clone().into_f64());
    match (&found.tangent, &expect.tangent) {
        (Some(found), Some(expect)) => kernel.max(of(found.clone().into_f64(), expect.clone().into_f64())),
        _ => kernel,
    }
}

/// One layer that moves a window, an activation behind it, and sometimes a norm, a skip or a pool.
fn block() -> impl Strategy<Value = String> {
    let padding = prop_oneof![3 => Just("same"), 1 => Just("valid"), 1 => Just("circular")];
    let kind = prop_oneof![6 => Just("conv"), 1 => Just("conv_local"), 1 => Just("conv_transposed")];
    let act = prop_oneof![4 => Just("relu"), 2 => Just("erf"), 2 => Just("gelu"), 1 => Just("sin")];
    let size = || (1..4usize, 1..4usize);
    let extra = prop_oneof![
        5 => Just(String::new()),
        1 => Just("{ residual = 0.8, branch = 0.7, block = [{ conv = 4 }, { act = 'relu' }, { conv = 4, kernel = 1 }] }, { act = 'erf' }".into()),
        1 => (size(), 1..3usize, 0..2usize).prop_map(|((a, b), s, sum)| {
            let reduce = ["average", "sum"][sum];
            format!("{{ pool = [{a}, {b}], stride = {s}, padding = 'same', reduce = '{reduce}', normalize_edges = true }}")
        }),
        1 => Just("{ pool = 2 }".into()),
    ];
    (kind, size(), (1..3usize, 1..3usize), padding, act, 0..4usize, extra).prop_map(
        |(kind, (a, b), (s, t), padding, act, norm, extra)| {
            let stride = if a > b { format!(", stride = [{s}, {t}]") } else { String::new() };
            let norm = if norm == 0 { "{ norm = 'layer' }, " } else { "" };
            let extra = if extra.is_empty() { extra } else { format!(", {extra}") };
            format!("{{ {kind} = 4, kernel = [{a}, {b}], padding = '{padding}'{stride} }}, {norm}{{ act = '{act}' }}{extra}")
        },
    )
}

fn network() -> impl Strategy<Value = String> {
    let blocks = proptest::collection::vec(block(), 1..4);
    let end = prop_oneof![
        2 => Just("{ flatten = true }, { dense = 3 }"),
        2 => Just("{ pool = 'global' }, { dense = 3 }, { act = 'relu' }, { dense = 2 }"),
        1 => Just("{ pool = 'global', reduce = 'sum' }, { dense = 3 }"),
        1 => Just("{ dense = 3 }"),
    ];
    ((1..6usize, 2..6usize), blocks, end).prop_map(|((height, width), blocks, end)| {
        let layers = blocks.join(",\n");
        format!("input = [{height}, {width}, 2]\nlayers = [{layers},\n{end}]")
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        rng_seed: RngSeed::Fixed(SEED),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn diagonals_one_by_one_are_the_rules_of_the_layers(text in network()) {
        let Some(case) = Case::new(&text) else { return Ok(()) };
        let Some(spatial) = case.spatial(Options::default()) else { return Ok(()) };
        let data = case.inputs(4);
        let (first, second) = data.split_at(2 * case.plan.input.len());
        let all = Inputs { data: &data, samples: 4 };
        let (first, second) = (Inputs { data: first, samples: 2 }, Inputs { data: second, samples: 2 });
        let gram = spatial.matrices(Precision::F64, all, None).unwrap();
        let cross = spatial.matrices(Precision::F64, first, Some(second)).unwrap();
        let errors = [distance(&gram, &case.general(all, None)), distance(&cross, &case.general(first, Some(second)))];
        // From 24 different variances on, the rules of the layers interpolate single averages to 1e-11 a layer.
        let sites = case.plan.all().iter().map(|site| 4 * site.output.positions()).max().unwrap_or(1);
        let bound = if sites <= 24 { 1e-12 } else { 1e-10 };
        // A sine goes through the table here, and has a closed form there.
        let bound = if text.contains("sin") { 1e-8 } else { bound };
        prop_assert!(errors[0] < bound && errors[1] < bound, "{errors:?} for {text}");
        let single = spatial.matrices(Precision::F32, all, None).unwrap();
        let error = distance(&single, &gram);
        prop_assert!(error < 3e-4, "single precision is {error} away for {text}");
    }
}

const POOLED: &str = "input = [5, 4, 2]\nlayers = [{ conv = 4 }, { act = 'relu' }, { conv = 4, padding = 'circular' }, { act = 'erf' }, { pool = 2 }, { conv = 4 }, { act = 'relu' }, { pool = 'global' }, { dense = 1 }]";

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let case = Case::new(POOLED).unwrap();
    let spatial = case.spatial(Options::default()).unwrap();
    let data = case.inputs(9);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| spatial.matrices(Precision::F32, Inputs { data: &data, samples: 9 }, None).unwrap())
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn equal_images_have_equal_kernels_to_the_last_bit() {
    for precision in [Precision::F64, Precision::F32] {
        for text in [
            POOLED,
            "input = [6, 3, 2]\nlayers = [{ conv = 4 }, { act = 'relu' }, { conv = 4 }, { act = 'gelu' }, { flatten = true }, { dense = 1 }]",
        ] {
            let case = Case::new(text).unwrap();
            let spatial = case.spatial(Options::default()).unwrap();
            let one = case.inputs(1);
            let data: Vec<f64> = one.iter().chain(&one).copied().collect();
            let all = spatial.matrices(precision, Inputs { data: &data, samples: 2 }, None).unwrap();
            for matrix in [all.kernel, all.tangent.unwrap()] {
                let values = matrix.into_f64();
                let worst = values.iter().map(|x| (x / values[0] - 1.0).abs()).fold(0.0, f64::max);
                let bound = if precision == Precision::F64 { 1e-14 } else { 1e-6 };
                assert!(worst < bound, "{values:?} for {text}");
            }
        }
    }
}

#[test]
fn black_images_and_borders_have_finite_kernels() {
    let text = "input = [5, 4, 1]\nlayers = [{ conv = 4, bias = false }, { act = 'relu' }, { conv = 4, bias = false }, { act = 'relu' }, { pool = 'global' }, { dense = 1, bias = false }]";
    let case = Case::new(text).unwrap();
    let spatial = case.spatial(Options::default()).unwrap();
    let mut data = case.inputs(3);
    data[..20].fill(0.0);
    data[20..32].fill(0.0);
    let inputs = Inputs { data: &data, samples: 3 };
    let found = spatial.matrices(Precision::F64, inputs, None).unwrap();
    assert!(distance(&found, &case.general(inputs, None)) < 1e-12);
    assert_eq!(found.kernel.into_f64()[0], 0.0);
}

/// Pairs of positions that a pair of 8 × 8 images carries through two layers.
fn entries(end: &str) -> f64 {
    let text = format!(
        "input = [8, 8, 2]\nlayers = [{{ conv = 4 }}, {{ act = 'relu' }}, {{ conv = 4 }}, {{ act = 'relu' }}, {end}]"
    );
    let spatial = Case::new(&text).unwrap().spatial(Options::default()).unwrap();
    spatial.cost(Precision::F32, 3, None, 1).entries
}

#[test]
fn only_the_diagonals_that_are_wanted_are_carried() {
    let positions = 64.0;
    assert_eq!(entries("{ flatten = true }"), 2.0 * positions);
    assert_eq!(entries("{ pool = 'global' }"), 2.0 * positions * positions);
    // Differences of −1, 0 and 1 along an axis of 8 have 7, 8 and 7 pairs.
    assert_eq!(entries("{ pool = 2 }, { flatten = true }"), 2.0 * 22.0 * 22.0);
    // A stride of 2 before a global pool: of 15 differences along an axis, the seven even ones, 32 pairs.
    let strided = entries("{ conv = 4, stride = 2 }, { pool = 'global' }");
    assert_eq!(strided, 2.0 * 32.0 * 32.0);
}

#[test]
fn costs_grow_with_pairs_and_shrink_with_threads() {
    let case = Case::new(POOLED).unwrap();
    let spatial = case.spatial(Options::default()).unwrap();
    let cost = |rows, columns, threads| spatial.cost(Precision::F64, rows, columns, threads);
    assert!(cost(64, None, 1).seconds < 0.6 * cost(64, Some(64), 1).seconds);
    assert_eq!(cost(64, None, 4).seconds, cost(64, None, 1).seconds / 4.0);
    assert!(cost(64, None, 4).bytes > cost(64, None, 1).bytes);
    assert!(spatial.cost(Precision::F32, 64, None, 1).bytes == 0.5 * cost(64, None, 1).bytes);
}

#[test]
fn the_estimate_of_images_counts_pairs_of_positions() {
    let engine = |text: &str| {
        let case = Case::new(text).unwrap();
        (Engine::compile(&case.plan, &case.init, &case.rate, Options::default()).unwrap(), case.inputs(40))
    };
    let (pooled, data) = engine(POOLED);
    let inputs = Inputs { data: &data, samples: 40 };
    let whole = pooled.estimate(inputs, None, 512).unwrap();
    let twice = pooled.estimate(inputs, Some(inputs), 512).unwrap();
    assert_eq!(whole.result_bytes, 2.0 * 8.0 * 1600.0);
    assert!(whole.peak_bytes > whole.result_bytes && whole.seconds > 0.0);
    assert!(twice.operations > 1.9 * whole.operations && twice.operations < 2.0 * whole.operations);
}
