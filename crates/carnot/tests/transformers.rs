//! `carnot predict config.json`: what a transformer will do with its tokens, before it is trained.

use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::{Value, json};

fn config(width: usize, depth: usize) -> Value {
    json!({
        "model_type": "bert", "hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": width / 64, "intermediate_size": 4 * width,
        "hidden_act": "gelu", "vocab_size": 30522, "max_position_embeddings": 512, "initializer_range": 0.02,
    })
}

fn predict(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("carnot").unwrap();
    command.current_dir(folder).arg("predict").args(arguments).output().unwrap()
}

fn report(config: &Value, arguments: &[&str]) -> (Value, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let all: Vec<&str> = ["config.json", "--json"].iter().chain(arguments).copied().collect();
    let output = predict(folder.path(), &all);
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.code())
}

fn word(config: &Value) -> String {
    report(config, &[]).0["verdict"]["word"].as_str().unwrap_or("nothing").to_string()
}

/// "The same recipe, only bigger": BERT's base keeps its tokens, its large model nearly loses them, and a width of 4096 does.
#[test]
fn a_bigger_model_of_one_recipe_loses_its_tokens() {
    assert_eq!(word(&config(768, 12)), "learns");
    assert_eq!(word(&config(1024, 24)), "learns-at-a-cost");
    let (refused, code) = report(&config(4096, 24), &[]);
    assert_eq!((refused["verdict"]["word"].as_str(), code), (Some("will-not-learn"), Some(1)));
    let finding = &refused["findings"][0];
    assert_eq!((finding["code"].as_str(), finding["level"].as_str()), (Some("S106"), Some("blocks")));
    assert!(finding["remedy"]["text"].as_str().unwrap().contains("α = 2.63"), "{finding}");
    // Norms in front, and DeepNorm, keep them at the same sizes.
    let designs =
        refused["sections"].as_array().unwrap().iter().find(|section| section["title"] == "Designs").unwrap();
    assert_eq!(designs["rows"].as_array().unwrap().len(), 3, "{designs}");
}

/// A decoder with norms in front: no plateau at 12 or 48 layers.
#[test]
fn norms_in_front_keep_tokens_apart() {
    for depth in [12, 48] {
        let gpt2 = json!({ "model_type": "gpt2", "n_embd": 768, "n_layer": depth, "n_head": 12, "vocab_size": 50257, "n_positions": 1024 });
        let (found, code) = report(&gpt2, &[]);
        assert_eq!(
            (found["verdict"]["word"].as_str(), code),
            (Some("learns"), Some(0)),
            "{}",
            found["verdict"]
        );
    }
}

/// What is not measured is not judged: Llama's usual start leaves its tokens less than the limit, and such models have been trained.
#[test]
fn a_limit_of_post_norm_models_is_not_held_against_others() {
    let llama = json!({
        "model_type": "llama", "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "intermediate_size": 1536,
        "hidden_act": "silu", "vocab_size": 49152, "max_position_embeddings": 2048,
    });
    let (found, code) = report(&llama, &[]);
    assert_eq!(
        (found["verdict"]["word"].as_str(), code),
        (Some("cannot-tell"), Some(0)),
        "{}",
        found["verdict"]
    );
    assert!(found["findings"].as_array().unwrap().is_empty());
}

#[test]
fn another_config_is_another_answer_and_a_folder_will_do() {
    let folder = tempfile::tempdir().unwrap();
    for (width, expect) in [(768, "learns"), (4096, "will-not-learn")] {
        fs::write(folder.path().join("config.json"), config(width, 12).to_string()).unwrap();
        let output = predict(folder.path(), &[".", "--json", "--tokens", "512"]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["verdict"]["word"], expect);
    }
}

#[test]
fn what_is_no_transformer_of_tokens_is_refused_with_one_error() {
    let vit = json!({
        "model_type": "vit", "hidden_size": 192, "num_hidden_layers": 12, "num_attention_heads": 3, "intermediate_size": 768, "image_size": 224,
        "patch_size": 16,
    });
    let folder = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    for text in [
        "{",
        "[]",
        "{\"model_type\": \"mamba\"}",
        &vit.to_string(),
        "{\"model_type\": \"bert\", \"hidden_size\": -3}",
    ] {
        fs::write(folder.path().join("config.json"), text).unwrap();
        said.push(predict(folder.path(), &["config.json"]));
    }
    fs::write(folder.path().join("config.json"), config(768, 12).to_string()).unwrap();
    for flags in [["--tokens", "0"], ["--token-match", "1"], ["--tokens", "many"]] {
        said.push(predict(folder.path(), &["config.json", flags[0], flags[1]]));
    }
    said.push(predict(folder.path(), &["8-8-2", "--tokens", "5"]));
    for output in said {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert_eq!(text.matches("error ").count(), 1, "{text}");
    }
}

