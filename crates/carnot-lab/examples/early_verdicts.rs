//! How often a verdict on a short run is wrong: `cargo run --release --example early_verdicts`.
//!
//! Networks of four families are trained to the full length at rates an eighth of a decade apart, on either side of the border. Of the runs within 0.6 decades of
//! the border of their own network it is counted how many that had learned when a fifth was over fail in the end, by fifths of the progress of the
//! best run; and how many that were far below the bar by some step.

use carnot_lab::experiments::Experiment;
use carnot_lab::experiments::border::foretell::predict;
use carnot_lab::experiments::border::run::{Shared, losses};
use carnot_lab::experiments::border::search::rows;
use carnot_lab::experiments::border::{Border, BorderSpec};
use rayon::prelude::*;
use serde_json::json;

const FAMILIES: [(&str, &str, &str); 4] = [
    ("relu", "sgd", "depth"),
    ("gelu", "sgd", "depth"),
    ("tanh", "adam", "depth"),
    ("tanh", "momentum", "width"),
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

fn run(spec: &BorderSpec, shared: &Shared, number: usize, height: f64, y: f64) -> Run {
    let (rule, all) = losses(spec, shared, number, 10f64.powf(height), y).unwrap();
    let mean = |end: usize| {
        let window = all.get(end.checked_sub(WINDOW)?..end)?;
        let sum: Option<f64> = window.iter().copied().sum();
        sum.map(|sum| sum / WINDOW as f64 / rule.learned)
    };
    let learns = mean(rule.length as usize).is_some_and(|last| last < 1.0);
    Run { height, learns, at: [20, 40, 60, 80].map(mean) }
}

fn main() {
    let (mut fifths, mut clear) = ([[0; 2]; 5], [[[0; 2]; 5]; 4]);
    for (activation, optimizer, y) in FAMILIES {
        let (from, to) = if y == "depth" { (2, 13) } else { (8, 128) };
        let settings = json!({ "network": "64-24x4-10", "activation": activation, "optimizer": optimizer, "data": "digits", "length": 400, "batch": 32,
            "init": "critical", "seeds": 4, "y": y, "y_from": from, "y_to": to });
        let spec = Border::resolve(serde_json::from_value(settings).unwrap()).unwrap();
        let shared = Shared::of(&spec).unwrap();
        let networks: Vec<(f64, usize)> =
            rows(&spec).into_iter().flat_map(|y| (1..=4).map(move |number| (y, number))).collect();
        let of = |&(y, number): &(f64, usize)| {
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
                let fifth = (((1.0 - last) / (1.0 - best) * 5.0) as usize).min(4);
                fifths[fifth][0] += usize::from(!run.learns);
                fifths[fifth][1] += 1;
            }
            for (count, at) in clear.iter_mut().zip(run.at) {
                for (count, share) in count.iter_mut().zip(SHARES) {
                    if at.is_some_and(|at| at < share) {
                        count[0] += usize::from(!run.learns);
                        count[1] += 1;
                    }
                }
            }
        }
    }
    println!("had learned after 80 of 400 steps, by fifths of the progress of the best run: failed, of");
    fifths.iter().for_each(|[failed, of]| println!("  {failed:4} {of:5}"));
    for (step, count) in [20, 40, 60, 80].into_iter().zip(clear) {
        let words =
            count.iter().zip(SHARES).map(|([failed, of], share)| format!("{share}: {failed} of {of}"));
        println!("step {step}, loss below that share of the bar: {}", words.collect::<Vec<_>>().join(", "));
    }
}
