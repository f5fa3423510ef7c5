//! Why the bigger model will not learn: small transformers on a text, over depths and rates.
//!
//! `cargo run --release -p carnot-lab --example practitioner -- TEXT [STEPS] [SEEDS] [NETWORK…]`
//!
//! TEXT is a file or a name of the table (`brown`, `macedonian`). Prints for every network and rate the loss over the last sixth of the
//! steps, mean ± standard error over seeds, and marks what stays within 3 % of the entropy of single tokens; then the losses over all
//! sixths at the second rate. Adam, batches of six windows of 24 characters; WARM_UP in the environment is the share of steps to warm up.

use carnot_math::stats::Moments;
use carnot_net::activation::Activation;
use carnot_net::dataset::{self, Dataset, Options};
use carnot_net::hyper::Scheme;
use carnot_net::plan::Plan;
use carnot_net::shorthand::{Style, parse};
use carnot_sim::loss::Loss;
use carnot_sim::optimizer::Optimizer;
use carnot_sim::optimizer::adam::Adam;
use carnot_sim::train::Training;
use carnot_sim::train::spec::TrainSpec;
use carnot_sim::train::steer::train_steered;
use carnot_theory::initial::initial;
use rayon::prelude::*;

const RATES: [f64; 4] = [3e-4, 1e-3, 3e-3, 1e-2];
const PARTS: u64 = 6;

fn main() {
    let mut words = std::env::args().skip(1);
    let text = words.next().expect("a text");
    let steps: u64 = words.next().map_or(120, |word| word.parse().expect("steps"));
    let seeds: u64 = words.next().map_or(3, |word| word.parse().expect("seeds"));
    let mut networks: Vec<String> = words.collect();
    if networks.is_empty() {
        let usual =
            ["post:2x64", "post:4x64", "post:6x64", "post:8x64", "post:16x64", "pre:16x64", "deepnorm:16x64"];
        networks = usual.map(str::to_string).to_vec();
    }
    let data = dataset::open(&text, &Options::default()).expect("the text");
    let shares = shares(&data);
    let unigram: f64 = shares.iter().map(|p| -p * p.ln()).sum();
    let matches: f64 = shares.iter().map(|p| p * p).sum();
    let uniform = (data.targets.classes() as f64).ln();
    println!("{}", data.source);
    println!("ln V = {uniform:.3}, entropy of single tokens {unigram:.3}, two are equal with {matches:.4}");
    println!("{:24} {}", "", RATES.map(|rate| format!("{rate:>20}")).concat());
    let mut curves = Vec::new();
    for network in networks {
        let cells: Vec<(f64, u64)> =
            RATES.iter().flat_map(|&rate| (0..seeds).map(move |seed| (rate, seed))).collect();
        let runs: Vec<Vec<f64>> =
            cells.par_iter().map(|&(rate, seed)| losses(&network, &data, steps, rate, seed)).collect();
        let said = |of: &[Vec<f64>], part: usize| {
            let moments = Moments::of(&of.iter().map(|run| run[part]).collect::<Vec<_>>());
            let is_stuck = moments.mean() > unigram - 0.03 * unigram;
            format!("{} {:.3} ± {:.3}", if is_stuck { "stuck" } else { "" }, moments.mean(), moments.error())
        };
        let rows: Vec<&[Vec<f64>]> = runs.chunks_exact(seeds as usize).collect();
        let row = rows.iter().map(|of| format!("{:>20}", said(of, PARTS as usize - 1)));
        println!("{network:24} {}", row.collect::<String>());
        curves.push((network, (0..PARTS as usize).map(|part| said(rows[1], part)).collect::<Vec<_>>()));
    }
    println!("over the sixths of the steps, at {}", RATES[1]);
    for (network, curve) in curves {
        println!("{network:24} {}", curve.join(" |"));
    }
}

fn shares(data: &Dataset) -> Vec<f64> {
    let all = data.rows() as f64;
    data.class_counts().into_iter().filter(|&n| n > 0).map(|n| n as f64 / all).collect()
}

/// Mean losses over the sixths of a training.
fn losses(network: &str, data: &Dataset, steps: u64, rate: f64, seed: u64) -> Vec<f64> {
    let style = Style { activation: Activation::parse("relu").expect("known"), residual: None, norm: None };
    let plan = Plan::new(&parse(network, &style).expect("a network")).expect("a plan");
    let init = initial(&plan, Scheme::Xavier, None, None).expect("variances").layers;
    let share: f64 = std::env::var("WARM_UP").map_or(0.0, |share| share.parse().expect("a share"));
    let warm_up = (share * steps as f64) as u64;
    let spec = TrainSpec { steps, batch: 6, rate, seed, warm_up, evaluate: 1, ..TrainSpec::default() };
    let optimizer = Optimizer::Adam(Adam::default());
    let (init, train, loss) = (&init[..], data, Loss::CrossEntropy);
    let training = Training { plan: &plan, init, rates: &[], optimizer, loss, train, test: None, spec };
    let looks: Vec<u64> = (1..=steps).collect();
    let seen = train_steered::<f32, _>(&training, 0..1, &looks, &|sight, _| sight.loss).expect("trains");
    let all: Vec<f64> = seen[0].1.iter().map(|loss| loss.unwrap_or(f64::INFINITY)).collect();
    all.chunks((steps / PARTS) as usize).map(|part| part.iter().sum::<f64>() / part.len() as f64).collect()
}
