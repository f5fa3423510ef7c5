//! A kernel larger than memory: written in tiles under a limit, and compared bit by bit with the one made in memory.
//!
//! ```text
//! cargo build --release -p carnot-kernel --example stream
//! (ulimit -v 2097152; target/release/examples/stream write 20000 f64)
//! target/release/examples/stream compare 20000 f64
//! ```
#![allow(missing_docs)]

use carnot_kernel::stream::KernelFile;
use carnot_kernel::{Engine, Inputs, Options, Precision, Values};
use carnot_math::random::Stream;
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::network::Network;
use carnot_net::plan::Plan;
use std::path::Path;
use std::time::Instant;

const WIDTH: usize = 784;
const LAYERS: usize = 10;
const TILE: usize = 2048;
const FILES: [&str; 2] = ["stream-kernel.npy", "stream-tangent.npy"];

fn engine(precision: Precision) -> Engine {
    let text = format!(
        "input = [{WIDTH}]\nlayers = [{}{{ dense = 1 }}]",
        "{ dense = 64 }, { act = 'relu' }, ".repeat(LAYERS)
    );
    let plan = Plan::new(&Network::from_toml(&text).expect("a valid network")).expect("a valid plan");
    let init = vec![LayerInit::normal(2.0, 0.0); plan.weighted];
    let rate = vec![LayerRate { lambda_w: 2.0, lambda_b: 1.0 }; plan.weighted];
    Engine::compile(&plan, &init, &rate, Options { precision, ..Options::default() }).expect("a kernel")
}

/// Entries of a row of `made` whose bits are not those of `read`.
fn differing(made: &Values, at: usize, read: &Values) -> usize {
    let pairs = |n: usize| at * n..(at + 1) * n;
    match (made, read) {
        (Values::F32(made), Values::F32(read)) => {
            let made = &made[pairs(read.len())];
            made.iter().zip(read).filter(|(a, b)| a.to_bits() != b.to_bits()).count()
        }
        (Values::F64(made), Values::F64(read)) => {
            let made = &made[pairs(read.len())];
            made.iter().zip(read).filter(|(a, b)| a.to_bits() != b.to_bits()).count()
        }
        _ => panic!("the file was written in another precision"),
    }
}

/// Address space and memory at their largest, where the system tells.
fn peaks() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status.lines().filter(|line| line.starts_with("VmPeak") || line.starts_with("VmHWM"));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [mode, samples, precision] = &words[..] else { panic!("write|compare SAMPLES f32|f64") };
    let samples: usize = samples.parse().expect("a number of samples");
    let precision = if precision == "f32" { Precision::F32 } else { Precision::F64 };
    let engine = engine(precision);
    let mut data = vec![0.0; samples * WIDTH];
    Stream::new(1, "vectors", &[]).fill_normal(&mut data, 1.0);
    let inputs = Inputs { data: &data, samples };
    let paths = FILES.map(Path::new);
    let start = Instant::now();
    if mode == "write" {
        engine.stream_npy(inputs, None, TILE, paths[0], Some(paths[1])).expect("room on the disk");
        println!(
            "{samples} samples, {precision:?}: written in {:.1} s; {}",
            start.elapsed().as_secs_f64(),
            peaks()
        );
        return;
    }
    let made = engine.gram(inputs).expect("room in memory");
    println!("{samples} samples, {precision:?}: made in memory in {:.1} s", start.elapsed().as_secs_f64());
    for (path, values) in paths.iter().zip([Some(&made.kernel), made.tangent.as_ref()]) {
        let mut file = KernelFile::open(path).expect("written before");
        let rows = |at: usize| file.rows(at..at + 1).expect("a row").kernel;
        let values = values.expect("both matrices");
        let differ: usize =
            (0..samples).map(rows).enumerate().map(|(at, row)| differing(values, at, &row)).sum();
        println!("{}: {differ} of {} entries differ in a bit", path.display(), samples * samples);
    }
}
