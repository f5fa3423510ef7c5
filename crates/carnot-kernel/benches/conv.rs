//! Kernels of convolutional networks on images of 32 × 32 × 3: five convolutions of 3 × 3 and a dense layer.
//!
//! `cargo bench -p carnot-kernel --bench conv` first prints seconds and nanoseconds per pair of positions and layer, against
//! the number of samples and of layers, with the limit beside them, and then runs criterion. The limit is what an activation
//! alone costs in a loop over numbers in the first cache: measured on one core of an AVX-512 machine at 2.6 GHz, about 1.2 ns
//! in single and 3 ns in double precision, for K and Θ together. Cores share the work; the limit is divided by their number.
#![allow(missing_docs)]

use carnot_kernel::{Engine, Inputs, Options, Precision, Route};
use carnot_math::random::Stream;
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::network::Network;
use carnot_net::plan::Plan;
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Instant;

const SIZE: usize = 32;
const SEED: u64 = 1;

struct Case {
    name: String,
    engine: Engine,
    precision: Precision,
    layers: usize,
    /// Pairs of positions that each pair of samples carries through each layer.
    pairs: f64,
}

fn case(act: &str, layers: usize, is_pooled: bool, precision: Precision) -> Case {
    let block = format!("{{ conv = 64 }}, {{ act = '{act}' }}, ");
    let end = if is_pooled { "{ pool = 'global' }" } else { "{ flatten = true }" };
    let text =
        format!("input = [{SIZE}, {SIZE}, 3]\nlayers = [{}{end}, {{ dense = 1 }}]", block.repeat(layers));
    let plan = Plan::new(&Network::from_toml(&text).expect("a valid network")).expect("a valid plan");
    let init = vec![LayerInit::normal(1.8, 0.05); plan.weighted];
    let rate = vec![LayerRate { lambda_w: 1.8, lambda_b: 0.05 }; plan.weighted];
    let options = Options { precision, ..Options::default() };
    let engine = Engine::compile(&plan, &init, &rate, options).expect("a kernel");
    assert_eq!(engine.route(), Route::Spatial);
    let positions = (SIZE * SIZE) as f64;
    let pairs = if is_pooled { positions * positions } else { positions };
    let end = if is_pooled { "pooled" } else { "flatten" };
    let digits = if precision == Precision::F32 { "f32" } else { "f64" };
    Case { name: format!("{act} {end} {digits}, {layers} layers"), engine, precision, layers, pairs }
}

fn images(samples: usize) -> Vec<f64> {
    let mut data = vec![0.0; samples * SIZE * SIZE * 3];
    Stream::new(SEED, "images", &[]).fill_normal(&mut data, 1.0);
    data
}

/// Best of a few runs, in seconds.
fn seconds(case: &Case, data: &[f64], samples: usize) -> f64 {
    let run = || {
        let start = Instant::now();
        black_box(case.engine.gram(Inputs { data, samples }).expect("finite"));
        start.elapsed().as_secs_f64()
    };
    (0..3).map(|_| run()).fold(f64::INFINITY, f64::min)
}

fn print(case: &Case, samples: usize) {
    let data = images(samples);
    let time = seconds(case, &data, samples);
    let cores = rayon::current_num_threads() as f64;
    let work = (samples * (samples + 1) / 2) as f64 * case.pairs * case.layers as f64;
    let limit = if case.precision == Precision::F32 { 1.2 } else { 3.0 } / cores;
    let each = time / work * 1e9;
    println!(
        "{:28} N = {samples:4} {time:9.3} s {each:7.3} ns a pair of positions and layer; limit {limit:.2}: {:3.0} %",
        case.name,
        100.0 * limit / each
    );
}

fn table() {
    println!("{} threads", rayon::current_num_threads());
    for precision in [Precision::F32, Precision::F64] {
        for act in ["relu", "erf", "gelu"] {
            print(&case(act, 5, false, precision), 100);
            print(&case(act, 5, true, precision), 8);
        }
    }
    for layers in [1, 2, 5, 10] {
        print(&case("relu", layers, false, Precision::F32), 100);
        print(&case("relu", layers, true, Precision::F32), 8);
    }
    for samples in [4, 8, 16] {
        print(&case("relu", 5, true, Precision::F32), samples);
    }
    for samples in [25, 50, 100, 200] {
        print(&case("relu", 5, false, Precision::F32), samples);
    }
}

fn benches(criterion: &mut Criterion) {
    table();
    let mut group = criterion.benchmark_group("conv");
    group.sample_size(10);
    for (is_pooled, samples) in [(false, 50), (true, 4)] {
        let case = case("relu", 5, is_pooled, Precision::F32);
        let data = images(samples);
        group.bench_function(format!("{}, N = {samples}", case.name), |bencher| {
            bencher.iter(|| case.engine.gram(Inputs { data: &data, samples }).expect("finite"));
        });
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
