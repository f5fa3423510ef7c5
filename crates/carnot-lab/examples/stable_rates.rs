//! Largest stable learning rates predicted from the start alone against those measured: `cargo run --release --example stable_rates`.
//!
//! Of twenty networks the bracket of `carnot border` is asked without a run. Then three networks of each are trained to the full length: from thirty times
//! the middle of the bracket downwards, a quarter of a decade at a time, until one learns, and to a sixtieth of a decade between. Prints both, and the median and
//! spread of their ratio.

use carnot_lab::experiments::Experiment;
use carnot_lab::experiments::border::foretell::predict;
use carnot_lab::experiments::border::run::{Shared, whole};
use carnot_lab::experiments::border::{Border, BorderSpec};
use carnot_math::stats::Moments;
use serde_json::{Value, json};

/// Networks of each kind.
const NETWORKS: usize = 3;
/// Decades above the middle of the bracket from which rates are tried, and the step downwards.
const FROM: f64 = 1.5;
const STEP: f64 = 0.25;
/// Decades below which nothing is tried.
const TO: f64 = -3.0;
/// Halvings of the last step.
const HALVINGS: usize = 4;

/// Network, its width, activation, initialisation, optimizer, data, batch.
type Kind = (&'static str, usize, &'static str, &'static str, &'static str, &'static str, usize);

const KINDS: [Kind; 20] = [
    ("64-24x3-10", 24, "tanh", "critical", "sgd", "digits", 32),
    ("64-24x8-10", 24, "tanh", "critical", "sgd", "digits", 32),
    ("64-96x4-10", 96, "tanh", "torch", "sgd", "digits", 64),
    ("64-32x2-10", 32, "tanh", "xavier", "momentum", "digits", 32),
    ("64-48x6-10", 48, "tanh", "critical", "adam", "digits", 32),
    ("64-24x3-10", 24, "relu", "he", "sgd", "digits", 32),
    ("64-96x3-10", 96, "relu", "critical", "sgd", "digits", 64),
    ("64-32x8-10", 32, "relu", "critical", "sgd", "digits", 32),
    ("64-64x2-10", 64, "relu", "torch", "momentum", "digits", 32),
    ("64-32x3-10", 32, "relu", "critical", "adam", "digits", 32),
    ("64-128x5-10", 128, "relu", "he", "adam", "digits", 64),
    ("64-48x4-10", 48, "gelu", "critical", "sgd", "digits", 32),
    ("64-48x4-10", 48, "gelu", "critical", "adam", "digits", 32),
    ("64-32x5-10", 32, "swish", "critical", "momentum", "digits", 32),
    ("64-32x4-10", 32, "sin", "critical", "sgd", "digits", 32),
    ("40-64x3-10", 64, "relu", "he", "sgd", "mnist1d", 32),
    ("40-64x5-10", 64, "tanh", "critical", "adam", "mnist1d", 32),
    ("20-48x3-4", 48, "tanh", "critical", "sgd", "mixture", 64),
    ("20-32x4-4", 32, "relu", "critical", "momentum", "mixture", 32),
    ("64-32x4-10", 32, "erf(z)", "critical", "adam", "digits", 32),
];

fn main() {
    println!(
        "| network | activation, start, optimizer, data | predicted | from – to | measured (sd) | measured / predicted |"
    );
    println!("|---|---|---|---|---|---|");
    let (mut ratios, mut inside) = (Vec::new(), 0);
    for (network, width, activation, init, optimizer, data, batch) in KINDS {
        let settings = json!({ "network": network, "activation": activation, "init": init, "optimizer": optimizer, "data": data, "batch": batch,
            "length": 400, "seeds": NETWORKS, "y": "width", "y_from": width, "y_to": 2 * width });
        let spec = ask(settings);
        let shared = Shared::of(&spec).unwrap();
        let words = format!("{activation}, {init}, {optimizer}, {data}");
        let Some((low, high)) = predict(&spec, &shared, width as f64).unwrap().bracket else {
            println!("| {network} | {words} | not known | | | |");
            continue;
        };
        let middle = (low * high).sqrt();
        let mut edges = Moments::default();
        for number in 1..=NETWORKS {
            if let Some(edge) = edge(&spec, &shared, number, middle.log10(), width as f64) {
                edges.push(edge);
            }
        }
        if edges.count() == 0 {
            println!("| {network} | {words} | {middle:.2e} | {low:.2e} – {high:.2e} | nothing learns | |");
            continue;
        }
        let found = 10f64.powf(edges.mean());
        inside += usize::from((low..=high).contains(&found));
        ratios.push((found / middle).log10());
        let ratio = found / middle;
        println!(
            "| {network} | {words} | {middle:.2e} | {low:.2e} – {high:.2e} | {found:.2e} ({:.2}) | {ratio:.2} |",
            edges.variance().sqrt()
        );
    }
    ratios.sort_by(f64::total_cmp);
    let moments = Moments::of(&ratios);
    let n = ratios.len();
    let median = 0.5 * (ratios[(n - 1) / 2] + ratios[n / 2]);
    println!(
        "\nmedian ratio {:.2}; spread of its logarithm {:.2} decades; half of all within {:.2} to {:.2}; {inside} of {n} inside the bracket",
        10f64.powf(median),
        moments.variance().sqrt(),
        10f64.powf(ratios[n / 4]),
        10f64.powf(ratios[3 * n / 4])
    );
}

fn ask(settings: Value) -> BorderSpec {
    Border::resolve(serde_json::from_value(settings).unwrap()).unwrap()
}

/// The largest rate with which a network learns, in decades.
fn edge(spec: &BorderSpec, shared: &Shared, number: usize, middle: f64, y: f64) -> Option<f64> {
    let learns = |height: f64| {
        let done = whole(spec, shared, number, 10f64.powf(height), y).unwrap();
        done.verdict.margin > 0.0
    };
    let mut high = middle + FROM;
    let mut low = high - STEP;
    while !learns(low) {
        (high, low) = (low, low - STEP);
        if low < middle + TO {
            return None;
        }
    }
    for _ in 0..HALVINGS {
        let between = f64::midpoint(low, high);
        *(if learns(between) { &mut low } else { &mut high }) = between;
    }
    Some(f64::midpoint(low, high))
}
