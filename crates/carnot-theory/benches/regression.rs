//! What prediction from kernel matrices costs, beside the limits of the same machine in the same process.
//!
//! Rates are floating-point operations (criterion's Gelem/s) against the product of two matrices, and bytes against a plain sum over the
//! same matrix. All on the threads of the global rayon pool.
#![allow(missing_docs)] // criterion's macros make public items

use std::hint::black_box;
use std::time::Duration;

use carnot_math::device::View;
use carnot_math::linalg::large::{self, Cholesky};
use carnot_math::random::Stream;
use carnot_theory::regression::modes::Modes;
use carnot_theory::regression::operator::{InMemory, KernelOperator};
use carnot_theory::regression::posterior::Posterior;
use carnot_theory::regression::problem::{Prior, Ridge, Targets};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rayon::prelude::*;

const N: usize = 2000;
const TESTS: usize = 500;
const OUTPUTS: usize = 10;
/// Larger than the caches: 288 MB.
const LARGE: usize = 6000;

/// Gram matrix of random points, plus one.
fn kernel(samples: usize, rows: usize) -> (Vec<f64>, Vec<f64>) {
    let width = 200;
    let mut points = vec![0.0; (samples + rows) * width];
    Stream::new(1, "bench", &[]).fill_normal(&mut points, (1.0 / width as f64).sqrt());
    let (train, test) = points.split_at(samples * width);
    let (mut inner, mut cross) = (vec![0.0; samples * samples], vec![0.0; rows * samples]);
    large::multiply(&mut inner, train, View::new(train, samples, width).transposed());
    large::multiply(&mut cross, test, View::new(train, samples, width).transposed());
    (0..samples).for_each(|i| inner[i * (samples + 1)] += 1.0);
    (inner, cross)
}

fn dense(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dense, n = 2000");
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5)).sample_size(10);
    let (inner, cross) = kernel(N, TESTS);
    let values = vec![0.5; N * OUTPUTS];
    let targets = Targets { values: &values, outputs: OUTPUTS };
    let mut out = vec![0.0; N * N];
    let cube = (N * N * N) as u64;
    group.throughput(Throughput::Elements(2 * cube));
    group.bench_function("limit: product of matrices", |b| {
        b.iter(|| large::multiply(black_box(&mut out), &inner, View::new(&inner, N, N)));
    });
    group.throughput(Throughput::Elements(cube / 3));
    group.bench_function("Cholesky", |b| {
        b.iter_batched(
            || inner.clone(),
            |matrix| Cholesky::of(matrix, N).expect("positive definite"),
            criterion::BatchSize::LargeInput,
        );
    });
    group.throughput(Throughput::Elements(cube / 3 + (2 * N * N * OUTPUTS + N * N * TESTS) as u64));
    group.bench_function("posterior of 10 outputs for 500 tests", |b| {
        let prior = vec![2.0; TESTS];
        b.iter_batched(
            || inner.clone(),
            |matrix| {
                let fit =
                    Posterior::fit(matrix, N, targets, Ridge::Relative(1e-3)).expect("positive definite");
                fit.predict(&cross, Prior::Variances(&prior)).expect("shapes fit")
            },
            criterion::BatchSize::LargeInput,
        );
    });
    // 4/3 n³ to tridiagonal form, half of it bound by memory, and about 4 n³ for the vectors.
    group.throughput(Throughput::Elements(cube * 16 / 3));
    group.bench_function("eigenvectors", |b| b.iter(|| Modes::of(&inner, N).expect("a kernel")));
    group.finish();
}

fn streaming(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("streaming, n = 6000");
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4)).sample_size(10);
    let (inner, _) = kernel(LARGE, 1);
    group.throughput(Throughput::Bytes((8 * LARGE * LARGE) as u64));
    group.bench_function("limit: sum over the matrix", |b| {
        // Eight sums that do not wait for each other, on every core.
        let sum = |chunk: &[f64]| {
            let mut sums = [0.0; 32];
            for part in chunk.chunks_exact(32) {
                sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            }
            sums.iter().sum::<f64>()
        };
        b.iter(|| black_box(inner.par_chunks(1 << 18).map(sum).sum::<f64>()));
    });
    let operator = InMemory::new(&inner, LARGE).expect("finite");
    for columns in [1usize, 10] {
        let (x, mut out) = (vec![0.5; LARGE * columns], vec![0.0; LARGE * columns]);
        group.bench_function(format!("kernel times {columns} vectors"), |b| {
            b.iter(|| operator.apply(black_box(&x), columns, &mut out).expect("in memory"));
        });
    }
    group.finish();
}

criterion_group!(benches, dense, streaming);
criterion_main!(benches);
