//! Which layers are found in a graph: names, kinds, places. No runtime is needed for it.

use std::path::Path;

use carnot_onnx::file::Source;
use carnot_onnx::layers::{Layers, find};
use carnot_probe::call::Role;

fn layers(name: &str) -> Layers {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let source = Source::open(&path).unwrap();
    find(&source.graph().unwrap())
}

/// One line a layer: a sign for its place, its name, its kind; `w` where it has weights.
fn check(name: &str, expect: &str) {
    let found = layers(name);
    let line = |layer: &carnot_onnx::layers::Layer| {
        let place = match layer.role {
            Role::Chain => '|',
            Role::Block => '+',
            Role::Inside => ' ',
            Role::Table => '=',
        };
        let weight = if layer.weight.is_some() { " w" } else { "" };
        let fan_in = layer.fan_in.map_or(String::new(), |fan_in| format!(" {fan_in}"));
        format!("{place} {} {}{weight}{fan_in}", layer.name, layer.kind)
    };
    let found: Vec<String> = found.read.iter().map(line).collect();
    let expect: Vec<&str> = expect.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(found, expect, "{name}");
}

#[test]
fn norms_and_activations_that_were_taken_apart_are_one_layer_again() {
    let block = |at: usize| {
        format!(
            "  blocks.{at}.norm layernorm w\n  blocks.{at}.up linear w 16\n  blocks.{at}.act gelu\n  \
             blocks.{at}.down linear w 32\n+ blocks.{at} residual\n"
        )
    };
    let blocks: String = (0..3).map(block).collect();
    let expect =
        format!("| pixels input\n| stem linear w 64\n{blocks}| norm layernorm w\n| head linear w 16\n");
    check("residual.onnx", &expect);
}

#[test]
fn images_have_their_channels_first_and_a_skip_is_a_block() {
    check(
        "convolutional.onnx",
        "| image input\n| conv1 conv2d w 9\n| bn1 batchnorm w\n| relu relu\n  layer.conv1 conv2d w 54\n  \
         layer.bn1 batchnorm w\n  layer.relu relu\n  layer.conv2 conv2d w 54\n  layer.bn2 batchnorm w\n+ layer residual\n\
         | layer.relu_1 relu\n| pool pool\n| fc linear w 6\n",
    );
    let found = layers("convolutional.onnx").read;
    assert!(found.iter().filter(|layer| layer.kind == "conv2d").all(|layer| layer.is_channels_first));
}

#[test]
fn with_post_norm_the_stream_is_what_the_norm_says() {
    let block = |at: usize| {
        let linear = |part: &str, fan_in: usize| format!("  layer.{at}.{part} linear w {fan_in}\n");
        [
            linear("query", 16),
            linear("key", 16),
            linear("value", 16),
            format!("  layer.{at}.attention attention\n"),
            linear("output", 16),
            format!("  layer.{at}.output.residual residual\n+ layer.{at}.norm1 layernorm w\n"),
            linear("up", 16),
            format!("  layer.{at}.act gelu\n"),
            linear("down", 32),
            format!("  layer.{at}.down.residual residual\n+ layer.{at}.norm2 layernorm w\n"),
        ]
        .concat()
    };
    let expect = format!(
        "  embeddings.word embedding w\n  embeddings.kind embedding w\n| embeddings add\n| embeddings.norm layernorm w\n{}{}",
        block(0),
        block(1)
    );
    check("attention.onnx", &expect);
}

#[test]
fn tables_that_are_looked_up_by_shape_stand_beside_the_line() {
    check(
        "tables.onnx",
        "| word embedding w\n= kind embedding w\n= place embedding w\n| norm layernorm w\n| up linear w 16\n| act gelu\n\
         | down linear w 32\n",
    );
}

#[test]
fn every_layer_with_weights_is_read() {
    for (name, weighted) in [
        ("residual.onnx", 12),
        ("convolutional.onnx", 7),
        ("attention.onnx", 19),
        ("recurrent.onnx", 2),
        ("tables.onnx", 6),
    ] {
        let found = layers(name);
        let read = found.read.iter().filter(|layer| layer.weight.is_some()).count();
        assert_eq!(read, weighted, "{name}");
    }
}
