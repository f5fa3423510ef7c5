//! How fast ensembles train, beside what this machine's matrix product can do at best.
//!
//! Prints, for each network and number of threads, the time of one network-step, how much of it the products of
//! the same step need alone, and floating-point operations (those of the products only) per second as a share of
//! the machine's peak. On a machine that others use too, wall time measures the others: so times are also given as
//! processor time, which the system counts for this process only. Criterion keeps the wall times.

use carnot_math::device::{View, cpu, product};
use carnot_math::random::Stream;
use carnot_net::activation::Activation;
use carnot_net::dataset::{Dataset, Targets};
use carnot_net::hyper::LayerInit;
use carnot_net::plan::Plan;
use carnot_net::reading::Labels;
use carnot_net::shorthand::{self, Style};
use carnot_sim::ensemble::{Ensemble, run_job};
use carnot_sim::initialise::initialise;
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::train::spec::{Precision, TrainSpec};
use carnot_sim::train::{Training, train};
use criterion::Criterion;
use rayon::ThreadPool;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// A network and how it is trained.
struct Case {
    name: &'static str,
    plan: Plan,
    init: Vec<LayerInit>,
    data: Dataset,
    members: u64,
    batch: usize,
    steps: u64,
}

impl Case {
    fn new(name: &'static str, members: u64, batch: usize, steps: u64) -> Case {
        let style = Style { activation: Activation::parse("tanh").unwrap(), residual: None, norm: None };
        let plan = Plan::new(&shorthand::parse(name, &style).unwrap()).unwrap();
        let init = vec![LayerInit::normal(1.0, 0.0); plan.weighted];
        let (samples, width) = (2000, plan.input.len());
        let mut inputs = vec![0f32; samples * width];
        Stream::new(1, "bench", &[]).fill_normal(&mut inputs, 1.0);
        let labels = (0..samples).map(|i| (i % 10) as u32).collect();
        let targets = Targets::Classes { labels, classes: 10 };
        let data = Dataset {
            name: "noise".into(),
            shape: vec![width],
            inputs,
            targets,
            exact: Default::default(),
            source: String::new(),
        };
        Case { name, plan, init, data, members, batch, steps }
    }

    fn train(&self, steps: u64) {
        let spec = TrainSpec { steps, batch: self.batch, evaluate: 1, ..TrainSpec::default() };
        let training = Training {
            plan: &self.plan,
            init: &self.init,
            rates: &[],
            optimizer: Optimizer::named("adam").unwrap(),
            loss: Loss::CrossEntropy,
            train: &self.data,
            test: None,
            spec,
        };
        black_box(train(&training, 0..self.members, &|_| {}).unwrap());
    }

    /// Wall and processor time of one network-step, without initialisation and evaluation.
    fn step(&self) -> Times {
        let (long, short) = (timed(|| self.train(self.steps)), timed(|| self.train(0)));
        let count = (self.steps * self.members) as f64;
        Times { wall: (long.wall - short.wall) / count, cpu: (long.cpu - short.cpu) / count }
    }

    /// `(batch, fan-in, width)` of each dense layer.
    fn layers(&self) -> Vec<(usize, usize, usize)> {
        self.plan.weighted_sites().iter().map(|s| (self.batch, s.input.width(), s.output.width())).collect()
    }

    /// Operations of the products of one step: forward, to the weights, and to the inputs except the first.
    fn operations(&self) -> f64 {
        let of = |(i, &(b, n, m)): (usize, &(usize, usize, usize))| {
            2.0 * (b * n * m) as f64 * if i == 0 { 2.0 } else { 3.0 }
        };
        self.layers().iter().enumerate().map(of).sum()
    }

    /// The products of one step and nothing else.
    fn products(&self) -> Times {
        let layers = self.layers();
        let buffer = |n: usize| vec![0.01f32; n];
        let mut values: Vec<Vec<f32>> = layers.iter().map(|&(b, n, _)| buffer(b * n)).collect();
        values.push(buffer(self.batch * layers.last().unwrap().2));
        let weights: Vec<Vec<f32>> = layers.iter().map(|&(_, n, m)| buffer(n * m)).collect();
        let mut gradients = weights.clone();
        let mut step = || {
            for (i, &(b, n, m)) in layers.iter().enumerate() {
                let (before, after) = values.split_at_mut(i + 1);
                let weight = View::new(&weights[i], m, n).transposed();
                product(&mut after[0], View::new(&before[i], b, n), weight, false);
            }
            for (i, &(b, n, m)) in layers.iter().enumerate().rev() {
                let (before, after) = values.split_at_mut(i + 1);
                let dz = View::new(&after[0], b, m);
                product(&mut gradients[i], dz.transposed(), View::new(&before[i], b, n), false);
                if i > 0 {
                    product(&mut before[i], dz, View::new(&weights[i], m, n), false);
                }
            }
        };
        let repeats = (2e10 / self.operations()).ceil();
        let times = timed(|| (0..repeats as u64).for_each(|_| step()));
        black_box(&gradients);
        Times { wall: times.wall / repeats, cpu: times.cpu / repeats }
    }
}

