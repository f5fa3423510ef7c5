//! Rate of matrix products on one thread, in GFLOP/s (criterion's Gelem/s with one element = one floating-point operation).
//!
//! The first row, a 1024³ product, is this machine's practical limit; the others are the shapes of training a 784-100-…-10
//! network at batch 100, forward (`y = x Wᵀ`), backward to the input (`dx = dy W`) and to the weights (`dW = dyᵀ x`).

#![allow(missing_docs)] // criterion's macro makes a public function without any

use std::hint::black_box;
use std::time::Duration;

use carnot_math::device::{View, product};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// (m, k, n) of `[m, k] [k, n]`, and which factors are stored transposed.
const CASES: [(&str, [usize; 3], [bool; 2]); 15] = [
    ("limit", [1024, 1024, 1024], [false, false]),
    ("square plain", [100, 100, 100], [false, false]),
    ("hidden forward", [100, 100, 100], [false, true]),
    ("hidden weights", [100, 100, 100], [true, false]),
    ("first forward", [100, 784, 100], [false, true]),
    ("first weights", [100, 100, 784], [true, false]),
    ("first input", [100, 100, 784], [false, false]),
    ("last forward", [100, 100, 10], [false, true]),
    ("last weights", [10, 100, 100], [true, false]),
    ("rows forward", [2560, 100, 100], [false, true]),
    ("rows input", [2560, 100, 100], [false, false]),
    ("rows weights", [100, 2560, 100], [true, false]),
    ("rows last forward", [2560, 100, 10], [false, true]),
    ("rows last input", [2560, 10, 100], [false, false]),
    ("rows last weights", [10, 2560, 100], [true, false]),
];

fn rates(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("product f32");
    group
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20);
    for (name, [m, k, n], [flip_a, flip_b]) in CASES {
        let (a, b) = (vec![0.5f32; m * k], vec![0.25f32; k * n]);
        let mut dst = vec![0f32; m * n];
        group.throughput(Throughput::Elements((2 * m * k * n) as u64));
        group.bench_function(BenchmarkId::new(name, format!("{m}x{k}x{n}")), |bencher| {
            bencher.iter(|| {
                let a = if flip_a { View::new(&a, k, m).transposed() } else { View::new(&a, m, k) };
                let b = if flip_b { View::new(&b, n, k).transposed() } else { View::new(&b, k, n) };
                product(black_box(&mut dst), black_box(a), black_box(b), false);
            })
        });
    }
    group.finish();
}

criterion_group!(benches, rates);
criterion_main!(benches);
