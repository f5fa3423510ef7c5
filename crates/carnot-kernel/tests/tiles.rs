//! Kernels in tiles and on disk have the bits of kernels in memory.

use carnot_kernel::{Engine, Inputs, KernelError, KernelFile, Matrices, Options, Precision, Values};
use carnot_math::random::Stream;
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::network::Network;
use carnot_net::plan::Plan;
use std::path::PathBuf;

fn engine(options: Options) -> Engine {
    let layers = "{ dense = 9 }, { act = 'relu' }, { dense = 9 }, { act = 'erf' }, { dense = 3 }";
    let network = Network::from_toml(&format!("input = [7]\nlayers = [{layers}]")).unwrap();
    let plan = Plan::new(&network).unwrap();
    let init = vec![LayerInit::normal(1.7, 0.1); plan.weighted];
    let rate = vec![LayerRate { lambda_w: 1.7, lambda_b: 0.1 }; plan.weighted];
    Engine::compile(&plan, &init, &rate, options).unwrap()
}

fn samples(n: usize, at: u64) -> Vec<f64> {
    let mut out = vec![0.0; n * 7];
    Stream::new(9, "tiles test", &[at]).fill_normal(&mut out, 1.0);
    out
}

/// A path of this test alone.
fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("carnot-kernel-tiles-{}-{name}", std::process::id()))
}

fn slice(values: &Values, range: std::ops::Range<usize>) -> Values {
    match values {
        Values::F32(values) => Values::F32(values[range].to_vec()),
        Values::F64(values) => Values::F64(values[range].to_vec()),
    }
}

fn same_rows(file: &mut KernelFile, whole: &Matrices, tangent_of_whole: bool) {
    let n = whole.columns;
    assert_eq!(file.shape(), (whole.rows, n));
    for start in (0..whole.rows).step_by(500) {
        let end = whole.rows.min(start + 500);
        let rows = file.rows(start..end).unwrap();
        let mut read = vec![f64::NAN; (end - start) * whole.columns];
        file.read_rows(start..end, true, &mut read).unwrap();
        assert_eq!(read, rows.tangent.clone().unwrap_or_else(|| rows.kernel.clone()).into_f64());
        let from = if tangent_of_whole { whole.tangent.as_ref().unwrap() } else { &whole.kernel };
        assert_eq!(rows.kernel, slice(from, start * n..end * n), "rows {start}..{end}");
        if let Some(tangent) = rows.tangent {
            assert_eq!(tangent, slice(whole.tangent.as_ref().unwrap(), start * n..end * n));
        }
    }
}

#[test]
fn what_is_streamed_has_the_bits_of_what_is_in_memory() {
    let (x, y) = (samples(1300, 0), samples(700, 1));
    let (first, second) = (Inputs { data: &x, samples: 1300 }, Inputs { data: &y, samples: 700 });
    for precision in [Precision::F32, Precision::F64] {
        let engine = engine(Options { precision, ..Options::default() });
        for second in [None, Some(second)] {
            let whole =
                second.map_or_else(|| engine.gram(first), |second| engine.cross(first, second)).unwrap();
            let [k, t, both] = ["k.npy", "t.npy", "both.safetensors"].map(path);
            engine.stream_npy(first, second, 512, &k, Some(&t)).unwrap();
            engine.stream_safetensors(first, second, 600, &both).unwrap();
            same_rows(&mut KernelFile::open(&k).unwrap(), &whole, false);
            same_rows(&mut KernelFile::open(&t).unwrap(), &whole, true);
            same_rows(&mut KernelFile::open(&both).unwrap(), &whole, false);
            for file in [k, t, both] {
                std::fs::remove_file(file).unwrap();
            }
        }
    }
}

#[test]
fn work_that_ends_early_leaves_no_file() {
    let mut x = samples(600, 2);
    let engine = engine(Options::default());
    let [k, t] = ["early-k.npy", "early-t.npy"].map(path);
    // The second file cannot be made, so the first must not stay.
    let nowhere = path("no-such-folder").join("t.npy");
    let inputs = Inputs { data: &x, samples: 600 };
    let why = engine.stream_npy(inputs, None, 512, &k, Some(&nowhere)).unwrap_err();
    assert!(matches!(why, KernelError::File { .. }), "{why}");
    x[17] = f64::NAN;
    let inputs = Inputs { data: &x, samples: 600 };
    assert!(matches!(engine.stream_npy(inputs, None, 512, &k, Some(&t)), Err(KernelError::NotFinite { .. })));
    let name = k.file_name().unwrap().to_str().unwrap().to_string();
    let left = std::fs::read_dir(std::env::temp_dir()).unwrap();
    let left = left.filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with(&name));
    assert_eq!(left.count(), 0);
}

#[test]
fn a_file_that_was_cut_off_is_refused() {
    let x = samples(100, 3);
    let engine = engine(Options::default());
    let [k, t] = ["cut-k.npy", "cut-t.npy"].map(path);
    engine.stream_npy(Inputs { data: &x, samples: 100 }, None, 512, &k, Some(&t)).unwrap();
    let bytes = std::fs::read(&k).unwrap();
    std::fs::write(&k, &bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(KernelFile::open(&k), Err(KernelError::File { .. })));
    std::fs::remove_file(k).unwrap();
    std::fs::remove_file(t).unwrap();
}

#[test]
fn a_kernel_that_cannot_fit_is_refused_with_what_would() {
    let x = samples(900, 4);
    let inputs = Inputs { data: &x, samples: 900 };
    let estimate = engine(Options::default()).estimate(inputs, None, 512).unwrap();
    assert_eq!(estimate.result_bytes, 2.0 * 8.0 * 900.0 * 900.0);
    assert!(estimate.seconds > 0.0 && estimate.peak_bytes > estimate.result_bytes);
    estimate.check(1e9).unwrap();
    let why = estimate.check(estimate.peak_bytes / 4.0).unwrap_err();
    assert!(matches!(why, KernelError::TooLarge { samples: 450, .. }), "{why}");
}
