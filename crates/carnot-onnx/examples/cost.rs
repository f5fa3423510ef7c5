//! What reading costs: paired runs of a model as a user would run it and with every layer read.
//!
//! `cargo run --release -p carnot-onnx --features tract --example cost -- MODEL.onnx [BATCH.npz|-] [SAMPLES] [PAIRS]`

use std::path::Path;
use std::time::Instant;

use carnot_onnx::arrays;
use carnot_onnx::file::Source;
use carnot_onnx::reading::{Prepared, Question};

const WHAT: [&str; 4] = [
    "every layer seen, by the clock",
    "every layer seen, of processors",
    "every layer read, by the clock",
    "every layer read, of processors",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = |at: usize, otherwise: &str| arguments.get(at).cloned().unwrap_or_else(|| otherwise.into());
    let source = Source::open(Path::new(&text(0, "model.onnx")))?;
    let batch = match text(1, "-").as_str() {
        "-" => None,
        path => Some(arrays::open(Path::new(path), 1 << 33)?),
    };
    let (samples, pairs): (usize, usize) = (text(2, "1000").parse()?, text(3, "5").parse()?);
    let start = Instant::now();
    let question = Question { batch, samples: Some(samples), seed: 7, memory: 1 << 33 };
    let prepared = Prepared::new(&source, question)?;
    let (chunk, workers) = (prepared.chunk(), prepared.workers());
    println!("prepared in {:.2} s, {workers} chunks of {chunk} side by side", start.elapsed().as_secs_f64());
    if pairs == 0 {
        prepared.read()?;
        println!("peak {:.1} MiB", peak());
        return Ok(());
    }
    // The fastest of several sizes of chunks is what reading is held against.
    let mut best = (f64::INFINITY, 0);
    for chunk in [1, 4, 8, 16, 32] {
        let Ok(plain) = prepared.plain(chunk) else { continue };
        let seconds = timed(|| plain.run())?;
        println!("plain, chunks of {chunk:>2}: {:.3} s, {:.2} s of processors", seconds[0], seconds[1]);
        if seconds[0] < best.0 {
            best = (seconds[0], chunk);
        }
    }
    let plain = prepared.plain(best.1)?;
    let mut ratios = [const { Vec::new() }; 4];
    for pair in 0..pairs {
        // In turn, so that a machine that grows slower favours neither.
        let order = if pair % 2 == 0 { [0, 1, 2] } else { [2, 1, 0] };
        let mut seconds = [[0.0; 2]; 3];
        for what in order {
            seconds[what] = match what {
                0 => timed(|| plain.run())?,
                1 => timed(|| prepared.tapped())?,
                _ => timed(|| prepared.read().map(|_| ()))?,
            };
        }
        println!(
            "pair {pair}: plain {:.3} s, seen {:.3} s, read {:.3} s",
            seconds[0][0], seconds[1][0], seconds[2][0]
        );
        for at in 0..4 {
            ratios[at].push(seconds[1 + at / 2][at % 2] / seconds[0][at % 2]);
        }
    }
    for (what, ratios) in WHAT.iter().zip(&ratios) {
        let n = ratios.len() as f64;
        let mean = ratios.iter().sum::<f64>() / n;
        let variance = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        println!(
            "{what}: {mean:.3} ± {:.3} of the plain forward pass (chunks of {})",
            (variance / n).sqrt(),
            best.1
        );
    }
    println!("peak {:.1} MiB", peak());
    Ok(())
}

/// Seconds that some work takes: of the clock, which is what a user waits for, and of all processors, which others on the machine do not
/// lengthen; the second is the first where the system does not say.
fn timed<E>(work: impl FnOnce() -> Result<(), E>) -> Result<[f64; 2], E> {
    let (start, before) = (Instant::now(), processor());
    work()?;
    let elapsed = start.elapsed().as_secs_f64();
    Ok([elapsed, before.zip(processor()).map_or(elapsed, |(before, after)| after - before)])
}

/// Seconds that the threads of this process have run: ticks of a hundredth.
fn processor() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after = text.rsplit_once(')')?.1;
    let ticks: Vec<f64> =
        after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    (ticks.len() == 2).then(|| (ticks[0] + ticks[1]) / 100.0)
}

/// The most memory this process has held, in MiB; 0 where the system does not say.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
