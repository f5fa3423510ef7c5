//! How long readings take, beside what this machine can do at best and beside the forward pass that is read.
//!
//! Prints the machine's limits (bytes read per second, floating-point operations per second of a product, on one thread), then
//! for each probe the time of a call, in the parts that cost most, and the share that taking in the numbers is of the limit.
//! For a transformer it gives the time of a stream per input, and what that is of a forward pass that runs at the speed of
//! the product. Times are the least of several and of the processor, all threads together, which the system counts for this process
//! alone. Criterion keeps wall times.

use std::hint::black_box;

use carnot_math::device::{View, cpu, product};
use carnot_math::random::Stream;
use carnot_probe::call::{Call, Role};
use carnot_probe::observables::TABLE;
use carnot_probe::reading::StepReading;
use carnot_probe::session::{Session, Settings};
use criterion::Criterion;

/// One call of a probe in memory.
struct Output {
    name: String,
    kind: &'static str,
    role: Role,
    positions: usize,
    width: usize,
    features: Vec<f32>,
    input: Option<Vec<f32>>,
    gradient: Option<Vec<f32>>,
}

impl Output {
    fn new(name: &str, kind: &'static str, samples: usize, positions: usize, width: usize) -> Output {
        let mut features = vec![0f32; samples * positions * width];
        Stream::new(2, name, &[]).fill_normal(&mut features, 1.0);
        // A class moves every unit a little: nothing is degenerate.
        for (at, sample) in features.chunks_exact_mut(positions * width).enumerate() {
            sample
                .iter_mut()
                .enumerate()
                .for_each(|(unit, x)| *x += 0.5 * ((at % 10 * (unit % 17)) as f32).sin());
        }
        if kind == "relu" {
            features.iter_mut().for_each(|x| *x = x.max(0.0));
        }
        let (name, role) = (name.into(), Role::Chain);
        Output { name, kind, role, positions, width, features, input: None, gradient: None }
    }

    fn call(&self) -> Call<'_> {
        Call {
            role: self.role,
            positions: self.positions,
            input: self.input.as_deref(),
            gradient: self.gradient.as_deref(),
            ..Call::vectors(&self.name, self.kind, &self.features, self.width)
        }
    }
}

/// A network of 64 inputs, 8 hidden layers of 512 units and 10 outputs, as a watch reads it, gradients included.
fn mlp(samples: usize) -> Vec<Output> {
    let mut outputs = vec![Output::new("input", "input", samples, 1, 64)];
    for layer in 0..8 {
        outputs.push(Output::new(&format!("{layer}"), "linear", samples, 1, 512));
        outputs.push(Output::new(&format!("{layer}.relu"), "relu", samples, 1, 512));
    }
    outputs.push(Output::new("head", "linear", samples, 1, 10));
    for output in &mut outputs {
        output.gradient = Some(output.features.iter().map(|x| 1e-3 * x).collect());
    }
    outputs
}

/// A transformer of 6 layers, 384 wide, as a runtime of graphs gives it: 10 calls a layer, two of them ends of blocks.
fn transformer(samples: usize, positions: usize) -> Vec<Output> {
    let mut outputs = Vec::new();
    for layer in 0..6 {
        let widths = [384, 384, 384, 384, 384, 384, 1536, 1536, 384, 384];
        for (at, width) in widths.into_iter().enumerate() {
            let kind = if at == 7 { "gelu" } else { "linear" };
            let mut output = Output::new(&format!("{layer}.{at}"), kind, samples, positions, width);
            output.role = if at % 5 == 4 { Role::Block } else { Role::Inside };
            if at % 5 == 4 {
                output.input = Some(output.features.iter().map(|x| 0.9 * x + 0.1).collect());
            }
            outputs.push(output);
        }
    }
    outputs
}

/// Operations of one position's forward pass through [`transformer`]: its weights, and attention over `positions`.
fn operations(positions: usize) -> f64 {
    6.0 * 2.0 * (4.0 * 384.0 * 384.0 + 2.0 * 384.0 * 1536.0 + 2.0 * (positions * 384) as f64)
}

fn labels(samples: usize) -> Vec<u32> {
    (0..samples).map(|at| (at % 10) as u32).collect()
}

fn read(session: &mut Session, outputs: &[Output]) -> StepReading {
    let calls: Vec<Call> = outputs.iter().map(Output::call).collect();
    session.read(0, None, &calls).unwrap()
}

