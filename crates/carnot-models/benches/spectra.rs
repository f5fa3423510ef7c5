//! What one weight matrix costs, stage by stage, on one thread, for the shapes of a small BERT.
//!
//! `cargo bench -p carnot-models --bench spectra` first prints a table with the machine's limit beside each stage: bytes a second of a
//! plain sum for what passes over the entries, the rate of a product of the same numbers for the Gram matrix. Then it runs criterion.
#![allow(missing_docs)]

use carnot_math::device::{View, product};
use carnot_math::random::Stream;
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

fn table() {
    for shape in SHAPES {
        let [rows, columns] = shape;
        let values = matrix(shape);
        let gram = Gram::of(&values, rows, columns).expect("it fits");
        let eigenvalues = gram.eigenvalues().expect("they converge");
        let ms = |work: &mut dyn FnMut()| 1e3 * seconds(work);
        let stages = [
            (
                "sum (limit)",
                ms(&mut || {
                    black_box(black_box(&values).iter().map(|w| w.to_bits()).fold(0u32, u32::wrapping_add));
                }),
            ),
            ("entries", ms(&mut || unused(Entries::of(&values)))),
            ("dead", ms(&mut || unused(dead(&values, rows, columns, 1)))),
            (
                "product f32 (limit)",
                ms(&mut || {
                    let side = rows.min(columns);
                    let mut out = vec![0f32; side * side];
                    let view = View::new(&values, rows, columns);
                    let (a, b) =
                        if rows <= columns { (view, view.transposed()) } else { (view.transposed(), view) };
                    product(&mut out, a, b, false);
                    black_box(&out);
                }),
            ),
            ("gram", ms(&mut || unused(Gram::of(&values, rows, columns)))),
            ("duplicated", ms(&mut || unused(duplicated(&values, rows, columns, &gram)))),
            ("eigenvalues", ms(&mut || unused(gram.eigenvalues()))),
            ("fit", ms(&mut || unused(fit(&eigenvalues, 1, 1)))),
            ("random", ms(&mut || unused(random(&eigenvalues, rows.max(columns))))),
            ("all", ms(&mut || unused(analyse(&values, whole(shape), 1, 1)))),
        ];
        println!("{rows} x {columns}, {:.1} MB:", 4e-6 * (rows * columns) as f64);
        stages.iter().for_each(|(name, ms)| println!("  {name:20} {ms:9.3} ms"));
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