/// Least wall time of something short, in microseconds.
fn least(mut run: impl FnMut()) -> f64 {
    let mut once = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64() * 1e6
    };
    (0..300).map(&mut once).fold(f64::INFINITY, f64::min)
}

/// Microseconds of everything in a step that is no product, each part alone and with its numbers in the cache.
fn other_parts(case: &Case) -> Vec<(&'static str, f64)> {
    let (plan, batch) = (&case.plan, case.batch);
    let buffer = |n: usize| vec![0.01f32; n];
    let hidden: Vec<usize> = case.layers().iter().map(|&(b, _, m)| b * m).collect();
    let (mut z, mut slope, mut out) = (buffer(hidden[0]), buffer(hidden[0]), buffer(hidden[0]));
    let width = hidden[0] / batch;
    let activations = (hidden.len() - 1) as f64;
    let formula = Activation::parse("tanh").unwrap().formula;
    let (mut w, mut m, mut v) = (buffer(plan.parameters), buffer(plan.parameters), buffer(plan.parameters));
    let g = buffer(plan.parameters);
    let adam = cpu::AdamStep {
        rate: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        decay: 0.0,
        correction1: 0.5,
        correction2: 0.5,
    };
    let mut input = buffer(batch * plan.input.len());
    let gather = || {
        for (row, i) in input.chunks_exact_mut(plan.input.len()).zip(0..) {
            row.copy_from_slice(case.data.sample(i * 37 % 2000));
        }
    };
    let mut bias = buffer(width);
    vec![
        ("Adam", least(|| cpu::adam_step(&mut w, &mut m, &mut v, &g, &adam))),
        ("activation and slope", activations * least(|| formula.values_and_slopes(&z, &mut out, &mut slope))),
        ("times slope", activations * least(|| cpu::multiply_assign(&mut out, &slope))),
        ("bias", activations * least(|| cpu::bias_rows(&mut z, &bias))),
        ("sums for the bias", activations * least(|| cpu::column_sums(&mut bias, &slope, false))),
        ("batch", least(gather)),
    ]
}

/// Seconds.
#[derive(Clone, Copy)]
struct Times {
    wall: f64,
    cpu: f64,
}

