//! Any bytes are refused as an ONNX model, or give a graph in order in which layers are found.
#![no_main]

use carnot_onnx::file::Source;
use carnot_onnx::layers::find;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = Source::of(bytes.to_vec(), std::path::Path::new("a.onnx")) else { return };
    let Ok(graph) = source.graph() else { return };
    let layers = find(&graph);
    for layer in &layers.read {
        assert!(!layer.value.is_empty(), "{layer:?} is of no value");
        if let Some(tensor) = layer.weight.as_ref().and_then(|weight| graph.weight(weight)) {
            let _ = source.stats(tensor, layer.fan_in);
        }
    }
});
