//! Every architecture of a public reference file: kernels of a Python library of infinite-width kernels, and of an
//! independent quadrature.
//!
//! `golden/peers.json` was made with neural-tangents 0.6.5 (jax 0.4.23, numpy 1.26.4, double precision); its
//! `conventions` say what each operation means and which tolerance it deserves. Each entry becomes a network in the
//! language of users (TOML), is compiled and asked for K and Θ.

mod translate;

use carnot_kernel::{Engine, Inputs, Matrices, Options, Precision};
use carnot_net::network::Network;
use carnot_net::plan::Plan;
use carnot_net::tape::Mode;
use serde_json::Value;
use std::fmt::Write;

const FILE: &str = include_str!("golden/peers.json");

/// Against the peer at points that are neither repeated nor parallel, relative to the largest entry.
const PEER: f64 = 1e-10;
/// Against the peer at repeated and parallel points, where its angle loses half of the digits.
const PEER_PARALLEL: f64 = 1e-7;
/// Against the quadrature.
const QUADRATURE: f64 = 1e-12;
/// The same where a kink meets a correlation of nearly one and the quadrature itself loses half of the digits, which the
/// file says by its distance from the peer; in 40 digits by hand, fc4-sign and the diagonals are the peer's, and ours.
const QUADRATURE_AT_KINKS: f64 = 1e-7;
/// In single precision: sixteen bits of the mantissa survive tens of layers.
const SINGLE: f64 = 2e-5;
/// The peer's own quadrature for functions without closed form is approximate: only the quadrature counts there.
const APPROXIMATE: &str = "-num/";

struct Points {
    values: Vec<f64>,
    samples: usize,
    shape: Vec<usize>,
}

impl Points {
    fn inputs(&self) -> Inputs<'_> {
        Inputs { data: &self.values, samples: self.samples }
    }
}

fn points(file: &Value, name: &Value) -> Option<Points> {
    let input = &file["inputs"][name.as_str()?];
    let sizes: Vec<usize> = numbers(&input["shape"]).iter().map(|x| *x as usize).collect();
    Some(Points { values: numbers(&input["data"]), samples: sizes[0], shape: sizes[1..].to_vec() })
}

/// All numbers of nested lists, row-major; null is NaN.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap_or(f64::NAN)],
    }
}

fn matrices(entry: &Value, first: &Points, second: Option<&Points>, precision: Precision) -> Matrices {
    let id = &entry["id"];
    let arch = entry["arch"].as_array().expect("a list of layers");
    let text = translate::network(arch, &first.shape);
    let network = Network::from_toml(&text).unwrap_or_else(|why| panic!("{id}: {why}\n{text}"));
    let plan = Plan::new(&network).unwrap_or_else(|why| panic!("{id}: {why}\n{text}"));
    let init = translate::init(&plan);
    let rate = translate::parametrization(arch).rates(&plan, &init);
    let mode = if text.contains("dropout") { Mode::Train } else { Mode::Evaluate };
    let options = Options { precision, mode, tolerance: 1e-13, ..Options::default() };
    let engine = Engine::compile(&plan, &init, &rate, options).unwrap_or_else(|why| panic!("{id}: {why}"));
    match second {
        Some(second) => engine.cross(first.inputs(), second.inputs()),
        None => engine.gram(first.inputs()),
    }
    .unwrap_or_else(|why| panic!("{id}: {why}"))
}

/// True when two points are the same up to a factor, or one of them is zero.
fn parallel(a: &[f64], b: &[f64]) -> bool {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (aa, bb, ab) = (dot(a, a), dot(b, b), dot(a, b));
    aa * bb - ab * ab <= 1e-9 * aa * bb
}

/// Largest deviation from the reference, in units of the tolerance, with the place.
fn worst(found: &[f64], expect: &[f64], tolerance: impl Fn(usize) -> f64) -> (f64, String) {
    assert_eq!(found.len(), expect.len());
    let largest = expect.iter().filter(|x| x.is_finite()).fold(0.0, |a: f64, x| a.max(x.abs()));
    let mut worst = (0.0, String::new());
    for (i, (f, e)) in found.iter().zip(expect).enumerate().filter(|(_, (_, e))| e.is_finite()) {
        let off = (f - e).abs() / (tolerance(i) * largest);
        if off.is_nan() || off > worst.0 {
            worst = (
                off,
                format!("entry {i}: {f:.15e} for {e:.15e}, {:.1e} of the largest", (f - e).abs() / largest),
            );
        }
    }
    worst
}

fn compare(precision: Precision) {
    let file: Value = serde_json::from_str(FILE).expect("the golden file is JSON");
    let mut failures = String::new();
    for entry in file["kernels"].as_array().expect("a list of kernels") {
        let id = entry["id"].as_str().expect("an id");
        let first = points(&file, &entry["x1"]).expect("the first inputs");
        let second = points(&file, &entry["x2"]);
        let found = matrices(entry, &first, second.as_ref(), precision);
        let other = second.as_ref().unwrap_or(&first);
        let columns = other.samples;
        let row = |points: &Points, i: usize| {
            let len = points.values.len() / points.samples;
            points.values[i * len..(i + 1) * len].to_vec()
        };
        let is_parallel = |i: usize| parallel(&row(&first, i / columns), &row(other, i % columns));
        let kernel = found.kernel.into_f64();
        let tangent = found.tangent.expect("the tangent kernel was asked for").into_f64();
        for (what, found) in [("nngp", &kernel), ("ntk", &tangent)] {
            assert!(found.iter().all(|x| x.is_finite()), "{id} {what}: {found:?}");
            let quadrature = entry.get(format!("{what}_quad")).map(numbers);
            let mut check = |against: &str, expect: &[f64], tolerance: &dyn Fn(usize) -> f64| {
                let (off, place) = worst(found, expect, tolerance);
                if off.is_nan() || off > 1.0 {
                    writeln!(failures, "{id} {what} against {against}: {place}").expect("writing to memory");
                }
            };
            if precision == Precision::F32 {
                let expect = quadrature.unwrap_or_else(|| numbers(&entry[what]));
                check("the reference", &expect, &|_| SINGLE);
                continue;
            }
            if let Some(expect) = quadrature {
                let apart = entry["peer_vs_quad"][usize::from(what == "ntk")].as_f64();
                let blunt = translate::has_kink(&entry["arch"]) && apart.is_some_and(|apart| apart > 1e-11);
                check("quadrature", &expect, &|_| if blunt { QUADRATURE_AT_KINKS } else { QUADRATURE });
            }
            if !id.contains(APPROXIMATE) {
                let tolerance = |i: usize| if is_parallel(i) { PEER_PARALLEL } else { PEER };
                check("the peer", &numbers(&entry[what]), &tolerance);
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn every_architecture_of_the_peer_has_its_kernels_in_double_precision() {
    compare(Precision::F64);
}

#[test]
fn every_architecture_of_the_peer_has_its_kernels_in_single_precision() {
    compare(Precision::F32);
}
