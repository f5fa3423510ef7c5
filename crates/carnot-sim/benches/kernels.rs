//! How fast the tangent kernel of a real network is, beside what this machine's matrix product can do at best.
//!
//! Operations are those of the Gram matrices only: 2·N²/2·(fan-in + outputs · width) for each layer of a symmetric kernel. The
//! peak is that of one product of 512 × 512 × 512, on as many threads.

#![allow(missing_docs)] // criterion_group! makes a public function

use carnot_math::device::{View, product};
use carnot_math::random::Stream;
use carnot_net::activation::Activation;
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::plan::Plan;
use carnot_net::shorthand::{self, Style};
use carnot_sim::empirical::Network;
use carnot_sim::empirical::tangent::{Blocks, tangent};
use carnot_sim::initialise::initialise;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;

struct Case {
    name: &'static str,
    plan: Plan,
    rates: Vec<LayerRate>,
    parameters: Vec<f32>,
    inputs: Vec<f64>,
}

fn case(name: &'static str, text: &str, samples: usize) -> Case {
    let style = Style { activation: Activation::parse("relu").unwrap(), residual: None, norm: None };
    let plan = Plan::new(&shorthand::parse(text, &style).unwrap()).unwrap();
    let mut parameters = vec![0f32; plan.parameters];
    initialise(&plan, &vec![LayerInit::normal(2.0, 0.0); plan.weighted], 1, 0, &mut parameters);
    let mut inputs = vec![0.0; samples * plan.input.len()];
    Stream::new(1, "kernel bench", &[]).fill_normal(&mut inputs, 1.0);
    Case {
        name,
        rates: vec![LayerRate { lambda_w: 1.0, lambda_b: 0.5 }; plan.weighted],
        plan,
        parameters,
        inputs,
    }
}

impl Case {
    fn samples(&self) -> usize {
        self.inputs.len() / self.plan.input.len()
    }

    fn operations(&self) -> f64 {
        let outputs = self.plan.output().len();
        let layers = self.plan.weighted_sites().into_iter();
        let sizes: usize = layers.map(|site| site.fan_in() + outputs * site.output.width()).sum();
        (self.samples() * self.samples()) as f64 * sizes as f64
    }

    fn run(&self) -> f64 {
        let network = Network { plan: &self.plan, parameters: &self.parameters };
        tangent(network, &self.rates, &self.inputs, None, Blocks::TraceMean).unwrap().values[0]
    }
}

/// Operations per second of large products, one on each thread.
fn peak() -> f64 {
    const N: usize = 512;
    let (threads, repeats) = (rayon::current_num_threads(), 24);
    let start = Instant::now();
    (0..threads).into_par_iter().for_each(|_| {
        let (a, b, mut c) = (vec![1f32; N * N], vec![1f32; N * N], vec![0f32; N * N]);
        (0..repeats)
            .for_each(|_| product(&mut c, View::new(&a, N, N), View::new(&b, N, N).transposed(), false));
        black_box(&c);
    });
    (threads * repeats * 2 * N * N * N) as f64 / start.elapsed().as_secs_f64()
}

fn kernels(criterion: &mut Criterion) {
    let cases = [
        case("784-512x3-1", "784-512x3-1", 1000),
        case("784-512x3-10", "784-512x3-10", 1000),
        case("64-128x3-10", "64-128x3-10", 1797),
    ];
    let mut group = criterion.benchmark_group("empirical tangent kernel, f32");
    group.sample_size(10);
    for case in &cases {
        let mut least = f64::INFINITY;
        for _ in 0..3 {
            let start = Instant::now();
            black_box(case.run());
            least = least.min(start.elapsed().as_secs_f64());
        }
        let (rate, peak) = (case.operations() / least, peak());
        println!(
            "{} N = {}: {:.3} s, {:.0} GFLOP/s in Gram matrices, {:.0} % of the {:.0} of a large product on {} threads",
            case.name,
            case.samples(),
            least,
            rate / 1e9,
            100.0 * rate / peak,
            peak / 1e9,
            rayon::current_num_threads()
        );
        group.bench_with_input(BenchmarkId::new(case.name, case.samples()), case, |b, case| {
            b.iter(|| case.run())
        });
    }
    group.finish();
}

criterion_group!(benches, kernels);
criterion_main!(benches);
