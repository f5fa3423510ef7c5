//! What one weight matrix costs, stage by stage, on one thread, for the shapes of a small BERT.
//!
//! `cargo bench -p carnot-models --bench spectra` first prints a table with the machine's limit beside each stage: a plain sum for what passes
//! over the entries; for the Gram matrix half the time of a product of the same numbers, in the precision in which it is made; for
//! the eigenvalues the time of a product of 4/3 n³ operations in double precision. Then it runs criterion.
#![allow(missing_docs)]

use carnot_math::device::{View, product};
use carnot_math::random::Stream;
use carnot_math::scalar::Scalar;
use carnot_models::spectrum::eigenvalues::Gram;
use carnot_models::spectrum::entries::Entries;
use carnot_models::spectrum::marchenko_pastur::random;
use carnot_models::spectrum::matrix::{Shape, analyse};
use carnot_models::spectrum::power_law::fit;
use carnot_models::spectrum::units::{dead, duplicated};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Instant;

const SHAPES: [[usize; 2]; 4] = [[384, 384], [1536, 384], [384, 1536], [30_522, 384]];
const REPEATS: usize = 5;

/// A random matrix with a heavy tail, as trained ones have: columns of different lengths.
fn matrix([rows, columns]: [usize; 2]) -> Vec<f32> {
    let mut values = vec![0f32; rows * columns];
    Stream::new(1, "matrix", &[]).fill_normal(&mut values, 0.05);
    let mut stream = Stream::new(2, "lengths", &[]);
    let lengths: Vec<f32> = (0..columns).map(|_| (1.0 - stream.uniform()).powf(-0.3) as f32).collect();
    values
        .chunks_mut(columns)
        .for_each(|row| row.iter_mut().zip(&lengths).for_each(|(w, length)| *w *= length));
    values
}

/// The least of several times.
fn seconds<T>(mut work: impl FnMut() -> T) -> f64 {
    let once = |_| {
        let start = Instant::now();
        black_box(work());
        start.elapsed().as_secs_f64()
    };
    (0..REPEATS).map(once).fold(f64::INFINITY, f64::min)
}

fn unused<T>(result: T) {
    black_box(&result);
}

fn whole([rows, columns]: [usize; 2]) -> Shape {
    Shape { rows, columns, fan_in: columns, window: 1 }
}

/// Milliseconds of a product of a matrix with its own transpose over the shorter side.
fn product_ms<S: Scalar>(values: &[S], [rows, columns]: [usize; 2]) -> f64 {
    let side = rows.min(columns);
    let mut out = vec![S::default(); side * side];
    let view = View::new(values, rows, columns);
    let (a, b) = if rows <= columns { (view, view.transposed()) } else { (view.transposed(), view) };
    1e3 * seconds(|| {
        product(&mut out, a, b, false);
        black_box(&out);
    })
}

/// Milliseconds of the fastest pass over these numbers and of the Gram matrix and eigenvalues at the rate of products.
fn limits(values: &[f32], shape: [usize; 2]) -> [f64; 3] {
    let pass = 1e3 * seconds(|| black_box(values).iter().map(|w| w.to_bits()).fold(0u32, u32::wrapping_add));
    let double: Vec<f64> = values.iter().map(|w| f64::from(*w)).collect();
    let of_double = product_ms(&double, shape);
    let is_single = Gram::single(values, shape[0], shape[1]).is_some();
    let gram = if is_single { product_ms(values, shape) } else { of_double };
    let (shorter, longer) = (shape[0].min(shape[1]) as f64, shape[0].max(shape[1]) as f64);
    [pass, gram / 2.0, of_double * (4.0 / 3.0 * shorter) / (2.0 * longer)]
}

fn table() {
    for shape in SHAPES {
        let [rows, columns] = shape;
        let values = matrix(shape);
        let gram = Gram::of(&values, rows, columns).expect("it fits");
        let eigenvalues = gram.eigenvalues().expect("they converge");
        let ms = |work: &mut dyn FnMut()| 1e3 * seconds(work);
        let [pass, of_gram, of_eigenvalues] = limits(&values, shape);
        let made = || match Gram::single(&values, rows, columns) {
            Some(gram) => Ok(gram),
            None => Gram::of(&values, rows, columns),
        };
        let stages = [
            ("entries", Some(2.0 * pass), ms(&mut || unused(Entries::of(&values)))),
            ("dead", Some(pass), ms(&mut || unused(dead(&values, rows, columns, 1)))),
            ("gram", Some(of_gram), ms(&mut || unused(made()))),
            ("duplicated", None, ms(&mut || unused(duplicated(&values, rows, columns, &gram)))),
            ("eigenvalues", Some(of_eigenvalues), ms(&mut || unused(gram.eigenvalues()))),
            ("fit", None, ms(&mut || unused(fit(&eigenvalues, 1, 1)))),
            ("random", None, ms(&mut || unused(random(&eigenvalues, rows.max(columns))))),
            ("all", None, ms(&mut || unused(analyse(&values, whole(shape), 1, 1)))),
        ];
        println!("{rows} x {columns}, {:.1} MB:", 4e-6 * (rows * columns) as f64);
        for (name, limit, ms) in stages {
            let limit = limit.map_or(String::new(), |limit| format!("limit {limit:9.3} ms"));
            println!("  {name:12} {ms:9.3} ms  {limit}");
        }
    }
}

fn spectra(criterion: &mut Criterion) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    pool.install(table);
    let mut group = criterion.benchmark_group("spectra");
    group.sample_size(10);
    for shape in &SHAPES[..3] {
        let values = matrix(*shape);
        group.bench_function(format!("analyse {} x {}", shape[0], shape[1]), |bencher| {
            bencher.iter(|| pool.install(|| black_box(analyse(&values, whole(*shape), 1, 1))));
        });
    }
    group.finish();
}

criterion_group!(benches, spectra);
criterion_main!(benches);
