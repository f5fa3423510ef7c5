//! How often a verdict on a short run is wrong: `cargo run --release --example early_verdicts`.
//!
//! Networks of fifteen families (the last three on a text that must be installed) are trained to the full length at rates an eighth of a decade apart, on
//! either side of the border. Of the runs within 0.6 decades of the border of their own network it is counted, with and without a velocity, how many that had
//! learned when a fifth was over fail in the end, by sixths of the progress of the best run of the family; and how many that were far below the bar by some step.

use carnot_lab::experiments::Experiment;
use carnot_lab::experiments::border::foretell::predict;
use carnot_lab::experiments::border::run::{Shared, losses};
use carnot_lab::experiments::border::search::rows;
use carnot_lab::experiments::border::{Across, Border, BorderSpec};
use rayon::prelude::*;
use serde_json::json;

/// Network or activation, optimizer, second setting and its largest value.
const FAMILIES: [(&str, &str, &str, u32); 15] = [
    ("relu", "sgd", "depth", 13),
    ("gelu", "sgd", "depth", 13),
    ("relu", "sgd", "width", 128),
    ("tanh", "sgd", "width", 128),
    ("tanh", "adam", "depth", 13),
    ("relu", "adam", "width", 128),
    ("gelu", "adam", "depth", 13),
    ("tanh", "momentum", "width", 128),
    ("relu", "momentum", "depth", 13),
    ("gelu", "momentum", "depth", 13),
    ("tanh", "momentum", "depth", 13),
    ("relu", "momentum", "width", 128),
    ("post:2x32", "adam", "depth", 6),
    ("pre:2x32", "adam", "depth", 8),
    ("deepnorm:2x32", "adam", "depth", 8),
];
/// Steps between which losses are averaged.
const WINDOW: usize = 20;
/// Rates of a row, and decades between them.
const RATES: i32 = 16;
const STEP: f64 = 0.12;
/// Decades to either side of the border of a network within which its runs count.
const NEAR: f64 = 0.6;
const SHARES: [f64; 5] = [0.15, 0.2, 0.25, 0.35, 0.5];

/// One run, losses in units of the learned one.
struct Run {
    height: f64,
    learns: bool,
    /// Mean losses up to step 20, 40, 60, 80.
    at: [Option<f64>; 4],
}

fn run(spec: &BorderSpec, shared: &Shared, number: usize, height: f64, y: Across) -> Run {
    let (rule, all) = losses(spec, shared, number, 10f64.powf(height), y).unwrap();
    let mean = |end: usize| {
        let window = all.get(end.checked_sub(WINDOW)?..end)?;
        let sum: Option<f64> = window.iter().copied().sum();
        sum.map(|sum| sum / WINDOW as f64 / rule.learned)
    };
    let learns = mean(rule.length as usize).is_some_and(|last| last < 1.0);
    Run { height, learns, at: [20, 40, 60, 80].map(mean) }
}

fn settings(what: &str, optimizer: &str, y: &str, most: u32) -> serde_json::Value {
    let mut all = if what.contains(':') {
        json!({ "network": what, "data": "macedonian", "batch": 6, "init": "xavier", "seeds": 2, "y_from": 1 })
    } else {
        let from = if y == "depth" { 2 } else { 8 };
        json!({ "network": "64-24x4-10", "activation": what, "data": "digits", "batch": 32, "init": "critical", "seeds": 4, "y_from": from })
    };
    let more = json!({ "optimizer": optimizer, "length": 400, "y": y, "y_to": most });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

/// Failed, and all.
type Count = [usize; 2];

fn main() {
    // Without a velocity, and with one.
    let mut sixths = [[[0; 2]; 6]; 2];
    let mut clear: [[[Count; 5]; 4]; 2] = Default::default();
    let asked: Vec<String> = std::env::args().skip(1).collect();
    for (what, optimizer, y, most) in FAMILIES {
        if !asked.is_empty() && !asked.iter().any(|word| word == what || word == optimizer) {
            continue;
        }
        let kind = usize::from(optimizer == "momentum");
        let settings = settings(what, optimizer, y, most);
        let spec = Border::resolve(serde_json::from_value(settings).unwrap()).unwrap();
        let shared = Shared::of(&spec).unwrap();
        let networks: Vec<(Across, usize)> = rows(&spec)
            .into_iter()
            .flat_map(|y| (1..=spec.seeds as usize).map(move |number| (y, number)))
            .collect();
        let of = |&(y, number): &(Across, usize)| {
            let (low, high) = predict(&spec, &shared, y).unwrap().bracket.expect("gradients are finite");
            let middle = 0.5 * (low.log10() + high.log10());
            let height = |k: i32| middle + STEP * (f64::from(k) - f64::from(RATES - 1) / 2.0);
            let all: Vec<Run> = (0..RATES).map(|k| run(&spec, &shared, number, height(k), y)).collect();
            let edge = all.iter().rev().find(|run| run.learns).map(|run| run.height + STEP / 2.0);
            all.into_iter().filter(|run| edge.is_some_and(|edge| (run.height - edge).abs() < NEAR)).collect()
        };
        let runs: Vec<Vec<Run>> = networks.par_iter().map(of).collect();
        let runs: Vec<Run> = runs.into_iter().flatten().collect();
        let best = runs.iter().filter_map(|run| run.at[3]).fold(f64::INFINITY, f64::min);
        for run in &runs {
            if let Some(last) = run.at[3].filter(|last| *last < 1.0) {
                let missing = 1.0 - (1.0 - last) / (1.0 - best);
                let count: &mut Count = &mut sixths[kind][((missing * 6.0) as usize).min(5)];
                count[0] += usize::from(!run.learns);
                count[1] += 1;
            }
            for (count, at) in clear[kind].iter_mut().zip(run.at) {
                for (count, share) in count.iter_mut().zip(SHARES) {
                    if at.is_some_and(|at| at < share) {
                        count[0] += usize::from(!run.learns);
                        count[1] += 1;
                    }
                }
            }
        }
    }
    for (name, sixths, clear) in
        [("without a velocity", sixths[0], clear[0]), ("with one", sixths[1], clear[1])]
    {
        let words = |[failed, of]: Count| format!("{failed} of {of}");
        println!(
            "{name}: had learned after 80 of 400 steps, by sixths of the best run's progress that were missing:"
        );
        println!("  failed {}", sixths.map(words).join(", "));
        for (step, count) in [20, 40, 60, 80].into_iter().zip(clear) {
            let of = |(count, share): (Count, f64)| format!("{share}: {}", words(count));
            let all: Vec<String> = count.into_iter().zip(SHARES).map(of).collect();
            println!("  step {step}, failed below that share of the bar: {}", all.join(", "));
        }
    }
}
