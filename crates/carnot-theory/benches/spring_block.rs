//! What the chain of blocks costs, beside what it cannot cost less than.
//!
//! First a table: block-updates per second on one thread, shaken and still; the normal draws that a shaken update needs one of;
//! and the vector limit, a loop of the same ten operations over numbers that never leave the registers. Then criterion: the
//! phase diagram of 48 cells × 64 chains × 12 000 steps × 7 blocks on all cores, one expected curve, one fit.
//! `cargo bench -p carnot-theory --bench spring_block`.
#![allow(missing_docs)] // criterion's macros make public items

use std::hint::black_box;
use std::time::{Duration, Instant};

use carnot_math::device::wide::{Loop, widest};
use carnot_math::random::Stream;
use carnot_theory::spring_block::chain::{Chain, Friction, Parameters};
use carnot_theory::spring_block::fit::answer::Demand;
use carnot_theory::spring_block::fit::atlas::{Atlas, Setting};
use carnot_theory::spring_block::fit::measured::{Errors, Measured};
use carnot_theory::spring_block::grid::{GridPlan, grid};
use carnot_theory::spring_block::mean_field::mean_field;
use carnot_theory::spring_block::noise::Noise;
use carnot_theory::spring_block::overdamped::{Course, Member, overdamped};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const BLOCKS: usize = 7;
const CHAINS: usize = 64;
const STEPS: usize = 12_000;

/// Best of several tries, in 10⁶ per second.
fn rate(count: usize, mut work: impl FnMut()) -> f64 {
    let once = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    let best = (0..7).map(|_| once(&mut work)).fold(f64::INFINITY, f64::min);
    count as f64 / best / 1e6
}

fn simulated(noise: f64) -> f64 {
    let chain = Chain::with_friction(0.06, 0.05).expect("a chain");
    let members: Vec<Member> = (0..CHAINS as u64)
        .map(|copy| Member { chain: &chain, noise: Noise::per_step(noise), start: None, key: [0, copy] })
        .collect();
    let course = Course { step: 0.01, steps: STEPS, snapshots: &[] };
    rate(BLOCKS * CHAINS * STEPS, || {
        black_box(overdamped(&members, &course, 1).expect("a simulation"));
    })
}

/// The arithmetic of an update on registers: two additions and a product for the pull, one more for the force, two
/// comparisons and three sums for the slip, product and sum for the position.
struct Registers;

impl Loop<f64> for Registers {
    #[inline(always)]
    fn run<const FMA: bool>(self, x: &mut [f64], _: &mut [f64], _: &mut [f64]) {
        let (x, _) = x.as_chunks_mut::<64>();
        for x in x {
            let mut own = *x;
            for _ in 0..STEPS {
                for here in &mut own {
                    let force = 0.9 * (0.3 - 2.0 * *here + 0.1) + 0.05;
                    let forward = if force > 0.06 { force - 0.06 } else { 0.0 };
                    let backward = if force < -0.05 { force + 0.05 } else { 0.0 };
                    *here += 0.01 * (forward + backward);
                }
            }
            *x = own;
        }
    }
}

fn table() {
    let mut numbers = vec![0.0; 64 * BLOCKS];
    let limit = rate(numbers.len() * STEPS, || widest(Registers, black_box(&mut numbers), &mut [], &mut []));
    let mut draws = vec![0.0; 1 << 16];
    let drawn = rate(draws.len(), || Stream::new(1, "bench", &[]).fill_normal(black_box(&mut draws), 1.0));
    let (shaken, still) = (simulated(0.1), simulated(0.0));
    println!("10⁶ per second on one thread: block-updates, draws, and what bounds them");
    println!("  registers only  {limit:8.0}  the vector limit");
    println!("  still chains    {still:8.0}  {:.0} % of it", 100.0 * still / limit);
    println!("  normal draws    {drawn:8.0}");
    let both = 1.0 / (1.0 / drawn + 1.0 / still);
    println!(
        "  shaken chains   {shaken:8.0}  {:.0} % of draw and update one after the other",
        100.0 * shaken / both
    );
}

fn chains(criterion: &mut Criterion) {
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    one.install(table);
    let mut group = criterion.benchmark_group("spring_block");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(8)).sample_size(10);
    let parameters = Parameters { friction_left: Friction::Same(0.05), ..Parameters::default() };
    let (frictions, noises): (Vec<f64>, Vec<f64>) =
        ((0..6).map(|at| 0.012 * f64::from(at)).collect(), (1..=8).map(|at| 0.02 * f64::from(at)).collect());
    let (frictions, noises) = (&frictions[..], &noises[..]);
    let plan = GridPlan { parameters, frictions, noises, step: 0.01, steps: STEPS, chains: CHAINS, seed: 1 };
    group.throughput(Throughput::Elements((48 * CHAINS * STEPS * BLOCKS) as u64));
    group.bench_function("phase diagram, block-updates", |b| b.iter(|| grid(black_box(&plan))));
    group.throughput(Throughput::Elements(1));
    let chain = Chain::with_friction(0.06, 0.05).expect("a chain");
    group.bench_function("expected curve", |b| b.iter(|| mean_field(black_box(&chain), None, 0.02, 120.0)));
    group.bench_function("atlas", |b| b.iter(|| Atlas::new(black_box(Setting::default()), BLOCKS)));
    let atlas = Atlas::new(Setting::default(), BLOCKS).expect("an atlas");
    let curve = Setting::default().curve(BLOCKS, 0.06, 0.02).expect("a curve");
    let measured = Measured { curve: &curve, errors: Errors::Standard(&[0.002; BLOCKS + 1]) };
    group.bench_function("fit", |b| b.iter(|| atlas.fit(black_box(&measured), &Demand::default())));
    group.finish();
}

criterion_group! { name = benches; config = Criterion::default(); targets = chains }
criterion_main!(benches);
