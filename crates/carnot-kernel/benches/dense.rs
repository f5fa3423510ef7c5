//! Kernels of fully connected networks on vectors of 784 numbers, K and Θ, on one thread.
//!
//! `cargo bench -p carnot-kernel --bench dense` first prints seconds, floating-point operations a second of the products and
//! nanoseconds per entry and layer against N and depth, beside what the machine can do: the same number of operations of one
//! activation in a loop of fused multiplications over a block in the first cache. Then it runs criterion.
#![allow(missing_docs)]

use carnot_kernel::{Engine, Inputs, Options, Precision, Route};
use carnot_math::device::wide::{Loop, Real, widest};
use carnot_math::device::{View, product};
use carnot_math::random::Stream;
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::network::Network;
use carnot_net::plan::Plan;
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Instant;

const WIDTH: usize = 784;
const ACTIVATIONS: [&str; 4] = ["relu", "erf", "gelu", "tanh"];
const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::F64];
/// Fused multiplications that one entry costs in a layer of relu: angle, sine, slope, weights, Θ.
const MULTIPLICATIONS: usize = 64;
const REPEATS: usize = 5;

fn engine(act: &str, layers: usize, precision: Precision) -> Engine {
    let block = format!("{{ dense = 64 }}, {{ act = '{act}' }}, ");
    let text = format!("input = [{WIDTH}]\nlayers = [{}{{ dense = 1 }}]", block.repeat(layers));
    let plan = Plan::new(&Network::from_toml(&text).expect("a valid network")).expect("a valid plan");
    let init = vec![LayerInit::normal(1.8, 0.05); plan.weighted];
    let rate = vec![LayerRate { lambda_w: 1.8, lambda_b: 0.05 }; plan.weighted];
    let options = Options { precision, ..Options::default() };
    let engine = Engine::compile(&plan, &init, &rate, options).expect("a kernel");
    assert_eq!(engine.route(), Route::Entrywise);
    engine
}

/// Vectors of different lengths with correlations around 0.3, as images have.
fn samples(n: usize) -> Vec<f64> {
    let mut data = vec![0.0; n * WIDTH];
    Stream::new(1, "vectors", &[]).fill_normal(&mut data, 1.0);
    for (sample, row) in data.chunks_mut(WIDTH).enumerate() {
        let length = 0.7 + (sample % 17) as f64 / 20.0;
        row.iter_mut().for_each(|x| *x = (*x + 0.7) * length);
    }
    data
}

/// The least of several times, and how much larger the largest is.
fn seconds(mut work: impl FnMut()) -> (f64, f64) {
    let once = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    let times: Vec<f64> = (0..REPEATS).map(once).collect();
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    (least, times.iter().copied().fold(0.0, f64::max) - least)
}

struct Chain;

impl<S: Real> Loop<S> for Chain {
    #[inline(always)]
    fn run<const FMA: bool>(self, x: &mut [S], y: &mut [S], z: &mut [S]) {
        let factor = S::from_f64(0.999);
        for ((x, y), z) in x.iter_mut().zip(y).zip(z) {
            let mut sums = [*x, *y, *z, S::ONE];
            for _ in 0..MULTIPLICATIONS / 4 {
                for sum in &mut sums {
                    *sum = S::mad::<FMA>(*sum, factor, S::HALF);
                }
            }
            (*x, *y, *z) = (sums[0] + sums[3], sums[1], sums[2]);
        }
    }
}

/// Nanoseconds per entry of [`MULTIPLICATIONS`] on a block in the first cache.
fn bound<S: Real>() -> f64 {
    let (mut x, mut y, mut z) = (vec![S::ONE; 512], vec![S::ONE; 512], vec![S::ONE; 512]);
    let (least, _) = seconds(|| {
        for _ in 0..4000 {
            widest(Chain, black_box(&mut x), &mut y, &mut z);
        }
    });
    least * 1e9 / (4000.0 * 512.0)
}

/// Seconds of the products alone, for entries above the diagonal.
fn products<S: Real>(data: &[f64], n: usize) -> f64 {
    let data: Vec<S> = data.iter().map(|x| S::from_f64(*x)).collect();
    let mut out = vec![S::ZERO; 64 * 512];
    let strip =
        |start: usize, rows: usize| View::new(&data[start * WIDTH..(start + rows) * WIDTH], rows, WIDTH);
    let (least, _) = seconds(|| {
        for row in (0..n - 63).step_by(64) {
            for column in (row / 512 * 512..n - 511).step_by(512) {
                product(&mut out, strip(row, 64), strip(column, 512).transposed(), false);
            }
        }
    });
    least
}

fn table() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    for precision in PRECISIONS {
        let limit = if precision == Precision::F32 { bound::<f32>() } else { bound::<f64>() };
        println!("{precision:?}: {MULTIPLICATIONS} fused multiplications an entry take {limit:.2} ns");
        for n in [1024, 2048] {
            let data = samples(n);
            let inputs = Inputs { data: &data, samples: n };
            let pairs = n as f64 * (n as f64 + 1.0) / 2.0;
            let first = if precision == Precision::F32 {
                products::<f32>(&data, n)
            } else {
                products::<f64>(&data, n)
            };
            let rate = 2.0 * WIDTH as f64 * pairs / first * 1e-9;
            println!("  N = {n}: products {first:.3} s, {rate:.0} GFLOP/s");
            for act in ACTIVATIONS {
                let mut before = None;
                for layers in [1, 10] {
                    let engine = engine(act, layers, precision);
                    let work = || drop(black_box(engine.gram(inputs).expect("a kernel")));
                    let (least, spread) = pool.install(|| seconds(work));
                    let each = before.map_or(String::new(), |one: f64| {
                        let each = (least - one) * 1e9 / (9.0 * pairs);
                        format!(", {each:.2} ns per entry and layer, {:.2} of the bound", each / limit)
                    });
                    println!("    {act}, {layers} layers: {least:.3} s (to {spread:.3} more){each}");
                    before = Some(least);
                }
            }
        }
    }
}

fn dense(criterion: &mut Criterion) {
    table();
    let n = 1024;
    let data = samples(n);
    let inputs = Inputs { data: &data, samples: n };
    let mut group = criterion.benchmark_group("dense");
    group.sample_size(10);
    for precision in PRECISIONS {
        for act in ACTIVATIONS {
            let engine = engine(act, 10, precision);
            let name = format!("{act} {precision:?}, 10 layers, N = {n}");
            group.bench_function(name, |bencher| {
                bencher.iter(|| black_box(engine.gram(inputs).expect("a kernel")))
            });
        }
    }
    group.finish();
}

criterion_group!(benches, dense);
criterion_main!(benches);