fn read_in_chunks(session: &mut Session, chunk: &[Output], samples: usize, chunks: usize) -> StepReading {
    let mut stream = session.stream(0, None);
    for at in 0..chunks {
        stream.begin(at * samples, samples).unwrap();
        chunk.iter().for_each(|output| stream.add(&output.call()).unwrap());
    }
    stream.end().unwrap()
}

/// Least seconds of the processor, of all threads together, of several runs.
fn least(runs: usize, mut run: impl FnMut()) -> f64 {
    let mut once = |_| {
        let start = processor_time();
        run();
        processor_time() - start
    };
    (0..runs).map(&mut once).fold(f64::INFINITY, f64::min)
}

/// Seconds that all threads of this process have spent on a processor; 0 where the system does not say.
fn processor_time() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let spent = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    tasks.flatten().filter_map(spent).sum::<f64>() * 1e-9
}

/// Bytes per second that a sum of squares reads, from the cache and from memory; operations per second of a product.
fn limits() -> (f64, f64, f64) {
    let (near, far) = (vec![1f32; 1 << 16], vec![1f32; 1 << 25]);
    // The system's clock moves in steps of milliseconds: short things are repeated.
    let bytes = |x: &[f32], repeats: usize| {
        let time = least(5, || {
            for _ in 0..repeats {
                black_box(cpu::sum_of_squares(black_box(x)));
            }
        });
        4.0 * (x.len() * repeats) as f64 / time
    };
    let (n, mut out) = (512, vec![0f32; 512 * 512]);
    let (a, b) = (vec![0.01f32; n * n], vec![0.01f32; n * n]);
    let time = least(5, || {
        (0..20).for_each(|_| product(&mut out, View::new(&a, n, n), View::new(&b, n, n), false));
    });
    (bytes(&near, 10_000), bytes(&far, 2), 20.0 * 2.0 * (n as f64).powi(3) / time)
}

fn main() {
    let (near, far, flops) = limits();
    println!(
        "one thread: {:.0} GB/s from the cache, {:.0} GB/s from memory, {:.0} GFLOP/s of a product",
        near / 1e9,
        far / 1e9,
        flops / 1e9
    );
    for samples in [200, 256] {
        let outputs = mlp(samples);
        let mut session = Session::new(Some(labels(samples)), samples, Settings::default()).unwrap();
        let time = least(5, || drop(black_box(read(&mut session, &outputs))));
        let forward = 2.0 * samples as f64 * (64.0 * 512.0 + 7.0 * 512.0 * 512.0 + 5120.0) / flops;
        println!(
            "64-512x8-10, {samples} samples: {:.1} ms a reading of {} calls and {} observables, {:.2} ms a call; \
             its forward pass at the speed of the product: {:.1} ms",
            1e3 * time,
            outputs.len(),
            TABLE.len(),
            1e3 * time / outputs.len() as f64,
            1e3 * forward
        );
    }
    for positions in [32, 128] {
        let samples = 8;
        let chunk = transformer(samples, positions);
        let timed = |chunks: usize, is_labelled: bool| {
            let all = samples * chunks;
            let given = is_labelled.then(|| labels(all));
            let mut session = Session::new(given, all, Settings::default()).unwrap();
            least(3, || drop(black_box(read_in_chunks(&mut session, &chunk, samples, chunks))))
        };
        for is_labelled in [true, false] {
            // What does not grow with the probe falls out of the difference.
            let (few, many) = (timed(40, is_labelled), timed(80, is_labelled));
            let input = (many - few) / (40 * samples) as f64;
            let constant = few - input * (40 * samples) as f64;
            let bytes: usize = chunk
                .iter()
                .map(|o| 4 * o.features.len() + o.input.as_ref().map_or(0, |i| 4 * i.len()))
                .sum();
            let rate = bytes as f64 / samples as f64 / input;
            let forward = operations(positions) * positions as f64 / flops;
            println!(
                "transformer 6 x 384, {positions} positions, 60 calls, {}: {:.3} ms an input ({:.1} GB/s, {:.0} % of reading from \
                 memory) and {:.0} ms for the probe; {:.1} % of a forward pass at the speed of the product \
                 ({:.2} ms an input)",
                if is_labelled { "labels" } else { "no labels" },
                1e3 * input,
                rate / 1e9,
                100.0 * rate / far,
                1e3 * constant,
                100.0 * input / forward,
                1e3 * forward
            );
        }
    }
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let outputs = mlp(200);
    let mut session = Session::new(Some(labels(200)), 200, Settings::default()).unwrap();
    criterion
        .bench_function("reading of 64-512x8-10, 200 samples", |b| b.iter(|| read(&mut session, &outputs)));
    criterion.final_summary();
}