fn timed(run: impl FnOnce()) -> Times {
    let (wall, cpu) = (Instant::now(), processor_time());
    run();
    Times { wall: wall.elapsed().as_secs_f64(), cpu: processor_time() - cpu }
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

/// Operations per second of one product, best of many.
fn product_speed(m: usize, k: usize, n: usize) -> f64 {
    let (a, b) = (vec![0.01f32; m * k], vec![0.01f32; k * n]);
    let mut out = vec![0f32; m * n];
    let operations = 2.0 * (m * k * n) as f64;
    let mut run = |repeats: f64| {
        (0..repeats as u64).for_each(|_| product(&mut out, View::new(&a, m, k), View::new(&b, k, n), false));
    };
    // A small product is over before anybody interrupts it; a large one needs the processor's own clock, and that
    // ticks slowly.
    let seconds = if operations < 1e8 {
        let repeats = (1e7 / operations).ceil();
        least(|| run(repeats)) * 1e-6 / repeats
    } else {
        let repeats = (2e10 / operations).ceil();
        (0..5).map(|_| timed(|| run(repeats)).cpu / repeats).fold(f64::INFINITY, f64::min)
    };
    operations / seconds
}

/// Minimum, median and largest of some numbers.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

fn headline(case: &Case, pools: &[ThreadPool]) {
    let peak = product_speed(1024, 1024, 1024);
    println!("\n{} · {} members · batch {} · Adam · float32", case.name, case.members, case.batch);
    println!("  product 1024×1024×1024: {:.1} GFLOP/s on one thread (the peak below)", peak / 1e9);
    for &(b, n, m) in &case.layers()[..2] {
        println!("  product {b}×{n}×{m}: {:.1} GFLOP/s", product_speed(b, n, m) / 1e9);
    }
    for (what, time) in other_parts(case) {
        println!("  {what}: {time:.2} µs per network-step");
    }
    let mut one_thread = None;
    for pool in pools {
        let threads = pool.current_num_threads();
        // Alternating, so that what else happens on the machine meets both.
        let runs: Vec<(Times, Times)> =
            (0..7).map(|_| (pool.install(|| case.step()), case.products())).collect();
        let wall = spread(runs.iter().map(|(step, _)| step.wall * 1e6).collect());
        let cpu = spread(runs.iter().map(|(step, _)| step.cpu * 1e6).collect());
        let products = spread(runs.iter().map(|(_, products)| products.cpu * 1e6).collect());
        let rate = case.operations() / cpu[0] * 1e6;
        println!("  {threads} thread(s), µs per network-step, least / median / most of 7:");
        println!("    wall {:.1} / {:.1} / {:.1}", wall[0], wall[1], wall[2]);
        println!("    processor {:.1} / {:.1} / {:.1}", cpu[0], cpu[1], cpu[2]);
        println!(
            "    its products alone, one thread: {:.1} / {:.1} / {:.1}",
            products[0], products[1], products[2]
        );
        println!(
            "    share of products {:.0} %; {:.1} GFLOP/s per thread = {:.0} % of peak",
            100.0 * products[0] / cpu[0],
            rate / 1e9,
            100.0 * rate / peak
        );
        match one_thread {
            None => one_thread = Some((wall[0], cpu[0])),
            Some((wall_one, cpu_one)) => println!(
                "    against one thread: {:.2} times by wall, {:.2} times by processor time",
                wall_one / wall[0],
                threads as f64 * cpu_one / cpu[0]
            ),
        }
    }
}

/// Reading of an untrained ensemble: kernels, distances and gradients of eight samples in every layer.
fn reading(pool: &ThreadPool) {
    let style = Style { activation: Activation::parse("tanh").unwrap(), residual: None, norm: None };
    let plan = Plan::new(&shorthand::parse("64-128x50-10", &style).unwrap()).unwrap();
    let init = vec![LayerInit::normal(1.0, 0.0); plan.weighted];
    let mut inputs = vec![0f64; 8 * 64];
    Stream::new(1, "bench", &[]).fill_normal(&mut inputs, 1.0);
    let ensemble = Ensemble {
        plan: &plan,
        init: &init,
        seed: 1,
        inputs: &inputs,
        labels: Labels::default(),
        precision: Precision::Float64,
        gradient: true,
        tangent: None,
    };
    let members = 50;
    let once = |_| pool.install(|| timed(|| drop(black_box(run_job(&ensemble, 0..members).unwrap()))).cpu);
    let read = spread((0..5).map(|i| once(i) * 1e3 / members as f64).collect());
    let mut parameters = vec![0f64; plan.parameters];
    let drawn = least(|| initialise(&plan, &init, 1, 1, &mut parameters)) * 1e-3;
    println!("\n64-128x50-10 · ensemble · 8 samples · float64, ms per member, least / median / most of 5:");
    println!(
        "  processor {:.2} / {:.2} / {:.2}, of which drawing parameters {drawn:.2}",
        read[0], read[1], read[2]
    );
}

fn main() {
    let cases = [Case::new("784-100x7-10", 32, 100, 20), Case::new("64-16x3-10", 256, 8, 200)];
    // `cargo test` builds benches and runs them with --test: once is enough there.
    let testing = std::env::args().any(|arg| arg == "--test");
    // They live to the end: the system forgets the time of threads that are gone.
    let pools = [1, 2].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
    if !testing {
        cases.iter().for_each(|case| headline(case, &pools));
        reading(&pools[0]);
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();
    for case in &cases {
        for pool in &pools {
            let threads = pool.current_num_threads();
            let name = format!("network-step {} ({} members, {threads} threads)", case.name, case.members);
            criterion.bench_function(&name, |bench| {
                bench.iter_custom(|iterations| {
                    let one = |_| Duration::from_secs_f64(pool.install(|| case.step()).wall.max(0.0));
                    (0..iterations).map(one).sum()
                });
            });
        }
    }
    criterion.final_summary();
}