/// What a config says is met with suspicion: no depth and no length of text makes the answer hang.
#[test]
fn absurd_sizes_are_refused_or_answered_at_once() {
    let output = |config: &Value, arguments: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        predict(folder.path(), &[&["config.json"], arguments].concat())
    };
    let deep = output(&config(64, 1_000_000), &[]);
    assert_eq!(deep.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&deep.stderr).contains("at most 2000 blocks"), "{deep:?}");
    let gpt2 = json!({ "model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257, "n_positions": 1024 });
    let (long, code) = report(&gpt2, &["--tokens", "65536"]);
    assert_eq!((long["verdict"]["word"].as_str().is_some(), code), (true, Some(0)));
}

/// A transformer in shorthand is followed layer by layer.
#[test]
fn a_shorthand_says_the_design_that_loses_its_tokens() {
    let ask = |network: &str| {
        let folder = tempfile::tempdir().unwrap();
        let output = predict(folder.path(), &[network, "--token-match", "0.046", "--json"]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (found["verdict"]["word"].as_str().unwrap_or("nothing").to_string(), output.status.code())
    };
    assert_eq!(ask("post:2x64"), ("learns".into(), Some(0)));
    assert_eq!(ask("post:8x64"), ("learns-at-a-cost".into(), Some(0)));
    assert_eq!(ask("post:16x64"), ("will-not-learn".into(), Some(1)));
    for network in ["pre:16x64", "deepnorm:16x64", "sandwich:16x64", "bert:2x64,qk-norm=1"] {
        assert_eq!(ask(network), ("learns".into(), Some(0)), "{network}");
    }
    assert_eq!(ask("post:16x64,heds=4"), ("nothing".into(), Some(2)));
}

/// What each group has and should have, from a shorthand and from a config; norms behind move the output most, DeepNorm least.
#[test]
fn groups_are_told_from_a_shorthand_and_from_a_config() {
    let folder = tempfile::tempdir().unwrap();
    let ask = |network: &str| -> Value {
        let output = predict(folder.path(), &[network, "--json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let moves = |found: &Value| found["groups"]["amplification"].as_f64().unwrap();
    let [post, pre, deep] = ["post:12x64", "pre:12x64", "deepnorm:12x64"].map(ask);
    assert!(moves(&post) > 2.0 * moves(&pre) && moves(&pre) > 20.0 * moves(&deep));
    let bert = report(&config(768, 12), &[]).0;
    let gpt2 = json!({ "model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257, "n_positions": 1024 });
    let gpt2 = report(&gpt2, &[]).0;
    let table = |found: &Value, title: &str| {
        found["sections"]
            .as_array()
            .unwrap()
            .iter()
            .find(|section| section["title"] == title)
            .cloned()
            .unwrap()
    };
    for (found, rows) in [(&post, 8), (&deep, 8), (&bert, 7), (&gpt2, 7)] {
        assert_eq!(table(found, "Groups at the start")["rows"].as_array().unwrap().len(), rows);
        assert_eq!(table(found, "Rates by group")["rows"].as_array().unwrap().len(), rows + 1);
        let matrices = found["groups"]["matrices"].as_array().unwrap();
        let is_number = |matrix: &Value| {
            ["deviation", "advised", "gradient", "first_step"]
                .iter()
                .all(|key| matrix[key].as_f64().is_some_and(|x| x > 0.0))
        };
        assert!(matrices.iter().all(is_number), "{matrices:?}");
    }
    // GPT-2's own start is the one that is advised, but for the constant 0.02 in place of 1/√n.
    let of = |found: &Value, group: &str, key: &str| {
        let matrices = found["groups"]["matrices"].as_array().unwrap();
        matrices.iter().find(|matrix| matrix["group"] == group).unwrap()[key].as_f64().unwrap()
    };
    for group in ["word", "query", "mlp-in"] {
        assert!((of(&gpt2, group, "deviation") - 0.02).abs() < 1e-9, "{group}");
    }
    let scaled = |key: &str| of(&gpt2, "output", key) / of(&gpt2, "query", key);
    assert!((scaled("deviation") / scaled("advised") - 1.0).abs() < 1e-9);
    // The same recipe, drawn deeper, moves more with norms behind: more than a share of what the weights are.
    assert!(moves(&report(&config(768, 24), &[]).0) > 1.7 * moves(&bert));
}
